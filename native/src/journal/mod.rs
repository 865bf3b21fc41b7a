//! The append-only journal: typed records, sealed and chained, durable before anything is sent.
//!
//! One journal per worker, in a directory of its own under an exclusive lock. `record` is the vocabulary, `frame` the
//! bytes, `device` the disk, `writer` makes groups durable, `prepare` keeps the next segment ready, `pump` drives both, `handle` is what a process
//! holds (`shared` what it shares with its pump), `checkpoint` lets old segments go, `survey` and `scan` read, `search` finds, `torn` judges the end, `follow` reads along,
//! `rules` checks the walk, `keys` seals.

pub mod checkpoint;
pub mod counted;
pub mod device;
pub mod error;
mod fields;
pub mod follow;
pub mod frame;
pub mod handle;
pub mod keys;
mod measure;
mod owing;
pub mod prepare;
pub(crate) mod pump;
pub mod record;
pub mod rules;
pub mod scan;
pub mod search;
mod shared;
pub mod survey;
pub mod torn;
pub mod writer;

pub use error::JournalError;
pub(crate) use handle::Opened;
pub use handle::{Journal, Options};
pub use keys::{Keys, KeysError};
pub(crate) use pump::Pump;
pub use record::{Builder, CONFIG_HASH_BYTES, Field, Fields, RecordError, RecordKind};
pub use scan::{From, RecordRef, Report, Torn};
pub use shared::Step;
pub(crate) use shared::{Shared, lock};

/// Wall clock in Unix milliseconds: dates records for people, decides nothing.
pub(crate) fn unix_ms() -> i64 {
    crate::clock::wall_ms()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
