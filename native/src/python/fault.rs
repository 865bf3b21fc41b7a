//! Faults of the codec as the errors of `switch.errors`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::codec::Refusal;
use crate::codec::image::{Image, image};
use crate::codec::spec::Dialect;
use crate::codec::value::hex;
use crate::error::{DialectFault, EncodeFault, FramingFault, TomlFault};
use crate::python::message::PyMessage;
use crate::python::python_error;

pub(super) fn toml_error(py: Python<'_>, fault: &TomlFault) -> PyErr {
    placed(|| {
        let kwargs = PyDict::new(py);
        kwargs.set_item("line", fault.at.line)?;
        kwargs.set_item("column", fault.at.column)?;
        let args = (&fault.message,).into_pyobject(py)?;
        Ok(python_error(py, "TomlError", &args, Some(&kwargs)))
    })
}

pub(super) fn dialect_error(py: Python<'_>, fault: &DialectFault) -> PyErr {
    placed(|| {
        let kwargs = PyDict::new(py);
        kwargs.set_item("file", &fault.file)?;
        kwargs.set_item("line", fault.at.line)?;
        kwargs.set_item("column", fault.at.column)?;
        kwargs.set_item("key", &fault.key)?;
        kwargs.set_item("help", &fault.help)?;
        let args = (&fault.message,).into_pyobject(py)?;
        Ok(python_error(py, "DialectError", &args, Some(&kwargs)))
    })
}

/// A `DecodeError` with what could be read before the fault as its `partial`.
pub(super) fn decode_error(py: Python<'_>, refusal: Refusal) -> PyErr {
    placed(|| {
        let Refusal { fault, partial } = refusal;
        let args = (
            fault.dialect,
            fault.path,
            fault.offset,
            fault.found,
            fault.expected,
            fault.mti,
        )
            .into_pyobject(py)?;
        let error = python_error(py, "DecodeError", &args, None);
        if let Some(partial) = partial {
            let message = Bound::new(py, PyMessage(partial))?;
            error.value(py).setattr("partial", message)?;
        }
        Ok(error)
    })
}

/// As `decode_error`, for a frame of a link: with its content as far as it may be shown.
pub(super) fn received_error(
    py: Python<'_>,
    dialect: &Dialect,
    content: &[u8],
    refusal: Refusal,
) -> PyErr {
    let Image { hex, at } = image(dialect, content, &refusal);
    let error = decode_error(py, refusal);
    placed(|| {
        error.value(py).setattr("image", hex)?;
        error.value(py).setattr("image_at", at)?;
        Ok(error)
    })
}

pub(super) fn framing_error(py: Python<'_>, fault: &FramingFault) -> PyErr {
    placed(|| {
        let kwargs = PyDict::new(py);
        kwargs.set_item("offset", fault.offset)?;
        kwargs.set_item("found", &fault.found)?;
        kwargs.set_item("expected", &fault.expected)?;
        let args = (fault.to_string(),).into_pyobject(py)?;
        let error = python_error(py, "FramingError", &args, Some(&kwargs));
        error.value(py).setattr("image", hex(&fault.prefix))?;
        Ok(error)
    })
}

/// An `EncodeError`, for whichever room builds messages.
pub(crate) fn encode_error(py: Python<'_>, fault: &EncodeFault) -> PyErr {
    placed(|| {
        let args = (&fault.dialect, &fault.path, &fault.problem).into_pyobject(py)?;
        Ok(python_error(py, "EncodeError", &args, None))
    })
}

/// The error that was built, or why it could not be.
fn placed(build: impl FnOnce() -> PyResult<PyErr>) -> PyErr {
    build().unwrap_or_else(|error| error)
}
