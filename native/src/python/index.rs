//! `switch._native.index`: thin wrappers, no logic. Card numbers go from the vault's sealed form to the index's without
//! becoming Python objects.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::journal::PyKeys;
use super::{python_error, usage_error};
use crate::codec::class::mask_pan;
use crate::index::record::{Few, check_digit};
use crate::index::seal::Seal;
use crate::index::store::Stamp;
use crate::index::vault::VaultFault;
use crate::index::{Domain, Index, IndexError, Rebuild, Token, TokenRecord, TokenState, VaultKeys};
use crate::journal::keys::{Keys, KeysError, random};
use crate::tap::proven::Card;

fn raised(py: Python<'_>, class: &str, problem: &str) -> PyErr {
    match PyTuple::new(py, [problem]) {
        Ok(args) => python_error(py, class, &args, None),
        Err(error) => error,
    }
}

fn index_error(py: Python<'_>, error: &IndexError) -> PyErr {
    raised(py, "TokenIndexError", &error.to_string())
}

fn vault_error(py: Python<'_>, fault: &VaultFault) -> PyErr {
    match fault {
        VaultFault::Number => usage_error(py, &fault.to_string()),
        VaultFault::DoesNotOpen(_) => raised(py, "VaultError", &fault.to_string()),
        VaultFault::Keys(_) => raised(py, "KeyFileError", &fault.to_string()),
    }
}

fn seal(py: Python<'_>, keys: &Keys) -> PyResult<Seal> {
    Seal::new(keys).map_err(|e: KeysError| raised(py, "KeyFileError", &e.to_string()))
}

fn locked<'m, T>(py: Python<'_>, mutex: &'m Mutex<T>) -> PyResult<MutexGuard<'m, T>> {
    mutex
        .lock()
        .map_err(|_| usage_error(py, "the index failed before"))
}

fn token(py: Python<'_>, digits: &str) -> PyResult<Token> {
    Token::parse(digits.as_bytes()).ok_or_else(|| usage_error(py, "a token has 8 to 19 digits"))
}

/// A token as the vault has it; attributes of any object.
#[derive(FromPyObject)]
struct Row {
    token: String,
    state: u8,
    token_sequence: u8,
    token_expiry: String,
    pan_sealed: Vec<u8>,
    card_row: i64,
    key_version: u32,
    card_expiry: String,
    card_sequence: Option<u8>,
    requestor: String,
    assurance: String,
    mapping_version: u32,
    requestor_bound: bool,
    channels: u16,
    mccs: Vec<u16>,
    ceiling_minor: Option<u64>,
    ceiling_currency: u16,
    currencies: Vec<u16>,
    not_before_s: u32,
    not_after_s: u32,
}

fn exactly<const N: usize>(py: Python<'_>, text: &str, what: &str) -> PyResult<[u8; N]> {
    text.as_bytes()
        .try_into()
        .map_err(|_| usage_error(py, &format!("{what} has {N} characters")))
}

impl Row {
    fn record(&self, py: Python<'_>, vault: &mut VaultKeys) -> PyResult<(Token, TokenRecord)> {
        let state = TokenState::from_u8(self.state);
        let mut card = vault
            .card(&self.pan_sealed, self.card_row, self.key_version)
            .map_err(|fault| vault_error(py, &fault))?;
        if !self.card_expiry.is_empty() {
            card.expiry = exactly(py, &self.card_expiry, "a card's expiry")?;
        }
        card.sequence = self.card_sequence;
        let too_many = || usage_error(py, "a domain names too many values");
        let domain = Domain {
            requestor_bound: self.requestor_bound,
            channels: self.channels,
            mccs: Few::new(&self.mccs).ok_or_else(too_many)?,
            ceiling: self
                .ceiling_minor
                .map(|amount| (amount, self.ceiling_currency)),
            currencies: Few::new(&self.currencies).ok_or_else(too_many)?,
            not_before_s: self.not_before_s,
            not_after_s: self.not_after_s,
        };
        let record = TokenRecord {
            state: state.ok_or_else(|| usage_error(py, "no such state of a token"))?,
            token_sequence: self.token_sequence,
            token_expiry: exactly(py, &self.token_expiry, "a token's expiry")?,
            card,
            requestor: exactly(py, &self.requestor, "a requestor")?,
            assurance: exactly(py, &self.assurance, "an assurance method")?,
            mapping_version: self.mapping_version,
            domain,
        };
        Ok((token(py, &self.token)?, record))
    }
}

#[pyclass(name = "Index", module = "switch._native.index", frozen)]
struct PyIndex {
    inner: Mutex<Index>,
    vault: Mutex<VaultKeys>,
    keys: Arc<Keys>,
}

