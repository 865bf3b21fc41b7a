//! The cellar of tapswitch: what must be fast or constant-time, in pure Rust.
//!
//! Each room knows nothing of Python; `python/` holds the thin wrappers, one file per submodule of
//! `switch._native`. `buf` is the only file with `unsafe`.

pub mod buf;
pub mod chance;
pub mod clock;
pub mod codec;
pub mod emv;
pub mod error;
pub mod hook;
pub mod index;
pub mod journal;
pub mod limits;
pub mod load;
pub mod mac;
pub mod meter;
pub mod simulation;
pub mod tap;
pub mod terminal;
pub mod walk;

#[cfg(feature = "python")]
mod python;
