//! `switch._native.simulation.Disk` and `Pump`: thin wrappers, no logic.

use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::hook::{checked, crashed};
use super::journal::{Owned, PyJournal, PyKeys, finding_dict, journal_error};
use super::usage_error;
use crate::journal::rules::verify;
use crate::journal::scan::scan;
use crate::journal::{From, Journal, JournalError, Options, Step};
use crate::simulation::{self, disk, faults, pump};

#[pyclass(name = "Disk", frozen, module = "switch._native.simulation")]
pub(super) struct PyDisk(disk::SimDisk);

fn kind_of(py: Python<'_>, name: &str) -> PyResult<faults::Kind> {
    faults::Kind::parse(name)
        .ok_or_else(|| usage_error(py, &format!("a disk has no fault {name:?}")))
}

fn no_file(py: Python<'_>, name: &str) -> PyErr {
    usage_error(
        py,
        &format!("the disk has no such place in a file {name:?}"),
    )
}

#[pymethods]
impl PyDisk {
    #[new]
    fn new(seed: u64) -> PyDisk {
        PyDisk(disk::SimDisk::new(seed))
    }

    #[pyo3(signature = (keep = None))]
    fn crash(&self, keep: Option<Vec<(String, usize)>>) {
        self.0.crash(keep.as_deref());
    }

    fn unsynced(&self) -> Vec<(String, usize)> {
        self.0.unsynced()
    }

    fn image_hash(&self) -> String {
        let hash = self.0.image_hash();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn files<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let files = PyDict::new(py);
        for (name, bytes) in self.0.files() {
            files.set_item(name, bytes)?;
        }
        Ok(files)
    }

    fn read<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.durable(name).ok_or_else(|| no_file(py, name))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn replace(&self, name: &str, data: &[u8]) {
        self.0.replace(name, data);
    }

    fn delete(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let gone = self.0.delete(name);
        gone.then_some(()).ok_or_else(|| no_file(py, name))
    }

    fn flip(&self, py: Python<'_>, name: &str, offset: usize, mask: u8) -> PyResult<()> {
        let flipped = self.0.flip(name, offset, mask);
        flipped.then_some(()).ok_or_else(|| no_file(py, name))
    }

    fn copy(&self) -> PyDisk {
        PyDisk(self.0.copy())
    }

    fn archive(&self) -> PyDisk {
        PyDisk(self.0.archive())
    }

    fn forge(&self, name: &str, nth: usize) -> Option<(usize, usize)> {
        self.0.forge(name, nth)
    }

    fn export(&self, directory: &str) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        for (name, _) in self.0.files() {
            let bytes = self.0.durable(&name).unwrap_or_default();
            std::fs::write(Path::new(directory).join(&name), bytes)?;
        }
        Ok(())
    }

    fn verify(&self, py: Python<'_>, keys: &PyKeys) -> PyResult<Vec<Py<PyDict>>> {
        let findings = verify(&*self.0.at_rest().mount(), &keys.inner);
        let findings = findings.map_err(|error| journal_error(py, &error))?;
        findings
            .iter()
            .map(|finding| finding_dict(py, finding))
            .collect()
    }

    fn records<'py>(&self, py: Python<'py>, keys: &PyKeys) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let mut records = Vec::new();
        let store = self.0.at_rest().mount();
        scan(
            &*store,
            &keys.inner,
            From::Oldest,
            u64::MAX,
            false,
            &mut |record| {
                records.push(Owned::of(record));
                Ok(())
            },
        )
        .map_err(|error| journal_error(py, &error))?;
        records.iter().map(|record| record.to_dict(py)).collect()
    }

    #[pyo3(signature = (kind, nth = 1, *, sticky = false))]
    fn fail(&self, py: Python<'_>, kind: &str, nth: u64, sticky: bool) -> PyResult<()> {
        self.0.fail(kind_of(py, kind)?, nth, sticky);
        Ok(())
    }

    fn chance(&self, py: Python<'_>, kind: &str, per_million: u32) -> PyResult<()> {
        self.0.chance(kind_of(py, kind)?, per_million);
        Ok(())
    }

    #[staticmethod]
    fn faults() -> Vec<&'static str> {
        faults::KINDS.iter().map(|(_, name)| *name).collect()
    }

    fn mend(&self) {
        self.0.mend();
    }

    #[getter]
    fn capacity_bytes(&self) -> Option<u64> {
        self.0.capacity()
    }

    #[setter]
    fn set_capacity_bytes(&self, value: Option<u64>) {
        self.0.set_capacity(value);
    }

    #[pyo3(signature = (*, write_us = 0, sync_us = 0, create_us = 0, spread = 0.0, stall_per_million = 0, stall_us = 0))]
    fn speed(
        &self,
        write_us: u64,
        sync_us: u64,
        create_us: u64,
        spread: f64,
        stall_per_million: u32,
        stall_us: u64,
    ) {
        self.0.set_speed(disk::Speed {
            write_us,
            sync_us,
            create_us,
            spread: (spread.clamp(0.0, 1000.0) * 1024.0) as u64,
            stall_per_million,
            stall_us,
        });
    }

    fn spent_us(&self) -> u64 {
        self.0.take_spent_us()
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (name, count) in self.0.counts() {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }
}

