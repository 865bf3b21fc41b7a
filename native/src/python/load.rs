//! `switch._native.load`: thin wrappers, no logic. Everything that lasts runs without the interpreter's lock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::emv::PyRing;
use super::journal::{PyJournal, journal_error};
use super::python_error;
use super::series::{PyHistogram, PyProgress, PyRecording};
use crate::journal::JournalError;
use crate::load::LoadError;
use crate::load::bank::Bank;
use crate::load::clock;
use crate::load::frame;
use crate::load::generator::{self, Generator, Reversed, Target};
use crate::load::histogram::Histogram;
use crate::load::ledger::{Booking, Saw};
use crate::load::maker::{self, Maker, TOKENS_MAX, Taps};
use crate::load::recorder::Recorder;
use crate::load::schedule::Schedule;
use crate::load::usage::Usage;
use crate::load::window::{Again, Outcome, Window};

const QUANTILES: [(&str, f64); 4] = [
    ("p50_ns", 0.5),
    ("p90_ns", 0.9),
    ("p99_ns", 0.99),
    ("p999_ns", 0.999),
];

pub(super) fn raised(py: Python<'_>, error: &LoadError) -> PyErr {
    let class = match error {
        LoadError::Usage(_) => "UsageError",
        LoadError::Io(_) | LoadError::System(_) => "UnreachableError",
    };
    match (error.to_string(),).into_pyobject(py) {
        Ok(args) => python_error(py, class, &args, None),
        Err(error) => error,
    }
}

pub(super) fn usage_error(py: Python<'_>, problem: String) -> PyErr {
    raised(py, &LoadError::Usage(problem))
}

fn code(py: Python<'_>, text: &str) -> PyResult<[u8; 2]> {
    text.as_bytes().try_into().map_err(|_| {
        usage_error(
            py,
            format!("a response code has two characters, not {text:?}"),
        )
    })
}

fn issuer(py: Python<'_>, digits: &str) -> PyResult<[u8; 6]> {
    match digits.as_bytes().try_into() {
        Ok(bytes) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(bytes),
        _ => Err(usage_error(py, "an issuer is six digits".into())),
    }
}

#[pyclass(name = "Schedule", module = "switch._native.load", frozen)]
struct PySchedule(Schedule);

#[pymethods]
impl PySchedule {
    #[staticmethod]
    fn poisson(py: Python<'_>, rate: f64, seconds: f64, seed: u64) -> PyResult<Self> {
        let made = Schedule::poisson(rate, seconds, seed);
        made.map(Self).map_err(|e| raised(py, &e))
    }

    #[staticmethod]
    fn constant(py: Python<'_>, rate: f64, seconds: f64) -> PyResult<Self> {
        let made = Schedule::constant(rate, seconds);
        made.map(Self).map_err(|e| raised(py, &e))
    }

    #[staticmethod]
    fn phases(py: Python<'_>, phases: Vec<(f64, f64)>, seed: u64) -> PyResult<Self> {
        let made = Schedule::phases(&phases, seed);
        made.map(Self).map_err(|e| raised(py, &e))
    }

    fn due_ns(&self) -> Vec<u64> {
        self.0.due_ns().to_vec()
    }

    fn __len__(&self) -> usize {
        self.0.due_ns().len()
    }
}

/// Saw, STAN, time, reference number, terminal, acquirer, amount, code, money.
type Line = (
    &'static str,
    String,
    String,
    String,
    String,
    String,
    u64,
    String,
    u64,
);

fn line(booking: Booking) -> Line {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let saw = match booking.saw {
        Saw::Request => "request",
        Saw::Copy => "copy",
        Saw::Released => "released",
        Saw::Nothing => "nothing",
        Saw::Again => "again",
        Saw::Tombstone => "tombstone",
    };
    (
        saw,
        text(&booking.stan),
        text(&booking.time),
        text(&booking.rrn),
        text(&booking.terminal),
        text(&booking.acquirer),
        booking.amount,
        answer_code(booking.code),
        booking.money,
    )
}

/// Empty for none.
pub(super) fn answer_code(code: [u8; 2]) -> String {
    if code == [0; 2] {
        return String::new();
    }
    String::from_utf8_lossy(&code).into_owned()
}

#[pyclass(name = "Bank", module = "switch._native.load")]
struct PyBank(Bank);

