//! What a window is asked, and what came of it.

use std::time::Duration;

use super::histogram::Histogram;
use super::usage::Usage;

/// One measured stretch of time.
#[derive(Clone, Copy, Debug)]
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
}

impl Outcome {
    /// True when every request got its right answer.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.answered == self.offered && self.stray == 0
    }
}
