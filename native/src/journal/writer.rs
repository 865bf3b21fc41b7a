//! Seals groups of records and makes them durable: one write and one sync a group. No thread, no clock, no lock.
//!
//! `Writer` is driven by a pump (`pump.rs`): the journal's thread, or a simulation; both make the same bytes. `stage`
//! writes, `settle` syncs, so that a crash may lie between them. After an error the writer is not to be used again: a
//! failed sync says nothing about what is on the disk, so nothing may be reported durable after it.

use std::io;

use zeroize::Zeroize;

use super::checkpoint::track;
use super::device::{Device, Store, segment_name};
use super::error::JournalError;
use super::frame::{
    Chain, Draft, Head, Link, Place, RECORDS_AT, SEGMENT_BYTES_MIN, frame_bytes, seal, seed_of,
};
use super::keys::{Keys, SALT_BYTES, SegmentKeys, random};
use super::record::{Fields, RecordKind};
use crate::buf::Locked;
use crate::hook::{self, Crashed, Point};
use crate::simulation::mutant::{self, Mutant};

/// Head of an entry in the pending buffer: payload length u32, kind, flags, PAN length, zero.
const ENTRY_HEAD_BYTES: usize = 8;

/// A segment that is ready to be written to.
pub struct Prepared {
    pub index: u64,
    pub file: String,
    pub bytes: u64,
    pub seed: u32,
    pub keys: Locked<SegmentKeys>,
    pub device: Box<dyn Device>,
}

/// Where the next segment comes from; may wait for it.
pub trait Supply: Send {
    fn next(&mut self) -> Result<Prepared, JournalError>;
    /// Told how much of the current segment is used, after each group.
    fn used(&mut self, _bytes: u64, _of: u64) {}
}

/// Makes segment `index` with a salt of its own and opens it.
pub fn prepare(
    store: &dyn Store,
    keys: &Keys,
    head: Head,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Prepared, JournalError> {
    let name = segment_name(head.index);
    let mut head = head;
    let failed = |problem: String| JournalError::NoRoom { reason: problem };
    let mut salt = [0; SALT_BYTES];
    random(&mut salt).map_err(|e| failed(e.to_string()))?;
    head.salt = salt;
    let segment = keys
        .segment(&head.salt)
        .map_err(|e| failed(e.to_string()))?;
    let block = head.encode(keys, &segment);
    store
        .create(&name, head.segment_bytes, &block, pace)
        .map_err(|e| match Crashed::of(&e) {
            Some(crashed) => JournalError::Crashed(crashed),
            None => failed(format!("{}: {e}", store.place(&name))),
        })?;
    adopt(store, &head, segment)
}

/// Opens a segment that was prepared before, and never written to.
pub fn adopt(
    store: &dyn Store,
    head: &Head,
    keys: Locked<SegmentKeys>,
) -> Result<Prepared, JournalError> {
    let name = segment_name(head.index);
    let file = store.place(&name);
    let device = store
        .open(&name, true)
        .map_err(|e| JournalError::io("open", &file, &e))?;
    Ok(Prepared {
        index: head.index,
        file,
        bytes: head.segment_bytes,
        seed: seed_of(&head.salt),
        keys,
        device,
    })
}

/// Adds one record to a pending buffer. Lengths were checked by the caller.
pub fn push_entry(out: &mut Vec<u8>, kind: RecordKind, flags: u8, payload: &[u8], pan: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[kind as u8, flags, pan.len() as u8, 0]);
    out.extend_from_slice(payload);
    out.extend_from_slice(pan);
}

/// Bytes that `push_entry` adds.
pub fn entry_bytes(payload: usize, pan: usize) -> usize {
    ENTRY_HEAD_BYTES + payload + pan
}

struct Entry<'a> {
    kind: u8,
    flags: u8,
    payload: &'a [u8],
    pan: &'a [u8],
}

/// Takes the first entry off `entries`; None at the end.
fn take_entry<'a>(entries: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (head, rest) = entries.split_at_checked(ENTRY_HEAD_BYTES)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let (payload, rest) = rest.split_at_checked(length)?;
    let (pan, rest) = rest.split_at_checked(usize::from(head[6]))?;
    *entries = rest;
    Some(Entry {
        kind: head[4],
        flags: head[5],
        payload,
        pan,
    })
}

