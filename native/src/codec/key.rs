//! What makes two requests the same request, as bytes to be hashed with a key. Nothing here is a hash.

use crate::codec::message::Message;
use crate::codec::name::Name;
use crate::codec::value::decimal;

/// Marks a field that is not there; no field of a key is that long.
pub(super) const ABSENT: u16 = u16::MAX;

impl Message {
    /// Appends what identifies this request at its acquirer: class (the MTI's second digit, so a repeat and a
    /// reversal advice match their first presentation; an advice of money is a class of its own), the dialect's key
    /// fields, and the year that its transmission time falls in, seen from `now_s` (Unix seconds), where that is one of
    /// them. The caller puts the institution in front.
    pub fn key_material(&self, now_s: i64, out: &mut Vec<u8>) {
        out.push(class_of(self.mti()));
        self.numbers_material(now_s, out);
    }

    /// Of an advice: the material of a request with its numbers.
    pub fn request_key_material(&self, now_s: i64, out: &mut Vec<u8>) {
        let [_, class, _, _] = self.mti();
        out.push(class);
        self.numbers_material(now_s, out);
    }

    fn numbers_material(&self, now_s: i64, out: &mut Vec<u8>) {
        let mut time = None;
        for &name in &self.dialect().keys.request {
            let value = self.value(name);
            push(out, name, value.as_deref());
            if name == Name::TransmissionTime {
                time = value;
            }
        }
        if self.dialect().keys.dated {
            push_year(out, time.as_deref(), now_s);
        }
    }

    /// It is an advice of money: an exchange of its own, also under the numbers of a request.
    pub fn advises(&self) -> bool {
        advises(self.mti())
    }

    /// Appends the material of the original that this reversal names, exactly as `key_material` wrote it then.
    /// False when the message does not name one (then `out` is as before).
    pub fn original_key_material(&self, now_s: i64, out: &mut Vec<u8>) -> bool {
        let keys = &self.dialect().keys;
        let named = keys.original_mti.and_then(|path| self.at(path));
        let mti: Option<[u8; 4]> = match keys.original_mti {
            Some(_) => named.as_deref().and_then(|mti| mti.try_into().ok()),
            None => self.rule().and_then(|rule| rule.original_mti),
        };
        let Some(mti) = mti else {
            return false;
        };
        out.push(class_of(mti));
        let mut time = None;
        for (&name, path) in keys.request.iter().zip(&keys.original) {
            let named = path.and_then(|path| self.at(path));
            // All zeros is how original data says "not given".
            let value = named
                .filter(|value| !significant(name, value).is_empty())
                .or_else(|| self.value(name));
            if name == Name::TransmissionTime {
                time.clone_from(&value);
            }
            push(out, name, value.as_deref());
        }
        if keys.dated {
            push_year(out, time.as_deref(), now_s);
        }
        true
    }

    /// Appends the fields in which a repeat must be equal to its first presentation. Holds the PAN: wipe it.
    pub fn body_material(&self, out: &mut Vec<u8>) {
        for &path in &self.dialect().keys.body {
            push_value(out, self.at(path).as_deref());
        }
    }
}

/// Set in the class of an advice; no digit has it.
const ADVICE: u8 = 0x80;

fn advises([_, class, function, _]: [u8; 4]) -> bool {
    matches!(class, b'1' | b'2') && function == b'2'
}

/// The class as a key has it. A request and an advice are two exchanges, which may bear the same numbers; a reversal is
/// one, whether it asks or tells. Source: ISO 8583:2021 annex F (the trace number matches messages of one exchange:
/// request, repeat and response; advice, repeat and response).
#[inline]
pub(super) fn class_of(mti: [u8; 4]) -> u8 {
    let [_, class, _, _] = mti;
    if advises(mti) { class | ADVICE } else { class }
}

/// Institution codes are compared without leading zeros: field 32 is sent as it is, original data zero-filled.
fn significant(name: Name, value: &[u8]) -> &[u8] {
    if is_stripped(name) {
        value.get(zeros(value)..).unwrap_or(&[])
    } else {
        value
    }
}

/// Whether a value is compared without leading zeros.
pub(super) fn is_stripped(name: Name) -> bool {
    matches!(name, Name::AcquirerCode | Name::ForwarderCode)
}

/// Leading zeros.
#[inline]
pub(super) fn zeros(value: &[u8]) -> usize {
    value.iter().take_while(|&&byte| byte == b'0').count()
}

fn push(out: &mut Vec<u8>, name: Name, value: Option<&[u8]>) {
    push_value(out, value.map(|value| significant(name, value)));
}

fn push_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            out.extend_from_slice(&(value.len() as u16).to_le_bytes());
            out.extend_from_slice(value);
        }
        None => out.extend_from_slice(&ABSENT.to_le_bytes()),
    }
}

fn push_year(out: &mut Vec<u8>, time: Option<&[u8]>, now_s: i64) {
    out.extend_from_slice(&year(time, now_s).to_le_bytes());
}

/// The year of a transmission time as a key has it.
pub(super) fn year(time: Option<&[u8]>, now_s: i64) -> u16 {
    let part = |range: std::ops::Range<usize>| {
        time.and_then(|time| time.get(range))
            .and_then(decimal)
            .unwrap_or(0) as i64
    };
    inferred_year(part(0..2), part(2..4), now_s) as u16
}

/// The year in which month and day are nearest to now: a message of 31 December that arrives on 1 January
/// belongs to the year before.
pub fn inferred_year(month: i64, day: i64, now_s: i64) -> i64 {
    let today = now_s.div_euclid(86_400);
    let year = year_of(today);
    if !(1..=12).contains(&month) {
        return year;
    }
    [year, year - 1, year + 1]
        .into_iter()
        .min_by_key(|&year| (days(year, month, day) - today).abs())
        .unwrap_or(year)
}

/// Days since 1970-01-01 of a Gregorian date. Source: H. Hinnant, "chrono-compatible low-level date algorithms".
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn year_of(day: i64) -> i64 {
    let guess = 1970 + day.div_euclid(365);
    // The guess is never early; leap days make it late by one at most within centuries of now.
    (0..)
        .map(|back| guess - back)
        .find(|&year| days(year, 1, 1) <= day)
        .unwrap_or(guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_is_the_nearest() {
        let at = |year, month, day| days(year, month, day) * 86_400 + 60;
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(inferred_year(12, 31, at(2027, 1, 1)), 2026);
        assert_eq!(inferred_year(1, 1, at(2026, 12, 31)), 2027);
        assert_eq!(inferred_year(11, 23, at(2026, 11, 23)), 2026);
        assert_eq!(inferred_year(2, 29, at(2028, 2, 29)), 2028);
        assert_eq!(inferred_year(0, 0, at(2026, 6, 1)), 2026);
        for year in 1971..2200 {
            assert_eq!(year_of(days(year, 1, 1)), year);
            assert_eq!(year_of(days(year, 12, 31)), year);
        }
    }
}
