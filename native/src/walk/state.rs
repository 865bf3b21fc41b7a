//! States that native and Python share by number (`switch/model/state.py`; a test compares).

/// State of a request key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyState {
    #[default]
    New = 0,
    InFlight = 1,
    Approved = 2,
    Declined = 3,
    Reversed = 4,
    Tombstone = 5,
    TurnedAway = 6,
}

impl KeyState {
    pub fn from_u8(number: u8) -> Option<KeyState> {
        [
            KeyState::New,
            KeyState::InFlight,
            KeyState::Approved,
            KeyState::Declined,
            KeyState::Reversed,
            KeyState::Tombstone,
            KeyState::TurnedAway,
        ]
        .get(usize::from(number))
        .copied()
    }
}

/// Why a reversal is owed to a bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    #[default]
    None = 0,
    Timeout = 1,
    Acquirer = 2,
    UnusableAnswer = 3,
    LinkLost = 4,
    Restart = 5,
    Undeliverable = 6,
}

impl Cause {
    pub fn from_u8(number: u8) -> Option<Cause> {
        [
            Cause::None,
            Cause::Timeout,
            Cause::Acquirer,
            Cause::UnusableAnswer,
            Cause::LinkLost,
            Cause::Restart,
            Cause::Undeliverable,
        ]
        .get(usize::from(number))
        .copied()
    }
}

/// What a bank is owed. At most one of each for a transaction, and in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Duty {
    /// The reversal of a request that went to it.
    #[default]
    Reversal = 0,
    /// Word of what was decided without it.
    Advice = 1,
    /// The reversal of that.
    Withdrawal = 2,
}

impl Duty {
    pub fn from_u8(number: u8) -> Option<Duty> {
        [Duty::Reversal, Duty::Advice, Duty::Withdrawal]
            .get(usize::from(number))
            .copied()
    }

    /// What takes back a message that went to the bank under this MTI.
    pub fn undoing(mti: [u8; 4]) -> Duty {
        if mti[2] == b'2' {
            Duty::Withdrawal
        } else {
            Duty::Reversal
        }
    }
}

/// What an acquirer's reversal did to its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReversalEffect {
    Tombstone = 0,
    CancelUnsent = 1,
    Suppress = 2,
    Reverse = 3,
    Nothing = 4,
}

impl ReversalEffect {
    pub fn from_u8(number: u8) -> Option<ReversalEffect> {
        [
            ReversalEffect::Tombstone,
            ReversalEffect::CancelUnsent,
            ReversalEffect::Suppress,
            ReversalEffect::Reverse,
            ReversalEffect::Nothing,
        ]
        .get(usize::from(number))
        .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back() {
        for number in 0..=6u8 {
            assert_eq!(
                KeyState::from_u8(number).map(|s| s as u8),
                (number < 7).then_some(number)
            );
            assert_eq!(
                Cause::from_u8(number).map(|c| c as u8),
                (number < 7).then_some(number)
            );
            assert_eq!(
                ReversalEffect::from_u8(number).map(|e| e as u8),
                (number < 5).then_some(number)
            );
            assert_eq!(
                Duty::from_u8(number).map(|d| d as u8),
                (number < 3).then_some(number)
            );
        }
        assert_eq!(KeyState::from_u8(7), None);
        assert_eq!(Cause::from_u8(7), None);
        assert_eq!(Duty::undoing(*b"0200"), Duty::Reversal);
        assert_eq!(Duty::undoing(*b"0120"), Duty::Withdrawal);
    }
}
