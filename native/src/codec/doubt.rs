//! Values that fit their type and are yet unlikely: what a person who reads the message would stumble over. No text
//! here quotes a value above class C1.

use crate::codec::emv;
use crate::codec::message::{Message, Place};
use crate::codec::name::Name;
use crate::codec::spec::{Layout, Part, Spec};
use crate::codec::tlv;
use crate::codec::value::{decimal, hex};

/// One unlikely value: the path as `field 35`, the canonical name, and what is unlikely about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    pub number: u8,
    pub path: String,
    pub name: String,
    pub problem: String,
}

/// Entry modes (first two digits of field 22) that networks use. Source: ISO 8583:1987 and the public manuals of
/// card schemes; 79 to 86 and 90 to 98 are theirs.
const ENTRY_MODES: [&[u8]; 27] = [
    b"00", b"01", b"02", b"03", b"04", b"05", b"06", b"07", b"08", b"09", b"10", b"79", b"80",
    b"81", b"82", b"83", b"84", b"85", b"86", b"90", b"91", b"92", b"94", b"95", b"96", b"97",
    b"98",
];

/// Least and greatest length of tags in bytes. Source: EMV 4.3 Book 3, annex A.
const TAG_LENGTHS: [(u32, usize, usize); 24] = [
    (0x57, 8, 19),
    (0x5a, 4, 10),
    (0x82, 2, 2),
    (0x84, 5, 16),
    (0x8a, 2, 2),
    (0x91, 8, 16),
    (0x95, 5, 5),
    (0x9a, 3, 3),
    (0x9b, 2, 2),
    (0x9c, 1, 1),
    (0x5f24, 3, 3),
    (0x5f2a, 2, 2),
    (0x5f34, 1, 1),
    (0x9f02, 6, 6),
    (0x9f03, 6, 6),
    (0x9f09, 2, 2),
    (0x9f10, 1, 32),
    (0x9f1a, 2, 2),
    (0x9f26, 8, 8),
    (0x9f27, 1, 1),
    (0x9f33, 3, 3),
    (0x9f34, 3, 3),
    (0x9f36, 2, 2),
    (0x9f37, 4, 4),
];

impl Message {
    /// What is unlikely, in wire order.
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut out = Vec::new();
        for place in self.places() {
            if let Some(spec) = self.dialect().spec(place.number()) {
                let normal = place.normal();
                if let Some(problem) = self.field_doubt(spec, &normal) {
                    out.push(doubt(spec, Part::Whole, problem));
                }
                self.part_doubts(spec, &place, &normal, &mut out);
            }
        }
        out
    }

    fn field_doubt(&self, spec: &Spec, value: &[u8]) -> Option<String> {
        match spec.name {
            Name::Pan => (!luhn(value)).then(|| "its check digit is wrong".to_owned()),
            Name::Track2 => self.track_doubt(value),
            Name::EntryMode => {
                let mode = value.get(..2)?;
                (!ENTRY_MODES.contains(&mode)).then(|| {
                    format!(
                        "no entry mode begins with {}",
                        String::from_utf8_lossy(mode)
                    )
                })
            }
            Name::Currency | Name::SettlementCurrency | Name::BillingCurrency => {
                (value == b"000").then(|| "no currency is 000".to_owned())
            }
            _ => {
                let problem = date_fault(date_form(spec.name)?, value)?;
                Some(if spec.class.quotable() {
                    format!("{problem}: {}", String::from_utf8_lossy(value))
                } else {
                    problem
                })
            }
        }
    }

    fn track_doubt(&self, value: &[u8]) -> Option<String> {
        let Some(at) = value.iter().position(|byte| matches!(byte, b'=' | b'D')) else {
            return Some("track 2 has no separator".to_owned());
        };
        let (number, rest) = value.split_at(at);
        if !(8..=19).contains(&at) {
            return Some(format!(
                "the separator of track 2 stands behind {at} digits"
            ));
        }
        if self.value(Name::Pan).is_some_and(|pan| *pan != *number) {
            return Some("the number on track 2 is not that of the message".to_owned());
        }
        let expiry = rest.get(1..5)?;
        date_fault("YYMM", expiry).map(|_| "the expiry on track 2 has no such month".to_owned())
    }

    fn part_doubts(&self, spec: &Spec, place: &Place<'_>, normal: &[u8], out: &mut Vec<Doubt>) {
        match &spec.layout {
            Layout::Positional(subs) => {
                for (index, sub) in subs.iter().enumerate() {
                    let part = Part::Sub(index as u8);
                    let Some(value) = spec.cut(part, normal) else {
                        continue;
                    };
                    let form = match (sub.name.as_str(), sub.length) {
                        ("transmission_time", 10) => "MMDDhhmmss",
                        (name, 4) if name.ends_with("date") => "MMDD",
                        _ => continue,
                    };
                    if let Some(problem) = date_fault(form, &value) {
                        out.push(doubt(spec, part, problem));
                    }
                }
            }
            Layout::Ber if place.count > 0 => {
                for element in tlv::Ber::new(normal).flatten() {
                    if let Some(problem) = self.tag_doubt(element.tag, element.value) {
                        out.push(doubt(spec, Part::Tag(element.tag), problem));
                    }
                }
            }
            _ => {}
        }
    }

    fn tag_doubt(&self, tag: u32, value: &[u8]) -> Option<String> {
        let row = TAG_LENGTHS.iter().find(|(known, ..)| *known == tag);
        if let Some((_, least, most)) = row.filter(|(_, a, b)| !(*a..=*b).contains(&value.len())) {
            let length = value.len();
            return Some(if least == most {
                format!("{length} bytes long, and it always has {least}")
            } else {
                format!("{length} bytes long, and it has {least} to {most}")
            });
        }
        let digits = hex(value);
        let numeric = emv::find(tag).is_some_and(|row| row.format == "n");
        if numeric && !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some("a half byte is no digit, and it is numeric".to_owned());
        }
        let field = |name: Name| self.value(name).filter(|_| !digits.is_empty());
        match tag {
            0x9a | 0x5f24 => date_fault("YYMMDD", digits.as_bytes()),
            0x9f21 => date_fault("hhmmss", digits.as_bytes()),
            0x9f02 => field(Name::Amount)
                .filter(|amount| decimal(amount) != decimal(digits.as_bytes()))
                .map(|_| "another amount than that of the message".to_owned()),
            0x5f2a => field(Name::Currency)
                .filter(|currency| decimal(currency) != decimal(digits.as_bytes()))
                .map(|_| "another currency than that of the message".to_owned()),
            _ => None,
        }
    }
}

