//! A file of rows with one sealed key each: link keys, and the terminals' master keys.
//!
//! A head (magic, count, generation, nonce), the rows in ascending order of their clear bytes, and a tag over all of it.
//! A row is clear bytes that say whose key it is, and the key under AES-256-GCM-SIV with the clear bytes
//! authenticated: no row can be changed or given another's key. The last tag is over the whole file: none can be added
//! or taken out. A key is opened when it is used; the file in memory holds none in the clear. It is replaced as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::key::KEY_BYTES_MAX;
use crate::buf::{Locked, lock_exclusive};
use crate::emv::StoreFault;
use crate::emv::store::{beside, private, replace};
use crate::journal::keys::random;

const HEAD_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const SEALED_BYTES: usize = NONCE_BYTES + KEY_BYTES_MAX + TAG_BYTES;

/// The key that opens the file: derived from the node's.
pub type Seal = Zeroizing<[u8; 32]>;
/// A clear key, as long as it is used.
pub type Clear = Zeroizing<[u8; KEY_BYTES_MAX]>;

/// Why the file, or a change of it, is refused. No variant carries a key byte.
#[derive(Debug, Error)]
pub enum BookFault {
    #[error("cannot {action}: {source}")]
    Io {
        action: &'static str,
        source: io::Error,
    },
    #[error("there is no such file yet")]
    Absent,
    #[error("this is not a file of {0}")]
    NotABook(&'static str),
    #[error("the node's keys do not open the file, or the file is damaged")]
    DoesNotOpen,
    #[error("another process is changing the file")]
    Busy,
    #[error("the file holds {0} rows and takes no more")]
    Full(usize),
    #[error("no random bytes from the kernel: {0}")]
    Random(String),
    #[error("cannot lock memory for keys: {0}; raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=)")]
    Lock(io::Error),
}

impl From<StoreFault> for BookFault {
    fn from(fault: StoreFault) -> BookFault {
        match fault {
            StoreFault::Io { action, source } => BookFault::Io { action, source },
            _ => BookFault::DoesNotOpen,
        }
    }
}

/// What tells one kind of book from another.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub magic: &'static [u8; 8],
    pub what: &'static str,
    pub rows_max: usize,
}

/// One row; a key that is gone is zeros.
#[derive(Clone)]
pub struct Row<const CLEAR: usize> {
    pub clear: [u8; CLEAR],
    sealed: [u8; SEALED_BYTES],
}

/// The opened file.
pub struct Book<const CLEAR: usize> {
    kind: Kind,
    rows: Vec<Row<CLEAR>>,
    generation: u64,
    cipher: Locked<Aes256GcmSiv>,
}

fn nonce_of(bytes: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce.copy_from_slice(&bytes[..NONCE_BYTES]);
    nonce
}

fn tag_of(bytes: &[u8]) -> Tag {
    let mut tag = Tag::default();
    tag.copy_from_slice(&bytes[..TAG_BYTES]);
    tag
}

