//! A body to a message. The loop over the bitmap is the hottest code of the codec: no allocation but the message's
//! own buffer, no hash, no string.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64};
use std::sync::{Arc, OnceLock};

use crate::codec::axis::{Encoding, Length, Prefix, Unit, is_marked};
use crate::codec::charset::{self, Charset, Type};
use crate::codec::envelope::{Preface, PrefaceFault};
use crate::codec::kind::{Check, Kind, Miss, RcClass, Rule};
use crate::codec::message::{CHECK_MTI, CHECK_NOTHING, INDEX_HALF, Message, UNROUTED};
use crate::codec::name::Name;
use crate::codec::spec::{Dialect, Hot, Part, bit};
use crate::codec::structure::structure;
use crate::codec::value::{decimal, hex_value, hex_word};
use crate::error::DecodeFault;

/// Why a body was refused, and what could be read before the fault: enough to answer 30 where the MTI and the
/// STAN had come.
#[derive(Debug)]
pub struct Refusal {
    pub fault: DecodeFault,
    /// Fields before the fault, with check `Format`; None when the MTI or the bitmap is at fault.
    pub partial: Option<Message>,
}

/// A place and what is wrong there; becomes a `DecodeFault` off the hot path.
pub(super) struct Wrong {
    pub(super) number: u8,
    pub(super) part: Part,
    pub(super) offset: usize,
    pub(super) found: String,
    pub(super) expected: String,
}

/// Decodes what stands behind the length of a frame: the dialect's TPDU and header, then a body.
#[inline]
pub fn receive(
    dialect: &Arc<Dialect>,
    content: &[u8],
    received_ns: u64,
) -> Result<Message, Box<Refusal>> {
    received::<true>(dialect, content, received_ns)
}

/// `INSIDE`: fields with a structure are checked inside, too.
#[inline]
pub(super) fn received<const INSIDE: bool>(
    dialect: &Arc<Dialect>,
    content: &[u8],
    received_ns: u64,
) -> Result<Message, Box<Refusal>> {
    let width = dialect.envelope.width();
    if width == 0 {
        return decoded::<INSIDE>(dialect, content, received_ns);
    }
    let preface = match dialect.envelope.open(content) {
        Ok(preface) => preface,
        Err(fault) => return Err(misaddressed(dialect, fault)),
    };
    let body = content.get(width..).unwrap_or(&[]);
    let mut result = decoded::<INSIDE>(dialect, body, received_ns);
    match &mut result {
        Ok(message) => message.preface = preface,
        Err(refusal) => {
            if let Some(partial) = &mut refusal.partial {
                partial.preface = preface;
            }
        }
    }
    result
}

#[cold]
fn misaddressed(dialect: &Dialect, fault: PrefaceFault) -> Box<Refusal> {
    Box::new(Refusal {
        fault: DecodeFault {
            dialect: dialect.name.to_string(),
            path: fault.path,
            offset: fault.offset,
            found: fault.found,
            expected: fault.expected,
            mti: String::new(),
        },
        partial: None,
    })
}

/// Decodes one body (no framing, no header).
#[inline]
pub fn decode(
    dialect: &Arc<Dialect>,
    body: &[u8],
    received_ns: u64,
) -> Result<Message, Box<Refusal>> {
    decoded::<true>(dialect, body, received_ns)
}

