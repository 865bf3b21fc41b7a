//! `switch._native.mac`: thin wrappers, no logic.

use std::path::Path;
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::journal::PyKeys;
use super::terminal::PyTerminals;
use super::{python_error, usage_error};
use crate::buf;
use crate::codec::value::unhex;
use crate::mac::book::Clear;
use crate::mac::guard::RESULTS;
use crate::mac::key::{CHECK_BYTES, LockedKey, read_bytes};
use crate::mac::links::{Transport, Usage};
use crate::mac::{Chain, Cipher, Form, Guard, Key, KeyFault, LinkKey, LinkKeys, Name, Strategy};

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
pub(super) struct PyKey {
    /// None after a guard has taken the key.
    inner: Mutex<Option<LockedKey>>,
}

impl PyKey {
    pub(super) fn new(key: LockedKey) -> PyKey {
        PyKey {
            inner: Mutex::new(Some(key)),
        }
    }

    fn take(&self) -> Option<LockedKey> {
        self.inner.lock().ok()?.take()
    }

    fn with<T>(&self, py: Python<'_>, f: impl FnOnce(&Key) -> T) -> PyResult<T> {
        match self.inner.lock().as_deref() {
            Ok(Some(key)) => Ok(f(key)),
            _ => Err(usage_error(py, "a guard has taken this key")),
        }
    }
}

#[pymethods]
impl PyKey {
    #[staticmethod]
    fn read(py: Python<'_>, descriptor: i32, cipher: &str) -> PyResult<PyKey> {
        let cipher = cipher_of(py, cipher)?;
        py.detach(|| {
            let file = buf::duplicate(descriptor).map_err(KeyFault::Io)?;
            Key::read(file, cipher)
        })
        .map(PyKey::new)
        .map_err(|error| key_fault(py, &error))
    }

    #[getter]
    fn cipher(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |key| key.cipher().name())
    }

    #[getter]
    fn check_value(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |key| crate::codec::value::hex(&key.check_value()))
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
        match key.with(py, |key| self.0.code(key, data))? {
            Some(code) => Ok(PyBytes::new(py, &code)),
            None => Err(usage_error(py, "the key is of another cipher")),
        }
    }

    fn proves(&self, py: Python<'_>, key: &PyKey, data: &[u8], given: &[u8]) -> PyResult<bool> {
        key.with(py, |key| self.0.proves(key, data, given))
    }
}

#[pyclass(name = "Guard", frozen, module = "switch._native.mac")]
pub(super) struct PyGuard(pub(super) Arc<Guard>);

#[pymethods]
impl PyGuard {
    #[staticmethod]
    fn of_link(
        py: Python<'_>,
        strategy: &PyStrategy,
        keys: Vec<PyRef<'_, PyKey>>,
    ) -> PyResult<PyGuard> {
        let taken: Option<Vec<LockedKey>> = keys.iter().map(|key| key.take()).collect();
        let taken = taken.ok_or_else(|| usage_error(py, "a guard has taken this key"))?;
        Guard::of_link(strategy.0, taken)
            .map(|guard| PyGuard(Arc::new(guard)))
            .ok_or_else(|| usage_error(py, "one key of the strategy's cipher, or two"))
    }

    #[staticmethod]
    fn of_terminals(strategy: &PyStrategy, terminals: &PyTerminals, acquirer: &str) -> PyGuard {
        let terminals = Arc::clone(&terminals.0);
        PyGuard(Arc::new(Guard::of_terminals(
            strategy.0, terminals, acquirer,
        )))
    }

    #[getter]
    fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.counts();
        RESULTS.iter().map(|(_, name)| *name).zip(counts).collect()
    }

    fn __repr__(&self) -> &'static str {
        "<Guard>"
    }
}

/// A key in parts, as two people bring it: what was entered so far, combined by exclusive or.
#[pyclass(name = "Components", frozen, module = "switch._native.mac")]
pub(super) struct PyComponents {
    cipher: Cipher,
    combined: Mutex<(Clear, usize)>,
}

impl PyComponents {
    pub(super) fn clear(&self, py: Python<'_>) -> PyResult<Clear> {
        match self.combined.lock() {
            Ok(held) if held.1 > 0 => Ok(held.0.clone()),
            _ => Err(usage_error(py, "no component was entered")),
        }
    }
}

#[pymethods]
impl PyComponents {
    #[new]
    fn new(py: Python<'_>, cipher: &str) -> PyResult<PyComponents> {
        Ok(PyComponents {
            cipher: cipher_of(py, cipher)?,
            combined: Mutex::new((Clear::default(), 0)),
        })
    }

    fn enter(&self, py: Python<'_>, descriptor: i32) -> PyResult<String> {
        let cipher = self.cipher;
        let part = py
            .detach(|| {
                let file = buf::duplicate(descriptor).map_err(KeyFault::Io)?;
                read_bytes(file, cipher)
            })
            .map_err(|error| key_fault(py, &error))?;
        let value = check_value_of(cipher, &*part);
        if let Ok(mut held) = self.combined.lock() {
            for (byte, other) in held.0.iter_mut().zip(part.iter()) {
                *byte ^= other;
            }
            held.1 += 1;
        }
        Ok(value)
    }

    #[getter]
    fn check_value(&self, py: Python<'_>) -> PyResult<String> {
        Ok(check_value_of(self.cipher, &*self.clear(py)?))
    }

