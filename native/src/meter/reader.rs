//! The reader's side of a meter file: any process, also after the writer has died.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::histogram::{cumulative, quantile};
use super::{BUCKETS, FIXED_WORDS, HISTOGRAM_WORDS, MAGIC, WORDS_MAX};
use crate::buf::{Words, lock_shared, unlock};

/// A read-only view. Each value is exact; values read together may lie some nanoseconds apart.
#[derive(Debug)]
pub struct Reader {
    words: Words,
    counters: Vec<String>,
    gauges: Vec<String>,
    histograms: Vec<String>,
    values_at: usize,
    file: File,
}

impl Reader {
    /// Opens a meter file and checks that its header and its length agree.
    pub fn open(path: &Path) -> io::Result<Reader> {
        let file = File::open(path)?;
        let mut fixed = [0u8; FIXED_WORDS * 8];
        file.read_exact_at(&mut fixed, 0)?;
        let mut numbers = [0usize; FIXED_WORDS];
        for (number, word) in numbers.iter_mut().zip(fixed.chunks_exact(8)) {
            let mut bytes = [0u8; 8];
            bytes.copy_from_slice(word);
            *number = usize::try_from(u64::from_ne_bytes(bytes)).unwrap_or(usize::MAX);
        }
        let [magic, header, counters, gauges, histograms, buckets] = numbers;
        if magic as u64 != MAGIC || buckets != BUCKETS {
            return Err(io::Error::other("not a meter file of this version"));
        }
        let sane = [header, counters, gauges, histograms]
            .iter()
            .all(|n| *n <= WORDS_MAX);
        let words = header + counters + gauges + histograms.saturating_mul(HISTOGRAM_WORDS);
        if !sane || header < FIXED_WORDS || words > WORDS_MAX {
            return Err(io::Error::other("damaged header of a meter file"));
        }
        let mut text = vec![0u8; (header - FIXED_WORDS) * 8];
        file.read_exact_at(&mut text, fixed.len() as u64)?;
        let mut rest = text.as_slice();
        Ok(Reader {
            counters: take_names(&mut rest, counters)?,
            gauges: take_names(&mut rest, gauges)?,
            histograms: take_names(&mut rest, histograms)?,
            words: Words::map(&file, words, false)?,
            values_at: header,
            file,
        })
    }

    /// Whether a process still counts into it. False once it has ended, in whatever way, or counts into another file.
    ///
    /// The lock taken to find out is given back at once, and is in no owner's way: an owner has its lock before anyone
    /// can open the file.
    pub fn owned(&self) -> io::Result<bool> {
        if !lock_shared(&self.file)? {
            return Ok(true);
        }
        unlock(&self.file)?;
        Ok(false)
    }

    /// Names and values of all counters.
    pub fn counters(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counters
            .iter()
            .enumerate()
            .map(|(i, name)| (name.as_str(), self.word(self.values_at + i)))
    }

    /// Names and values of all gauges.
    pub fn gauges(&self) -> impl Iterator<Item = (&str, i64)> {
        let start = self.values_at + self.counters.len();
        self.gauges
            .iter()
            .enumerate()
            .map(move |(i, name)| (name.as_str(), self.word(start + i) as i64))
    }

    /// Names of all histograms.
    pub fn histograms(&self) -> &[String] {
        &self.histograms
    }

    /// Cumulative counts at the bounds, then count and sum in µs; None when there is no such histogram.
    pub fn buckets(&self, name: &str, bounds_us: &[u64]) -> Option<(Vec<u64>, u64, u64)> {
        let (counts, sum) = self.counts(name)?;
        let total = counts.iter().sum();
        Some((cumulative(&counts, bounds_us), total, sum))
    }

    /// Times in µs below which the given shares lie.
    pub fn quantiles(&self, name: &str, shares: &[f64]) -> Option<Vec<u64>> {
        let (counts, _) = self.counts(name)?;
        Some(shares.iter().map(|q| quantile(&counts, *q)).collect())
    }

    fn counts(&self, name: &str) -> Option<(Vec<u64>, u64)> {
        let index = self.histograms.iter().position(|n| n == name)?;
        let start =
            self.values_at + self.counters.len() + self.gauges.len() + index * HISTOGRAM_WORDS;
        let counts = (0..BUCKETS).map(|b| self.word(start + 1 + b)).collect();
        Some((counts, self.word(start)))
    }

    fn word(&self, at: usize) -> u64 {
        self.words
            .as_slice()
            .get(at)
            .map_or(0, |word| word.load(Relaxed))
    }
}

