//! The token index: what the walk must know of a token, in one look-up, shared by all processes of a node.
//!
//! LMDB under generations (`store`), because a damaged or stale file is never mended in place but replaced by a new one.
//! A value is a `record` in a compact form, sealed (`seal`) under the token that it belongs to and the change of the
//! vault that it stems from: LMDB has no checksums, and a value moved to another token's place must not open. Each names
//! its successor (`chain`), which proves that a token is unknown; and the pages between are read with care (`pages`), so
//! that a damaged file is noticed and ends no process. The vault is the truth; `vault` seals and hashes its card numbers, so that in bulk work none becomes a Python object.

mod chain;
pub mod error;
mod inspect;
mod pages;
pub mod record;
pub mod seal;
pub mod store;
pub mod vault;

#[cfg(test)]
mod tests;

pub use error::{IndexError, Unavailable};
pub use record::{Domain, Token, TokenRecord, TokenState};
pub use store::{Index, Rebuild};
pub use vault::VaultKeys;
