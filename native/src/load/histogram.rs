//! A log-linear histogram of nanoseconds: three significant digits from 1 ns to 18 minutes.

/// Values below `2 * HALF` have a bucket each; above, every power of two is cut into `HALF` buckets, so that a
/// bucket is never wider than 1/1024 of its value.
const HALF: u64 = 1024;
const HALF_BITS: u32 = 10;
/// Longer is recorded as this long: no window lasts so long.
pub(super) const VALUE_MAX: u64 = (1 << 40) - 1;
const BUCKETS: usize = 32 * 1024;

/// Counts per bucket; recording is an addition, so it can stand in the generator's loop.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
    maximum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            maximum: 0,
        }
    }
}

pub(super) fn index(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(HALF_BITS + 1);
    usize::try_from(u64::from(shift) * HALF + (value >> shift)).unwrap_or(BUCKETS - 1)
}

/// The largest value that falls into a bucket.
pub(super) fn highest(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / HALF).saturating_sub(1);
    let base = index - shift * HALF;
    ((base + 1) << shift) - 1
}

impl Histogram {
    pub fn record(&mut self, value_ns: u64) {
        let value = value_ns.min(VALUE_MAX);
        if let Some(count) = self.counts.get_mut(index(value)) {
            *count = count.saturating_add(1);
        }
        self.total += 1;
        self.maximum = self.maximum.max(value);
    }

    /// Adds a bucket's `count` at once.
    pub(super) fn add(&mut self, index: usize, count: u32) {
        if let Some(place) = self.counts.get_mut(index) {
            *place = place.saturating_add(count);
            self.total += u64::from(count);
            self.maximum = self.maximum.max(highest(index));
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.total += other.total;
        self.maximum = self.maximum.max(other.maximum);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    #[must_use]
    pub fn maximum(&self) -> u64 {
        self.maximum
    }

    /// Of the buckets' largest values; 0 when empty.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let sum: f64 = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| highest(index) as f64 * f64::from(*count))
            .sum();
        if self.total == 0 {
            0.0
        } else {
            sum / self.total as f64
        }
    }

    /// The smallest recorded value (rounded up within its bucket) that at least the share `q` does not exceed; 0 when empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> u64 {
        if self.total == 0 {
            return 0;
        }
        // A product that is whole but for its last bit is whole: 0.999 of 15,000 is 14,985.
        let rank = q.clamp(0.0, 1.0) * self.total as f64 * (1.0 - 1e-12);
        let wanted = rank.ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return highest(index).min(self.maximum);
            }
        }
        self.maximum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_values_are_exact() {
        let mut histogram = Histogram::default();
        for value in 0..2048 {
            histogram.record(value);
        }
        assert_eq!(histogram.quantile(0.5), 1023);
        assert_eq!(histogram.quantile(1.0), 2047);
        assert_eq!(histogram.count(), 2048);
    }

    #[test]
    fn a_share_that_is_a_whole_number_is_that_rank() {
        let mut histogram = Histogram::default();
        (0..1000).for_each(|value| histogram.record(value));
        for (q, rank) in [(0.999, 999), (0.29, 290), (99.9 / 100.0, 999), (0.57, 570)] {
            assert_eq!(histogram.quantile(q), rank - 1, "{q}");
        }
    }

    #[test]
    fn an_empty_one_answers_zero() {
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_thousandth(mut values in prop::collection::vec(0_u64..VALUE_MAX, 1..400), q in 0.0_f64..=1.0) {
            let mut histogram = Histogram::default();
            for value in &values {
                histogram.record(*value);
            }
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil().max(1.0) as usize) - 1;
            let exact = values[rank];
            let found = histogram.quantile(q);
            prop_assert!(found >= exact && found <= exact + exact / 1024 + 1, "{found} for {exact}");
        }

        #[test]
        fn merging_is_recording_into_one(left in prop::collection::vec(0_u64..1_000_000, 0..50), right in prop::collection::vec(0_u64..1_000_000, 0..50)) {
            let (mut a, mut b, mut both) = (Histogram::default(), Histogram::default(), Histogram::default());
            left.iter().for_each(|v| { a.record(*v); both.record(*v); });
            right.iter().for_each(|v| { b.record(*v); both.record(*v); });
            a.merge(&b);
            prop_assert_eq!(a.count(), both.count());
            prop_assert_eq!(a.quantile(0.9), both.quantile(0.9));
        }
    }
}
