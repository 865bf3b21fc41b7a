//! Why a tap is refused: one reason each, counted apart. An acquirer is told less (`switch.engine.authorise`).

use crate::emv::Refusal;
use crate::emv::refusal::REASONS as CRYPTOGRAM_REASONS;
use crate::index::{TokenState, Unavailable};

use super::atc::Freshness;

/// A reason of this room; those of the cryptogram keep their own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The index has no answer: a fault of ours, and no word about the token.
    IndexMissing,
    IndexStale,
    IndexDamaged,
    IndexSealed,
    TokenUnknown,
    TokenDeleted,
    /// Made, and not yet released.
    TokenRequested,
    TokenSuspended,
    TokenExpired,
    /// Field 14 is not the token's expiry.
    ExpiryDiffers,
    /// Field 23 is not the token's sequence number.
    SequenceDiffers,
    /// Field 35 is not this token's track.
    TrackDiffers,
    /// Tag 5A is not this token.
    ChipNumberDiffers,
    /// Tag 57 is not this token's track.
    ChipTrackDiffers,
    /// Tag 5F34 is not the token's sequence number.
    ChipSequenceDiffers,
    /// No amount or no currency that could be compared.
    AmountMissing,
    CurrencyMissing,
    NotYet,
    NoLonger,
    /// A restricted value is not in the message.
    ChannelMissing,
    ChannelForbidden,
    MccMissing,
    MccForbidden,
    CurrencyForbidden,
    RequestorMissing,
    RequestorDiffers,
    AboveCeiling,
    /// No field 55.
    ChipMissing,
    AtcSeen,
    AtcOld,
    AtcGap,
    /// FFFF: the device has no counter left.
    AtcSpent,
}

/// Words of `Reason` in its order.
const OWN: [&str; 32] = [
    "index_missing",
    "index_stale",
    "index_damaged",
    "index_sealed",
    "token_unknown",
    "token_deleted",
    "token_requested",
    "token_suspended",
    "token_expired",
    "expiry_differs",
    "sequence_differs",
    "track_differs",
    "chip_number_differs",
    "chip_track_differs",
    "chip_sequence_differs",
    "amount_missing",
    "currency_missing",
    "not_yet",
    "no_longer",
    "channel_missing",
    "channel_forbidden",
    "mcc_missing",
    "mcc_forbidden",
    "currency_forbidden",
    "requestor_missing",
    "requestor_differs",
    "above_ceiling",
    "chip_missing",
    "atc_seen",
    "atc_old",
    "atc_gap",
    "atc_spent",
];

/// Number of reasons, those of the cryptogram included.
pub const COUNT: usize = OWN.len() + CRYPTOGRAM_REASONS.len();

/// Every reason's word, by its number.
pub const REASONS: [&str; COUNT] = {
    let mut all = [""; COUNT];
    let mut place = 0;
    while place < COUNT {
        all[place] = if place < OWN.len() {
            OWN[place]
        } else {
            CRYPTOGRAM_REASONS[place - OWN.len()]
        };
        place += 1;
    }
    all
};

/// A refusal, by its number in `REASONS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub u8);

impl Refused {
    pub fn reason(self) -> &'static str {
        REASONS.get(usize::from(self.0)).copied().unwrap_or("")
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Refused {
        Refused(reason as u8)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused((OWN.len() + refusal.place()) as u8)
    }
}

impl From<Unavailable> for Refused {
    fn from(why: Unavailable) -> Refused {
        Refused::from(match why {
            Unavailable::Missing => Reason::IndexMissing,
            Unavailable::Stale => Reason::IndexStale,
            Unavailable::Damaged => Reason::IndexDamaged,
            Unavailable::Sealed => Reason::IndexSealed,
        })
    }
}

/// A state that is not active.
pub fn of_state(state: TokenState) -> Option<Reason> {
    match state {
        TokenState::Active => None,
        TokenState::Requested => Some(Reason::TokenRequested),
        TokenState::Suspended => Some(Reason::TokenSuspended),
        TokenState::Deleted => Some(Reason::TokenDeleted),
    }
}

/// A counter that is not fresh.
pub fn of_counter(freshness: Freshness) -> Option<Reason> {
    match freshness {
        Freshness::Fresh => None,
        Freshness::Seen => Some(Reason::AtcSeen),
        Freshness::Old => Some(Reason::AtcOld),
        Freshness::Gap => Some(Reason::AtcGap),
        Freshness::Spent => Some(Reason::AtcSpent),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: HashSet<&str> = REASONS.into_iter().collect();
        assert_eq!(words.len(), COUNT);
        assert!(REASONS.iter().all(|word| !word.is_empty()));
        assert_eq!(Reason::AtcSpent as usize, OWN.len() - 1);
        assert_eq!(
            Refused::from(Reason::AboveCeiling).reason(),
            "above_ceiling"
        );
        assert_eq!(Refused::from(Refusal::Cryptogram).reason(), "cryptogram");
        assert_eq!(Refused::from(Refusal::Results).reason(), "results");
    }
}