#[pymethods]
impl PyBank {
    #[new]
    #[pyo3(
        signature = (address = "127.0.0.1:0", answer = Some("00"), *, books = false, joined = false),
        text_signature = "(address='127.0.0.1:0', answer='00', *, books=False, joined=False)"
    )]
    fn new(
        py: Python<'_>,
        address: &str,
        answer: Option<&str>,
        books: bool,
        joined: bool,
    ) -> PyResult<Self> {
        let answer = answer.map(|text| code(py, text)).transpose()?;
        let started = Bank::open(address, answer, books, joined);
        started.map(Self).map_err(|e| raised(py, &e))
    }

    #[getter]
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    #[pyo3(signature = (answer))]
    fn set_answer(&self, py: Python<'_>, answer: Option<&str>) -> PyResult<()> {
        let answer = answer.map(|text| code(py, text)).transpose()?;
        self.0.set_code(answer);
        Ok(())
    }

    fn seen<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let seen = self.0.seen();
        let dict = PyDict::new(py);
        dict.set_item("requests", seen.requests)?;
        dict.set_item("reversals", seen.reversals)?;
        dict.set_item("network", seen.network)?;
        dict.set_item("malformed", seen.malformed)?;
        dict.set_item("connections", seen.connections)?;
        Ok(dict)
    }

    fn bookings(&self) -> Vec<Line> {
        self.0.bookings().into_iter().map(line).collect()
    }

    fn close(&mut self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

/// Devices in software for the generator.
#[pyclass(name = "Taps", module = "switch._native.load", frozen)]
struct PyTaps(Taps);

#[pymethods]
impl PyTaps {
    #[new]
    fn new(py: Python<'_>, ring: &PyRing, tokens: u64) -> PyResult<Self> {
        if !(1..=TOKENS_MAX).contains(&tokens) {
            return Err(usage_error(py, format!("1 to {TOKENS_MAX} tokens")));
        }
        let ring = Arc::new(ring.take(py)?);
        Ok(Self(Taps { ring, tokens }))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The card or token of a number from 0: issuer, nine digits, check digit.
#[pyfunction]
fn card(py: Python<'_>, issuer: &str, number: u64) -> PyResult<String> {
    let digits = maker::card(self::issuer(py, issuer)?, number);
    Ok(digits.iter().map(|digit| char::from(*digit)).collect())
}

#[pyclass(name = "Generator", module = "switch._native.load")]
struct PyGenerator(Option<Generator>);

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (address, connections, *, issuer = "629900", acquirer_code = "10000001", pid = 0, taps = None))]
    fn new(
        py: Python<'_>,
        address: &str,
        connections: usize,
        issuer: &str,
        acquirer_code: &str,
        pid: u32,
        taps: Option<PyRef<'_, PyTaps>>,
    ) -> PyResult<Self> {
        let address: SocketAddr = address
            .parse()
            .map_err(|_| usage_error(py, format!("{address:?} is no address with a port")))?;
        let target = Target {
            address,
            connections,
            issuer: self::issuer(py, issuer)?,
            acquirer_code: acquirer_code.as_bytes().to_vec(),
            pid,
            taps: taps.map(|taps| taps.0.clone()),
        };
        let connected = py.detach(|| Generator::connect(target));
        connected
            .map(|generator| Self(Some(generator)))
            .map_err(|e| raised(py, &e))
    }

    #[pyo3(signature = (patience_ms = 5000))]
    fn sign_on(&mut self, py: Python<'_>, patience_ms: u64) -> PyResult<()> {
        let patience = Duration::from_millis(patience_ms);
        self.with(py, |generator| generator.sign_on(patience))
    }

    #[pyo3(signature = (depth, *, warm_ms, measure_ms, drain_ms = 2000, expect = "00", again = None))]
    #[allow(clippy::too_many_arguments)]
    fn closed<'py>(
        &mut self,
        py: Python<'py>,
        depth: usize,
        warm_ms: u64,
        measure_ms: u64,
        drain_ms: u64,
        expect: &str,
        again: Option<(u64, u64, u64)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let window = Window {
            warm: Duration::from_millis(warm_ms),
            measure: Duration::from_millis(measure_ms),
            drain: Duration::from_millis(drain_ms),
            expect: code(py, expect)?,
            again: again.map(earlier),
            timeout: None,
            record: None,
            joined: false,
            progress: None,
        };
        let outcome = self.with(py, |generator| generator.closed(depth, &window))?;
        report(py, &outcome)
    }

    #[pyo3(signature = (schedule, *, warm_ms, drain_ms = 2000, expect = "00", again = None, timeout_ms = None, record_ms = None, joined = false, progress = None))]
    #[allow(clippy::too_many_arguments)]
    fn open<'py>(
        &mut self,
        py: Python<'py>,
        schedule: PyRef<'_, PySchedule>,
        warm_ms: u64,
        drain_ms: u64,
        expect: &str,
        again: Option<(u64, u64, u64)>,
        timeout_ms: Option<u64>,
        record_ms: Option<u64>,
        joined: bool,
        progress: Option<PyRef<'_, PyProgress>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let window = Window {
            warm: Duration::from_millis(warm_ms),
            measure: Duration::ZERO,
            drain: Duration::from_millis(drain_ms),
            expect: code(py, expect)?,
            again: again.map(earlier),
            timeout: timeout_ms.map(Duration::from_millis),
            record: record_ms.map(Duration::from_millis),
            joined,
            progress: progress.map(|progress| Arc::clone(&progress.0)),
        };
        let schedule = schedule.0.clone();
        let outcome = self.with(py, move |generator| generator.open(&schedule, &window))?;
        recorded(py, &outcome)
    }

    #[pyo3(signature = (other, schedules, *, warm_ms, timeout_ms, record_ms, joined = false, progress = None))]
    #[allow(clippy::too_many_arguments)]
    fn open_both<'py>(
        &mut self,
        py: Python<'py>,
        mut other: PyRefMut<'_, PyGenerator>,
        schedules: (PyRef<'_, PySchedule>, PyRef<'_, PySchedule>),
        warm_ms: u64,
        timeout_ms: u64,
        record_ms: u64,
        joined: bool,
        progress: Option<PyRef<'_, PyProgress>>,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
        let window = Window {
            warm: Duration::from_millis(warm_ms),
            measure: Duration::ZERO,
            drain: Duration::from_millis(timeout_ms),
            expect: *b"00",
            again: None,
            timeout: Some(Duration::from_millis(timeout_ms)),
            record: Some(Duration::from_millis(record_ms)),
            joined,
            progress: progress.map(|progress| Arc::clone(&progress.0)),
        };
        let Some(second) = other.0.as_mut() else {
            return Err(usage_error(py, "the generator is closed".into()));
        };
        let (mine, theirs) = (schedules.0.0.clone(), schedules.1.0.clone());
        let outcomes = self.with(py, |first| {
            first.open_both(second, [&mine, &theirs], [&window, &window])
        })?;
        Ok((recorded(py, &outcomes[0])?, recorded(py, &outcomes[1])?))
    }

    #[pyo3(signature = (serials, date_s, patience_ms = 10_000))]
    fn reverse(
        &mut self,
        py: Python<'_>,
        serials: Vec<u64>,
        date_s: u64,
        patience_ms: u64,
    ) -> PyResult<Vec<(u64, String)>> {
        let patience = Duration::from_millis(patience_ms);
        let done = self.with(py, move |generator| {
            generator.reverse(&serials, date_s, patience)
        })?;
        let told = |one: Reversed| (one.serial, answer_code(one.code));
        Ok(done.into_iter().map(told).collect())
    }

    #[pyo3(signature = (patience_ms = 5000))]
    fn reconnect(&mut self, py: Python<'_>, patience_ms: u64) -> PyResult<()> {
        let patience = Duration::from_millis(patience_ms);
        self.with(py, |generator| generator.reconnect(patience))
    }

    fn close(&mut self) {
        self.0 = None;
    }
}