#[pyclass(name = "Pump", frozen, module = "switch._native.simulation")]
pub(super) struct PyPump {
    journal: Arc<Journal>,
    hand: Arc<pump::Hand>,
}

fn word(step: Step) -> &'static str {
    match step {
        Step::Idle => "idle",
        Step::Written => "written",
        Step::More => "more",
        Step::Synced => "synced",
        Step::Failed => "failed",
    }
}

#[pymethods]
impl PyPump {
    #[new]
    #[pyo3(signature = (disk, keys, *, segment_bytes = 65_536, pending_bytes_max = 1_048_576, kick = None))]
    fn new(
        py: Python<'_>,
        disk: &PyDisk,
        keys: &PyKeys,
        segment_bytes: u64,
        pending_bytes_max: usize,
        kick: Option<Py<PyAny>>,
    ) -> PyResult<PyPump> {
        if !simulation::active() {
            return Err(usage_error(py, "no simulation is on in this process"));
        }
        let options = Options {
            segment_bytes,
            pending_bytes_max,
        };
        let bell = kick.map(|kick| -> pump::Bell {
            Box::new(move || {
                Python::attach(|py| {
                    if let Err(error) = kick.call0(py) {
                        // The journal cannot pass it on; it is shown, and the group is still marked.
                        error.write_unraisable(py, None);
                    }
                });
            })
        });
        let (journal, hand) = pump::open(&disk.0, Arc::clone(&keys.inner), options, bell)
            .map_err(|error: JournalError| journal_error(py, &error))?;
        Ok(PyPump { journal, hand })
    }

    #[getter]
    fn journal(&self) -> PyJournal {
        PyJournal {
            inner: Arc::clone(&self.journal),
        }
    }

    #[getter]
    fn here(&self) -> bool {
        self.hand.here()
    }

    #[setter]
    fn set_here(&self, here: bool) {
        self.hand.set_here(here);
    }

    #[getter]
    fn waiting(&self) -> bool {
        self.hand.waiting()
    }

    fn begin(&self) -> PyResult<&'static str> {
        checked(match self.hand.begin() {
            pump::Cranked::Step(step) => word(step),
            pump::Cranked::Stalled => "stalled",
        })
    }

    fn finish(&self) -> PyResult<&'static str> {
        checked(word(self.hand.finish()))
    }

    #[getter]
    fn signalled(&self) -> bool {
        self.hand.signalled()
    }

    #[getter]
    fn wants_segment(&self) -> bool {
        self.hand.wants_segment()
    }

    fn prepare(&self) -> PyResult<bool> {
        self.hand.prepare().map_err(crashed)
    }

    fn kill(&self) {
        self.hand.kill();
    }
}
