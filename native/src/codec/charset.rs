//! Which bytes a type may hold, and EBCDIC.

/// Type of a value, in ISO 8583's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    N = 0,
    A = 1,
    An = 2,
    As = 3,
    Ns = 4,
    Ans = 5,
    /// Track data: digits and ``:;<=>?``, with ``D`` as another spelling of the separator.
    Z = 6,
    /// Binary.
    B = 7,
    /// ``x+n``: a sign, C or D, then digits.
    Xn = 8,
}

pub const TYPES: [(Type, &str); 9] = [
    (Type::N, "n"),
    (Type::A, "a"),
    (Type::An, "an"),
    (Type::As, "as"),
    (Type::Ns, "ns"),
    (Type::Ans, "ans"),
    (Type::Z, "z"),
    (Type::B, "b"),
    (Type::Xn, "x+n"),
];

impl Type {
    pub fn as_str(self) -> &'static str {
        TYPES
            .iter()
            .find(|(t, _)| *t == self)
            .map_or("", |(_, s)| s)
    }

    /// Digits, whatever stands before them.
    pub fn numeric(self) -> bool {
        matches!(self, Type::N | Type::Xn)
    }
}

/// What a text field may carry beyond printable ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Ascii,
    /// GBK: pairs of 0x81-0xFE and 0x40-0xFE (not 0x7F) among ASCII.
    Gbk,
}

pub const CHARSETS: [(Charset, &str); 2] = [(Charset::Ascii, "ascii"), (Charset::Gbk, "gbk")];

/// One bit a type: whether the byte may stand in a value of it.
const ALLOWED: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut at = 0usize;
    while at < 256 {
        let byte = at as u8;
        let digit = byte.is_ascii_digit();
        let letter = byte.is_ascii_alphabetic();
        let special = byte >= 0x20 && byte < 0x7f && !digit && !letter;
        let mut bits = 1 << (Type::B as u8);
        if digit {
            bits |= 1 << (Type::N as u8) | 1 << (Type::Xn as u8);
        }
        if letter {
            bits |= 1 << (Type::A as u8);
        }
        if digit || letter {
            bits |= 1 << (Type::An as u8);
        }
        if letter || special {
            bits |= 1 << (Type::As as u8);
        }
        if digit || special {
            bits |= 1 << (Type::Ns as u8);
        }
        if digit || letter || special {
            bits |= 1 << (Type::Ans as u8);
        }
        if (byte >= 0x30 && byte <= 0x3f) || byte == b'D' {
            bits |= 1 << (Type::Z as u8);
        }
        table[at] = bits;
        at += 1;
    }
    table
};

/// Offset of the first byte of `text` (normal form) that `kind` may not hold.
pub fn first_wrong(kind: Type, charset: Charset, text: &[u8]) -> Option<usize> {
    if fits(kind, charset, text) {
        return None;
    }
    match kind {
        Type::Xn => match text.split_first() {
            Some((b'C' | b'D', digits)) => wrong_byte(Type::N, digits).map(|at| at + 1),
            _ => Some(0),
        },
        _ if charset == Charset::Gbk => wrong_gbk(kind, text),
        _ => wrong_byte(kind, text),
    }
}

/// Whether every byte of `text` (normal form) may stand in a value of `kind`. Hot.
#[inline]
pub fn fits(kind: Type, charset: Charset, text: &[u8]) -> bool {
    match kind {
        Type::B => true,
        Type::N => digits(text),
        Type::Xn => match text.split_first() {
            Some((sign, rest)) => matches!(sign, b'C' | b'D') && digits(rest),
            None => false,
        },
        Type::Ans if charset == Charset::Ascii => printable(text),
        _ if charset == Charset::Gbk => wrong_gbk(kind, text).is_none(),
        _ => {
            let seen = text
                .iter()
                .fold(u16::MAX, |seen, &byte| seen & ALLOWED[usize::from(byte)]);
            seen & (1 << (kind as u8)) != 0
        }
    }
}

/// All decimal digits.
#[inline]
pub fn digits(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |good, byte| good & (byte.wrapping_sub(b'0') <= 9))
}

#[inline]
fn printable(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |good, byte| good & (byte.wrapping_sub(0x20) <= 0x5e))
}

