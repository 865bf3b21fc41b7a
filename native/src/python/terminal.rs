//! `switch._native.terminal`: thin wrappers, no logic.

use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::journal::PyKeys;
use super::mac::{PyComponents, PyLinkKeys, check_digits, file_fault};
use super::{python_error, usage_error};
use crate::codec::value::{hex, unhex};
use crate::mac::book::{BookFault, Clear};
use crate::terminal::registry::{Entered, who};
use crate::terminal::{Registry, Terminal, Terminals};

#[pyclass(name = "Terminals", frozen, module = "switch._native.terminal")]
pub(super) struct PyTerminals(pub(super) Arc<Terminals>);

#[pymethods]
impl PyTerminals {
    #[new]
    fn new(py: Python<'_>, keys: &PyKeys) -> PyResult<PyTerminals> {
        let made = Terminals::new(&keys.inner.work_keys_key());
        made.map(|made| PyTerminals(Arc::new(made)))
            .map_err(
                |source| match (BookFault::Lock(source).to_string(),).into_pyobject(py) {
                    Ok(args) => python_error(py, "KeyFileError", &args, None),
                    Err(error) => error,
                },
            )
    }

    fn install(&self, py: Python<'_>, file: &str, keys: &PyKeys) -> PyResult<()> {
        let seal = keys.inner.terminals_key();
        let opened = py.detach(|| Registry::open(Path::new(file), &seal));
        self.0
            .install(opened.map_err(|fault| file_fault(py, file, &fault))?);
        Ok(())
    }

    #[getter]
    fn figures(&self) -> (u64, usize, usize, usize) {
        self.0.figures()
    }

    fn work_key(&self, py: Python<'_>, acquirer: &str, terminal_id: &str) -> PyResult<(u32, u32)> {
        let who = named(py, acquirer, terminal_id)?;
        let state = self.0.sign_on(&who).unwrap_or_default();
        Ok((state.current, state.former))
    }

    fn __repr__(&self) -> String {
        format!("<Terminals {}>", self.0.figures().1)
    }
}

fn named(
    py: Python<'_>,
    acquirer: &str,
    terminal_id: &str,
) -> PyResult<crate::terminal::registry::Who> {
    who(acquirer, terminal_id.as_bytes())
        .ok_or_else(|| usage_error(py, "a terminal has 1 to 8 characters, an acquirer up to 16"))
}

/// One terminal from Python: acquirer, terminal, merchant, capability, zone, check value.
type Given = (String, String, String, String, String, String);

fn terminal(py: Python<'_>, given: Given, at_s: u64, key: Clear) -> PyResult<Entered> {
    let (acquirer, terminal_id, merchant_id, capability, zone, check) = given;
    let check = Some(check.as_str()).filter(|check| !check.is_empty());
    let expected = check_digits(py, check)?;
    let terminal = Terminal {
        acquirer,
        terminal_id,
        merchant_id,
        capability: capability.bytes().next().unwrap_or(0),
        zone,
        check_value: Default::default(),
        added_s: at_s,
        retired_s: 0,
    };
    Ok((terminal, expected, key))
}

#[pyclass(name = "Registry", frozen, module = "switch._native.terminal")]
pub(super) struct PyRegistry {
    inner: Registry,
    file: String,
}

#[pymethods]
impl PyRegistry {
    #[staticmethod]
    fn open(py: Python<'_>, file: &str, keys: &PyKeys) -> PyResult<PyRegistry> {
        let seal = keys.inner.terminals_key();
        let inner = py.detach(|| Registry::open(Path::new(file), &seal));
        Ok(PyRegistry {
            inner: inner.map_err(|fault| file_fault(py, file, &fault))?,
            file: file.to_owned(),
        })
    }

    /// One terminal with a key in parts.
    #[staticmethod]
    #[pyo3(signature = (file, keys, given, components, at_s, *, replace = false))]
    fn add(
        py: Python<'_>,
        file: &str,
        keys: &PyKeys,
        given: Given,
        components: &PyComponents,
        at_s: u64,
        replace: bool,
    ) -> PyResult<usize> {
        let entry = terminal(py, given, at_s, components.clear(py)?)?;
        let seal = keys.inner.terminals_key();
        Registry::add(Path::new(file), &seal, vec![entry], replace)
            .map_err(|fault| file_fault(py, file, &fault))
    }

    /// Many terminals, each with its key under a transport key (hexadecimal digits).
    #[staticmethod]
    #[pyo3(signature = (file, keys, given, transport, name, at_s, *, replace = false))]
    #[allow(clippy::too_many_arguments)]
    fn bring(
        py: Python<'_>,
        file: &str,
        keys: &PyKeys,
        given: Vec<(Given, String)>,
        transport: &PyLinkKeys,
        name: &str,
        at_s: u64,
        replace: bool,
    ) -> PyResult<usize> {
        let under = transport.transport(py, name)?;
        let mut entries = Vec::with_capacity(given.len());
        for (given, sealed) in given {
            let id = given.1.clone();
            let sealed: Option<[u8; 16]> =
                unhex(sealed.as_bytes()).and_then(|bytes| bytes.try_into().ok());
            let sealed = sealed.ok_or_else(|| {
                usage_error(
                    py,
                    &format!("terminal {id}: a key is 32 hexadecimal digits"),
                )
            })?;
            entries.push(terminal(py, given, at_s, under.open(&sealed))?);
        }
        let seal = keys.inner.terminals_key();
        py.detach(|| Registry::add(Path::new(file), &seal, entries, replace))
            .map_err(|fault| file_fault(py, file, &fault))
    }

