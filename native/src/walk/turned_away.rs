//! Requests that were refused without a record, remembered for a little while.
//!
//! A terminal that waits asks again: its repeat may stand behind the request that is refused, in the same queue. Were
//! it taken, the terminal would hold a decline (the first answer counts) and the bank an approval. So for as long as
//! repeats of before may still be under way, the key gets the same answer again. It is no state: a restart answers
//! nobody twice.

use std::collections::BTreeMap;

use super::digest::Digest;

/// A key is remembered for one to two of these.
const GENERATION_S: i64 = 5;
/// Keys of one generation, some 100,000 refusals a second; what comes beyond is not remembered.
const KEYS_MAX: usize = 1 << 19;

/// What a request was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub code: [u8; 2],
    pub end: [u8; 2],
}

/// Two generations of keys; the older one is forgotten whole.
#[derive(Default)]
pub struct TurnedAway {
    young: BTreeMap<u64, Told>,
    old: BTreeMap<u64, Told>,
    since_s: i64,
}

impl TurnedAway {
    /// From now on the key gets this answer. What was told first stays.
    pub fn remember(&mut self, key: &Digest, told: Told, now_s: i64) {
        self.turn(now_s);
        if self.young.len() < KEYS_MAX && !self.old.contains_key(&short(key)) {
            self.young.entry(short(key)).or_insert(told);
        }
    }

    /// What the key was told, if that is not long ago. One look at a length while nobody was turned away.
    pub fn told(&mut self, key: &Digest, now_s: i64) -> Option<Told> {
        if self.young.is_empty() && self.old.is_empty() {
            return None;
        }
        self.turn(now_s);
        let key = short(key);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// A clock that was set back ends a generation too.
    fn turn(&mut self, now_s: i64) {
        let age_s = now_s.saturating_sub(self.since_s);
        if (0..GENERATION_S).contains(&age_s) {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if age_s >= 2 * GENERATION_S {
            self.old.clear();
        }
        self.since_s = now_s;
    }
}

/// Digests are keyed: nobody can make two that agree in half.
fn short(key: &Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: Told = Told {
        code: *b"91",
        end: *b"RF",
    };

    #[test]
    fn a_key_is_told_the_same_until_its_generation_is_forgotten() {
        let mut away = TurnedAway::default();
        assert_eq!(away.told(&[1; 16], 1_000), None);
        away.remember(&[1; 16], TOLD, 1_000);
        let later = Told {
            code: *b"96",
            end: *b"JV",
        };
        assert_eq!(away.told(&[1; 16], 1_004), Some(TOLD));
        assert_eq!(away.told(&[2; 16], 1_004), None);
        away.remember(&[1; 16], later, 1_006);
        assert_eq!(away.told(&[1; 16], 1_009), Some(TOLD));
        assert_eq!(away.told(&[1; 16], 1_011), None);
    }

    #[test]
    fn silence_forgets_all_and_so_does_a_clock_set_back_twice() {
        let mut away = TurnedAway::default();
        away.remember(&[1; 16], TOLD, 1_000);
        assert_eq!(away.told(&[1; 16], 1_010), None);
        away.remember(&[1; 16], TOLD, 1_010);
        assert_eq!(away.told(&[1; 16], 900), Some(TOLD));
        assert_eq!(away.told(&[1; 16], 800), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut away = TurnedAway::default();
        for number in 0..KEYS_MAX as u64 + 10 {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&number.to_le_bytes());
            away.remember(&key, TOLD, 1_000);
        }
        assert_eq!(away.young.len(), KEYS_MAX);
    }
}
