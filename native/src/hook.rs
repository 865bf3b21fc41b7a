//! Named points at which a process can be made to die, to see what its successor makes of what was left behind.
//!
//! Always compiled in: what is tested is what ships. Unarmed, a point costs one relaxed load. Armed with a name and a
//! count, the n-th arrival at that point kills: a real process itself, by SIGKILL, so that nothing runs any more, no
//! destructor and no flush; in a simulation the arrival is an error (`Crashed`) that unwinds to the world, which kills
//! the node.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use thiserror::Error;

use crate::simulation;

macro_rules! points {
    ($($(#[doc = $about:literal])+ $name:ident => $text:literal,)+) => {
        /// Where a process can be made to die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Point {
            $($(#[doc = $about])+ $name,)+
        }

        /// Every point: its name, and what has happened when it is reached.
        pub const POINTS: &[(Point, &str, &str)] = &[
            $((Point::$name, $text, concat!($($about),+)),)+
        ];
    };
}

points! {
    /// A record was copied into the pending buffer; nothing of it is on the disk.
    Appended => "journal.appended",
    /// A group is sealed; not a byte of it is written.
    WriteBefore => "journal.write.before",
    /// A group is written; it is not synced.
    SyncBefore => "journal.sync.before",
    /// A group is durable; `synced` has not moved, nobody knows.
    SyncAfter => "journal.sync.after",
    /// `synced` has moved; whoever waits for it has not been woken.
    SignalBefore => "journal.signal.before",
    /// A segment is full and its last group durable; the next is not taken.
    RotateBefore => "journal.rotate.before",
    /// The next segment is taken; nothing is written to it.
    RotateAfter => "journal.rotate.after",
    /// The next segment is wanted; nothing of it exists.
    PrepareBefore => "journal.prepare.before",
    /// The next segment is written in full under another name.
    PrepareWritten => "journal.prepare.written",
    /// The next segment has its name; nobody has taken it.
    PrepareAfter => "journal.prepare.after",
    /// A covered segment is about to be removed.
    RemoveBefore => "journal.remove.before",
    /// A covered segment is removed, others may be left.
    RemoveAfter => "journal.remove.after",
    /// The journal's end is found; nothing was changed on the disk.
    RecoverFound => "journal.recover.found",
    /// Spare segments were adopted or removed; no segment was taken.
    RecoverSwept => "journal.recover.swept",
    /// The journal is open; nothing was replayed.
    RecoverOpened => "journal.recover.opened",
    /// The journal is replayed; nothing was recorded.
    RecoverReplayed => "journal.recover.replayed",
    /// A checkpoint's begin is recorded, not yet durable.
    CheckpointBegun => "checkpoint.begun",
    /// A record was carried by a checkpoint.
    CheckpointCarried => "checkpoint.carried",
    /// A checkpoint's end is recorded, not yet durable.
    CheckpointEnded => "checkpoint.ended",
    /// A request's record is durable; its bank leg has not been handed to a socket.
    RequestBefore => "release.request.before",
    /// A request's bank leg is with the kernel.
    RequestAfter => "release.request.after",
    /// An answer's record is durable; the answer has not been handed to a socket.
    AnswerBefore => "release.answer.before",
    /// An answer is with the kernel.
    AnswerAfter => "release.answer.after",
    /// A reversal's record is durable; its bank leg has not been handed to a socket.
    ReversalBefore => "release.reversal.before",
    /// A reversal's bank leg is with the kernel.
    ReversalAfter => "release.reversal.after",
    /// What one peer gets of a release is with the kernel; of what the next one gets, not a byte.
    Between => "release.between",
    /// The worker has replayed its journal; STARTED is not recorded.
    WorkerRecovered => "worker.recovered",
    /// The worker has recorded STARTED and settled nothing yet; no link is open.
    WorkerStarted => "worker.started",
    /// The worker has reversed or concluded what was in doubt; not one record of that is durable.
    WorkerResumed => "worker.resumed",
    /// The worker has answered its last request and is about to close its journal.
    WorkerDrained => "worker.drained",
    /// The vault's transaction is about to commit.
    VaultBefore => "vault.commit.before",
    /// The vault's transaction is durable; the index does not know.
    VaultAfter => "vault.commit.after",
    /// The index has taken up what the vault committed; nobody was told.
    IndexAfter => "index.write.after",
}

/// The process of a simulation has died here.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the simulation ends this process at {}", .0.name())]
pub struct Crashed(pub Point);

/// Why a crash cannot be armed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ArmError {
    #[error("{0:?} is not NAME:N with N from 1")]
    Form(String),
    #[error("there is no crash point {0:?}")]
    Unknown(String),
}

impl Crashed {
    /// Through an interface that knows only I/O errors; `JournalError::io` finds it there.
    #[must_use]
    pub fn io(self) -> io::Error {
        io::Error::other(self)
    }

    #[must_use]
    pub fn of(error: &io::Error) -> Option<Crashed> {
        error.get_ref()?.downcast_ref::<Crashed>().copied()
    }
}

impl Point {
    #[must_use]
    pub fn name(self) -> &'static str {
        POINTS
            .iter()
            .find(|(point, ..)| *point == self)
            .map_or("", |(_, name, _)| name)
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Point> {
        POINTS
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(point, ..)| *point)
    }
}

/// What `ARMED` and `REACHED` hold for no point.
const NONE: u32 = u32::MAX;

static ARMED: AtomicU32 = AtomicU32::new(NONE);
static LEFT: AtomicU64 = AtomicU64::new(0);
static REACHED: AtomicU32 = AtomicU32::new(NONE);
/// Which kinds of frames the last release gave out, while armed: bits of `Handed`.
static HANDED: AtomicU8 = AtomicU8::new(0);

/// Arms `NAME:N`, the n-th arrival at that point from now on; nothing disarms.
///
/// # Errors
/// `Form`, `Unknown`.
pub fn arm(at: &str) -> Result<(), ArmError> {
    disarm();
    if at.is_empty() {
        return Ok(());
    }
    let form = || ArmError::Form(at.to_owned());
    let (name, count) = at.rsplit_once(':').ok_or_else(form)?;
    let count: u64 = count.parse().ok().filter(|n| *n > 0).ok_or_else(form)?;
    let point = Point::parse(name).ok_or_else(|| ArmError::Unknown(name.to_owned()))?;
    LEFT.store(count, Ordering::SeqCst);
    ARMED.store(point as u32, Ordering::SeqCst);
    Ok(())
}

/// No point kills any more, and none was reached.
pub fn disarm() {
    ARMED.store(NONE, Ordering::SeqCst);
    REACHED.store(NONE, Ordering::SeqCst);
    HANDED.store(0, Ordering::SeqCst);
}

/// The point at which the simulated process died, since the last `arm`.
#[inline]
#[must_use]
pub fn crashed() -> Option<Crashed> {
    let reached = REACHED.load(Ordering::Relaxed);
    if reached == NONE {
        return None;
    }
    let found = POINTS.iter().find(|(p, ..)| *p as u32 == reached);
    found.map(|(point, ..)| Crashed(*point))
}

/// True when some point is armed.
#[inline]
#[must_use]
pub fn armed() -> bool {
    ARMED.load(Ordering::Relaxed) != NONE
}

/// This point is reached.
///
/// # Errors
/// `Crashed` in a simulation, when this was the arrival that kills. A real process does not return then.
#[inline]
pub fn at(point: Point) -> Result<(), Crashed> {
    if armed() { arrive(point) } else { Ok(()) }
}

#[cold]
fn arrive(point: Point) -> Result<(), Crashed> {
    if ARMED.load(Ordering::SeqCst) != point as u32 || LEFT.fetch_sub(1, Ordering::SeqCst) != 1 {
        return Ok(());
    }
    ARMED.store(NONE, Ordering::SeqCst);
    if simulation::active() {
        REACHED.store(point as u32, Ordering::SeqCst);
        return Err(Crashed(point));
    }
    die()
}

/// Ends this process as a power cut would: no handler, no destructor, no flush.
fn die() -> ! {
    loop {
        // It cannot fail for a process's own number; were it refused, the next one is not.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::park();
    }
}

/// Kinds of frames whose hand-over to a socket has points of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    Request = 1,
    Answer = 2,
    Reversal = 4,
}