/// Where a new writer goes on.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub last_lsn: u64,
    pub chain: Chain,
    /// End of the last segment with records.
    pub last_end: u64,
    pub checkpoint: Place,
    /// Index and first LSN of every segment with records.
    pub starts: Vec<(u64, u64)>,
}

/// What happened so far; plain numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub groups: u64,
    pub bytes: u64,
    pub rotations: u64,
    pub group_records_max: u64,
}

/// The end of the journal.
pub struct Writer {
    supply: Box<dyn Supply>,
    segment: Prepared,
    /// The segment's link is not written yet; it goes out with the first group.
    fresh: bool,
    /// File offset of the next byte to write.
    offset: u64,
    previous_end: u64,
    lsn: u64,
    chain: Chain,
    group_start: u64,
    checkpoint: Place,
    starts: Vec<(u64, u64)>,
    unfinished: Place,
    /// The checkpoint that was under way when this segment began.
    unfinished_before: Place,
    /// As `checkpoint`, counting the group that is not durable yet.
    checkpoint_next: Place,
    /// Sealed bytes of the group that is being made.
    out: Vec<u8>,
    now_ms: i64,
    tally: Tally,
}

impl Writer {
    /// Goes on behind `start` in a fresh segment from `supply`.
    pub fn new(mut supply: Box<dyn Supply>, start: &Start) -> Result<Writer, JournalError> {
        let segment = supply.next()?;
        if segment.bytes < SEGMENT_BYTES_MIN {
            return Err(JournalError::Usage(
                "a segment is smaller than its blocks and one record",
            ));
        }
        let mut starts = start.starts.clone();
        starts.push((segment.index, start.last_lsn + 1));
        Ok(Writer {
            supply,
            segment,
            fresh: true,
            offset: RECORDS_AT,
            previous_end: start.last_end,
            lsn: start.last_lsn,
            chain: start.chain,
            group_start: start.last_lsn + 1,
            checkpoint: start.checkpoint,
            starts,
            unfinished: Place::default(),
            unfinished_before: Place::default(),
            checkpoint_next: start.checkpoint,
            out: Vec::with_capacity(1 << 20),
            now_ms: 0,
            tally: Tally::default(),
        })
    }

    /// Seals the entries of a pending buffer that fit into the current segment (into the next one, when the first does
    /// not fit any more) and writes them; nothing of it is durable before `settle`. `now_ms` (Unix) dates a segment that
    /// is begun. Returns how many bytes of `entries` it took; call it with the rest after `settle`.
    pub fn stage(&mut self, entries: &[u8], now_ms: i64) -> Result<usize, JournalError> {
        self.now_ms = now_ms;
        let mut rest = entries;
        let mut taken = 0;
        while let Some(entry) = take_entry(&mut rest) {
            let length = frame_bytes(entry.payload.len(), entry.pan.len()) as u64;
            if self.offset + self.out.len() as u64 + length > self.segment.bytes {
                if !self.out.is_empty() {
                    break;
                }
                self.rotate()?;
            }
            self.seal(&entry)?;
            taken = entries.len() - rest.len();
        }
        if taken == 0 {
            // Not an entry: nothing can follow it.
            return Ok(entries.len());
        }
        hook::at(Point::WriteBefore)?;
        if self.fresh {
            self.write_first()?;
        } else {
            self.write_out()?;
        }
        hook::at(Point::SyncBefore)?;
        Ok(taken)
    }

    /// Whether the first of these entries needs another segment than the current one.
    pub fn must_rotate(&self, mut entries: &[u8]) -> bool {
        take_entry(&mut entries).is_some_and(|entry| {
            let length = frame_bytes(entry.payload.len(), entry.pan.len()) as u64;
            self.offset + self.out.len() as u64 + length > self.segment.bytes
        })
    }

    /// Whether all entries of a pending buffer fit into the current segment.
    pub fn has_room_for(&self, mut entries: &[u8]) -> bool {
        let mut end = self.offset + self.out.len() as u64;
        while let Some(entry) = take_entry(&mut entries) {
            end += frame_bytes(entry.payload.len(), entry.pan.len()) as u64;
        }
        end <= self.segment.bytes
    }