    /// Random keys, for a demo: nobody else has them.
    #[staticmethod]
    fn generate(
        py: Python<'_>,
        file: &str,
        keys: &PyKeys,
        given: Vec<Given>,
        at_s: u64,
    ) -> PyResult<usize> {
        if !keys.inner.demo() {
            return Err(usage_error(
                py,
                "master keys are made up for demo keys only",
            ));
        }
        let mut entries = Vec::with_capacity(given.len());
        for given in given {
            let mut key = Clear::default();
            crate::journal::keys::random(&mut *key)
                .map_err(|error| file_fault(py, file, &error))?;
            entries.push(terminal(py, given, at_s, key)?);
        }
        let seal = keys.inner.terminals_key();
        py.detach(|| Registry::add(Path::new(file), &seal, entries, false))
            .map_err(|fault| file_fault(py, file, &fault))
    }

    #[staticmethod]
    fn retire(
        py: Python<'_>,
        file: &str,
        keys: &PyKeys,
        acquirer: &str,
        terminal_id: &str,
        at_s: u64,
    ) -> PyResult<()> {
        let who = named(py, acquirer, terminal_id)?;
        let seal = keys.inner.terminals_key();
        Registry::retire(Path::new(file), &seal, &who, at_s)
            .map_err(|fault| file_fault(py, file, &fault))
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    #[getter]
    fn bytes(&self) -> usize {
        self.inner.bytes()
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn rows(&self, py: Python<'_>, start: usize, most: usize) -> PyResult<Vec<Py<PyDict>>> {
        let rows = self.inner.rows(start, most);
        let rows = rows.map_err(|fault| file_fault(py, &self.file, &fault))?;
        rows.iter().map(|terminal| row(py, terminal)).collect()
    }

    fn find(
        &self,
        py: Python<'_>,
        acquirer: &str,
        terminal_id: &str,
    ) -> PyResult<Option<Py<PyDict>>> {
        let who = named(py, acquirer, terminal_id)?;
        let Some(found) = self.inner.find(&who) else {
            return Ok(None);
        };
        Ok(self.rows(py, found.place, 1)?.into_iter().next())
    }

    /// The other side of a sign-on, for a terminal in software; demo keys only.
    fn device(
        &self,
        py: Python<'_>,
        keys: &PyKeys,
        acquirer: &str,
        terminal_id: &str,
    ) -> PyResult<PyDevice> {
        let who = named(py, acquirer, terminal_id)?;
        if !keys.inner.demo() {
            return Err(usage_error(
                py,
                "terminals in software are made of demo keys only",
            ));
        }
        let found = self.inner.find(&who).filter(|found| found.in_use);
        let master = found.and_then(|found| self.inner.master(found.place));
        match master {
            Some(master) => Ok(PyDevice(master)),
            None => Err(usage_error(py, "there is no such terminal in use")),
        }
    }

    fn __repr__(&self) -> String {
        format!("<Registry {}>", self.inner.len())
    }
}

fn row(py: Python<'_>, terminal: &Terminal) -> PyResult<Py<PyDict>> {
    let row = PyDict::new(py);
    row.set_item("acquirer", &terminal.acquirer)?;
    row.set_item("terminal_id", &terminal.terminal_id)?;
    row.set_item("merchant_id", &terminal.merchant_id)?;
    let capability = match terminal.capability {
        0 => String::new(),
        letter => char::from(letter).to_string(),
    };
    row.set_item("capability", capability)?;
    row.set_item("zone", &terminal.zone)?;
    row.set_item("check_value", hex(&terminal.check_value))?;
    row.set_item("added_s", terminal.added_s)?;
    row.set_item("retired_s", terminal.retired_s)?;
    Ok(row.unbind())
}

/// A terminal's own side: its master key opens what a sign-on brings.
#[pyclass(name = "Device", frozen, module = "switch._native.terminal")]
pub(super) struct PyDevice(Clear);

#[pymethods]
impl PyDevice {
    #[staticmethod]
    fn of(py: Python<'_>, components: &PyComponents) -> PyResult<PyDevice> {
        Ok(PyDevice(components.clear(py)?))
    }

    /// The key for message codes from field 62; all check values must be right.
    fn download(&self, py: Python<'_>, field: &[u8], cipher: &str) -> PyResult<super::mac::PyKey> {
        let cipher = super::mac::cipher_of(py, cipher)?;
        match crate::terminal::signed::downloaded(&self.0, field, cipher) {
            Some(key) => {
                let locked = key.locked();
                locked
                    .map(super::mac::PyKey::new)
                    .map_err(|fault| super::mac::key_fault(py, &fault))
            }
            None => {
                let args =
                    ("the downloaded keys do not have their check values",).into_pyobject(py)?;
                Err(python_error(py, "KeyFileError", &args, None))
            }
        }
    }

    fn __repr__(&self) -> &'static str {
        "<Device>"
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__all__", ["Device", "Registry", "Terminals"])?;
    m.add_class::<PyDevice>()?;
    m.add_class::<PyRegistry>()?;
    m.add_class::<PyTerminals>()?;
    Ok(())
}
