//! Message authentication codes of links: a strategy is data, a key is a type of its own.
//!
//! `Strategy` says how bytes become a code (`strategy`), `Key` is what it is made with (`key`), and a `Guard` (`guard`)
//! proves and seals the messages of one link. Which bytes of a message are covered, and which messages carry a code, is
//! the codec's matter. Codes are compared here and nowhere else, in constant time.

pub mod book;
pub mod guard;
pub mod key;
pub mod links;
pub mod strategy;

pub use guard::{Guard, Proof, Sealer};
pub use key::{Cipher, Key, KeyFault};
pub use links::{LinkFault, LinkKey, LinkKeys};
pub use strategy::{CODE_BYTES, Chain, Form, Name, Strategy, StrategyFault};
