//! A disk in memory that can be cut off, torn, and made to lie.
//!
//! Every file has two images: what a reader of this boot sees (*volatile*, the page cache) and what a power cut leaves
//! (*durable*). A write changes the first, a sync carries it over; between them each 512-byte sector is on its own, and
//! a crash decides for every one whether it made it. Making a file and removing one are durable when they return, as
//! `Directory` syncs its names; a crash between their halves is what the crash points are for.
//!
//! Faults are set for the n-th operation from now, or drawn: each kind from a stream of its own, so that one that is
//! taken away moves no other. Every fault that happened is counted.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::faults::{Faults, Kind, Operation};
use super::image::{Image, forged};
use crate::hook::{self, Crashed, Point};
use crate::journal::device::{Device, Store};

/// What a disk writes in one piece or not at all.
pub const SECTOR_BYTES: usize = 512;

/// What whoever has a file open from before a power cut is told.
const OFF: &str = "the machine has been switched off";

#[derive(Default)]
struct State {
    files: BTreeMap<String, Image>,
    faults: Faults,
    /// Counts crashes: devices of an earlier boot are dead.
    boot: u64,
    seed: u64,
    capacity_bytes: Option<u64>,
    speed: Speed,
    spent_us: u64,
    /// What the product removed, as an archive has it.
    removed: BTreeMap<String, Vec<u8>>,
}

