//! Just enough of `iso87-ascii` to make a request, answer it and check the answer, without the codec.
//!
//! The codec is what is measured, so neither side of the measurement may lean on it: a fault in it would then
//! be answered by the same fault. A test compares the two. Layout: 2-byte big-endian length, MTI, bitmap in
//! upper-case hexadecimal, fields as ASCII, binary fields raw.

/// Bytes of the length prefix before a body.
pub const PREFIX: usize = 2;
/// Longer is no message of this generator or of a bank's answer to it.
pub const BODY_MAX: usize = 4096;
const MTI: usize = 4;
const BITMAP: usize = 16;

/// How a field tells its length.
#[derive(Clone, Copy, Debug)]
enum Size {
    Fixed(u16),
    /// This many ASCII digits count the bytes behind them.
    Counted(u8),
}

/// ISO 8583:1987, fields 2 to 128 as in the ASCII packagers (design: domain/wire.md, 1.2).
fn size(field: u8) -> Size {
    use Size::{Counted, Fixed};
    match field {
        2 | 32..=35 | 44 | 45 | 99..=103 => Counted(2),
        36 | 46..=48 | 54..=63 | 104..=127 => Counted(3),
        3 | 11 | 12 | 38 | 73 => Fixed(6),
        4..=6 | 37 | 82..=85 => Fixed(12),
        7 | 74..=81 => Fixed(10),
        8..=10 | 41 | 52 | 64 | 96 | 128 => Fixed(8),
        13..=18 | 71 | 72 => Fixed(4),
        19..=24 | 40 | 49..=51 | 68..=70 => Fixed(3),
        25 | 26 | 39 | 67 | 92 => Fixed(2),
        27 | 66 | 91 | 65 => Fixed(1),
        28..=31 => Fixed(9),
        42 => Fixed(15),
        43 => Fixed(40),
        53 | 86..=89 => Fixed(16),
        90 | 95 => Fixed(42),
        93 => Fixed(5),
        94 => Fixed(7),
        97 => Fixed(17),
        98 => Fixed(25),
        _ => Fixed(0),
    }
}

/// Field 3 of a question about a balance begins so.
const BALANCE: &[u8] = b"31";
/// What it is answered in field 54: every account has as much.
const AMOUNTS: &[u8] = b"0002156C000001000000";

/// What an answer keeps of its request; the rest is the bank's own or nobody's business on the way back.
const KEPT: [u8; 15] = [2, 3, 4, 7, 11, 12, 13, 32, 33, 37, 41, 42, 49, 70, 90];

/// One field of a walked body: its whole place (with length digits) and its value.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub number: u8,
    pub whole: &'a [u8],
    pub value: &'a [u8],
    /// Of the value, in the body.
    pub offset: usize,
}

/// Calls `each` for every field in order. `None` when the body does not hold together.
pub fn walk<'a>(body: &'a [u8], mut each: impl FnMut(Field<'a>)) -> Option<()> {
    let mut at = MTI + BITMAP;
    let first = bitmap(body.get(MTI..at)?)?;
    let mut second = 0;
    if first >> 63 == 1 {
        second = bitmap(body.get(at..at + BITMAP)?)?;
        at += BITMAP;
    }
    let mut present = u128::from(first & (u64::MAX >> 1)) << 64 | u128::from(second);
    while present != 0 {
        let bit = present.leading_zeros();
        present &= !(1 << (127 - bit));
        let number = u8::try_from(bit + 1).ok()?;
        let (digits, length) = match size(number) {
            Size::Fixed(length) => (0, usize::from(length)),
            Size::Counted(digits) => {
                let digits = usize::from(digits);
                (digits, decimal(body.get(at..at + digits)?)? as usize)
            }
        };
        let whole = body.get(at..at + digits + length)?;
        each(Field {
            number,
            whole,
            value: whole.get(digits..)?,
            offset: at + digits,
        });
        at += whole.len();
    }
    (at == body.len()).then_some(())
}

/// ASCII digits as a number.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| sum.wrapping_mul(10).wrapping_add(u64::from(digit)))
    })
}

