//! Requests that were refused without a record, remembered for a little while.
//!
//! A terminal that waits asks again: its repeat may stand behind the request that is refused, in the same queue. Were
//! it taken, the terminal would hold a decline (the first answer counts) and the bank an approval. So for as long as
//! repeats of before may still be under way, the key gets the same answer again. It is no state: a restart answers
//! nobody twice.

use super::digest::Digest;
use crate::buf::prefetch;
use crate::simulation::mutant::{self, Mutant};

/// A key is remembered for one to two of these.
const GENERATION_S: i64 = 5;
/// Keys of one generation, some 100,000 refusals a second; what comes beyond is not remembered.
const KEYS_MAX: usize = 1 << 19;
/// Places of one generation: half of them stay free, so that a key lies at or near its own.
const PLACES: usize = 2 * KEYS_MAX;

/// What a request was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub code: [u8; 2],
    pub end: [u8; 2],
}

/// After so long without a refusal the memory is given back.
const KEPT_S: i64 = 60;

/// Keys of one generation. Refusing must cost next to nothing when most is to be refused, so a key lies at the place
/// that it names itself, with what was told beside it, and nothing is ever moved. Memory is taken with the first key,
/// whole, and touched as it fills. The next generation but one uses it again as it is: what bears another number
/// counts as free, so that there is nothing to be cleared, and no page to be had anew, while everybody waits.
#[derive(Default)]
struct Generation {
    /// From the top: 40 bits of a key, the number of its generation, and above 0 which of `answers` it got.
    words: Vec<u64>,
    /// Of this generation, from 1 on; 0: no memory was taken yet.
    number: u16,
    /// Few: a pair for each reason and dialect.
    answers: Vec<Told>,
    count: usize,
}

impl Generation {
    fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    fn get(&self, key: Short) -> Option<Told> {
        if self.is_empty() {
            return None;
        }
        let word = *self.words.get(self.place(key)?)?;
        if !self.is_mine(word) {
            return None;
        }
        let which = usize::from(word as u8).checked_sub(1)?;
        self.answers.get(which).copied()
    }

    /// Forgets all keys, and keeps the memory.
    fn renew(&mut self) {
        self.count = 0;
        self.answers.clear();
        self.number = self.number.wrapping_add(1);
        if self.number == 0 {
            // A week later numbers begin again.
            self.words = Vec::new();
        }
    }

    #[inline]
    fn is_mine(&self, word: u64) -> bool {
        (word >> 8) as u16 == self.number
    }

    /// Asks for the place of a key to be at hand when it is looked for.
    #[inline]
    fn prefetch(&self, key: Short) {
        if let Some(place) = self.words.get(key.home) {
            prefetch(place);
        }
    }

    /// False when the key is there. Nothing is kept when it is full.
    #[inline]
    fn insert(&mut self, key: Short, told: Told) -> bool {
        if self.words.is_empty() {
            self.words = vec![0; PLACES];
            self.number = 1;
        }
        let Some(place) = self.place(key) else {
            return true;
        };
        if self
            .words
            .get(place)
            .is_some_and(|word| self.is_mine(*word))
        {
            return false;
        }
        let Some(which) = self.answer(told).filter(|_| self.count < KEYS_MAX) else {
            return true;
        };
        if let Some(free) = self.words.get_mut(place) {
            *free = key.rest | u64::from(self.number) << 8 | u64::from(which);
            self.count += 1;
        }
        true
    }

    /// Where a key lies, or the free place where it would.
    #[inline]
    fn place(&self, key: Short) -> Option<usize> {
        let mine = key.rest | u64::from(self.number) << 8;
        let holds = |word: &u64| *word & !0xff == mine || !self.is_mine(*word);
        let from = self.words.get(key.home..)?;
        match from.iter().position(holds) {
            Some(ahead) => Some(key.home + ahead),
            None => self.words.iter().position(holds),
        }
    }

    /// From 1 on.
    #[inline]
    fn answer(&mut self, told: Told) -> Option<u8> {
        let known = self.answers.iter().position(|one| *one == told);
        let which = known.unwrap_or(self.answers.len());
        let number = u8::try_from(which + 1).ok()?;
        if known.is_none() {
            self.answers.push(told);
        }
        Some(number)
    }
}

/// Two generations of keys, some 8 MiB each once they were wanted; the older one is forgotten whole.
#[derive(Default)]
pub struct TurnedAway {
    young: Generation,
    old: Generation,
    since_s: i64,
}

impl TurnedAway {
    /// From now on the key gets this answer. What was told first stays.
    pub fn remember(&mut self, key: &Digest, told: Told, now_s: i64) {
        self.tell(key, told, now_s);
    }

