//! Message authentication codes of links: a strategy is data, a key is a type of its own.
//!
//! `Strategy` says how bytes become a code (`strategy`), `Key` is what it is made with (`key`). Which bytes of a
//! message are covered, and which messages carry a code, is the codec's matter; whose key it is, the walk's. Codes are
//! compared here and nowhere else, in constant time.

pub mod key;
pub mod strategy;

pub use key::{Cipher, Key, KeyFault};
pub use strategy::{CODE_BYTES, Chain, Form, Name, Strategy, StrategyFault};
