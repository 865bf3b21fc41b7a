//! The tap: a token and a cryptogram come in, a card and a proof go on.
//!
//! `proven` is what a verified request carries with it until it is answered.

pub mod proven;

pub use proven::Tap;
