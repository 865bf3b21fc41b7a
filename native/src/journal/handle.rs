//! The journal as a process uses it: append from any thread, one writer thread, one eventfd.
//!
//! `append` copies into a pending buffer; `commit` wakes the writer. The writer takes everything pending, seals it,
//! writes it, syncs it, moves `synced`, and signals the eventfd unless a signal is waiting there already. The window is
//! 0: what arrives during a sync forms the next group. The first failure is the last thing that happens: `synced` never
//! moves again and every append is refused.
//!
//! `commit_here` is the other sync policy: a small group on a quick, idle disk is written by the caller itself, which
//! saves two wake-ups a group, most of what a transaction costs at a city's rate. Both policies share one `Desk`, whose
//! lock is taken before the pending buffer's, so that groups are written in the order of their records.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use zeroize::Zeroize;

use super::device::{Directory, DirectoryLock, Store, segment_name};
use super::error::JournalError;
use super::frame::{Place, SEGMENT_BYTES_MIN};
use super::keys::{Keys, random};
use super::measure::Measured;
use super::prepare::{Bench, Ready, start as start_preparer};
use super::record::{Builder, Field, PAN_BYTES_MAX, PAYLOAD_BYTES_MAX, RecordError, RecordKind};
use super::scan::{From, Report, Visit, scan, tail};
use super::survey::{Survey, survey};
use super::unix_ms;
use super::writer::{Start, Tally, Writer, adopt, entry_bytes, push_entry};
use crate::{buf, clock};

/// 64 MiB: at 1,000 authorisations a second about a minute and a half, and a scan of one takes a tenth of a second.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// 32 MiB: about 50,000 authorisations wait for a disk that stands still before appends are refused.
pub const PENDING_BYTES_MAX: usize = 32 << 20;
/// 16 KiB, some 32 records: beyond it the caller has better things to do than to seal and wait.
const HERE_BYTES_MAX: usize = 16 << 10;
/// 400 µs: a disk that takes longer on average gets the thread, so that its waits do not become the caller's.
const HERE_MEAN_US_MAX: u64 = 400;
/// When no next segment can be prepared, the last part of the current one (1/4) is kept for answers and reversals.
const RESERVE_SHARE: u64 = 4;

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

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// LSN of the last record appended.
    lsn: u64,
    kicked: bool,
    asleep: bool,
    closing: bool,
}

/// Where groups are written, by whoever holds its lock.
struct Desk {
    writer: Writer,
    taken: Vec<u8>,
    /// Moving average of what a group takes.
    mean_us: u64,
}

/// What the handle and the writer thread share.
pub(super) struct Shared {
    /// None before the start, after the end, and after a failure. Lock it before `pending`.
    desk: Mutex<Option<Desk>>,
    pending: Mutex<Pending>,
    wake: Condvar,
    appended: AtomicU64,
    synced: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<JournalError>>,
    event: File,
    signalled: AtomicBool,
    pub(super) progress: Mutex<(Tally, Place)>,
    group_us_sum: AtomicU64,
    group_us_max: AtomicU64,
    pub(super) measured: Measured,
    pending_high: AtomicU64,
}

