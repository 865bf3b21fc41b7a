//! Cryptograms of EMV cards and devices: proves what a tap brings and answers it.
//!
//! One call of `Ring::verify` goes from field 55 to a `Proof` or to the one reason why there is none: tags (`chip`),
//! scheme and profile (`profile`), issuer application data (`iad`), agreement with the message (`agree`), card key and
//! session key (`key`), cryptogram and answer (`cryptogram`), over a DES of our own (`des`). Pure: no clock, no state,
//! no chance; whether a counter was seen before is decided elsewhere.
//!
//! Beside it stand the file that holds masters at rest (`store`), and the other side of a tap: a device in software for
//! simulators (`element`).
//!
//! Source: EMV 4.3 Book 2 (8.1, 8.2, annex A1), PBOC 3.0 part 5 and UnionPay's field 55, Visa's profiles as
//! published by test tools; the vectors of the tests name theirs.

pub mod agree;
pub mod chip;
pub mod cryptogram;
pub mod des;
pub mod element;
pub mod iad;
pub mod key;
pub mod profile;
pub mod refusal;
pub mod ring;
pub mod store;

#[cfg(test)]
mod tests;

pub use chip::Chip;
pub use cryptogram::{MethodFault, Proof, make};
pub use element::{Asked, Element, Tapped};
pub use iad::Iad;
pub use key::{Card, CardMaster, Derivation, MasterFault, Session};
pub use profile::{Profile, Scheme};
pub use refusal::Refusal;
pub use ring::{Ring, RingFault};
pub use store::{Entry, Place, Store, StoreFault, Usage};
