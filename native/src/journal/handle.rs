//! The journal as a process uses it: append from any thread, one pump, one eventfd.
//!
//! `append` copies into a pending buffer; `commit` tells the pump. The pump takes everything pending, seals it, writes
//! it, syncs it, moves `synced`, and signals the eventfd unless a signal is waiting there already. The window is 0: what
//! arrives during a sync forms the next group. The first failure is the last thing that happens: `synced` never moves
//! again and every append is refused.
//!
//! `commit_here` is the other sync policy: a small group on a quick, idle disk is written by the caller itself, which
//! saves two wake-ups a group, most of what a transaction costs at a city's rate. Both policies share one desk, whose
//! lock is taken before the pending buffer's, so that groups are written in the order of their records.

use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::device::{Directory, DirectoryLock, Store, segment_name};
use super::error::JournalError;
use super::frame::{BLOCK_BYTES, RECORDS_AT, SEGMENT_BYTES_MIN};
use super::keys::{Keys, random};
use super::prepare::{Bench, Maker, Ready};
use super::pump::{Pump, Threads};
use super::record::{Builder, Field, PAN_BYTES_MAX, PAYLOAD_BYTES_MAX, RecordError, RecordKind};
use super::scan::{From, Report, Visit, scan, tail};
use super::shared::{Shared, lock};
use super::survey::{Survey, survey};
use super::unix_ms;
use super::writer::{Start, Supply, Writer, adopt};
use crate::buf;
use crate::hook::{self, Point};
use crate::simulation::mutant::{self, Mutant};

/// 64 MiB: at 1,000 authorisations a second about a minute and a half, and a scan of one takes a tenth of a second.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// 32 MiB: about 50,000 authorisations wait for a disk that stands still before appends are refused.
pub const PENDING_BYTES_MAX: usize = 32 << 20;
/// When no next segment can be prepared, the last part of the current one (1/4) is kept for answers and reversals.
const RESERVE_SHARE: u64 = 4;
/// A record with its frame; most take less than half of it.
const RECORD_BYTES_ROUGH: u64 = 1024;

/// Sizes of a journal.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub segment_bytes: u64,
    pub pending_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: SEGMENT_BYTES,
            pending_bytes_max: PENDING_BYTES_MAX,
        }
    }
}

/// One worker's journal. Shared as `Arc<Journal>`; `close` (or the last drop) ends it.
pub struct Journal {
    pub(super) shared: Arc<Shared>,
    pump: Arc<dyn Pump>,
    bench: Arc<Bench>,
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: Arc<Keys>,
    options: Options,
    report: Report,
    lock: Mutex<Option<DirectoryLock>>,
}

/// A journal that was found, its end judged, before anything drives it.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) bench: Arc<Bench>,
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    options: Options,
    report: Report,
    starts: Vec<(u64, u64)>,
    /// Index of the segment to prepare next.
    index: u64,
}

