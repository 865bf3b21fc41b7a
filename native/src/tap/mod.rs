//! The tap: a token and a cryptogram come in, a card and a proof go on.
//!
//! `proven` is what a verified request carries with it until it is answered; `atc` remembers counters that were seen;
//! `verify` is the one call, over `domain` (what a token may be used for) and `reason` (why not).

pub mod atc;
pub mod domain;
pub mod proven;
pub mod reason;
pub mod verify;

pub use proven::Tap;
pub use reason::{REASONS, Refused};
pub use verify::{Range, Verdict, Verifier};
