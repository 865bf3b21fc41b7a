//! `switch._native.walk.Gate`: thin wrapper, no logic.

use std::rc::Rc;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::codec::PyDialect;
use super::fault::encode_error;
use super::framer::{Kinds, PyFramer, shed};
use super::given::{
    Values, cause_of, connection, exactly, exactly_or_none, now, numbers, packed, used, waiting,
};
use super::hook::checked;
use super::journal::{PyJournal, journal_error};
use super::mac::PyGuard;
use super::message::PyMessage;
use super::meter::PyMeter;
use super::terminal::PyTerminals;
use super::usage_error;
use super::walk::{PyDuplicates, PyOriginal, issuer_index};
use crate::codec::name::Name;
use crate::limits::Allowance;
use crate::terminal::Variant;
use crate::terminal::registry::who;
use crate::walk::{
    Advise, Approve, Asked, Conclude, Forward, Gate, GateError, Numbers, Reversal, ReversalEffect,
    Word,
};

pub(super) fn gate_error(py: Python<'_>, error: &GateError) -> PyErr {
    match error {
        GateError::Encode(fault) => encode_error(py, fault),
        GateError::Journal(error) => journal_error(py, error),
        other => usage_error(py, &other.to_string()),
    }
}

/// "Durable before sent" in one place.
#[pyclass(name = "Gate", module = "switch._native.walk", unsendable)]
pub(super) struct PyGate(pub(super) Gate<Py<PyMessage>>);

#[pymethods]
impl PyGate {
    #[new]
    fn new(
        journal: &PyJournal,
        duplicates: PyRef<'_, PyDuplicates>,
        meter: Option<&PyMeter>,
        forwarder_code: &str,
    ) -> Self {
        PyGate(Gate::new(
            Arc::clone(&journal.inner),
            Rc::clone(&duplicates.0),
            meter.map(|meter| Arc::clone(&meter.0)),
            forwarder_code,
        ))
    }

    fn configured(&mut self, py: Python<'_>, digest: &str) -> PyResult<()> {
        let hash = packed(digest)
            .ok_or_else(|| usage_error(py, "a configuration's hash is 16 hex digits"))?;
        self.0.configured(hash);
        Ok(())
    }

    fn remeter(&mut self, py: Python<'_>, meter: &PyMeter) -> PyResult<()> {
        let done = self.0.remeter(Arc::clone(&meter.0));
        done.map_err(|e| gate_error(py, &e))
    }

    fn institution(&mut self, py: Python<'_>, name: &str, code: &str) -> PyResult<u16> {
        let index = self.0.institution(name, code);
        index.map_err(|e| gate_error(py, &e))
    }

    fn speaks(&mut self, institution: u16, dialect: &PyDialect) {
        self.0.speaks(institution, dialect.shared());
    }

    #[pyo3(signature = (institution, dialect, guard = None))]
    fn attach(
        &mut self,
        py: Python<'_>,
        institution: u16,
        dialect: &PyDialect,
        guard: Option<&PyGuard>,
    ) -> PyResult<u64> {
        let guard = guard.map(|guard| Arc::clone(&guard.0));
        let slot = self.0.attach(institution, dialect.shared(), guard);
        slot.map_err(|e| gate_error(py, &e))
    }

    fn detach(&mut self, slot: i64) -> Vec<u64> {
        self.0.detach(connection(slot))
    }

    fn retarget(&mut self, slot: i64, other: i64) -> usize {
        self.0.retarget(connection(slot), connection(other))
    }

    fn cancel(&mut self, slot: i64, txn: u64) -> bool {
        self.0.cancel(connection(slot), txn)
    }

    fn undelivered(&mut self) -> Vec<u64> {
        self.0.undelivered()
    }

    #[allow(clippy::too_many_arguments)]
    fn forward(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        txn: u64,
        acquirer: u16,
        issuer: u16,
        out_stan: u32,
        out_time: &str,
        wall_ms: i64,
        business_date: &str,
    ) -> PyResult<u64> {
        let py = request.py();
        let forward = Forward {
            slot: connection(slot),
            txn,
            acquirer,
            issuer,
            out: used(py, out_stan, out_time)?,
            at: now(wall_ms),
            business_date: exactly_or_none(py, "business_date", business_date)?,
        };
        let ticket = request.clone().unbind();
        let lsn = self.0.forward(ticket, &forward);
        lsn.map_err(|e| gate_error(py, &e))
    }

