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
/// Words of a line of the processor's cache: what is looked at for a key.
const WORDS: usize = 8;
/// Of 7 keys each: with two full generations four in seven places are taken.
const LINES: usize = 1 << 18;
/// So many generations without a key, and the memory is given back: a minute.
const IDLE_MAX: u8 = 12;

/// What a request was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub code: [u8; 2],
    pub end: [u8; 2],
}

/// Keys of two generations. Refusing must cost next to nothing when most is to be refused, so a key lies in the line that
/// it names itself, with what was told beside it, and nothing is ever moved or cleared: what bears the number of an older
/// generation counts as free. Memory (16 MiB) is taken with the first key, touched as it fills, and then stays.
#[derive(Default)]
pub struct TurnedAway {
    /// Lines. Their first word: number of the last generation that had a key which found no place here, and lies in a
    /// line behind. The others, from the top: 40 bits of a key, the number of its generation, and which of `answers` it got.
    words: Vec<u64>,
    /// Where the first line begins.
    first: usize,
    /// Few: a pair for each reason and dialect.
    answers: Vec<Told>,
    /// Of the younger generation, from 1 on; 0 is that of no key.
    number: u16,
    /// Keys of the younger, and of the older generation.
    counts: [usize; 2],
    idle: u8,
    since_s: i64,
}

/// Where a key lies, or would.
#[derive(Clone, Copy)]
enum Place {
    Here(usize),
    Free(usize),
    None,
}

impl TurnedAway {
    /// From now on the key gets this answer. What was told first stays.
    pub fn remember(&mut self, key: &Digest, told: Told, now_s: i64) {
        self.tell(key, told, now_s);
    }

    /// As `remember`; false, and nothing done, when the key was told something already. Nothing is kept when it is full.
    #[inline]
    pub fn tell(&mut self, key: &Digest, told: Told, now_s: i64) -> bool {
        self.turn(now_s);
        if self.words.is_empty() {
            self.open();
        }
        let key = Short::of(key);
        let place = match self.place(key) {
            Place::Here(_) => return false,
            Place::Free(place) => Some(place),
            Place::None => self.place_behind(key),
        };
        let [young, _] = self.counts;
        if let Some(place) = place
            && let Some(which) = self.answer(told).filter(|_| young < KEYS_MAX)
            && let Some(word) = self.words.get_mut(place)
        {
            *word = key.rest | u64::from(self.number) << 8 | u64::from(which);
            self.counts[0] += 1;
        }
        true
    }

    /// Asks for the place of a key to be at hand when it is looked for: the table is larger than most caches.
    #[inline]
    pub fn prefetch(&self, key: &Digest) {
        if let Some(line) = self.words.get(self.line(Short::of(key).home)) {
            prefetch(line);
        }
    }

    /// What the key was told, if that is not long ago. One look at a length while nobody was turned away.
    pub fn told(&mut self, key: &Digest, now_s: i64) -> Option<Told> {
        if self.words.is_empty() || mutant::on(Mutant::TurnedAwayForgotten) {
            return None;
        }
        self.turn(now_s);
        if self.counts == [0, 0] {
            return None;
        }
        let Place::Here(place) = self.place(Short::of(key)) else {
            return None;
        };
        let which = usize::from(*self.words.get(place)? as u8);
        self.answers.get(which).copied()
    }

    #[cold]
    fn open(&mut self) {
        self.words = vec![0; (LINES + 1) * WORDS];
        self.first = self.words.as_ptr().align_offset(64).min(WORDS);
        self.number = 2;
    }

    /// Where a line begins.
    #[inline]
    fn line(&self, line: usize) -> usize {
        self.first + line % LINES * WORDS
    }

    /// Whether it is of one of the two generations.
    #[inline]
    fn lives(&self, number: u16) -> bool {
        self.number.wrapping_sub(number) <= 1
    }

    /// Looks from a key's own line on while keys of that found no place in them.
    #[inline]
    fn place(&self, key: Short) -> Place {
        let mut free = Place::None;
        for line in 0..LINES {
            let start = self.line(key.home + line);
            let found = self
                .words
                .get(start..)
                .and_then(|words| words.first_chunk());
            let Some([over, words @ ..]): Option<&[u64; WORDS]> = found else {
                break;
            };
            // All seven are compared whatever they are: which of them are free nobody could foretell.
            let (mut mine, mut open) = (0u32, 0u32);
            for (at, word) in words.iter().enumerate() {
                let lives = self.lives((*word >> 8) as u16);
                mine |= u32::from(lives & (*word & REST == key.rest)) << at;
                open |= u32::from(!lives) << at;
            }
            if mine != 0 {
                return Place::Here(start + 1 + mine.trailing_zeros() as usize);
            }
            if open != 0 && matches!(free, Place::None) {
                free = Place::Free(start + 1 + open.trailing_zeros() as usize);
            }
            if !self.lives(*over as u16) {
                break;
            }
        }
        free
    }

