//! One value between its wire form and its normal form.
//!
//! Normal form: numerics as ASCII digits with the length they were sent with, text as sent (EBCDIC becomes ASCII),
//! track data as ASCII with `=` as separator where it was packed, binary raw.

use crate::codec::axis::{Encoding, Pad, Side};
use crate::codec::charset::{self, Charset, Type};

/// How one value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub kind: Type,
    pub encoding: Encoding,
    pub charset: Charset,
    pub pad: Option<Pad>,
}

impl Shape {
    /// Whether the wire bytes already are the normal form.
    #[inline]
    pub fn plain(&self) -> bool {
        matches!(self.encoding, Encoding::Ascii | Encoding::Binary)
    }

    /// Offset of the first wire byte that does not belong. `count` is the length in normal form. Hot.
    #[inline]
    pub fn first_wrong(&self, wire: &[u8], count: usize) -> Option<usize> {
        match self.encoding {
            Encoding::Ascii => {
                if charset::fits(self.kind, self.charset, wire) {
                    None
                } else {
                    charset::first_wrong(self.kind, self.charset, wire)
                }
            }
            Encoding::Binary => None,
            Encoding::Bcd if self.packed_fits(wire, count) => None,
            _ => self.first_wrong_packed(wire, count),
        }
    }

    /// Whether packed digits are digits and their filling is what it should be; false also where only a closer look
    /// tells. Hot.
    #[inline]
    fn packed_fits(&self, wire: &[u8], count: usize) -> bool {
        if count % 2 == 1 {
            let (side, spare) = self.spare();
            let filling = match side {
                Side::Left => wire.first().map(|byte| byte >> 4),
                Side::Right => wire.last().map(|byte| byte & 0xf),
            };
            if filling != Some(spare) || spare > 9 {
                return false;
            }
        }
        match self.kind {
            Type::N => digits_packed(wire),
            Type::Z => true,
            _ => false,
        }
    }

    /// The digits begin in the first half of the first byte.
    #[inline]
    pub fn starts_whole(&self, count: usize) -> bool {
        self.encoding == Encoding::Bcd
            && self.kind == Type::N
            && (count % 2 == 0 || self.spare().0 == Side::Right)
    }

    /// Value of packed digits that passed `first_wrong`; None where they need a closer look.
    #[inline]
    pub fn packed_number(&self, wire: &[u8], count: usize) -> Option<u64> {
        if self.encoding != Encoding::Bcd || self.kind != Type::N || count % 2 == 1 || count > 18 {
            return None;
        }
        Some(wire.iter().fold(0u64, |sum, &byte| {
            sum * 100 + u64::from(byte >> 4) * 10 + u64::from(byte & 0xf)
        }))
    }

    fn first_wrong_packed(&self, wire: &[u8], count: usize) -> Option<usize> {
        match self.encoding {
            Encoding::Ebcdic => {
                let text: Vec<u8> = wire.iter().map(|&b| charset::from_ebcdic(b)).collect();
                charset::first_wrong(self.kind, Charset::Ascii, &text)
            }
            Encoding::Hex => wire.iter().position(|b| !b.is_ascii_hexdigit()),
            Encoding::Bcd if self.kind == Type::Xn => match wire.split_first() {
                Some((b'C' | b'D', digits)) => self
                    .wrong_nibble(digits, count.saturating_sub(1))
                    .map(|at| at + 1),
                _ => Some(0),
            },
            Encoding::Bcd => self.wrong_nibble(wire, count),
            Encoding::Ascii | Encoding::Binary => None,
        }
    }

    fn wrong_nibble(&self, wire: &[u8], digits: usize) -> Option<usize> {
        let (side, spare) = self.spare();
        let odd = digits % 2 == 1;
        let last = wire.len() * 2;
        for (at, nibble) in nibbles(wire).enumerate() {
            let padding =
                odd && (side == Side::Left && at == 0 || side == Side::Right && at + 1 == last);
            let good = if padding {
                nibble == spare
            } else {
                nibble <= 9 || self.kind == Type::Z
            };
            if !good {
                return Some(at / 2);
            }
        }
        None
    }

    /// Side and value of the spare nibble of an odd count; right-justified with a zero unless the field says so.
    fn spare(&self) -> (Side, u8) {
        self.pad
            .map_or((Side::Left, 0), |pad| (pad.side, pad.nibble()))
    }

