//! Why the index has no answer, and why it cannot be written.

use std::io;

use thiserror::Error;

/// Why there is no answer at the moment. It is never "unknown token": whoever asks declines with a fault of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is none yet.
    Missing,
    /// It is being rebuilt from the vault.
    Stale,
    /// The file cannot be read as an index.
    Damaged,
    /// A value does not open: damaged, moved, or sealed under another key.
    Sealed,
}

impl Unavailable {
    /// A stable word for counters and messages.
    pub fn reason(self) -> &'static str {
        match self {
            Unavailable::Missing => "missing",
            Unavailable::Stale => "stale",
            Unavailable::Damaged => "damaged",
            Unavailable::Sealed => "sealed",
        }
    }
}

/// Why something was not written.
#[derive(Debug, Error)]
pub enum IndexError {
    #[error("cannot {action} the token index in {place}: {source}")]
    Io {
        action: &'static str,
        place: String,
        source: io::Error,
    },
    #[error("cannot {action} the token index: {problem}")]
    Store {
        action: &'static str,
        problem: String,
    },
    #[error("the token index is not available: {}", .0.reason())]
    Unavailable(Unavailable),
    #[error("a record of the token index is not sound: {0}")]
    Record(&'static str),
}

impl IndexError {
    pub(super) fn store(action: &'static str) -> impl Fn(heed::Error) -> IndexError {
        move |error| IndexError::Store {
            action,
            problem: error.to_string(),
        }
    }
}
