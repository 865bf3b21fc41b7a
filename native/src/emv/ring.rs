//! Master keys by card range, scheme and index; and the one call that proves a tap.

use hashbrown::HashMap;
use thiserror::Error;

use super::agree;
use super::chip::Chip;
use super::cryptogram::{Proof, prove};
use super::iad::Iad;
use super::key::{Card, CardMaster};
use super::profile::{Profile, Scheme};
use super::refusal::Refusal;

/// Digits of a card range at most.
pub const PREFIX_MAX: usize = 12;
/// Versions of one key index at most, as in a rotation: each more is one more card key for every wrong cryptogram.
pub const VERSIONS_MAX: usize = 2;

/// Why a key does not go into the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RingFault {
    #[error("a card range is 1 to 12 digits")]
    Prefix,
    #[error("there is a key of this range, scheme, index and version already")]
    Taken,
    #[error("two versions of one key index are in use already; retire one of them first")]
    Versions,
}

struct Row {
    scheme: Scheme,
    index: u8,
    version: u16,
    master: CardMaster,
}

/// All card master keys of a node.
#[derive(Default)]
pub struct Ring {
    rows: HashMap<(usize, u64), Vec<Row>>,
    /// Lengths of the ranges that there are, longest first.
    lengths: Vec<usize>,
}

fn value(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

impl Ring {
    /// Adds the key of a range of numbers, as its first version; `index` is the derivation key index that its cards
    /// carry.
    pub fn add(
        &mut self,
        scheme: Scheme,
        prefix: &[u8],
        index: u8,
        master: CardMaster,
    ) -> Result<(), RingFault> {
        self.add_version(scheme, prefix, index, 1, master)
    }

    /// Adds a version of a key. Where an index has two, both are tried, the newer one first.
    pub fn add_version(
        &mut self,
        scheme: Scheme,
        prefix: &[u8],
        index: u8,
        version: u16,
        master: CardMaster,
    ) -> Result<(), RingFault> {
        self.room(scheme, prefix, index, version)?;
        let rows = self.rows.entry((prefix.len(), value(prefix))).or_default();
        rows.push(Row {
            scheme,
            index,
            version,
            master,
        });
        rows.sort_by_key(|row| std::cmp::Reverse(row.version));
        if !self.lengths.contains(&prefix.len()) {
            self.lengths.push(prefix.len());
            self.lengths.sort_unstable_by(|a, b| b.cmp(a));
        }
        Ok(())
    }

    /// Whether `add_version` would take a key for this range, scheme, index and version.
    pub fn room(
        &self,
        scheme: Scheme,
        prefix: &[u8],
        index: u8,
        version: u16,
    ) -> Result<(), RingFault> {
        if !(1..=PREFIX_MAX).contains(&prefix.len()) || !prefix.iter().all(u8::is_ascii_digit) {
            return Err(RingFault::Prefix);
        }
        let rows = self.rows.get(&(prefix.len(), value(prefix)));
        let mut versions = 0;
        for row in rows.into_iter().flatten() {
            if (row.scheme, row.index) != (scheme, index) {
                continue;
            }
            if row.version == version {
                return Err(RingFault::Taken);
            }
            versions += 1;
        }
        if versions == VERSIONS_MAX {
            return Err(RingFault::Versions);
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The keys of the longest range that a number is in and that has one of `scheme`, where that is known.
    fn range(&self, number: &[u8], scheme: Option<Scheme>) -> &[Row] {
        self.lengths
            .iter()
            .filter_map(|length| Some((*length, value(number.get(..*length)?))))
            .filter_map(|key| self.rows.get(&key))
            .find(|rows| scheme.is_none_or(|s| rows.iter().any(|row| row.scheme == s)))
            .map_or(&[], Vec::as_slice)
    }

    /// Proves a tap: `field` is the value of field 55, `amount` in the minor unit, `currency` numeric.
    ///
    /// The scheme is the application identifier's, or without one the range's if it has only one. The first thing
    /// that is wrong is the reason.
    pub fn verify(
        &self,
        field: &[u8],
        card: &Card<'_>,
        amount: u64,
        currency: u16,
    ) -> Result<Proof, Refusal> {
        let chip = Chip::parse(field)?;
        if !chip.is_request() {
            return Err(Refusal::NotARequest);
        }
        agree::amount(chip.amount(), amount)?;
        agree::currency(chip.currency(), currency)?;
        let rows = self.range(card.number(), chip.scheme);
        let scheme = match (chip.scheme, rows) {
            (Some(scheme), _) => scheme,
            (None, [first, rest @ ..]) if rest.iter().all(|r| r.scheme == first.scheme) => {
                first.scheme
            }
            _ => return Err(Refusal::ApplicationUnknown),
        };
        let iad = Iad::parse(scheme, chip.iad)?;
        let profile = Profile::of(scheme, &iad)?;
        let mut refusal = Refusal::KeyUnknown(iad.index);
        for row in rows
            .iter()
            .filter(|row| row.scheme == scheme && row.index == iad.index)
        {
            match prove(&row.master, card, profile, &chip, &iad) {
                // An older version may be the one that made this card.
                Err(Refusal::Cryptogram) => refusal = Refusal::Cryptogram,
                Err(other) => return Err(other),
                Ok(mut proof) => {
                    proof.version = row.version;
                    return Ok(proof);
                }
            }
        }
        Err(refusal)
    }

    /// The newest key of the longest range of `scheme` that a number is in, under one index: what a device is
    /// personalised with.
    pub fn master(&self, scheme: Scheme, number: &[u8], index: u8) -> Option<&CardMaster> {
        let rows = self.range(number, Some(scheme)).iter();
        let mut found = rows.filter(|row| row.scheme == scheme && row.index == index);
        found.next().map(|row| &row.master)
    }
}
