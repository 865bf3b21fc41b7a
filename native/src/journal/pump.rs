//! What carries pending groups to the disk and keeps the next segment ready: in production, two threads.
//!
//! A journal is its handle, its writer, its disk and a pump. The pump is the only part that knows of threads and of
//! waiting; the simulation's (`simulation/pump.rs`) is cranked by hand instead, over the same handle, writer, recovery
//! and checkpoints.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::prepare::{Bench, Maker, run as run_preparer};
use super::shared::{FailOnUnwind, Shared, lock};

/// Moves groups from the pending buffer to the disk.
pub(crate) trait Pump: Send + Sync {
    /// Something may be pending: write it soon.
    fn commit(&self);
    /// Writes a small group before it returns: whether `synced` has moved. None: this one is for later.
    fn write_here(&self) -> Option<bool>;
    /// Writes what is pending and ends. A second call does nothing.
    fn end(&self);
}

/// The writer's thread and the preparer's.
pub(super) struct Threads {
    shared: Arc<Shared>,
    bench: Arc<Bench>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts the preparer: whoever wants a segment from `bench` gets it.
    pub(super) fn start(
        shared: &Arc<Shared>,
        bench: &Arc<Bench>,
        mut maker: Maker,
    ) -> io::Result<Threads> {
        let preparer = std::thread::Builder::new()
            .name("journal-prepare".to_owned())
            .spawn(move || run_preparer(&mut maker))?;
        Ok(Threads {
            shared: Arc::clone(shared),
            bench: Arc::clone(bench),
            running: Mutex::new(vec![preparer]),
        })
    }

    /// Starts the writer, when the desk is furnished.
    pub(super) fn write(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let writer = std::thread::Builder::new()
            .name("journal-write".to_owned())
            .spawn(move || run(&shared))?;
        lock(&self.running).push(writer);
        Ok(())
    }
}

impl Pump for Threads {
    fn commit(&self) {
        if self.shared.kick() == Some(true) {
            self.shared.wake();
        }
    }

    fn write_here(&self) -> Option<bool> {
        self.shared.write_here()
    }

    fn end(&self) {
        self.shared.close();
        self.bench.end();
        let mut running = lock(&self.running);
        // The writer first: it may need a segment for the last group.
        while let Some(thread) = running.pop() {
            if running.is_empty() {
                self.bench.stop();
            }
            // A thread that panicked has already reported the failure.
            let _ = thread.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

/// The writer thread.
fn run(shared: &Shared) {
    let guard = FailOnUnwind(shared);
    while shared.wait() {
        let mut held = lock(&shared.desk);
        if held.is_none() {
            break;
        }
        // Nothing to take when `commit_here` was quicker.
        if shared.take(&mut held) && shared.write_group(&mut held) {
            shared.signal();
        }
    }
    *lock(&shared.desk) = None;
    std::mem::forget(guard);
}
