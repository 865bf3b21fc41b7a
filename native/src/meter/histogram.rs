//! Log-linear buckets: 64 per doubling, so a value is known to within 1.6 %; 1 µs to 60 s in 1331 words.

/// Longest time that keeps its place; longer ones fall into the last bucket and are exact in the sum only.
pub const VALUE_US_MAX: u64 = 60_000_000;
/// Number of buckets of one histogram.
pub const BUCKETS: usize = bucket_of(VALUE_US_MAX) + 1;

const STEP_BITS: u32 = 6;
const STEPS: u64 = 1 << STEP_BITS;

/// The bucket that counts `value_us`.
#[inline]
pub const fn bucket_of(value_us: u64) -> usize {
    let value = if value_us > VALUE_US_MAX {
        VALUE_US_MAX
    } else {
        value_us
    };
    if value < STEPS {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - STEP_BITS;
    ((shift as u64 + 1) * STEPS + (value >> shift) - STEPS) as usize
}

/// The largest value that falls into `bucket`.
pub const fn highest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << shift) - 1
}

/// The value below which the share `q` of all counted lies: the highest value of the bucket where the share is
/// reached, 0 when nothing was counted.
pub fn quantile(counts: &[u64], q: f64) -> u64 {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return 0;
    }
    let rank = ((total as f64) * q.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return highest_of(bucket).min(VALUE_US_MAX);
        }
    }
    VALUE_US_MAX
}

/// Cumulative counts at ascending or any bounds. A bucket counts as a whole to the bound that falls into it, so a
/// bound is off by at most its bucket's width (1.6 %).
pub fn cumulative(counts: &[u64], bounds_us: &[u64]) -> Vec<u64> {
    let mut running = Vec::with_capacity(counts.len());
    let mut sum = 0;
    for count in counts {
        sum += count;
        running.push(sum);
    }
    bounds_us
        .iter()
        .map(|bound| running.get(bucket_of(*bound)).copied().unwrap_or(sum))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_meet_without_gap() {
        let mut expected = 0;
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(expected), bucket);
            assert_eq!(bucket_of(highest_of(bucket)), bucket);
            expected = highest_of(bucket) + 1;
        }
        assert!(expected > VALUE_US_MAX);
    }

    #[test]
    fn longest_time_falls_into_last_bucket() {
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket_of(VALUE_US_MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_nothing_and_of_one() {
        let mut counts = vec![0; BUCKETS];
        assert_eq!(quantile(&counts, 0.99), 0);
        counts[bucket_of(37)] = 1;
        assert_eq!(quantile(&counts, 0.0), 37);
        assert_eq!(quantile(&counts, 1.0), 37);
    }

    proptest! {
        #[test]
        fn value_is_known_within_1_6_percent(value in 1u64..VALUE_US_MAX) {
            let highest = highest_of(bucket_of(value));
            prop_assert!(highest >= value);
            prop_assert!((highest - value) as f64 <= value as f64 * 0.016);
        }

        #[test]
        fn quantile_agrees_with_sorted_values(mut values in prop::collection::vec(0u64..VALUE_US_MAX, 1..200), q in 0.0f64..=1.0) {
            let mut counts = vec![0; BUCKETS];
            for value in &values {
                counts[bucket_of(*value)] += 1;
            }
            values.sort_unstable();
            let rank = ((values.len() as f64) * q).ceil().max(1.0) as usize;
            let exact = values[rank - 1];
            let found = quantile(&counts, q);
            prop_assert!(found >= exact && (found - exact) as f64 <= exact as f64 * 0.016);
        }
    }
}
