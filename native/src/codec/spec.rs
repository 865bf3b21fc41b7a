//! A compiled dialect: tables indexed by field number or by name, no look-up by hash on the hot path.

use std::sync::Arc;

use crate::codec::axis::{Encoding, Length};
use crate::codec::class::{Class, Mask};
use crate::codec::emv;
use crate::codec::envelope::Envelope;
use crate::codec::form::{self, Form};
use crate::codec::frame::Framing;
use crate::codec::kind::{Kinds, RcClass};
use crate::codec::leg::Leg;
use crate::codec::name::{NAME_END, Name, Proved};
use crate::codec::supply::Supply;
use crate::codec::value::{Shape, hex, unhex};

/// Field numbers run from 2 to 128; the MTI is 0.
pub const FIELDS: usize = 129;

/// What people call it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Titles {
    pub en: String,
    pub zh: String,
}

/// One field.
#[derive(Clone, Debug)]
pub struct Spec {
    pub number: u8,
    pub name: Name,
    pub titles: Titles,
    pub shape: Shape,
    pub length: Length,
    pub class: Class,
    pub mask: Mask,
    pub layout: Layout,
}

/// What stands inside a field.
#[derive(Clone, Debug)]
pub enum Layout {
    Whole,
    /// Fixed places in the normal form, in order. A variable field may end behind any of them.
    Positional(Vec<Sub>),
    /// Decimal TLV in the normal form.
    Decimal {
        tag_digits: u8,
        length_digits: u8,
        tags: Vec<Tagged>,
    },
    /// BER-TLV with the tags of `emv`.
    Ber,
    /// One of several forms.
    Forms(Vec<Form>),
}

/// A sub-field at a fixed place.
#[derive(Clone, Debug)]
pub struct Sub {
    pub name: String,
    pub titles: Titles,
    pub shape: Shape,
    pub at: u16,
    pub length: u16,
    pub class: Class,
    pub mask: Mask,
}

/// A tag of decimal TLV.
#[derive(Clone, Debug)]
pub struct Tagged {
    pub tag: u32,
    pub text: String,
    pub titles: Titles,
    pub class: Class,
    pub mask: Mask,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// 0 is the MTI.
    pub number: u8,
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// Index of a positional sub-field.
    Sub(u8),
    Tag(u32),
}

/// What decoding needs of a field, packed.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    pub shape: Shape,
    pub length: Length,
    pub number: u8,
    /// The wire bytes are the normal form.
    pub plain: bool,
    /// The layout has something to check.
    pub structured: bool,
}

impl Hot {
    /// Bytes that `count` characters take on the wire.
    #[inline]
    pub fn wire_length(&self, count: usize) -> usize {
        if self.plain {
            count
        } else {
            self.shape.encoding.wire_length(self.shape.kind, count)
        }
    }
}

impl Spec {
    /// The packed part.
    pub fn hot(&self) -> Hot {
        Hot {
            shape: self.shape,
            length: self.length,
            number: self.number,
            plain: self.shape.plain(),
            structured: !matches!(self.layout, Layout::Whole),
        }
    }
}

/// Which fields make a request the same request.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub request: Vec<Name>,
    pub body: Vec<Path>,
    /// For each of `request`: where a reversal names it of its original; None is the same field.
    pub original: Vec<Option<Path>>,
    /// Where a reversal names the original's MTI; None: the row of its kind says it.
    pub original_mti: Option<Path>,
    /// The transmission time is one of them.
    pub dated: bool,
}

/// What a dialect says of taps.
#[derive(Clone, Debug, Default)]
pub struct TapRules {
    /// Sub-fields that tell a bank what was proved.
    pub proofs: Vec<(Proved, Path)>,
    /// Where the merchant category stands: field, and the place of its first of four digits. None: field `mcc`.
    pub mcc: Option<(Name, u8)>,
}

