//! `switch._native.walk`: thin wrappers, no logic.

use std::cell::RefCell;
use std::rc::Rc;

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::gate::{PyGate, gate_error};
use super::journal::{PyJournal, PyKeys};
use super::message::PyMessage;
use super::terminal::PyTerminals;
use super::usage_error;
use crate::codec::Message;
use crate::limits::{Of, Whose};
use crate::tap::{Tap, atc};
use crate::walk::{
    CAPACITY_MAX, Digester, Duplicates, Memory, NO_ISSUER, NOWHERE, Original, Recovered, Route,
    RouteError, Routes, View, with_pan,
};

fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    PyString::new(
        py,
        &String::from_utf8_lossy(bytes.get(..end).unwrap_or(&[])),
    )
}

pub(super) fn issuer_index(issuer: u16) -> i32 {
    if issuer == NO_ISSUER {
        -1
    } else {
        i32::from(issuer)
    }
}

/// Longest BIN prefix to an issuer's index.
#[pyclass(name = "Routes", module = "switch._native.walk", frozen)]
struct PyRoutes(Routes);

#[pymethods]
impl PyRoutes {
    #[new]
    fn new(py: Python<'_>, rules: Vec<(String, i32)>) -> PyResult<Self> {
        Routes::new(&rules)
            .map(PyRoutes)
            .map_err(|error: RouteError| usage_error(py, &error.to_string()))
    }

    fn find(&self, message: &Bound<'_, PyMessage>) -> i32 {
        let message = message.get();
        let route = self.route(message);
        if route.issuer >= 0 {
            message.set_route(route.digits);
        }
        route.issuer
    }

    fn has(&self, message: &Bound<'_, PyMessage>) -> bool {
        self.route(message.get()).issuer >= 0
    }
}

impl PyRoutes {
    /// By the card behind the token, where there is one.
    fn route(&self, message: &Message) -> Route {
        match Tap::of(message) {
            Some(tap) => self.0.find(tap.card.pan()),
            None => with_pan(message, |pan| self.0.find(pan)).unwrap_or(NOWHERE),
        }
    }
}

/// A view of one remembered request.
#[pyclass(name = "Entry", module = "switch._native.walk", frozen)]
struct PyEntry(View);

#[pymethods]
impl PyEntry {
    #[getter]
    fn txn(&self) -> u64 {
        self.0.entry.txn
    }

    #[getter]
    fn state(&self) -> u8 {
        self.0.entry.state as u8
    }

    #[getter]
    fn same_body(&self) -> bool {
        self.0.same_body
    }

    #[getter]
    fn card_agrees(&self) -> bool {
        self.0.card_agrees
    }

    #[getter]
    fn kind(&self) -> u8 {
        self.0.entry.kind
    }

    #[getter]
    fn amount_minor(&self) -> u64 {
        self.0.entry.amount
    }

    #[getter]
    fn response_code<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, &self.0.entry.code)
    }

    #[getter]
    fn issuer(&self) -> i32 {
        issuer_index(self.0.entry.issuer)
    }

    #[getter]
    fn business_date<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, &self.0.entry.business_date)
    }

    fn __repr__(&self) -> String {
        format!(
            "<Entry {:?} of {:#x}>",
            self.0.entry.state, self.0.entry.txn
        )
    }
}

/// Request keys and the answer each got.
#[pyclass(name = "Duplicates", module = "switch._native.walk", unsendable)]
pub(super) struct PyDuplicates(pub(super) Rc<RefCell<Memory>>);

impl PyDuplicates {
    fn with<R>(&self, py: Python<'_>, act: impl FnOnce(&mut Memory) -> R) -> PyResult<R> {
        match self.0.try_borrow_mut() {
            Ok(mut memory) => Ok(act(&mut memory)),
            Err(_) => Err(usage_error(py, "the duplicates table is in use")),
        }
    }
}