fn doubt(spec: &Spec, part: Part, problem: String) -> Doubt {
    let name = match spec.part_text(part) {
        Some(text) => format!("{}.{text}", spec.name.as_str()),
        None => spec.name.as_str().to_owned(),
    };
    Doubt {
        number: spec.number,
        path: spec.path(part),
        name,
        problem,
    }
}

fn date_form(name: Name) -> Option<&'static str> {
    Some(match name {
        Name::TransmissionTime => "MMDDhhmmss",
        Name::LocalTime => "hhmmss",
        Name::LocalDate | Name::SettlementDate | Name::ConversionDate | Name::CaptureDate => "MMDD",
        Name::Expiry => "YYMM",
        Name::ActionDate => "YYMMDD",
        _ => return None,
    })
}

/// What of a date or time is impossible. All zeros is "not given".
fn date_fault(form: &str, text: &[u8]) -> Option<String> {
    if text.len() != form.len() || text.iter().all(|&byte| byte == b'0') {
        return None;
    }
    for (kind, pair) in form.as_bytes().chunks(2).zip(text.chunks(2)) {
        let value = decimal(pair)?;
        let (word, low, high) = match kind {
            b"MM" => ("month", 1, 12),
            b"DD" => ("day", 1, 31),
            b"hh" => ("hour", 0, 23),
            b"mm" => ("minute", 0, 59),
            b"ss" => ("second", 0, 59),
            _ => continue,
        };
        if !(low..=high).contains(&value) {
            return Some(format!("no such {word} ({form})"));
        }
    }
    None
}

/// The check digit of an account number. **Source:** ISO/IEC 7812-1, annex B.
pub fn luhn(number: &[u8]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| {
            let value = u32::from(digit & 0xf) << (at & 1);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    !number.is_empty() && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_possible_or_not() {
        assert_eq!(date_fault("MMDDhhmmss", b"1123170000"), None);
        assert_eq!(date_fault("MMDD", b"0000"), None);
        let fault = |form, text| date_fault(form, text).unwrap_or_default();
        assert_eq!(fault("MMDD", b"1301"), "no such month (MMDD)");
        assert_eq!(fault("MMDD", b"1232"), "no such day (MMDD)");
        assert_eq!(fault("hhmmss", b"240000"), "no such hour (hhmmss)");
        assert_eq!(fault("hhmmss", b"236000"), "no such minute (hhmmss)");
        assert_eq!(fault("YYMM", b"9900"), "no such month (YYMM)");
    }

    #[test]
    fn check_digits() {
        assert!(luhn(b"79927398713"));
        assert!(!luhn(b"79927398710"));
        assert!(!luhn(b""));
    }

    #[test]
    fn lengths_are_ordered() {
        assert!(TAG_LENGTHS.iter().all(|(_, least, most)| least <= most));
    }
}
