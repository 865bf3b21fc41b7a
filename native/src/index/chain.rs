//! Entries of the index know their successor, so that a missing one is noticed: that there is no such token is proved by
//! the sealed entry before it, not believed of a search through pages that the disk may have changed.
//!
//! The plain value of an entry begins with the key of the next one. The first entry is the head.

use heed::types::Bytes;
use heed::{Database, PutFlags, RwTxn};
use zeroize::Zeroize;

use super::error::{IndexError, Unavailable};
use super::record::{KEY_BYTES, PACKED_BYTES_MAX, Token, TokenRecord, wiped};
use super::seal::Seal;

pub type Table = Database<Bytes, Bytes>;
/// Key of an entry, as its predecessor names it.
pub type Link = [u8; KEY_BYTES];
/// Behind the last entry; above all keys.
pub const END: Link = [0xff; KEY_BYTES];
/// Sorts before all tokens.
pub const HEAD_KEY: &[u8] = &[0];

/// Writes entries, and keeps the chain whole.
pub struct Scribe {
    pub seal: Seal,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Scribe {
    pub fn new(seal: Seal) -> Scribe {
        Scribe {
            seal,
            plain: Vec::with_capacity(PACKED_BYTES_MAX),
            sealed: Vec::with_capacity(2 * PACKED_BYTES_MAX),
        }
    }

    /// Puts an entry in the place that its key has.
    pub fn put(
        &mut self,
        (table, txn): (Table, &mut RwTxn<'_>),
        token: &Token,
        record: &TokenRecord,
        change: u64,
    ) -> Result<(), IndexError> {
        let key = token.key();
        let mut next = self.next(table, txn, &key)?;
        if next.is_none() {
            let before = before(table, txn, &key)?;
            next = self.link(table, txn, &before, &key)?;
        }
        let next = next.ok_or(IndexError::Unavailable(Unavailable::Damaged))?;
        self.entry(
            (table, txn),
            token,
            record,
            &next,
            change,
            PutFlags::empty(),
        )
    }

    /// Puts an entry behind all others, whose last does not name it yet.
    pub fn entry(
        &mut self,
        (table, txn): (Table, &mut RwTxn<'_>),
        token: &Token,
        record: &TokenRecord,
        next: &Link,
        change: u64,
        flags: PutFlags,
    ) -> Result<(), IndexError> {
        self.plain.clear();
        self.plain.extend_from_slice(next);
        let packed = record.pack(&mut self.plain);
        let key = token.key();
        let sealed =
            packed.and_then(|()| self.seal.seal(&key, change, &self.plain, &mut self.sealed));
        wiped(&mut self.plain);
        sealed?;
        table
            .put_with_flags(txn, flags, &key, &self.sealed)
            .map_err(IndexError::store("write to"))
    }

    /// Takes an entry out; nothing happens when there is none.
    pub fn remove(
        &mut self,
        (table, txn): (Table, &mut RwTxn<'_>),
        token: &Token,
    ) -> Result<(), IndexError> {
        let key = token.key();
        let Some(next) = self.next(table, txn, &key)? else {
            return Ok(());
        };
        let before = before(table, txn, &key)?;
        self.link(table, txn, &before, &next)?;
        let gone = table.delete(txn, &key);
        gone.map(|_| ()).map_err(IndexError::store("write to"))
    }

    /// Writes the head: `body` behind the link that it has.
    pub fn head(
        &mut self,
        (table, txn): (Table, &mut RwTxn<'_>),
        change: u64,
        body: &[u8],
    ) -> Result<(), IndexError> {
        // A head that does not open is not kept: its chain would be wrong, which is noticed.
        let next = self.next(table, txn, HEAD_KEY).ok().flatten();
        self.plain.clear();
        self.plain.extend_from_slice(&next.unwrap_or(END));
        self.plain.extend_from_slice(body);
        self.seal
            .seal(HEAD_KEY, change, &self.plain, &mut self.sealed)?;
        let put = table.put(txn, HEAD_KEY, &self.sealed);
        put.map_err(IndexError::store("write to"))
    }

    fn next(&self, table: Table, txn: &RwTxn<'_>, key: &[u8]) -> Result<Option<Link>, IndexError> {
        let found = table.get(txn, key).map_err(IndexError::store("read"))?;
        let next = found.map(|sealed| self.seal.next(key, sealed));
        next.transpose().map_err(IndexError::Unavailable)
    }

    /// Lets the entry at `key` name `next`; what it named before.
    pub fn link(
        &mut self,
        table: Table,
        txn: &mut RwTxn<'_>,
        key: &[u8],
        next: &Link,
    ) -> Result<Option<Link>, IndexError> {
        let found = table.get(txn, key).map_err(IndexError::store("read"))?;
        let sealed = found.ok_or(IndexError::Unavailable(Unavailable::Damaged))?;
        let mut place = [0; PACKED_BYTES_MAX];
        let opened = self.seal.open(key, sealed, &mut place);
        let (change, plain) = opened.map_err(IndexError::Unavailable)?;
        let named = plain
            .first_chunk_mut::<KEY_BYTES>()
            .ok_or(IndexError::Unavailable(Unavailable::Sealed))?;
        let old = std::mem::replace(named, *next);
        let again = self.seal.seal(key, change, plain, &mut self.sealed);
        plain.zeroize();
        again?;
        let put = table.put(txn, key, &self.sealed);
        put.map_err(IndexError::store("write to"))?;
        Ok(Some(old))
    }
}

/// Key of the entry before the place of `key`.
fn before(table: Table, txn: &RwTxn<'_>, key: &[u8]) -> Result<Vec<u8>, IndexError> {
    let found = table.get_lower_than(txn, key);
    let found = found.map_err(IndexError::store("read"))?;
    let (before, _) = found.ok_or(IndexError::Unavailable(Unavailable::Damaged))?;
    Ok(before.to_vec())
}