    /// Appends the normal form of a value that passed `first_wrong`.
    #[inline]
    pub fn read(&self, wire: &[u8], count: usize, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Ascii | Encoding::Binary => out.extend_from_slice(wire),
            Encoding::Ebcdic => out.extend(wire.iter().map(|&b| charset::from_ebcdic(b))),
            Encoding::Hex => out.extend(wire.chunks_exact(2).map(|pair| {
                let digit = |at: usize| pair.get(at).copied().map_or(0, hex_value);
                digit(0) << 4 | digit(1)
            })),
            Encoding::Bcd => {
                let (wire, count) = match wire.split_first() {
                    Some((sign, rest)) if self.kind == Type::Xn => {
                        out.push(*sign);
                        (rest, count.saturating_sub(1))
                    }
                    _ => (wire, count),
                };
                let left = count % 2 == 1 && self.spare().0 == Side::Left;
                out.extend(
                    nibbles(wire)
                        .skip(usize::from(left))
                        .take(count)
                        .map(|nibble| nibble + b'0'),
                );
            }
        }
    }

    /// Turns the normal form that stands in `out` from `start` on into the wire form, in place. The value must
    /// fit the type (`charset::fits`).
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, start: usize) {
        if !self.plain() {
            self.write_packed(out, start);
        }
    }

    fn write_packed(&self, out: &mut Vec<u8>, start: usize) {
        let end = out.len();
        match self.encoding {
            Encoding::Ascii | Encoding::Binary => {}
            Encoding::Ebcdic => {
                for byte in out.iter_mut().skip(start) {
                    *byte = charset::to_ebcdic(*byte);
                }
            }
            Encoding::Hex => {
                for at in start..end {
                    let byte = out[at];
                    out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
                }
                out.drain(start..end);
            }
            Encoding::Bcd => {
                let first = start + usize::from(self.kind == Type::Xn);
                self.pack(out, first);
            }
        }
    }

    /// Packs the digits from `start` on.
    fn pack(&self, out: &mut Vec<u8>, start: usize) {
        let count = out.len() - start;
        let (side, spare) = self.spare();
        let shift = usize::from(count % 2 == 1 && side == Side::Left);
        let length = count.div_ceil(2);
        for at in 0..length {
            let nibble = |position: usize, out: &[u8]| match position
                .checked_sub(shift)
                .filter(|&digit| digit < count)
            {
                // `D` is the separator's other spelling; its low nibble is not its value.
                Some(digit) if out[start + digit] == b'D' => 0xd,
                Some(digit) => out[start + digit] & 0xf,
                None => spare,
            };
            // Bytes behind 2 * at are not read again, so the packed byte may overwrite them.
            out[start + at] = nibble(2 * at, out) << 4 | nibble(2 * at + 1, out);
        }
        out.truncate(start + length);
    }
}

/// Whether every half byte is a decimal digit: none has its highest bit set together with one of the next two.
#[inline]
pub(super) fn digits_packed(wire: &[u8]) -> bool {
    wire.iter().fold(0, |wrong, &byte| {
        wrong | byte & 0x88 & (byte << 1 | byte << 2)
    }) == 0
}

fn nibbles(wire: &[u8]) -> impl Iterator<Item = u8> + '_ {
    wire.iter().flat_map(|&byte| [byte >> 4, byte & 0xf])
}

/// Value of each hexadecimal digit; `NO_DIGIT` for every other byte.
const DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0u8;
    while digit < 16 {
        let upper = if digit < 10 {
            b'0' + digit
        } else {
            b'A' + digit - 10
        };
        table[upper as usize] = digit;
        table[upper.to_ascii_lowercase() as usize] = digit;
        digit += 1;
    }
    table
};
const NO_DIGIT: u8 = 0xff;

/// Value of a hexadecimal digit; 0 for anything else.
#[inline]
pub fn hex_value(digit: u8) -> u8 {
    let value = DIGITS[usize::from(digit)];
    if value == NO_DIGIT { 0 } else { value }
}

/// Sixteen hexadecimal digits as a number, or None when one is not.
#[inline]
pub fn hex_word(text: &[u8]) -> Option<u64> {
    let mut seen = 0u8;
    let mut value = 0u64;
    for &byte in text {
        let digit = DIGITS[usize::from(byte)];
        seen |= digit;
        value = value << 4 | u64::from(digit & 0xf);
    }
    (seen & 0xf0 == 0).then_some(value)
}

/// Upper-case digit of the low nibble.
#[inline]
pub fn hex_digit(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble & 0xf)]
}

/// Upper-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|&b| [hex_digit(b >> 4), hex_digit(b)])
        .map(char::from)
        .collect()
}

/// Bytes of hexadecimal text.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() % 2 != 0 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some(
        text.chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, &d| byte << 4 | hex_value(d)))
            .collect(),
    )
}

/// Value of a run of decimal digits, or None when one is not.
#[inline]
pub fn decimal(text: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (text.len() <= 19).then_some(value)
}

