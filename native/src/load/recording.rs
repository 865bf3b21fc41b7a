//! What a window remembers beside its sums: durations over time, what happened when, and each request's end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::LoadError;
use super::series::Series;

/// How a request ended, as its terminal knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// It has not, yet.
    #[default]
    Open,
    Answered,
    /// Nothing came in time; what comes later has no effect.
    GivenUp,
    /// Its connection was lost.
    Closed,
    NotSent,
    /// What came is another's answer.
    Wrong,
}

/// One request, in the order of serial numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub how: How,
    /// Of its answer, also of a late one; zero bits without any.
    pub code: [u8; 2],
}

/// What happened in one slice of time: offered and not sent by due time, the rest by the time of the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub offered: u32,
    pub not_sent: u32,
    pub answered: u32,
    /// With another code than the expected one.
    pub declined: u32,
    pub errors: u32,
}

/// Sums over the requests that were due in the counted stretch, however late they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub offered: u64,
    pub answered: u64,
    pub declined: u64,
    pub timeouts: u64,
    pub closed: u64,
    pub wrong: u64,
    pub not_sent: u64,
    /// Answers after the deadline: their requests are time-outs.
    pub late: u64,
}

/// Of one window with a schedule. Times are counted from the start of the counted stretch.
#[derive(Clone, Debug)]
pub struct Recording {
    /// From the time a request was due, and from the time it was sent.
    pub due: Series,
    pub sent: Series,
    /// From the time a request was due, of those answered as expected, and of those answered otherwise.
    pub expected: Series,
    pub otherwise: Series,
    pub timeline: Vec<Moment>,
    pub counts: Counts,
    /// Of the whole window, warm-up included.
    pub told: Vec<Told>,
}

/// A timeline is no longer than this: half a day of seconds.
const MOMENTS_MAX: usize = 1 << 16;

impl Recording {
    /// # Errors
    /// A slice without length.
    pub fn new(slice_ns: u64) -> Result<Self, LoadError> {
        Ok(Self {
            due: Series::new(slice_ns)?,
            sent: Series::new(slice_ns)?,
            expected: Series::new(slice_ns)?,
            otherwise: Series::new(slice_ns)?,
            timeline: Vec::new(),
            counts: Counts::default(),
            told: Vec::new(),
        })
    }

    /// The slice of a moment.
    pub fn moment(&mut self, at_ns: u64) -> &mut Moment {
        let number = usize::try_from(at_ns / self.due.slice_ns()).unwrap_or(MOMENTS_MAX);
        let number = number.min(MOMENTS_MAX - 1);
        if number >= self.timeline.len() {
            self.timeline.resize(number + 1, Moment::default());
        }
        &mut self.timeline[number]
    }

    /// The request with this place in the window.
    pub fn tell(&mut self, place: u64) -> &mut Told {
        let place = usize::try_from(place).unwrap_or(usize::MAX - 1);
        if place >= self.told.len() {
            self.told.resize(place + 1, Told::default());
        }
        &mut self.told[place]
    }
}

/// Seen by others while a window runs, and how they end it.
#[derive(Debug, Default)]
pub struct Progress {
    pub offered: AtomicU64,
    pub answered: AtomicU64,
    /// Time-outs, wrong answers, lost connections, requests that were not sent.
    pub errors: AtomicU64,
    pub stop: AtomicBool,
}

impl Progress {
    /// The window ends as soon as what is in flight has ended.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