impl PyGenerator {
    fn with<T: Send>(
        &mut self,
        py: Python<'_>,
        work: impl FnOnce(&mut Generator) -> Result<T, LoadError> + Send,
    ) -> PyResult<T> {
        let Some(generator) = self.0.as_mut() else {
            return Err(usage_error(py, "the generator is closed".into()));
        };
        py.detach(|| work(generator)).map_err(|e| raised(py, &e))
    }
}

fn earlier((first_serial, date_s, count): (u64, u64, u64)) -> Again {
    Again {
        first_serial,
        date_s,
        count,
    }
}

/// `report`, with what was recorded.
fn recorded<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let dict = report(py, outcome)?;
    if let Some(recording) = outcome.recording.as_deref() {
        let unknown = generator::unknown(outcome);
        dict.set_item("recording", PyRecording(recording.clone(), unknown))?;
    }
    Ok(dict)
}

fn report<'py>(py: Python<'py>, out: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let counts = [
        ("offered", out.offered),
        ("answered", out.answered),
        ("other_code", out.other_code),
        ("wrong", out.wrong),
        ("missing", out.missing),
        ("closed", out.closed),
        ("not_sent", out.not_sent),
        ("stray", out.stray),
        ("late", out.late),
        ("delayed", out.delayed),
        ("counted", out.counted),
        ("elapsed_ns", out.elapsed_ns),
        ("cpu_ns", out.usage.cpu_ns),
        ("switches", out.usage.switches),
        ("own_cpu_ns", out.own_cpu_ns),
        ("own_ns", out.own_ns),
        ("first_serial", out.first_serial),
        ("date_s", out.date_s),
    ];
    for (name, value) in counts {
        dict.set_item(name, value)?;
    }
    dict.set_item("clean", out.is_clean())?;
    dict.set_item("latency", quantiles(py, &out.latency)?)?;
    dict.set_item("lag", quantiles(py, &out.lag)?)?;
    dict.set_item("lag_histogram", PyHistogram(out.lag.clone()))?;
    Ok(dict)
}

