//! `switch._native.describe`: thin wrappers, no logic. For tools that people use, never on the walk.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString};

use super::codec::PyDialect;
use super::fault::dialect_error;
use super::message::PyMessage;
use super::usage_error;
use crate::codec::decode;
use crate::codec::describe::{self, Line};
use crate::codec::envelope::Preface;
use crate::codec::frame::{FRAMINGS, Framing};
use crate::codec::toml::{Node, Table, Value};
use crate::codec::vary::Draft;
use crate::error::Position;

/// Every line of a message, see the stub.
#[pyfunction]
#[pyo3(signature = (message, bare=false))]
fn lines<'py>(py: Python<'py>, message: &PyMessage, bare: bool) -> PyResult<Bound<'py, PyList>> {
    if bare {
        message
            .tests_only()
            .map_err(|problem| usage_error(py, &problem))?;
    }
    let out = PyList::empty(py);
    for line in message.lines(bare) {
        out.append(row(py, &line)?)?;
    }
    Ok(out)
}

fn row<'py>(py: Python<'py>, line: &Line) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("number", &line.number)?;
    row.set_item("name", &line.name)?;
    row.set_item("title_en", &line.titles.en)?;
    row.set_item("title_zh", &line.titles.zh)?;
    match &line.gbk {
        Some(bytes) => {
            let bytes = PyBytes::new(py, bytes);
            row.set_item("value", bytes.call_method1("decode", ("gbk", "replace"))?)?;
        }
        None => row.set_item("value", &line.value)?,
    }
    row.set_item("offset", line.offset)?;
    row.set_item("length", line.length)?;
    row.set_item("head", line.head)?;
    row.set_item("raw", &line.raw)?;
    row.set_item("parts", line.parts)?;
    row.set_item("type", line.kind)?;
    row.set_item("class", line.class.as_str())?;
    row.set_item("hidden", line.hidden)?;
    Ok(row)
}

/// Why a message may not be shown bare, '' when it may.
#[pyfunction]
fn not_bare(message: &PyMessage) -> String {
    message.tests_only().err().unwrap_or_default()
}

/// (number, path, name, problem) of every unlikely value.
#[pyfunction]
fn doubts(message: &PyMessage) -> Vec<(u8, String, String, String)> {
    message
        .doubts()
        .into_iter()
        .map(|doubt| (doubt.number, doubt.path, doubt.name, doubt.problem))
        .collect()
}

/// (offset of the bitmap, offset of the first field, numbers of the fields announced), None without MTI or bitmap.
#[pyfunction]
fn announced(dialect: &PyDialect, body: &[u8]) -> Option<(usize, usize, Vec<u16>)> {
    decode::announced_fields(dialect.shared(), body)
}

/// Whether both carry the same under a canonical name; an error when a dialect does not know it.
#[pyfunction]
fn same(py: Python<'_>, left: &PyMessage, right: &PyMessage, name: &str) -> PyResult<bool> {
    describe::same(left, right, name)
        .ok_or_else(|| usage_error(py, &format!("no field {name:?} in one of the dialects")))
}

/// Names of all framings.
#[pyfunction]
fn framings() -> Vec<&'static str> {
    FRAMINGS.iter().map(|framing| framing.name).collect()
}

/// (bytes of the length, bytes that it says will follow) at the front of `data`; None when there is no such length.
#[pyfunction]
fn length(py: Python<'_>, framing: &str, data: &[u8]) -> PyResult<Option<(usize, u64)>> {
    let framing = Framing::parse(framing)
        .ok_or_else(|| usage_error(py, &format!("no framing {framing:?}")))?;
    let width = usize::from(framing.width);
    let following = data.get(..width).and_then(|prefix| framing.read(prefix));
    Ok(following.map(|following| (width, following)))
}

/// Digits of TPDU and header by part, and what is wrong with them, '' for nothing.
#[pyfunction]
fn header<'py>(
    py: Python<'py>,
    dialect: &PyDialect,
    preface: &[u8],
) -> PyResult<(Bound<'py, PyDict>, String)> {
    let envelope = &dialect.shared().envelope;
    let out = PyDict::new(py);
    let problem = match envelope.open(preface) {
        Ok(_) => String::new(),
        Err(fault) => format!(
            "{}: found {}, expected {}",
            fault.path, fault.found, fault.expected
        ),
    };
    if preface.len() >= envelope.width() {
        let preface = Preface::of(preface);
        for part in &envelope.parts {
            out.set_item(&part.name, envelope.read(&preface, part))?;
        }
    }
    Ok((out, problem))
}

#[pyclass(frozen, name = "Draft", module = "switch._native.describe")]
struct PyDraft(Draft);

#[pymethods]
impl PyDraft {
    #[new]
    fn new(py: Python<'_>, text: &str, source: &str) -> PyResult<PyDraft> {
        Draft::parse(text, source)
            .map(PyDraft)
            .map_err(|fault| dialect_error(py, &fault))
    }

    fn vary(&self, py: Python<'_>, changes: &Bound<'_, PyDict>) -> PyResult<PyDialect> {
        let mut list = Vec::with_capacity(changes.len());
        for (path, value) in changes {
            let value = match value.is_none() {
                true => None,
                false => Some(value_of(&value)?),
            };
            list.push((path.extract::<String>()?, value));
        }
        self.0
            .vary(&list)
            .map(PyDialect::of)
            .map_err(|fault| dialect_error(py, &fault))
    }
}

fn value_of(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if value.is_instance_of::<PyBool>() {
        return Ok(Value::Boolean(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(Value::Integer(value.extract()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Value::Text(value.extract()?));
    }
    if let Ok(table) = value.cast::<PyDict>() {
        let mut out = Table::default();
        for (key, value) in table {
            out.entries.push((key.extract()?, node(&value)?));
        }
        return Ok(Value::Table(out));
    }
    if let Ok(list) = value.cast::<PyList>() {
        let nodes: PyResult<Vec<Node>> = list.iter().map(|value| node(&value)).collect();
        return Ok(Value::List(nodes?));
    }
    Err(PyTypeError::new_err(
        "neither text, integer, boolean, list nor dict",
    ))
}

fn node(value: &Bound<'_, PyAny>) -> PyResult<Node> {
    Ok(Node {
        value: value_of(value)?,
        at: Position::default(),
    })
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add(
        "__all__",
        [
            "Draft",
            "announced",
            "doubts",
            "framings",
            "header",
            "length",
            "lines",
            "not_bare",
            "same",
        ],
    )?;
    m.add_class::<PyDraft>()?;
    m.add_function(wrap_pyfunction!(announced, m)?)?;
    m.add_function(wrap_pyfunction!(doubts, m)?)?;
    m.add_function(wrap_pyfunction!(framings, m)?)?;
    m.add_function(wrap_pyfunction!(header, m)?)?;
    m.add_function(wrap_pyfunction!(length, m)?)?;
    m.add_function(wrap_pyfunction!(lines, m)?)?;
    m.add_function(wrap_pyfunction!(not_bare, m)?)?;
    m.add_function(wrap_pyfunction!(same, m)?)?;
    Ok(())
}