#[pymethods]
impl PyDuplicates {
    #[new]
    #[pyo3(signature = (keys, capacity, retention_s = 86_400, counters = 0, stand_in_cards = 131_072))]
    fn new(
        py: Python<'_>,
        keys: &PyKeys,
        capacity: usize,
        retention_s: u32,
        counters: usize,
        stand_in_cards: usize,
    ) -> PyResult<Self> {
        if !(1..=CAPACITY_MAX).contains(&capacity) {
            let problem = format!("capacity is not from 1 to {CAPACITY_MAX}");
            return Err(usage_error(py, &problem));
        }
        if counters > atc::CAPACITY_MAX {
            let problem = format!("counters is over {}", atc::CAPACITY_MAX);
            return Err(usage_error(py, &problem));
        }
        let digester = Digester::new(keys.inner.index_key(), keys.inner.card_key());
        let table = Duplicates::new(capacity, retention_s);
        let memory = Memory::new(digester, table, counters, stand_in_cards)
            .map_err(|error| usage_error(py, &error.to_string()))?;
        Ok(PyDuplicates(Rc::new(RefCell::new(memory))))
    }

    /// Terminals that sign on: what replay finds of them goes there, and checkpoints carry it.
    fn register(&self, py: Python<'_>, terminals: &PyTerminals) -> PyResult<()> {
        let mut memory = self
            .0
            .try_borrow_mut()
            .map_err(|_| usage_error(py, "the duplicates table is in use"))?;
        memory.terminals = Some(Arc::clone(&terminals.0));
        Ok(())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |memory| memory.table.len())
    }

    #[getter]
    fn capacity(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |memory| memory.table.capacity())
    }

    #[getter]
    fn counters(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |memory| memory.atc.len())
    }

    #[getter]
    fn counters_max(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |memory| memory.atc.capacity())
    }

    fn keep(&self, py: Python<'_>, retention_s: u32, early_s: u32) -> PyResult<()> {
        self.with(py, |memory| memory.table.keep(retention_s, early_s))
    }

    fn zone(&self, py: Python<'_>, offset_s: i64) -> PyResult<()> {
        self.with(py, |memory| memory.zone_offset_s = offset_s)
    }

    fn claim(
        &self,
        message: &Bound<'_, PyMessage>,
        institution: u16,
        txn: u64,
        now_s: i64,
    ) -> PyResult<u8> {
        self.with(message.py(), |memory| {
            let (state, same) = memory.claim(message.get(), institution, txn, now_s);
            state as u8 + if same { 0 } else { 16 }
        })
    }

    fn look(
        &self,
        message: &Bound<'_, PyMessage>,
        institution: u16,
        now_s: i64,
    ) -> PyResult<Option<PyEntry>> {
        self.with(message.py(), |memory| {
            memory.look(message.get(), institution, now_s).map(PyEntry)
        })
    }

    fn original(
        &self,
        reversal: &Bound<'_, PyMessage>,
        institution: u16,
        now_s: i64,
    ) -> PyResult<Option<PyEntry>> {
        self.with(reversal.py(), |memory| {
            memory
                .original(reversal.get(), institution, now_s)
                .map(PyEntry)
        })
    }

    /// Approved in a bank's name on a business date, over all its cards.
    fn stand_in(
        &self,
        py: Python<'_>,
        issuer: u16,
        currency: &str,
        business_date: &str,
    ) -> PyResult<(u32, u64)> {
        let (Ok(currency), Ok(date)) = (
            currency.as_bytes().try_into(),
            business_date.as_bytes().try_into(),
        ) else {
            return Err(usage_error(py, "a currency is 3 digits, a business date 8"));
        };
        let of = Of {
            date,
            currency,
            whose: Whose::Bank(issuer),
        };
        let used = self.with(py, |memory| memory.stand_ins.used(&of))?;
        Ok((used.count, used.sum))
    }

    #[getter]
    fn stand_in_cards(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |memory| memory.stand_ins.len())
    }

    fn evictions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let evictions = self.with(py, |memory| memory.table.evictions)?;
        let out = PyDict::new(py);
        out.set_item("all", evictions.all)?;
        out.set_item("early", evictions.early)?;
        out.set_item("early_age_s", evictions.early_age_s)?;
        out.set_item("in_flight", evictions.in_flight)?;
        Ok(out)
    }
}

/// A request for which a reversal or an advice is owed, or will be.
#[pyclass(name = "Original", module = "switch._native.walk", unsendable)]
pub(super) struct PyOriginal(pub(super) Rc<Original>);

#[pymethods]
impl PyOriginal {
    #[getter]
    fn txn(&self) -> u64 {
        self.0.txn
    }

