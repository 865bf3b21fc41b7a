//! HdrHistogram interval logs (V2, compressed), which many tools read. Written after a run, never in it.
//!
//! A line for each slice and tag; its values are nanoseconds, its printed maximum milliseconds. Our buckets are
//! those of an HdrHistogram with three digits and a unit of 1, so that nothing is rounded on the way.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use super::LoadError;
use super::histogram::VALUE_MAX;
use super::series::Series;

const DIGITS: u8 = 3;
/// Printed maxima are milliseconds, as the Java tools have them.
const DIVISOR: f64 = 1e6;

fn broken(what: impl std::fmt::Display) -> LoadError {
    LoadError::Usage(format!("not an interval log of ours: {what}"))
}

/// The whole log. Tags must hold no space, comma or line end.
///
/// # Errors
/// A tag that cannot be written.
pub fn write(
    series: &[(String, &Series)],
    start: SystemTime,
    comment: &str,
) -> Result<Vec<u8>, LoadError> {
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment(comment)
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(DIVISOR);
    let mut writer = builder.begin_log_with(&mut out, &mut serializer)?;
    let slices = series.iter().map(|(_, one)| one.len()).max().unwrap_or(0);
    for slice in 0..slices {
        for (name, one) in series {
            let buckets = one.buckets(slice);
            if buckets.is_empty() {
                continue;
            }
            let tag = Tag::new(name).filter(|_| !name.contains(' '));
            let tag = tag.ok_or_else(|| LoadError::Usage(format!("{name:?} is no tag")))?;
            let histogram = converted(&buckets)?;
            let length = Duration::from_nanos(one.slice_ns());
            let at = length * u32::try_from(slice).unwrap_or(u32::MAX);
            writer
                .write_histogram(&histogram, at, length, Some(tag))
                .map_err(|error| LoadError::Usage(error.to_string()))?;
        }
    }
    Ok(out)
}

fn converted(buckets: &[(u64, u32)]) -> Result<hdrhistogram::Histogram<u64>, LoadError> {
    let made = hdrhistogram::Histogram::<u64>::new_with_bounds(1, VALUE_MAX, DIGITS);
    let mut histogram = made.map_err(|error| LoadError::Usage(error.to_string()))?;
    for (value, count) in buckets {
        histogram
            .record_n(*value, u64::from(*count))
            .map_err(|error| LoadError::Usage(error.to_string()))?;
    }
    Ok(histogram)
}

/// Reads back what `write` has written: by tag.
///
/// # Errors
/// What is no such log.
pub fn read(log: &[u8]) -> Result<BTreeMap<String, Series>, LoadError> {
    let mut found: BTreeMap<String, Series> = BTreeMap::new();
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(log) {
        let interval = match entry {
            Ok(LogEntry::Interval(interval)) => interval,
            Ok(_) => continue,
            Err(_) => return Err(broken("a line cannot be read")),
        };
        let bytes = STANDARD
            .decode(interval.encoded_histogram())
            .map_err(broken)?;
        let histogram: hdrhistogram::Histogram<u64> = deserializer
            .deserialize(&mut bytes.as_slice())
            .map_err(broken)?;
        let tag = interval.tag().map_or("", |tag| tag.as_str()).to_owned();
        let length = u64::try_from(interval.duration().as_nanos()).unwrap_or(0);
        let series = match found.entry(tag) {
            std::collections::btree_map::Entry::Occupied(place) => place.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => place.insert(Series::new(length)?),
        };
        if series.slice_ns() != length {
            return Err(broken("its intervals differ in length"));
        }
        // Times are written with three decimals: half a slice more leads to the right one.
        let at = interval.start_timestamp().as_nanos() + u128::from(length / 2);
        let slice = usize::try_from(at / u128::from(length)).map_err(broken)?;
        for step in histogram.iter_recorded() {
            let count = u32::try_from(step.count_at_value()).map_err(broken)?;
            series.add(slice, step.value_iterated_to(), count);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back_whole(
            values in prop::collection::vec((0_u64..30_000_000_000, 0_u64..100_000_000_000), 1..200),
        ) {
            let mut series = Series::new(250_000_000).map_err(|e| TestCaseError::fail(e.to_string()))?;
            for (at, value) in &values { series.record(*at, *value); }
            let log = write(&[("0200:due".into(), &series)], SystemTime::UNIX_EPOCH, "a test")
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            let back = read(&log).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let one = &back["0200:due"];
            prop_assert_eq!(one.len(), series.len());
            for slice in 0..series.len() { prop_assert_eq!(one.buckets(slice), series.buckets(slice)); }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn a_tag_that_would_break_its_line_is_refused() -> Result<(), LoadError> {
        let mut series = Series::new(1000)?;
        series.record(0, 1);
        for name in ["a b", "a,b", "a\nb"] {
            assert!(write(&[(name.into(), &series)], SystemTime::UNIX_EPOCH, "").is_err());
        }
        Ok(())
    }
}
