//! `switch._native.hook`: thin wrappers, no logic.

use pyo3::create_exception;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::usage_error;
use crate::hook::{self, POINTS, Point};

create_exception!(
    switch._native.hook,
    Crashed,
    PyBaseException,
    "The simulated process has died at this point."
);

/// The exception that ends a simulated process.
pub(super) fn crashed(at: hook::Crashed) -> PyErr {
    Crashed::new_err(at.0.name())
}

/// Raises when this call reached the point that kills, where its own result could not say so.
#[inline]
pub(super) fn checked<T>(done: T) -> PyResult<T> {
    match hook::crashed() {
        None => Ok(done),
        Some(at) => Err(crashed(at)),
    }
}

#[pyfunction]
fn points() -> Vec<(&'static str, &'static str)> {
    POINTS
        .iter()
        .map(|(_, name, about)| (*name, about.trim()))
        .collect()
}

#[pyfunction]
fn arm(py: Python<'_>, at: &str) -> PyResult<()> {
    hook::arm(at).map_err(|error| usage_error(py, &error.to_string()))
}

#[pyfunction]
fn armed() -> bool {
    hook::armed()
}

#[pyfunction]
fn reach(point: &Bound<'_, PyString>) -> PyResult<()> {
    if !hook::armed() {
        return Ok(());
    }
    let name = point.to_cow()?;
    let found = Point::parse(&name)
        .ok_or_else(|| usage_error(point.py(), &format!("there is no crash point {name:?}")))?;
    hook::at(found).map_err(crashed)
}

#[pyfunction]
fn handing() -> bool {
    hook::handing()
}

#[pyfunction]
fn given() -> PyResult<()> {
    hook::given().map_err(crashed)
}

#[pyfunction]
fn reached() -> Option<&'static str> {
    hook::crashed().map(|at| at.0.name())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("Crashed", m.py().get_type::<Crashed>())?;
    m.add_function(wrap_pyfunction!(arm, m)?)?;
    m.add_function(wrap_pyfunction!(armed, m)?)?;
    m.add_function(wrap_pyfunction!(given, m)?)?;
    m.add_function(wrap_pyfunction!(handing, m)?)?;
    m.add_function(wrap_pyfunction!(points, m)?)?;
    m.add_function(wrap_pyfunction!(reach, m)?)?;
    m.add_function(wrap_pyfunction!(reached, m)?)?;
    m.add(
        "__all__",
        [
            "Crashed", "arm", "armed", "given", "handing", "points", "reach", "reached",
        ],
    )
}