/// `INSIDE`: fields with a structure are checked inside, too.
#[inline]
fn decoded<const INSIDE: bool>(
    dialect: &Arc<Dialect>,
    body: &[u8],
    received_ns: u64,
) -> Result<Message, Box<Refusal>> {
    let head = match head(dialect, body) {
        Ok(head) => head,
        Err(fault) => {
            return Err(Box::new(Refusal {
                fault: *fault,
                partial: None,
            }));
        }
    };
    let halves = if head.wide { 2 } else { 1 };
    let mut buffer = Vec::with_capacity(body.len() + halves * INDEX_HALF);
    buffer.extend_from_slice(body);
    buffer.resize(body.len() + halves * INDEX_HALF, 0);
    let (_, index) = buffer.split_at_mut(body.len());
    let result = fields::<INSIDE>(dialect, body, head, index);
    let mut message = Message {
        dialect: Arc::clone(dialect),
        buffer,
        length: body.len() as u16,
        mti: head.mti,
        bits: head.bits,
        kind: Kind::Unknown,
        check: Check::Ok,
        check_field: CHECK_NOTHING,
        outcome: RcClass::None,
        stan: -1,
        amount_minor: -1,
        received_ns,
        complete_ns: 0,
        verified_ns: AtomicU64::new(0),
        sent_ns: AtomicU64::new(0),
        route: AtomicU8::new(UNROUTED),
        handle: AtomicU64::new(0),
        attached: OnceLock::new(),
        supplied: OnceLock::new(),
        preface: Preface::default(),
        order: AtomicU16::new(0),
        wide: head.wide,
        mac_key: 0,
    };
    match result {
        Ok(()) => {
            message.classify();
            Ok(message)
        }
        Err(wrong) => Err(refuse(message, *wrong)),
    }
}

#[cold]
fn refuse(mut message: Message, wrong: Wrong) -> Box<Refusal> {
    let dialect = Arc::clone(&message.dialect);
    let path = match dialect.spec(wrong.number) {
        Some(spec) => spec.path(wrong.part),
        None if wrong.number == 0 => "message".to_owned(),
        None => format!("field {}", wrong.number),
    };
    // Only what stands before the fault was read.
    message.bits &= match wrong.number {
        0 | 1 => u128::MAX,
        number => !(u128::MAX >> (u32::from(number) - 1)),
    };
    message.bits &= !bit(1);
    message.classify();
    message.check = Check::Format;
    message.check_field = wrong.number;
    let fault = DecodeFault {
        dialect: dialect.name.to_string(),
        path,
        offset: wrong.offset,
        found: wrong.found,
        expected: wrong.expected,
        mti: String::from_utf8_lossy(&message.mti).into_owned(),
    };
    Box::new(Refusal {
        fault,
        partial: Some(message),
    })
}

#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) mti: [u8; 4],
    pub(super) bits: u128,
    /// There is a second bitmap.
    pub(super) wide: bool,
    /// Offset of the first field.
    pub(super) at: usize,
}

/// MTI and bitmaps.
#[inline]
pub(super) fn head(dialect: &Dialect, body: &[u8]) -> Result<Head, Box<DecodeFault>> {
    if body.len() > super::frame::BODY_MAX {
        let found = format!("{} bytes", body.len());
        return Err(head_fault(dialect, "message", 0, &found, "at most 65535"));
    }
    let Some((mti, at)) = mti(dialect.mti, body) else {
        let found = if body.len() < 4 {
            "the end"
        } else {
            "other bytes"
        };
        return Err(head_fault(dialect, "mti", 0, found, "four digits"));
    };
    let width = bitmap_width(dialect.bitmap);
    let first = half(dialect, body, at)?;
    let mut bits = u128::from(first) << 64;
    let mut end = at + width;
    let wide = first >> 63 == 1;
    if wide {
        bits |= u128::from(half(dialect, body, end)?);
        end += width;
        bits &= !bit(1);
    }
    Ok(Head {
        mti,
        bits,
        wide,
        at: end,
    })
}

/// For tools: offsets of the bitmap and of the first field, and the fields that the bitmap announces.
pub fn announced_fields(dialect: &Dialect, body: &[u8]) -> Option<(usize, usize, Vec<u16>)> {
    let head = head(dialect, body).ok()?;
    let width = bitmap_width(dialect.bitmap) * if head.wide { 2 } else { 1 };
    let numbers = (2..=128u8).filter(|&number| head.bits & bit(number) != 0);
    Some((head.at - width, head.at, numbers.map(u16::from).collect()))
}