    fn __repr__(&self) -> &'static str {
        "<Components>"
    }
}

fn check_value_of(cipher: Cipher, bytes: &[u8]) -> String {
    let value = Key::new(cipher, bytes).map(|key| key.check_value());
    crate::codec::value::hex(&value.unwrap_or_default())
}

pub(super) fn file_fault(py: Python<'_>, file: &str, fault: &dyn std::fmt::Display) -> PyErr {
    let kwargs = PyDict::new(py);
    let built = PyTuple::new(py, [fault.to_string()])
        .and_then(|args| kwargs.set_item("file", file).map(|()| args));
    match built {
        Ok(args) => python_error(py, "KeyFileError", &args, Some(&kwargs)),
        Err(error) => error,
    }
}

pub(super) fn check_digits(
    py: Python<'_>,
    text: Option<&str>,
) -> PyResult<Option<[u8; CHECK_BYTES]>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = unhex(text.as_bytes()).and_then(|bytes| bytes.try_into().ok());
    match bytes {
        Some(value) => Ok(Some(value)),
        None => Err(usage_error(py, "a check value is eight hexadecimal digits")),
    }
}

#[pyclass(name = "LinkKeys", frozen, module = "switch._native.mac")]
pub(super) struct PyLinkKeys {
    inner: LinkKeys,
    file: String,
}

impl PyLinkKeys {
    pub(super) fn transport(&self, py: Python<'_>, name: &str) -> PyResult<Transport> {
        let found = self.inner.transport(name);
        found.map_err(|fault| file_fault(py, &self.file, &fault))
    }
}

fn usage_of(py: Python<'_>, name: &str) -> PyResult<Usage> {
    Usage::of_name(name).ok_or_else(|| usage_error(py, "a usage is mac or transport"))
}

#[pymethods]
impl PyLinkKeys {
    #[staticmethod]
    fn open(py: Python<'_>, file: &str, keys: &PyKeys) -> PyResult<PyLinkKeys> {
        let seal = keys.inner.link_keys_key();
        let inner = LinkKeys::open(Path::new(file), &seal);
        let inner = inner.map_err(|fault| file_fault(py, file, &fault))?;
        Ok(PyLinkKeys {
            inner,
            file: file.to_owned(),
        })
    }

    #[staticmethod]
    #[pyo3(signature = (file, keys, name, usage, components, at_s, check_value = None))]
    #[allow(clippy::too_many_arguments)]
    fn add(
        py: Python<'_>,
        file: &str,
        keys: &PyKeys,
        name: &str,
        usage: &str,
        components: &PyComponents,
        at_s: u64,
        check_value: Option<&str>,
    ) -> PyResult<u16> {
        let entry = LinkKey {
            name: name.to_owned(),
            version: 0,
            usage: usage_of(py, usage)?,
            cipher: components.cipher,
            check_value: Default::default(),
            added_s: at_s,
            retired_s: 0,
        };
        let (key, expected) = (components.clear(py)?, check_digits(py, check_value)?);
        let seal = keys.inner.link_keys_key();
        py.detach(|| LinkKeys::add(Path::new(file), &seal, entry, &key, expected))
            .map_err(|fault| file_fault(py, file, &fault))
    }

    #[staticmethod]
    #[pyo3(signature = (file, keys, name, version, at_s, *, last = false))]
    fn retire(
        py: Python<'_>,
        file: &str,
        keys: &PyKeys,
        name: &str,
        version: u16,
        at_s: u64,
        last: bool,
    ) -> PyResult<()> {
        let seal = keys.inner.link_keys_key();
        py.detach(|| LinkKeys::retire(Path::new(file), &seal, name, version, at_s, last))
            .map_err(|fault| file_fault(py, file, &fault))
    }

    fn rows(&self, py: Python<'_>) -> PyResult<Vec<Py<PyDict>>> {
        let row = |entry: &LinkKey| {
            let row = PyDict::new(py);
            row.set_item("name", &entry.name)?;
            row.set_item("version", entry.version)?;
            row.set_item("usage", entry.usage.name())?;
            row.set_item("cipher", entry.cipher.name())?;
            let value = crate::codec::value::hex(&entry.check_value);
            row.set_item("check_value", value)?;
            row.set_item("added_s", entry.added_s)?;
            row.set_item("retired_s", entry.retired_s)?;
            Ok(row.unbind())
        };
        self.inner.entries().iter().map(row).collect()
    }

    fn of(&self, py: Python<'_>, name: &str, usage: &str) -> PyResult<Vec<PyKey>> {
        let keys = self.inner.of(name, usage_of(py, usage)?);
        let keys = keys.map_err(|fault| file_fault(py, &self.file, &fault))?;
        Ok(keys.into_iter().map(PyKey::new).collect())
    }

    fn __repr__(&self) -> String {
        format!("<LinkKeys {}>", self.inner.entries().len())
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add(
        "__all__",
        [
            "RESULTS",
            "Components",
            "Guard",
            "Key",
            "LinkKeys",
            "Strategy",
        ],
    )?;
    let results: Vec<&str> = RESULTS.iter().map(|(_, name)| *name).collect();
    m.add("RESULTS", PyTuple::new(m.py(), results)?)?;
    m.add_class::<PyGuard>()?;
    m.add_class::<PyComponents>()?;
    m.add_class::<PyKey>()?;
    m.add_class::<PyLinkKeys>()?;
    m.add_class::<PyStrategy>()?;
    Ok(())
}
