//! `switch._native.journal`: thin wrappers, no logic.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use super::hook::{checked, crashed};
use super::meter::PyMeter;
use super::python_error;
use crate::buf;
use crate::journal::device::Directory;
use crate::journal::follow::{Cursor, follow};
use crate::journal::keys::{self, WHICH};
use crate::journal::record::{PAN_BYTES_MAX, Type};
use crate::journal::rules::{Finding, verify};
use crate::journal::scan::tail;
use crate::journal::search::{Wanted, lives, search};
use crate::journal::survey::survey;
use crate::journal::{
    Builder, Field, Fields, Journal, JournalError, Keys, KeysError, Options, RecordKind, RecordRef,
};
use crate::walk::Digester;

/// Records read ahead of the Python iterator, in batches of `BATCH`.
const BATCHES_AHEAD: usize = 4;
const BATCH: usize = 256;

/// The exception that a journal error is.
pub(crate) fn journal_error(py: Python<'_>, error: &JournalError) -> PyErr {
    if let JournalError::Crashed(at) = error {
        return crashed(*at);
    }
    let class = match error {
        JournalError::Usage(_) | JournalError::Record(_) => "UsageError",
        _ => "JournalError",
    };
    let message = PyTuple::new(py, [error.to_string()]);
    let kwargs = PyDict::new(py);
    let filled = if class == "JournalError" {
        // Only damage has a place; the other messages name their file themselves.
        let file = if matches!(error, JournalError::Damaged { .. }) {
            error.file()
        } else {
            ""
        };
        kwargs
            .set_item("file", file)
            .and_then(|()| kwargs.set_item("offset", error.offset()))
            .and_then(|()| kwargs.set_item("remedy", error.remedy()))
    } else {
        Ok(())
    };
    match message.and_then(|args| filled.map(|()| args)) {
        Ok(args) => python_error(py, class, &args, Some(&kwargs)),
        Err(error) => error,
    }
}

fn key_file_error(py: Python<'_>, file: &str, error: &KeysError) -> PyErr {
    let help = match error {
        KeysError::DoesNotOpen => "use the sealing key that the file was made with",
        KeysError::Lock(_) => "ulimit -l 8192",
        KeysError::Exists => "move the old file away if it is really not needed any more",
        _ => "",
    };
    let message = PyTuple::new(py, [error.to_string()]);
    let kwargs = PyDict::new(py);
    let filled = kwargs
        .set_item("file", file)
        .and_then(|()| kwargs.set_item("help", help));
    match message.and_then(|args| filled.map(|()| args)) {
        Ok(args) => python_error(py, "KeyFileError", &args, Some(&kwargs)),
        Err(error) => error,
    }
}

fn usage_error(py: Python<'_>, message: &str) -> PyErr {
    match PyTuple::new(py, [message]) {
        Ok(args) => python_error(py, "UsageError", &args, None),
        Err(error) => error,
    }
}

/// First six and last four digits.
pub(crate) fn masked(pan: &[u8]) -> String {
    let digits = pan.len();
    let shown = |at: usize| at < 6 || at + 4 >= digits;
    // A number too short to hide anything is hidden whole.
    if digits < 13 {
        return "*".repeat(digits);
    }
    pan.iter()
        .enumerate()
        .map(|(at, b)| if shown(at) { char::from(*b) } else { '*' })
        .collect()
}

#[pyfunction]
fn create_sealing_key(py: Python<'_>, path: &str) -> PyResult<()> {
    py.detach(|| keys::create_sealing_key(Path::new(path)))
        .map_err(|error| key_file_error(py, path, &error))
}

#[pyfunction]
fn create_key_file(py: Python<'_>, path: &str, sealing_key: i32, demo: bool) -> PyResult<()> {
    let made = py.detach(|| {
        let sealing = buf::duplicate(sealing_key).map_err(|source| KeysError::Io {
            action: "use the descriptor of the sealing key",
            source,
        })?;
        keys::create_key_file(Path::new(path), sealing, demo)
    });
    made.map_err(|error| key_file_error(py, path, &error))
}

#[pyclass(name = "Keys", frozen, module = "switch._native.journal")]
pub(crate) struct PyKeys {
    pub(crate) inner: Arc<Keys>,
}

#[pymethods]
impl PyKeys {
    #[staticmethod]
    fn open(py: Python<'_>, path: &str, sealing_key: i32) -> PyResult<PyKeys> {
        let opened = py.detach(|| {
            let sealing = buf::duplicate(sealing_key).map_err(|source| KeysError::Io {
                action: "use the descriptor of the sealing key",
                source,
            })?;
            Keys::open(Path::new(path), sealing)
        });
        match opened {
            Ok(keys) => Ok(PyKeys {
                inner: Arc::new(keys),
            }),
            Err(error) => Err(key_file_error(py, path, &error)),
        }
    }

