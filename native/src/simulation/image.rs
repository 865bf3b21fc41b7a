//! The two images of a file, and what can be done to them behind a product's back.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::SECTOR_BYTES;
use crate::journal::frame::{Frame, RECORDS_AT, SALT_AT, checksum, seed_of};
use crate::journal::keys::SALT_BYTES;

/// What this boot sees of a file, and what a power cut leaves.
#[derive(Clone, Default)]
pub(super) struct Image {
    pub durable: Vec<u8>,
    pub volatile: Vec<u8>,
    /// Sectors written since the last sync.
    pub dirty: BTreeSet<usize>,
    /// Of those: acknowledged, but no sync will write them.
    pub lost: BTreeSet<usize>,
    /// Of those: a sync writes them to another sector of the same file.
    pub astray: BTreeMap<usize, usize>,
    /// Bits of the file that change when their sector is next synced.
    pub rotten: Vec<(usize, u8)>,
}

impl Image {
    /// The sector becomes durable, or goes wherever its write went.
    pub fn carry(&mut self, sector: usize) {
        if self.lost.remove(&sector) {
            return;
        }
        let to = self.astray.remove(&sector).unwrap_or(sector);
        let (from, to) = (sector * SECTOR_BYTES, to * SECTOR_BYTES);
        let length = SECTOR_BYTES.min(self.durable.len().saturating_sub(from.max(to)));
        if let (Some(source), Some(target)) = (
            self.volatile.get(from..from + length),
            self.durable.get_mut(to..to + length),
        ) {
            target.copy_from_slice(source);
        }
        let Image {
            rotten, durable, ..
        } = self;
        rotten.retain(|(at, mask)| {
            let here = at / SECTOR_BYTES == sector;
            if let (true, Some(byte)) = (here, durable.get_mut(*at)) {
                *byte ^= mask;
            }
            !here
        });
    }
}

/// Where frames of a segment stand, and how long they are.
fn frames(bytes: &[u8], seed: u32) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut at = RECORDS_AT as usize;
    while let Some(frame) = Frame::read(bytes, at, 0, seed) {
        all.push((at, frame.length()));
        at += frame.length();
    }
    all
}

pub(super) fn forged(bytes: &mut [u8], nth: usize) -> Option<(usize, usize)> {
    let salt = bytes.get(SALT_AT..SALT_AT + SALT_BYTES)?.try_into().ok()?;
    let seed = seed_of(salt);
    let all = frames(bytes, seed);
    let mut pairs = Vec::new();
    for (place, &(from, length)) in all.iter().enumerate() {
        let later = all.iter().skip(place + 1).filter(|(_, l)| *l == length);
        pairs.extend(later.map(|&(to, _)| (from, to, length)));
    }
    let &(from, to, length) = pairs.get(nth.checked_rem(pairs.len())?)?;
    bytes.copy_within(from..from + length, to);
    let crc = checksum(seed, to as u64, bytes.get(to + 8..to + length)?);
    bytes
        .get_mut(to + 4..to + 8)?
        .copy_from_slice(&crc.to_le_bytes());
    Some((from, to))
}