/// `fits` for a value that stands at `start..end` of a longer buffer, where eight bytes before `end` may be read:
/// no loop over single bytes for the short fields that most are. Hot.
#[inline(always)]
pub fn fits_within(kind: Type, charset: Charset, buffer: &[u8], start: usize, end: usize) -> bool {
    if end >= 8 && charset == Charset::Ascii {
        match kind {
            Type::N => return windows(buffer, start, end, not_digits) == 0,
            Type::Ans => return windows(buffer, start, end, not_printable) == 0,
            // The other separator, a letter, goes the long way.
            Type::Z if windows(buffer, start, end, |word| (word & HIGH) ^ THREES) == 0 => {
                return true;
            }
            Type::B => return true,
            _ => {}
        }
    }
    buffer
        .get(start..end)
        .is_some_and(|value| fits(kind, charset, value))
}

const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
const THREES: u64 = 0x3030_3030_3030_3030;

/// The faults that `wrong` finds in the bytes of `start..end`, taken eight at a time; the last eight overlap.
#[inline(always)]
fn windows(buffer: &[u8], start: usize, end: usize, wrong: impl Fn(u64) -> u64) -> u64 {
    let length = end - start;
    let Some(last) = buffer.get(end - 8..end) else {
        return u64::MAX;
    };
    if length < 8 {
        // Little-endian: the value's bytes are the high ones. The neighbours are shifted out before the sums, whose
        // carries would reach into the value.
        let shift = 64 - 8 * length as u32;
        let value = word(last).checked_shr(shift).unwrap_or(0);
        return wrong(value) & u64::MAX.checked_shr(shift).unwrap_or(0);
    }
    let mut faults = wrong(word(last));
    let Some(rest) = buffer.get(start..end - 8) else {
        return u64::MAX;
    };
    for chunk in rest.chunks_exact(8) {
        faults |= wrong(word(chunk));
    }
    // The last whole window before the final one may leave up to seven bytes between them.
    let covered = rest.len() / 8 * 8;
    if covered < rest.len() {
        if let Some(chunk) = buffer.get(start + covered..start + covered + 8) {
            faults |= wrong(word(chunk));
        }
    }
    faults
}

/// Nonzero bits in bytes that are no digit.
#[inline]
fn not_digits(word: u64) -> u64 {
    // High nibble 3, and low nibble plus 6 does not carry.
    ((word & HIGH) ^ THREES) | ((word.wrapping_add(0x0606_0606_0606_0606) & HIGH) ^ THREES)
}

/// Nonzero bits in bytes that are not printable ASCII.
#[inline]
fn not_printable(word: u64) -> u64 {
    let low = word & 0x7f7f_7f7f_7f7f_7f7f;
    // Below 0x20 the sum stays below 0x80; 0x7f plus one reaches it.
    let enough = low.wrapping_add(0x6060_6060_6060_6060);
    let delete = low.wrapping_add(0x0101_0101_0101_0101);
    (word | !enough | delete) & 0x8080_8080_8080_8080
}

/// Eight bytes as a number.
#[inline]
fn word(chunk: &[u8]) -> u64 {
    let mut bytes = [0u8; 8];
    bytes.copy_from_slice(chunk);
    u64::from_le_bytes(bytes)
}

fn wrong_byte(kind: Type, text: &[u8]) -> Option<usize> {
    text.iter()
        .position(|&byte| ALLOWED[usize::from(byte)] & (1 << (kind as u8)) == 0)
}

fn wrong_gbk(kind: Type, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte < 0x80 {
            if ALLOWED[usize::from(byte)] & (1 << (kind as u8)) == 0 {
                return Some(at);
            }
            at += 1;
        } else {
            let trail = text.get(at + 1).copied().unwrap_or(0);
            if byte == 0x80 || byte == 0xff || trail < 0x40 || trail == 0x7f || trail == 0xff {
                return Some(at);
            }
            at += 2;
        }
    }
    None
}

/// ASCII to code page 037; bytes from 0x80 up become 0x6F (a question mark).
pub fn to_ebcdic(byte: u8) -> u8 {
    FROM_ASCII.get(usize::from(byte)).copied().unwrap_or(0x6f)
}