#[inline]
pub(super) fn mti(encoding: Encoding, body: &[u8]) -> Option<([u8; 4], usize)> {
    let mut mti = [0u8; 4];
    let width = match encoding {
        Encoding::Bcd => {
            for (slot, at) in mti.chunks_exact_mut(2).zip(0..) {
                let byte = body.get(at)?;
                slot.copy_from_slice(&[b'0' + (byte >> 4), b'0' + (byte & 0xf)]);
            }
            2
        }
        Encoding::Ebcdic => {
            for (slot, &byte) in mti.iter_mut().zip(body.get(..4)?) {
                *slot = charset::from_ebcdic(byte);
            }
            4
        }
        _ => {
            mti.copy_from_slice(body.get(..4)?);
            4
        }
    };
    mti.iter().all(u8::is_ascii_digit).then_some((mti, width))
}

fn bitmap_width(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Binary => 8,
        _ => 16,
    }
}

/// One 64-bit half of the bitmap.
#[inline]
fn half(dialect: &Dialect, body: &[u8], at: usize) -> Result<u64, Box<DecodeFault>> {
    let width = bitmap_width(dialect.bitmap);
    let Some(wire) = body.get(at..at + width) else {
        let found = format!("{} bytes", body.len().saturating_sub(at));
        return Err(head_fault(
            dialect,
            "bitmap",
            at,
            &found,
            &format!("{width} bytes"),
        ));
    };
    let value = match dialect.bitmap {
        Encoding::Binary => Some(
            wire.iter()
                .fold(0, |half, &byte| half << 8 | u64::from(byte)),
        ),
        Encoding::Ebcdic => {
            let text: Vec<u8> = wire.iter().map(|&b| charset::from_ebcdic(b)).collect();
            hex_word(&text)
        }
        _ => hex_word(wire),
    };
    value.ok_or_else(|| {
        head_fault(
            dialect,
            "bitmap",
            at,
            "other bytes",
            "16 hexadecimal digits",
        )
    })
}

#[cold]
fn head_fault(
    dialect: &Dialect,
    path: &str,
    offset: usize,
    found: &str,
    expected: &str,
) -> Box<DecodeFault> {
    Box::new(DecodeFault {
        dialect: dialect.name.to_string(),
        path: path.to_owned(),
        offset,
        found: found.to_owned(),
        expected: expected.to_owned(),
        mti: String::new(),
    })
}

/// Walks the fields the bitmap announces, checks each, and enters it into `index`.
#[inline]
fn fields<const INSIDE: bool>(
    dialect: &Dialect,
    body: &[u8],
    head: Head,
    index: &mut [u8],
) -> Result<(), Box<Wrong>> {
    let mut at = head.at;
    for (half, first) in [((head.bits >> 64) as u64, 1u8), (head.bits as u64, 65)] {
        at = half_fields::<INSIDE>(dialect, body, half, first, at, index)?;
    }
    if at != body.len() {
        let found = format!("{} bytes behind the last field", body.len() - at);
        return Err(wrong(0, at, &found, "none"));
    }
    Ok(())
}

/// The fields of one half of the bitmap, whose highest bit is field `first`; returns where the next one begins.
#[inline(always)]
fn half_fields<const INSIDE: bool>(
    dialect: &Dialect,
    body: &[u8],
    half: u64,
    first: u8,
    mut at: usize,
    index: &mut [u8],
) -> Result<usize, Box<Wrong>> {
    let mut rest = half;
    while rest != 0 {
        let zeros = rest.leading_zeros();
        let number = zeros as u8 + first;
        rest &= !(1 << (63 - zeros));
        let Some(Some(hot)) = dialect.hot.get(usize::from(number)) else {
            return Err(wrong(
                number,
                at,
                "a field that the dialect does not know",
                "another",
            ));
        };
        let (start, count) = match hot.length {
            Length::Fixed(length) => (at, usize::from(length)),
            Length::Variable { prefix, min, max } => {
                let start = at + prefix.width();
                let count = announced(hot, prefix, body, at, number)?;
                if count > usize::from(max) || count < usize::from(min) {
                    let found = format!("length {count}");
                    return Err(wrong(number, at, &found, &format!("{min} to {max}")));
                }
                (start, count)
            }
        };
        let length = hot.wire_length(count);
        let end = start + length;
        let Some(wire) = body.get(start..end) else {
            let found = format!("{} bytes", body.len().saturating_sub(start));
            return Err(wrong(number, start, &found, &format!("{length} bytes")));
        };
        let good =
            hot.plain && charset::fits_within(hot.shape.kind, hot.shape.charset, body, start, end);
        if !good {
            if let Some(bad) = hot.shape.first_wrong(wire, count) {
                return Err(wrong_value(dialect, number, start, bad, wire));
            }
        }
        if INSIDE && hot.structured {
            structure(dialect, number, wire, start, count)?;
        }
        let entry = 4 * usize::from(number) - 4;
        if let Some(entry) = index.get_mut(entry..entry + 4) {
            let [a, b] = (start as u16).to_le_bytes();
            let [c, d] = (count as u16).to_le_bytes();
            entry.copy_from_slice(&[a, b, c, d]);
        }
        at = end;
    }
    Ok(at)
}