impl Shared {
    fn new(report: &Report, event: File) -> Shared {
        Shared {
            desk: Mutex::new(None),
            pending: Mutex::new(Pending {
                lsn: report.last_lsn,
                ..Pending::default()
            }),
            wake: Condvar::new(),
            appended: AtomicU64::new(report.last_lsn),
            synced: AtomicU64::new(report.last_lsn),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            event,
            signalled: AtomicBool::new(false),
            progress: Mutex::new((Tally::default(), report.checkpoint)),
            group_us_sum: AtomicU64::new(0),
            group_us_max: AtomicU64::new(0),
            measured: Measured::default(),
            pending_high: AtomicU64::new(0),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One worker's journal. Shared as `Arc<Journal>`; `close` (or the last drop) ends it.
pub struct Journal {
    pub(super) shared: Arc<Shared>,
    bench: Arc<Bench>,
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: Arc<Keys>,
    options: Options,
    report: Report,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<DirectoryLock>>,
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
        if options.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(JournalError::Usage("a segment has at least 16384 bytes"));
        }
        let found = survey(&*store, &keys)?;
        let mut report = tail(&*store, &keys, &found, false)?;
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
        let event = buf::eventfd().map_err(|e| JournalError::io("make", "an eventfd", &e))?;
        let shared = Arc::new(Shared::new(&report, event));
        // Reserved, not touched: a buffer that never grows leaves no copy of a PAN behind.
        lock(&shared.pending)
            .bytes
            .reserve_exact(options.pending_bytes_max);
        let journal = Journal {
            shared,
            bench,
            store,
            keys,
            options,
            report,
            threads: Mutex::new(Vec::new()),
            lock: Mutex::new(held),
        };
        journal.spawn(index, found.starts())?;
        Ok(journal)
    }

    fn spawn(&self, index: u64, starts: Vec<(u64, u64)>) -> Result<(), JournalError> {
        let failed = |e: std::io::Error| JournalError::io("start", "a thread of the journal", &e);
        let preparer = start_preparer(
            Arc::clone(&self.bench),
            Arc::clone(&self.store),
            Arc::clone(&self.keys),
            self.report.journal,
            index,
            self.options.segment_bytes,
        );
        lock(&self.threads).push(preparer.map_err(failed)?);
        let start = Start {
            last_lsn: self.report.last_lsn,
            chain: self.report.chain,
            last_end: self.report.last_end,
            checkpoint: self.report.checkpoint,
            starts,
        };
        let writer = Writer::new(Box::new(Ready(Arc::clone(&self.bench))), &start)?;
        // Making the first segment is part of the start, not a stall.
        self.bench.stalls.store(0, Ordering::Relaxed);
        let mut taken = Vec::new();
        taken.reserve_exact(self.options.pending_bytes_max);
        *lock(&self.shared.desk) = Some(Desk {
            writer,
            taken,
            mean_us: 0,
        });
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("journal-write".to_owned())
            .spawn(move || run(&shared));
        lock(&self.threads).push(thread.map_err(failed)?);
        Ok(())
    }

    /// Takes one record; returns its LSN. It is durable when `synced` has reached that.
    ///
    /// Errors: `PendingFull`, `NoRoom` (kind ACCEPTED only), `Stopped`, `Record`.
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
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(self.stopped());
        }
        if kind == RecordKind::Accepted && flags == 0 {
            self.room_for_new_work()?;
        }
        let mut pending = lock(&self.shared.pending);
        if pending.closing {
            return Err(JournalError::Stopped {
                reason: "it was closed".to_owned(),
            });
        }
        let limit = self.options.pending_bytes_max;
        if pending.bytes.len() + entry_bytes(payload.len(), pan.len()) > limit {
            return Err(JournalError::PendingFull {
                bytes: pending.bytes.len(),
                limit,
            });
        }
        push_entry(&mut pending.bytes, kind, flags, payload, pan);
        pending.lsn += 1;
        self.shared.appended.store(pending.lsn, Ordering::Release);
        Ok(pending.lsn)
    }

    /// While no next segment can be made, the rest of this one belongs to work that was begun.
    fn room_for_new_work(&self) -> Result<(), JournalError> {
        match self.bench.short_of_room() {
            Some(left) if left < self.options.segment_bytes / RESERVE_SHARE => {
                Err(JournalError::NoRoom {
                    reason: self.bench.failure().unwrap_or_default(),
                })
            }
            _ => Ok(()),
        }
    }

    fn stopped(&self) -> JournalError {
        let reason = self.failure().unwrap_or_default();
        JournalError::Stopped { reason }
    }

    /// Wakes the writer when something is pending. Call at the end of each tick in which something was appended.
    pub fn commit(&self) {
        let mut pending = lock(&self.shared.pending);
        if pending.bytes.is_empty() || pending.kicked {
            return;
        }
        pending.kicked = true;
        let asleep = pending.asleep;
        // Let go first: who is woken wants the lock.
        drop(pending);
        if asleep {
            self.shared.wake.notify_one();
        }
    }

    /// As `commit`, but a small group is written and synced before this returns, when the disk has been quick and the
    /// writer is idle. True when `synced` has moved; then no signal follows. A failure signals as ever.
    pub fn commit_here(&self) -> bool {
        if let Some(moved) = self.write_here() {
            return moved;
        }
        self.commit();
        false
    }

    /// None: this one is for the thread.
    fn write_here(&self) -> Option<bool> {
        let mut held = self.shared.desk.try_lock().ok()?;
        let desk = held.as_mut()?;
        if desk.mean_us > HERE_MEAN_US_MAX {
            return None;
        }
        let mut pending = lock(&self.shared.pending);
        if pending.bytes.is_empty() {
            return Some(false);
        }
        // A rotation may wait for its segment.
        let fits =
            pending.bytes.len() <= HERE_BYTES_MAX && desk.writer.has_room_for(&pending.bytes);
        if !fits || pending.kicked || pending.closing {
            return None;
        }
        std::mem::swap(&mut pending.bytes, &mut desk.taken);
        drop(pending);
        Some(write_group(&self.shared, &mut held))
    }

    /// LSN up to which everything is durable.
    pub fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// LSN of the last record appended.
    pub fn appended(&self) -> u64 {
        self.shared.appended.load(Ordering::Acquire)
    }

    /// Why the journal stopped, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failure_error().map(|error| match error.remedy() {
            "" => error.to_string(),
            remedy => format!("{error} (remedy: {remedy})"),
        })
    }

    pub fn failure_error(&self) -> Option<JournalError> {
        if !self.shared.failed.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.shared.failure).clone()
    }

    /// Why the next segment cannot be prepared, while that is so: an alarm, not yet a failure.
    pub fn shortage(&self) -> Option<String> {
        self.bench.failure()
    }

    /// Descriptor of the eventfd; open as long as the journal lives.
    pub fn fileno(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }

    /// Drains the eventfd and returns `synced`.
    pub fn acknowledge(&self) -> u64 {
        let mut count = [0; 8];
        // Empty (WouldBlock) when nothing was signalled: that is no fault.
        let _ = (&self.shared.event).read(&mut count);
        // In this order: whoever moves `synced` after the load finds no signal waiting, and signals.
        self.shared.signalled.store(false, Ordering::SeqCst);
        self.shared.synced.load(Ordering::SeqCst)
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
        lock(&self.shared.pending).closing = true;
        self.shared.wake.notify_all();
        let mut threads = lock(&self.threads);
        // The writer first: it may need a segment for the last group.
        while let Some(thread) = threads.pop() {
            if threads.is_empty() {
                self.bench.stop();
            }
            // A thread that panicked has already reported the failure.
            let _ = thread.join();
        }
        *lock(&self.lock) = None;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
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

/// The writer thread.
fn run(shared: &Shared) {
    // Whatever happens in here, also a panic, those who wait hear of it.
    let guard = FailOnUnwind(shared);
    while wait(shared) {
        let mut held = lock(&shared.desk);
        let Some(desk) = held.as_mut() else { break };
        std::mem::swap(&mut lock(&shared.pending).bytes, &mut desk.taken);
        // Empty when `commit_here` was quicker.
        if !desk.taken.is_empty() && write_group(shared, &mut held) {
            signal(shared);
        }
    }
    *lock(&shared.desk) = None;
    std::mem::forget(guard);
}

/// Until there is something to write; false when it is time to end.
fn wait(shared: &Shared) -> bool {
    let mut pending = lock(&shared.pending);
    while !(pending.kicked || pending.closing) {
        pending.asleep = true;
        pending = shared
            .wake
            .wait(pending)
            .unwrap_or_else(PoisonError::into_inner);
        pending.asleep = false;
    }
    pending.kicked = false;
    let idle = pending.bytes.is_empty() && pending.closing;
    !idle && !shared.failed.load(Ordering::SeqCst)
}

/// Writes what the desk has taken and makes it durable. False when it failed: the desk is gone then, and the failure
/// was told.
fn write_group(shared: &Shared, held: &mut Option<Desk>) -> bool {
    let Some(desk) = held.as_mut() else {
        return false;
    };
    let guard = FailOnUnwind(shared);
    shared
        .pending_high
        .fetch_max(desk.taken.len() as u64, Ordering::Relaxed);
    let began = clock::monotonic_ns();
    let outcome = desk.writer.write(&desk.taken, unix_ms());
    desk.taken.as_mut_slice().zeroize();
    desk.taken.clear();
    std::mem::forget(guard);
    match outcome {
        Ok(lsn) => {
            let took = u64::try_from(clock::since(began).as_micros()).unwrap_or(u64::MAX);
            desk.mean_us = (desk.mean_us.saturating_mul(7).saturating_add(took)) / 8;
            shared.group_us_sum.fetch_add(took, Ordering::Relaxed);
            shared.group_us_max.fetch_max(took, Ordering::Relaxed);
            shared.measured.record(took);
            *lock(&shared.progress) = (desk.writer.tally(), desk.writer.checkpoint());
            shared.synced.store(lsn, Ordering::SeqCst);
            true
        }
        Err(error) => {
            *held = None;
            fail(shared, error);
            false
        }
    }
}

struct FailOnUnwind<'s>(&'s Shared);

impl Drop for FailOnUnwind<'_> {
    fn drop(&mut self) {
        fail(
            self.0,
            JournalError::Stopped {
                reason: "its writer panicked".to_owned(),
            },
        );
    }
}

/// The first failure is the last: set once, told at once.
fn fail(shared: &Shared, error: JournalError) {
    lock(&shared.failure).get_or_insert(error);
    shared.failed.store(true, Ordering::SeqCst);
    lock(&shared.pending).bytes.as_mut_slice().zeroize();
    signal(shared);
}

/// Makes the eventfd readable unless it is already.
fn signal(shared: &Shared) {
    if !shared.signalled.swap(true, Ordering::SeqCst) {
        // It can only fail when the counter is full, and then it is readable anyway.
        let _ = (&shared.event).write(&1u64.to_ne_bytes());
    }
}