#[pymethods]
impl PyIndex {
    #[staticmethod]
    fn open(py: Python<'_>, directory: &str, keys: &PyKeys) -> PyResult<PyIndex> {
        let seal = seal(py, &keys.inner)?;
        Ok(PyIndex {
            inner: Mutex::new(Index::open(Path::new(directory), seal)),
            vault: Mutex::new(VaultKeys::new(Arc::clone(&keys.inner))),
            keys: Arc::clone(&keys.inner),
        })
    }

    #[getter]
    fn why(&self, py: Python<'_>) -> PyResult<&'static str> {
        let why = locked(py, &self.inner)?.why();
        Ok(why.map_or("", |why| why.reason()))
    }

    #[getter]
    fn stamp<'py>(&self, py: Python<'py>) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
        let stamp = locked(py, &self.inner)?.stamp();
        Ok(stamp
            .ok()
            .map(|stamp| (stamp.change, PyBytes::new(py, &stamp.vault))))
    }

    #[getter]
    fn damaged(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(locked(py, &self.inner)?.damaged())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let all = locked(py, &self.inner)?.tokens();
        Ok(all.map_or(0, |all| all as usize))
    }

    fn look(&self, py: Python<'_>) -> PyResult<()> {
        locked(py, &self.inner)?.look();
        Ok(())
    }

    fn verify(&self, py: Python<'_>) -> PyResult<u64> {
        let seal = seal(py, &self.keys)?;
        let inspection = locked(py, &self.inner)?.inspection(seal);
        inspection
            .and_then(|inspection| py.detach(|| inspection.run()))
            .map_err(|why| index_error(py, &IndexError::Unavailable(why)))
    }

    fn find<'py>(&self, py: Python<'py>, token: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let token = self::token(py, token)?;
        let mut index = locked(py, &self.inner)?;
        index.renew();
        let found = index
            .find(&token)
            .map_err(|why| index_error(py, &IndexError::Unavailable(why)))?;
        found.map(|record| shown(py, &record)).transpose()
    }

    fn write(
        &self,
        py: Python<'_>,
        rows: Vec<Row>,
        removed: Vec<String>,
        change: u64,
    ) -> PyResult<()> {
        let mut records = Vec::with_capacity(rows.len() + removed.len());
        {
            let mut vault = locked(py, &self.vault)?;
            for row in &rows {
                let (token, record) = row.record(py, &mut vault)?;
                records.push((token, Some(record)));
            }
        }
        for digits in &removed {
            records.push((token(py, digits)?, None));
        }
        py.detach(|| match self.inner.lock() {
            Ok(mut index) => index.write(&records, change),
            Err(_) => Err(IndexError::Record("the index failed before")),
        })
        .map_err(|error| index_error(py, &error))
    }

    fn mark_stale(&self, py: Python<'_>) -> PyResult<()> {
        let marked = locked(py, &self.inner)?.mark_stale();
        marked.map_err(|error| index_error(py, &error))
    }

    fn rebuild(&self, py: Python<'_>) -> PyResult<PyRebuild> {
        let seal = seal(py, &self.keys)?;
        let begun = locked(py, &self.inner)?.rebuild(seal);
        Ok(PyRebuild {
            inner: Mutex::new(Some(begun.map_err(|error| index_error(py, &error))?)),
            vault: Mutex::new(VaultKeys::new(Arc::clone(&self.keys))),
        })
    }

    fn clear_stale_readers(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(locked(py, &self.inner)?.clear_stale_readers())
    }

    fn __repr__(&self) -> &'static str {
        "<Index>"
    }
}

/// What may be shown of a record.
fn shown<'py>(py: Python<'py>, record: &TokenRecord) -> PyResult<Bound<'py, PyDict>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let dict = PyDict::new(py);
    dict.set_item("state", record.state as u8)?;
    dict.set_item("pan", mask_pan(&text(record.card.pan())))?;
    dict.set_item("token_sequence", record.token_sequence)?;
    dict.set_item("token_expiry", text(&record.token_expiry))?;
    dict.set_item("requestor", text(&record.requestor))?;
    dict.set_item("mapping_version", record.mapping_version)?;
    Ok(dict)
}

#[pyclass(name = "Rebuild", module = "switch._native.index", frozen)]
struct PyRebuild {
    inner: Mutex<Option<Rebuild>>,
    vault: Mutex<VaultKeys>,
}

impl PyRebuild {
    fn put<F>(&self, py: Python<'_>, rows: &[Row], put: F) -> PyResult<()>
    where
        F: FnOnce(&mut Rebuild, &[(Token, TokenRecord)]) -> Result<(), IndexError> + Send,
    {
        let mut vault = locked(py, &self.vault)?;
        let records: PyResult<Vec<_>> = rows.iter().map(|row| row.record(py, &mut vault)).collect();
        let records = records?;
        py.detach(|| match self.inner.lock().as_deref_mut() {
            Ok(Some(rebuild)) => put(rebuild, &records),
            _ => Err(IndexError::Record("finished")),
        })
        .map_err(|error| index_error(py, &error))
    }
}

#[pymethods]
impl PyRebuild {
    fn add(&self, py: Python<'_>, rows: Vec<Row>, change: u64) -> PyResult<()> {
        self.put(py, &rows, |rebuild, records| rebuild.add(records, change))
    }

