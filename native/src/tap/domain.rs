//! What a token may be used for, against what a message asks for. Pure functions over one record and one message.

use std::borrow::Cow;

use super::reason::Reason;
use crate::codec::message::Message;
use crate::codec::name::Name;
use crate::index::{Domain, TokenRecord};

/// Bits of `switch.model.token.Channel` by the first two digits of field 22.
const CHANNELS: [(&[u8; 2], u16); 9] = [
    (b"07", 1),
    (b"91", 1),
    (b"05", 2),
    (b"95", 2),
    (b"03", 4),
    (b"01", 8),
    (b"81", 8),
    (b"02", 16),
    (b"90", 16),
];

/// What a message asks for, read once.
pub struct Asked {
    pub amount_minor: u64,
    /// Numeric, ISO 4217.
    pub currency: u16,
}

impl Asked {
    /// Amount and currency, which every tap is checked against.
    pub fn of(message: &Message) -> Result<Asked, Reason> {
        let amount_minor = u64::try_from(message.amount_minor());
        let currency = message.value(Name::Currency);
        Ok(Asked {
            amount_minor: amount_minor.map_err(|_| Reason::AmountMissing)?,
            currency: currency
                .and_then(|digits| number(&digits))
                .ok_or(Reason::CurrencyMissing)?,
        })
    }
}

/// Checks everything that a domain restricts. `requestor` is what the message says (tag 9F19), when it says it.
pub fn check(
    record: &TokenRecord,
    message: &Message,
    asked: &Asked,
    requestor: Option<&[u8]>,
    now_s: i64,
) -> Result<(), Reason> {
    let domain = &record.domain;
    dates(domain, now_s)?;
    channel(domain, message)?;
    category(domain, message)?;
    if domain.requestor_bound {
        let found = requestor.ok_or(Reason::RequestorMissing)?;
        if !is_requestor(found, &record.requestor) {
            return Err(Reason::RequestorDiffers);
        }
    }
    let currencies = domain.currencies.get();
    if !currencies.is_empty() && !currencies.contains(&asked.currency) {
        return Err(Reason::CurrencyForbidden);
    }
    match domain.ceiling {
        // An amount of another currency cannot be compared with the ceiling.
        Some((_, currency)) if currency != asked.currency => Err(Reason::CurrencyForbidden),
        Some((ceiling, _)) if asked.amount_minor > ceiling => Err(Reason::AboveCeiling),
        _ => Ok(()),
    }
}

fn dates(domain: &Domain, now_s: i64) -> Result<(), Reason> {
    if now_s < i64::from(domain.not_before_s) {
        return Err(Reason::NotYet);
    }
    if domain.not_after_s != 0 && now_s >= i64::from(domain.not_after_s) {
        return Err(Reason::NoLonger);
    }
    Ok(())
}

fn channel(domain: &Domain, message: &Message) -> Result<(), Reason> {
    if domain.channels == 0 {
        return Ok(());
    }
    let mode = message
        .value(Name::EntryMode)
        .ok_or(Reason::ChannelMissing)?;
    let known = CHANNELS.iter().find(|(head, _)| mode.starts_with(*head));
    match known {
        Some((_, bit)) if domain.channels & bit != 0 => Ok(()),
        _ => Err(Reason::ChannelForbidden),
    }
}

fn category(domain: &Domain, message: &Message) -> Result<(), Reason> {
    let allowed = domain.mccs.get();
    if allowed.is_empty() {
        return Ok(());
    }
    let (name, from) = message.dialect().tap.mcc.unwrap_or((Name::Mcc, 0));
    let field = message.value(name).ok_or(Reason::MccMissing)?;
    let from = usize::from(from);
    let found = field.get(from..from + 4).and_then(number);
    if allowed.contains(&found.ok_or(Reason::MccMissing)?) {
        Ok(())
    } else {
        Err(Reason::MccForbidden)
    }
}

/// Tag 9F19 holds the requestor's 11 digits packed behind a zero (EMV's format n), as text, or packed and filled with F.
fn is_requestor(found: &[u8], requestor: &[u8; 11]) -> bool {
    if found == requestor {
        return true;
    }
    let half = |place: usize| found[place / 2] >> (4 * (1 - place % 2)) & 15;
    let packed = |from: usize| {
        let mut digits = requestor.iter().enumerate();
        digits.all(|(place, digit)| half(from + place) == digit - b'0')
    };
    found.len() == 6 && (half(0) == 0 && packed(1) || half(11) == 15 && packed(0))
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        sum.checked_mul(10)?.checked_add(u16::from(digit))
    })
}

/// True when a token with this expiry (YYMM) is past its month at a Unix time, in UTC.
pub fn is_expired(expiry: [u8; 4], now_yymm: u16) -> bool {
    number(&expiry).is_none_or(|month| month < now_yymm)
}

/// Year and month of a Unix time as YYMM, UTC.
pub fn yymm_of(now_s: i64) -> u16 {
    // Civil date from days: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let days = now_s.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year.rem_euclid(100) * 100 + month) as u16
}