/// What operations take; in virtual microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    pub write_us: u64,
    pub sync_us: u64,
    pub create_us: u64,
    /// A duration is up to this share (1/1024) longer.
    pub spread: u64,
    pub stall_per_million: u32,
    pub stall_us: u64,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    #[must_use]
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            faults: Faults::new(seed),
            seed,
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // -- power cuts ----------------------------------------------------------------------------------------------

    /// A power cut: of the unsynced sectors exactly those in `keep` survive; None: drawn. Whoever has a file open now
    /// gets errors from it.
    pub fn crash(&self, keep: Option<&[(String, usize)]>) {
        let mut state = self.state();
        let State { files, faults, .. } = &mut *state;
        let mut stream = faults.crash_stream();
        // Not always a fair coin for each sector: none, all, and a run from either end are what disks mostly do.
        let mode = stream.below(6);
        let dirty: usize = files.values().map(|file| file.dirty.len()).sum();
        let cut = stream.below(dirty as u64 + 1);
        let (mut number, mut kept) = (0, 0);
        for (name, file) in files.iter_mut() {
            for sector in std::mem::take(&mut file.dirty) {
                let survives = match keep {
                    Some(keep) => keep.iter().any(|(n, s)| n == name && *s == sector),
                    None => match mode {
                        0 => false,
                        1 => true,
                        2 => number < cut,
                        3 => number >= cut,
                        _ => stream.below(2) == 1,
                    },
                };
                number += 1;
                if survives {
                    kept += 1;
                    file.carry(sector);
                }
            }
            file.volatile.clone_from(&file.durable);
            file.lost.clear();
            file.astray.clear();
        }
        faults.keep_crash_stream(stream);
        faults.count("crashes", 1);
        faults.count("sectors_unsynced_at_crash", number);
        faults.count("sectors_torn_away", number - kept);
        if kept > 0 && kept < number {
            faults.count("torn_crashes", 1);
        }
        state.boot += 1;
    }

    /// As `unsynced`, without sectors that hold what they held before: those whose loss could be noticed.
    #[must_use]
    pub fn at_stake(&self) -> Vec<(String, usize)> {
        let state = self.state();
        let mut stake = Vec::new();
        for (name, file) in &state.files {
            let differs = |sector: &&usize| {
                let from = **sector * SECTOR_BYTES;
                let to = (from + SECTOR_BYTES).min(file.durable.len());
                file.durable.get(from..to) != file.volatile.get(from..to)
            };
            stake.extend(
                file.dirty
                    .iter()
                    .filter(differs)
                    .map(|s| (name.clone(), *s)),
            );
        }
        stake
    }

    /// File and sector of everything a power cut could take now.
    #[must_use]
    pub fn unsynced(&self) -> Vec<(String, usize)> {
        let state = self.state();
        let files = state.files.iter();
        files
            .flat_map(|(name, file)| file.dirty.iter().map(|sector| (name.clone(), *sector)))
            .collect()
    }

    // -- images --------------------------------------------------------------------------------------------------

    /// SHA-256 over names, lengths and durable images.
    #[must_use]
    pub fn image_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (name, file) in &self.state().files {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update((file.durable.len() as u64).to_le_bytes());
            hash.update(&file.durable);
        }
        hash.finalize().into()
    }

    /// Names and sizes.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state();
        let files = state.files.iter();
        files
            .map(|(name, file)| (name.clone(), file.durable.len() as u64))
            .collect()
    }

    /// The durable image of a file.
    #[must_use]
    pub fn durable(&self, name: &str) -> Option<Vec<u8>> {
        self.state().files.get(name).map(|f| f.durable.clone())
    }

    /// Gives a file this content, durably: an older copy of it, for instance.
    pub fn replace(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let file = Image {
            durable: bytes.to_vec(),
            volatile: bytes.to_vec(),
            ..Image::default()
        };
        state.files.insert(name.to_owned(), file);
        state.faults.count("replaced_files", 1);
    }

    /// Takes a file away, as an administrator or a broken file system would. False when there is none.
    pub fn delete(&self, name: &str) -> bool {
        let mut state = self.state();
        let gone = state.files.remove(name).is_some();
        if gone {
            state.faults.count("deleted_files", 1);
        }
        gone
    }

    /// Flips bits of one byte, at rest. False when it is not there.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) -> bool {
        let mut state = self.state();
        let Some(file) = state.files.get_mut(name) else {
            return false;
        };
        let Some(byte) = file.durable.get_mut(offset) else {
            return false;
        };
        *byte ^= mask;
        if let Some(cached) = file.volatile.get_mut(offset) {
            *cached ^= mask;
        }
        state.faults.count(Kind::FlippedBit.name(), 1);
        true
    }

    /// Another disk with the same images, and no faults.
    #[must_use]
    pub fn copy(&self) -> SimDisk {
        let state = self.state();
        SimDisk(Arc::new(Mutex::new(State {
            files: state.files.clone(),
            faults: Faults::new(state.seed),
            seed: state.seed,
            ..State::default()
        })))
    }

    /// As `copy`, with the segments of before the oldest that the product has removed: what an archive of them holds.
    #[must_use]
    pub fn archive(&self) -> SimDisk {
        let disk = self.copy();
        let oldest = self.state().files.keys().next().cloned();
        for (name, bytes) in &self.state().removed {
            if oldest.as_ref().is_some_and(|oldest| name < oldest) {
                disk.replace(name, bytes);
            }
        }
        disk
    }

    /// Puts an earlier record of a segment in the place of a later one as long as it, with the checksum that its new
    /// place wants: what somebody can do who may write to the file and has no key. `nth` chooses among all such pairs.
    /// The two offsets; None when there is no pair.
    pub fn forge(&self, name: &str, nth: usize) -> Option<(usize, usize)> {
        let mut bytes = self.durable(name)?;
        let pair = forged(&mut bytes, nth)?;
        self.replace(name, &bytes);
        Some(pair)
    }

    /// What a power cut now would leave of the synced part, as a disk of its own.
    #[must_use]
    pub fn at_rest(&self) -> SimDisk {
        let disk = self.copy();
        disk.crash(Some(&[]));
        disk
    }

    // -- faults --------------------------------------------------------------------------------------------------

    /// The n-th operation of its kind from now fails, or misbehaves; with `sticky` every one from that on.
    pub fn fail(&self, kind: Kind, nth: u64, sticky: bool) {
        self.state().faults.plan(kind, nth, sticky);
    }

    /// This fault happens to so many of a million operations that it can happen to.
    pub fn chance(&self, kind: Kind, per_million: u32) {
        self.state().faults.chance(kind, per_million);
    }

    /// No fault any more, and as quick and as large as can be. What is damaged stays damaged.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.mend();
        state.capacity_bytes = None;
        state.speed = Speed::default();
    }

    /// No file is made when all would be larger than this.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    #[must_use]
    pub fn capacity(&self) -> Option<u64> {
        self.state().capacity_bytes
    }

    pub fn set_speed(&self, speed: Speed) {
        self.state().speed = speed;
    }

    /// What the operations since the last call took, in virtual microseconds.
    #[must_use]
    pub fn take_spent_us(&self) -> u64 {
        std::mem::take(&mut self.state().spent_us)
    }

    /// Operations, crashes, and every fault that happened.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        self.state().faults.counts()
    }
}

impl State {
    /// The power may go before anything is changed.
    fn meet_power(&mut self) -> io::Result<()> {
        if self.faults.strikes(Kind::PowerCut) {
            self.boot += 1;
            return Err(io::Error::other(OFF));
        }
        Ok(())
    }

    fn spend(&mut self, us: u64) {
        let Speed {
            spread,
            stall_per_million,
            stall_us,
            ..
        } = self.speed;
        let mut took = us;
        if us > 0 {
            took += self.faults.speed_stream().below(us * spread / 1024 + 1);
        }
        if stall_per_million > 0 && self.faults.speed_stream().hits(stall_per_million) {
            self.faults.count("stalls", 1);
            took += stall_us;
        }
        self.spent_us += took;
    }
}

/// An open file of one boot.
struct SimFile {
    disk: SimDisk,
    name: String,
    boot: u64,
}