/// A frame of this kind is about to be given out; its record is durable.
///
/// # Errors
/// As `at`.
#[inline]
pub fn giving(kind: Handed) -> Result<(), Crashed> {
    if !armed() {
        return Ok(());
    }
    HANDED.fetch_or(kind as u8, Ordering::SeqCst);
    arrive(match kind {
        Handed::Request => Point::RequestBefore,
        Handed::Answer => Point::AnswerBefore,
        Handed::Reversal => Point::ReversalBefore,
    })
}

/// A point is armed that lies at or behind the hand-over to the kernel: a release must be handed over one peer at a
/// time, and each waited for. A loop that keeps bytes until its next turn would lose them with the process.
#[inline]
#[must_use]
pub fn handing() -> bool {
    let armed = ARMED.load(Ordering::Relaxed);
    armed != NONE && HANDING.iter().any(|point| *point as u32 == armed)
}

const HANDING: [Point; 4] = [
    Point::RequestAfter,
    Point::AnswerAfter,
    Point::ReversalAfter,
    Point::Between,
];

/// What was given out since the last call is with the kernel.
///
/// # Errors
/// As `at`.
#[inline]
pub fn given() -> Result<(), Crashed> {
    if !armed() {
        return Ok(());
    }
    let handed = HANDED.swap(0, Ordering::SeqCst);
    for (kind, point) in [
        (Handed::Request, Point::RequestAfter),
        (Handed::Answer, Point::AnswerAfter),
        (Handed::Reversal, Point::ReversalAfter),
    ] {
        if handed & kind as u8 != 0 {
            arrive(point)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_come_back() {
        for (point, name, about) in POINTS {
            assert_eq!(Point::parse(name), Some(*point));
            assert_eq!(point.name(), *name);
            assert!(about.trim().ends_with('.'), "{name}");
        }
        assert_eq!(Point::parse("journal.nowhere"), None);
    }

    #[test]
    fn what_cannot_be_armed_is_told() {
        let form = |at: &str| assert_eq!(arm(at), Err(ArmError::Form(at.to_owned())));
        form("journal.appended");
        form("journal.appended:0");
        form("journal.appended:x");
        assert_eq!(arm("x:1"), Err(ArmError::Unknown("x".to_owned())));
        assert!(!armed() && crashed().is_none());
    }
}