    fn answer(
        &mut self,
        request: &Bound<'_, PyMessage>,
        reply: &Bound<'_, PyMessage>,
        slot: i64,
        txn: u64,
        wall_ms: i64,
    ) -> PyResult<u64> {
        let ticket = request.clone().unbind();
        let lsn = self
            .0
            .answer(ticket, reply.get(), waiting(slot), txn, now(wall_ms));
        lsn.map_err(|e| gate_error(request.py(), &e))
    }

    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (request, slot, txn, code, end, wall_ms, cause = 0, reversal_stan = 0, reversal_time = "", bank_code = ""))]
    fn conclude(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        txn: u64,
        code: &str,
        end: &str,
        wall_ms: i64,
        cause: u8,
        reversal_stan: u32,
        reversal_time: &str,
        bank_code: &str,
    ) -> PyResult<Option<PyOriginal>> {
        let py = request.py();
        let conclude = Conclude {
            slot: waiting(slot),
            bank_code: bank_code.as_bytes(),
            ..concluded(
                py,
                txn,
                code,
                end,
                wall_ms,
                cause,
                reversal_stan,
                reversal_time,
            )?
        };
        let ticket = request.clone().unbind();
        let owed = self.0.conclude(&ticket, &conclude);
        owed.map(|owed| owed.map(PyOriginal))
            .map_err(|e| gate_error(py, &e))
    }

    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (request, slot, txn, acquirer, issuer, rule, why, allowed, advice, wall_ms, business_date, cause = 0, reversal = None))]
    fn stand_in(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        txn: u64,
        acquirer: u16,
        issuer: u16,
        rule: &str,
        why: &str,
        allowed: (u32, u64, u64),
        advice: (u32, &str),
        wall_ms: i64,
        business_date: &str,
        cause: u8,
        reversal: Option<(u32, &str)>,
    ) -> PyResult<(u8, Vec<PyOriginal>)> {
        let py = request.py();
        let (count, sum, bank_sum) = allowed;
        let approve = Approve {
            slot: waiting(slot),
            txn,
            acquirer,
            issuer,
            rule,
            why,
            allowed: Allowance {
                count,
                sum,
                bank_sum,
            },
            at: now(wall_ms),
            business_date: exactly_or_none(py, "business_date", business_date)?,
            advice: used(py, advice.0, advice.1)?,
            cause: cause_of(py, cause)?,
            reversal: reversal.map_or(Ok(Numbers::default()), |(stan, at)| used(py, stan, at))?,
        };
        let stood = self.0.approve(request.get(), &approve);
        let (fit, owed) = stood.map_err(|e| gate_error(py, &e))?;
        Ok((fit as u8, owed.into_iter().map(PyOriginal).collect()))
    }

    fn issuer_of(&self, txn: u64) -> i32 {
        self.0.issuer_of(txn).map_or(-1, issuer_index)
    }

    #[allow(clippy::too_many_arguments)]
    fn undo(
        &mut self,
        py: Python<'_>,
        txn: u64,
        code: &str,
        end: &str,
        wall_ms: i64,
        cause: u8,
        reversal_stan: u32,
        reversal_time: &str,
    ) -> PyResult<Option<PyOriginal>> {
        let conclude = concluded(
            py,
            txn,
            code,
            end,
            wall_ms,
            cause,
            reversal_stan,
            reversal_time,
        )?;
        let owed = self.0.undo(&conclude);
        owed.map(|owed| owed.map(PyOriginal))
            .map_err(|e| gate_error(py, &e))
    }

    #[pyo3(signature = (request, slot, txn, acquirer, code, end, wall_ms, reason = ""))]
    #[allow(clippy::too_many_arguments)]
    fn decline(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        txn: u64,
        acquirer: u16,
        code: &str,
        end: &str,
        wall_ms: i64,
        reason: &str,
    ) -> PyResult<u64> {
        let py = request.py();
        let (code, end) = (exactly(py, "code", code)?, exactly(py, "end", end)?);
        let lsn = self.0.decline(
            request.get(),
            waiting(slot),
            txn,
            acquirer,
            code,
            end,
            now(wall_ms),
            reason,
        );
        lsn.map_err(|e| gate_error(py, &e))
    }

    #[pyo3(signature = (request, slot, code, end = "", now_s = 0))]
    fn refuse(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        code: &str,
        end: &str,
        now_s: i64,
    ) -> PyResult<()> {
        let py = request.py();
        let (code, end) = (exactly(py, "code", code)?, exactly_or_none(py, "end", end)?);
        let done = self
            .0
            .refuse(request.get(), waiting(slot), code, end, now_s);
        done.map_err(|e| gate_error(py, &e))
    }

    #[allow(clippy::too_many_arguments)]
    fn shed(
        &mut self,
        py: Python<'_>,
        framers: Vec<Bound<'_, PyFramer>>,
        slots: Vec<i64>,
        late_ns: u64,
        before_ns: u64,
        frames_max: usize,
        code: &str,
        end: &str,
        now_s: i64,
    ) -> PyResult<(Kinds, Vec<usize>)> {
        let told = (exactly(py, "code", code)?, exactly(py, "end", end)?);
        let from = framers.iter().zip(slots.into_iter().map(connection));
        let within = (late_ns, before_ns, frames_max);
        shed(from, &mut self.0, within, told, now_s)
    }

    fn repeat(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        institution: u16,
        now_s: i64,
    ) -> PyResult<bool> {
        let stored = self
            .0
            .repeat(request.get(), waiting(slot), institution, now_s);
        stored.map_err(|e| gate_error(request.py(), &e))
    }

    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (request, slot, txn, acquirer, original, effect, wall_ms, now_s, reversal_stan = 0, reversal_time = ""))]
    fn reversal(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        txn: u64,
        acquirer: u16,
        original: u64,
        effect: u8,
        wall_ms: i64,
        now_s: i64,
        reversal_stan: u32,
        reversal_time: &str,
    ) -> PyResult<Option<PyOriginal>> {
        let py = request.py();
        let reversal = Reversal {
            slot: waiting(slot),
            txn,
            acquirer,
            original,
            effect: ReversalEffect::from_u8(effect)
                .ok_or_else(|| usage_error(py, "no such effect of a reversal"))?,
            at: now(wall_ms),
            now_s,
            reversal: numbers(py, reversal_stan, reversal_time)?,
        };
        let owed = self.0.reversal(request.get(), &reversal);
        owed.map(|owed| owed.map(PyOriginal))
            .map_err(|e| gate_error(py, &e))
    }

    #[allow(clippy::too_many_arguments)]
    fn advise(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        txn: u64,
        acquirer: u16,
        issuer: u16,
        stan: u32,
        time: &str,
        wall_ms: i64,
        now_s: i64,
        business_date: &str,
    ) -> PyResult<PyOriginal> {
        let py = request.py();
        let advise = Advise {
            slot: waiting(slot),
            txn,
            acquirer,
            issuer,
            own: used(py, stan, time)?,
            at: now(wall_ms),
            now_s,
            business_date: exactly_or_none(py, "business_date", business_date)?,
        };
        let owed = self.0.advise(request.get(), &advise);
        owed.map(PyOriginal).map_err(|e| gate_error(py, &e))
    }

    fn deliver(
        &mut self,
        py: Python<'_>,
        original: PyRef<'_, PyOriginal>,
        slot: i64,
        repeat: bool,
    ) -> PyResult<bool> {
        let held = self.0.deliver(&original.0, connection(slot), repeat);
        held.map_err(|e| gate_error(py, &e))
    }

    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (original, result, wall_ms, end = "--", operator = "", remark = "", bank_code = ""))]
    fn settle(
        &mut self,
        py: Python<'_>,
        original: PyRef<'_, PyOriginal>,
        result: &str,
        wall_ms: i64,
        end: &str,
        operator: &str,
        remark: &str,
        bank_code: &str,
    ) -> PyResult<u64> {
        let end = exactly(py, "end", end)?;
        let word = Word::of(operator, remark, bank_code);
        let lsn = self.0.settle(&original.0, result, end, now(wall_ms), word);
        lsn.map_err(|e| gate_error(py, &e))
    }

    fn mark(
        &mut self,
        py: Python<'_>,
        institution: u16,
        stan: u32,
        time: &str,
        wall_ms: i64,
    ) -> PyResult<u64> {
        let numbers = used(py, stan, time)?;
        let lsn = self.0.mark(institution, numbers, wall_ms);
        lsn.map_err(|e| gate_error(py, &e))
    }

    fn network(
        &mut self,
        slot: i64,
        mti: &str,
        values: &Bound<'_, PyDict>,
        after: u64,
    ) -> PyResult<bool> {
        let py = values.py();
        let mut known = Vec::with_capacity(values.len());
        for (name, value) in values {
            let name: String = name.extract()?;
            let canonical = Name::parse(&name)
                .ok_or_else(|| usage_error(py, &format!("no field is called {name}")))?;
            known.push((canonical, value.extract()?));
        }
        let mti = exactly(py, "mti", mti)?;
        let held = self.0.network(connection(slot), mti, &Values(known), after);
        held.map_err(|e| gate_error(py, &e))
    }

    #[pyo3(signature = (request, slot, code, now_s = 0))]
    fn network_answer(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        code: &str,
        now_s: i64,
    ) -> PyResult<bool> {
        let py = request.py();
        let code = exactly(py, "code", code)?;
        let gate = &mut self.0;
        let held = gate.network_answer(request.get(), connection(slot), code, now_s);
        held.map_err(|e| gate_error(py, &e))
    }

    fn standing(&self, request: &Bound<'_, PyMessage>, slot: i64) -> u8 {
        self.0.standing(request.get(), connection(slot)) as u8
    }

    fn sign_on(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        variant: &str,
        batch: &str,
        wall_ms: i64,
    ) -> PyResult<bool> {
        let py = request.py();
        let Some(variant) = Variant::of_code(variant.as_bytes()) else {
            return Ok(false);
        };
        let batch = exactly_or_none(py, "batch", batch)?;
        let asked = Asked {
            variant,
            batch,
            wall_ms,
        };
        let done = self.0.sign_on(request.get(), connection(slot), &asked);
        done.map_err(|e| gate_error(py, &e))
    }

    fn sign_off(
        &mut self,
        request: &Bound<'_, PyMessage>,
        slot: i64,
        wall_ms: i64,
    ) -> PyResult<bool> {
        let done = self.0.sign_off(request.get(), connection(slot), wall_ms);
        done.map_err(|e| gate_error(request.py(), &e))
    }

    fn terminal_off(
        &mut self,
        py: Python<'_>,
        terminals: &PyTerminals,
        acquirer: &str,
        terminal_id: &str,
        wall_ms: i64,
    ) -> PyResult<bool> {
        let done = who(acquirer, terminal_id.as_bytes())
            .map(|who| self.0.signed_off(&terminals.0, &who, wall_ms));
        done.unwrap_or(Ok(false)).map_err(|e| gate_error(py, &e))
    }

    fn commit(&mut self) -> PyResult<bool> {
        checked(self.0.commit())
    }

    fn hand_over(&mut self) -> PyResult<bool> {
        checked(self.0.hand_over())
    }

    fn release<'py>(&mut self, py: Python<'py>, now_ns: u64) -> PyResult<Bound<'py, PyList>> {
        let out = PyList::empty(py);
        let give = |slot, bytes: &[u8]| out.append((slot, PyBytes::new(py, bytes)));
        self.0.release(now_ns, give)?;
        checked(out)
    }

    fn owed_to(&self, institution: u16) -> usize {
        self.0.owed_to(institution)
    }

    fn oldest_owed_to(&self, institution: u16) -> String {
        let time = self.0.oldest_owed_to(institution).map(Vec::from);
        String::from_utf8_lossy(&time.unwrap_or_default()).into_owned()
    }

    #[getter]
    fn held(&self) -> usize {
        self.0.held()
    }

    #[getter]
    fn recorded(&self) -> usize {
        self.0.recorded()
    }

    fn held_bytes(&self, slot: i64) -> usize {
        self.0.held_bytes(connection(slot))
    }

    fn checkpoint_due(&self) -> bool {
        self.0.checkpoint_due()
    }

    fn checkpoint(&mut self, py: Python<'_>, wall_ms: i64) -> PyResult<bool> {
        let done = self.0.checkpoint(wall_ms);
        done.map_err(|e| gate_error(py, &e))
    }
}

#[allow(clippy::too_many_arguments)]
fn concluded(
    py: Python<'_>,
    txn: u64,
    code: &str,
    end: &str,
    wall_ms: i64,
    cause: u8,
    reversal_stan: u32,
    reversal_time: &str,
) -> PyResult<Conclude<'static>> {
    Ok(Conclude {
        slot: None,
        txn,
        code: exactly(py, "code", code)?,
        end: exactly(py, "end", end)?,
        at: now(wall_ms),
        cause: cause_of(py, cause)?,
        reversal: numbers(py, reversal_stan, reversal_time)?,
        bank_code: &[],
    })
}
