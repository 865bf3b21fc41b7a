//! `switch._native.meter`: thin wrappers, no logic.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use super::usage_error;
use crate::meter::{Meter, Reader};

/// Owner's side of a meter file.
#[pyclass(name = "Meter", module = "switch._native.meter", frozen)]
pub(crate) struct PyMeter(pub(crate) Arc<Meter>);

#[pymethods]
impl PyMeter {
    #[new]
    fn new(
        path: PathBuf,
        counters: Vec<String>,
        gauges: Vec<String>,
        histograms: Vec<String>,
    ) -> io::Result<Self> {
        let meter = Meter::create(&path, &counters, &gauges, &histograms)?;
        Ok(PyMeter(Arc::new(meter)))
    }

    #[staticmethod]
    fn draft(
        path: PathBuf,
        counters: Vec<String>,
        gauges: Vec<String>,
        histograms: Vec<String>,
    ) -> io::Result<Self> {
        let meter = Meter::draft(&path, &counters, &gauges, &histograms)?;
        Ok(PyMeter(Arc::new(meter)))
    }

    fn succeed(&self, old: &PyMeter) -> io::Result<()> {
        self.0.succeed(&old.0)
    }

    fn counter(&self, name: &str) -> Option<usize> {
        self.0.counter(name)
    }

    fn gauge(&self, name: &str) -> Option<usize> {
        self.0.gauge(name)
    }

    fn histogram(&self, name: &str) -> Option<usize> {
        self.0.histogram(name)
    }

    #[pyo3(signature = (index, by = 1))]
    fn count(&self, py: Python<'_>, index: usize, by: u64) -> PyResult<()> {
        known(py, self.0.count(index, by), "counter", index)
    }

    fn set(&self, py: Python<'_>, index: usize, value: i64) -> PyResult<()> {
        known(py, self.0.set(index, value), "gauge", index)
    }

    fn record(&self, py: Python<'_>, index: usize, value_us: u64) -> PyResult<()> {
        known(py, self.0.record(index, value_us), "histogram", index)
    }
}

fn known(py: Python<'_>, done: bool, what: &str, index: usize) -> PyResult<()> {
    if done {
        return Ok(());
    }
    Err(usage_error(py, &format!("the meter has no {what} {index}")))
}

/// Reader's side of a meter file.
#[pyclass(name = "MeterReader", module = "switch._native.meter", frozen)]
struct PyMeterReader(Reader);

#[pymethods]
impl PyMeterReader {
    #[staticmethod]
    fn open(path: PathBuf) -> io::Result<Self> {
        Reader::open(&path).map(PyMeterReader)
    }

    fn owned(&self) -> io::Result<bool> {
        self.0.owned()
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.0.counters().into_py_dict(py)
    }

    fn gauges<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.0.gauges().into_py_dict(py)
    }

    fn histograms(&self) -> Vec<String> {
        self.0.histograms().to_vec()
    }

    fn buckets(
        &self,
        py: Python<'_>,
        name: &str,
        bounds_us: Vec<u64>,
    ) -> PyResult<(Vec<u64>, u64, u64)> {
        self.0
            .buckets(name, &bounds_us)
            .ok_or_else(|| usage_error(py, &format!("the meter has no histogram {name}")))
    }

    fn quantiles(&self, py: Python<'_>, name: &str, q: Vec<f64>) -> PyResult<Vec<u64>> {
        self.0
            .quantiles(name, &q)
            .ok_or_else(|| usage_error(py, &format!("the meter has no histogram {name}")))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyMeter>()?;
    m.add_class::<PyMeterReader>()
}
