//! `switch._native.clock`: thin wrappers, no logic.

use pyo3::prelude::*;

use crate::clock;

#[pyfunction]
fn monotonic_ns() -> u64 {
    clock::monotonic_ns()
}

#[pyfunction]
fn wall_ns() -> i64 {
    clock::wall_ns()
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__all__", ["monotonic_ns", "wall_ns"])?;
    m.add_function(wrap_pyfunction!(monotonic_ns, m)?)?;
    m.add_function(wrap_pyfunction!(wall_ns, m)?)
}
