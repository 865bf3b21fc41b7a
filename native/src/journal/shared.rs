//! What a journal's handle and its pump share: the pending buffer, the desk where groups are written, the signal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

use super::error::JournalError;
use super::frame::Place;
use super::measure::Measured;
use super::record::RecordKind;
use super::scan::Report;
use super::unix_ms;
use super::writer::{Tally, Writer, entry_bytes, push_entry};
use crate::clock;
use crate::hook::{self, Point};
use crate::simulation::mutant::{self, Mutant};

/// 16 KiB, some 32 records: beyond it the caller has better things to do than to seal and wait.
const HERE_BYTES_MAX: usize = 16 << 10;
/// 400 µs: a disk that takes longer on average gets the thread, so that its waits do not become the caller's.
const HERE_MEAN_US_MAX: u64 = 400;

#[derive(Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    /// LSN of the last record appended.
    lsn: u64,
    kicked: bool,
    asleep: bool,
    closing: bool,
}

/// Where groups are written, by whoever holds its lock.
pub(crate) struct Desk {
    writer: Writer,
    /// The group: entries of the pending buffer, and how many bytes of them are staged.
    taken: Vec<u8>,
    staged: usize,
    /// When its writing began (monotonic); 0 while there is none.
    began_ns: u64,
    /// Moving average of what a group takes.
    mean_us: u64,
}

impl Desk {
    /// A group is under way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.taken.is_empty()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // A failure leaves a group here that was not sealed in full.
        self.taken.as_mut_slice().zeroize();
    }
}

/// How far a step brought the group on the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Written, as far as it fits into one segment; to be synced.
    Written,
    /// Part of it is durable; the rest belongs into the next segment.
    More,
    /// The whole group is durable, and `synced` has moved.
    Synced,
    /// It failed; the desk has gone, and the failure was told.
    Failed,
}

