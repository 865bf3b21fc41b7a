//! A message for people: every field in wire order, masked by its class, on the wire as in its value.

use crate::codec::axis::{Encoding, Length, Side};
use crate::codec::charset::{Charset, Type};
use crate::codec::class::{Class, Mask};
use crate::codec::form::{self, Form};
use crate::codec::message::{Message, Place};
use crate::codec::spec::{Layout, Part, Spec, Titles};
use crate::codec::value::{Shape, hex, hex_digit};
use crate::codec::{Name, emv, tlv, wipe};

/// Account numbers of tests begin so: the range belongs to nobody. What is shown bare has no other.
pub const TEST_RANGE: &[u8] = b"6299";

/// One line: `55.9F26`, `icc.9F26`, masked value, offset into the body, bytes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: String,
    pub name: String,
    pub titles: Titles,
    pub value: String,
    /// Of the value: its length prefix, or its tag and length, stand `head` bytes before.
    pub offset: usize,
    pub length: usize,
    pub head: usize,
    /// Head and value as hexadecimal, two stars for a byte that is hidden; the head alone where parts follow.
    pub raw: String,
    /// Lines of its sub-fields or tags follow.
    pub parts: bool,
    pub kind: &'static str,
    pub class: Class,
    pub mask: Mask,
    /// Whether something of the value is not shown.
    pub hidden: bool,
    /// The value where it is shown and not ASCII; Python has the code page.
    pub gbk: Option<Vec<u8>>,
}

impl Message {
    /// The MTI, then every field with its parts. Nothing of class C2 or above shows, but for the ends of a PAN.
    pub fn describe(&self) -> Vec<Line> {
        self.lines(false)
    }

    /// As `describe`, with the bytes. `bare` shows everything: only for a message whose account numbers
    /// `tests_only` found to be of the test range.
    pub fn lines(&self, bare: bool) -> Vec<Line> {
        let width = match self.dialect().mti {
            Encoding::Bcd => 2,
            _ => 4,
        };
        let mut out = vec![Line {
            number: "0".to_owned(),
            name: Name::Mti.as_str().to_owned(),
            titles: Titles {
                en: "Message type".to_owned(),
                zh: "消息类型".to_owned(),
            },
            value: String::from_utf8_lossy(&self.mti()).into_owned(),
            offset: 0,
            length: width,
            head: 0,
            raw: hex(self.body().get(..width).unwrap_or(&[])),
            parts: false,
            kind: Type::N.as_str(),
            class: Class::C1,
            mask: Mask::Clear,
            hidden: false,
            gbk: None,
        }];
        for place in self.places() {
            if let Some(spec) = self.dialect().spec(place.number()) {
                out.push(whole(self, spec, &place, bare));
                parts(self, spec, &place, bare, &mut out);
            }
        }
        out
    }

    /// Whether the message may be shown bare: it names at least one account number, and all of them are of the
    /// test range. The text says why not, without a digit.
    pub fn tests_only(&self) -> Result<(), String> {
        let mut seen = 0;
        for place in self.places() {
            let Some(spec) = self.dialect().spec(place.number()) else {
                continue;
            };
            let normal = place.normal();
            let mut take = |part: Part, number: &[u8]| {
                seen += 1;
                if number.starts_with(TEST_RANGE) {
                    Ok(())
                } else {
                    let path = spec.path(part);
                    Err(format!("{path} is not of the test range 6299xx"))
                }
            };
            if let Some(at) = account_at(spec.name) {
                take(Part::Whole, normal.get(at..).unwrap_or(&[]))?;
            } else if spec.mask == Mask::Pan {
                take(Part::Whole, &normal)?;
            }
            accounts_inside(spec, &normal, &mut take)?;
        }
        if seen == 0 {
            return Err("no account number says that this is test data".to_owned());
        }
        Ok(())
    }
}

