//! What a window is asked, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use super::histogram::Histogram;
use super::recording::{Progress, Recording};
use super::usage::Usage;

/// One measured stretch of time.
#[derive(Clone, Debug)]
pub struct Window {
    /// Load that is not counted, before.
    pub warm: Duration,
    /// What is counted. With a schedule: the rest of the schedule.
    pub measure: Duration,
    /// How long answers are waited for, after.
    pub drain: Duration,
    /// The response code that every answer must carry.
    pub expect: [u8; 2],
    /// An earlier window whose requests are sent again.
    pub again: Option<Again>,
    /// From sending: what has no answer then is missing, and is recorded as if it had come now. None: only the end
    /// of the drain tells.
    pub timeout: Option<Duration>,
    /// Schedule only: remember each request's end, and durations in slices of this length.
    pub record: Option<Duration>,
    /// Schedule only: what is due at once on one connection leaves in one `send`.
    pub joined: bool,
    /// Where others see how far it is, and tell it to end.
    pub progress: Option<Arc<Progress>>,
}

/// Requests of an earlier window, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    pub first_serial: u64,
    pub date_s: u64,
    /// A closed loop ends when so many were sent.
    pub count: u64,
}

/// What came of a window. The first seven add up: `offered` is the sum of the other six.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub offered: u64,
    /// With the expected code and all echoes right.
    pub answered: u64,
    /// All echoes right, another code.
    pub other_code: u64,
    /// An answer under its STAN whose echoes are another's.
    pub wrong: u64,
    pub missing: u64,
    /// In flight on a connection that was lost.
    pub closed: u64,
    /// No connection was left to send it on.
    pub not_sent: u64,
    /// Answers to nothing that was in flight.
    pub stray: u64,
    /// Answers to what was missing by then.
    pub late: u64,
    /// Messages that had to wait because the peer did not read.
    pub delayed: u64,
    /// Answers inside the measured stretch, its length, and what the process under test used in it.
    pub counted: u64,
    pub elapsed_ns: u64,
    pub usage: Usage,
    /// Closed loop: of the answers counted, from sending. Schedule: of the requests due in the stretch, from due time.
    pub latency: Histogram,
    /// Schedule only: actual minus planned sending.
    pub lag: Histogram,
    pub first_serial: u64,
    pub date_s: u64,
    /// Of the generator's own thread: CPU time, and how long the window took with what was before and after.
    pub own_cpu_ns: u64,
    pub own_ns: u64,
    pub recording: Option<Box<Recording>>,
}

impl Outcome {
    /// True when every request got its right answer.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.answered == self.offered && self.stray == 0
    }
}