fn quantiles<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("count", histogram.count())?;
    for (name, q) in QUANTILES {
        dict.set_item(name, histogram.quantile(q))?;
    }
    dict.set_item("max_ns", histogram.maximum())?;
    Ok(dict)
}

#[pyclass(name = "Recorder", module = "switch._native.load")]
struct PyRecorder(Recorder);

#[pymethods]
impl PyRecorder {
    #[new]
    fn new(py: Python<'_>, journal: PyRef<'_, PyJournal>) -> PyResult<Self> {
        let made = Recorder::new(Arc::clone(&journal.inner));
        made.map(Self)
            .map_err(|e| journal_error(py, &JournalError::Record(e)))
    }

    fn accepted(&mut self, py: Python<'_>) -> PyResult<u64> {
        self.0.accept().map_err(|e| journal_error(py, &e))
    }

    fn answered(&mut self, py: Python<'_>) -> PyResult<u64> {
        self.0.answer().map_err(|e| journal_error(py, &e))
    }

    fn commit(&self) -> u64 {
        let journal = self.0.journal();
        if journal.commit_here() {
            journal.synced()
        } else {
            0
        }
    }

    fn acknowledge(&self) -> u64 {
        self.0.journal().acknowledge()
    }

    #[getter]
    fn fileno(&self) -> i32 {
        self.0.journal().fileno()
    }
}

/// Framed requests from one serial number on, and where field 11 stands in each.
#[pyfunction]
#[pyo3(signature = (serial, count = 1, *, issuer = "629900", acquirer_code = "10000001", date_s = None))]
fn request<'py>(
    py: Python<'py>,
    serial: u64,
    count: u64,
    issuer: &str,
    acquirer_code: &str,
    date_s: Option<u64>,
) -> PyResult<(Bound<'py, PyBytes>, usize)> {
    let issuer = self::issuer(py, issuer)?;
    let date_s = date_s.unwrap_or_else(clock::wall_seconds);
    let mut maker = Maker::new(issuer, acquirer_code.as_bytes(), date_s, None);
    let mut frames = Vec::new();
    for number in 0..count {
        frames.extend_from_slice(maker.make(serial + number));
    }
    Ok((PyBytes::new(py, &frames), maker.stan_offset()))
}

/// What the bank answers to framed requests, joined; a message that asks for nothing gets nothing.
#[pyfunction]
#[pyo3(signature = (requests, code = "00"))]
fn answers<'py>(py: Python<'py>, requests: &[u8], code: &str) -> PyResult<Bound<'py, PyBytes>> {
    let code = self::code(py, code)?;
    let mut rest = requests;
    let mut out = Vec::new();
    while let Ok(Some(body)) = frame::cut(rest) {
        let _ = frame::answer(body, code, &mut out);
        rest = &rest[frame::PREFIX + body.len()..];
    }
    Ok(PyBytes::new(py, &out))
}

/// CPU nanoseconds and voluntary switches of a process so far.
#[pyfunction]
fn usage(pid: u32) -> (u64, u64) {
    let usage = Usage::of(pid);
    (usage.cpu_ns, usage.switches)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    super::series::register(m)?;
    m.add_class::<PyBank>()?;
    m.add_class::<PyGenerator>()?;
    m.add_class::<PyRecorder>()?;
    m.add_class::<PySchedule>()?;
    m.add_class::<PyTaps>()?;
    m.add_function(wrap_pyfunction!(card, m)?)?;
    m.add_function(wrap_pyfunction!(answers, m)?)?;
    m.add_function(wrap_pyfunction!(request, m)?)?;
    m.add_function(wrap_pyfunction!(usage, m)?)?;
    Ok(())
}