    #[getter]
    fn demo(&self) -> bool {
        self.inner.demo()
    }

    #[getter]
    fn check_values(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let values = PyDict::new(py);
        for (which, name) in WHICH {
            values.set_item(name, hex(&self.inner.check_value(which)).to_uppercase())?;
        }
        Ok(values.unbind())
    }

    fn card_hash<'py>(&self, py: Python<'py>, number: &str) -> PyResult<Bound<'py, PyBytes>> {
        if number.is_empty()
            || number.len() > PAN_BYTES_MAX
            || !number.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(usage_error(py, "a card or token number is 1 to 19 digits"));
        }
        let digester = Digester::new(self.inner.index_key(), self.inner.card_key());
        Ok(PyBytes::new(py, &digester.card(number.as_bytes())))
    }

    fn __repr__(&self) -> &'static str {
        if self.inner.demo() {
            "<Keys demo>"
        } else {
            "<Keys>"
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[pyclass(name = "Journal", frozen, module = "switch._native.journal")]
pub(crate) struct PyJournal {
    pub(crate) inner: Arc<Journal>,
}

#[pymethods]
impl PyJournal {
    #[staticmethod]
    #[pyo3(signature = (directory, keys, *, segment_bytes=67_108_864, pending_bytes_max=33_554_432))]
    fn open(
        py: Python<'_>,
        directory: &str,
        keys: &PyKeys,
        segment_bytes: u64,
        pending_bytes_max: usize,
    ) -> PyResult<PyJournal> {
        let options = Options {
            segment_bytes,
            pending_bytes_max,
        };
        let keys = Arc::clone(&keys.inner);
        py.detach(|| Journal::open(Path::new(directory), keys, options))
            .map(|journal| PyJournal {
                inner: Arc::new(journal),
            })
            .map_err(|error| journal_error(py, &error))
    }

    fn append(&self, py: Python<'_>, record: &Bound<'_, PyDict>) -> PyResult<u64> {
        let (kind, builder) = from_dict(record)?;
        builder
            .finish()
            .map_err(JournalError::from)
            .and_then(|payload| self.inner.append(kind, payload, None))
            .map_err(|error| journal_error(py, &error))
    }

    fn commit(&self) -> PyResult<()> {
        self.inner.commit();
        checked(())
    }

    #[getter]
    fn fileno(&self) -> i32 {
        self.inner.fileno()
    }

    fn acknowledge(&self) -> u64 {
        self.inner.acknowledge()
    }

    #[getter]
    fn appended(&self) -> u64 {
        self.inner.appended()
    }

    #[getter]
    fn synced(&self) -> u64 {
        self.inner.synced()
    }

    #[getter]
    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }

    #[getter]
    fn shortage(&self) -> Option<String> {
        self.inner.shortage()
    }

    #[getter]
    fn torn(&self) -> Option<(String, u64, u64)> {
        self.inner
            .found()
            .torn
            .as_ref()
            .map(|t| (t.file.clone(), t.offset, t.bytes))
    }

    fn stats(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let stats = PyDict::new(py);
        for (name, value) in self.inner.stats() {
            stats.set_item(name, value)?;
        }
        Ok(stats.unbind())
    }

    fn measure(&self, py: Python<'_>, meter: &PyMeter, name: &str) -> PyResult<()> {
        if self.inner.measure(&meter.0, name) {
            return Ok(());
        }
        let problem = format!("the meter has no histogram {name}");
        Err(usage_error(py, &problem))
    }

    fn delete_covered(&self, py: Python<'_>, older_than_ms: i64) -> PyResult<usize> {
        py.detach(|| self.inner.delete_covered(older_than_ms))
            .map_err(|error| journal_error(py, &error))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.close());
        checked(())
    }
}

/// Kind and fields of a record given as a dict.
fn from_dict(record: &Bound<'_, PyDict>) -> PyResult<(RecordKind, Builder)> {
    let py = record.py();
    let mut builder = Builder::new();
    let mut kind = None;
    for (key, value) in record {
        let name: String = key.extract()?;
        if name == "kind" {
            kind = RecordKind::parse(&value.extract::<String>()?);
            continue;
        }
        let field = Field::parse(&name)
            .ok_or_else(|| usage_error(py, &format!("the journal has no field {name:?}")))?;
        match field.kind() {
            Type::U8 | Type::U32 | Type::U64 => {
                builder.number(field, value.extract()?);
            }
            Type::I64 => {
                builder.signed(field, value.extract()?);
            }
            Type::Bytes(_) | Type::UpTo(_) | Type::Windows(_) => {
                builder.bytes(field, &value.extract::<Vec<u8>>()?);
            }
            _ => {
                builder.text(field, &value.extract::<String>()?);
            }
        }
    }
    let kind = kind.ok_or_else(|| usage_error(py, "a record needs a known \"kind\""))?;
    Ok((kind, builder))
}

