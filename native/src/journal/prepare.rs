//! The preparer: a thread that keeps the next segment ready, so that rotation never waits for a disk to be filled.
//!
//! It writes the next segment while the current one fills, at twice its pace, and not faster: pre-writing competes with
//! the journal's own syncs for the disk, and an idle switch should be an idle disk. When the writer waits, it writes as
//! fast as it can. A failure (a full disk) is kept as text, shown, and tried again every second. Meanwhile new work is
//! refused before what was begun is (handle.rs); when the last byte of the current segment is used too, the writer waits
//! for room: nothing becomes durable, nothing leaves, and it goes on by itself. A full disk never is a failed one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::device::Store;
use super::error::JournalError;
use super::frame::Head;
use super::keys::{Keys, SALT_BYTES};
use super::writer::{Prepared, Supply, prepare};
use crate::hook::{self, Crashed, Point};

/// How long the preparer waits after a failure before it tries again.
const RETRY: Duration = Duration::from_secs(1);
/// How long it waits for the current segment to fill before it looks again.
const PACE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct State {
    ready: Option<Prepared>,
    failure: Option<String>,
    stop: bool,
    /// The journal is open: from now on its writer waits for room. Before, a start without room is told.
    open: bool,
    /// The journal is closing: nobody waits any more.
    ending: bool,
}

/// What the writer, the handle and the preparer share.
pub struct Bench {
    state: Mutex<State>,
    changed: Condvar,
    /// Used part of the current segment, in 1/1024.
    used: AtomicU64,
    /// Bytes left in the current segment.
    left: AtomicU64,
    urgent: AtomicBool,
    failing: AtomicBool,
    stopping: AtomicBool,
    pub prepared: AtomicU64,
    pub failures: AtomicU64,
    pub stalls: AtomicU64,
}

