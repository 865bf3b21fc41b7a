//! What the switch adds to a message that lacks it: terminals send no transmission time, no local time, no reference.
//!
//! A dialect's table `[supply]` says which fields, and from what. They are added once, when the message is claimed, and
//! from then on they are the message's own: its bank's leg, its record, its reversal and its answer agree in them.

use std::borrow::Cow;

use crate::codec::message::Message;
use crate::codec::name::{Name, Source};

/// Where a supplied field comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Our clock at receipt, UTC: MMDDhhmmss.
    Utc,
    /// Our clock at receipt in the business zone: hhmmss, or MMDD of a date.
    Local,
    /// The institution code of the link.
    Link,
    /// A reference of the transaction's own.
    Transaction,
    /// Characters of another field, from the first of them (0-based).
    Part { field: Name, from: u8, count: u8 },
    /// Digits of track 2 before its separator; never kept, read again each time.
    Track2,
}

/// Spellings of those that are one word.
pub const GIVEN: [(Given, &str); 5] = [
    (Given::Utc, "utc"),
    (Given::Local, "local"),
    (Given::Link, "link"),
    (Given::Transaction, "transaction"),
    (Given::Track2, "track2"),
];

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    pub rules: Vec<(Name, Given)>,
    /// A card number may be read from track 2.
    pub track2: bool,
}

/// Longest supplied value.
const VALUE_BYTES_MAX: usize = 12;

/// What was added to one message.
#[derive(Clone, Debug, Default)]
pub struct Supplied {
    values: Vec<(Name, [u8; VALUE_BYTES_MAX], u8)>,
}

impl Supplied {
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        let (_, value, length) = self.values.iter().find(|(known, ..)| *known == name)?;
        value.get(..usize::from(*length))
    }

    fn put(&mut self, name: Name, value: &[u8]) {
        let mut place = [0; VALUE_BYTES_MAX];
        if let (Some(slots), false) = (place.get_mut(..value.len()), value.is_empty()) {
            slots.copy_from_slice(value);
            self.values.push((name, place, value.len() as u8));
        }
    }
}

/// What is known at receipt.
#[derive(Clone, Copy, Default)]
pub struct Receipt<'a> {
    /// Unix seconds; 0: the clock gives nothing.
    pub now_s: i64,
    /// Seconds that the business zone is east of UTC.
    pub zone_offset_s: i64,
    /// Institution code of the link.
    pub link: &'a str,
    /// Reference of the transaction; empty when it has none.
    pub reference: &'a [u8],
    /// What was supplied to the first presentation, or to the original that a reversal names: it goes before the rest.
    pub before: Option<&'a dyn Source>,
}

impl Message {
    /// Adds what the dialect says and the message lacks. Once: a second time changes nothing.
    pub fn supply(&self, receipt: &Receipt<'_>) {
        let rules = &self.dialect().supply.rules;
        if rules.is_empty() || self.supplied.get().is_some() {
            return;
        }
        let mut supplied = Box::new(Supplied::default());
        for (name, given) in rules {
            if self.place(self.dialect().number(*name)).is_some() {
                continue;
            }
            let mut before = Vec::new();
            if receipt
                .before
                .is_some_and(|source| source.normal(*name, &mut before))
            {
                supplied.put(*name, &before);
                continue;
            }
            let utc = stamp(receipt.now_s);
            let local = stamp(receipt.now_s + receipt.zone_offset_s);
            match given {
                Given::Utc | Given::Local if receipt.now_s == 0 => {}
                Given::Utc => supplied.put(*name, &utc),
                Given::Local if *name == Name::LocalDate => supplied.put(*name, &local[..4]),
                Given::Local => supplied.put(*name, &local[4..]),
                Given::Link => supplied.put(*name, receipt.link.as_bytes()),
                Given::Transaction => supplied.put(*name, receipt.reference),
                Given::Part { field, from, count } => {
                    let range = usize::from(*from)..usize::from(*from) + usize::from(*count);
                    if let Some(part) = self.value(*field).as_deref().and_then(|v| v.get(range)) {
                        supplied.put(*name, part);
                    }
                }
                Given::Track2 => {}
            }
        }
        let _ = self.supplied.set(supplied);
    }

    /// A field that stands elsewhere than under its own number: a sub-field by an alias, or a supplied one.
    #[cold]
    pub(super) fn elsewhere(&self, name: Name) -> Option<Cow<'_, [u8]>> {
        if let Some(path) = self.dialect().alias(name) {
            return self.at(path);
        }
        if name == Name::Pan && self.dialect().supply.track2 {
            let track = self.value(Name::Track2)?;
            let digits = track
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            return match track {
                Cow::Borrowed(track) => track.get(..digits).map(Cow::Borrowed),
                Cow::Owned(mut track) => {
                    // The rest of a track is wiped where it stands.
                    if let Some(rest) = track.get_mut(digits..) {
                        rest.fill(0);
                    }
                    track.truncate(digits);
                    Some(Cow::Owned(track))
                }
            };
        }
        self.supplied.get()?.get(name).map(Cow::Borrowed)
    }
}

/// MMDDhhmmss of a Unix time.
///
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
pub fn stamp(unix_s: i64) -> [u8; 10] {
    let days = unix_s.div_euclid(86_400) + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let second = unix_s.rem_euclid(86_400);
    let mut out = [0; 10];
    let parts = [month, day, second / 3600, second / 60 % 60, second % 60];
    for (place, part) in out.chunks_exact_mut(2).zip(parts) {
        place.copy_from_slice(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_civil() {
        // From `date -u -d @N +%m%d%H%M%S`.
        assert_eq!(&stamp(1_795_454_445), b"1123172045");
        assert_eq!(&stamp(951_782_399), b"0228235959");
        assert_eq!(&stamp(951_782_400), b"0229000000");
        assert_eq!(&stamp(1_798_761_599), b"1231235959");
    }
}
