//! `switch._native.simulation`: thin wrappers, no logic.

use pyo3::prelude::*;

use super::disk::{PyDisk, PyPump};
use super::usage_error;
use crate::simulation::mutant::{MUTANTS, Mutant};
use crate::simulation::{self, SimulationError};

fn refused(py: Python<'_>, error: &SimulationError) -> PyErr {
    usage_error(py, &error.to_string())
}

#[pyfunction]
fn begin(py: Python<'_>, seed: u64, monotonic_ns: u64, wall_ns: i64) -> PyResult<()> {
    simulation::begin(seed, monotonic_ns, wall_ns).map_err(|error| refused(py, &error))
}

#[pyfunction]
fn end() {
    simulation::end();
}

#[pyfunction]
fn active() -> bool {
    simulation::active()
}

#[pyfunction]
fn set_now(py: Python<'_>, monotonic_ns: u64, wall_ns: i64) -> PyResult<()> {
    simulation::set_now(monotonic_ns, wall_ns).map_err(|error| refused(py, &error))
}

#[pyfunction]
fn mutate(py: Python<'_>, name: &str) -> PyResult<()> {
    let mutant = Mutant::parse(name)
        .ok_or_else(|| usage_error(py, &format!("there is no native defect {name:?}")))?;
    simulation::mutate(mutant).map_err(|error| refused(py, &error))
}

#[pyfunction]
fn heal() {
    simulation::heal();
}

#[pyfunction]
fn mutants() -> Vec<(&'static str, &'static str)> {
    MUTANTS
        .iter()
        .map(|(_, name, about)| (*name, about.trim()))
        .collect()
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add(
        "__all__",
        [
            "Disk", "Pump", "active", "begin", "end", "heal", "mutants", "mutate", "set_now",
        ],
    )?;
    m.add_class::<PyDisk>()?;
    m.add_class::<PyPump>()?;
    m.add_function(wrap_pyfunction!(active, m)?)?;
    m.add_function(wrap_pyfunction!(begin, m)?)?;
    m.add_function(wrap_pyfunction!(end, m)?)?;
    m.add_function(wrap_pyfunction!(heal, m)?)?;
    m.add_function(wrap_pyfunction!(mutants, m)?)?;
    m.add_function(wrap_pyfunction!(mutate, m)?)?;
    m.add_function(wrap_pyfunction!(set_now, m)?)
}