fn take_names(rest: &mut &[u8], count: usize) -> io::Result<Vec<String>> {
    (0..count)
        .map(|_| {
            let (length, tail) = rest.split_first_chunk::<2>()?;
            let (name, tail) = tail.split_at_checked(usize::from(u16::from_ne_bytes(*length)))?;
            *rest = tail;
            String::from_utf8(name.to_vec()).ok()
        })
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| io::Error::other("damaged names in a meter file"))
}

#[cfg(test)]
mod tests {
    use super::super::Meter;
    use super::*;

    fn place(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("tapswitch-meter-{}-{name}", std::process::id()))
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_string()).collect()
    }

    #[test]
    fn reader_sees_what_the_writer_counts_and_outlives_it() -> io::Result<()> {
        let path = place("a.meter");
        let meter = Meter::create(
            &path,
            &names(&["sent", "received"]),
            &names(&["links"]),
            &names(&["ours", "bank"]),
        )?;
        let reader = Reader::open(&path)?;
        assert!(meter.count(1, 3) && meter.set(0, -4));
        assert!(meter.record(1, 1000) && meter.record(1, 2000));
        drop(meter);
        std::fs::remove_file(&path)?;
        assert_eq!(
            reader.counters().collect::<Vec<_>>(),
            [("sent", 0), ("received", 3)]
        );
        assert_eq!(reader.gauges().collect::<Vec<_>>(), [("links", -4)]);
        assert_eq!(
            reader.buckets("bank", &[999, 1500, 5000]),
            Some((vec![0, 1, 2], 2, 3000))
        );
        assert_eq!(reader.quantiles("ours", &[0.5]), Some(vec![0]));
        assert_eq!(reader.buckets("none", &[1]), None);
        Ok(())
    }

    #[test]
    fn indexes_that_do_not_exist_touch_nothing() -> io::Result<()> {
        let path = place("b.meter");
        let meter = Meter::create(&path, &names(&["a"]), &names(&["g"]), &names(&["h"]))?;
        assert!(!meter.count(1, 9) && !meter.set(1, 9) && !meter.record(1, 9));
        assert_eq!(
            (meter.counter("a"), meter.gauge("g"), meter.histogram("h")),
            (Some(0), Some(0), Some(0))
        );
        assert_eq!(
            (meter.counter("g"), meter.gauge("h"), meter.histogram("a")),
            (None, None, None)
        );
        let reader = Reader::open(&path)?;
        assert!(reader.counters().all(|(_, v)| v == 0) && reader.gauges().all(|(_, v)| v == 0));
        assert_eq!(reader.buckets("h", &[60_000_000]), Some((vec![0], 0, 0)));
        std::fs::remove_file(&path)
    }

    #[test]
    fn a_reader_knows_whether_somebody_counts() -> io::Result<()> {
        let path = place("d.meter");
        let meter = Meter::create(&path, &names(&["a"]), &[], &[])?;
        let (reader, other) = (Reader::open(&path)?, Reader::open(&path)?);
        assert!(reader.owned()? && other.owned()? && reader.owned()?);
        let given_up = Meter::draft(&path, &names(&["a"]), &[], &[])?;
        let next = Meter::draft(&path, &names(&["a", "b"]), &[], &[])?;
        next.succeed(&meter)?;
        drop(given_up);
        let successor = Reader::open(&path)?;
        assert!(reader.owned()? && successor.owned()?);
        drop(meter);
        assert!(!reader.owned()? && !other.owned()? && successor.owned()?);
        drop(next);
        assert!(!successor.owned()?);
        std::fs::remove_file(&path)
    }

    #[test]
    fn damaged_files_are_refused() -> io::Result<()> {
        let path = place("c.meter");
        Meter::create(&path, &names(&["abc"]), &[], &names(&["h"]))?;
        let sound = std::fs::read(&path)?;
        for (at, value) in [
            (0, 1u8),
            (8, 0),
            (8, 200),
            (15, 1),
            (16, 2),
            (23, 255),
            (40, 7),
            (48, 255),
        ] {
            let mut bytes = sound.clone();
            bytes[at] = value;
            std::fs::write(&path, &bytes)?;
            assert!(Reader::open(&path).is_err(), "byte {at} = {value}");
        }
        std::fs::write(&path, &sound[..sound.len() - 8])?;
        assert!(Reader::open(&path).is_err());
        std::fs::write(&path, &sound[..20])?;
        assert!(Reader::open(&path).is_err());
        std::fs::remove_file(&path)
    }
}
