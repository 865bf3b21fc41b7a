//! Terminals that sign on: who they are (`registry`), and which work keys they have (`signed`).
//!
//! Work keys are never kept: each is derived from a key of the node, the terminal and a sequence number when it is
//! used. What must survive is the number, and that is in the journal before the terminal hears of it. Master keys rest
//! sealed, each by itself, and are opened for a sign-on only.

pub mod registry;
pub mod signed;

pub use registry::{Registry, RegistryFault, Terminal};
pub use signed::{Issued, Key, SignOn, Standing, Terminals, Variant};
