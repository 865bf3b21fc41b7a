//! `switch._native.codec.Message`: thin wrapper, no logic.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::codec::charset::Charset;
use crate::codec::encode::{is_binary, is_readable};
use crate::codec::envelope::Order;
use crate::codec::spec::Path;
use crate::codec::value::hex;
use crate::codec::{Message, Name};
use crate::python::usage_error;
use crate::tap::Tap;
use crate::walk::Ticket;

#[pyclass(
    frozen,
    name = "Message",
    module = "switch._native.codec",
    freelist = 1024
)]
pub(crate) struct PyMessage(pub(super) Message);

impl Ticket for Py<PyMessage> {
    fn message(&self) -> &Message {
        self.get()
    }
}

impl std::ops::Deref for PyMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0
    }
}

#[pymethods]
impl PyMessage {
    #[getter]
    fn mti<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, &self.0.mti())
    }

    #[getter]
    fn kind(&self) -> u8 {
        self.0.kind() as u8
    }

    #[getter]
    fn check(&self) -> u8 {
        self.0.check() as u8
    }

    #[getter]
    fn check_path(&self) -> String {
        self.0.check_path()
    }

    #[getter]
    fn repeat(&self) -> bool {
        self.0.repeat()
    }

    #[getter]
    fn stan(&self) -> i32 {
        self.0.stan()
    }

    #[getter]
    fn amount_minor(&self) -> i64 {
        self.0.amount_minor()
    }

    #[getter]
    fn outcome(&self) -> u8 {
        self.0.outcome() as u8
    }

    #[getter]
    fn received_ns(&self) -> u64 {
        self.0.received_ns()
    }

    #[getter]
    fn sent_ns(&self) -> u64 {
        self.0.sent_ns()
    }

    #[getter]
    fn proved(&self) -> bool {
        Tap::of(&self.0).is_some()
    }

    #[getter]
    fn length(&self) -> usize {
        self.0.length()
    }

    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let dialect = self.0.dialect();
        let Some(path) = dialect.path(name) else {
            return self.elsewhere(py, name, dialect.supply_of(name));
        };
        if is_readable(dialect, path) {
            return match self.read(py, path)? {
                None if dialect.supplies_any() => Ok(self.supplied(py, name)),
                found => Ok(found),
            };
        }
        let problem = format!("{name} is not for reading: account number, C3 or SAD");
        Err(usage_error(py, &problem))
    }

    fn has(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        if let Some(name) = Name::parse(name) {
            return Ok(self.0.has(name));
        }
        Ok(self.0.at(self.path(py, name)?).is_some())
    }

    fn masked_pan(&self) -> String {
        self.0.masked_pan()
    }

    fn reveal<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let dialect = self.0.dialect();
        let Some(path) = dialect.path(name) else {
            return self.elsewhere(py, name, dialect.supply_of(name));
        };
        match self.read(py, path)? {
            None if dialect.supplies_any() => Ok(self.supplied(py, name)),
            found => Ok(found),
        }
    }

    #[getter]
    fn header<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        if self.0.preface().is_empty() {
            return Ok(out);
        }
        let envelope = &self.0.dialect().envelope;
        for part in &envelope.parts {
            out.set_item(&part.name, envelope.read(self.0.preface(), part))?;
        }
        Ok(out)
    }

    fn order(&self, py: Python<'_>, name: &str, digit: u8) -> PyResult<()> {
        let dialect = self.0.dialect();
        let part = dialect.envelope.part(name);
        let order = part.and_then(|part| Order::of(part, digit));
        let order = order.ok_or_else(|| {
            let problem = format!("{}: no header part {name:?} of one digit", dialect.name);
            usage_error(py, &problem)
        })?;
        self.0.set_order(order);
        Ok(())
    }

    fn describe(&self) -> Vec<(String, String, String, usize, usize)> {
        self.0
            .describe()
            .into_iter()
            .map(|line| (line.number, line.name, line.value, line.offset, line.length))
            .collect()
    }

    fn agrees(&self, request: &PyMessage, out_stan: u32, out_time: &str) -> bool {
        self.0.agrees(&request.0, out_stan, out_time.as_bytes())
    }

    fn __repr__(&self) -> String {
        format!(
            "<Message {} of {}: stan {}, pan {:?}, {} fields>",
            String::from_utf8_lossy(&self.0.mti()),
            self.0.dialect().name,
            self.0.stan(),
            self.0.masked_pan(),
            self.0.fields(),
        )
    }
}

impl PyMessage {
    /// A name that is no field of the dialect: what the switch supplied, when it supplies it.
    fn elsewhere<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        supplied: Option<Name>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match supplied {
            Some(_) => Ok(self.supplied(py, name)),
            None => Err(self
                .path(py, name)
                .err()
                .unwrap_or_else(|| usage_error(py, &format!("{name} is not a field")))),
        }
    }

    /// Text of a supplied field.
    fn supplied<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyAny>> {
        let value = self.0.value(Name::parse(name)?)?;
        Some(text(py, &value).into_any())
    }

    fn path(&self, py: Python<'_>, name: &str) -> PyResult<Path> {
        let dialect = self.0.dialect();
        dialect
            .path(name)
            .ok_or_else(|| usage_error(py, &format!("{}: no field {name:?}", dialect.name)))
    }

    fn read<'py>(&self, py: Python<'py>, path: Path) -> PyResult<Option<Bound<'py, PyAny>>> {
        let dialect = self.0.dialect();
        let Some(value) = self.0.at(path) else {
            return Ok(None);
        };
        if is_binary(dialect, path) {
            return Ok(Some(PyString::new(py, &hex(&value)).into_any()));
        }
        let gbk = dialect
            .spec(path.number)
            .is_some_and(|spec| spec.shape.charset == Charset::Gbk);
        if gbk {
            let bytes = PyBytes::new(py, &value);
            return bytes.call_method1("decode", ("gbk", "replace")).map(Some);
        }
        Ok(Some(text(py, &value).into_any()))
    }
}

/// Text of bytes that the codec has checked to be ASCII.
fn text<'py>(py: Python<'py>, value: &[u8]) -> Bound<'py, PyString> {
    PyString::new(py, &String::from_utf8_lossy(value))
}
