//! Durations by the slice of time to which they belong, so that a stall shows when it was, not only that it was.

use hashbrown::HashMap;

use super::LoadError;
use super::histogram::{Histogram, VALUE_MAX, highest, index};

/// Slices of a run: half a day of seconds. What comes later counts in the last.
const SLICES_MAX: usize = 1 << 16;

/// Buckets of one slice that hold something; most of a histogram is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slice {
    counts: HashMap<u16, u32>,
}

/// A histogram for each slice, and one of all.
#[derive(Clone, Debug)]
pub struct Series {
    slice_ns: u64,
    slices: Vec<Slice>,
    total: Histogram,
}

impl Series {
    /// # Errors
    /// A slice without length.
    pub fn new(slice_ns: u64) -> Result<Self, LoadError> {
        if slice_ns == 0 {
            return Err(LoadError::Usage("a slice of time has a length".into()));
        }
        Ok(Self {
            slice_ns,
            slices: Vec::new(),
            total: Histogram::default(),
        })
    }

    #[must_use]
    pub fn slice_ns(&self) -> u64 {
        self.slice_ns
    }

    #[must_use]
    pub fn total(&self) -> &Histogram {
        &self.total
    }

    /// Of the slices from `first` up to `last`, that one not included.
    #[must_use]
    pub fn between(&self, first: usize, last: usize) -> Histogram {
        let mut histogram = Histogram::default();
        let last = last.min(self.slices.len());
        for slice in self.slices.get(first..last).unwrap_or_default() {
            for (bucket, count) in &slice.counts {
                histogram.add(usize::from(*bucket), *count);
            }
        }
        histogram
    }

    /// A duration that belongs to the moment `at_ns` after the start.
    pub fn record(&mut self, at_ns: u64, value_ns: u64) {
        let bucket = index(value_ns.min(VALUE_MAX));
        self.total.record(value_ns);
        // A histogram has 32768 buckets.
        let bucket = u16::try_from(bucket).unwrap_or(u16::MAX);
        *self.slice(at_ns).counts.entry(bucket).or_insert(0) += 1;
    }

    fn slice(&mut self, at_ns: u64) -> &mut Slice {
        let number = usize::try_from(at_ns / self.slice_ns).unwrap_or(SLICES_MAX);
        self.at(number)
    }

    fn at(&mut self, number: usize) -> &mut Slice {
        let number = number.min(SLICES_MAX - 1);
        if number >= self.slices.len() {
            self.slices.resize(number + 1, Slice::default());
        }
        &mut self.slices[number]
    }

    /// Takes in what another one has, `shift_ns` later.
    ///
    /// # Errors
    /// Slices of another length.
    pub fn merge(&mut self, other: &Self, shift_ns: u64) -> Result<(), LoadError> {
        if other.slice_ns != self.slice_ns {
            return Err(LoadError::Usage(
                "the two have slices of different length".into(),
            ));
        }
        let first = usize::try_from(shift_ns / self.slice_ns).unwrap_or(SLICES_MAX);
        for (number, slice) in other.slices.iter().enumerate() {
            let mine = self.at(first.saturating_add(number));
            for (bucket, count) in &slice.counts {
                *mine.counts.entry(*bucket).or_insert(0) += count;
            }
        }
        self.total.merge(&other.total);
        Ok(())
    }

    /// Puts `count` durations of a bucket into a slice: how a log is read back.
    pub(super) fn add(&mut self, slice: usize, value_ns: u64, count: u32) {
        let bucket = index(value_ns.min(VALUE_MAX));
        self.total.add(bucket, count);
        let bucket = u16::try_from(bucket).unwrap_or(u16::MAX);
        *self.at(slice).counts.entry(bucket).or_insert(0) += count;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.slices.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Of one slice, in rising order: the largest value of a bucket, and how many are in it.
    #[must_use]
    pub fn buckets(&self, slice: usize) -> Vec<(u64, u32)> {
        let mut found: Vec<(u64, u32)> = self
            .slices
            .get(slice)
            .into_iter()
            .flat_map(|slice| slice.counts.iter())
            .map(|(bucket, count)| (highest(usize::from(*bucket)), *count))
            .collect();
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_lies_where_its_request_was_due() -> Result<(), LoadError> {
        let mut series = Series::new(1000)?;
        series.record(0, 5);
        series.record(999, 7);
        series.record(3500, 4096);
        assert_eq!(series.len(), 4);
        assert_eq!(series.buckets(0), [(5, 1), (7, 1)]);
        assert!(series.buckets(1).is_empty() && series.buckets(9).is_empty());
        assert_eq!(series.buckets(3), [(4099, 1)]);
        assert_eq!(series.total().count(), 3);
        assert_eq!(series.between(0, 3).count(), 2);
        assert_eq!(series.between(3, 99).quantile(1.0), 4099);
        assert_eq!(series.between(9, 3).count(), 0);
        Ok(())
    }

    #[test]
    fn what_comes_after_half_a_day_is_not_lost() -> Result<(), LoadError> {
        let mut series = Series::new(1)?;
        series.record(u64::MAX, 3);
        assert_eq!((series.len(), series.total().count()), (SLICES_MAX, 1));
        Ok(())
    }

    #[test]
    fn slices_must_agree() -> Result<(), LoadError> {
        assert!(Series::new(0).is_err());
        assert!(Series::new(5)?.merge(&Series::new(6)?, 0).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn merging_is_recording_later(
            left in prop::collection::vec((0_u64..5000, 0_u64..1_000_000), 0..60),
            right in prop::collection::vec((0_u64..5000, 0_u64..1_000_000), 0..60),
            shift in 0_u64..10,
        ) {
            let make = || Series::new(100).map_err(|e| TestCaseError::fail(e.to_string()));
            let (mut one, mut two, mut both) = (make()?, make()?, make()?);
            for (at, value) in &left { one.record(*at, *value); both.record(*at, *value); }
            for (at, value) in &right { two.record(*at, *value); both.record(at + shift * 100, *value); }
            prop_assert!(one.merge(&two, shift * 100).is_ok());
            for slice in 0..80 { prop_assert_eq!(one.buckets(slice), both.buckets(slice)); }
            prop_assert_eq!(one.total().quantile(0.9), both.total().quantile(0.9));
        }
    }
}
