//! The owner's side of a meter file.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::bucket_of;
use super::{BUCKETS, FIXED_WORDS, HISTOGRAM_WORDS, MAGIC, WORDS_MAX};
use crate::buf::{Words, lock_exclusive};

/// Counters, gauges and histograms under fixed names. Counting is one relaxed atomic addition; an index that does
/// not exist is ignored (`false`), so that no caller on the walk has an error to handle.
#[derive(Debug)]
pub struct Meter {
    words: Words,
    names: Vec<String>,
    counters: usize,
    gauges: usize,
    histograms: usize,
    values_at: usize,
    draft: PathBuf,
    path: PathBuf,
    /// Locked as long as somebody counts into it: how a reader tells a live process from one that was killed.
    _owned: File,
}

impl Meter {
    /// Makes the file anew beside `path` and renames it into place: a reader of the old one keeps the old one.
    ///
    /// Keep it on a memory file system: a store into a page that the kernel is writing back waits for the disk.
    pub fn create(
        path: &Path,
        counters: &[String],
        gauges: &[String],
        histograms: &[String],
    ) -> io::Result<Meter> {
        let meter = Meter::draft(path, counters, gauges, histograms)?;
        std::fs::rename(&meter.draft, &meter.path)?;
        Ok(meter)
    }

    /// As `create`, but the file stays beside `path` until `succeed`: nobody reads it yet.
    pub fn draft(
        path: &Path,
        counters: &[String],
        gauges: &[String],
        histograms: &[String],
    ) -> io::Result<Meter> {
        let names: Vec<String> = [counters, gauges, histograms].concat();
        let header = header(&names, counters.len(), gauges.len(), histograms.len())?;
        let values = counters.len() + gauges.len() + histograms.len() * HISTOGRAM_WORDS;
        let count = header.len() / 8 + values;
        if count > WORDS_MAX {
            return Err(io::Error::other("too many series for one meter file"));
        }
        let draft = path.with_extension("draft");
        let file = write_draft(&draft, &header, count)?;
        let words = Words::map(&file, count, true)?;
        Ok(Meter {
            words,
            names,
            counters: counters.len(),
            gauges: gauges.len(),
            histograms: histograms.len(),
            values_at: header.len() / 8,
            draft,
            path: path.to_owned(),
            _owned: file,
        })
    }

    /// Takes the place of `old` with the values of every series that both have. Nobody may count in `old` from now on;
    /// a reader sees the one file or the other, and no counter that falls.
    ///
    /// When it fails, `old` stands as before.
    pub fn succeed(&self, old: &Meter) -> io::Result<()> {
        let places: HashMap<&str, (usize, usize)> = self.places().collect();
        for (name, (from, words)) in old.places() {
            let Some((to, _)) = places.get(name).filter(|(_, len)| *len == words) else {
                continue;
            };
            for at in 0..words {
                if let (Some(new), Some(old)) = (self.word(to + at), old.word(from + at)) {
                    new.store(old.load(Relaxed), Relaxed);
                }
            }
        }
        std::fs::rename(&self.draft, &self.path)
    }

    /// Every series: where its words begin, and how many they are.
    fn places(&self) -> impl Iterator<Item = (&str, (usize, usize))> {
        let plain = self.counters + self.gauges;
        self.names.iter().enumerate().map(move |(i, name)| {
            let (at, words) = match i.checked_sub(plain) {
                None => (i, 1),
                Some(histogram) => (plain + histogram * HISTOGRAM_WORDS, HISTOGRAM_WORDS),
            };
            (name.as_str(), (self.values_at + at, words))
        })
    }

    /// Index of a counter by its whole name, labels included.
    pub fn counter(&self, name: &str) -> Option<usize> {
        position(&self.names[..self.counters], name)
    }

    /// Index of a gauge by its whole name.
    pub fn gauge(&self, name: &str) -> Option<usize> {
        position(
            &self.names[self.counters..self.counters + self.gauges],
            name,
        )
    }

    /// Index of a histogram by its whole name.
    pub fn histogram(&self, name: &str) -> Option<usize> {
        position(&self.names[self.counters + self.gauges..], name)
    }

    /// Adds to a counter.
    #[inline]
    pub fn count(&self, index: usize, by: u64) -> bool {
        if index >= self.counters {
            return false;
        }
        self.add(self.values_at + index, by)
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&self, index: usize, value: i64) -> bool {
        if index >= self.gauges {
            return false;
        }
        match self.word(self.values_at + self.counters + index) {
            Some(word) => {
                word.store(value as u64, Relaxed);
                true
            }
            None => false,
        }
    }

    /// Counts a time in µs.
    #[inline]
    pub fn record(&self, index: usize, value_us: u64) -> bool {
        if index >= self.histograms {
            return false;
        }
        let start = self.values_at + self.counters + self.gauges + index * HISTOGRAM_WORDS;
        self.add(start, value_us) && self.add(start + 1 + bucket_of(value_us), 1)
    }

    #[inline]
    fn word(&self, at: usize) -> Option<&AtomicU64> {
        self.words.as_slice().get(at)
    }

    #[inline]
    fn add(&self, at: usize, by: u64) -> bool {
        match self.word(at) {
            Some(word) => {
                word.fetch_add(by, Relaxed);
                true
            }
            None => false,
        }
    }
}

fn position(names: &[String], name: &str) -> Option<usize> {
    names.iter().position(|n| n == name)
}

fn header(
    names: &[String],
    counters: usize,
    gauges: usize,
    histograms: usize,
) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for name in names {
        let length = u16::try_from(name.len())
            .map_err(|_| io::Error::other(format!("metric name of {} bytes", name.len())))?;
        text.extend_from_slice(&length.to_ne_bytes());
        text.extend_from_slice(name.as_bytes());
    }
    text.resize(text.len().next_multiple_of(8), 0);
    let words = FIXED_WORDS + text.len() / 8;
    let mut header = Vec::with_capacity(words * 8);
    for word in [
        MAGIC,
        words as u64,
        counters as u64,
        gauges as u64,
        histograms as u64,
        BUCKETS as u64,
    ] {
        header.extend_from_slice(&word.to_ne_bytes());
    }
    header.extend_from_slice(&text);
    Ok(header)
}

/// A file that is nobody else's: a draft that was given up, and may still be held, keeps what it wrote to.
fn write_draft(draft: &Path, header: &[u8], words: usize) -> io::Result<File> {
    match std::fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(draft)?;
    if !lock_exclusive(&file)? {
        return Err(io::Error::other(
            "somebody else has the meter file that was just made",
        ));
    }
    file.write_all(header)?;
    file.set_len((words * 8) as u64)?;
    Ok(file)
}
