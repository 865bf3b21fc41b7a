//! Agreement of what the card signed with what the message asks for. Pure functions over tag values.

use super::refusal::Refusal;

/// The number that packed digits are; None when a half byte is no digit.
pub fn digits(packed: &[u8]) -> Option<u64> {
    packed.iter().try_fold(0u64, |sum, byte| {
        let (high, low) = (byte >> 4, byte & 15);
        if high > 9 || low > 9 {
            return None;
        }
        sum.checked_mul(100)?
            .checked_add(u64::from(high * 10 + low))
    })
}

/// Tag 9F02 against the amount of field 4, in the currency's minor unit.
pub fn amount(tag: &[u8], asked: u64) -> Result<(), Refusal> {
    match digits(tag) {
        None => Err(Refusal::TagFormat(0x9f02)),
        Some(signed) if signed == asked => Ok(()),
        Some(_) => Err(Refusal::AmountDiffers),
    }
}

/// Tag 5F2A against the numeric currency of field 49.
pub fn currency(tag: &[u8], asked: u16) -> Result<(), Refusal> {
    match digits(tag) {
        None => Err(Refusal::TagFormat(0x5f2a)),
        Some(signed) if signed == u64::from(asked) => Ok(()),
        Some(_) => Err(Refusal::CurrencyDiffers),
    }
}