/// What the handle and its pump share.
pub(crate) struct Shared {
    /// None before the start, after the end, and after a failure. Lock it before `pending`.
    pub(crate) desk: Mutex<Option<Desk>>,
    pub(crate) pending: Mutex<Pending>,
    wake: Condvar,
    appended: AtomicU64,
    synced: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<JournalError>>,
    event: File,
    signalled: AtomicBool,
    pub(crate) progress: Mutex<(Tally, Place)>,
    pub(crate) group_us_sum: AtomicU64,
    pub(crate) group_us_max: AtomicU64,
    pub(crate) measured: Measured,
    pub(crate) pending_high: AtomicU64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(report: &Report, event: File, pending_bytes_max: usize) -> Shared {
        let mut pending = Pending {
            lsn: report.last_lsn,
            ..Pending::default()
        };
        // Reserved, not touched: a buffer that never grows leaves no copy of a PAN behind.
        pending.bytes.reserve_exact(pending_bytes_max);
        Shared {
            desk: Mutex::new(None),
            pending: Mutex::new(pending),
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

    /// Sets up the desk: from here on groups can be written.
    pub(crate) fn furnish(&self, writer: Writer, pending_bytes_max: usize) {
        let mut taken = Vec::new();
        taken.reserve_exact(pending_bytes_max);
        *lock(&self.desk) = Some(Desk {
            writer,
            taken,
            staged: 0,
            began_ns: 0,
            mean_us: 0,
        });
    }

    // -- the pending buffer --------------------------------------------------------------------------------------

    pub(crate) fn push(
        &self,
        kind: RecordKind,
        flags: u8,
        payload: &[u8],
        pan: &[u8],
        limit: usize,
    ) -> Result<u64, JournalError> {
        let mut pending = lock(&self.pending);
        if pending.closing {
            return Err(JournalError::Stopped {
                reason: "it was closed".to_owned(),
            });
        }
        if pending.bytes.len() + entry_bytes(payload.len(), pan.len()) > limit {
            return Err(JournalError::PendingFull {
                bytes: pending.bytes.len(),
                limit,
            });
        }
        push_entry(&mut pending.bytes, kind, flags, payload, pan);
        pending.lsn += 1;
        self.appended.store(pending.lsn, Ordering::Release);
        Ok(pending.lsn)
    }

    /// Marks what is pending as a group to be written. None: nothing is, or it was marked before; else whether the
    /// writer sleeps.
    pub(crate) fn kick(&self) -> Option<bool> {
        let mut pending = lock(&self.pending);
        if pending.bytes.is_empty() || pending.kicked {
            return None;
        }
        pending.kicked = true;
        Some(pending.asleep)
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Takes no more records; what is pending may still be written.
    pub(crate) fn close(&self) {
        lock(&self.pending).closing = true;
        self.wake.notify_all();
    }

    /// Until there is something to write; false when it is time to end.
    pub(crate) fn wait(&self) -> bool {
        let mut pending = lock(&self.pending);
        while !(pending.kicked || pending.closing) {
            pending.asleep = true;
            pending = self
                .wake
                .wait(pending)
                .unwrap_or_else(PoisonError::into_inner);
            pending.asleep = false;
        }
        pending.kicked = false;
        let idle = pending.bytes.is_empty() && pending.closing;
        !idle && !self.failed.load(Ordering::SeqCst)
    }

    /// Takes the mark away; whether there was one.
    pub(crate) fn unkick(&self) -> bool {
        std::mem::take(&mut lock(&self.pending).kicked)
    }

    /// Something was marked and not taken.
    pub(crate) fn kicked(&self) -> bool {
        lock(&self.pending).kicked
    }

    // -- the desk ------------------------------------------------------------------------------------------------

    /// Takes the pending buffer to an empty desk. False when there is nothing.
    pub(crate) fn take(&self, held: &mut Option<Desk>) -> bool {
        let Some(desk) = held.as_mut() else {
            return false;
        };
        if desk.taken.is_empty() {
            let mut pending = lock(&self.pending);
            std::mem::swap(&mut pending.bytes, &mut desk.taken);
        }
        !desk.taken.is_empty()
    }

    /// Writes and syncs a small group at once, when the writer is idle and the disk has been quick. None: this one is
    /// for later.
    pub(crate) fn write_here(&self) -> Option<bool> {
        let mut held = self.desk.try_lock().ok()?;
        let desk = held.as_mut()?;
        if desk.mean_us > HERE_MEAN_US_MAX || !desk.taken.is_empty() {
            return None;
        }
        let mut pending = lock(&self.pending);
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
        Some(self.write_group(&mut held))
    }

    /// Writes what the desk has taken and makes it durable. False when it failed.
    pub(crate) fn write_group(&self, held: &mut Option<Desk>) -> bool {
        loop {
            match self.stage(held) {
                Step::Written => {}
                _ => return false,
            }
            match self.settle(held) {
                Step::More => {}
                step => return step == Step::Synced,
            }
        }
    }

    /// Writes as much of the desk's group as fits into one segment.
    pub(crate) fn stage(&self, held: &mut Option<Desk>) -> Step {
        self.step(held, |desk| {
            if desk.staged == 0 {
                self.pending_high
                    .fetch_max(desk.taken.len() as u64, Ordering::Relaxed);
                desk.began_ns = clock::monotonic_ns();
            }
            let rest = &desk.taken[desk.staged..];
            desk.staged += desk.writer.stage(rest, unix_ms())?;
            Ok(Step::Written)
        })
    }

    /// Makes durable what was staged. Whoever waits for `synced` is told by `signal`.
    pub(crate) fn settle(&self, held: &mut Option<Desk>) -> Step {
        self.step(held, |desk| {
            let lsn = desk.writer.settle()?;
            if desk.staged < desk.taken.len() {
                if mutant::on(Mutant::PartIsEnough) {
                    self.synced.store(self.appended(), Ordering::SeqCst);
                }
                return Ok(Step::More);
            }
            desk.taken.as_mut_slice().zeroize();
            desk.taken.clear();
            desk.staged = 0;
            let took = clock::since(desk.began_ns).as_micros();
            let took = u64::try_from(took).unwrap_or(u64::MAX);
            desk.mean_us = (desk.mean_us.saturating_mul(7).saturating_add(took)) / 8;
            self.group_us_sum.fetch_add(took, Ordering::Relaxed);
            self.group_us_max.fetch_max(took, Ordering::Relaxed);
            self.measured.record(took);
            *lock(&self.progress) = (desk.writer.tally(), desk.writer.checkpoint());
            self.synced.store(lsn, Ordering::SeqCst);
            hook::at(Point::SignalBefore)?;
            Ok(Step::Synced)
        })
    }

    /// The desk's group needs a segment that it has not got yet.
    pub(crate) fn must_rotate(desk: &Desk) -> bool {
        desk.writer.must_rotate(&desk.taken[desk.staged..])
    }

    fn step(
        &self,
        held: &mut Option<Desk>,
        act: impl FnOnce(&mut Desk) -> Result<Step, JournalError>,
    ) -> Step {
        let Some(desk) = held.as_mut() else {
            return Step::Failed;
        };
        let guard = FailOnUnwind(self);
        let outcome = act(desk);
        std::mem::forget(guard);
        outcome.unwrap_or_else(|error| {
            *held = None;
            self.fail(error);
            Step::Failed
        })
    }

    // -- what is told --------------------------------------------------------------------------------------------

    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn failure(&self) -> Option<JournalError> {
        if !self.failed() {
            return None;
        }
        lock(&self.failure).clone()
    }

    /// The first failure is the last: set once, told at once.
    pub(crate) fn fail(&self, error: JournalError) {
        lock(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::SeqCst);
        lock(&self.pending).bytes.as_mut_slice().zeroize();
        self.signal();
    }

    /// Makes the eventfd readable unless it is already.
    pub(crate) fn signal(&self) {
        if !self.signalled.swap(true, Ordering::SeqCst) {
            // It can only fail when the counter is full, and then it is readable anyway.
            let _ = (&self.event).write(&1u64.to_ne_bytes());
        }
    }

    pub(crate) fn signalled(&self) -> bool {
        self.signalled.load(Ordering::SeqCst)
    }

    pub(crate) fn fileno(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Drains the eventfd and returns `synced`.
    pub(crate) fn acknowledge(&self) -> u64 {
        let mut count = [0; 8];
        // Empty (WouldBlock) when nothing was signalled: that is no fault.
        let _ = (&self.event).read(&mut count);
        // In this order: whoever moves `synced` after the load finds no signal waiting, and signals.
        self.signalled.store(false, Ordering::SeqCst);
        self.synced.load(Ordering::SeqCst)
    }
}

/// Whatever happens while it stands, also a panic, those who wait hear of it.
pub(crate) struct FailOnUnwind<'s>(pub(crate) &'s Shared);

impl Drop for FailOnUnwind<'_> {
    fn drop(&mut self) {
        self.0.fail(JournalError::Stopped {
            reason: "its writer panicked".to_owned(),
        });
    }
}
