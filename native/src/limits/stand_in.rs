//! What was approved in banks' names today: counts and sums per card and per bank, and whether one more fits.
//!
//! A card is known by the keyed hash of its real number, so that all its tokens and the card itself spend one allowance.
//! The totals are a fold of the journal's records and nothing else: replay adds what each STOOD_IN record says, and a
//! carried record of a checkpoint replaces a total, because it was taken when everything before it had been added.
//! Days are business dates. Two are open (a request keeps the date it was accepted with, over a cut-over); what belongs
//! to an older one is refused, since its totals are gone. Sums never fall: a reversal gives nothing back, or whoever
//! reverses could make a limit endless.

use std::collections::BTreeMap;

/// Keyed hash of a card number.
pub type CardRef = [u8; 8];

/// A business date, YYYYMMDD, as the text has it: dates order as text does.
pub type Date = [u8; 8];
/// ISO 4217 number, three digits.
pub type Currency = [u8; 3];

/// Whose total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    Bank(u16),
    Card(CardRef),
}

/// One total's key; ordered by day first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Of {
    pub date: Date,
    pub currency: Currency,
    pub whose: Whose,
}

/// What was approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub count: u32,
    pub sum: u64,
}

/// What a rule allows; 0 of the bank's sum: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    pub count: u32,
    pub sum: u64,
    pub bank_sum: u64,
}

/// One approval as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Spending {
    pub date: Date,
    pub currency: Currency,
    pub card: CardRef,
    pub bank: u16,
    pub amount: u64,
}

/// Whether one more approval fits. The numbers are those of `switch.engine.ports.StandIn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fit {
    Fits = 0,
    Count = 1,
    Sum = 2,
    BankSum = 3,
    /// No room for another card.
    Full = 4,
    /// The day's totals are gone.
    Closed = 5,
    /// The card has ended, or nobody says until when it is good.
    Expired = 6,
}

/// All totals of the open days.
#[derive(Debug)]
pub struct StandIns {
    used: BTreeMap<Of, Used>,
    max: usize,
}

/// Without a limit, for those who count what was approved.
impl Default for StandIns {
    fn default() -> Self {
        StandIns::new(usize::MAX)
    }
}

impl StandIns {
    /// `max`: totals at a time; beyond it a new card is refused.
    pub fn new(max: usize) -> StandIns {
        StandIns {
            used: BTreeMap::new(),
            max,
        }
    }

    pub fn len(&self) -> usize {
        self.used.len()
    }

    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// A total; zero when nothing was approved.
    pub fn used(&self, of: &Of) -> Used {
        self.used.get(of).copied().unwrap_or_default()
    }

    /// Whether the approval fits into what is allowed. Changes nothing.
    pub fn fits(&self, spending: &Spending, allowed: &Allowance) -> Fit {
        if self
            .oldest_open()
            .is_some_and(|oldest| spending.date < oldest)
        {
            return Fit::Closed;
        }
        let [card, bank] = spending.totals();
        let known = self.used.get(&card);
        let mine = known.copied().unwrap_or_default();
        let whole = self.used(&bank);
        let above = |sum: u64, limit: u64| {
            sum.checked_add(spending.amount)
                .is_none_or(|sum| sum > limit)
        };
        if known.is_none() && self.used.len() >= self.max {
            Fit::Full
        } else if mine.count >= allowed.count {
            Fit::Count
        } else if above(mine.sum, allowed.sum) {
            Fit::Sum
        } else if allowed.bank_sum > 0 && above(whole.sum, allowed.bank_sum) {
            Fit::BankSum
        } else {
            Fit::Fits
        }
    }

    /// Counts an approval that stands in the journal.
    pub fn add(&mut self, spending: &Spending) {
        for of in spending.totals() {
            let used = self.used(&of);
            let more = Used {
                count: used.count.saturating_add(1),
                sum: used.sum.saturating_add(spending.amount),
            };
            self.set(of, more);
        }
    }

    /// A total as a checkpoint carries it. One of a day that is closed is forgotten at once.
    pub fn set(&mut self, of: Of, used: Used) {
        self.used.insert(of, used);
        if let Some(oldest) = self.oldest_open() {
            let floor = Of {
                date: oldest,
                currency: [0; 3],
                whose: Whose::Bank(0),
            };
            if self.used.keys().next().is_some_and(|first| *first < floor) {
                self.used = self.used.split_off(&floor);
            }
        }
    }

    /// The total behind `after`, in order; the first one for None.
    pub fn next(&self, after: Option<&Of>) -> Option<(&Of, &Used)> {
        match after {
            Some(of) => self
                .used
                .range((std::ops::Bound::Excluded(*of), std::ops::Bound::Unbounded))
                .next(),
            None => self.used.iter().next(),
        }
    }

    /// The second newest day; None while there is one at most.
    fn oldest_open(&self) -> Option<Date> {
        let newest = self.used.keys().next_back()?.date;
        let start = Of {
            date: newest,
            currency: [0; 3],
            whose: Whose::Bank(0),
        };
        self.used.range(..start).next_back().map(|(of, _)| of.date)
    }
}

