//! The preparer: a thread that keeps the next segment ready, so that rotation never waits for a disk to be filled.
//!
//! It writes the next segment while the current one fills, at twice its pace, and not faster: pre-writing competes with
//! the journal's own syncs for the disk, and an idle switch should be an idle disk. When the writer waits, it writes as
//! fast as it can. A failure (a full disk) is kept as text, shown, and tried again every second.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::device::Store;
use super::error::JournalError;
use super::frame::Head;
use super::keys::{Keys, SALT_BYTES};
use super::writer::{Prepared, Supply, prepare};

/// How long the preparer waits after a failure before it tries again.
const RETRY: Duration = Duration::from_secs(1);
/// How long it waits for the current segment to fill before it looks again.
const PACE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct State {
    ready: Option<Prepared>,
    failure: Option<String>,
    stop: bool,
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
            if let Some(segment) = state.ready.take() {
                bench.urgent.store(false, Ordering::Release);
                bench.used.store(0, Ordering::Release);
                bench.left.store(segment.bytes, Ordering::Relaxed);
                bench.changed.notify_all();
                return Ok(segment);
            }
            if let Some(reason) = &state.failure {
                return Err(JournalError::NoRoom {
                    reason: reason.clone(),
                });
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
        self.0
            .used
            .store(bytes.saturating_mul(1024) / of.max(1), Ordering::Release);
        self.0
            .left
            .store(of.saturating_sub(bytes), Ordering::Relaxed);
    }
}

/// Starts the thread; the next segment gets `index`.
pub fn start(
    bench: Arc<Bench>,
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    journal: [u8; 16],
    index: u64,
    segment_bytes: u64,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("journal-prepare".to_owned())
        .spawn(move || {
            let mut head = Head {
                journal,
                index,
                segment_bytes,
                created_ms: 0,
                salt: [0; SALT_BYTES],
            };
            while wait_until_wanted(&bench) {
                head.created_ms = super::unix_ms();
                let made = prepare(&*store, &keys, head.clone(), &mut |written| {
                    pace(&bench, written, segment_bytes)
                });
                let mut state = bench.lock();
                match made {
                    Ok(segment) => {
                        head.index += 1;
                        state.ready = Some(segment);
                        state.failure = None;
                        bench.failing.store(false, Ordering::Release);
                        bench.prepared.fetch_add(1, Ordering::Relaxed);
                        bench.changed.notify_all();
                    }
                    Err(_) if bench.stopping.load(Ordering::Acquire) => return,
                    Err(error) => {
                        let reason = match error {
                            JournalError::NoRoom { reason } => reason,
                            other => other.to_string(),
                        };
                        state.failure = Some(reason);
                        bench.failing.store(true, Ordering::Release);
                        bench.failures.fetch_add(1, Ordering::Relaxed);
                        bench.changed.notify_all();
                        drop(bench.changed.wait_timeout(state, RETRY));
                    }
                }
            }
        })
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
        if bench.urgent.load(Ordering::Acquire) || done <= 2 * bench.used.load(Ordering::Acquire) {
            return true;
        }
        std::thread::sleep(PACE);
    }
}
