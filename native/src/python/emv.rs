//! `switch._native.emv`: thin wrappers, no logic.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::{python_error, usage_error};
use crate::buf;
use crate::emv::refusal::REASONS;
use crate::emv::{
    Card, CardMaster, Derivation, MasterFault, Proof, Refusal, Ring, Scheme, Session,
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

#[pyclass(name = "CardMaster", frozen, module = "switch._native.emv")]
pub(super) struct PyCardMaster {
    /// None after a ring has taken the key.
    inner: Mutex<Option<CardMaster>>,
}

impl PyCardMaster {
    /// The key itself, for whoever keeps it from now on.
    pub(super) fn take(&self, py: Python<'_>) -> PyResult<CardMaster> {
        let taken = self.inner.lock().ok().and_then(|mut slot| slot.take());
        taken.ok_or_else(|| usage_error(py, "another has taken this key"))
    }

    fn with<T>(&self, py: Python<'_>, f: impl FnOnce(&CardMaster) -> T) -> PyResult<T> {
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
        let derivation = match option {
            "A" => Derivation::A,
            "B" => Derivation::B,
            _ => return Err(usage_error(py, "a derivation option is A or B")),
        };
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
struct PyRing {
    inner: Mutex<Ring>,
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
        ring.room(scheme, prefix.as_bytes(), index)
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

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyCardMaster>()?;
    m.add_class::<PyProof>()?;
    m.add_class::<PyRefusal>()?;
    m.add_class::<PyRing>()?;
    m.add("REASONS", PyTuple::new(m.py(), REASONS)?)?;
    m.add(
        "__all__",
        ["REASONS", "CardMaster", "Proof", "Refusal", "Ring"],
    )
}
