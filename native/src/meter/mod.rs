//! Counters, gauges and log-linear histograms in a mapped file: a worker counts with relaxed atomics, a reader in
//! another process needs nothing but the file.
//!
//! The file describes itself. All numbers are 64-bit words in the byte order of the machine:
//!
//! | words | what |
//! |---|---|
//! | 0 | the magic `TSWMETR1` |
//! | 1 | words of the header (where values start) |
//! | 2, 3, 4 | number of counters, gauges, histograms |
//! | 5 | buckets of one histogram |
//! | 6 … | names in that order, each a 16-bit length and its bytes, padded to a whole word at the end |
//! | header … | counters, gauges (signed), then per histogram: sum in µs, buckets |

mod histogram;
mod reader;
mod writer;

pub use histogram::{BUCKETS, VALUE_US_MAX};
pub use reader::Reader;
pub use writer::Meter;

const MAGIC: u64 = u64::from_ne_bytes(*b"TSWMETR1");
const FIXED_WORDS: usize = 6;
const HISTOGRAM_WORDS: usize = 1 + BUCKETS;
/// Most words a file may claim to have (64 MiB): a damaged header must not make a reader map the world.
const WORDS_MAX: usize = 8 << 20;