impl Spending {
    /// The totals that it counts in: the card's, then the bank's.
    pub fn totals(&self) -> [Of; 2] {
        let of = |whose| Of {
            date: self.date,
            currency: self.currency,
            whose,
        };
        [of(Whose::Card(self.card)), of(Whose::Bank(self.bank))]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALLOWED: Allowance = Allowance {
        count: 3,
        sum: 1_000,
        bank_sum: 2_500,
    };

    fn spending(date: &Date, card: u8, amount: u64) -> Spending {
        Spending {
            date: *date,
            currency: *b"156",
            card: [card; 8],
            bank: 4,
            amount,
        }
    }

    fn spend(totals: &mut StandIns, date: &Date, card: u8, amount: u64) -> Fit {
        let one = spending(date, card, amount);
        let fit = totals.fits(&one, &ALLOWED);
        if fit == Fit::Fits {
            totals.add(&one);
        }
        fit
    }

    #[test]
    fn count_sum_and_the_bank_s_sum_are_limits() {
        let mut totals = StandIns::new(100);
        let day = b"20261128";
        assert_eq!(spend(&mut totals, day, 1, 1_001), Fit::Sum);
        assert_eq!(spend(&mut totals, day, 1, 900), Fit::Fits);
        assert_eq!(spend(&mut totals, day, 1, 101), Fit::Sum);
        assert_eq!(spend(&mut totals, day, 1, 50), Fit::Fits);
        assert_eq!(spend(&mut totals, day, 1, 50), Fit::Fits);
        assert_eq!(spend(&mut totals, day, 1, 1), Fit::Count);
        assert_eq!(spend(&mut totals, day, 2, 1_000), Fit::Fits);
        assert_eq!(spend(&mut totals, day, 3, 501), Fit::BankSum);
        assert_eq!(spend(&mut totals, day, 3, 500), Fit::Fits);
        assert_eq!(spend(&mut totals, day, 3, u64::MAX), Fit::Sum);
    }

    #[test]
    fn another_day_begins_anew_and_two_days_are_open() {
        let mut totals = StandIns::new(100);
        assert_eq!(spend(&mut totals, b"20261231", 1, 1_000), Fit::Fits);
        assert_eq!(spend(&mut totals, b"20270101", 1, 1_000), Fit::Fits);
        assert_eq!(spend(&mut totals, b"20261231", 1, 1), Fit::Sum);
        assert_eq!(spend(&mut totals, b"20261231", 2, 1), Fit::Fits);
        assert_eq!(spend(&mut totals, b"20270102", 1, 1), Fit::Fits);
        assert_eq!(spend(&mut totals, b"20261231", 2, 1), Fit::Closed);
        assert_eq!(spend(&mut totals, b"20270101", 1, 1), Fit::Sum);
        let dates: std::collections::BTreeSet<Date> =
            totals.used.keys().map(|of| of.date).collect();
        assert_eq!(dates.len(), 2);
    }

    #[test]
    fn a_full_table_refuses_new_cards_and_serves_known_ones() {
        let mut totals = StandIns::new(3);
        let day = b"20261128";
        assert_eq!(spend(&mut totals, day, 1, 1), Fit::Fits);
        assert_eq!(spend(&mut totals, day, 2, 1), Fit::Fits);
        assert_eq!(spend(&mut totals, day, 3, 1), Fit::Full);
        assert_eq!(spend(&mut totals, day, 2, 1), Fit::Fits);
    }

    proptest! {
        /// Against the plainest model: a list of what was approved. In between a checkpoint may carry all totals into a
        /// fresh table, and what is added meanwhile is replayed behind it.
        #[test]
        fn totals_are_the_sums_of_what_was_approved(
            steps in proptest::collection::vec((0u8..3, 0u8..3, 1u64..700, any::<bool>()), 1..120)
        ) {
            let days: [&Date; 3] = [b"20261128", b"20261129", b"20261130"];
            let mut totals = StandIns::new(1_000);
            let mut approved: Vec<(usize, u8, u64)> = Vec::new();
            let mut newest = 0;
            for (later, card, amount, restart) in steps {
                let day = newest.max(usize::from(later).min(newest + 1));
                newest = day;
                let mine = approved.iter().filter(|(d, c, _)| (*d, *c) == (day, card));
                let count = mine.clone().count();
                let sum: u64 = mine.map(|(_, _, amount)| amount).sum();
                let whole: u64 = approved.iter().filter(|(d, _, _)| *d == day).map(|(_, _, a)| a).sum();
                let want = if count >= 3 {
                    Fit::Count
                } else if sum + amount > 1_000 {
                    Fit::Sum
                } else if whole + amount > 2_500 {
                    Fit::BankSum
                } else {
                    Fit::Fits
                };
                prop_assert_eq!(spend(&mut totals, days[day], card, amount), want);
                if want == Fit::Fits {
                    approved.push((day, card, amount));
                }
                if restart {
                    let mut fresh = StandIns::new(1_000);
                    let mut at = None;
                    while let Some((of, used)) = totals.next(at.as_ref()) {
                        fresh.set(*of, *used);
                        at = Some(*of);
                    }
                    prop_assert_eq!(&fresh.used, &totals.used);
                    totals = fresh;
                }
            }
        }
    }
}