/// A record that has left the scan: the PAN is masked already.
pub(super) struct Owned {
    lsn: u64,
    kind: RecordKind,
    carried: bool,
    segment: u64,
    offset: u64,
    payload: Vec<u8>,
    pan: Option<String>,
}

impl Owned {
    pub(super) fn of(record: &RecordRef<'_>) -> Owned {
        Owned {
            lsn: record.lsn,
            kind: record.kind,
            carried: record.carried,
            segment: record.place.segment,
            offset: record.place.offset,
            payload: record.fields.payload().to_vec(),
            pan: record.pan().map(|pan| masked(&pan)),
        }
    }

    pub(super) fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("lsn", self.lsn)?;
        dict.set_item("kind", PyString::intern(py, self.kind.as_str()))?;
        dict.set_item("carried", self.carried)?;
        dict.set_item("segment", self.segment)?;
        dict.set_item("offset", self.offset)?;
        if let Some(pan) = &self.pan {
            dict.set_item("pan", pan)?;
        }
        let fields = Fields::parse(&self.payload)
            .map_err(|fault| journal_error(py, &JournalError::from(fault)))?;
        for (field, value) in fields.iter() {
            let name = PyString::intern(py, field.as_str());
            match field.kind() {
                Type::U8 | Type::U32 | Type::U64 => dict.set_item(name, fields.number(field))?,
                Type::I64 => dict.set_item(name, fields.signed(field))?,
                Type::Bytes(_) | Type::UpTo(_) | Type::Windows(_) => {
                    dict.set_item(name, hex(value))?
                }
                _ => dict.set_item(name, String::from_utf8_lossy(value))?,
            }
        }
        Ok(dict)
    }
}

#[pyclass(name = "Reader", frozen, module = "switch._native.journal")]
struct PyReader {
    directory: PathBuf,
    keys: Arc<Keys>,
    /// Where the last reading that came to its end stands: the next one goes on there.
    cursor: Arc<Mutex<Option<Cursor>>>,
}

#[pymethods]
impl PyReader {
    #[staticmethod]
    fn open(py: Python<'_>, directory: &str, keys: &PyKeys) -> PyResult<PyReader> {
        let directory = PathBuf::from(directory);
        Directory::open(&directory).map_err(|error| journal_error(py, &error))?;
        Ok(PyReader {
            directory,
            keys: Arc::clone(&keys.inner),
            cursor: Arc::default(),
        })
    }

