//! The device in software of `switch._native.emv`: thin wrappers, no logic.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::emv::PyCardMaster;
use super::usage_error;
use crate::emv::element::{FOUND, Told, Trick};
use crate::emv::{Asked, CardMaster, Element, Profile, Tapped};

pub(super) fn profile_of(py: Python<'_>, name: &str) -> PyResult<Profile> {
    Profile::of_name(name).ok_or_else(|| usage_error(py, "no such profile"))
}

#[pyclass(name = "Element", module = "switch._native.emv")]
pub(super) struct PyElement {
    inner: Element,
}

impl PyElement {
    pub(super) fn make(
        py: Python<'_>,
        master: &CardMaster,
        profile: Profile,
        index: u8,
        (number, sequence, expiry): (&str, u8, &str),
        requestor: &str,
        counter: u16,
    ) -> PyResult<PyElement> {
        let token = (number.as_bytes(), sequence, expiry.as_bytes());
        Element::personalise(master, profile, index, token, requestor.as_bytes(), counter)
            .map(|inner| PyElement { inner })
            .map_err(|fault| usage_error(py, &fault.to_string()))
    }
}

#[pymethods]
impl PyElement {
    #[new]
    #[pyo3(signature = (master, profile, index, number, sequence, expiry, *, requestor = "", counter = 0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        master: &PyCardMaster,
        profile: &str,
        index: u8,
        number: &str,
        sequence: u8,
        expiry: &str,
        requestor: &str,
        counter: u16,
    ) -> PyResult<PyElement> {
        let (profile, token) = (profile_of(py, profile)?, (number, sequence, expiry));
        master.with(py, |master| {
            PyElement::make(py, master, profile, index, token, requestor, counter)
        })?
    }

    #[getter]
    fn profile(&self) -> &'static str {
        self.inner.profile().name()
    }

    #[getter]
    fn counter(&self) -> u16 {
        self.inner.counter()
    }

    #[pyo3(signature = (*, amount, currency, country, date, unpredictable, kind = 0, other = 0, findings = [0; 5],
        tell = "", spoiled = false, counter = None))]
    #[pyo3(
        text_signature = "($self, *, amount, currency, country, date, unpredictable, kind=0, other=0, findings=b'\\0\\0\\0\\0\\0', tell='', spoiled=False, counter=None)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn tap(
        &mut self,
        py: Python<'_>,
        amount: u64,
        currency: u16,
        country: u16,
        date: u32,
        unpredictable: [u8; 4],
        kind: u8,
        other: u64,
        findings: [u8; 5],
        tell: &str,
        spoiled: bool,
        counter: Option<u16>,
    ) -> PyResult<PyTapped> {
        let asked = Asked {
            amount,
            other,
            country,
            findings,
            currency,
            date,
            kind,
            unpredictable,
        };
        let told = |word| tell.split_ascii_whitespace().any(|told| told == word);
        let told = Told {
            number: told("5A"),
            track: told("57"),
            sequence: told("5F34"),
            requestor: told("9F19"),
        };
        self.inner
            .tap(&asked, told, Trick { spoiled, counter })
            .map(|inner| PyTapped { inner })
            .map_err(|fault| usage_error(py, &fault.to_string()))
    }

    fn __repr__(&self) -> String {
        format!("<Element {} counter {}>", self.profile(), self.counter())
    }
}

#[pyclass(name = "Tapped", frozen, module = "switch._native.emv")]
struct PyTapped {
    inner: Tapped,
}

#[pymethods]
impl PyTapped {
    #[getter]
    fn field<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.field)
    }

    #[getter]
    fn counter(&self) -> u16 {
        self.inner.counter
    }

    fn check(&self, field: &[u8], code: &str) -> &'static str {
        // A code of another length is none that an answer was made over.
        let code = code.as_bytes().try_into().unwrap_or_default();
        let found = self.inner.check(field, code);
        let word = FOUND.iter().find(|known| known.0 == found);
        word.map_or("", |known| known.1)
    }

    fn __repr__(&self) -> String {
        format!("<Tapped counter {}>", self.inner.counter)
    }
}

/// Enters the classes into `switch._native.emv`.
pub(super) fn add_to(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyElement>()?;
    m.add_class::<PyTapped>()?;
    m.add("FOUND", PyTuple::new(m.py(), FOUND.map(|known| known.1))?)
}