/// Appends `value` in exactly `width` decimal digits, the leading ones cut when it does not fit.
#[inline]
pub fn push_decimal(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for slot in out.iter_mut().skip(start).rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: Type, encoding: Encoding, pad: Option<Pad>) -> Shape {
        Shape {
            kind,
            encoding,
            charset: Charset::Ascii,
            pad,
        }
    }

    fn round(shape: Shape, normal: &[u8], wire: &[u8]) {
        let mut out = b"head".to_vec();
        out.extend_from_slice(normal);
        shape.write(&mut out, 4);
        assert_eq!(&out[4..], wire, "write {normal:?}");
        assert_eq!(
            wire.len(),
            shape.encoding.wire_length(shape.kind, normal.len())
        );
        assert_eq!(shape.first_wrong(wire, normal.len()), None);
        let mut back = Vec::new();
        shape.read(wire, normal.len(), &mut back);
        assert_eq!(back, normal, "read {wire:?}");
    }

    const RIGHT_F: Option<Pad> = Some(Pad {
        side: Side::Right,
        fill: b'F',
    });
    const RIGHT_0: Option<Pad> = Some(Pad {
        side: Side::Right,
        fill: b'0',
    });

    #[test]
    fn packed_digits() {
        round(shape(Type::N, Encoding::Bcd, None), b"0123", &[0x01, 0x23]);
        round(shape(Type::N, Encoding::Bcd, None), b"001", &[0x00, 0x01]);
        // The classic interop bug: padding side is per field (field 22 right, field 23 left).
        round(
            shape(Type::N, Encoding::Bcd, RIGHT_0),
            b"071",
            &[0x07, 0x10],
        );
        round(
            shape(Type::N, Encoding::Bcd, RIGHT_F),
            b"12345",
            &[0x12, 0x34, 0x5f],
        );
        round(shape(Type::N, Encoding::Bcd, None), b"", &[]);
        round(
            shape(Type::Z, Encoding::Bcd, RIGHT_0),
            b"6299=2512",
            &[0x62, 0x99, 0xd2, 0x51, 0x20],
        );
        round(
            shape(Type::Xn, Encoding::Bcd, None),
            b"C00000123",
            &[b'C', 0, 0, 0x01, 0x23],
        );
    }

    #[test]
    fn the_other_separator_packs_alike() {
        let mut out = b"62D1".to_vec();
        shape(Type::Z, Encoding::Bcd, None).write(&mut out, 0);
        assert_eq!(out, [0x62, 0xd1]);
    }

    #[test]
    fn the_quick_look_at_packed_digits_agrees_with_the_slow_one() {
        for byte in 0..=255u8 {
            let good = byte >> 4 <= 9 && byte & 0xf <= 9;
            assert_eq!(digits_packed(&[0x12, byte, 0x99]), good, "{byte:#x}");
            for pad in [None, RIGHT_0, RIGHT_F] {
                for kind in [Type::N, Type::Z] {
                    let shape = shape(kind, Encoding::Bcd, pad);
                    for count in [3, 4] {
                        let slow = shape.wrong_nibble(&[0x12, byte], count).is_none();
                        let quick = shape.first_wrong(&[0x12, byte], count).is_none();
                        assert_eq!(quick, slow, "{byte:#x} {count} {pad:?} {kind:?}");
                    }
                }
            }
        }
        let number = |pad| shape(Type::N, Encoding::Bcd, pad).packed_number(&[0x12, 0x34], 4);
        assert_eq!((number(None), number(RIGHT_0)), (Some(1234), Some(1234)));
        assert_eq!(
            shape(Type::N, Encoding::Bcd, None).packed_number(&[0], 1),
            None
        );
    }

    #[test]
    fn packed_faults_are_found() {
        let packed = shape(Type::N, Encoding::Bcd, RIGHT_F);
        assert_eq!(packed.first_wrong(&[0x12, 0x3a], 4), Some(1));
        assert_eq!(packed.first_wrong(&[0x12, 0x30], 3), Some(1));
        assert_eq!(
            shape(Type::N, Encoding::Bcd, None).first_wrong(&[0x11], 1),
            Some(0)
        );
        let amount = shape(Type::Xn, Encoding::Bcd, None);
        assert_eq!(amount.first_wrong(b"X\x00", 3), Some(0));
        assert_eq!(amount.first_wrong(b"C\xff", 3), Some(1));
    }

    #[test]
    fn hexadecimal_and_ebcdic() {
        round(shape(Type::B, Encoding::Hex, None), &[0xde, 0x0a], b"DE0A");
        round(
            shape(Type::B, Encoding::Binary, None),
            &[0xde, 0x0a],
            &[0xde, 0x0a],
        );
        round(
            shape(Type::Ans, Encoding::Ebcdic, None),
            b"A1 ",
            &[0xc1, 0xf1, 0x40],
        );
        round(shape(Type::N, Encoding::Ebcdic, None), b"19", &[0xf1, 0xf9]);
        assert_eq!(
            shape(Type::N, Encoding::Ebcdic, None).first_wrong(&[0xf1, 0xc1], 2),
            Some(1)
        );
        assert_eq!(
            shape(Type::B, Encoding::Hex, None).first_wrong(b"0G", 1),
            Some(1)
        );
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal(b"000123"), Some(123));
        assert_eq!(decimal(b"12x"), None);
        assert_eq!(decimal(&[b'9'; 20]), None);
        let mut out = Vec::new();
        push_decimal(&mut out, 1_234_567, 6);
        push_decimal(&mut out, 7, 3);
        assert_eq!(out, b"234567007");
        assert_eq!(unhex(b"9f26"), Some(vec![0x9f, 0x26]));
        assert_eq!(unhex(b"9f2"), None);
        assert_eq!(hex(&[0x9f, 0x26]), "9F26");
    }
}
