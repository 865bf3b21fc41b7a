//! What the gate's calls are given from Python, checked.

use pyo3::prelude::*;

use super::usage_error;
use crate::clock;
use crate::codec::name::{Name, Source};
use crate::journal::CONFIG_HASH_BYTES;
use crate::walk::{Cause, Moment, Numbers, SlotId};

/// Field 11 has six digits.
const STAN_MAX: u32 = 999_999;

/// The moment of an act: its wall clock, and the monotonic one (some 25 ns).
pub(super) fn now(wall_ms: i64) -> Moment {
    Moment {
        wall_ms,
        now_ns: clock::monotonic_ns(),
    }
}

/// Exactly `N` bytes of text.
pub(super) fn exactly<const N: usize>(py: Python<'_>, what: &str, text: &str) -> PyResult<[u8; N]> {
    text.as_bytes()
        .try_into()
        .map_err(|_| usage_error(py, &format!("{what} is not {N} characters")))
}

/// Exactly `N` bytes of text, or zeros for none.
pub(super) fn exactly_or_none<const N: usize>(
    py: Python<'_>,
    what: &str,
    text: &str,
) -> PyResult<[u8; N]> {
    if text.is_empty() {
        return Ok([0; N]);
    }
    exactly(py, what, text)
}

/// Where somebody waits; a negative number: nobody does.
pub(super) fn waiting(slot: i64) -> Option<SlotId> {
    SlotId::try_from(slot).ok()
}

/// A connection's number; negative ones are of no connection.
pub(super) fn connection(slot: i64) -> SlotId {
    SlotId::try_from(slot).unwrap_or(SlotId::MAX)
}

/// The bytes of 16 lower-case hex digits.
pub(super) fn packed(digest: &str) -> Option<[u8; CONFIG_HASH_BYTES]> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digest.len() != 2 * CONFIG_HASH_BYTES || !digest.bytes().all(lower) {
        return None;
    }
    Some(u64::from_str_radix(digest, 16).ok()?.to_be_bytes())
}

/// STAN and transmission time of a message of ours.
pub(super) fn used(py: Python<'_>, stan: u32, time: &str) -> PyResult<Numbers> {
    if !(1..=STAN_MAX).contains(&stan) {
        return Err(usage_error(py, &format!("a STAN is 1 to {STAN_MAX}")));
    }
    let time = exactly(py, "a transmission time", time)?;
    Ok(Numbers { stan, time })
}

/// As `used`, or nothing at all.
pub(super) fn numbers(py: Python<'_>, stan: u32, time: &str) -> PyResult<Numbers> {
    if stan == 0 && time.is_empty() {
        return Ok(Numbers::default());
    }
    used(py, stan, time)
}

pub(super) fn cause_of(py: Python<'_>, cause: u8) -> PyResult<Cause> {
    Cause::from_u8(cause).ok_or_else(|| usage_error(py, "no such cause of a reversal"))
}

/// Values of a network management message from Python.
pub(super) struct Values(pub(super) Vec<(Name, String)>);

impl Source for Values {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        let found = self.0.iter().find(|(known, _)| *known == name);
        if let Some((_, value)) = found {
            out.extend_from_slice(value.as_bytes());
        }
        found.is_some_and(|(_, value)| !value.is_empty())
    }
}
