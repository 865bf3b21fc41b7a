//! When each message is due: made before the clock starts, so that no answer can influence a sending.

use super::LoadError;
use crate::chance::SplitMix;

const SECOND: f64 = 1e9;
/// More would be a slip of the hand: a minute at a rate far above what one machine serves.
const MESSAGES_MAX: f64 = 10_000_000.0;

/// Due times in nanoseconds after the start, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    due_ns: Vec<u64>,
    length_ns: u64,
}

impl Schedule {
    /// Independent arrivals with exponential gaps, as from many terminals that know nothing of each other.
    ///
    /// # Errors
    /// When rate or length is not positive or the schedule would be absurdly long.
    pub fn poisson(rate: f64, seconds: f64, seed: u64) -> Result<Self, LoadError> {
        check(rate, seconds)?;
        let mut random = SplitMix::new(seed);
        let mut at = 0.0;
        let mut due_ns = Vec::with_capacity((rate * seconds * 1.1) as usize);
        loop {
            at += -(1.0 - unit(&mut random)).ln() / rate;
            if at >= seconds {
                break;
            }
            due_ns.push((at * SECOND) as u64);
        }
        Ok(Self {
            due_ns,
            length_ns: (seconds * SECOND) as u64,
        })
    }

    /// As `poisson`, at one rate after the other: (rate, seconds) each.
    ///
    /// # Errors
    /// As `poisson`, and for none at all.
    pub fn phases(phases: &[(f64, f64)], seed: u64) -> Result<Self, LoadError> {
        let mut whole = Self {
            due_ns: Vec::new(),
            length_ns: 0,
        };
        for (number, (rate, seconds)) in phases.iter().enumerate() {
            let part = Self::poisson(*rate, *seconds, seed.wrapping_add(number as u64))?;
            let from_ns = whole.length_ns;
            whole
                .due_ns
                .extend(part.due_ns.iter().map(|at| from_ns + at));
            whole.length_ns += part.length_ns;
        }
        if whole.length_ns == 0 || whole.due_ns.len() as f64 > MESSAGES_MAX {
            return Err(LoadError::Usage(format!(
                "a schedule of these phases is not between 0 and {MESSAGES_MAX} messages"
            )));
        }
        Ok(whole)
    }

    /// Equal gaps.
    ///
    /// # Errors
    /// As `poisson`.
    pub fn constant(rate: f64, seconds: f64) -> Result<Self, LoadError> {
        check(rate, seconds)?;
        let count = (rate * seconds) as u64;
        let due_ns = (0..count)
            .map(|n| (n as f64 / rate * SECOND) as u64)
            .collect();
        Ok(Self {
            due_ns,
            length_ns: (seconds * SECOND) as u64,
        })
    }

    #[must_use]
    pub fn due_ns(&self) -> &[u64] {
        &self.due_ns
    }

    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.length_ns
    }
}

fn check(rate: f64, seconds: f64) -> Result<(), LoadError> {
    let count = rate * seconds;
    if rate > 0.0 && seconds > 0.0 && count.is_finite() && count <= MESSAGES_MAX {
        return Ok(());
    }
    Err(LoadError::Usage(format!(
        "a schedule of {rate}/s for {seconds} s is not between 0 and {MESSAGES_MAX} messages"
    )))
}

/// A number in [0, 1).
fn unit(random: &mut SplitMix) -> f64 {
    (random.draw() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_has_its_rate_its_spread_and_its_order() -> Result<(), LoadError> {
        let schedule = Schedule::poisson(5000.0, 20.0, 7)?;
        let due = schedule.due_ns();
        let count = due.len() as f64;
        assert!(
            (count - 100_000.0).abs() < 4.0 * 100_000_f64.sqrt(),
            "{count}"
        );
        assert!(due.windows(2).all(|pair| pair[0] <= pair[1]));
        let gaps: Vec<f64> = due.windows(2).map(|p| (p[1] - p[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Exponential gaps: the deviation equals the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03);
        Ok(())
    }

    #[test]
    fn a_seed_names_a_schedule() -> Result<(), LoadError> {
        let one = Schedule::poisson(1000.0, 1.0, 3)?;
        assert_eq!(one.due_ns(), Schedule::poisson(1000.0, 1.0, 3)?.due_ns());
        assert_ne!(one.due_ns(), Schedule::poisson(1000.0, 1.0, 4)?.due_ns());
        Ok(())
    }

    #[test]
    fn absurd_ones_are_refused() {
        assert!(Schedule::poisson(0.0, 1.0, 1).is_err());
        assert!(Schedule::constant(1e9, 1.0).is_err());
        assert!(Schedule::poisson(f64::NAN, 1.0, 1).is_err());
    }
}
