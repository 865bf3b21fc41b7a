//! `switch._native.codec`: thin wrappers, no logic.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::mac::PyGuard;
use crate::codec::axis::{Length, Pad, Prefix, SIDES, UNITS};
use crate::codec::charset::{CHARSETS, Charset};
use crate::codec::class::Class;
use crate::codec::encode::is_binary;
use crate::codec::envelope::Preface;
use crate::codec::image::unproved;
use crate::codec::seal::Seal;
use crate::codec::spec::{Layout, Spec, Titles};
use crate::codec::toml::{self, Node, Table, Value};
use crate::codec::value::unhex;
use crate::codec::{self, Backlog, Came, Check, Dialect, Framer, Leg, Message, compile, emv};
use crate::error::EncodeFault;
use crate::mac::Guard;
use crate::python::fault::{
    decode_error, dialect_error, encode_error, framing_error, received_error, toml_error,
};
use crate::python::message::PyMessage;
use crate::python::{python_error, usage_error};

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

#[pymethods]
impl PyKeepAlive {
    #[getter]
    fn answer<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0)
    }
}

/// Undecodable messages of one chunk that are told; what comes behind one more is not looked at any more. Whoever has
/// read so many closes the link (`UNDECODABLE_MAX` of the listener is less), and should not pay for the rest first.
const CHUNK_REFUSALS_MAX: usize = 40;

#[pyclass(name = "Framer", module = "switch._native.codec")]
pub(crate) struct PyFramer {
    guard: Option<Arc<Guard>>,
    dialect: Arc<Dialect>,
    framer: Framer,
    backlog: Backlog,
}

#[pymethods]
impl PyFramer {
    #[new]
    #[pyo3(signature = (dialect, frame_bytes_max=4096, guard=None))]
    fn new(dialect: &PyDialect, frame_bytes_max: usize, guard: Option<&PyGuard>) -> PyFramer {
        PyFramer {
            guard: guard.map(|guard| Arc::clone(&guard.0)),
            dialect: Arc::clone(&dialect.0),
            framer: Framer::new(dialect.0.framing, frame_bytes_max),
            backlog: Backlog::default(),
        }
    }

    fn feed<'py>(
        &mut self,
        py: Python<'py>,
        data: &[u8],
        now_ns: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        let out = PyList::empty(py);
        let (dialect, guard) = (&self.dialect, self.guard.as_deref());
        let mut failure = None;
        let mut refused = 0;
        let fed = self.framer.feed(data, now_ns, |content, received_ns| {
            if refused > CHUNK_REFUSALS_MAX {
                return;
            }
            let came = Came {
                received_ns,
                complete_ns: now_ns,
            };
            let item = item(py, dialect, guard, content, came, &mut refused);
            if let Err(error) = item.and_then(|item| out.append(item)) {
                failure = Some(error);
            }
        });
        fed.map_err(|fault| framing_error(py, &fault))?;
        match failure {
            Some(error) => Err(error),
            None => Ok(out),
        }
    }

    fn queue(&mut self, py: Python<'_>, data: &[u8], now_ns: u64) -> PyResult<usize> {
        let backlog = &mut self.backlog;
        let fed = self.framer.feed(data, now_ns, |content, received_ns| {
            let came = Came {
                received_ns,
                complete_ns: now_ns,
            };
            backlog.push(content, came);
        });
        fed.map_err(|fault| framing_error(py, &fault))?;
        Ok(self.backlog.len())
    }

    fn take<'py>(
        &mut self,
        py: Python<'py>,
        requests_max: usize,
        frames_max: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let out = PyList::empty(py);
        let (mut requests, mut refused) = (0, 0);
        for _ in 0..frames_max {
            let Some((content, came)) = self.backlog.front() else {
                break;
            };
            if codec::is_new_request(&self.dialect, content) {
                if requests == requests_max {
                    break;
                }
                requests += 1;
            }
            let guard = self.guard.as_deref();
            let item = item(py, &self.dialect, guard, content, came, &mut refused);
            self.backlog.pop();
            out.append(item?)?;
        }
        Ok(out)
    }

    fn clear(&mut self) {
        self.backlog.clear();
    }

    #[getter]
    fn waiting(&self) -> usize {
        self.backlog.len()
    }

    #[getter]
    fn waiting_bytes(&self) -> usize {
        self.backlog.waiting_bytes()
    }

    #[getter]
    fn oldest_ns(&self) -> u64 {
        let front = self.backlog.front();
        front.map_or(u64::MAX, |(_, came)| came.complete_ns)
    }

    #[getter]
    fn buffered(&self) -> usize {
        self.framer.buffered()
    }

    #[getter]
    fn first_byte_ns(&self) -> u64 {
        self.framer.first_byte_ns()
    }
}

impl PyFramer {
    /// The front of what waits, when it is a new request that came before `before_ns`, is well-formed and proves what
    /// its link wants proved. It still waits.
    pub(super) fn refusable(&self, before_ns: u64) -> Option<Message> {
        let (content, came) = self.backlog.front()?;
        if came.complete_ns >= before_ns || !codec::is_new_request(&self.dialect, content) {
            return None;
        }
        let mut message = codec::receive(&self.dialect, content, came.received_ns).ok()?;
        let guard = self.guard.as_deref();
        let proved = guard.is_none_or(|guard| guard.proves(&mut message));
        (proved && message.check() == Check::Ok).then_some(message)
    }

    pub(super) fn pop(&mut self) {
        self.backlog.pop();
    }
}

/// What stands in a list of messages for one frame; counts those that cannot be decoded.
fn item<'py>(
    py: Python<'py>,
    dialect: &Arc<Dialect>,
    guard: Option<&Guard>,
    content: &[u8],
    came: Came,
    refused: &mut usize,
) -> PyResult<Bound<'py, PyAny>> {
    if content.is_empty() {
        let answer = PyKeepAlive(dialect.framing.empty_frame());
        return Ok(Bound::new(py, answer)?.into_any());
    }
    match codec::receive(dialect, content, came.received_ns) {
        Ok(mut message) => {
            message.set_complete_ns(came.complete_ns);
            match guard {
                Some(guard) => guarded(py, guard, content, message),
                None => Ok(Bound::new(py, PyMessage(message))?.into_any()),
            }
        }
        Err(refusal) => {
            *refused += 1;
            let error = received_error(py, dialect, content, *refusal);
            Ok(error.value(py).clone().into_any())
        }
    }
}

/// The message when its code holds, or a `MacError` with the message in it and what may be shown of its frame.
fn guarded<'py>(
    py: Python<'py>,
    guard: &Guard,
    content: &[u8],
    mut message: Message,
) -> PyResult<Bound<'py, PyAny>> {
    let proof = guard.prove(&mut message);
    if proof.good() {
        return Ok(Bound::new(py, PyMessage(message))?.into_any());
    }
    let dialect = Arc::clone(message.dialect());
    let (image, path) = unproved(&dialect, content, &message);
    let args = (&*dialect.name, proof.name()).into_pyobject(py)?;
    let error = python_error(py, "MacError", &args, None);
    let value = error.value(py);
    value.setattr("message", Bound::new(py, PyMessage(message))?)?;
    value.setattr("image", image.hex)?;
    value.setattr("image_at", image.at)?;
    value.setattr("path", path)?;
    Ok(value.clone().into_any())
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
