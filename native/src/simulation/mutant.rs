//! Defects that a simulation can turn on, to see that its oracles notice them.
//!
//! A test that has never failed says little. Each of these breaks one promise where Python cannot reach it; they are
//! compiled in, because a build with them is another program than the one that ships, and they can only be turned on
//! between `simulation::begin` and `end`, which no process with a real journal gets to. Off, each costs a relaxed load
//! of a word that nobody writes.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! mutants {
    ($($(#[doc = $about:literal])+ $name:ident => $text:literal,)+) => {
        /// One defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Mutant {
            $($(#[doc = $about])+ $name,)+
        }

        /// Every defect: its name, and what it does.
        pub const MUTANTS: &[(Mutant, &str, &str)] = &[
            $((Mutant::$name, $text, concat!($($about),+)),)+
        ];
    };
}

mutants! {
    /// An answer leaves before its record is durable.
    AnswerBeforeSync => "answer_before_sync",
    /// A request's bank leg leaves before its record is durable.
    RequestBeforeSync => "request_before_sync",
    /// A reversal leaves before the record that owes it is durable.
    ReversalBeforeSync => "reversal_before_sync",
    /// A group is reported durable without a sync.
    SyncSkipped => "sync_skipped",
    /// A sync that failed is tried again, and believed.
    SyncRetried => "failed_sync_retried",
    /// A sync that failed is taken for one that did not.
    SyncIgnored => "failed_sync_ignored",
    /// A group over two segments is reported durable when its first part is.
    PartIsEnough => "part_of_a_group_is_enough",
    /// A reversal of an unknown original leaves no tombstone in the table.
    NoTombstone => "no_tombstone",
    /// Tombstones are not restored at recovery.
    TombstoneLost => "tombstone_not_recovered",
    /// An acquirer's reversal does not mark its original.
    ReversedForgotten => "reversed_not_marked",
    /// A key that was claimed is claimed again.
    DuplicateForgotten => "duplicate_forgotten",
    /// The table of duplicates is empty after recovery.
    DuplicatesLost => "duplicates_not_recovered",
    /// The counter of an accepted tap is not claimed.
    CounterNotClaimed => "counter_not_claimed",
    /// Counters are not restored at recovery.
    CountersLost => "counters_not_recovered",
    /// Requests without an outcome are forgotten at recovery.
    InDoubtLost => "in_doubt_not_recovered",
    /// Reversals without a final code are forgotten at recovery.
    OwedLost => "owed_not_recovered",
    /// Numbers that were used towards institutions are forgotten at recovery.
    MarksLost => "marks_not_recovered",
    /// Transaction numbers begin again after recovery.
    NumbersLost => "numbers_not_recovered",
    /// A record that does not follow the one before is read all the same.
    ChainIgnored => "chain_not_checked",
    /// A torn tail takes the last whole record with it.
    CutTooFar => "tail_cut_too_far",
    /// Damage before durable records is taken for a torn tail.
    DamageCut => "damage_cut",
    /// A checkpoint does not carry reversals that are owed.
    CheckpointForgetsOwed => "checkpoint_forgets_owed",
    /// A checkpoint leaves out keys that are older than an hour.
    CheckpointForgetsHours => "checkpoint_forgets_hours",
    /// A checkpoint leaves out what was reversed once it is a day old.
    ReversedLapses => "reversed_lapses",
    /// A checkpoint does not carry answers that were given.
    CheckpointForgetsAnswers => "checkpoint_forgets_answers",
    /// A segment that recovery still needs is removed.
    RemovedTooEarly => "segment_removed_too_early",
    /// A checkpoint does not carry what was approved in a bank's name.
    CheckpointForgetsTotals => "checkpoint_forgets_stand_in",
    /// A bank gets another amount than was asked.
    AmountToBank => "amount_changed_to_bank",
    /// An acquirer is told of another amount than it asked.
    AmountInAnswer => "amount_changed_in_answer",
    /// An approval in a bank's name counts against no limit.
    StandInUncounted => "stand_in_not_counted",
    /// What was approved in banks' names is forgotten at recovery.
    StandInLost => "stand_in_not_recovered",
    /// Each token of a card has an allowance of its own.
    StandInPerToken => "stand_in_per_token",
    /// A token is good in whatever state it is.
    TokenStateIgnored => "token_state_ignored",
    /// What was written into the index is taken up by a timer, not by the next tap.
    SnapshotKept => "index_snapshot_kept",
    /// A token is good on every channel.
    ChannelIgnored => "token_channel_ignored",
    /// A token is good at every merchant.
    MerchantIgnored => "token_merchant_ignored",
    /// A token is good for whoever presents it.
    RequestorIgnored => "token_requestor_ignored",
    /// A token is good in every currency.
    CurrencyIgnored => "token_currency_ignored",
    /// A token is good before and after its dates.
    DatesIgnored => "token_dates_ignored",
    /// A token is good for any amount.
    CeilingIgnored => "token_ceiling_ignored",
    /// A token is good after the month that it shows.
    ExpiryIgnored => "token_expiry_ignored",
    /// A start leaves the last group that it reads where a power cut takes it.
    LastGroupLeft => "last_group_not_made_durable",
    /// A start syncs the last group that it reads, and does not write it anew.
    LastGroupSynced => "last_group_only_synced",
    /// The repeat of a request that was turned away is taken.
    TurnedAwayForgotten => "turned_away_forgotten",
    /// A request that was refused without a record leaves its key claimed.
    RefusedStaysClaimed => "refused_stays_claimed",
}

impl Mutant {
    #[must_use]
    pub fn parse(name: &str) -> Option<Mutant> {
        MUTANTS
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(mutant, ..)| *mutant)
    }
}

/// Bit n: the n-th is on.
static ON: AtomicU64 = AtomicU64::new(0);

/// Whether this defect is on.
#[inline]
#[must_use]
pub fn on(mutant: Mutant) -> bool {
    ON.load(Ordering::Relaxed) & 1 << mutant as u8 != 0
}

/// Whether any defect is on.
#[inline]
#[must_use]
pub fn any() -> bool {
    ON.load(Ordering::Relaxed) != 0
}

/// For `simulation` only, which judges who may.
pub(super) fn turn_on(mutant: Mutant) {
    ON.fetch_or(1 << mutant as u8, Ordering::SeqCst);
}

/// None is on any more.
pub(super) fn heal() {
    ON.store(0, Ordering::SeqCst);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_bit_and_a_name_and_none_is_on() {
        assert!(MUTANTS.len() <= 64);
        for (mutant, name, about) in MUTANTS {
            assert_eq!(Mutant::parse(name), Some(*mutant));
            assert!(about.trim().ends_with('.') && !on(*mutant), "{name}");
        }
    }

    #[test]
    fn a_process_that_is_no_simulation_turns_none_on() {
        let refused = crate::simulation::mutate(Mutant::SyncSkipped);
        assert_eq!(refused, Err(crate::simulation::SimulationError::Off));
        assert!(!on(Mutant::SyncSkipped));
    }
}
