//! What a group takes, for the worker's meter: recorded by whoever writes the group, beside its own tally.

use std::sync::{Arc, Mutex};

use super::handle::Journal;
use super::shared::lock;
use crate::meter::Meter;

/// The histogram that was chosen last, if any.
#[derive(Default)]
pub(crate) struct Measured(Mutex<Option<(Arc<Meter>, usize)>>);

impl Measured {
    /// The writer never waits: while another meter is being chosen, a group goes unrecorded.
    #[inline]
    pub(super) fn record(&self, took_us: u64) {
        if let Ok(chosen) = self.0.try_lock() {
            if let Some((meter, index)) = chosen.as_ref() {
                meter.record(*index, took_us);
            }
        }
    }
}

impl Journal {
    /// From now on every group's time goes into that histogram of `meter`, and into no other. False when there is no
    /// such histogram: nothing has changed then.
    pub fn measure(&self, meter: &Arc<Meter>, name: &str) -> bool {
        let Some(index) = meter.histogram(name) else {
            return false;
        };
        *lock(&self.shared.measured.0) = Some((Arc::clone(meter), index));
        true
    }
}
