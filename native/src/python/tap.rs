//! `switch._native.tap`: thin wrappers, no logic.

use std::cell::RefCell;
use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::emv::PyRing;
use super::journal::PyKeys;
use super::message::PyMessage;
use super::usage_error;
use super::walk::PyDuplicates;
use crate::clock;
use crate::index::Index;
use crate::index::seal::Seal;
use crate::tap::{REASONS, Range, Verdict, Verifier};

/// Verdicts before the first refusal: plain, genuine, pending (which is never native).
const REFUSED: u8 = 3;

#[pyclass(name = "Verifier", module = "switch._native.tap", unsendable)]
struct PyVerifier {
    inner: RefCell<Verifier>,
    duplicates: Py<PyDuplicates>,
}

impl PyVerifier {
    fn with<R>(&self, py: Python<'_>, act: impl FnOnce(&mut Verifier) -> R) -> PyResult<R> {
        match self.inner.try_borrow_mut() {
            Ok(mut verifier) => Ok(act(&mut verifier)),
            Err(_) => Err(usage_error(py, "the verifier is in use")),
        }
    }
}

#[pymethods]
impl PyVerifier {
    #[new]
    fn new(
        py: Python<'_>,
        index_dir: &str,
        keys: &PyKeys,
        ring: &PyRing,
        ranges: Vec<(String, usize)>,
        gap_max: u16,
        duplicates: Py<PyDuplicates>,
    ) -> PyResult<PyVerifier> {
        let seal = Seal::new(&keys.inner).map_err(|e| usage_error(py, &e.to_string()))?;
        let ranges = ranges
            .into_iter()
            .map(|(prefix, digits)| Range {
                prefix: prefix.into_bytes(),
                digits,
            })
            .collect();
        let index = Index::open(Path::new(index_dir), seal);
        let verifier = Verifier::new(index, ring.take(py)?, ranges, gap_max);
        Ok(PyVerifier {
            inner: RefCell::new(verifier),
            duplicates,
        })
    }

    fn adopt(&self, py: Python<'_>, ring: &PyRing, gap_max: u16) -> PyResult<()> {
        let ring = ring.take(py)?;
        self.with(py, |verifier| verifier.adopt(ring, gap_max))
    }

    fn look(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |verifier| verifier.index.look())
    }

    #[getter]
    fn why(&self, py: Python<'_>) -> PyResult<&'static str> {
        let why = self.with(py, |verifier| verifier.index.why())?;
        Ok(why.map_or("", |why| why.reason()))
    }

    fn check(&self, message: &Bound<'_, PyMessage>, now_s: i64) -> PyResult<u8> {
        let py = message.py();
        let duplicates = self.duplicates.try_borrow(py)?;
        let Ok(mut memory) = duplicates.0.try_borrow_mut() else {
            return Err(usage_error(py, "the duplicates table is in use"));
        };
        let verdict = self.with(py, |v| v.check(message.get(), &mut memory, now_s))?;
        Ok(match verdict {
            Verdict::Plain => 0,
            Verdict::Genuine => {
                message.get().set_verified_ns(clock::monotonic_ns());
                1
            }
            Verdict::Refused(refused) => REFUSED + refused.0,
        })
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (genuine, refused) = self.with(py, |verifier| {
            let (genuine, refused) = verifier.counts();
            (genuine, *refused)
        })?;
        let out = PyDict::new(py);
        out.set_item("genuine", genuine)?;
        for (reason, count) in REASONS.iter().zip(refused) {
            out.set_item(*reason, count)?;
        }
        Ok(out)
    }

    fn __repr__(&self) -> &'static str {
        "<Verifier>"
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyVerifier>()?;
    m.add("REASONS", PyTuple::new(m.py(), REASONS)?)?;
    m.add("REFUSED", REFUSED)?;
    m.add("__all__", ["REASONS", "REFUSED", "Verifier"])
}