    fn amend(&self, py: Python<'_>, rows: Vec<Row>, change: u64) -> PyResult<()> {
        self.put(py, &rows, |rebuild, records| rebuild.amend(records, change))
    }

    fn finish(&self, py: Python<'_>, change: u64, vault: [u8; 16]) -> PyResult<()> {
        let taken = locked(py, &self.inner)?.take();
        let rebuild = taken.ok_or_else(|| usage_error(py, "finished"))?;
        py.detach(|| rebuild.finish(&Stamp { change, vault }))
            .map_err(|error| index_error(py, &error))
    }

    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        locked(py, &self.inner)?.take();
        Ok(())
    }
}

#[pyclass(name = "VaultKeys", module = "switch._native.index", frozen)]
struct PyVaultKeys(Mutex<VaultKeys>);

#[pymethods]
impl PyVaultKeys {
    #[new]
    fn new(keys: &PyKeys) -> PyVaultKeys {
        PyVaultKeys(Mutex::new(VaultKeys::new(Arc::clone(&keys.inner))))
    }

    fn seal<'py>(
        &self,
        py: Python<'py>,
        number: &str,
        row: i64,
        version: u32,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let sealed = locked(py, &self.0)?.seal(number.as_bytes(), row, version);
        sealed
            .map(|sealed| PyBytes::new(py, &sealed))
            .map_err(|fault| vault_error(py, &fault))
    }

    fn reseal<'py>(
        &self,
        py: Python<'py>,
        sealed: &[u8],
        row: i64,
        version: u32,
        new_version: u32,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let mut vault = locked(py, &self.0)?;
        let again = |vault: &mut VaultKeys| {
            let digits = vault.open(sealed, row, version)?;
            Ok((
                vault.seal(&digits, row, new_version)?,
                vault.hash(&digits, new_version)?,
            ))
        };
        again(&mut vault)
            .map(|(sealed, hash)| (PyBytes::new(py, &sealed), PyBytes::new(py, &hash)))
            .map_err(|fault: VaultFault| vault_error(py, &fault))
    }

    fn hash<'py>(
        &self,
        py: Python<'py>,
        number: &str,
        version: u32,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let hash = locked(py, &self.0)?.hash(number.as_bytes(), version);
        hash.map(|hash| PyBytes::new(py, &hash))
            .map_err(|fault| vault_error(py, &fault))
    }

    fn masked(&self, py: Python<'_>, sealed: &[u8], row: i64, version: u32) -> PyResult<String> {
        let mut vault = locked(py, &self.0)?;
        let card: Card = vault
            .card(sealed, row, version)
            .map_err(|fault| vault_error(py, &fault))?;
        Ok(mask_pan(&String::from_utf8_lossy(card.pan())))
    }

    fn __repr__(&self) -> &'static str {
        "<VaultKeys>"
    }
}

/// Random numbers of a range with their check digits; they may repeat.
#[pyfunction]
fn random_tokens(
    py: Python<'_>,
    prefix: &str,
    length: usize,
    count: usize,
) -> PyResult<Vec<String>> {
    let sound = (8..=19).contains(&length)
        && prefix.len() + 2 <= length
        && prefix.bytes().all(|byte| byte.is_ascii_digit());
    if !sound {
        return Err(usage_error(
            py,
            "a token range is digits, and numbers of 8 to 19",
        ));
    }
    let mut bytes = [0u8; 256];
    let mut at = bytes.len();
    let mut tokens = Vec::with_capacity(count);
    while tokens.len() < count {
        let mut digits = prefix.as_bytes().to_vec();
        while digits.len() + 1 < length {
            if at == bytes.len() {
                random(&mut bytes)
                    .map_err(|error| raised(py, "KeyFileError", &error.to_string()))?;
                at = 0;
            }
            // 250 values are twenty-five times each digit; the rest would make some likelier.
            if let Some(byte) = bytes.get(at).filter(|byte| **byte < 250) {
                digits.push(b'0' + byte % 10);
            }
            at += 1;
        }
        digits.push(check_digit(&digits));
        tokens.push(digits.iter().map(|digit| char::from(*digit)).collect());
    }
    Ok(tokens)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyIndex>()?;
    m.add_class::<PyRebuild>()?;
    m.add_class::<PyVaultKeys>()?;
    m.add_function(wrap_pyfunction!(random_tokens, m)?)?;
    m.add(
        "__all__",
        ["Index", "Rebuild", "VaultKeys", "random_tokens"],
    )
}