/// The length a prefix announces, in characters of the normal form.
#[inline]
pub(super) fn announced(
    hot: &Hot,
    prefix: Prefix,
    body: &[u8],
    at: usize,
    number: u8,
) -> Result<usize, Box<Wrong>> {
    let Some(wire) = body.get(at..at + prefix.width()) else {
        return Err(wrong(number, at, "the end", "a length"));
    };
    let Some(length) = prefix_value(prefix, wire) else {
        let expected = format!(
            "{} {} digits of length",
            prefix.digits,
            prefix.encoding.as_str()
        );
        return Err(wrong(number, at, "other bytes", &expected));
    };
    if prefix.unit == Unit::Chars {
        return Ok(length);
    }
    if prefix.unit == Unit::Mixed {
        let marked = is_marked(body, at + prefix.width());
        return Ok(if marked { length } else { length.div_ceil(2) });
    }
    let halves = match prefix.unit {
        Unit::Nibbles => length,
        _ => length * 2,
    };
    let count = match hot.shape.encoding {
        // A sign byte, then two digits a byte.
        Encoding::Bcd if hot.shape.kind == Type::Xn => {
            (halves > 0).then(|| halves.saturating_sub(1))
        }
        Encoding::Bcd => Some(halves),
        Encoding::Hex => (halves % 4 == 0).then_some(halves / 4),
        _ => (halves % 2 == 0).then_some(halves / 2),
    };
    count.ok_or_else(|| {
        wrong(
            number,
            at,
            "a length that splits a character",
            "a whole number",
        )
    })
}

#[inline]
fn prefix_value(prefix: Prefix, wire: &[u8]) -> Option<usize> {
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    match prefix.encoding {
        Encoding::Ascii if prefix.digits == 2 => {
            let &[a, b] = wire else { return None };
            let (a, b) = (digit(a), digit(b));
            (a <= 9 && b <= 9).then_some(a * 10 + b)
        }
        Encoding::Ascii => decimal(wire).map(|value| value as usize),
        Encoding::Binary => Some(wire.iter().fold(0usize, |n, &b| n << 8 | usize::from(b))),
        Encoding::Bcd => wire
            .iter()
            .try_fold(0usize, |n, &b| {
                (b >> 4 <= 9 && b & 0xf <= 9)
                    .then(|| n * 100 + usize::from(b >> 4) * 10 + usize::from(b & 0xf))
            })
            // The nibble to spare must not make the length longer than its digits can say.
            .filter(|&n| n <= prefix.limit()),
        Encoding::Ebcdic => wire.iter().try_fold(0usize, |n, &b| {
            let digit = b.wrapping_sub(0xf0);
            (digit <= 9).then(|| n * 10 + usize::from(digit))
        }),
        Encoding::Hex => wire.iter().try_fold(0usize, |n, &b| {
            b.is_ascii_hexdigit()
                .then(|| n << 4 | usize::from(hex_value(b)))
        }),
    }
}