/// What chip data say of the token beside the cryptogram. Every copy of a tag must agree.
pub fn chip_agrees<'c>(
    field: &'c [u8],
    token: &[u8],
    record: &TokenRecord,
) -> Result<Option<&'c [u8]>, super::Refused> {
    let mut requestor = None;
    for element in crate::codec::tlv::Ber::new(field) {
        let element = element.map_err(|_| crate::emv::Refusal::FieldFormat)?;
        let value = element.value;
        match element.tag {
            0x5a if !packed_is(value, token) => return Err(Reason::ChipNumberDiffers.into()),
            0x57 if !track_is(&unpacked(value), token, &record.token_expiry) => {
                return Err(Reason::ChipTrackDiffers.into());
            }
            0x5f34 => {
                let packed = ((record.token_sequence / 10) << 4) | (record.token_sequence % 10);
                if value != [packed] {
                    return Err(Reason::ChipSequenceDiffers.into());
                }
            }
            0x9f19 if requestor.is_some_and(|other| other != value) => {
                return Err(Reason::RequestorDiffers.into());
            }
            0x9f19 => requestor = Some(value),
            _ => {}
        }
    }
    Ok(requestor)
}

/// Fields 14, 23 and 35 against the token's record, where the message has them.
pub fn fields_agree(message: &Message, token: &[u8], record: &TokenRecord) -> Result<(), Reason> {
    let differs = |name: Name, same: &dyn Fn(&[u8]) -> bool| {
        let value: Option<Cow<'_, [u8]>> = message.value(name);
        value.is_some_and(|value| !same(&value))
    };
    if differs(Name::Expiry, &|value| value == record.token_expiry) {
        return Err(Reason::ExpiryDiffers);
    }
    let sequence = u16::from(record.token_sequence);
    if differs(Name::CardSequence, &|value| number(value) == Some(sequence)) {
        return Err(Reason::SequenceDiffers);
    }
    if differs(Name::Track2, &|value| {
        track_is(value, token, &record.token_expiry)
    }) {
        return Err(Reason::TrackDiffers);
    }
    Ok(())
}

/// Packed digits, filled with F at the end.
fn packed_is(value: &[u8], digits: &[u8]) -> bool {
    value.len() == digits.len().div_ceil(2)
        && (0..2 * value.len()).all(|place| {
            let nibble = value[place / 2] >> (4 * (1 - place % 2)) & 15;
            match digits.get(place) {
                Some(digit) => nibble == digit & 15,
                None => nibble == 15,
            }
        })
}

/// Track 2 as text: number, separator, expiry; the rest is the issuer's.
fn track_is(track: &[u8], token: &[u8], expiry: &[u8; 4]) -> bool {
    let Some(rest) = track.strip_prefix(token) else {
        return false;
    };
    matches!(rest, [b'=' | b'D' | b'd', year @ ..] if year.starts_with(expiry))
}

/// Half bytes as digits; D separates, as on a track.
fn unpacked(packed: &[u8]) -> Vec<u8> {
    packed
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| match nibble {
            0..=9 => b'0' + nibble,
            13 => b'D',
            _ => b'F',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_where_they_end() {
        assert_eq!(yymm_of(1_795_564_800), 2611);
        assert_eq!(yymm_of(0), 7001);
        assert_eq!(yymm_of(951_782_399), 2);
        let december = *b"2612";
        assert!(!is_expired(december, 2612));
        assert!(is_expired(december, 2701));
        assert!(!is_expired(*b"2701", 2612));
    }

    #[test]
    fn packed_numbers_and_tracks_agree_only_when_whole() {
        let token = b"629977000000000";
        let packed = [0x62, 0x99, 0x77, 0, 0, 0, 0, 0x0f];
        assert!(packed_is(&packed, token));
        assert!(!packed_is(&packed[..7], token));
        assert!(!packed_is(&[0x62, 0x99, 0x77, 0, 0, 0, 0, 0x1f], token));
        assert!(!packed_is(&[0x62, 0x99, 0x77, 0, 0, 0, 0, 0x00], token));
        assert!(track_is(b"629977000000000=3012201", token, b"3012"));
        assert!(track_is(b"629977000000000D3012201", token, b"3012"));
        assert!(!track_is(b"629977000000000=3011201", token, b"3012"));
        assert!(!track_is(b"6299770000000001=3012201", token, b"3012"));
        assert!(!track_is(b"629977000000000", token, b"3012"));
    }

    #[test]
    fn a_requestor_is_text_or_packed() {
        assert!(is_requestor(b"12300000001", b"12300000001"));
        assert!(is_requestor(&[0x12, 0x30, 0, 0, 0, 0x1f], b"12300000001"));
        assert!(is_requestor(&[0x01, 0x23, 0, 0, 0, 0x01], b"12300000001"));
        assert!(!is_requestor(&[0x11, 0x23, 0, 0, 0, 0x01], b"12300000001"));
        assert!(!is_requestor(&[0x01, 0x23, 0, 0, 0], b"12300000001"));
        assert!(!is_requestor(&[0x12, 0x30, 0, 0, 0, 0x10], b"12300000001"));
        assert!(!is_requestor(b"12300000002", b"12300000001"));
        assert!(!is_requestor(b"", b"12300000001"));
    }
}
