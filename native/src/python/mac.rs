//! `switch._native.mac`: thin wrappers, no logic.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::{python_error, usage_error};
use crate::buf;
use crate::mac::key::LockedKey;
use crate::mac::{Chain, Cipher, Form, Key, KeyFault, Name, Strategy};

pub(super) fn key_fault(py: Python<'_>, error: &KeyFault) -> PyErr {
    match PyTuple::new(py, [error.to_string()]) {
        Ok(args) => python_error(py, "KeyFileError", &args, None),
        Err(error) => error,
    }
}

pub(super) fn cipher_of(py: Python<'_>, name: &str) -> PyResult<Cipher> {
    Cipher::of_name(name).ok_or_else(|| usage_error(py, "a cipher is des, 3des or sm4"))
}

#[pyclass(name = "Key", frozen, module = "switch._native.mac")]
pub(super) struct PyKey(pub(super) LockedKey);

#[pymethods]
impl PyKey {
    #[staticmethod]
    fn read(py: Python<'_>, descriptor: i32, cipher: &str) -> PyResult<PyKey> {
        let cipher = cipher_of(py, cipher)?;
        py.detach(|| {
            let file = buf::duplicate(descriptor).map_err(KeyFault::Io)?;
            Key::read(file, cipher)
        })
        .map(PyKey)
        .map_err(|error| key_fault(py, &error))
    }

    #[getter]
    fn cipher(&self) -> &'static str {
        self.0.cipher().name()
    }

    #[getter]
    fn check_value(&self) -> String {
        crate::codec::value::hex(&self.0.check_value())
    }

    fn __repr__(&self) -> &'static str {
        "<Key>"
    }
}

#[pyclass(name = "Strategy", frozen, module = "switch._native.mac")]
pub(super) struct PyStrategy(pub(super) Strategy);

#[pymethods]
impl PyStrategy {
    #[new]
    fn new(
        py: Python<'_>,
        algorithm: &str,
        cipher: &str,
        chain: &str,
        form: &str,
        length: u8,
    ) -> PyResult<PyStrategy> {
        let algorithm = Name::of_name(algorithm)
            .ok_or_else(|| usage_error(py, "an algorithm is cup-ecb, x9.9 or x9.19"))?;
        let chain = match chain {
            "xor" => Chain::Xor,
            "cbc" => Chain::Cbc,
            "retail" => Chain::Retail,
            _ => return Err(usage_error(py, "a chain is xor, cbc or retail")),
        };
        let form = match (form, length) {
            ("hex", 8) => Form::Hex,
            ("binary", length) => Form::Binary(length),
            _ => {
                return Err(usage_error(
                    py,
                    "a form is binary, or hex with the length 8",
                ));
            }
        };
        Strategy::new(algorithm, cipher_of(py, cipher)?, chain, form)
            .map(PyStrategy)
            .map_err(|fault| usage_error(py, &fault.to_string()))
    }

    fn code<'py>(
        &self,
        py: Python<'py>,
        key: &PyKey,
        data: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        match self.0.code(&key.0, data) {
            Some(code) => Ok(PyBytes::new(py, &code)),
            None => Err(usage_error(py, "the key is of another cipher")),
        }
    }

    fn proves(&self, key: &PyKey, data: &[u8], given: &[u8]) -> bool {
        self.0.proves(&key.0, data, given)
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__all__", ["Key", "Strategy"])?;
    m.add_class::<PyKey>()?;
    m.add_class::<PyStrategy>()?;
    Ok(())
}