impl SimFile {
    /// The disk's state, when this boot is still on and the file is there.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.boot != self.boot {
            return Err(io::Error::other(OFF));
        }
        if !state.files.contains_key(&self.name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state)
    }
}

impl Device for SimFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        state.faults.meet(Operation::Read)?;
        let Some(file) = state.files.get(&self.name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(file.volatile.len());
        let length = out.len().min(file.volatile.len() - from);
        out[..length].copy_from_slice(&file.volatile[from..from + length]);
        Ok(length)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        state.meet_power()?;
        let cost = state.speed.write_us;
        state.spend(cost);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let failed = state.faults.meet(Operation::Write);
        let State { files, faults, .. } = &mut *state;
        let Some(file) = files.get_mut(&self.name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        // A write that fails has written some of it.
        let written = match &failed {
            Ok(()) => bytes.len(),
            Err(_) => usize::try_from(faults.misc().below(bytes.len() as u64)).unwrap_or(0),
        };
        let end = offset.saturating_add(written);
        let Some(place) = file.volatile.get_mut(offset..end) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        place.copy_from_slice(&bytes[..written]);
        let sectors = offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
        // A sector that is written again goes the ordinary way, unless this write is lost too.
        let (lost, astray) = (
            faults.strikes(Kind::LostWrite),
            faults.strikes(Kind::MisdirectedWrite),
        );
        let all = file.durable.len().div_ceil(SECTOR_BYTES) as u64;
        let shift = 1 + faults.misc().below(all.max(2) - 1);
        for sector in sectors {
            file.dirty.insert(sector);
            file.lost.remove(&sector);
            file.astray.remove(&sector);
            if lost {
                file.lost.insert(sector);
            } else if astray {
                let to = (sector as u64 + shift) % all.max(1);
                file.astray
                    .insert(sector, usize::try_from(to).unwrap_or(sector));
            }
        }
        if written > 0 && faults.strikes(Kind::FlippedBit) {
            let at = faults.misc().below(written as u64);
            let at = offset + usize::try_from(at).unwrap_or(0);
            let bit = 1 << faults.misc().below(8);
            file.rotten.push((at, bit));
        }
        failed
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state()?;
        state.meet_power()?;
        let cost = state.speed.sync_us;
        state.spend(cost);
        let failed = state.faults.meet(Operation::Sync);
        let dropped = failed.is_ok() && state.faults.strikes(Kind::SyncDropped);
        let State { files, .. } = &mut *state;
        let Some(file) = files.get_mut(&self.name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if dropped {
            // As ext4: the pages are clean from here on and never written; readers of this boot see them.
            file.dirty.clear();
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        failed?;
        for sector in std::mem::take(&mut file.dirty) {
            file.carry(sector);
        }
        Ok(())
    }
}

/// The disk as one boot has it: nothing of it works any more after a power cut.
struct Mounted {
    disk: SimDisk,
    boot: u64,
}

impl SimDisk {
    /// What a journal is opened on; good until the next crash.
    #[must_use]
    pub fn mount(&self) -> Arc<dyn Store> {
        let boot = self.state().boot;
        Arc::new(Mounted {
            disk: self.clone(),
            boot,
        })
    }
}

impl Mounted {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.boot == self.boot {
            Ok(state)
        } else {
            Err(io::Error::other(OFF))
        }
    }
}

impl Store for Mounted {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state()?;
        state.faults.meet(Operation::List)?;
        Ok(state.files.keys().cloned().collect())
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Box<dyn Device>> {
        if !self.state()?.files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(SimFile {
            disk: self.disk.clone(),
            name: name.to_owned(),
            boot: self.boot,
        }))
    }

    fn create(
        &self,
        name: &str,
        bytes: u64,
        head: &[u8],
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()> {
        if !pace(0) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        {
            let mut state = self.state()?;
            state.meet_power()?;
            let cost = state.speed.create_us;
            state.spend(cost);
            state.faults.meet(Operation::Create)?;
            let used: u64 = state.files.values().map(|f| f.durable.len() as u64).sum();
            if state.capacity_bytes.is_some_and(|c| used + bytes > c) {
                state.faults.count(Kind::CreateNoSpace.name(), 1);
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
        }
        // What a crash leaves under the other name is swept at the next start, so it is not kept here.
        hook::at(Point::PrepareWritten).map_err(Crashed::io)?;
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut whole = vec![0; length];
        if let Some(place) = whole.get_mut(..head.len()) {
            place.copy_from_slice(head);
        }
        let file = Image {
            durable: whole.clone(),
            volatile: whole,
            ..Image::default()
        };
        self.state()?.files.insert(name.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state()?;
        state.meet_power()?;
        state.faults.meet(Operation::Remove)?;
        match state.files.remove(name) {
            Some(file) => {
                state.removed.insert(name.to_owned(), file.durable);
                Ok(())
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("simulated/{name}")
    }
}
