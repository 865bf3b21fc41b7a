//! `switch._native.codec`: thin wrappers, no logic.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::framer::PyFramer;
use super::mac::PyGuard;
use crate::codec::axis::{Length, Pad, Prefix, SIDES, UNITS};
use crate::codec::charset::{CHARSETS, Charset};
use crate::codec::class::Class;
use crate::codec::encode::is_binary;
use crate::codec::envelope::Preface;
use crate::codec::seal::Seal;
use crate::codec::spec::{Layout, Spec, Titles};
use crate::codec::toml::{self, Node, Table, Value};
use crate::codec::value::unhex;
use crate::codec::{self, Dialect, Leg, compile, emv};
use crate::error::EncodeFault;
use crate::python::fault::{decode_error, dialect_error, encode_error, framing_error, toml_error};
use crate::python::message::PyMessage;
use crate::python::usage_error;

/// TOML to plain values, plus 1-based (line, column) of every key by dotted path.
#[pyfunction]
fn parse_toml<'py>(
    py: Python<'py>,
    text: &str,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
    let table = toml::parse(text).map_err(|fault| toml_error(py, &fault))?;
    let places = PyDict::new(py);
    for (path, at) in toml::positions(&table) {
        places.set_item(path, (at.line, at.column))?;
    }
    Ok((plain_table(py, &table)?, places))
}

fn plain_table<'py>(py: Python<'py>, table: &Table) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (name, node) in &table.entries {
        out.set_item(name, plain(py, node)?)?;
    }
    Ok(out)
}

fn plain<'py>(py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
    match &node.value {
        Value::Text(text) => Ok(text.into_pyobject(py)?.into_any()),
        Value::Integer(number) => Ok(number.into_pyobject(py)?.into_any()),
        Value::Float(number) => Ok(number.into_pyobject(py)?.into_any()),
        Value::Boolean(truth) => Ok(truth.into_pyobject(py)?.to_owned().into_any()),
        Value::List(elements) => {
            let out = PyList::empty(py);
            for element in elements {
                out.append(plain(py, element)?)?;
            }
            Ok(out.into_any())
        }
        Value::Table(table) => Ok(plain_table(py, table)?.into_any()),
    }
}

#[pyclass(frozen, name = "Dialect", module = "switch._native.codec")]
pub(crate) struct PyDialect(Arc<Dialect>);

impl PyDialect {
    /// The pure dialect, shared.
    pub(crate) fn shared(&self) -> &Arc<Dialect> {
        &self.0
    }

    pub(crate) fn of(dialect: Arc<Dialect>) -> PyDialect {
        PyDialect(dialect)
    }
}

#[pymethods]
impl PyDialect {
    #[staticmethod]
    fn compile(py: Python<'_>, text: &str, source: &str) -> PyResult<PyDialect> {
        compile::compile(text, source)
            .map(PyDialect)
            .map_err(|fault| dialect_error(py, &fault))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn digest(&self) -> &str {
        &self.0.digest
    }

    fn leg(&self, py: Python<'_>, name: &str) -> PyResult<PyLeg> {
        self.0
            .leg(name)
            .map(|leg| PyLeg(Arc::clone(leg)))
            .ok_or_else(|| usage_error(py, &format!("{}: no leg {name:?}", self.0.name)))
    }

    fn advice_final(&self, code: &str) -> bool {
        self.0.is_final_advice(code.as_bytes())
    }

    fn reversal_final(&self, code: &str) -> bool {
        self.0.is_final_reversal(code.as_bytes())
    }

    #[getter]
    fn sealable(&self) -> bool {
        self.0.sealable
    }

    #[getter]
    fn supplies(&self) -> Vec<&'static str> {
        let rules = &self.0.supply.rules;
        rules.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[getter]
    fn length_bytes(&self) -> usize {
        usize::from(self.0.framing.width)
    }

    #[getter]
    fn preface_bytes(&self) -> usize {
        self.0.envelope.width()
    }

    #[pyo3(signature = (frame, now_ns=0))]
    fn decode_frame(&self, py: Python<'_>, frame: &[u8], now_ns: u64) -> PyResult<PyMessage> {
        let content = self.0.framing.content(frame);
        let content = content.map_err(|fault| framing_error(py, &fault))?;
        codec::receive(&self.0, content, now_ns)
            .map(PyMessage)
            .map_err(|refusal| decode_error(py, *refusal))
    }

    #[pyo3(signature = (body, now_ns=0))]
    fn decode(&self, py: Python<'_>, body: &[u8], now_ns: u64) -> PyResult<PyMessage> {
        codec::decode(&self.0, body, now_ns)
            .map(PyMessage)
            .map_err(|refusal| decode_error(py, *refusal))
    }

    #[pyo3(signature = (mti, values, header=None, answers=None, guard=None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        mti: &str,
        values: &Bound<'py, PyAny>,
        header: Option<&Bound<'py, PyAny>>,
        answers: Option<PyRef<'py, PyMessage>>,
        guard: Option<&PyGuard>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let preface = self.preface(py, header, answers.as_deref())?;
        let mut list = Vec::new();
        for item in values.call_method0("items")?.try_iter()? {
            let (name, value): (String, Bound<'_, PyAny>) = item?.extract()?;
            let value = self.bytes_of(py, &name, &value)?;
            list.push((name, value));
        }
        let mut out = Vec::with_capacity(512);
        let sealer = guard.and_then(|guard| guard.0.sealer(answers.as_deref().map(|m| &m.0)));
        let seal = sealer.as_ref().map(|sealer| sealer as &dyn Seal);
        let result = self
            .0
            .encode_sealed(mti, &list, Some(&preface), seal, &mut out);
        let bytes = PyBytes::new(py, &out);
        codec::wipe(&mut out);
        for (_, value) in &mut list {
            codec::wipe(value);
        }
        match result {
            Ok(()) => Ok(bytes),
            Err(fault) => Err(encode_error(py, &fault)),
        }
    }

    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let out = PyList::empty(py);
        for spec in self.0.specs() {
            field_rows(py, spec, &out)?;
        }
        Ok(out)
    }

