//! The load generator and the bank of `bench/`: outside the walk, and cheap, so that what is measured is the
//! system between them.
//!
//! Both are plain threads over epoll that never touch the interpreter. Each message goes out by a `send` of
//! its own, because terminals and banks do not agree on when to speak; a generator that joins its messages
//! would make the system under test look better than it is. Nothing here knows a system under test: the
//! relay, the durable relay and the switch are driven by the same code through the same loopback sockets.

pub mod bank;
pub mod clock;
pub mod frame;
pub mod generator;
pub mod histogram;
pub mod hlog;
pub mod ledger;
pub mod link;
pub mod maker;
pub mod poll;
pub mod recorder;
pub mod recording;
pub mod schedule;
pub mod series;
pub mod usage;
pub mod window;

/// What can go wrong outside a window; inside one, trouble is counted, not raised.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    System(#[from] rustix::io::Errno),
    #[error("{0}")]
    Usage(String),
}