impl Bench {
    pub fn new() -> Arc<Bench> {
        Arc::new(Bench {
            state: Mutex::default(),
            changed: Condvar::new(),
            used: AtomicU64::new(0),
            left: AtomicU64::new(u64::MAX),
            urgent: AtomicBool::new(true),
            failing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            prepared: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last attempt failed, while it is failing.
    pub fn failure(&self) -> Option<String> {
        if self.failing.load(Ordering::Acquire) {
            self.lock().failure.clone()
        } else {
            None
        }
    }

    /// Bytes left in the current segment when no next one can be made; None while all is well.
    pub fn short_of_room(&self) -> Option<u64> {
        self.failing
            .load(Ordering::Acquire)
            .then(|| self.left.load(Ordering::Relaxed))
    }

    /// Hands over a segment that was left from the last run.
    pub fn put(&self, segment: Prepared) {
        self.lock().ready = Some(segment);
    }

    /// A next segment is wanted and not there.
    pub fn wanting(&self) -> bool {
        let state = self.lock();
        state.ready.is_none() && !state.stop
    }

    /// Takes the next segment without waiting for it. None: it is not there.
    pub fn take(&self) -> Option<Result<Prepared, JournalError>> {
        let mut state = self.lock();
        self.take_from(&mut state)
    }

    fn take_from(&self, state: &mut State) -> Option<Result<Prepared, JournalError>> {
        if let Some(segment) = state.ready.take() {
            self.urgent.store(false, Ordering::Release);
            self.used.store(0, Ordering::Release);
            self.left.store(segment.bytes, Ordering::Relaxed);
            state.open = true;
            self.changed.notify_all();
            return Some(Ok(segment));
        }
        if state.open && !state.ending {
            return None;
        }
        state.failure.as_ref().map(|reason| {
            Err(JournalError::NoRoom {
                reason: reason.clone(),
            })
        })
    }

    /// Told how much of the current segment is used.
    pub fn note_used(&self, bytes: u64, of: u64) {
        self.used
            .store(bytes.saturating_mul(1024) / of.max(1), Ordering::Release);
        self.left.store(of.saturating_sub(bytes), Ordering::Relaxed);
    }

    /// Waits before the next attempt after a failure.
    fn rest(&self) {
        let state = self.lock();
        if !state.stop {
            drop(self.changed.wait_timeout(state, RETRY));
        }
    }

    /// The journal is closing: a writer that waits for room gives up, others get their segment yet.
    pub fn end(&self) {
        self.lock().ending = true;
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.lock().stop = true;
        self.changed.notify_all();
    }
}

/// The writer's end.
pub struct Ready(pub Arc<Bench>);

impl Supply for Ready {
    fn next(&mut self) -> Result<Prepared, JournalError> {
        let bench = &self.0;
        let mut state = bench.lock();
        let mut waited = false;
        loop {
            if let Some(taken) = bench.take_from(&mut state) {
                return taken;
            }
            if state.stop {
                return Err(JournalError::Usage("the journal is closing"));
            }
            if !waited {
                waited = true;
                bench.stalls.fetch_add(1, Ordering::Relaxed);
            }
            bench.urgent.store(true, Ordering::Release);
            state = bench
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn used(&mut self, bytes: u64, of: u64) {
        self.0.note_used(bytes, of);
    }
}

/// Makes segments, one after the other.
pub struct Maker {
    bench: Arc<Bench>,
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    head: Head,
}

impl Maker {
    /// The next segment gets `index`.
    pub fn new(
        bench: &Arc<Bench>,
        store: &Arc<dyn Store>,
        keys: &Arc<Keys>,
        journal: [u8; 16],
        index: u64,
        segment_bytes: u64,
    ) -> Maker {
        Maker {
            bench: Arc::clone(bench),
            store: Arc::clone(store),
            keys: Arc::clone(keys),
            head: Head {
                journal,
                index,
                segment_bytes,
                created_ms: 0,
                salt: [0; SALT_BYTES],
            },
        }
    }

    /// One attempt at the next segment: it is ready, or the bench knows why not. `pace` as in `Store::create`.
    pub fn attempt(&mut self, pace: &mut dyn FnMut(u64) -> bool) -> Result<bool, Crashed> {
        hook::at(Point::PrepareBefore)?;
        self.head.created_ms = super::unix_ms();
        let made = prepare(&*self.store, &self.keys, self.head.clone(), pace);
        let bench = &self.bench;
        let mut state = bench.lock();
        match made {
            Ok(segment) => {
                hook::at(Point::PrepareAfter)?;
                self.head.index += 1;
                state.ready = Some(segment);
                state.failure = None;
                bench.failing.store(false, Ordering::Release);
                bench.prepared.fetch_add(1, Ordering::Relaxed);
                bench.changed.notify_all();
                Ok(true)
            }
            Err(JournalError::Crashed(crashed)) => Err(crashed),
            Err(_) if bench.stopping.load(Ordering::Acquire) => Ok(false),
            Err(error) => {
                let reason = match error {
                    JournalError::NoRoom { reason } => reason,
                    other => other.to_string(),
                };
                state.failure = Some(reason);
                bench.failing.store(true, Ordering::Release);
                bench.failures.fetch_add(1, Ordering::Relaxed);
                bench.changed.notify_all();
                Ok(false)
            }
        }
    }
}

/// The preparer thread.
pub fn run(maker: &mut Maker) {
    let bench = Arc::clone(&maker.bench);
    let of = maker.head.segment_bytes;
    while wait_until_wanted(&bench) {
        match maker.attempt(&mut |written| pace(&bench, written, of)) {
            Ok(true) => {}
            Ok(false) => bench.rest(),
            Err(_) => return,
        }
    }
}

/// Waits until there is no ready segment; false at the end.
fn wait_until_wanted(bench: &Bench) -> bool {
    let mut state = bench.lock();
    loop {
        if state.stop {
            return false;
        }
        if state.ready.is_none() {
            return true;
        }
        state = bench
            .changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

/// Waits while the next segment is more than twice as far as the current one; false when it is no longer wanted.
fn pace(bench: &Bench, written: u64, of: u64) -> bool {
    let done = written.saturating_mul(1024) / of.max(1);
    loop {
        if bench.stopping.load(Ordering::Acquire) {
            return false;
        }
        // Room that has just come back is taken at once: the alarm ends, and nobody else gets it.
        let at_once = bench.urgent.load(Ordering::Acquire) || bench.failing.load(Ordering::Acquire);
        if at_once || done <= 2 * bench.used.load(Ordering::Acquire) {
            return true;
        }
        std::thread::sleep(PACE);
    }
}
