//! `switch._native.emv`: thin wrappers, no logic.

use std::path::Path;
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::element::{self, PyElement, profile_of};
use super::journal::PyKeys;
use super::{python_error, usage_error};
use crate::buf;
use crate::emv::key::read_key;
use crate::emv::profile::SCHEMES;
use crate::emv::refusal::REASONS;
use crate::emv::{
    Card, CardMaster, Derivation, Entry, MasterFault, Place, Proof, Refusal, Ring, Scheme, Session,
    Store, StoreFault, Usage,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn key_file_error(py: Python<'_>, error: &MasterFault) -> PyErr {
    match PyTuple::new(py, [error.to_string()]) {
        Ok(args) => python_error(py, "KeyFileError", &args, None),
        Err(error) => error,
    }
}

fn card<'a>(py: Python<'_>, number: &'a str, sequence: u8) -> PyResult<Card<'a>> {
    Card::new(number.as_bytes(), sequence).ok_or_else(|| {
        usage_error(
            py,
            "a card has 8 to 19 digits and a sequence number up to 99",
        )
    })
}

fn scheme(py: Python<'_>, name: &str) -> PyResult<Scheme> {
    Scheme::of_name(name).ok_or_else(|| usage_error(py, "no such scheme"))
}

fn derivation(py: Python<'_>, name: &str) -> PyResult<Derivation> {
    Derivation::of_name(name).ok_or_else(|| usage_error(py, "a derivation option is A or B"))
}

#[pyclass(name = "CardMaster", frozen, module = "switch._native.emv")]
pub(super) struct PyCardMaster {
    /// None after a ring has taken the key.
    inner: Mutex<Option<CardMaster>>,
}

impl PyCardMaster {
    pub(super) fn with<T>(&self, py: Python<'_>, f: impl FnOnce(&CardMaster) -> T) -> PyResult<T> {
        match self.inner.lock().as_deref() {
            Ok(Some(master)) => Ok(f(master)),
            _ => Err(usage_error(py, "a ring has taken this key")),
        }
    }
}

#[pymethods]
impl PyCardMaster {
    #[staticmethod]
    fn read(
        py: Python<'_>,
        descriptor: i32,
        option: &str,
        check_value: [u8; 3],
    ) -> PyResult<PyCardMaster> {
        let derivation = derivation(py, option)?;
        py.detach(|| {
            let file = buf::duplicate(descriptor).map_err(MasterFault::Io)?;
            CardMaster::read(file, derivation, check_value)
        })
        .map(|master| PyCardMaster {
            inner: Mutex::new(Some(master)),
        })
        .map_err(|error| key_file_error(py, &error))
    }

    fn card_check_value(&self, py: Python<'_>, number: &str, sequence: u8) -> PyResult<String> {
        let card = card(py, number, sequence)?;
        self.with(py, |master| hex(&master.card(&card).check_value()))
    }

    fn session_check_value(
        &self,
        py: Python<'_>,
        number: &str,
        sequence: u8,
        session: &str,
        counter: u16,
    ) -> PyResult<String> {
        let kind = match session {
            "none" => Session::None,
            "pboc" => Session::Pboc,
            "common" => Session::Common,
            _ => return Err(usage_error(py, "no such session key")),
        };
        let card = card(py, number, sequence)?;
        self.with(py, |master| {
            hex(&master.card(&card).session(kind, counter).check_value())
        })
    }

    fn __repr__(&self) -> &'static str {
        "<CardMaster>"
    }
}

#[pyclass(name = "Proof", frozen, module = "switch._native.emv")]
struct PyProof {
    inner: Proof,
}

#[pymethods]
impl PyProof {
    #[getter]
    fn profile(&self) -> &'static str {
        self.inner.profile.name()
    }

    #[getter]
    fn counter(&self) -> u16 {
        self.inner.counter
    }

    #[getter]
    fn index(&self) -> u8 {
        self.inner.index
    }

    #[getter]
    fn version(&self) -> u16 {
        self.inner.version
    }

    #[getter]
    fn results<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.results)
    }

    fn answer_code<'py>(&self, py: Python<'py>, code: [u8; 2]) -> PyResult<Bound<'py, PyBytes>> {
        self.inner
            .answer_code(code)
            .map(|tag| PyBytes::new(py, &tag))
            .map_err(|error| usage_error(py, &error.to_string()))
    }

    #[pyo3(signature = (status, proprietary = None))]
    fn answer_status<'py>(
        &self,
        py: Python<'py>,
        status: [u8; 4],
        proprietary: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.inner
            .answer_status(status, proprietary.unwrap_or_default())
            .map(|tag| PyBytes::new(py, &tag))
            .map_err(|error| usage_error(py, &error.to_string()))
    }

    fn __repr__(&self) -> String {
        format!("<Proof {} counter {}>", self.profile(), self.counter())
    }
}