/// A dialect; immutable, shared by all links that speak it.
#[derive(Debug)]
pub struct Dialect {
    pub name: Arc<str>,
    pub titles: Titles,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// The first 64 bits of the digest: two dialects of one identity write every field alike.
    pub identity: u64,
    pub framing: Framing,
    pub envelope: Envelope,
    pub mti: Encoding,
    pub bitmap: Encoding,
    pub kinds: Kinds,
    pub keys: Keys,
    /// Fields in which an answer must agree with what was sent.
    pub echoes: Vec<Name>,
    pub codes: Vec<(Vec<u8>, RcClass)>,
    pub final_reversal: Vec<Vec<u8>>,
    /// The same of an advice; empty: those that approve.
    pub final_advice: Vec<Vec<u8>>,
    pub tap: TapRules,
    /// Kinds of messages that carry no message code even where the link has codes, a bit each; None: the dialect does
    /// not say.
    pub(super) unsealed: u32,
    /// The dialect says which messages carry a code.
    pub sealable: bool,
    pub(super) hot: Box<[Option<Hot>; FIELDS]>,
    pub(super) specs: Vec<Option<Arc<Spec>>>,
    /// By name: its field number, 0 for none.
    pub(super) numbers: [u8; NAME_END],
    /// By name: where it stands when that is no field of its own.
    pub(super) aliases: Box<[Option<Path>; NAME_END]>,
    /// The field that begins with the transaction type, 0 for none.
    pub(super) type_number: u8,
    /// A name may stand elsewhere than in its field.
    pub(super) elsewhere: bool,
    pub supply: Supply,
    /// What an acquirer is answered under an end code, where it is not what the engine says.
    pub answer_codes: Vec<([u8; 2], [u8; 2])>,
    pub(super) legs: Vec<(String, Arc<Leg>)>,
}

impl Dialect {
    /// The field of a number.
    pub fn spec(&self, number: u8) -> Option<&Arc<Spec>> {
        self.specs.get(usize::from(number)).and_then(Option::as_ref)
    }

    /// All fields in order.
    pub fn specs(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.specs.iter().flatten()
    }

    /// The number of a name, 0 when the dialect has no such field (and for the MTI).
    #[inline]
    pub fn number(&self, name: Name) -> u8 {
        self.numbers[name as usize]
    }

    /// Where a name stands when that is no field of its own.
    #[inline]
    pub fn alias(&self, name: Name) -> Option<Path> {
        self.aliases.get(name as usize).copied().flatten()
    }

    /// Whether a message can have that name: as a field, or elsewhere.
    pub fn knows(&self, name: Name) -> bool {
        self.number(name) != 0 || self.alias(name).is_some() || self.supplies(name)
    }

    /// Whether the switch adds anything to messages.
    #[inline]
    pub fn supplies_any(&self) -> bool {
        !self.supply.rules.is_empty()
    }

    /// Whether the switch adds it where a message lacks it.
    pub fn supplies(&self, name: Name) -> bool {
        self.supply.rules.iter().any(|(known, _)| *known == name)
    }

    /// The name of a supplied field.
    pub fn supply_of(&self, text: &str) -> Option<Name> {
        Name::parse(text).filter(|name| self.supplies(*name))
    }

    /// What an acquirer is answered for `code` under an end code.
    #[inline]
    pub fn answer_code(&self, end: [u8; 2], code: [u8; 2]) -> [u8; 2] {
        let listed = self.answer_codes.iter().find(|(known, _)| *known == end);
        listed.map_or(code, |(_, answered)| *answered)
    }

    /// A leg of the file.
    pub fn leg(&self, name: &str) -> Option<&Arc<Leg>> {
        self.legs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, leg)| leg)
    }

    pub fn leg_names(&self) -> impl Iterator<Item = &str> {
        self.legs.iter().map(|(name, _)| name.as_str())
    }

    /// `pan`, `original_data.stan`, `icc.9F26`; a name alone may be an alias.
    pub fn path(&self, text: &str) -> Option<Path> {
        let (name, rest) = match text.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let name = Name::parse(name)?;
        let number = self.number(name);
        if name == Name::Mti {
            return rest.is_none().then_some(Path {
                number: 0,
                part: Part::Whole,
            });
        }
        if let (Some(path), None) = (self.alias(name), rest) {
            return Some(path);
        }
        let spec = self.spec(number)?;
        let part = match rest {
            None => Part::Whole,
            Some(rest) => spec.part(rest)?,
        };
        Some(Path { number, part })
    }

    /// What a response code means to us.
    #[inline]
    pub fn outcome(&self, code: &[u8]) -> RcClass {
        self.codes
            .iter()
            .find(|(known, _)| known == code)
            .map_or(RcClass::Unknown, |(_, class)| *class)
    }

    /// Whether a bank's answer to a reversal ends it.
    pub fn is_final_reversal(&self, code: &[u8]) -> bool {
        self.final_reversal.iter().any(|known| known == code)
    }

    /// Whether a bank's answer to an advice says that it has it.
    pub fn is_final_advice(&self, code: &[u8]) -> bool {
        if self.final_advice.is_empty() {
            return self.outcome(code) == RcClass::Approve;
        }
        self.final_advice.iter().any(|known| known == code)
    }
}

