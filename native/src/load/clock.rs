//! Monotonic time in nanoseconds, and a timer that wakes an epoll loop at such a time.

use std::os::fd::OwnedFd;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

const SECOND: u64 = 1_000_000_000;

/// CLOCK_MONOTONIC in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// CPU time of the calling thread in nanoseconds.
#[must_use]
pub fn thread_cpu() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// CLOCK_REALTIME in whole seconds since 1970.
#[must_use]
pub fn wall_seconds() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime)) / SECOND
}

fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .saturating_mul(SECOND)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// A timerfd on the monotonic clock. Arming it again takes back an expiry that was not read, so it is never read.
#[derive(Debug)]
pub struct Timer {
    descriptor: OwnedFd,
}

impl Timer {
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> rustix::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self {
            descriptor: timerfd_create(TimerfdClockId::Monotonic, flags)?,
        })
    }

    /// Wakes at `at_ns`, at once when that has passed.
    ///
    /// # Errors
    /// Never in practice; the system call's error is handed on.
    pub fn arm(&self, at_ns: u64) -> rustix::io::Result<()> {
        let at = at_ns.max(1);
        let value = Timespec {
            tv_sec: i64::try_from(at / SECOND).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at % SECOND).unwrap_or(0),
        };
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: never,
            it_value: value,
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(())
    }

    #[must_use]
    pub fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }
}