impl Opened {
    /// Finds the end of the journal in `store`, cuts nothing, adopts or removes spare segments.
    pub(crate) fn find(
        store: Arc<dyn Store>,
        keys: Arc<Keys>,
        options: Options,
    ) -> Result<Opened, JournalError> {
        if options.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(JournalError::Usage("a segment has at least 16384 bytes"));
        }
        let found = survey(&*store, &keys)?;
        let mut report = tail(&*store, &keys, &found, false)?;
        hook::at(Point::RecoverFound)?;
        keep_last_group(&*store, &report)?;
        if report.segments == 0 {
            random(&mut report.journal).map_err(|e| JournalError::NoRoom {
                reason: e.to_string(),
            })?;
        }
        let bench = Bench::new();
        let index = reuse(
            &*store,
            &keys,
            &found,
            &report,
            options.segment_bytes,
            &bench,
        )?;
        hook::at(Point::RecoverSwept)?;
        let event = buf::eventfd().map_err(|e| JournalError::io("make", "an eventfd", &e))?;
        Ok(Opened {
            shared: Arc::new(Shared::new(&report, event, options.pending_bytes_max)),
            bench,
            starts: found.starts(),
            store,
            keys,
            options,
            report,
            index,
        })
    }

    /// What makes this journal's next segments.
    pub(crate) fn maker(&self) -> Maker {
        Maker::new(
            &self.bench,
            &self.store,
            &self.keys,
            self.report.journal,
            self.index,
            self.options.segment_bytes,
        )
    }

    /// Takes the first segment from `supply`: from here on groups can be written.
    pub(crate) fn furnish(&self, supply: Box<dyn Supply>) -> Result<(), JournalError> {
        let start = Start {
            last_lsn: self.report.last_lsn,
            chain: self.report.chain,
            last_end: self.report.last_end,
            checkpoint: self.report.checkpoint,
            starts: self.starts.clone(),
        };
        let writer = Writer::new(supply, &start)?;
        // Making the first segment is part of the start, not a stall.
        self.bench.stalls.store(0, Ordering::Relaxed);
        self.shared.furnish(writer, self.options.pending_bytes_max);
        hook::at(Point::RecoverOpened)?;
        Ok(())
    }

    /// The journal, driven by `pump`.
    pub(crate) fn driven(self, pump: Arc<dyn Pump>, held: Option<DirectoryLock>) -> Journal {
        Journal {
            shared: self.shared,
            pump,
            bench: self.bench,
            store: self.store,
            keys: self.keys,
            options: self.options,
            report: self.report,
            lock: Mutex::new(held),
        }
    }
}

/// Makes the last group durable, which may be in no more than the system's memory: a process that was killed, or failed
/// to sync it, leaves it there to be read. A failed sync may have marked its pages clean, so it is written anew; nothing
/// else of the journal can be in doubt, since a group is written when the one before it is durable.
fn keep_last_group(store: &dyn Store, report: &Report) -> Result<(), JournalError> {
    if report.last_index == 0 || mutant::on(Mutant::LastGroupLeft) {
        return Ok(());
    }
    let name = segment_name(report.last_index);
    let told = |act: &'static str| {
        let place = store.place(&name);
        move |e: std::io::Error| JournalError::io(act, &place, &e)
    };
    // The first group of a segment was written together with the link before it.
    let first = report.last_group.max(RECORDS_AT) == RECORDS_AT;
    let from = if first {
        BLOCK_BYTES as u64
    } else {
        report.last_group
    };
    let length = usize::try_from(report.last_end.saturating_sub(from)).unwrap_or_default();
    let mut group = vec![0; length];
    let mut device = store.open(&name, true).map_err(told("open"))?;
    let read = device.read_at(from, &mut group).map_err(told("read"))?;
    if !mutant::on(Mutant::LastGroupSynced) {
        device
            .write_at(from, &group[..read])
            .map_err(told("write"))?;
    }
    device.sync().map_err(told("sync"))
}

impl Journal {
    /// Opens or makes the journal in `directory`: takes its lock, finds its end, cuts a torn tail, starts a segment.
    ///
    /// Errors: `Locked`, `Damaged`, `WrongKey`, `NoRoom`, `Io`.
    pub fn open(
        directory: &Path,
        keys: Arc<Keys>,
        options: Options,
    ) -> Result<Journal, JournalError> {
        let place = Directory::create(directory)?;
        let held = place.lock()?;
        place.sweep()?;
        Journal::start(Arc::new(place), keys, options, Some(held))
    }

    /// As `open`, over any store; the caller holds whatever lock it needs.
    pub fn start(
        store: Arc<dyn Store>,
        keys: Arc<Keys>,
        options: Options,
        held: Option<DirectoryLock>,
    ) -> Result<Journal, JournalError> {
        let failed = |e: std::io::Error| JournalError::io("start", "a thread of the journal", &e);
        let opened = Opened::find(store, keys, options)?;
        let threads =
            Threads::start(&opened.shared, &opened.bench, opened.maker()).map_err(failed)?;
        opened.furnish(Box::new(Ready(Arc::clone(&opened.bench))))?;
        threads.write().map_err(failed)?;
        Ok(opened.driven(Arc::new(threads), held))
    }

