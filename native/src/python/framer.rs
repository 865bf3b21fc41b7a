//! `switch._native.codec.Framer`: thin wrapper, no logic.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::codec::{PyDialect, PyKeepAlive};
use super::fault::{framing_error, received_error};
use super::gate::gate_error;
use super::mac::PyGuard;
use super::message::PyMessage;
use super::python_error;
use crate::codec::image::unproved;
use crate::codec::{self, Backlog, Came, Dialect, Framer, Message};
use crate::mac::Guard;
use crate::walk::{Gate, Line, Refusing, Shed, SlotId, Ticket};

/// Undecodable messages of one chunk that are told; what comes behind one more is not looked at any more. Whoever has
/// read so many closes the link (`UNDECODABLE_MAX` of the listener is less), and should not pay for the rest first.
const CHUNK_REFUSALS_MAX: usize = 40;

/// (kind, number) of messages.
pub(super) type Kinds = Vec<(u8, usize)>;

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
            dialect: Arc::clone(dialect.shared()),
            framer: Framer::new(dialect.shared().framing, frame_bytes_max),
            backlog: Backlog::new(dialect.shared().framing, frame_bytes_max),
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
        let added = self.backlog.add(data, now_ns);
        added.map_err(|fault| framing_error(py, &fault))?;
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
        self.framer.buffered() + self.backlog.buffered()
    }

    #[getter]
    fn first_byte_ns(&self) -> u64 {
        self.framer
            .first_byte_ns()
            .max(self.backlog.first_byte_ns())
    }
}

impl PyFramer {
    /// What stands in front came before `late_ns`.
    fn is_late(&self, late_ns: u64) -> bool {
        let front = self.backlog.front();
        front.is_some_and(|(_, came)| came.complete_ns < late_ns)
    }

    /// What stands in front is not to wait for room: it is no new request, or one that was late and, where `shed`, could
    /// not be refused.
    fn passes(&self, late_ns: u64, shed: bool) -> bool {
        self.backlog.front().is_some_and(|(content, came)| {
            let request = codec::is_new_request(&self.dialect, content);
            !request || shed && came.complete_ns < late_ns
        })
    }
}

/// Refuses on several connections what waits too long, `frames_max` in all; what was refused, and which of them have
/// something in front that is not to wait.
pub(super) fn shed<'a, 'py: 'a, T: Ticket>(
    from: impl Iterator<Item = (&'a Bound<'py, PyFramer>, SlotId)>,
    gate: &mut Gate<T>,
    (late_ns, before_ns, frames_max): (u64, u64, usize),
    (code, end): ([u8; 2], [u8; 2]),
    now_s: i64,
) -> PyResult<(Kinds, Vec<usize>)> {
    let (mut shed, mut passing) = (Shed::default(), Vec::new());
    let refusing = Refusing {
        before_ns,
        code,
        end,
        now_s,
    };
    for (at, (framer, slot)) in from.enumerate() {
        let py = framer.py();
        let mut framer = framer.try_borrow_mut()?;
        let room = frames_max.saturating_sub(shed.count);
        if room > 0 && framer.is_late(late_ns) {
            let framer = &mut *framer;
            let mut line = Line {
                dialect: &framer.dialect,
                guard: framer.guard.as_deref(),
                backlog: &mut framer.backlog,
                slot,
            };
            let done = gate.shed(&mut line, &refusing, room, &mut shed);
            done.map_err(|error| gate_error(py, &error))?;
        }
        if framer.passes(late_ns, shed.count < frames_max) {
            passing.push(at);
        }
    }
    Ok((shed.kinds, passing))
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
        let answer = PyKeepAlive::of(dialect.framing.empty_frame());
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