/// Code page 037 to printable ASCII; 0 where there is no such character.
pub fn from_ebcdic(byte: u8) -> u8 {
    TO_ASCII[usize::from(byte)]
}

#[rustfmt::skip]
const FROM_ASCII: [u8; 128] = [
    0x00, 0x01, 0x02, 0x03, 0x37, 0x2d, 0x2e, 0x2f, 0x16, 0x05, 0x25, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x3c, 0x3d, 0x32, 0x26, 0x18, 0x19, 0x3f, 0x27, 0x1c, 0x1d, 0x1e, 0x1f,
    0x40, 0x5a, 0x7f, 0x7b, 0x5b, 0x6c, 0x50, 0x7d, 0x4d, 0x5d, 0x5c, 0x4e, 0x6b, 0x60, 0x4b, 0x61,
    0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0x7a, 0x5e, 0x4c, 0x7e, 0x6e, 0x6f,
    0x7c, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6,
    0xd7, 0xd8, 0xd9, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xba, 0xe0, 0xbb, 0xb0, 0x6d,
    0x79, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xc0, 0x4f, 0xd0, 0xa1, 0x07,
];

#[rustfmt::skip]
const TO_ASCII: [u8; 256] = [
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x2e, 0x3c, 0x28, 0x2b, 0x7c,
    0x26, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x24, 0x2a, 0x29, 0x3b, 0x00,
    0x2d, 0x2f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x2c, 0x25, 0x5f, 0x3e, 0x3f,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x60, 0x3a, 0x23, 0x40, 0x27, 0x3d, 0x22,
    0x00, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x7e, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x5e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5b, 0x5d, 0x00, 0x00, 0x00, 0x00,
    0x7b, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x7d, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x5c, 0x00, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_wise_checks_agree_with_the_table() {
        for byte in 0..=255u8 {
            for length in [1usize, 7, 8, 9, 12, 15, 16, 17] {
                for at in 0..length {
                    let mut text = vec![b'5'; length];
                    text[at] = byte;
                    assert_eq!(digits(&text), byte.is_ascii_digit(), "{byte:#x}");
                    let plain = (0x20..0x7f).contains(&byte);
                    assert_eq!(fits(Type::Ans, Charset::Ascii, &text), plain, "{byte:#x}");
                    // Neighbours of the value must not matter.
                    let mut buffer = b"\xff\x00neighbour\xff".to_vec();
                    let start = buffer.len();
                    buffer.extend_from_slice(&text);
                    let end = buffer.len();
                    buffer.extend_from_slice(b"\xff\x00");
                    for (kind, _) in TYPES {
                        let good = fits(kind, Charset::Ascii, &text);
                        let first = first_wrong(kind, Charset::Ascii, &text);
                        assert_eq!(first.is_none(), good);
                        let within = fits_within(kind, Charset::Ascii, &buffer, start, end);
                        assert_eq!(within, good, "{kind:?} {byte:#x} {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn signs_stand_in_front_only() {
        assert!(fits(Type::Xn, Charset::Ascii, b"C00000001"));
        assert_eq!(first_wrong(Type::Xn, Charset::Ascii, b"X1"), Some(0));
        assert_eq!(first_wrong(Type::Xn, Charset::Ascii, b"D1D"), Some(2));
        assert_eq!(first_wrong(Type::Xn, Charset::Ascii, b""), Some(0));
    }

    #[test]
    fn gbk_pairs_must_be_whole() {
        let text = [b'A', 0xd6, 0xd0, b' '];
        assert!(fits(Type::Ans, Charset::Gbk, &text));
        assert_eq!(first_wrong(Type::Ans, Charset::Gbk, &text[..2]), Some(1));
        assert_eq!(first_wrong(Type::Ans, Charset::Ascii, &text), Some(1));
        assert_eq!(first_wrong(Type::Ans, Charset::Gbk, b"a\x07"), Some(1));
    }

    #[test]
    fn ebcdic_goes_there_and_back() {
        for byte in 0x20..0x7f {
            assert_eq!(from_ebcdic(to_ebcdic(byte)), byte);
        }
        assert_eq!(to_ebcdic(b'0'), 0xf0);
        assert_eq!(to_ebcdic(b'A'), 0xc1);
        assert_eq!(from_ebcdic(0x00), 0);
    }
}