/// Writes `value` right-justified with leading zeros over the whole slice.
pub fn write_decimal(place: &mut [u8], mut value: u64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn bitmap(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |sum, byte| {
        let nibble = (*byte as char).to_digit(16)?;
        Some(sum << 4 | u64::from(nibble))
    })
}

fn write_bitmap(place: &mut [u8], bits: u64) {
    for (index, byte) in place.iter_mut().enumerate() {
        let nibble = (bits >> (60 - 4 * index)) & 15;
        *byte = b"0123456789ABCDEF"[nibble as usize];
    }
}

/// Builds framed messages field by field, in rising order.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    wide: bool,
    first: u64,
    second: u64,
}

impl<'a> Writer<'a> {
    /// `wide`: fields above 64 will come.
    pub fn new(out: &'a mut Vec<u8>, mti: [u8; 4], wide: bool) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        out.extend_from_slice(&mti);
        out.extend_from_slice(&[b'0'; BITMAP * 2][..if wide { BITMAP * 2 } else { BITMAP }]);
        let first = u64::from(wide) << 63;
        Self {
            out,
            start,
            wide,
            first,
            second: 0,
        }
    }

    fn mark(&mut self, field: u8) {
        if field <= 64 {
            self.first |= 1 << (64 - u32::from(field));
        } else {
            self.second |= 1 << (128 - u32::from(field));
        }
    }

    /// A value; its length digits are added where the layout has them.
    pub fn put(&mut self, field: u8, value: &[u8]) {
        self.mark(field);
        if let Size::Counted(digits) = size(field) {
            let at = self.out.len();
            self.out.resize(at + usize::from(digits), b'0');
            write_decimal(&mut self.out[at..], value.len() as u64);
        }
        self.out.extend_from_slice(value);
    }

    /// A field as it stood in another message.
    pub fn copy(&mut self, field: &Field<'_>) {
        self.mark(field.number);
        self.out.extend_from_slice(field.whole);
    }

    pub fn finish(self) {
        let body = self.start + PREFIX;
        let length = u16::try_from(self.out.len() - body).unwrap_or(u16::MAX);
        self.out[self.start..body].copy_from_slice(&length.to_be_bytes());
        let bitmap = body + MTI;
        write_bitmap(&mut self.out[bitmap..bitmap + BITMAP], self.first);
        if self.wide {
            write_bitmap(
                &mut self.out[bitmap + BITMAP..bitmap + 2 * BITMAP],
                self.second,
            );
        }
    }
}

/// What a message is to a host that only has to answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// 0100, 0200 and their repeats.
    Decision,
    /// 0400, 0420 and their repeats.
    Reversal,
    /// 0800.
    Network,
    /// An answer: nothing to answer.
    Reply,
}

/// What kind of answer the MTI asks for; `None` when the bytes are no MTI this host knows.
#[must_use]
pub fn asked(body: &[u8]) -> Option<Asked> {
    let mti = body.get(..MTI)?;
    if !mti.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if (mti[2] - b'0') % 2 == 1 {
        return Some(Asked::Reply);
    }
    match mti[1] {
        b'1' | b'2' => Some(Asked::Decision),
        b'4' => Some(Asked::Reversal),
        b'8' => Some(Asked::Network),
        _ => None,
    }
}

/// Appends the framed answer to `request` with response code `code`. `None`, and nothing appended, when the
/// request does not hold together.
pub fn answer(request: &[u8], code: [u8; 2], out: &mut Vec<u8>) -> Option<()> {
    let nothing: &[u8] = &[];
    let empty = Field {
        number: 0,
        whole: nothing,
        value: nothing,
        offset: 0,
    };
    let mut kept = [empty; KEPT.len()];
    let mut count = 0;
    let mut stan: &[u8] = b"000000";
    let mut balance = false;
    walk(request, |field| {
        if field.number == 11 {
            stan = field.value;
        }
        balance |= field.number == 3 && field.value.starts_with(BALANCE);
        if KEPT.contains(&field.number) {
            if let Some(place) = kept.get_mut(count) {
                *place = field;
                count += 1;
            }
        }
    })?;
    let kept = kept.get(..count)?;
    let wide = kept.iter().any(|field| field.number > 64);
    let mut writer = Writer::new(out, response_mti(request)?, wide);
    let (before, after) = kept.split_at(kept.partition_point(|field| field.number < 38));
    before.iter().for_each(|field| writer.copy(field));
    if code == *b"00" && asked(request) == Some(Asked::Decision) {
        writer.put(38, stan);
    }
    writer.put(39, &code);
    let (before, after) = after.split_at(after.partition_point(|field| field.number < 54));
    before.iter().for_each(|field| writer.copy(field));
    if balance && code == *b"00" {
        writer.put(54, AMOUNTS);
    }
    after.iter().for_each(|field| writer.copy(field));
    writer.finish();
    Some(())
}