    /// Takes one record; returns its LSN. It is durable when `synced` has reached that.
    ///
    /// Errors: `PendingFull`, `NoRoom` (kinds that are not `begun_work`), `Stopped`, `Record`.
    pub fn append(
        &self,
        kind: RecordKind,
        payload: &[u8],
        pan: Option<&[u8]>,
    ) -> Result<u64, JournalError> {
        self.put(kind, 0, payload, pan.unwrap_or_default())
    }

    pub(super) fn put(
        &self,
        kind: RecordKind,
        flags: u8,
        payload: &[u8],
        pan: &[u8],
    ) -> Result<u64, JournalError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(RecordError::Long.into());
        }
        if pan.len() > PAN_BYTES_MAX || !pan.iter().all(u8::is_ascii_digit) {
            return Err(RecordError::Pan.into());
        }
        if self.shared.failed() {
            return Err(self.stopped());
        }
        if flags != 0 || !kind.begun_work() {
            self.room_for_new_work()?;
        }
        let limit = self.options.pending_bytes_max;
        let lsn = self.shared.push(kind, flags, payload, pan, limit)?;
        hook::at(Point::Appended)?;
        Ok(lsn)
    }

    /// While no next segment can be made, the rest of this one belongs to work that was begun.
    fn room_for_new_work(&self) -> Result<(), JournalError> {
        match self.bench.short_of_room() {
            Some(left)
                if left.saturating_sub(self.unwritten())
                    < self.options.segment_bytes / RESERVE_SHARE =>
            {
                Err(JournalError::NoRoom {
                    reason: self.bench.failure().unwrap_or_default(),
                })
            }
            _ => Ok(()),
        }
    }

    /// At most so many bytes of the current segment will be used by what waits for the disk.
    fn unwritten(&self) -> u64 {
        let records = self.shared.appended().saturating_sub(self.shared.synced());
        records.saturating_mul(RECORD_BYTES_ROUGH)
    }

    fn stopped(&self) -> JournalError {
        let reason = self.failure().unwrap_or_default();
        JournalError::Stopped { reason }
    }

    /// Tells the pump that something is pending. Call at the end of each tick in which something was appended.
    pub fn commit(&self) {
        self.pump.commit();
    }

    /// As `commit`, but a small group is written and synced before this returns, when the disk has been quick and the
    /// writer is idle. True when `synced` has moved; then no signal follows. A failure signals as ever.
    pub fn commit_here(&self) -> bool {
        if let Some(moved) = self.pump.write_here() {
            return moved;
        }
        self.pump.commit();
        false
    }

    /// LSN up to which everything is durable.
    pub fn synced(&self) -> u64 {
        self.shared.synced()
    }

    /// LSN of the last record appended.
    pub fn appended(&self) -> u64 {
        self.shared.appended()
    }

    /// Why the journal stopped, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failure_error().map(|error| match error.remedy() {
            "" => error.to_string(),
            remedy => format!("{error} (remedy: {remedy})"),
        })
    }

    pub fn failure_error(&self) -> Option<JournalError> {
        self.shared.failure()
    }

    /// Why the next segment cannot be prepared, while that is so: an alarm, not yet a failure.
    pub fn shortage(&self) -> Option<String> {
        self.bench.failure()
    }

    /// Descriptor of the eventfd; open as long as the journal lives.
    pub fn fileno(&self) -> RawFd {
        self.shared.fileno()
    }

    /// Drains the eventfd and returns `synced`.
    pub fn acknowledge(&self) -> u64 {
        self.shared.acknowledge()
    }

    /// The journal's end as `open` found it.
    pub fn found(&self) -> &Report {
        &self.report
    }

    /// Visits the records that stood in the journal when it was opened, from the newest complete checkpoint on.
    pub fn replay(&self, visit: &mut Visit<'_>) -> Result<Report, JournalError> {
        if self.report.last_lsn == 0 {
            return Ok(self.report.clone());
        }
        let from = From::Place(self.report.checkpoint);
        scan(
            &*self.store,
            &self.keys,
            from,
            self.report.last_lsn,
            true,
            visit,
        )
    }

    /// Counters and gauges by name.
    pub fn stats(&self) -> [(&'static str, u64); 14] {
        let (tally, checkpoint) = *lock(&self.shared.progress);
        let relaxed = |value: &AtomicU64| value.load(Ordering::Relaxed);
        [
            ("appended", self.appended()),
            ("synced", self.synced()),
            ("groups", tally.groups),
            ("bytes", tally.bytes),
            ("rotations", tally.rotations),
            ("group_records_max", tally.group_records_max),
            ("group_us_sum", relaxed(&self.shared.group_us_sum)),
            ("group_us_max", relaxed(&self.shared.group_us_max)),
            ("pending_bytes_max", relaxed(&self.shared.pending_high)),
            ("prepared", relaxed(&self.bench.prepared)),
            ("prepare_failures", relaxed(&self.bench.failures)),
            ("rotation_stalls", relaxed(&self.bench.stalls)),
            ("checkpoint_lsn", checkpoint.lsn),
            ("last_boot_lsn", self.report.last_lsn),
        ]
    }

    /// Syncs what is pending, writes the clean-stop record, ends the threads, releases the lock. A second call does
    /// nothing.
    pub fn close(&self) {
        let mut record = Builder::new();
        record.signed(Field::AtMs, unix_ms());
        if let Ok(payload) = record.finish() {
            // Refused when the journal has failed or was closed: then there is no clean stop to tell of.
            let _ = self.append(RecordKind::Stopped, payload, None);
        }
        self.end();
    }

    fn end(&self) {
        self.pump.end();
        *lock(&self.lock) = None;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
    }
}

