//! Index environments of a simulation: one process holds what would be two, a gateway and a worker, over one directory.
//!
//! LMDB wants an environment open once in a process. In a simulation it is, and everybody who opens it gets a handle of
//! his own to it, with snapshots of his own; it closes when the last handle goes, after `end` at the latest.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use heed::{Env, WithoutTls};

static OPEN: Mutex<Vec<(PathBuf, Env<WithoutTls>)>> = Mutex::new(Vec::new());

/// The environment at `place`: the one that is open already, or what `open` opens.
///
/// # Errors
/// Those of `open`.
pub fn environment(
    place: &Path,
    open: impl FnOnce() -> heed::Result<Env<WithoutTls>>,
) -> heed::Result<Env<WithoutTls>> {
    let mut all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place.canonicalize()?;
    if let Some((_, env)) = all.iter().find(|(at, _)| *at == place) {
        return Ok(env.clone());
    }
    let env = open()?;
    all.push((place, env.clone()));
    Ok(env)
}

/// Its directory goes: another one may get its name.
pub fn forget(place: &Path) {
    let mut all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(place) = place.canonicalize() {
        all.retain(|(at, _)| *at != place);
    }
}

/// The simulation is over.
pub(super) fn forget_all() {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