    #[pyo3(signature = (*, after=0))]
    fn records(&self, after: u64) -> PyResult<PyRecords> {
        let (sender, receiver) = sync_channel(BATCHES_AHEAD);
        let (directory, keys) = (self.directory.clone(), Arc::clone(&self.keys));
        let cursor = Arc::clone(&self.cursor);
        std::thread::Builder::new()
            .name("journal-read".to_owned())
            .spawn(move || {
                let mut batch = Vec::with_capacity(BATCH);
                let gone = JournalError::Usage("the reader has gone");
                let from = *cursor.lock().unwrap_or_else(PoisonError::into_inner);
                let outcome = Directory::open(&directory).and_then(|store| {
                    follow(&store, &keys, from, after, &mut |record| {
                        batch.push(Owned::of(record));
                        if batch.len() == BATCH {
                            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                            return sender.send(Ok(full)).map_err(|_| gone.clone());
                        }
                        Ok(())
                    })
                });
                // A receiver that has gone wants neither the rest nor the error.
                let delivered = sender.send(Ok(batch));
                match outcome {
                    Ok(stands) if delivered.is_ok() => {
                        *cursor.lock().unwrap_or_else(PoisonError::into_inner) = stands;
                    }
                    Ok(_) => {}
                    Err(error) => drop(sender.send(Err(error))),
                }
            })?;
        let state = RecordsState {
            receiver,
            batch: Vec::new().into_iter(),
        };
        Ok(PyRecords {
            state: Mutex::new(state),
        })
    }

    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (*, txn=0, stan=-1, rrn="", card=None, acquirer="", terminal="", from_ms=0, until_ms=0, limit=100))]
    fn search(
        &self,
        py: Python<'_>,
        txn: u64,
        stan: i64,
        rrn: &str,
        card: Option<[u8; 8]>,
        acquirer: &str,
        terminal: &str,
        from_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> PyResult<Py<PyDict>> {
        let wanted = Wanted {
            txn,
            stan: u32::try_from(stan).ok(),
            rrn: rrn.to_owned(),
            card,
            acquirer: acquirer.to_owned(),
            terminal: terminal.to_owned(),
            from_ms,
            until_ms,
            limit,
        };
        let mut records = Vec::new();
        let outcome = py.detach(|| {
            let store = Directory::open(&self.directory)?;
            let found = search(&store, &self.keys, &wanted)?;
            if !found.txns.is_empty() {
                lives(&store, &self.keys, &found, &mut |record| {
                    records.push(Owned::of(record));
                    Ok(())
                })?;
            }
            Ok(found)
        });
        let found = outcome.map_err(|error: JournalError| journal_error(py, &error))?;
        let out = PyDict::new(py);
        out.set_item("txns", found.txns)?;
        out.set_item("more", found.more)?;
        out.set_item("searched", found.searched)?;
        let list = records
            .iter()
            .map(|record| record.to_dict(py))
            .collect::<PyResult<Vec<_>>>()?;
        out.set_item("records", list)?;
        Ok(out.unbind())
    }

    fn summary(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let report = py.detach(|| {
            let store = Directory::open(&self.directory)?;
            let found = survey(&store, &self.keys)?;
            tail(&store, &self.keys, &found, true)
        });
        let report = report.map_err(|error| journal_error(py, &error))?;
        let summary = PyDict::new(py);
        summary.set_item("segments", report.segments - report.spares.len() as u64)?;
        summary.set_item("last_lsn", report.last_lsn)?;
        summary.set_item("checkpoint_lsn", report.checkpoint.lsn)?;
        let torn = match &report.torn {
            Some(torn) => {
                let place = PyDict::new(py);
                place.set_item("file", &torn.file)?;
                place.set_item("offset", torn.offset)?;
                place.set_item("bytes", torn.bytes)?;
                Some(place)
            }
            None => None,
        };
        summary.set_item("torn", torn)?;
        Ok(summary.unbind())
    }

    fn verify(&self, py: Python<'_>) -> PyResult<Vec<Py<PyDict>>> {
        let findings = py.detach(|| {
            let store = Directory::open(&self.directory)?;
            verify(&store, &self.keys)
        });
        let findings = findings.map_err(|error| journal_error(py, &error))?;
        findings
            .iter()
            .map(|finding| finding_dict(py, finding))
            .collect()
    }
}

pub(super) fn finding_dict(py: Python<'_>, finding: &Finding) -> PyResult<Py<PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("rule", finding.rule)?;
    dict.set_item("problem", &finding.problem)?;
    dict.set_item("lsn", finding.lsn)?;
    dict.set_item("txn", finding.txn)?;
    dict.set_item("file", &finding.file)?;
    dict.set_item("offset", finding.offset)?;
    dict.set_item("remedy", finding.remedy)?;
    Ok(dict.unbind())
}

struct RecordsState {
    receiver: Receiver<Result<Vec<Owned>, JournalError>>,
    batch: std::vec::IntoIter<Owned>,
}

/// The iterator of `Reader.records`; the scan runs in a thread of its own and stops when this is dropped.
#[pyclass(frozen, module = "switch._native.journal")]
struct PyRecords {
    state: Mutex<RecordsState>,
}

#[pymethods]
impl PyRecords {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let next = py.detach(|| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if let Some(record) = state.batch.next() {
                    return Some(Ok(record));
                }
                match state.receiver.recv() {
                    Ok(Ok(batch)) => state.batch = batch.into_iter(),
                    Ok(Err(error)) => return Some(Err(error)),
                    Err(_) => return None,
                }
            }
        });
        match next {
            Some(Ok(record)) => record.to_dict(py),
            Some(Err(error)) => Err(journal_error(py, &error)),
            None => Err(PyStopIteration::new_err(())),
        }
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyKeys>()?;
    m.add_class::<PyJournal>()?;
    m.add_class::<PyReader>()?;
    m.add_function(wrap_pyfunction!(create_key_file, m)?)?;
    m.add_function(wrap_pyfunction!(create_sealing_key, m)?)?;
    m.add(
        "__all__",
        [
            "Journal",
            "Keys",
            "Reader",
            "create_key_file",
            "create_sealing_key",
        ],
    )
}