impl Spec {
    /// The part of a sub-field's name.
    pub fn part(&self, text: &str) -> Option<Part> {
        match &self.layout {
            Layout::Whole => None,
            Layout::Positional(subs) => subs
                .iter()
                .position(|sub| sub.name == text)
                .map(|at| Part::Sub(at as u8)),
            Layout::Decimal { tag_digits, .. } => {
                (text.len() == usize::from(*tag_digits)).then(|| Part::Tag(pack(text.as_bytes())))
            }
            Layout::Ber => unhex(text.as_bytes())
                .filter(|tag| (1..=4).contains(&tag.len()))
                .map(|tag| Part::Tag(pack(&tag)))
                .filter(
                    |part| matches!(part, Part::Tag(tag) if crate::codec::tlv::is_ber_tag(*tag)),
                ),
            Layout::Forms(forms) => form::named(forms, text).map(Part::Sub).or_else(|| {
                let tag = unhex(text.as_bytes()).filter(|tag| (1..=4).contains(&tag.len()))?;
                let tag = pack(&tag);
                let known = forms.iter().any(|form| form.tlv);
                (known && crate::codec::tlv::is_ber_tag(tag)).then_some(Part::Tag(tag))
            }),
        }
    }

    /// Class and mask of a part.
    pub fn sensitivity(&self, part: Part) -> (Class, Mask) {
        match (part, &self.layout) {
            (Part::Sub(at), Layout::Positional(subs)) => subs
                .get(usize::from(at))
                .map_or((Class::Sad, Mask::All), |sub| (sub.class, sub.mask)),
            (Part::Sub(at), Layout::Forms(forms)) => form::sub(forms, at)
                .map_or((Class::Sad, Mask::All), |(_, sub)| (sub.class, sub.mask)),
            (Part::Tag(tag), Layout::Forms(forms)) => form::tagged(forms, tag)
                .map_or((self.class, Mask::All), |known| (known.class, known.mask)),
            (Part::Tag(tag), Layout::Decimal { tags, .. }) => tags
                .iter()
                .find(|known| known.tag == tag)
                .map_or((self.class, Mask::All), |known| (known.class, known.mask)),
            (Part::Tag(tag), Layout::Ber) => {
                let class = emv::class(tag);
                let mask = if tag == 0x5a {
                    Mask::Pan
                } else {
                    Mask::of(class)
                };
                (class, mask)
            }
            _ => (self.class, self.mask),
        }
    }

    /// `field 90`, `field 90.stan`, `field 55.9F26`.
    pub fn path(&self, part: Part) -> String {
        match self.part_text(part) {
            Some(text) => format!("field {}.{text}", self.number),
            None => format!("field {}", self.number),
        }
    }

    /// The part as it is written in a path.
    pub fn part_text(&self, part: Part) -> Option<String> {
        match (part, &self.layout) {
            (Part::Sub(at), Layout::Positional(subs)) => {
                subs.get(usize::from(at)).map(|sub| sub.name.clone())
            }
            (Part::Sub(at), Layout::Forms(forms)) => {
                form::sub(forms, at).map(|(_, sub)| sub.name.clone())
            }
            (Part::Tag(tag), Layout::Ber | Layout::Forms(_)) => {
                let bytes = tag.to_be_bytes();
                let skip = (tag.leading_zeros() / 8).min(3) as usize;
                Some(hex(bytes.get(skip..).unwrap_or(&[])))
            }
            (Part::Tag(tag), _) => Some(
                tag.to_be_bytes()
                    .into_iter()
                    .filter(|&byte| byte != 0)
                    .map(|byte| {
                        if byte.is_ascii_graphic() {
                            char::from(byte)
                        } else {
                            '?'
                        }
                    })
                    .collect(),
            ),
            _ => None,
        }
    }
}

/// Up to four bytes, big-endian.
pub fn pack(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0u32, |tag, &byte| tag << 8 | u32::from(byte))
}

/// The bitmap bit of a field: field 1 is the highest.
#[inline]
pub fn bit(number: u8) -> u128 {
    1u128 << (128 - u32::from(number.clamp(1, 128)))
}