    #[getter]
    fn issuer(&self) -> u16 {
        self.0.issuer
    }

    #[getter]
    fn acquirer(&self) -> u16 {
        self.0.acquirer
    }

    #[getter]
    fn out_stan(&self) -> u32 {
        self.0.out.stan
    }

    #[getter]
    fn out_time<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, &self.0.out.time)
    }

    #[getter]
    fn duty(&self) -> u8 {
        self.0.duty as u8
    }

    #[getter]
    fn stan(&self) -> u32 {
        self.0.own.stan
    }

    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, &self.0.own.time)
    }

    #[getter]
    fn why<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, &self.0.why())
    }

    #[getter]
    fn standing(&self) -> &'static str {
        self.0.standing()
    }

    #[getter]
    fn owed_ms(&self) -> i64 {
        self.0.owed_ms.get()
    }

    #[getter]
    fn cause(&self) -> u8 {
        self.0.cause as u8
    }

    #[getter]
    fn attempts(&self) -> u32 {
        self.0.attempts.get()
    }

    #[getter]
    fn sent_ns(&self) -> u64 {
        self.0.sent_ns.get()
    }

    #[getter]
    fn kind(&self) -> u8 {
        self.0.kind
    }

    #[getter]
    fn amount_minor(&self) -> u64 {
        self.0.amount
    }

    #[getter]
    fn business_date<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, &self.0.business_date)
    }

    fn agrees(&self, reply: &Bound<'_, PyMessage>) -> bool {
        self.0.agrees(reply.get())
    }

    fn __repr__(&self) -> String {
        format!(
            "<Original {:#x}, {:?}, {:?}>",
            self.0.txn, self.0.duty, self.0.cause
        )
    }
}

/// What replaying a journal left open.
#[pyclass(name = "Recovered", module = "switch._native.walk", unsendable)]
struct PyRecovered {
    recovered: Recovered,
    marks: Py<PyDict>,
}

#[pymethods]
impl PyRecovered {
    #[getter]
    fn in_doubt(&self) -> Vec<PyOriginal> {
        let list = self.recovered.in_doubt.iter();
        list.map(|original| PyOriginal(Rc::clone(original)))
            .collect()
    }

    #[getter]
    fn owed(&self) -> Vec<PyOriginal> {
        let list = self.recovered.owed.iter();
        list.map(|original| PyOriginal(Rc::clone(original)))
            .collect()
    }

    #[getter]
    fn marks(&self, py: Python<'_>) -> Py<PyDict> {
        self.marks.clone_ref(py)
    }

    #[getter]
    fn last_txn(&self) -> u64 {
        self.recovered.last_txn
    }

    #[getter]
    fn records(&self) -> u64 {
        self.recovered.records
    }
}

#[pyfunction]
fn recover(
    py: Python<'_>,
    journal: &PyJournal,
    keys: &PyKeys,
    duplicates: PyRef<'_, PyDuplicates>,
    gate: &Bound<'_, PyGate>,
) -> PyResult<PyRecovered> {
    // The journal reads itself with the keys that it was opened with.
    let _ = keys;
    let mut gate = gate.try_borrow_mut()?;
    if !gate.0.stands_on(&journal.inner, &duplicates.0) {
        let problem = "the gate was made with another journal or another duplicates table";
        return Err(usage_error(py, problem));
    }
    let recovered = gate.0.recover().map_err(|e| gate_error(py, &e))?;
    let marks = PyDict::new(py);
    duplicates.with(py, |memory| {
        for (institution, mark) in &recovered.marks {
            marks.set_item(memory.name(*institution), (mark.unix_s, mark.stan))?;
        }
        PyResult::Ok(())
    })??;
    Ok(PyRecovered {
        recovered,
        marks: marks.unbind(),
    })
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add(
        "__all__",
        [
            "Duplicates",
            "Entry",
            "Gate",
            "Original",
            "Recovered",
            "Routes",
            "recover",
        ],
    )?;
    m.add_function(wrap_pyfunction!(recover, m)?)?;
    m.add_class::<PyDuplicates>()?;
    m.add_class::<PyEntry>()?;
    m.add_class::<PyGate>()?;
    m.add_class::<PyOriginal>()?;
    m.add_class::<PyRecovered>()?;
    m.add_class::<PyRoutes>()
}
