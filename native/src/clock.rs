//! The clocks of everything that decides or is recorded: the kernel's, or the ones that a simulation has set.
//!
//! Deadlines count on the monotonic clock, dates and stamps on the wall clock. On the real path a reading costs one
//! relaxed load beside the system's own (vDSO) call. The load generator measures, so it reads the kernel itself.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;

static VIRTUAL: AtomicBool = AtomicBool::new(false);
static MONOTONIC_NS: AtomicU64 = AtomicU64::new(0);
static WALL_NS: AtomicI64 = AtomicI64::new(0);

/// CLOCK_MONOTONIC in nanoseconds.
#[inline]
#[must_use]
pub fn monotonic_ns() -> u64 {
    if VIRTUAL.load(Ordering::Relaxed) {
        return MONOTONIC_NS.load(Ordering::Relaxed);
    }
    u64::try_from(nanoseconds(clock_gettime(ClockId::Monotonic))).unwrap_or(0)
}

/// Unix time in nanoseconds.
#[inline]
#[must_use]
pub fn wall_ns() -> i64 {
    if VIRTUAL.load(Ordering::Relaxed) {
        return WALL_NS.load(Ordering::Relaxed);
    }
    // By the C library, whose call a test can stand in for (a preloaded library): a wall clock that is set must be shown
    // on the real process. rustix asks the kernel past it.
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Unix time in milliseconds.
#[must_use]
pub fn wall_ms() -> i64 {
    wall_ns().div_euclid(MILLISECOND)
}

/// What has passed since a reading of `monotonic_ns`.
#[must_use]
pub fn since(then_ns: u64) -> Duration {
    Duration::from_nanos(monotonic_ns().saturating_sub(then_ns))
}

/// Until `run_free` both clocks stand where they are set. For `simulation` only, which judges who may.
pub(crate) fn set(monotonic_ns: u64, wall_ns: i64) {
    MONOTONIC_NS.store(monotonic_ns, Ordering::Relaxed);
    WALL_NS.store(wall_ns, Ordering::Relaxed);
    VIRTUAL.store(true, Ordering::Release);
}

/// Back to the kernel's clocks.
pub(crate) fn run_free() {
    VIRTUAL.store(false, Ordering::Release);
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(SECOND)
        .saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_clocks_run_and_agree_with_the_standard_librarys() {
        let (monotonic, wall) = (monotonic_ns(), wall_ns());
        let standard = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as i64);
        assert!((0..5 * SECOND).contains(&(standard - wall)));
        assert!((0..5_000).contains(&(wall_ms() - wall / MILLISECOND)));
        std::thread::sleep(Duration::from_millis(2));
        assert!(since(monotonic) >= Duration::from_millis(2));
    }
}