/// 0200 and 0201 are answered by 0210, 0420 and 0421 by 0430.
#[must_use]
pub fn response_mti(request: &[u8]) -> Option<[u8; 4]> {
    let mti: [u8; 4] = request.get(..MTI)?.try_into().ok()?;
    Some([mti[0], mti[1], mti[2].wrapping_add(1), b'0'])
}

/// The byte stream cannot be cut any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// The body of the first whole frame in `bytes`: `Ok(None)` when more must come, `Err` when the stream is lost.
///
/// # Errors
/// A length above `BODY_MAX`: the other side does not speak this framing.
pub fn cut(bytes: &[u8]) -> Result<Option<&[u8]>, Lost> {
    let Some(prefix) = bytes.get(..PREFIX) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
    if length > BODY_MAX {
        return Err(Lost);
    }
    Ok(bytes.get(PREFIX..PREFIX + length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, *b"0200", false);
        writer.put(2, b"6299000000000011");
        writer.put(3, b"000000");
        writer.put(4, b"000000000200");
        writer.put(7, b"1123170000");
        writer.put(11, b"000123");
        writer.put(32, b"10000001");
        writer.put(37, b"000000000123");
        writer.put(41, b"B0000001");
        writer.put(55, &[0x9F, 0x26, 1, 0]);
        writer.finish();
        out
    }

    #[test]
    fn an_answer_keeps_the_echoes_and_drops_the_rest() {
        let request = sample();
        let body = cut(&request).ok().flatten().unwrap_or_default();
        let mut out = Vec::new();
        assert!(answer(body, *b"00", &mut out).is_some());
        let reply = cut(&out).ok().flatten().unwrap_or_default();
        assert_eq!(&reply[..4], b"0210");
        let mut seen = Vec::new();
        assert!(walk(reply, |f| seen.push((f.number, f.value.to_vec()))).is_some());
        let numbers: Vec<u8> = seen.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 3, 4, 7, 11, 32, 37, 38, 39, 41]);
        assert!(seen.contains(&(11, b"000123".to_vec())) && seen.contains(&(39, b"00".to_vec())));
    }

    #[test]
    fn repeats_are_answered_like_their_first() {
        assert_eq!(response_mti(b"0421"), Some(*b"0430"));
        assert_eq!(asked(b"0421"), Some(Asked::Reversal));
        assert_eq!(asked(b"0210"), Some(Asked::Reply));
    }

    #[test]
    fn a_wide_message_holds_together() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, *b"0800", true);
        writer.put(7, b"1123170000");
        writer.put(11, b"000123");
        writer.put(70, b"001");
        writer.finish();
        let body = cut(&out).ok().flatten().unwrap_or_default();
        let mut reply = Vec::new();
        assert!(answer(body, *b"00", &mut reply).is_some());
        let mut numbers = Vec::new();
        assert!(walk(&reply[PREFIX..], |f| numbers.push(f.number)).is_some());
        assert_eq!(numbers, [7, 11, 39, 70]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            if answer(&bytes, *b"00", &mut out).is_none() {
                prop_assert!(out.is_empty());
            }
            let _ = cut(&bytes);
        }

        #[test]
        fn a_changed_byte_never_breaks_the_walk(at in 0_usize..100, byte in any::<u8>()) {
            let mut request = sample();
            if let Some(place) = request.get_mut(PREFIX + at) {
                *place = byte;
            }
            let mut out = Vec::new();
            let _ = answer(&request[PREFIX..], *b"00", &mut out);
        }
    }
}