    fn __repr__(&self) -> String {
        format!("<Dialect {}>", self.0.name)
    }
}

impl PyDialect {
    /// What stands before the body: the dialect's own or, of an answer, what its request came with; changed by `header`.
    fn preface(
        &self,
        py: Python<'_>,
        header: Option<&Bound<'_, PyAny>>,
        answers: Option<&PyMessage>,
    ) -> PyResult<Preface> {
        let envelope = &self.0.envelope;
        let answered = answers.and_then(|message| message.0.answer_preface());
        let mut preface = answered
            .filter(|answered| answered.len() == envelope.width())
            .unwrap_or(envelope.default);
        let Some(header) = header else {
            return Ok(preface);
        };
        for item in header.call_method0("items")?.try_iter()? {
            let (name, digits): (String, String) = item?.extract()?;
            let part = envelope.part(&name);
            if !part.is_some_and(|part| envelope.write(&mut preface, part, &digits)) {
                let problem = match part {
                    Some(part) => format!("{name} takes {} digits", part.count),
                    None => format!("{}: no part of a header is called {name:?}", self.0.name),
                };
                return Err(usage_error(py, &problem));
            }
        }
        Ok(preface)
    }

    /// Text becomes the field's characters (hexadecimal for binary fields); bytes are taken as they are.
    fn bytes_of(&self, py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(bytes.as_bytes().to_vec());
        }
        let Ok(text) = value.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!(
                "{name}: neither str nor bytes"
            )));
        };
        let fault = |problem: &str| {
            encode_error(
                py,
                &EncodeFault {
                    dialect: self.0.name.to_string(),
                    path: name.to_owned(),
                    problem: problem.to_owned(),
                },
            )
        };
        let path = self.0.path(name);
        if path.is_some_and(|path| is_binary(&self.0, path)) {
            return unhex(text.to_cow()?.as_bytes())
                .ok_or_else(|| fault("the text of a binary field is not hexadecimal"));
        }
        let gbk = path
            .and_then(|path| self.0.spec(path.number))
            .is_some_and(|spec| spec.shape.charset == Charset::Gbk);
        if gbk {
            return text.call_method1("encode", ("gbk",))?.extract();
        }
        let text = text.to_cow()?;
        if text.is_ascii() {
            Ok(text.as_bytes().to_vec())
        } else {
            Err(fault("the text is not ASCII"))
        }
    }
}

/// One row for a field, then one for each of its parts.
fn field_rows(py: Python<'_>, spec: &Spec, out: &Bound<'_, PyList>) -> PyResult<()> {
    let row = field_row(py, "", "", &spec.titles, spec.class)?;
    row.set_item("number", spec.number.to_string())?;
    row.set_item("name", spec.name.as_str())?;
    row.set_item("type", spec.shape.kind.as_str())?;
    row.set_item("encoding", spec.shape.encoding.as_str())?;
    row.set_item("charset", spelling(&CHARSETS, spec.shape.charset))?;
    let (prefix, min, max) = match spec.length {
        Length::Fixed(length) => (String::new(), length, length),
        Length::Variable { prefix, min, max } => (prefix_text(prefix), min, max),
    };
    row.set_item("prefix", prefix)?;
    row.set_item("min", min)?;
    row.set_item("max", max)?;
    row.set_item("pad", spec.shape.pad.map_or_else(String::new, pad_text))?;
    out.append(row)?;
    part_rows(py, spec, out)
}