    /// As `remember`; false, and nothing done, when the key was told something already.
    #[inline]
    pub fn tell(&mut self, key: &Digest, told: Told, now_s: i64) -> bool {
        self.turn(now_s);
        let key = Short::of(key);
        self.old.get(key).is_none() && self.young.insert(key, told)
    }

    /// Asks for the places of a key to be at hand when it is looked for: the tables are larger than most caches.
    #[inline]
    pub fn prefetch(&self, key: &Digest) {
        let key = Short::of(key);
        self.young.prefetch(key);
        self.old.prefetch(key);
    }

    /// What the key was told, if that is not long ago. One look at a length while nobody was turned away.
    pub fn told(&mut self, key: &Digest, now_s: i64) -> Option<Told> {
        if (self.young.is_empty() && self.old.is_empty()) || mutant::on(Mutant::TurnedAwayForgotten)
        {
            return None;
        }
        self.turn(now_s);
        let key = Short::of(key);
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// A clock that was set back ends a generation too.
    fn turn(&mut self, now_s: i64) {
        let age_s = now_s.saturating_sub(self.since_s);
        if (0..GENERATION_S).contains(&age_s) {
            return;
        }
        if age_s >= KEPT_S {
            *self = TurnedAway::default();
        } else {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.renew();
            if age_s >= 2 * GENERATION_S {
                self.old.renew();
            }
        }
        self.since_s = now_s;
    }
}

/// What is kept of a digest. 60 bits. Digests are keyed: nobody can make two that
/// agree in so much, or many that name one place.
#[derive(Clone, Copy)]
struct Short {
    home: usize,
    rest: u64,
}

/// The bits of a word that are of a key.
const REST: u64 = !0xff_ffff;

impl Short {
    #[inline]
    fn of(key: &Digest) -> Short {
        let whole = u128::from_le_bytes(*key);
        Short {
            home: whole as usize % PLACES,
            rest: (whole >> 64) as u64 & REST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: Told = Told {
        code: *b"91",
        end: *b"RF",
    };

    /// A key by its place and what else it is.
    fn digest(home: u64, rest: u64) -> Digest {
        (u128::from(rest << 24) << 64 | u128::from(home)).to_le_bytes()
    }

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
    fn memory_is_used_again_and_what_stood_there_is_no_key() {
        let mut away = TurnedAway::default();
        let key = |number: u64| digest(7, number);
        let mut places = Vec::new();
        for turn in 0..40 {
            let now_s = 1_000 + GENERATION_S * turn as i64;
            // All name one place, so that each stands behind those of generations before.
            assert!(away.tell(&key(turn), TOLD, now_s));
            assert!(!away.tell(&key(turn), TOLD, now_s));
            assert!(turn == 0 || away.told(&key(turn - 1), now_s).is_some());
            assert!(turn < 2 || away.told(&key(turn - 2), now_s).is_none());
            places.push(away.young.words.as_ptr());
        }
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 2);
        assert_eq!(away.told(&key(39), 1_200 + KEPT_S), None);
        assert_eq!(away.young.words.capacity() + away.old.words.capacity(), 0);
    }

    #[test]
    fn numbers_of_generations_begin_again_without_their_keys() {
        let mut away = TurnedAway::default();
        away.remember(&digest(1, 1), TOLD, 1_000);
        let turns = 2 * i64::from(u16::MAX) + 10;
        for turn in 1..turns {
            let now_s = 1_000 + GENERATION_S * turn;
            assert_eq!(away.told(&digest(1, 1), now_s).is_some(), turn < 2);
            // Something is always remembered, or nobody would look at the time.
            away.remember(&digest(2, turn as u64), TOLD, now_s);
            assert!(away.told(&digest(2, turn as u64 - 1), now_s).is_some() || turn == 1);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut away = TurnedAway::default();
        let key = |number: u64| digest(number + 1, number + 1);
        let most = KEYS_MAX as u64;
        for number in 0..most + 10 {
            away.remember(&key(number), TOLD, 1_000);
        }
        assert_eq!(away.young.count, KEYS_MAX);
        assert_eq!(away.told(&key(most - 1), 1_000), Some(TOLD));
        assert_eq!(away.told(&key(most), 1_000), None);
    }

    #[test]
    fn keys_that_name_one_place_are_told_apart_and_so_are_answers() {
        let mut away = TurnedAway::default();
        let last = PLACES as u64 - 1;
        let key = |times: u64| digest(last + times * PLACES as u64, times);
        let other = Told {
            code: *b"96",
            end: *b"JV",
        };
        for times in 0..100 {
            let told = if times % 3 == 0 { other } else { TOLD };
            away.remember(&key(times), told, 1_000);
        }
        for times in 0..100 {
            let told = if times % 3 == 0 { other } else { TOLD };
            assert_eq!(away.told(&key(times), 1_001), Some(told));
        }
        assert_eq!(away.told(&key(100), 1_001), None);
    }
}
