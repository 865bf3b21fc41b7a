//! What can go wrong with a journal, each with file, offset and remedy where it has them.

use std::io;

use thiserror::Error;

use super::record::RecordError;
use crate::hook::Crashed;

/// Errors are shared by the threads of one journal, hence the text of an I/O error instead of the error itself.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JournalError {
    #[error("the journal {directory} is in use{by}")]
    Locked { directory: String, by: String },
    #[error("{problem}")]
    Damaged {
        file: String,
        offset: u64,
        problem: String,
    },
    #[error("{file} was written under another {which} key")]
    WrongKey { file: String, which: &'static str },
    #[error("no room for the next segment: {reason}")]
    NoRoom { reason: String },
    #[error("{bytes} bytes wait for the disk, the limit is {limit}: the record was not taken")]
    PendingFull { bytes: usize, limit: usize },
    #[error("the journal stopped: {reason}")]
    Stopped { reason: String },
    #[error("cannot {action} {file}: {problem}")]
    Io {
        action: &'static str,
        file: String,
        problem: String,
    },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{0}")]
    Usage(&'static str),
    /// Only in a simulation.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl JournalError {
    pub fn io(action: &'static str, file: &str, error: &io::Error) -> JournalError {
        if let Some(crashed) = Crashed::of(error) {
            return JournalError::Crashed(crashed);
        }
        JournalError::Io {
            action,
            file: file.to_owned(),
            problem: error.to_string(),
        }
    }

    pub fn damaged(file: &str, offset: u64, problem: impl Into<String>) -> JournalError {
        JournalError::Damaged {
            file: file.to_owned(),
            offset,
            problem: problem.into(),
        }
    }

    /// The file an operator should look at, or ''.
    pub fn file(&self) -> &str {
        match self {
            JournalError::Damaged { file, .. }
            | JournalError::WrongKey { file, .. }
            | JournalError::Io { file, .. } => file,
            JournalError::Locked { directory, .. } => directory,
            _ => "",
        }
    }

    pub fn offset(&self) -> u64 {
        match self {
            JournalError::Damaged { offset, .. } => *offset,
            _ => 0,
        }
    }

    /// What an operator can do about it, or ''.
    pub fn remedy(&self) -> &'static str {
        match self {
            JournalError::Locked { .. } => {
                "stop the other process, or give this one a data directory of its own"
            }
            JournalError::Damaged { .. } => {
                "records that were acknowledged may be lost: keep the directory as it is, restore this file from a \
                 copy, and run `tapswitch journal verify` before starting again"
            }
            JournalError::WrongKey { .. } => "use the key file this journal was written with",
            JournalError::NoRoom { .. } => {
                "free room on the journal's disk; the worker goes on by itself"
            }
            JournalError::PendingFull { .. } => {
                "the disk is slower than the traffic; look at its write latency"
            }
            JournalError::Stopped { .. } => {
                "look at the disk, then start the worker again: it recovers by itself"
            }
            JournalError::Io { .. }
            | JournalError::Record(_)
            | JournalError::Usage(_)
            | JournalError::Crashed(_) => "",
        }
    }
}