    /// Begin of the newest complete checkpoint that is durable.
    pub fn checkpoint(&self) -> Place {
        self.checkpoint
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn seal(&mut self, entry: &Entry<'_>) -> Result<(), JournalError> {
        let lsn = self.lsn + 1;
        let at = self.offset + self.out.len() as u64;
        let draft = Draft {
            lsn,
            chain: self.chain,
            group: u32::try_from(lsn - self.group_start).unwrap_or(u32::MAX),
            kind: entry.kind,
            flags: entry.flags,
            payload: entry.payload,
            pan: entry.pan,
        };
        let sealed = seal(
            &mut self.out,
            self.offset,
            self.segment.seed,
            &self.segment.keys,
            &draft,
        );
        self.chain = sealed.ok_or(JournalError::Usage("a record is too long to be sealed"))?;
        self.lsn = lsn;
        if entry.kind == RecordKind::Checkpoint as u8 && entry.flags == 0 {
            let place = Place {
                segment: self.segment.index,
                offset: at,
                lsn,
            };
            let fields = Fields::parse(entry.payload)?;
            track(
                &fields,
                place,
                &self.starts,
                &mut self.unfinished,
                &mut self.checkpoint_next,
            );
        }
        Ok(())
    }

    /// One sync: everything staged is durable when it returns. Returns the LSN of the last such record.
    pub fn settle(&mut self) -> Result<u64, JournalError> {
        if self.out.is_empty() {
            return Ok(self.lsn);
        }
        self.sync()
            .map_err(|e| JournalError::io("sync", &self.segment.file, &e))?;
        self.tally.groups += 1;
        self.tally.bytes += self.out.len() as u64;
        self.tally.group_records_max = self
            .tally
            .group_records_max
            .max(self.lsn + 1 - self.group_start);
        self.offset += self.out.len() as u64;
        self.group_start = self.lsn + 1;
        self.checkpoint = self.checkpoint_next;
        self.out.clear();
        self.supply.used(self.offset, self.segment.bytes);
        hook::at(Point::SyncAfter)?;
        Ok(self.lsn)
    }

    fn sync(&mut self) -> io::Result<()> {
        let device = &mut self.segment.device;
        if mutant::on(Mutant::SyncSkipped) {
            return Ok(());
        }
        let mut synced = device.sync();
        if synced.is_err() && mutant::on(Mutant::SyncRetried) {
            synced = device.sync();
        }
        if mutant::on(Mutant::SyncIgnored) {
            return Ok(());
        }
        synced
    }

    fn write_out(&mut self) -> Result<(), JournalError> {
        let Writer {
            segment,
            out,
            offset,
            ..
        } = self;
        segment
            .device
            .write_at(*offset, out)
            .map_err(|e| JournalError::io("write", &segment.file, &e))
    }

    /// The first group of a segment and the link before it, in one write.
    fn write_first(&mut self) -> Result<(), JournalError> {
        let first_lsn = self.group_start;
        let mut chain = Chain::default();
        // The first sealed frame names the record before the segment; later ones have moved `self.chain` on.
        chain.copy_from_slice(&self.out[16..32]);
        let link = Link {
            first_lsn,
            previous_end: self.previous_end,
            chain,
            checkpoint: self.checkpoint,
            unfinished: self.unfinished_before,
            opened_ms: self.now_ms,
        };
        let block = link.encode(&self.segment.keys);
        let mut joined = Vec::with_capacity(block.len() + self.out.len());
        joined.extend_from_slice(&block);
        joined.extend_from_slice(&self.out);
        let segment = &mut self.segment;
        segment
            .device
            .write_at(RECORDS_AT - block.len() as u64, &joined)
            .map_err(|e| JournalError::io("write", &segment.file, &e))?;
        self.fresh = false;
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), JournalError> {
        hook::at(Point::RotateBefore)?;
        self.previous_end = self.offset;
        self.unfinished_before = self.unfinished;
        self.segment = self.supply.next()?;
        self.starts.push((self.segment.index, self.lsn + 1));
        self.offset = RECORDS_AT;
        self.fresh = true;
        self.tally.rotations += 1;
        hook::at(Point::RotateAfter)?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Sealed bytes are no secret, but an error may have left a PAN that was not sealed yet.
        self.out.as_mut_slice().zeroize();
    }
}
