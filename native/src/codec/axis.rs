//! The axes of a dialect. Each is independent of the others: a new dialect is a new combination.

use crate::codec::charset::Type;

/// How values, length prefixes, the MTI or the bitmap stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One byte a character.
    Ascii,
    /// One byte a character, code page 037.
    Ebcdic,
    /// Two digits a byte.
    Bcd,
    /// Raw bytes; a length prefix or frame length is a big-endian integer.
    Binary,
    /// Two ASCII hexadecimal digits a byte.
    Hex,
}

pub const ENCODINGS: [(Encoding, &str); 5] = [
    (Encoding::Ascii, "ascii"),
    (Encoding::Ebcdic, "ebcdic"),
    (Encoding::Bcd, "bcd"),
    (Encoding::Binary, "binary"),
    (Encoding::Hex, "hex"),
];

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Ascii => "ascii",
            Encoding::Ebcdic => "ebcdic",
            Encoding::Bcd => "bcd",
            Encoding::Binary => "binary",
            Encoding::Hex => "hex",
        }
    }

    /// Whether values of `kind` can stand in this encoding.
    pub fn carries(self, kind: Type) -> bool {
        match self {
            Encoding::Ascii | Encoding::Ebcdic => kind != Type::B,
            Encoding::Bcd => matches!(kind, Type::N | Type::Z | Type::Xn),
            Encoding::Binary | Encoding::Hex => kind == Type::B,
        }
    }

    /// Bytes that `count` characters (bytes, for binary types) of `kind` take on the wire.
    pub fn wire_length(self, kind: Type, count: usize) -> usize {
        match self {
            Encoding::Ascii | Encoding::Ebcdic | Encoding::Binary => count,
            Encoding::Hex => count * 2,
            // The sign of x+n stays a character; its digits are packed.
            Encoding::Bcd if kind == Type::Xn => 1 + count / 2,
            Encoding::Bcd => count.div_ceil(2),
        }
    }
}

/// What a length prefix counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Characters of the normal form (digits of a numeric, bytes of a binary).
    Chars,
    /// Bytes on the wire.
    Bytes,
    /// Half bytes on the wire.
    Nibbles,
    /// Of a binary value: bytes where it begins with a mark of two capital letters, else packed digits.
    Mixed,
}

pub const UNITS: [(Unit, &str); 4] = [
    (Unit::Chars, "chars"),
    (Unit::Bytes, "bytes"),
    (Unit::Nibbles, "nibbles"),
    (Unit::Mixed, "mixed"),
];

/// Whether what begins at `start` does so with a mark of two capital letters.
pub fn is_marked(bytes: &[u8], start: usize) -> bool {
    bytes
        .get(start..start + 2)
        .is_some_and(|mark| mark.iter().all(u8::is_ascii_uppercase))
}

/// A length prefix: `digits` decimal digits, or `digits` bytes when binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub digits: u8,
    pub encoding: Encoding,
    pub unit: Unit,
}

impl Prefix {
    /// Bytes it takes.
    pub fn width(self) -> usize {
        let digits = usize::from(self.digits);
        match self.encoding {
            Encoding::Bcd => digits.div_ceil(2),
            _ => digits,
        }
    }

    /// Greatest length it can write.
    pub fn limit(self) -> usize {
        let digits = u32::from(self.digits);
        match self.encoding {
            Encoding::Binary => 256usize.saturating_pow(digits).saturating_sub(1),
            Encoding::Hex => 16usize.saturating_pow(digits).saturating_sub(1),
            _ => 10usize.saturating_pow(digits).saturating_sub(1),
        }
    }
}

/// Fixed, or announced by a prefix. Counts are characters of the normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Fixed(u16),
    Variable { prefix: Prefix, min: u16, max: u16 },
}

impl Length {
    pub fn max(self) -> u16 {
        match self {
            Length::Fixed(length) => length,
            Length::Variable { max, .. } => max,
        }
    }
}

/// Which end is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

pub const SIDES: [(Side, &str); 2] = [(Side::Left, "left"), (Side::Right, "right")];

/// Filling of a short fixed value, and the spare nibble of an odd number of BCD digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad {
    pub side: Side,
    /// The character; for BCD its hexadecimal value is the nibble.
    pub fill: u8,
}

impl Pad {
    /// The nibble that `fill` names.
    pub fn nibble(self) -> u8 {
        match self.fill {
            b'0'..=b'9' => self.fill - b'0',
            b'A'..=b'F' => self.fill - b'A' + 10,
            b'a'..=b'f' => self.fill - b'a' + 10,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_on_the_wire() {
        assert_eq!(Encoding::Bcd.wire_length(Type::N, 3), 2);
        assert_eq!(Encoding::Bcd.wire_length(Type::N, 4), 2);
        // Sign and eight digits: one byte and four.
        assert_eq!(Encoding::Bcd.wire_length(Type::Xn, 9), 5);
        assert_eq!(Encoding::Hex.wire_length(Type::B, 8), 16);
        assert_eq!(Encoding::Ascii.wire_length(Type::Ans, 8), 8);
    }

    #[test]
    fn prefixes_have_widths_and_limits() {
        let prefix = |digits, encoding| Prefix {
            digits,
            encoding,
            unit: Unit::Chars,
        };
        assert_eq!(prefix(3, Encoding::Bcd).width(), 2);
        assert_eq!(prefix(3, Encoding::Bcd).limit(), 999);
        assert_eq!(prefix(2, Encoding::Binary).limit(), 65535);
        assert_eq!(prefix(2, Encoding::Ascii).width(), 2);
    }
}