impl RecordKind {
    /// Goes on with what was begun, or tells of it. While a disk is full such records have the room that was kept for
    /// them; the others (new requests, refusals that are remembered, checkpoints) are refused.
    pub fn begun_work(self) -> bool {
        match self {
            RecordKind::Started
            | RecordKind::Answered
            | RecordKind::Reversal
            | RecordKind::Settled
            | RecordKind::StanMark
            | RecordKind::Stopped
            | RecordKind::Reconfigured
            | RecordKind::WorkKeys
            | RecordKind::Advised
            | RecordKind::StoodIn => true,
            RecordKind::Accepted
            | RecordKind::Declined
            | RecordKind::Checkpoint
            | RecordKind::AtcWindows
            | RecordKind::StandInTotal => false,
        }
    }
}

/// Adopts the first spare segment when nothing was ever written to it, and removes all others. Returns the index of
/// the segment to prepare next.
fn reuse(
    store: &dyn Store,
    keys: &Keys,
    found: &Survey,
    report: &Report,
    segment_bytes: u64,
    bench: &Bench,
) -> Result<u64, JournalError> {
    let next = report.last_index + 1;
    let mut adopted = false;
    for (index, pristine) in report.spares.iter().rev() {
        let spare = found
            .head(*index)
            .filter(|h| *pristine && *index == next && h.segment_bytes == segment_bytes);
        if let Some(head) = spare {
            let segment = keys.segment(&head.salt).map_err(|e| JournalError::NoRoom {
                reason: e.to_string(),
            })?;
            bench.put(adopt(store, head, segment)?);
            adopted = true;
            continue;
        }
        let name = segment_name(*index);
        store
            .remove(&name)
            .map_err(|e| JournalError::io("remove", &store.place(&name), &e))?;
    }
    Ok(if adopted { next + 1 } else { next })
}