    /// The first free place behind the key's own line, noting on the way that it lies behind.
    #[cold]
    fn place_behind(&mut self, key: Short) -> Option<usize> {
        for line in 0..LINES {
            let start = self.line(key.home + line);
            let lives = |word: &u64| self.lives((*word >> 8) as u16);
            let words = self.words.get(start + 1..start + WORDS)?;
            if let Some(at) = words.iter().position(|word| !lives(word)) {
                return Some(start + 1 + at);
            }
            *self.words.get_mut(start)? = self.number.into();
        }
        None
    }

    #[inline]
    fn answer(&mut self, told: Told) -> Option<u8> {
        let known = self.answers.iter().position(|one| *one == told);
        let which = known.unwrap_or(self.answers.len());
        let number = u8::try_from(which).ok()?;
        if known.is_none() {
            self.answers.push(told);
        }
        Some(number)
    }

    /// A clock that was set back ends a generation too.
    #[inline]
    fn turn(&mut self, now_s: i64) {
        let age_s = now_s.saturating_sub(self.since_s);
        if !(0..GENERATION_S).contains(&age_s) {
            self.turn_at(now_s, age_s);
        }
    }

    #[cold]
    fn turn_at(&mut self, now_s: i64, age_s: i64) {
        let turns = if age_s >= 2 * GENERATION_S { 2 } else { 1 };
        let [young, _] = self.counts;
        self.counts = [0, if turns == 1 { young } else { 0 }];
        self.idle = if self.counts == [0, 0] {
            self.idle.saturating_add(1)
        } else {
            0
        };
        self.since_s = now_s;
        match self.number.checked_add(turns) {
            Some(number) if self.idle < IDLE_MAX => self.number = number,
            // Nobody is turned away any more; or numbers begin again, after days, with a table of its own.
            _ => {
                *self = TurnedAway {
                    since_s: now_s,
                    ..TurnedAway::default()
                }
            }
        }
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
            home: whole as usize % LINES,
            rest: (whole >> 64) as u64 & REST,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

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
            places.push(away.words.as_ptr());
        }
        places.dedup();
        assert_eq!(places.len(), 1);
        // Others ask all the while, and a minute later nothing is left.
        for now_s in 1_200..1_200 + 2 * 60 {
            assert_eq!(away.told(&key(0), now_s), None);
        }
        assert_eq!(away.words.capacity(), 0);
    }

    #[test]
    fn numbers_of_generations_begin_again_without_their_keys() {
        let mut away = TurnedAway::default();
        away.remember(&digest(1, 1), TOLD, 1_000);
        let turns = i64::from(u16::MAX) + 10;
        for turn in 1..turns {
            let now_s = 1_000 + GENERATION_S * turn;
            assert_eq!(away.told(&digest(1, 1), now_s).is_some(), turn < 2);
            // Something is always remembered, or nobody would look at the time.
            away.remember(&digest(2, turn as u64), TOLD, now_s);
            assert!(away.told(&digest(2, turn as u64), now_s).is_some());
        }
    }

    proptest! {
        /// Against a map of what was told when.
        #[test]
        fn agrees_with_a_model(
            acts in proptest::collection::vec((0u64..3, 0u64..40, any::<bool>(), 0i64..3), 1..400),
        ) {
            let mut away = TurnedAway::default();
            let mut model: HashMap<(u64, u64), (i64, Told)> = HashMap::new();
            let (mut now_s, mut since_s, mut number) = (1_000, 0, 0);
            for (home, rest, tells, ahead_s) in acts {
                now_s += if ahead_s == 2 { rest as i64 / 3 } else { 0 };
                if now_s - since_s >= GENERATION_S && (tells || !away.words.is_empty()) {
                    number += if now_s - since_s >= 2 * GENERATION_S { 2 } else { 1 };
                    since_s = now_s;
                }
                let told = Told { code: [b'9', rest as u8], end: *b"RF" };
                // Lines stand side by side, and around the end.
                let key = digest(LINES as u64 - 1 + home, home << 8 | rest);
                let known = model.get(&(home, rest)).filter(|(then, _)| number - then <= 1).copied();
                if tells {
                    prop_assert_eq!(away.tell(&key, told, now_s), known.is_none());
                    model.entry((home, rest)).and_modify(|one| if known.is_none() { *one = (number, told) }).or_insert((number, told));
                } else {
                    prop_assert_eq!(away.told(&key, now_s), known.map(|(_, told)| told));
                }
            }
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
        assert_eq!(away.counts, [KEYS_MAX, 0]);
        assert_eq!(away.told(&key(most - 1), 1_000), Some(TOLD));
        assert_eq!(away.told(&key(most), 1_000), None);
    }

    #[test]
    fn keys_that_name_one_place_are_told_apart_and_so_are_answers() {
        let mut away = TurnedAway::default();
        let last = LINES as u64 - 1;
        let key = |times: u64| digest(last + times * LINES as u64, times);
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
