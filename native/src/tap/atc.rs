//! Transaction counters that were seen: for each token and sequence number the highest, and a window of 64 below it.
//!
//! A counter that was not seen is fresh when it is above the highest (by at most the gap that a setting allows) or inside
//! the window; one that was seen, or lies below the window, is refused. A counter is claimed when its tap was proved,
//! right before the record that makes the claim durable is written; what a process claims without a record is forgotten
//! with the process. Windows are never evicted, because a forgotten one would let a replay pass: the table is as large
//! as there are tokens that ever tapped, and a checkpoint walks it in small steps by place.
//!
//! Source: EMV 4.3 Book 2, 8.1 (counter as a freshness check); design rule 7 of the walk.

use hashbrown::HashTable;

/// Keyed hash of a token's number.
pub type TokenRef = [u8; 8];

/// Counters below the highest that are remembered, itself included.
pub const WINDOW: u16 = 64;

/// Whose counter: the token, and its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtcKey {
    pub token: TokenRef,
    pub sequence: u8,
}

impl AtcKey {
    /// The reference is a keyed hash already.
    fn hash(&self) -> u64 {
        let hash = u64::from_le_bytes(self.token) ^ u64::from(self.sequence);
        hash.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// What is remembered of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub key: AtcKey,
    pub highest: u16,
    /// Bit n: the counter `highest - n` was seen. Bit 0 is set.
    pub seen: u64,
}

/// Whether a counter may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// It was accepted before.
    Seen,
    /// Below the window: nobody knows any more.
    Old,
    /// Further above the highest than the setting allows.
    Gap,
}

/// All windows of a node.
pub struct AtcTable {
    windows: Vec<Window>,
    places: HashTable<u32>,
}

impl AtcTable {
    /// Room for so many from the start; more cost one pause each time the room doubles.
    pub fn new(capacity: usize) -> AtcTable {
        AtcTable {
            windows: Vec::with_capacity(capacity),
            places: HashTable::with_capacity(capacity),
        }
    }

    pub fn len(&self) -> usize {
        self.windows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The window in a place below `len`; places never change.
    pub fn at(&self, place: usize) -> Option<&Window> {
        self.windows.get(place)
    }

    #[inline]
    fn place(&self, key: &AtcKey) -> Option<usize> {
        let same = |place: &u32| {
            self.windows
                .get(*place as usize)
                .is_some_and(|w| w.key == *key)
        };
        self.places
            .find(key.hash(), same)
            .map(|place| *place as usize)
    }

    /// The window of a token that has tapped before.
    pub fn get(&self, key: &AtcKey) -> Option<&Window> {
        self.windows.get(self.place(key)?)
    }

    /// Whether a counter may be accepted; changes nothing.
    #[inline]
    pub fn check(&self, key: &AtcKey, atc: u16, gap_max: u16) -> Freshness {
        let Some(window) = self.get(key) else {
            return Freshness::Fresh;
        };
        match atc.checked_sub(window.highest) {
            Some(0) => Freshness::Seen,
            Some(above) if above > gap_max => Freshness::Gap,
            Some(_) => Freshness::Fresh,
            None => match window.highest - atc {
                below if below >= WINDOW => Freshness::Old,
                below if window.seen >> below & 1 == 1 => Freshness::Seen,
                _ => Freshness::Fresh,
            },
        }
    }

    /// Remembers a counter; doing it twice is doing it once.
    #[inline]
    pub fn claim(&mut self, key: AtcKey, atc: u16) {
        self.merge(Window {
            key,
            highest: atc,
            seen: 1,
        });
    }

    /// Remembers everything that a window remembers.
    pub fn merge(&mut self, other: Window) {
        let Some(place) = self.place(&other.key) else {
            return self.insert(other);
        };
        if let Some(window) = self.windows.get_mut(place) {
            let highest = window.highest.max(other.highest);
            window.seen = shifted(window.seen, highest - window.highest)
                | shifted(other.seen, highest - other.highest);
            window.highest = highest;
        }
    }

    fn insert(&mut self, window: Window) {
        let place = self.windows.len() as u32;
        self.windows.push(window);
        let windows = &self.windows;
        let rehash = |place: &u32| windows.get(*place as usize).map_or(0, |w| w.key.hash());
        self.places.insert_unique(window.key.hash(), place, rehash);
    }
}

fn shifted(seen: u64, by: u16) -> u64 {
    seen.checked_shl(u32::from(by)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> AtcKey {
        AtcKey {
            token: [number; 8],
            sequence: number % 3,
        }
    }

    #[test]
    fn a_counter_is_fresh_once() {
        let mut table = AtcTable::new(0);
        assert_eq!(table.check(&key(1), 40_000, 10), Freshness::Fresh);
        assert!(table.is_empty(), "looking claims nothing");
        table.claim(key(1), 100);
        assert_eq!(table.check(&key(1), 100, 10), Freshness::Seen);
        assert_eq!(table.check(&key(1), 110, 10), Freshness::Fresh);
        assert_eq!(table.check(&key(1), 111, 10), Freshness::Gap);
        assert_eq!(table.check(&key(1), 37, 10), Freshness::Fresh);
        assert_eq!(table.check(&key(1), 36, 10), Freshness::Old);
        table.claim(key(1), 37);
        assert_eq!(table.check(&key(1), 37, 10), Freshness::Seen);
        table.claim(key(1), 101);
        assert_eq!(table.check(&key(1), 37, 10), Freshness::Old);
        assert_eq!(table.check(&key(1), 100, 10), Freshness::Seen);
        assert_eq!(table.check(&key(2), 100, 10), Freshness::Fresh);
        table.claim(key(1), u16::MAX);
        assert_eq!(table.check(&key(1), 0, u16::MAX), Freshness::Old);
    }

    proptest! {
        /// The plainest model: a set of all counters ever claimed.
        #[test]
        fn agrees_with_remembering_everything(
            steps in prop::collection::vec((0u8..6, 0u16..400), 0..300),
            gap_max in 1u16..500,
        ) {
            let mut table = AtcTable::new(2);
            let mut model: HashMap<u8, BTreeSet<u16>> = HashMap::new();
            for (who, atc) in steps {
                let known = model.entry(who).or_default();
                let highest = known.last().copied();
                let expected = match highest {
                    None => Freshness::Fresh,
                    Some(high) if atc > high && atc - high > gap_max => Freshness::Gap,
                    Some(high) if atc + WINDOW <= high => Freshness::Old,
                    Some(_) if known.contains(&atc) => Freshness::Seen,
                    Some(_) => Freshness::Fresh,
                };
                prop_assert_eq!(table.check(&key(who), atc, gap_max), expected);
                if expected == Freshness::Fresh {
                    table.claim(key(who), atc);
                    known.insert(atc);
                }
            }
        }

        /// Whatever is replayed twice, and in whatever order, gives the same windows.
        #[test]
        fn merging_is_in_any_order(mut claims in prop::collection::vec((0u8..4, 0u16..300), 1..60)) {
            let mut one = AtcTable::new(0);
            for (who, atc) in &claims {
                one.claim(key(*who), *atc);
            }
            claims.reverse();
            let mut other = AtcTable::new(0);
            for (who, atc) in claims.iter().chain(&claims) {
                other.claim(key(*who), *atc);
            }
            for place in 0..one.len() {
                let Some(window) = one.at(place) else { continue };
                prop_assert_eq!(other.get(&window.key), Some(window));
                other.merge(*window);
                prop_assert_eq!(other.get(&window.key), Some(window));
            }
        }
    }
}
