//! The ground of a simulation: one process in which time, chance and the disk are the test's.
//!
//! A process either has real journals or is a simulation, never both at once: `begin` is refused while a real journal
//! is open, and none opens until `end`. A production process opens its journal before it serves and keeps it to its
//! end, so nothing can turn its clocks, its random bytes or its defects (`hook`) from within.

pub mod altered;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod damage;
pub mod disk;
pub mod environments;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod exhaustive;
pub mod faults;
mod image;
pub mod mutant;
pub mod pump;

use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use self::mutant::Mutant;
use crate::{chance, clock, hook};

/// Why a simulation does not begin, or cannot do what was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SimulationError {
    #[error(
        "a real journal is open in this process ({0} of them): a simulation begins beside none"
    )]
    Real(usize),
    #[error("a simulation is on in this process already")]
    On,
    #[error("no simulation is on in this process")]
    Off,
    #[error("the monotonic clock does not go back: it stands at {0} ns")]
    Back(u64),
}

#[derive(Default)]
struct State {
    on: bool,
    journals: usize,
}

static STATE: Mutex<State> = Mutex::new(State {
    on: false,
    journals: 0,
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A real journal that is open in this process; it goes with the value.
#[derive(Debug)]
pub struct Real(());

impl Real {
    /// None while a simulation is on.
    #[must_use]
    pub fn enter() -> Option<Real> {
        let mut state = state();
        if state.on {
            return None;
        }
        state.journals += 1;
        Some(Real(()))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let mut state = state();
        state.journals = state.journals.saturating_sub(1);
    }
}

/// From here to `end` this process is a simulation: its clocks stand where they are set, its chance comes from `seed`.
///
/// # Errors
/// `Real`, `On`.
pub fn begin(seed: u64, monotonic_ns: u64, wall_ns: i64) -> Result<(), SimulationError> {
    let mut state = state();
    if state.on {
        return Err(SimulationError::On);
    }
    if state.journals > 0 {
        return Err(SimulationError::Real(state.journals));
    }
    state.on = true;
    chance::seed(Some(seed));
    clock::set(monotonic_ns, wall_ns);
    Ok(())
}

/// The kernel's clocks and chance again. Without a simulation it does nothing.
pub fn end() {
    let mut state = state();
    if state.on {
        state.on = false;
        mutant::heal();
        hook::disarm();
        environments::forget_all();
        clock::run_free();
        chance::seed(None);
    }
}

#[must_use]
pub fn active() -> bool {
    state().on
}

/// Both clocks; the wall clock may be stepped to anywhere.
///
/// # Errors
/// `Off`, `Back`.
pub fn set_now(monotonic_ns: u64, wall_ns: i64) -> Result<(), SimulationError> {
    let state = state();
    if !state.on {
        return Err(SimulationError::Off);
    }
    let stands = clock::monotonic_ns();
    if monotonic_ns < stands {
        return Err(SimulationError::Back(stands));
    }
    clock::set(monotonic_ns, wall_ns);
    Ok(())
}

/// Turns a defect on, until `heal` or `end`.
///
/// # Errors
/// `Off`.
pub fn mutate(defect: Mutant) -> Result<(), SimulationError> {
    let state = state();
    if !state.on {
        return Err(SimulationError::Off);
    }
    mutant::turn_on(defect);
    Ok(())
}

/// No defect is on any more.
pub fn heal() {
    mutant::heal();
}