#[cold]
fn wrong(number: u8, offset: usize, found: &str, expected: &str) -> Box<Wrong> {
    Box::new(Wrong {
        number,
        part: Part::Whole,
        offset,
        found: found.to_owned(),
        expected: expected.to_owned(),
    })
}

#[cold]
fn wrong_value(dialect: &Dialect, number: u8, start: usize, bad: usize, wire: &[u8]) -> Box<Wrong> {
    let Some(spec) = dialect.spec(number) else {
        return wrong(number, start + bad, "a byte", "another");
    };
    let found = match wire.get(bad) {
        Some(byte) if spec.class.quotable() => format!("byte 0x{byte:02X}"),
        _ => "a byte outside the type".to_owned(),
    };
    let mut expected = format!(
        "{} in {}",
        spec.shape.kind.as_str(),
        spec.shape.encoding.as_str()
    );
    if spec.shape.charset == Charset::Gbk {
        expected.push_str(" with gbk");
    }
    wrong(number, start + bad, &found, &expected)
}

impl Message {
    /// Fills in what the walk asks of every message.
    #[inline]
    fn classify(&mut self) {
        self.stan = self
            .decimal(Name::Stan)
            .map_or(-1, |stan| stan.min(i32::MAX as u64) as i32);
        self.amount_minor = self
            .decimal(Name::Amount)
            .map_or(-1, |amount| amount.min(i64::MAX as u64) as i64);
        self.outcome = self
            .value(Name::ResponseCode)
            .map_or(RcClass::None, |code| self.dialect.outcome(&code));
        (self.kind, self.check, self.check_field) = self.verdict();
    }

    /// Kind, check, and the field the check speaks of.
    #[inline]
    fn verdict(&self) -> (Kind, Check, u8) {
        let dialect = &*self.dialect;
        let number = |name: Name| dialect.number(name);
        let mti = decimal(&self.mti).unwrap_or(0) as u16;
        let processing = self.two(Name::ProcessingCode);
        let condition = self.two(Name::ConditionCode);
        let kind = match dialect.type_number {
            0 => None,
            number => self.place(number).and_then(|place| place.two()),
        };
        let rule = match dialect.kinds.find(mti, processing, condition, kind) {
            Ok(rule) => rule,
            Err(miss) => {
                let field = match miss {
                    Miss::Mti => CHECK_MTI,
                    Miss::Processing => number(Name::ProcessingCode),
                    Miss::Condition => number(Name::ConditionCode),
                    Miss::Type => dialect.type_number,
                };
                return (Kind::Unknown, Check::UnknownKind, field);
            }
        };
        let mut missing = rule.mandatory & !self.bits;
        if missing != 0 && dialect.supply.track2 && self.has_number(number(Name::Track2)) {
            // The card number stands in the track.
            missing &= !bit(number(Name::Pan));
        }
        let (check, field) = if missing != 0 {
            (Check::Format, missing.leading_zeros() as u8 + 1)
        } else if rule.refuses_pin && self.has(Name::PinBlock) {
            (Check::PinPresent, number(Name::PinBlock))
        } else if rule.refuses_zero_amount && self.amount_minor == 0 {
            (Check::AmountZero, number(Name::Amount))
        } else {
            (Check::Ok, CHECK_NOTHING)
        };
        (rule.kind, check, field)
    }

    /// The row of the table that the message is in.
    pub(super) fn rule(&self) -> Option<&Rule> {
        let kind = match self.dialect.type_number {
            0 => None,
            number => self.place(number).and_then(|place| place.two()),
        };
        let mti = decimal(&self.mti).unwrap_or(0) as u16;
        let (processing, condition) = (
            self.two(Name::ProcessingCode),
            self.two(Name::ConditionCode),
        );
        let found = self.dialect.kinds.find(mti, processing, condition, kind);
        found.ok()
    }

    #[inline]
    fn decimal(&self, name: Name) -> Option<u64> {
        self.place(self.dialect.number(name))?.decimal()
    }

    /// The first two characters of a field.
    #[inline]
    fn two(&self, name: Name) -> Option<[u8; 2]> {
        self.place(self.dialect.number(name))?.two()
    }
}
