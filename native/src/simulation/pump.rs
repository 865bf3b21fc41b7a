//! A journal's pump that is cranked by hand: no thread, no waiting; the world says when a group is written, when it is
//! synced, and when a segment is made, and may crash between any two of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::disk::SimDisk;
use crate::hook::Crashed;
use crate::journal::prepare::{Bench, Maker};
use crate::journal::writer::{Prepared, Supply};
use crate::journal::{Journal, JournalError, Keys, Options};
use crate::journal::{Opened, Pump, Shared, Step, lock};

/// Told when something waits to be written.
pub type Bell = Box<dyn Fn() + Send + Sync>;

/// What a crank found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cranked {
    Step(Step),
    /// The group needs a segment, and none is ready: `prepare` first.
    Stalled,
}

/// The crank; `journal` has the other end.
pub struct Hand {
    shared: Arc<Shared>,
    bench: Arc<Bench>,
    maker: Arc<Mutex<Maker>>,
    /// Something is staged and not settled.
    staged: AtomicBool,
    here: AtomicBool,
    dead: AtomicBool,
    bell: Option<Bell>,
}

/// Segments for the writer: those that were prepared; at the start, and where the world did not prepare one, made on
/// the spot.
struct OnDemand {
    bench: Arc<Bench>,
    maker: Arc<Mutex<Maker>>,
}

impl Supply for OnDemand {
    fn next(&mut self) -> Result<Prepared, JournalError> {
        if let Some(taken) = self.bench.take() {
            return taken;
        }
        lock(&self.maker).attempt(&mut |_| true)?;
        self.bench.take().unwrap_or_else(|| {
            Err(JournalError::NoRoom {
                reason: self.bench.failure().unwrap_or_default(),
            })
        })
    }

    fn used(&mut self, bytes: u64, of: u64) {
        self.bench.note_used(bytes, of);
    }
}

/// Opens or makes the journal on `disk`, as `Journal::open` does in a directory; `bell` rings when a group waits.
pub fn open(
    disk: &SimDisk,
    keys: Arc<Keys>,
    options: Options,
    bell: Option<Bell>,
) -> Result<(Arc<Journal>, Arc<Hand>), JournalError> {
    let opened = Opened::find(disk.mount(), keys, options)?;
    let maker = Arc::new(Mutex::new(opened.maker()));
    opened.furnish(Box::new(OnDemand {
        bench: Arc::clone(&opened.bench),
        maker: Arc::clone(&maker),
    }))?;
    let hand = Arc::new(Hand {
        shared: Arc::clone(&opened.shared),
        bench: Arc::clone(&opened.bench),
        maker,
        staged: AtomicBool::new(false),
        here: AtomicBool::new(false),
        dead: AtomicBool::new(false),
        bell,
    });
    let journal = opened.driven(Arc::clone(&hand) as Arc<dyn Pump>, None);
    Ok((Arc::new(journal), hand))
}

impl Hand {
    /// Whether small groups are written by whoever commits.
    pub fn set_here(&self, here: bool) {
        self.here.store(here, Ordering::Relaxed);
    }

    pub fn here(&self) -> bool {
        self.here.load(Ordering::Relaxed)
    }

    /// There is something to begin, or to finish.
    pub fn waiting(&self) -> bool {
        let alive = !self.dead.load(Ordering::Relaxed) && !self.shared.failed();
        alive && (self.shared.kicked() || self.staged.load(Ordering::Relaxed) || self.half_done())
    }

    fn half_done(&self) -> bool {
        lock(&self.shared.desk)
            .as_ref()
            .is_some_and(|desk| desk.is_busy())
    }

    /// Takes what is pending, seals it and writes it into the disk's volatile image.
    pub fn begin(&self) -> Cranked {
        if self.dead.load(Ordering::Relaxed) {
            return Cranked::Step(Step::Failed);
        }
        if self.staged.load(Ordering::Relaxed) {
            return Cranked::Step(Step::Written);
        }
        let mut held = lock(&self.shared.desk);
        if held.is_none() {
            return Cranked::Step(Step::Failed);
        }
        let half_done = held.as_ref().is_some_and(|desk| desk.is_busy());
        if !half_done && !self.shared.unkick() || !self.shared.take(&mut held) {
            return Cranked::Step(Step::Idle);
        }
        let rotates = held.as_ref().is_some_and(Shared::must_rotate);
        if rotates && self.bench.wanting() {
            return Cranked::Stalled;
        }
        let step = self.shared.stage(&mut held);
        self.staged.store(step == Step::Written, Ordering::Relaxed);
        Cranked::Step(step)
    }

    /// Syncs what `begin` wrote; moves `synced` and signals when that was all of the group.
    pub fn finish(&self) -> Step {
        if self.dead.load(Ordering::Relaxed) {
            return Step::Failed;
        }
        if !self.staged.swap(false, Ordering::Relaxed) {
            return if self.shared.failed() {
                Step::Failed
            } else {
                Step::Idle
            };
        }
        let step = self.shared.settle(&mut lock(&self.shared.desk));
        if step == Step::Synced {
            self.shared.signal();
        }
        step
    }

    /// The eventfd is readable.
    pub fn signalled(&self) -> bool {
        self.shared.signalled()
    }

    /// No next segment is ready.
    pub fn wants_segment(&self) -> bool {
        !self.dead.load(Ordering::Relaxed) && self.bench.wanting()
    }

    /// One attempt at the next segment, when one is wanted. False when it failed.
    pub fn prepare(&self) -> Result<bool, Crashed> {
        if !self.wants_segment() {
            return Ok(true);
        }
        lock(&self.maker).attempt(&mut |_| true)
    }

    /// The node has gone: nothing is written any more, whatever is still called.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.shared.close();
        *lock(&self.shared.desk) = None;
        self.bench.stop();
    }
}

impl Pump for Hand {
    fn commit(&self) {
        if self.shared.kick().is_some()
            && let Some(bell) = &self.bell
        {
            bell();
        }
    }

    fn write_here(&self) -> Option<bool> {
        let may = self.here() && !self.staged.load(Ordering::Relaxed);
        if may { self.shared.write_here() } else { None }
    }

    /// As the threads end: what is pending becomes durable.
    fn end(&self) {
        self.shared.close();
        while !self.dead.load(Ordering::Relaxed) {
            self.shared.kick();
            match self.begin() {
                Cranked::Step(Step::Written) => {
                    self.finish();
                }
                Cranked::Stalled => {
                    // Without room what is pending is given up, as the threads give it up.
                    if !matches!(self.prepare(), Ok(true)) {
                        break;
                    }
                }
                Cranked::Step(_) => break,
            }
        }
        *lock(&self.shared.desk) = None;
        self.bench.stop();
    }
}
