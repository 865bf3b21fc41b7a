//! The walk's memory and its gate: request keys, routes, and the one place where "durable before sent" is enforced.
//!
//! `duplicates` remembers request keys in a fixed table; `hold` keeps built frames until their record is on disk;
//! `gate` joins both with the journal and the codec (`outcome`, `reversal` and `advice` are its rarer acts, `shed` what it does under overload, `owed` what banks are owed, `records` what it
//! writes, `figures` what it counts,
//! `steps` what they share); `checkpoint` and `recover` carry its state over a restart. Nothing here knows
//! sockets, clocks or Python.

mod advice;
mod approve;
mod checkpoint;
mod deliver;
mod digest;
mod duplicates;
mod figures;
mod gate;
mod hold;
mod legs;
mod memory;
mod original;
mod outcome;
mod owed;
mod records;
mod recover;
mod reference;
mod reversal;
mod routes;
mod shed;
mod sign;
mod state;
mod steps;
mod time;
mod turned_away;
mod veil;

pub use advice::Advise;
pub use approve::Approve;
pub use deliver::Word;
pub use digest::Digester;
pub use duplicates::{CAPACITY_MAX, Duplicates, Entry, Evictions, NO_ISSUER};
pub use gate::{Forward, Gate, GateError, Moment, Ticket};
pub use hold::SlotId;
pub use memory::{Memory, View, with_pan};
pub use original::{Numbers, Original};
pub use outcome::Conclude;
pub use recover::Recovered;
pub use reversal::Reversal;
pub use routes::{NOWHERE, Route, RouteError, Routes};
pub use shed::{Line, Refusing, Shed};
pub use sign::Asked;
pub use state::{Cause, Duty, KeyState, ReversalEffect};