/// Hands on every sub-field and tag that is an account number or begins with one.
fn accounts_inside(
    spec: &Spec,
    normal: &[u8],
    take: &mut impl FnMut(Part, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    match &spec.layout {
        Layout::Ber => {
            for element in tlv::Ber::new(normal).flatten() {
                let part = Part::Tag(element.tag);
                match element.tag {
                    0x5a | 0x57 | 0x9f6b => take(part, hex(element.value).as_bytes())?,
                    // Track 1 and templates are not entered: whatever is in them.
                    0x56 | 0x70 | 0x77 => take(part, &[])?,
                    _ => {}
                }
            }
        }
        Layout::Decimal {
            tag_digits,
            length_digits,
            ..
        } => {
            for element in tlv::Decimal::new(normal, *tag_digits, *length_digits).flatten() {
                let part = Part::Tag(element.tag);
                if spec.sensitivity(part).1 == Mask::Pan {
                    take(part, element.value)?;
                }
            }
        }
        Layout::Positional(subs) => {
            for (index, sub) in subs.iter().enumerate() {
                let part = Part::Sub(index as u8);
                match spec.cut(part, normal) {
                    Some(value) if sub.mask == Mask::Pan => take(part, &value)?,
                    _ => {}
                }
            }
        }
        Layout::Forms(forms) => {
            let tail = form::of(forms, normal).map(|(_, form)| form.tail(normal).1);
            for element in tlv::Ber::new(tail.unwrap_or(&[])).flatten() {
                // Chip data of an earlier tap may stand inside.
                for inner in tlv::Ber::new(element.value).flatten() {
                    if matches!(inner.tag, 0x5a | 0x57 | 0x9f6b) {
                        take(Part::Tag(element.tag), hex(inner.value).as_bytes())?;
                    }
                }
            }
        }
        Layout::Whole => {}
    }
    Ok(())
}

/// Whether two messages, also of different dialects, carry the same value under a canonical name: both none, or equal in
/// normal form (the two spellings of a track's separator are one). None when a dialect has no such name.
pub fn same(left: &Message, right: &Message, name: &str) -> Option<bool> {
    let value = |message: &Message| {
        let path = message.dialect().path(name)?;
        let track = message
            .dialect()
            .spec(path.number)
            .is_some_and(|spec| spec.shape.kind == Type::Z);
        Some(message.at(path).map(|value| {
            let mut value = value.into_owned();
            for byte in value.iter_mut().filter(|byte| track && **byte == b'D') {
                *byte = b'=';
            }
            value
        }))
    };
    let (mut left, mut right) = (value(left)?, value(right)?);
    let same = left == right;
    for value in [&mut left, &mut right].into_iter().flatten() {
        wipe(value);
    }
    Some(same)
}

/// Where the account number begins in a field that is one or begins with one.
fn account_at(name: Name) -> Option<usize> {
    match name {
        Name::Pan | Name::ExtendedPan | Name::Track2 | Name::AccountFrom | Name::AccountTo => {
            Some(0)
        }
        // Format code.
        Name::Track1 => Some(1),
        Name::Track3 => Some(2),
        _ => None,
    }
}

fn whole(message: &Message, spec: &Spec, place: &Place<'_>, bare: bool) -> Line {
    let mask = if bare { Mask::Clear } else { spec.mask };
    let head = match spec.length {
        Length::Fixed(_) => 0,
        Length::Variable { prefix, .. } => prefix.width(),
    };
    let before = place.offset.saturating_sub(head)..place.offset;
    let mut raw = hex(message.body().get(before).unwrap_or(&[]));
    let parts = match &spec.layout {
        Layout::Whole => false,
        Layout::Forms(forms) => form::of(forms, place.wire).is_some(),
        _ => place.count > 0,
    };
    if !parts {
        raw.push_str(&raw_value(mask, &spec.shape, place.wire, place.count));
    }
    Line {
        number: spec.number.to_string(),
        name: spec.name.as_str().to_owned(),
        titles: spec.titles.clone(),
        value: show(mask, &spec.shape, &place.normal()),
        offset: place.offset,
        length: place.wire.len(),
        head,
        raw,
        parts,
        kind: spec.shape.kind.as_str(),
        class: spec.class,
        mask: spec.mask,
        hidden: mask != Mask::Clear && place.count > 0,
        gbk: gbk(mask, &spec.shape, &place.normal()),
    }
}

fn parts(message: &Message, spec: &Spec, place: &Place<'_>, bare: bool, out: &mut Vec<Line>) {
    let normal = place.normal();
    let mut push = |part: Part, shape: &Shape, at: usize, value_at: usize, value: &[u8]| {
        if let Some(mut line) = part_line(spec, place, part, (at, value_at), value, shape, bare) {
            line.raw = part_raw(message, spec, place, &line, bare);
            out.push(line);
        }
    };
    match &spec.layout {
        Layout::Whole => {}
        Layout::Positional(subs) => {
            for (index, sub) in subs.iter().enumerate() {
                let at = usize::from(sub.at);
                let part = Part::Sub(index as u8);
                if let Some(value) = spec.cut(part, &normal) {
                    push(part, &sub.shape, at, at, &value);
                }
            }
        }
        Layout::Decimal {
            tag_digits,
            length_digits,
            ..
        } => {
            for element in tlv::Decimal::new(&normal, *tag_digits, *length_digits).flatten() {
                let part = Part::Tag(element.tag);
                push(
                    part,
                    &spec.shape,
                    element.at,
                    element.value_at,
                    element.value,
                );
            }
        }
        Layout::Forms(forms) => form_parts(message, spec, place, forms, bare, out),
        Layout::Ber => {
            for element in tlv::Ber::new(&normal).flatten() {
                let part = Part::Tag(element.tag);
                push(
                    part,
                    &spec.shape,
                    element.at,
                    element.value_at,
                    element.value,
                );
            }
        }
    }
}

/// What stands in the form of a value, in order.
fn form_parts(
    message: &Message,
    spec: &Spec,
    place: &Place<'_>,
    forms: &[Form],
    bare: bool,
    out: &mut Vec<Line>,
) {
    let Some((first, form)) = form::of(forms, place.wire) else {
        return;
    };
    for (index, sub) in form.subs.iter().enumerate() {
        let part = Part::Sub((first + index) as u8);
        let Some(value) = form.cut(sub, place.wire) else {
            continue;
        };
        // Two sub-fields of packed digits may share a byte: then nothing of it shows.
        let (from, to) = (usize::from(sub.at), usize::from(sub.at + sub.length));
        let (from, to) = if form.packed {
            (from / 2, to.div_ceil(2))
        } else {
            (from, to)
        };
        let line = part_line(spec, place, part, (from, from), &value, &sub.shape, bare);
        if let Some(mut line) = line {
            line.length = to - from;
            line.raw = if form.packed && !bare {
                "**".repeat(line.length)
            } else {
                part_raw(message, spec, place, &line, bare)
            };
            out.push(line);
        }
    }
    let (start, tail) = form.tail(place.wire);
    let elements = form.tlv.then(|| tlv::Ber::new(tail).flatten());
    for element in elements.into_iter().flatten() {
        let places = (start + element.at, start + element.value_at);
        let part = Part::Tag(element.tag);
        let line = part_line(spec, place, part, places, element.value, &spec.shape, bare);
        if let Some(mut line) = line {
            line.raw = part_raw(message, spec, place, &line, bare);
            out.push(line);
        }
    }
}

/// A sub-field or tag whose head begins at `places.0` of the normal form and whose value at `places.1`.
fn part_line(
    spec: &Spec,
    place: &Place<'_>,
    part: Part,
    places: (usize, usize),
    value: &[u8],
    shape: &Shape,
    bare: bool,
) -> Option<Line> {
    let text = spec.part_text(part)?;
    let (class, mask) = spec.sensitivity(part);
    let shown = if bare { Mask::Clear } else { mask };
    // Offsets inside packed values are given in the units of the wire, rounded down.
    let scale = |at: usize| {
        let scaled = (at * place.wire.len()).checked_div(place.count);
        place.offset + scaled.unwrap_or(0)
    };
    let offset = scale(places.1);
    Some(Line {
        number: format!("{}.{text}", spec.number),
        name: format!("{}.{text}", spec.name.as_str()),
        titles: part_titles(spec, part),
        value: show(shown, shape, value),
        offset,
        length: scale(places.1 + value.len()) - offset,
        head: offset - scale(places.0),
        raw: String::new(),
        parts: false,
        kind: match part {
            Part::Tag(tag) if matches!(spec.layout, Layout::Ber) => {
                emv::find(tag).map_or("b", |row| row.format)
            }
            _ => shape.kind.as_str(),
        },
        class,
        mask,
        hidden: shown != Mask::Clear && !value.is_empty(),
        gbk: gbk(shown, shape, value),
    })
}

fn part_titles(spec: &Spec, part: Part) -> Titles {
    match (part, &spec.layout) {
        (Part::Sub(index), Layout::Positional(subs)) => subs
            .get(usize::from(index))
            .map(|sub| sub.titles.clone())
            .unwrap_or_default(),
        (Part::Sub(index), Layout::Forms(forms)) => form::sub(forms, index)
            .map(|(_, sub)| sub.titles.clone())
            .unwrap_or_default(),
        (Part::Tag(tag), Layout::Forms(forms)) => form::tagged(forms, tag)
            .map(|known| known.titles.clone())
            .unwrap_or_default(),
        (Part::Tag(tag), Layout::Decimal { tags, .. }) => tags
            .iter()
            .find(|known| known.tag == tag)
            .map(|known| known.titles.clone())
            .unwrap_or_default(),
        (Part::Tag(tag), Layout::Ber) => {
            emv::find(tag).map_or_else(Titles::default, |row| Titles {
                en: row.name.to_owned(),
                zh: emv::chinese(tag).to_owned(),
            })
        }
        _ => Titles::default(),
    }
}

/// The bytes of a part, hidden unless it is shown whole. Where two parts may share a byte, nothing of a field that
/// hides any part shows.
fn part_raw(message: &Message, spec: &Spec, place: &Place<'_>, line: &Line, bare: bool) -> String {
    let from = line.offset - line.head;
    let range = from..line.offset + line.length;
    let bytes = message.body().get(range).unwrap_or(&[]);
    let shared = spec.shape.encoding == Encoding::Bcd
        && match &spec.layout {
            Layout::Positional(subs) => subs.iter().any(|sub| sub.mask != Mask::Clear),
            _ => true,
        };
    if bare || line.mask == Mask::Clear && !shared {
        return hex(bytes);
    }
    if shared || place.wire.is_empty() {
        return "**".repeat(bytes.len());
    }
    let (head, value) = bytes.split_at(line.head.min(bytes.len()));
    hex(head) + &raw_value(line.mask, &spec.shape, value, value.len())
}

/// Hexadecimal of a value's bytes, two stars a hidden byte; the ends of an account number stay.
fn raw_value(mask: Mask, shape: &Shape, wire: &[u8], count: usize) -> String {
    match mask {
        Mask::Clear => return hex(wire),
        Mask::All => return "**".repeat(wire.len()),
        Mask::Pan => {}
    }
    // Half bytes a character, and the spare half byte in front.
    let (width, count, skip) = match shape.encoding {
        Encoding::Bcd => {
            let left = shape.pad.map_or(Side::Left, |pad| pad.side) == Side::Left;
            (1, count, usize::from(count % 2 == 1 && left))
        }
        Encoding::Binary => (1, wire.len() * 2, 0),
        Encoding::Hex => return "**".repeat(wire.len()),
        _ => (2, count, 0),
    };
    let seen = |nibble: usize| {
        nibble.checked_sub(skip).is_some_and(|at| {
            let at = at / width;
            count >= 13 && at < count && (at < 6 || at + 4 >= count)
        })
    };
    wire.iter()
        .flat_map(|&byte| [byte >> 4, byte & 0xf])
        .enumerate()
        .map(|(at, nibble)| {
            if seen(at) {
                char::from(hex_digit(nibble))
            } else {
                '*'
            }
        })
        .collect()
}

fn gbk(mask: Mask, shape: &Shape, value: &[u8]) -> Option<Vec<u8>> {
    (mask == Mask::Clear && shape.charset == Charset::Gbk && !value.is_ascii())
        .then(|| value.to_vec())
}

/// Printable and masked.
fn show(mask: Mask, shape: &Shape, value: &[u8]) -> String {
    if mask == Mask::All {
        return format!("({} hidden)", value.len());
    }
    let text = if shape.kind == Type::B {
        hex(value)
    } else {
        value
            .iter()
            .map(|&byte| {
                if (0x20..0x7f).contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("\\x{byte:02x}")
                }
            })
            .collect()
    };
    mask.apply(&text)
}
