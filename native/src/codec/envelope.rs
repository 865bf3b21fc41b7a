//! What stands between the length and the body on every frame of a link: a TPDU and a header of digits.
//!
//! Neither is part of the message: a MAC does not cover it, no leg names it. It comes with a message, and the answer to
//! that message carries it back, the TPDU's two addresses swapped.
//!
//! Source: ISO 8583 over X.25 NAC networks as Chinese POS terminals use it (TPDU `60 dst2 src2`, header of twelve
//! digits).

use crate::codec::value::{hex, hex_digit, hex_value};

/// Most bytes of TPDU and header together.
pub const PREFACE_BYTES_MAX: usize = 16;
/// Bytes of a TPDU: identifier 1, destination 2, source 2.
pub const TPDU_BYTES: usize = 5;

/// TPDU and header of one frame, as they stand on the wire; empty where a link has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preface {
    bytes: [u8; PREFACE_BYTES_MAX],
    length: u8,
}

impl Preface {
    /// Of bytes from the wire; what is longer than any preface is cut.
    #[inline]
    pub fn of(wire: &[u8]) -> Preface {
        let mut preface = Preface::default();
        for (slot, byte) in preface.bytes.iter_mut().zip(wire) {
            *slot = *byte;
        }
        preface.length = wire.len().min(PREFACE_BYTES_MAX) as u8;
        preface
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or(&[])
    }

    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn nibble(&self, at: usize) -> u8 {
        let byte = self.bytes().get(at / 2).copied().unwrap_or(0);
        if at % 2 == 0 { byte >> 4 } else { byte & 0xf }
    }

    fn set_nibble(&mut self, at: usize, value: u8) {
        if let Some(byte) = self.bytes.get_mut(at / 2) {
            *byte = if at % 2 == 0 {
                *byte & 0x0f | value << 4
            } else {
                *byte & 0xf0 | value & 0xf
            };
        }
    }
}

/// One named run of digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// `tpdu.destination`, `header.processing_request`.
    pub name: String,
    /// In half bytes from the first one behind the length.
    pub at: usize,
    pub count: usize,
    /// Any hexadecimal digit may stand there; else decimal ones only.
    pub hexadecimal: bool,
}

/// What a frame of a dialect carries before its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Of a message of ours that answers none.
    pub default: Preface,
    /// It begins with a TPDU.
    pub tpdu: bool,
    pub parts: Vec<Digits>,
}

/// A TPDU or a header that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefaceFault {
    pub path: String,
    /// Bytes behind the length.
    pub offset: usize,
    pub found: String,
    pub expected: String,
}

impl Envelope {
    /// Bytes of it.
    #[inline]
    pub fn width(&self) -> usize {
        self.default.len()
    }

    /// Takes it off the front of what stands behind the length.
    pub fn open(&self, content: &[u8]) -> Result<Preface, PrefaceFault> {
        let fault = |path: &str, offset: usize, found: String, expected: String| PrefaceFault {
            path: path.to_owned(),
            offset,
            found,
            expected,
        };
        let Some(wire) = content.get(..self.width()) else {
            let path = if self.tpdu && content.len() < TPDU_BYTES {
                "tpdu"
            } else {
                "header"
            };
            let found = format!("{} bytes", content.len());
            let expected = format!("at least {}", self.width());
            return Err(fault(path, content.len(), found, expected));
        };
        let preface = Preface::of(wire);
        if self.tpdu {
            let (id, ours) = (preface.bytes[0], self.default.bytes[0]);
            if id != ours {
                let found = format!("byte 0x{id:02X}");
                return Err(fault("tpdu.id", 0, found, format!("0x{ours:02X}")));
            }
        }
        for part in self.parts.iter().filter(|part| !part.hexadecimal) {
            for at in part.at..part.at + part.count {
                let nibble = preface.nibble(at);
                if nibble > 9 {
                    let found = format!("digit {:X}", nibble);
                    let expected = "a decimal digit".to_owned();
                    return Err(fault(&part.name, at / 2, found, expected));
                }
            }
        }
        Ok(preface)
    }

    /// The run of digits of a name; a header's part also without `header.` before it.
    pub fn part(&self, name: &str) -> Option<&Digits> {
        self.parts.iter().find(|part| {
            part.name == name || part.name.strip_prefix("header.").is_some_and(|n| n == name)
        })
    }

    /// The digits of a part.
    pub fn read(&self, preface: &Preface, part: &Digits) -> String {
        (part.at..part.at + part.count)
            .map(|at| char::from(hex_digit(preface.nibble(at))))
            .collect()
    }

    /// Puts digits into a part; false, and nothing done, when they are not of its length or kind.
    pub fn write(&self, preface: &mut Preface, part: &Digits, digits: &str) -> bool {
        let fits = digits.len() == part.count
            && digits.bytes().all(|digit| {
                if part.hexadecimal {
                    digit.is_ascii_hexdigit()
                } else {
                    digit.is_ascii_digit()
                }
            });
        if fits {
            for (at, digit) in (part.at..).zip(digits.bytes()) {
                preface.set_nibble(at, hex_value(digit));
            }
        }
        fits
    }