#[pyclass(name = "Refusal", frozen, module = "switch._native.emv")]
struct PyRefusal {
    inner: Refusal,
}

#[pymethods]
impl PyRefusal {
    #[getter]
    fn reason(&self) -> &'static str {
        self.inner.reason()
    }

    #[getter]
    fn about(&self) -> String {
        self.inner.about()
    }

    fn __repr__(&self) -> String {
        let text = format!("{} {}", self.inner.reason(), self.inner.about());
        format!("<Refusal {}>", text.trim_end())
    }
}

#[pyclass(name = "Ring", frozen, module = "switch._native.emv")]
pub(super) struct PyRing {
    inner: Mutex<Ring>,
}

impl PyRing {
    /// All keys, for whoever verifies with them from now on.
    pub(super) fn take(&self, py: Python<'_>) -> PyResult<Ring> {
        match self.inner.lock() {
            Ok(mut ring) => Ok(std::mem::take(&mut *ring)),
            Err(_) => Err(usage_error(py, "a ring failed before")),
        }
    }
}

#[pymethods]
impl PyRing {
    #[new]
    fn new() -> PyRing {
        PyRing {
            inner: Mutex::default(),
        }
    }

    fn add(
        &self,
        py: Python<'_>,
        scheme_name: &str,
        prefix: &str,
        index: u8,
        master: &PyCardMaster,
    ) -> PyResult<()> {
        let scheme = scheme(py, scheme_name)?;
        let (Ok(mut ring), Ok(mut slot)) = (self.inner.lock(), master.inner.lock()) else {
            return Err(usage_error(py, "a ring failed before"));
        };
        ring.room(scheme, prefix.as_bytes(), index, 1)
            .map_err(|fault| usage_error(py, &fault.to_string()))?;
        let Some(taken) = slot.take() else {
            return Err(usage_error(py, "a ring has taken this key"));
        };
        ring.add(scheme, prefix.as_bytes(), index, taken)
            .map_err(|fault| usage_error(py, &fault.to_string()))
    }

    fn __len__(&self) -> usize {
        self.inner.lock().map_or(0, |ring| ring.len())
    }

    fn verify(
        &self,
        py: Python<'_>,
        field: &[u8],
        number: &str,
        sequence: u8,
        amount: u64,
        currency: u16,
    ) -> PyResult<Py<PyAny>> {
        let card = card(py, number, sequence)?;
        let Ok(ring) = self.inner.lock() else {
            return Err(usage_error(py, "a ring failed before"));
        };
        match ring.verify(field, &card, amount, currency) {
            Ok(inner) => Ok(Py::new(py, PyProof { inner })?.into_any()),
            Err(inner) => Ok(Py::new(py, PyRefusal { inner })?.into_any()),
        }
    }
}

fn store_error(py: Python<'_>, file: &str, fault: &StoreFault) -> PyErr {
    let help = match fault {
        StoreFault::Absent => "tapswitch keys card-master add",
        StoreFault::DoesNotOpen => "use the keys of the node that it was made with",
        StoreFault::Last => "add its successor first, or say --last",
        StoreFault::Unknown => "tapswitch keys card-master list",
        _ => "",
    };
    let filled = PyDict::new(py);
    let set = filled
        .set_item("file", file)
        .and_then(|()| filled.set_item("help", help));
    match PyTuple::new(py, [fault.to_string()]).and_then(|args| set.map(|()| args)) {
        Ok(args) => python_error(py, "KeyFileError", &args, Some(&filled)),
        Err(error) => error,
    }
}

fn place(py: Python<'_>, at: (&str, &str, u8, &str)) -> PyResult<Place> {
    let (scheme_name, prefix, index, usage) = at;
    Ok(Place {
        scheme: scheme(py, scheme_name)?,
        prefix: prefix.to_owned(),
        index,
        usage: Usage::of_name(usage).ok_or_else(|| usage_error(py, "no such usage"))?,
    })
}

#[pyclass(name = "CardMasters", frozen, module = "switch._native.emv")]
struct PyCardMasters {
    store: Store,
    ring: Ring,
    demo: bool,
    file: String,
}

#[pymethods]
impl PyCardMasters {
    #[staticmethod]
    fn open(py: Python<'_>, path: &str, keys: &PyKeys) -> PyResult<PyCardMasters> {
        py.detach(|| {
            let store = Store::open(Path::new(path), &keys.inner.card_masters_key())?;
            Ok((store.ring()?, store))
        })
        .map(|(ring, store)| PyCardMasters {
            store,
            ring,
            demo: keys.inner.demo(),
            file: path.to_owned(),
        })
        .map_err(|fault| store_error(py, path, &fault))
    }

