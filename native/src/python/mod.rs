//! The stair to Python: one submodule per room, no logic.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

mod clock;
mod codec;
mod describe;
mod disk;
mod element;
mod emv;
mod fault;
mod framer;
mod gate;
mod given;
mod hook;
mod index;
mod journal;
mod load;
mod mac;
mod message;
mod meter;
mod series;
mod simulation;
mod tap;
mod terminal;
mod walk;

type Register = fn(&Bound<'_, PyModule>) -> PyResult<()>;

/// Adds a submodule and enters it into `sys.modules`, so that `import switch._native.codec` works
/// and stubtest finds it.
fn add_submodule(parent: &Bound<'_, PyModule>, name: &str, register: Register) -> PyResult<()> {
    let py = parent.py();
    let module = PyModule::new(py, name)?;
    register(&module)?;
    parent.add_submodule(&module)?;
    py.import("sys")?
        .getattr("modules")?
        .set_item(format!("switch._native.{name}"), &module)
}

/// An instance of a class of `switch.errors`: the taxonomy lives in Python, so users see one hierarchy.
pub(crate) fn python_error<'py>(
    py: Python<'py>,
    class: &str,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyErr {
    let built = py
        .import("switch.errors")
        .and_then(|m| m.getattr(class))
        .and_then(|c| c.call(args, kwargs));
    match built {
        Ok(instance) => PyErr::from_value(instance),
        Err(error) => error,
    }
}

/// A `switch.errors.UsageError`: an interface was used wrongly.
pub(crate) fn usage_error(py: Python<'_>, problem: &str) -> PyErr {
    match PyTuple::new(py, [problem]) {
        Ok(args) => python_error(py, "UsageError", &args, None),
        Err(error) => error,
    }
}

#[pymodule(gil_used = true)]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_submodule(m, "clock", clock::register)?;
    add_submodule(m, "codec", codec::register)?;
    add_submodule(m, "describe", describe::register)?;
    add_submodule(m, "hook", hook::register)?;
    add_submodule(m, "journal", journal::register)?;
    add_submodule(m, "walk", walk::register)?;
    add_submodule(m, "meter", meter::register)?;
    add_submodule(m, "load", load::register)?;
    add_submodule(m, "emv", emv::register)?;
    add_submodule(m, "index", index::register)?;
    add_submodule(m, "tap", tap::register)?;
    add_submodule(m, "mac", mac::register)?;
    add_submodule(m, "terminal", terminal::register)?;
    add_submodule(m, "simulation", simulation::register)?;
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add(
        "BUILD_PROFILE",
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    )?;
    Ok(())
}
