//! `switch._native.load`, what lasts of a run: histograms, durations over time, logs of them. Thin wrappers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::load::{answer_code, raised};
use crate::load::histogram::Histogram;
use crate::load::hlog;
use crate::load::recording::{How, Progress, Recording};
use crate::load::series::Series;

const MS: u64 = 1_000_000;

#[pyclass(name = "Histogram", module = "switch._native.load")]
pub struct PyHistogram(pub Histogram);

#[pymethods]
impl PyHistogram {
    #[new]
    fn new() -> Self {
        Self(Histogram::default())
    }

    fn record(&mut self, value_ns: u64) {
        self.0.record(value_ns);
    }

    fn merge(&mut self, other: PyRef<'_, Self>) {
        self.0.merge(&other.0);
    }

    fn quantile(&self, q: f64) -> u64 {
        self.0.quantile(q)
    }

    #[getter]
    fn maximum(&self) -> u64 {
        self.0.maximum()
    }

    fn mean(&self) -> f64 {
        self.0.mean()
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.count()).unwrap_or(usize::MAX)
    }
}

#[pyclass(name = "Series", module = "switch._native.load")]
pub struct PySeries(Series);

#[pymethods]
impl PySeries {
    #[new]
    fn new(py: Python<'_>, slice_ms: u64) -> PyResult<Self> {
        let made = Series::new(slice_ms.saturating_mul(MS));
        made.map(Self).map_err(|e| raised(py, &e))
    }

    fn record(&mut self, at_ns: u64, value_ns: u64) {
        self.0.record(at_ns, value_ns);
    }

    #[pyo3(signature = (other, shift_ns = 0))]
    fn merge(&mut self, py: Python<'_>, other: PyRef<'_, Self>, shift_ns: u64) -> PyResult<()> {
        let merged = self.0.merge(&other.0, shift_ns);
        merged.map_err(|e| raised(py, &e))
    }

    #[pyo3(signature = (first = 0, last = None))]
    fn total(&self, first: usize, last: Option<usize>) -> PyHistogram {
        match (first, last) {
            (0, None) => PyHistogram(self.0.total().clone()),
            _ => PyHistogram(self.0.between(first, last.unwrap_or(usize::MAX))),
        }
    }

    #[getter]
    fn slice_ms(&self) -> u64 {
        self.0.slice_ns() / MS
    }

    fn buckets(&self, number: usize) -> Vec<(u64, u32)> {
        self.0.buckets(number)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

/// What a window has remembered, and the serial numbers whose outcome is unknown.
#[pyclass(name = "Recording", module = "switch._native.load", frozen)]
pub struct PyRecording(pub Recording, pub Vec<u64>);

#[pymethods]
impl PyRecording {
    #[getter]
    fn due(&self) -> PySeries {
        PySeries(self.0.due.clone())
    }

    #[getter]
    fn sent(&self) -> PySeries {
        PySeries(self.0.sent.clone())
    }

    #[getter]
    fn expected(&self) -> PySeries {
        PySeries(self.0.expected.clone())
    }

    #[getter]
    fn otherwise(&self) -> PySeries {
        PySeries(self.0.otherwise.clone())
    }

    fn timeline(&self) -> Vec<(u32, u32, u32, u32, u32)> {
        let moments = self.0.timeline.iter();
        moments
            .map(|m| (m.offered, m.answered, m.declined, m.errors, m.not_sent))
            .collect()
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = &self.0.counts;
        let dict = PyDict::new(py);
        dict.set_item("offered", counts.offered)?;
        dict.set_item("answered", counts.answered)?;
        dict.set_item("declined", counts.declined)?;
        dict.set_item("timeouts", counts.timeouts)?;
        dict.set_item("closed", counts.closed)?;
        dict.set_item("wrong", counts.wrong)?;
        dict.set_item("not_sent", counts.not_sent)?;
        dict.set_item("late", counts.late)?;
        Ok(dict)
    }

    fn told(&self) -> Vec<(&'static str, String)> {
        let name = |how: How| match how {
            How::Open => "open",
            How::Answered => "answered",
            How::GivenUp => "given_up",
            How::Closed => "closed",
            How::NotSent => "not_sent",
            How::Wrong => "wrong",
        };
        let told = self.0.told.iter();
        told.map(|one| (name(one.how), answer_code(one.code)))
            .collect()
    }

    fn unknown(&self) -> Vec<u64> {
        self.1.clone()
    }
}

/// Shared with a window that runs.
#[pyclass(name = "Progress", module = "switch._native.load", frozen)]
pub struct PyProgress(pub Arc<Progress>);

#[pymethods]
impl PyProgress {
    #[new]
    fn new() -> Self {
        Self(Arc::new(Progress::default()))
    }

    fn seen(&self) -> (u64, u64, u64) {
        let progress = &self.0;
        (
            progress.offered.load(Ordering::Relaxed),
            progress.answered.load(Ordering::Relaxed),
            progress.errors.load(Ordering::Relaxed),
        )
    }

    fn stop(&self) {
        self.0.stop();
    }
}

#[pyfunction]
#[pyo3(signature = (series, start_s, comment = ""))]
fn write_log<'py>(
    py: Python<'py>,
    series: BTreeMap<String, PyRef<'py, PySeries>>,
    start_s: f64,
    comment: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let start = Duration::try_from_secs_f64(start_s).unwrap_or_default();
    let named: Vec<(String, &Series)> = series
        .iter()
        .map(|(name, one)| (name.clone(), &one.0))
        .collect();
    let log = hlog::write(&named, SystemTime::UNIX_EPOCH + start, comment);
    let log = log.map_err(|e| raised(py, &e))?;
    Ok(PyBytes::new(py, &log))
}

#[pyfunction]
fn read_log(py: Python<'_>, log: &[u8]) -> PyResult<BTreeMap<String, PySeries>> {
    let read = hlog::read(log).map_err(|e| raised(py, &e))?;
    Ok(read
        .into_iter()
        .map(|(name, one)| (name, PySeries(one)))
        .collect())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyHistogram>()?;
    m.add_class::<PyProgress>()?;
    m.add_class::<PyRecording>()?;
    m.add_class::<PySeries>()?;
    m.add_function(wrap_pyfunction!(read_log, m)?)?;
    m.add_function(wrap_pyfunction!(write_log, m)?)?;
    Ok(())
}
