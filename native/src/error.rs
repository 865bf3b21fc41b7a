//! What the native rooms refuse with; `python/` turns each into the class of `switch.errors` of the same purpose.
//!
//! No text here ever quotes a byte of a C2, C3 or SAD field: whoever builds a fault passes `found` through the
//! field's class first (see `codec::class::Class::quotable`).

use thiserror::Error;

/// A place in a text file, both 1-based; column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// Not TOML.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}:{}: {message}", at.line, at.column)]
pub struct TomlFault {
    pub message: String,
    pub at: Position,
}

/// A dialect file does not compile; an operator can mend it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}:{}:{}: {message}", at.line, at.column)]
pub struct DialectFault {
    pub message: String,
    pub file: String,
    pub at: Position,
    /// Dotted path of the key the message speaks of.
    pub key: String,
    /// The nearest valid key or value, or empty.
    pub help: String,
}

/// One body cannot be decoded; the peer broke the protocol.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{dialect}: {path} at offset {offset}: found {found}, expected {expected}")]
pub struct DecodeFault {
    pub dialect: String,
    /// `mti`, `bitmap`, `field 48.2`, `field 55.9F26`.
    pub path: String,
    /// Bytes into the body.
    pub offset: usize,
    pub found: String,
    pub expected: String,
    /// Empty when the fault is in it.
    pub mti: String,
}

/// A value does not fit its field.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{dialect}: {path}: {problem}")]
pub struct EncodeFault {
    pub dialect: String,
    pub path: String,
    pub problem: String,
}

/// The byte stream of one connection is lost; the link must be closed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("frame at stream offset {offset}: found {found}, expected {expected}")]
pub struct FramingFault {
    /// Bytes of the stream before the frame.
    pub offset: u64,
    pub found: String,
    pub expected: String,
    /// What stood where the length should be, at most four bytes.
    pub prefix: Vec<u8>,
}