    #[staticmethod]
    #[pyo3(signature = (path, keys, at, institution, option, at_s, *, version = 0, descriptor = None, check_value = None))]
    #[allow(clippy::too_many_arguments)]
    fn add(
        py: Python<'_>,
        path: &str,
        keys: &PyKeys,
        at: (String, String, u8, String),
        institution: &str,
        option: &str,
        at_s: u64,
        version: u16,
        descriptor: Option<i32>,
        check_value: Option<[u8; 3]>,
    ) -> PyResult<u16> {
        let entry = Entry {
            institution: institution.to_owned(),
            place: place(py, (&at.0, &at.1, at.2, &at.3))?,
            version,
            derivation: derivation(py, option)?,
            check_value: check_value.unwrap_or_default(),
            added_s: at_s,
            retired_s: 0,
        };
        if descriptor.is_some() != check_value.is_some() {
            return Err(usage_error(py, "a key comes with its check value"));
        }
        let seal = keys.inner.card_masters_key();
        py.detach(|| {
            let read = |number| {
                let file = buf::duplicate(number).map_err(MasterFault::Io)?;
                read_key(file)
            };
            let key = descriptor.map(read).transpose()?;
            Store::change(Path::new(path), &seal, |store| match key {
                Some(key) => store.add(entry, &key),
                None => store.generate(entry),
            })
        })
        .map_err(|fault| store_error(py, path, &fault))
    }

    #[staticmethod]
    #[pyo3(signature = (path, keys, at, version, at_s, *, last = false))]
    fn retire(
        py: Python<'_>,
        path: &str,
        keys: &PyKeys,
        at: (String, String, u8, String),
        version: u16,
        at_s: u64,
        last: bool,
    ) -> PyResult<()> {
        let place = place(py, (&at.0, &at.1, at.2, &at.3))?;
        let seal = keys.inner.card_masters_key();
        py.detach(|| {
            Store::change(Path::new(path), &seal, |store| {
                store.retire(&place, version, at_s, last)
            })
        })
        .map_err(|fault| store_error(py, path, &fault))
    }

    fn rows(&self, py: Python<'_>) -> PyResult<Vec<Py<PyDict>>> {
        let row = |entry: &Entry| {
            let row = PyDict::new(py);
            let place = &entry.place;
            let scheme = SCHEMES.iter().find(|known| known.0 == place.scheme);
            let option = Derivation::ALL
                .iter()
                .find(|known| known.0 == entry.derivation);
            row.set_item("institution", &entry.institution)?;
            row.set_item("scheme", scheme.map_or("", |known| known.1))?;
            row.set_item("prefix", &place.prefix)?;
            row.set_item("index", place.index)?;
            row.set_item("version", entry.version)?;
            row.set_item("usage", place.usage.name())?;
            row.set_item("algorithm", "3DES")?;
            row.set_item("option", option.map_or("", |known| known.1))?;
            row.set_item("check_value", hex(&entry.check_value))?;
            row.set_item("added_s", entry.added_s)?;
            row.set_item("retired_s", entry.retired_s)?;
            Ok(row.unbind())
        };
        self.store.entries().iter().map(row).collect()
    }

    fn ring(&self, py: Python<'_>) -> PyResult<PyRing> {
        let ring = self
            .store
            .ring()
            .map_err(|fault| store_error(py, &self.file, &fault))?;
        Ok(PyRing {
            inner: Mutex::new(ring),
        })
    }

    #[pyo3(signature = (profile, index, number, sequence, expiry, *, requestor = "", counter = 0))]
    #[allow(clippy::too_many_arguments)]
    fn element(
        &self,
        py: Python<'_>,
        profile: &str,
        index: u8,
        number: &str,
        sequence: u8,
        expiry: &str,
        requestor: &str,
        counter: u16,
    ) -> PyResult<PyElement> {
        if !self.demo {
            return Err(usage_error(
                py,
                "devices in software are made of demo keys only",
            ));
        }
        let profile = profile_of(py, profile)?;
        let master = self.ring.master(profile.scheme(), number.as_bytes(), index);
        let master =
            master.ok_or_else(|| usage_error(py, "no key of this token, scheme and index"))?;
        PyElement::make(
            py,
            master,
            profile,
            index,
            (number, sequence, expiry),
            requestor,
            counter,
        )
    }

    fn __repr__(&self) -> String {
        format!("<CardMasters {}>", self.store.entries().len())
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyCardMaster>()?;
    m.add_class::<PyProof>()?;
    m.add_class::<PyRefusal>()?;
    m.add_class::<PyRing>()?;
    m.add_class::<PyCardMasters>()?;
    element::add_to(m)?;
    m.add("REASONS", PyTuple::new(m.py(), REASONS)?)?;
    m.add(
        "__all__",
        [
            "FOUND",
            "REASONS",
            "CardMaster",
            "CardMasters",
            "Element",
            "Proof",
            "Refusal",
            "Ring",
            "Tapped",
        ],
    )
}