fn filled(out: &mut [u8]) -> Result<(), BookFault> {
    random(out).map_err(|error| BookFault::Random(error.to_string()))
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> BookFault {
    move |source| BookFault::Io { action, source }
}

impl<const CLEAR: usize> Book<CLEAR> {
    const ROW_BYTES: usize = CLEAR + SEALED_BYTES;

    pub fn empty(kind: Kind, seal: &Seal) -> Result<Book<CLEAR>, BookFault> {
        Ok(Book {
            kind,
            rows: Vec::new(),
            generation: 0,
            cipher: Locked::new(Aes256GcmSiv::new((&**seal).into())).map_err(BookFault::Lock)?,
        })
    }

    pub fn open(path: &Path, kind: Kind, seal: &Seal) -> Result<Book<CLEAR>, BookFault> {
        let file = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BookFault::Absent,
            _ => failed("open the file")(source),
        })?;
        let most = HEAD_BYTES + kind.rows_max * Self::ROW_BYTES + TAG_BYTES;
        let mut bytes = Vec::new();
        file.take(most as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed("read the file"))?;
        let body = bytes.len().saturating_sub(TAG_BYTES);
        let count = match bytes.get(..HEAD_BYTES) {
            Some(head) if head.starts_with(kind.magic) => {
                u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize
            }
            _ => return Err(BookFault::NotABook(kind.what)),
        };
        if count > kind.rows_max || body != HEAD_BYTES + count * Self::ROW_BYTES {
            return Err(BookFault::NotABook(kind.what));
        }
        let mut book = Book::empty(kind, seal)?;
        book.generation = bytes[12..20]
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        book.cipher
            .decrypt_inout_detached(
                &nonce_of(&bytes[20..]),
                &bytes[..body],
                (&mut [][..]).into(),
                &tag_of(&bytes[body..]),
            )
            .map_err(|_| BookFault::DoesNotOpen)?;
        book.rows = bytes[HEAD_BYTES..body]
            .chunks_exact(Self::ROW_BYTES)
            .map(|row| {
                let mut clear = [0; CLEAR];
                clear.copy_from_slice(&row[..CLEAR]);
                let mut sealed = [0; SEALED_BYTES];
                sealed.copy_from_slice(&row[CLEAR..]);
                Row { clear, sealed }
            })
            .collect();
        Ok(book)
    }

    /// Counts the changes of the file.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn rows(&self) -> &[Row<CLEAR>] {
        &self.rows
    }

    /// Bytes that the rows take in memory.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row<CLEAR>>()
    }

    /// The place of the row whose clear bytes begin so; else where it would stand.
    pub fn find(&self, head: &[u8]) -> Result<usize, usize> {
        self.rows
            .binary_search_by(|row| row.clear[..head.len()].cmp(head))
    }

    /// The clear key of a row; None where the key is gone.
    pub fn key(&self, at: usize) -> Option<Clear> {
        let row = self.rows.get(at)?;
        if row.sealed == [0; SEALED_BYTES] {
            return None;
        }
        let mut key = Zeroizing::new([0; KEY_BYTES_MAX]);
        key.copy_from_slice(&row.sealed[NONCE_BYTES..NONCE_BYTES + KEY_BYTES_MAX]);
        self.cipher
            .decrypt_inout_detached(
                &nonce_of(&row.sealed),
                &row.clear,
                key.as_mut_slice().into(),
                &tag_of(&row.sealed[NONCE_BYTES + KEY_BYTES_MAX..]),
            )
            .ok()?;
        Some(key)
    }

    fn sealed(&self, clear: &[u8; CLEAR], key: &Clear) -> Result<[u8; SEALED_BYTES], BookFault> {
        let mut sealed = [0; SEALED_BYTES];
        filled(&mut sealed[..NONCE_BYTES])?;
        let nonce = nonce_of(&sealed);
        let place = &mut sealed[NONCE_BYTES..NONCE_BYTES + KEY_BYTES_MAX];
        place.copy_from_slice(&**key);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, clear, (&mut *place).into());
        let Ok(tag) = tag else {
            sealed.zeroize();
            return Err(BookFault::DoesNotOpen);
        };
        sealed[NONCE_BYTES + KEY_BYTES_MAX..].copy_from_slice(&tag);
        Ok(sealed)
    }

    /// Enters rows, in place of those that `find` finds by their first `head` bytes.
    pub fn put(
        &mut self,
        head: usize,
        entries: impl IntoIterator<Item = ([u8; CLEAR], Clear)>,
    ) -> Result<(), BookFault> {
        let known = self.rows.len();
        for (clear, key) in entries {
            let sealed = self.sealed(&clear, &key)?;
            let old =
                self.rows[..known].binary_search_by(|row| row.clear[..head].cmp(&clear[..head]));
            match old {
                Ok(at) => self.rows[at] = Row { clear, sealed },
                Err(_) => self.rows.push(Row { clear, sealed }),
            }
        }
        if self.rows.len() > self.kind.rows_max {
            return Err(BookFault::Full(self.kind.rows_max));
        }
        // Many at once, so one sort; of two with one head the later one counts.
        self.rows
            .sort_by(|a, b| a.clear[..head].cmp(&b.clear[..head]));
        let mut kept: Vec<Row<CLEAR>> = Vec::with_capacity(self.rows.len());
        for row in self.rows.drain(..) {
            match kept.last_mut() {
                Some(last) if last.clear[..head] == row.clear[..head] => *last = row,
                _ => kept.push(row),
            }
        }
        self.rows = kept;
        Ok(())
    }

    /// Changes the clear bytes of a row behind its head; `forget` takes its key away for good.
    pub fn amend(
        &mut self,
        at: usize,
        forget: bool,
        change: impl FnOnce(&mut [u8; CLEAR]),
    ) -> Result<(), BookFault> {
        let key = self.key(at);
        let Some(row) = self.rows.get_mut(at) else {
            return Ok(());
        };
        change(&mut row.clear);
        let clear = row.clear;
        let sealed = match key {
            Some(key) if !forget => self.sealed(&clear, &key)?,
            _ => [0; SEALED_BYTES],
        };
        self.rows[at].sealed = sealed;
        Ok(())
    }

    fn save(&mut self, path: &Path) -> Result<(), BookFault> {
        self.generation += 1;
        let mut bytes = vec![0; HEAD_BYTES];
        bytes[..8].copy_from_slice(self.kind.magic);
        bytes[8..12].copy_from_slice(&(self.rows.len() as u32).to_be_bytes());
        bytes[12..20].copy_from_slice(&self.generation.to_be_bytes());
        filled(&mut bytes[20..])?;
        for row in &self.rows {
            bytes.extend_from_slice(&row.clear);
            bytes.extend_from_slice(&row.sealed);
        }
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce_of(&bytes[20..]), &bytes, (&mut [][..]).into())
            .map_err(|_| BookFault::DoesNotOpen)?;
        bytes.extend_from_slice(&tag);
        Ok(replace(path, &bytes)?)
    }

    /// One change of the file by one process at a time; a file that is not there yet is made.
    pub fn change<T, E: From<BookFault>>(
        path: &Path,
        kind: Kind,
        seal: &Seal,
        act: impl FnOnce(&mut Book<CLEAR>) -> Result<T, E>,
    ) -> Result<T, E> {
        let lock = private(&beside(path, ".lock"), false).map_err(failed("make the lock file"))?;
        if !lock_exclusive(&lock).map_err(failed("lock the file"))? {
            return Err(BookFault::Busy.into());
        }
        let mut book = match Book::open(path, kind, seal) {
            Err(BookFault::Absent) => Book::empty(kind, seal)?,
            other => other?,
        };
        let done = act(&mut book)?;
        book.save(path)?;
        Ok(done)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::journal::testing::TempDir;

    const KIND: Kind = Kind {
        magic: b"TSWTEST1",
        what: "tests",
        rows_max: 8,
    };

    fn seal(byte: u8) -> Seal {
        Zeroizing::new([byte; 32])
    }

    fn key(byte: u8) -> Clear {
        Zeroizing::new([byte; KEY_BYTES_MAX])
    }

    fn made(dir: &TempDir, rows: &[([u8; 4], u8)]) -> std::path::PathBuf {
        let path = dir.path().join("book");
        let rows = rows.iter().map(|(clear, byte)| (*clear, key(*byte)));
        Book::<4>::change(&path, KIND, &seal(1), |book| book.put(2, rows)).unwrap();
        path
    }

    #[test]
    fn rows_stand_in_order_and_keys_open() {
        let dir = TempDir::new();
        let path = made(&dir, &[(*b"zzaa", 1), (*b"aabb", 2), (*b"aacc", 3)]);
        let book = Book::<4>::open(&path, KIND, &seal(1)).unwrap();
        let clear: Vec<_> = book.rows().iter().map(|row| row.clear).collect();
        assert_eq!(
            clear,
            [*b"aacc", *b"zzaa"],
            "the later one of a head counts"
        );
        assert_eq!(*book.key(book.find(b"aa").unwrap()).unwrap(), [3; 16]);
        assert_eq!(*book.key(book.find(b"zz").unwrap()).unwrap(), [1; 16]);
        assert_eq!(book.find(b"mm"), Err(1));
        assert_eq!(book.generation(), 1);
        made(&dir, &[(*b"zznn", 9), (*b"mm00", 8)]);
        let book = Book::<4>::open(&path, KIND, &seal(1)).unwrap();
        assert_eq!((book.rows().len(), book.generation()), (3, 2));
        assert_eq!(*book.key(2).unwrap(), [9; 16]);
    }

    #[test]
    fn every_changed_byte_is_noticed_and_only_the_seal_opens() {
        let dir = TempDir::new();
        let path = made(&dir, &[(*b"aabb", 2), (*b"zzaa", 1)]);
        let whole = std::fs::read(&path).unwrap();
        assert!(Book::<4>::open(&path, KIND, &seal(2)).is_err());
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(Book::<4>::open(&path, KIND, &seal(1)).is_err(), "byte {at}");
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Book::<4>::open(&path, KIND, &seal(1)).is_err(), "{length}");
        }
    }

    #[test]
    fn a_key_is_forgotten_and_its_row_stays() {
        let dir = TempDir::new();
        let path = made(&dir, &[(*b"aabb", 2)]);
        Book::<4>::change(&path, KIND, &seal(1), |book| {
            book.amend(0, true, |clear| clear[3] = b'!')
        })
        .unwrap();
        let book = Book::<4>::open(&path, KIND, &seal(1)).unwrap();
        assert_eq!(book.rows()[0].clear, *b"aab!");
        assert!(book.key(0).is_none());
    }

    #[test]
    fn there_is_an_end_to_rows() {
        let dir = TempDir::new();
        let path = dir.path().join("book");
        let rows = (0..9u8).map(|n| ([n; 4], key(n)));
        let full = Book::<4>::change(&path, KIND, &seal(1), |book| book.put(4, rows));
        assert!(matches!(full, Err(BookFault::Full(8))));
        assert!(!path.exists());
    }
}
