//! What a process has used so far: CPU from the scheduler's nanosecond sums, and how often it went to sleep.

use std::fs;
use std::path::Path;

/// Sums over all threads that live at the moment of reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time. Exact to a scheduler tick of whatever runs at this instant.
    pub cpu_ns: u64,
    /// Times a thread gave the processor away by itself: each is a wake-up to pay for.
    pub switches: u64,
}

impl Usage {
    /// Reads `/proc/PID/task/*/schedstat` and `status`; a process that has gone has used nothing.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let mut usage = Self::default();
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return usage;
        };
        for task in tasks.flatten() {
            let path = task.path();
            usage.cpu_ns += first_number(&path.join("schedstat"));
            usage.switches += voluntary_switches(&path.join("status"));
        }
        usage
    }

    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            switches: self.switches.saturating_sub(earlier.switches),
        }
    }
}

fn first_number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    number(text.split_whitespace().next())
}

fn voluntary_switches(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    number(
        text.lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .map(str::trim),
    )
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|t| t.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows() {
        let before = Usage::of(std::process::id());
        let mut sum = 0_u64;
        let until = std::time::Instant::now() + std::time::Duration::from_millis(60);
        while std::time::Instant::now() < until {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        std::hint::black_box(sum);
        std::thread::sleep(std::time::Duration::from_millis(10));
        let used = Usage::of(std::process::id()).since(before);
        assert!(used.cpu_ns > 10_000_000, "{used:?}");
        assert!(used.switches >= 1);
    }

    #[test]
    fn a_process_that_has_gone_used_nothing() {
        assert_eq!(Usage::of(u32::MAX), Usage::default());
    }
}
