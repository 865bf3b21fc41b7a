//! A message for people: every field in wire order, masked by its class.

use crate::codec::class::Mask;
use crate::codec::message::{Message, Place};
use crate::codec::spec::{Layout, Part, Spec};
use crate::codec::tlv;
use crate::codec::value::hex;
use crate::codec::{Name, charset::Type};

/// One line: `55.9F26`, `icc.9F26`, masked value, offset into the body, bytes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: String,
    pub name: String,
    pub value: String,
    pub offset: usize,
    pub length: usize,
}

impl Message {
    /// The MTI, then every field with its parts. Nothing of class C2 or above shows, but for the ends of a PAN.
    pub fn describe(&self) -> Vec<Line> {
        let mut out = vec![Line {
            number: "0".to_owned(),
            name: Name::Mti.as_str().to_owned(),
            value: String::from_utf8_lossy(&self.mti()).into_owned(),
            offset: 0,
            length: if self.dialect().mti == crate::codec::axis::Encoding::Bcd {
                2
            } else {
                4
            },
        }];
        for place in self.places() {
            let Some(spec) = self.dialect().spec(place.number()) else {
                continue;
            };
            out.push(Line {
                number: spec.number.to_string(),
                name: spec.name.as_str().to_owned(),
                value: show(spec.mask, spec.shape.kind == Type::B, &place.normal()),
                offset: place.offset,
                length: place.wire.len(),
            });
            parts(spec, &place, &mut out);
        }
        out
    }
}

fn parts(spec: &Spec, place: &Place<'_>, out: &mut Vec<Line>) {
    let whole = place.normal();
    // Offsets inside packed values are given in the units of the wire, rounded down.
    let scale = |at: usize| {
        let scaled = (at * place.wire.len()).checked_div(place.count);
        place.offset + scaled.unwrap_or(0)
    };
    let mut push = |part: Part, binary: bool, at: usize, value: &[u8]| {
        let Some(text) = spec.part_text(part) else {
            return;
        };
        out.push(Line {
            number: format!("{}.{text}", spec.number),
            name: format!("{}.{text}", spec.name.as_str()),
            value: show(spec.sensitivity(part).1, binary, value),
            offset: scale(at),
            length: scale(at + value.len()) - scale(at),
        });
    };
    match &spec.layout {
        Layout::Whole => {}
        Layout::Positional(subs) => {
            for (index, sub) in subs.iter().enumerate() {
                let at = usize::from(sub.at);
                if let Some(value) = whole.get(at..at + usize::from(sub.length)) {
                    push(Part::Sub(index as u8), sub.shape.kind == Type::B, at, value);
                }
            }
        }
        Layout::Decimal {
            tag_digits,
            length_digits,
            ..
        } => {
            for element in tlv::Decimal::new(&whole, *tag_digits, *length_digits).flatten() {
                push(
                    Part::Tag(element.tag),
                    false,
                    element.value_at,
                    element.value,
                );
            }
        }
        Layout::Ber => {
            for element in tlv::Ber::new(&whole).flatten() {
                push(
                    Part::Tag(element.tag),
                    true,
                    element.value_at,
                    element.value,
                );
            }
        }
    }
}

/// Printable and masked.
fn show(mask: Mask, binary: bool, value: &[u8]) -> String {
    if mask == Mask::All {
        return format!("({} hidden)", value.len());
    }
    let text = if binary {
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