    /// What the answer to a frame carries: the same, addresses of the TPDU swapped.
    #[inline]
    pub fn answer(&self, asked: &Preface) -> Preface {
        let mut preface = *asked;
        if self.tpdu && preface.len() >= TPDU_BYTES {
            let [_, a, b, c, d, ..] = preface.bytes;
            preface.bytes[1..TPDU_BYTES].copy_from_slice(&[c, d, a, b]);
        }
        preface
    }

    /// For people: bytes in hexadecimal.
    pub fn text(preface: &Preface) -> String {
        hex(preface.bytes())
    }
}

/// One digit that an answer's header gets in the place of the one that came, packed into 16 bits; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order(pub u16);

impl Order {
    /// For a part of one digit; None for longer ones.
    pub fn of(part: &Digits, digit: u8) -> Option<Order> {
        let at = u16::try_from(part.at).ok()?;
        (part.count == 1 && digit <= 9).then_some(Order((at + 1) << 4 | u16::from(digit)))
    }

    #[inline]
    pub fn apply(self, preface: &mut Preface) {
        if self.0 != 0 {
            preface.set_nibble(usize::from(self.0 >> 4) - 1, (self.0 & 0xf) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIRE: [u8; 11] = [
        0x60, 0x00, 0x06, 0x12, 0x34, 0x60, 0x31, 0x00, 0x31, 0x10, 0x03,
    ];

    fn envelope() -> Envelope {
        let mut at = 0;
        let mut part = |name: &str, count: usize, hexadecimal: bool| {
            at += count;
            Digits {
                name: name.to_owned(),
                at: at - count,
                count,
                hexadecimal,
            }
        };
        Envelope {
            default: Preface::of(&[0x60, 0, 6, 0, 0, 0x60, 0x31, 0, 0x31, 0x10, 0x03]),
            tpdu: true,
            parts: vec![
                part("tpdu.id", 2, true),
                part("tpdu.destination", 4, true),
                part("tpdu.source", 4, true),
                part("header.application_class", 2, false),
                part("header.software_version", 2, false),
                part("header.terminal_status", 1, false),
                part("header.processing_request", 1, false),
                part("header.sub_version", 6, false),
            ],
        }
    }

    #[test]
    fn an_answer_swaps_the_addresses_and_keeps_the_header() {
        let envelope = envelope();
        let preface = envelope.open(&WIRE);
        assert_eq!(preface, Ok(Preface::of(&WIRE)));
        let mut answer = envelope.answer(&Preface::of(&WIRE));
        assert_eq!(answer.bytes()[..5], [0x60, 0x12, 0x34, 0x00, 0x06]);
        assert_eq!(answer.bytes()[5..], WIRE[5..]);
        let part = envelope.part("processing_request").cloned();
        let order = part.as_ref().and_then(|part| Order::of(part, 3));
        order.unwrap_or_default().apply(&mut answer);
        assert_eq!(answer.bytes()[7], 0x03);
        let read = |name: &str| envelope.part(name).map(|p| envelope.read(&answer, p));
        assert_eq!(read("tpdu.destination"), Some("1234".to_owned()));
        assert_eq!(read("header.processing_request"), Some("3".to_owned()));
        assert_eq!(read("sub_version"), Some("311003".to_owned()));
        assert_eq!(
            envelope.part("sub_version").and_then(|p| Order::of(p, 3)),
            None
        );
    }

    #[test]
    fn what_is_no_preface_is_named_with_its_place() {
        let envelope = envelope();
        let fault = |content: &[u8]| envelope.open(content).err().map(|f| (f.path, f.offset));
        assert_eq!(fault(&WIRE[..3]), Some(("tpdu".to_owned(), 3)));
        assert_eq!(fault(&WIRE[..10]), Some(("header".to_owned(), 10)));
        let mut wire = WIRE;
        wire[0] = 0x61;
        assert_eq!(fault(&wire), Some(("tpdu.id".to_owned(), 0)));
        wire = WIRE;
        wire[7] = 0x0a;
        let place = "header.processing_request".to_owned();
        assert_eq!(fault(&wire), Some((place, 7)));
        // Addresses are the network's affair.
        wire = WIRE;
        wire[2] = 0xff;
        assert_eq!(fault(&wire), None);
    }

    proptest! {
        #[test]
        fn swapping_twice_gives_the_first(wire in proptest::collection::vec(any::<u8>(), 0..20)) {
            let envelope = envelope();
            if let Ok(preface) = envelope.open(&wire) {
                prop_assert_eq!(envelope.answer(&envelope.answer(&preface)), preface);
            }
        }

        #[test]
        fn digits_that_are_written_are_read(which in 0usize..8, digits in "[0-9]{6}") {
            let envelope = envelope();
            let mut preface = Preface::of(&WIRE);
            let part = &envelope.parts[which];
            let digits = &digits[..part.count];
            prop_assert!(envelope.write(&mut preface, part, digits));
            prop_assert_eq!(envelope.read(&preface, part), digits);
            prop_assert!(!envelope.write(&mut preface, part, "1234567"));
        }
    }
}