fn part_rows(py: Python<'_>, spec: &Spec, out: &Bound<'_, PyList>) -> PyResult<()> {
    let (number, name) = (spec.number, spec.name.as_str());
    let part = |place: &str, word: &str, titles: &Titles, class: Class| {
        let number = format!("{number}.{place}");
        field_row(py, &number, &format!("{name}.{word}"), titles, class)
    };
    match &spec.layout {
        Layout::Whole => {}
        Layout::Positional(subs) => {
            for (index, sub) in subs.iter().enumerate() {
                let place = (index + 1).to_string();
                let row = part(&place, &sub.name, &sub.titles, sub.class)?;
                row.set_item("type", sub.shape.kind.as_str())?;
                row.set_item("max", sub.length)?;
                out.append(row)?;
            }
        }
        Layout::Decimal { tags, .. } => {
            for tag in tags {
                out.append(part(&tag.text, &tag.text, &tag.titles, tag.class)?)?;
            }
        }
        Layout::Forms(forms) => {
            for form in forms {
                for (index, sub) in form.subs.iter().enumerate() {
                    let place = format!("{}.{}", form.name, index + 1);
                    let row = part(&place, &sub.name, &sub.titles, sub.class)?;
                    row.set_item("type", sub.shape.kind.as_str())?;
                    row.set_item("max", sub.length)?;
                    out.append(row)?;
                }
                for tag in &form.tags {
                    out.append(part(&tag.text, &tag.text, &tag.titles, tag.class)?)?;
                }
            }
        }
        Layout::Ber => {
            for tag in &emv::TAGS {
                let text = format!("{:02X}", tag.tag);
                let titles = Titles {
                    en: tag.name.to_owned(),
                    zh: emv::chinese(tag.tag).to_owned(),
                };
                let row = part(&text, &text, &titles, tag.class)?;
                row.set_item("type", tag.format)?;
                out.append(row)?;
            }
        }
    }
    Ok(())
}

/// What every row has.
fn field_row<'py>(
    py: Python<'py>,
    number: &str,
    name: &str,
    titles: &Titles,
    class: Class,
) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("number", number)?;
    row.set_item("name", name)?;
    row.set_item("class", class.as_str())?;
    row.set_item("title_en", &titles.en)?;
    row.set_item("title_zh", &titles.zh)?;
    Ok(row)
}

fn spelling<T: PartialEq>(list: &[(T, &'static str)], value: T) -> &'static str {
    list.iter()
        .find(|(known, _)| *known == value)
        .map_or("", |(_, text)| text)
}

fn pad_text(pad: Pad) -> String {
    let side = spelling(&SIDES, pad.side);
    format!("{side} {}", char::from(pad.fill))
}

fn prefix_text(prefix: Prefix) -> String {
    let unit = spelling(&UNITS, prefix.unit);
    format!("{} {} {unit}", prefix.digits, prefix.encoding.as_str())
}

#[pyclass(frozen, name = "Leg", module = "switch._native.codec")]
pub(crate) struct PyLeg(Arc<Leg>);

#[pymethods]
impl PyLeg {
    #[getter]
    fn names(&self) -> Vec<&'static str> {
        let slots = self.0.slots.iter();
        slots.map(|slot| slot.spec.name.as_str()).collect()
    }

    #[getter]
    fn sealed(&self) -> bool {
        self.0.seal.is_some()
    }

    fn __repr__(&self) -> String {
        format!("<Leg {} of {}>", self.0.name, self.0.dialect)
    }
}

/// A frame of length zero where the peer is to get one back.
#[pyclass(frozen, name = "KeepAlive", module = "switch._native.codec")]
pub(crate) struct PyKeepAlive(Vec<u8>);

impl PyKeepAlive {
    pub(super) fn of(frame: Vec<u8>) -> PyKeepAlive {
        PyKeepAlive(frame)
    }
}

#[pymethods]
impl PyKeepAlive {
    #[getter]
    fn answer<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0)
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add(
        "__all__",
        [
            "Dialect",
            "Framer",
            "KeepAlive",
            "Leg",
            "Message",
            "parse_toml",
        ],
    )?;
    m.add_function(wrap_pyfunction!(parse_toml, m)?)?;
    m.add_class::<PyDialect>()?;
    m.add_class::<PyFramer>()?;
    m.add_class::<PyKeepAlive>()?;
    m.add_class::<PyLeg>()?;
    m.add_class::<PyMessage>()?;
    Ok(())
}
