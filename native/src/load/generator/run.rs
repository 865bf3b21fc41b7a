//! The window under way: what is counted, from when to when.

use std::sync::atomic::Ordering;

use super::super::clock;
use super::super::maker::Maker;
use super::super::recording::{How, Moment, Recording};
use super::super::usage::Usage;
use super::super::window::{Outcome, Window};
use super::flights::Flight;

/// State of one window.
pub struct Run<'a> {
    pub window: &'a Window,
    pub maker: Maker,
    pub out: Outcome,
    pub recording: Option<Box<Recording>>,
    /// Start and end of what is counted.
    pub from_ns: u64,
    pub until_ns: u64,
    /// Serial numbers below are used up, also after requests were sent again.
    pub resume: u64,
    /// Serial number at which a closed loop ends.
    pub limit: u64,
    pub pace: Pace,
    pub before: Option<Usage>,
    pub after: Option<Usage>,
    /// CPU time of this thread when the window began.
    pub own_cpu_ns: u64,
    pub began_ns: u64,
}

/// What makes the next request go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// An answer is followed by the next request.
    Loop,
    Schedule,
}

impl Run<'_> {
    /// Takes the process's figures when the counted stretch begins and when it ends.
    pub fn mark(&mut self, now: u64, pid: u32) {
        if self.before.is_none() && now >= self.from_ns {
            self.before = Some(Usage::of(pid));
            self.from_ns = clock::now();
            if self.pace == Pace::Loop {
                self.until_ns = self.from_ns
                    + u64::try_from(self.window.measure.as_nanos()).unwrap_or(u64::MAX / 4);
            }
        }
        if self.after.is_none() && now >= self.until_ns {
            self.after = Some(Usage::of(pid));
            self.until_ns = clock::now();
        }
    }

    /// Ends the counted stretch now.
    pub fn cut(&mut self, now: u64, pid: u32) {
        self.until_ns = self.until_ns.min(now);
        self.from_ns = self.from_ns.min(now);
        self.mark(now, pid);
    }

    pub fn is_stopped(&self) -> bool {
        let progress = self.window.progress.as_ref();
        progress.is_some_and(|progress| progress.is_stopped())
    }

    /// A request is about to be sent, or cannot be.
    pub fn offered(&mut self, serial: u64, due_ns: u64) {
        self.out.offered += 1;
        if let Some(progress) = &self.window.progress {
            progress.offered.fetch_add(1, Ordering::Relaxed);
        }
        let place = serial - self.out.first_serial;
        let inside = self.is_counted(due_ns);
        let from_ns = self.from_ns;
        if let Some(recording) = &mut self.recording {
            let _ = recording.tell(place);
            if inside {
                recording.counts.offered += 1;
                recording.moment(due_ns - from_ns).offered += 1;
            }
        }
    }

    pub fn not_sent(&mut self, serial: u64, due_ns: u64) {
        self.out.not_sent += 1;
        self.failed(serial, due_ns, due_ns, How::NotSent);
    }

    /// An answer that is `right` or another's; its code.
    pub fn answered(&mut self, flight: &Flight, now: u64, right: bool, code: [u8; 2]) {
        if flight.given_up {
            self.late(flight, code);
            return;
        }
        let expected = code == self.window.expect;
        let counter = match (right, expected) {
            (false, _) => &mut self.out.wrong,
            (true, false) => &mut self.out.other_code,
            (true, true) => &mut self.out.answered,
        };
        *counter += 1;
        self.count(flight, now);
        if !right {
            self.failed(flight.serial, flight.due_ns, now, How::Wrong);
            return;
        }
        if let Some(progress) = &self.window.progress {
            progress.answered.fetch_add(1, Ordering::Relaxed);
        }
        let inside = self.is_counted(flight.due_ns);
        let (from_ns, first) = (self.from_ns, self.out.first_serial);
        let Some(recording) = &mut self.recording else {
            return;
        };
        let told = recording.tell(flight.serial - first);
        (told.how, told.code) = (How::Answered, code);
        if let Some(at) = flight.due_ns.checked_sub(from_ns) {
            let series = match expected {
                true => &mut recording.expected,
                false => &mut recording.otherwise,
            };
            series.record(at, now.saturating_sub(flight.due_ns));
        }
        if now >= from_ns {
            let moment = recording.moment(now - from_ns);
            moment.answered += u32::from(expected);
            moment.declined += u32::from(!expected);
        }
        if inside {
            recording.counts.answered += 1;
            recording.counts.declined += u64::from(!expected);
        }
    }

    fn late(&mut self, flight: &Flight, code: [u8; 2]) {
        self.out.late += 1;
        let inside = self.is_counted(flight.due_ns);
        let Some(place) = flight.serial.checked_sub(self.out.first_serial) else {
            return;
        };
        if let Some(recording) = &mut self.recording {
            recording.tell(place).code = code;
            recording.counts.late += u64::from(inside);
        }
    }

    /// Its deadline has passed: it counts as the deadline, whatever comes.
    pub fn timed_out(&mut self, flight: &Flight, deadline_ns: u64) {
        self.out.missing += 1;
        self.record(flight, deadline_ns);
        self.failed(flight.serial, flight.due_ns, deadline_ns, How::GivenUp);
    }

    pub fn closed(&mut self, flight: &Flight, now: u64) {
        self.out.closed += 1;
        self.failed(flight.serial, flight.due_ns, now, How::Closed);
    }

    fn failed(&mut self, serial: u64, due_ns: u64, now: u64, how: How) {
        if let Some(progress) = &self.window.progress {
            progress.errors.fetch_add(1, Ordering::Relaxed);
        }
        let inside = self.is_counted(due_ns);
        let (from_ns, first) = (self.from_ns, self.out.first_serial);
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.tell(serial - first).how = how;
        if inside {
            let counts = &mut recording.counts;
            *match how {
                How::NotSent => &mut counts.not_sent,
                How::Closed => &mut counts.closed,
                How::Wrong => &mut counts.wrong,
                _ => &mut counts.timeouts,
            } += 1;
            let moment: &mut Moment = recording.moment(now.saturating_sub(from_ns));
            if how == How::NotSent {
                moment.not_sent += 1;
            } else {
                moment.errors += 1;
            }
        }
    }

    /// With a schedule: due inside the counted stretch.
    fn is_counted(&self, due_ns: u64) -> bool {
        self.before.is_some() && due_ns >= self.from_ns
    }

    fn count(&mut self, flight: &Flight, now: u64) {
        let inside = self.before.is_some() && self.after.is_none();
        if inside {
            self.out.counted += 1;
        }
        let of_stretch = match self.pace {
            Pace::Loop => inside,
            Pace::Schedule => true,
        };
        if of_stretch {
            self.record(flight, now);
        }
    }

    /// Of a schedule only what was due in the stretch.
    fn record(&mut self, flight: &Flight, now: u64) {
        if self.pace == Pace::Loop || flight.due_ns >= self.from_ns {
            let from_due = now.saturating_sub(flight.due_ns);
            self.out.latency.record(from_due);
            if let Some(recording) = &mut self.recording {
                let at = flight.due_ns.saturating_sub(self.from_ns);
                recording.due.record(at, from_due);
                recording
                    .sent
                    .record(at, now.saturating_sub(flight.sent_ns));
            }
        }
    }
}
