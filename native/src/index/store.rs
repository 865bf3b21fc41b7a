//! The index on disk: generations of LMDB environments, and `CURRENT` that names the one in force.
//!
//! One database a generation: keys of nine bytes are tokens, the key of one zero byte is the head, which says whether the
//! generation is whole, which vault it was made from and by which change of it. A generation that is found wrong is
//! marked stale, so that its readers answer `Unavailable` at once, and a new one is built beside it. A process opens a
//! generation once, before it forks nothing and spawns nothing that inherits it.
//!
//! What is checked before a file is mapped: that it is as long as its own head page says. What cannot be checked is the
//! inside of a page that the disk has changed: LMDB may then end the process that reads it. The values are sealed, so a
//! wrong answer is not among the consequences; the gateway looks through the whole file in a process of its own.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use heed::types::Bytes;
use heed::{Database, Env, PutFlags, RoTxn, WithoutTls};

use super::error::{IndexError, Unavailable};
use super::record::{PACKED_BYTES_MAX, Token, TokenRecord, wiped};
use super::seal::{SEAL_BYTES, Seal};
use crate::buf;

/// Address space reserved for a generation, 16 GiB: about a hundred million tokens. It costs no memory.
const MAP_BYTES: usize = 16 << 30;
const READERS_MAX: u32 = 64;
const CURRENT: &str = "CURRENT";
const HEAD_KEY: &[u8] = &[0];
const HEAD_BOUND: &[u8] = b"head";
const FORMAT: u8 = 1;
const WHOLE: u8 = 1;
const STALE: u8 = 2;
/// Bytes of a vault's id.
pub const VAULT_BYTES: usize = 16;
const HEAD_BYTES: usize = 2 + VAULT_BYTES;
/// How often `CURRENT` is looked at while there is no answer to give.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

type Table = Database<Bytes, Bytes>;

/// Which state of which vault a generation shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub change: u64,
    pub vault: [u8; VAULT_BYTES],
}

/// One open generation.
struct Generation {
    name: String,
    env: Env<WithoutTls>,
    table: Table,
    /// What `find` reads; replaced by `renew`.
    snapshot: Option<RoTxn<'static, WithoutTls>>,
    stamp: Result<Stamp, Unavailable>,
}

/// The index of a node as one process sees it.
pub struct Index {
    directory: PathBuf,
    seal: Seal,
    generation: Result<Generation, Unavailable>,
    looked: Instant,
    sealed: Vec<u8>,
    packed: Vec<u8>,
}

impl Index {
    /// Opens whatever is there; nothing there, or nothing readable, is `Unavailable` and no error.
    pub fn open(directory: &Path, seal: Seal) -> Index {
        let mut index = Index {
            directory: directory.to_owned(),
            seal,
            generation: Err(Unavailable::Missing),
            looked: Instant::now(),
            sealed: Vec::with_capacity(PACKED_BYTES_MAX + SEAL_BYTES),
            packed: Vec::with_capacity(PACKED_BYTES_MAX),
        };
        index.look();
        index
    }

    /// Takes up the generation that `CURRENT` names, when it is another one, and a fresh snapshot. Call it from a timer.
    pub fn look(&mut self) {
        self.looked = Instant::now();
        let named = fs::read_to_string(self.directory.join(CURRENT)).unwrap_or_default();
        let named = named.trim();
        if !is_generation(named) {
            self.generation = Err(Unavailable::Missing);
            return;
        }
        if self
            .generation
            .as_ref()
            .is_ok_and(|open| open.name == named)
        {
            return self.renew();
        }
        // Closed first: no environment is open twice in one process.
        self.generation = Err(Unavailable::Missing);
        self.generation = Generation::open(&self.directory, named, &self.seal);
    }

    /// A fresh snapshot: what was committed before is seen from now on. It costs next to nothing when nothing was
    /// written.
    #[inline]
    pub fn renew(&mut self) {
        match &mut self.generation {
            Ok(generation) => generation.renew(&self.seal),
            Err(_) if self.looked.elapsed() > LOOK_AGAIN => return self.look(),
            Err(_) => return,
        }
        // A stale one is replaced soon.
        if self.why().is_some() && self.looked.elapsed() > LOOK_AGAIN {
            self.look();
        }
    }

    /// Why there is no answer; None when there is.
    pub fn why(&self) -> Option<Unavailable> {
        match &self.generation {
            Ok(generation) => generation.stamp.err(),
            Err(why) => Some(*why),
        }
    }

    /// What the index shows.
    pub fn stamp(&self) -> Result<Stamp, Unavailable> {
        self.generation.as_ref().map_err(|why| *why)?.stamp
    }

    /// The record of a token, as of the last `renew`; None when there is no such token.
    #[inline]
    pub fn find(&self, token: &Token) -> Result<Option<TokenRecord>, Unavailable> {
        let generation = self.generation.as_ref().map_err(|why| *why)?;
        generation.stamp?;
        let snapshot = generation.snapshot.as_ref().ok_or(Unavailable::Damaged)?;
        let found = generation.table.get(snapshot, &token.key());
        match found.map_err(|_| Unavailable::Damaged)? {
            None => Ok(None),
            Some(sealed) => self.seal.record(token, sealed).map(Some),
        }
    }

    /// Tokens in the generation.
    pub fn tokens(&self) -> Result<u64, Unavailable> {
        let generation = self.generation.as_ref().map_err(|why| *why)?;
        let snapshot = generation.snapshot.as_ref().ok_or(Unavailable::Damaged)?;
        let all = generation.table.len(snapshot);
        all.map(|all| all.saturating_sub(1))
            .map_err(|_| Unavailable::Damaged)
    }

    /// Opens every value. Errors with the first that does not open, or is no token's.
    pub fn verify(&self) -> Result<u64, Unavailable> {
        let generation = self.generation.as_ref().map_err(|why| *why)?;
        generation.stamp?;
        let snapshot = generation.snapshot.as_ref().ok_or(Unavailable::Damaged)?;
        let entries = generation.table.iter(snapshot);
        let mut count = 0;
        for entry in entries.map_err(|_| Unavailable::Damaged)? {
            let (key, sealed) = entry.map_err(|_| Unavailable::Damaged)?;
            if key != HEAD_KEY {
                let token = Token::from_key(key).ok_or(Unavailable::Damaged)?;
                self.seal.record(&token, sealed)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Writes records (None: removes) and the change they come with, in one transaction that is on disk when this
    /// returns. Every reader's next `renew` sees it.
    pub fn write(
        &mut self,
        records: &[(Token, Option<TokenRecord>)],
        change: u64,
    ) -> Result<(), IndexError> {
        let failed = IndexError::store("write to");
        let generation = match &mut self.generation {
            Ok(generation) => generation,
            Err(why) => return Err(IndexError::Unavailable(*why)),
        };
        let vault = generation.stamp.map_err(IndexError::Unavailable)?.vault;
        let env = generation.env.clone();
        let mut txn = env.write_txn().map_err(&failed)?;
        for (token, record) in records {
            let Some(record) = record else {
                let gone = generation.table.delete(&mut txn, &token.key());
                gone.map_err(&failed)?;
                continue;
            };
            record.pack(&mut self.packed)?;
            let sealed = self
                .seal
                .seal(&token.key(), change, &self.packed, &mut self.sealed);
            wiped(&mut self.packed);
            sealed?;
            let put = generation.table.put(&mut txn, &token.key(), &self.sealed);
            put.map_err(&failed)?;
        }
        let head = head(WHOLE, &vault);
        self.seal
            .seal(HEAD_BOUND, change, &head, &mut self.sealed)?;
        let put = generation.table.put(&mut txn, HEAD_KEY, &self.sealed);
        put.map_err(&failed)?;
        txn.commit().map_err(&failed)?;
        generation.renew(&self.seal);
        Ok(())
    }

    /// From now on every reader of this generation answers `Unavailable`, until a rebuilt one takes its place.
    pub fn mark_stale(&mut self) -> Result<(), IndexError> {
        let failed = IndexError::store("mark");
        // Nothing readable: nothing to be marked.
        let Ok(generation) = &mut self.generation else {
            return Ok(());
        };
        let env = generation.env.clone();
        let mut txn = env.write_txn().map_err(&failed)?;
        let head = head(STALE, &[0; VAULT_BYTES]);
        self.seal.seal(HEAD_BOUND, 0, &head, &mut self.sealed)?;
        let put = generation.table.put(&mut txn, HEAD_KEY, &self.sealed);
        put.map_err(&failed)?;
        txn.commit().map_err(&failed)?;
        generation.renew(&self.seal);
        Ok(())
    }

    /// Begins a new generation beside the one in force.
    pub fn rebuild(&self, seal: Seal) -> Result<Rebuild, IndexError> {
        Rebuild::begin(&self.directory, seal)
    }

    /// Frees the slots of readers whose process has died, so that their snapshots pin nothing.
    pub fn clear_stale_readers(&self) -> usize {
        let Ok(generation) = &self.generation else {
            return 0;
        };
        generation.env.clear_stale_readers().unwrap_or(0)
    }
}

impl Generation {
    fn open(directory: &Path, name: &str, seal: &Seal) -> Result<Generation, Unavailable> {
        let env = environment(&directory.join(name)).map_err(|_| Unavailable::Damaged)?;
        let snapshot = env
            .clone()
            .static_read_txn()
            .map_err(|_| Unavailable::Damaged)?;
        let table = env
            .open_database::<Bytes, Bytes>(&snapshot, None)
            .ok()
            .flatten()
            .ok_or(Unavailable::Damaged)?;
        let stamp = stamp_of(seal, table, &snapshot);
        Ok(Generation {
            name: name.to_owned(),
            env,
            table,
            snapshot: Some(snapshot),
            stamp,
        })
    }

    #[inline]
    fn renew(&mut self, seal: &Seal) {
        let newest = self.env.info().last_txn_id;
        if self.snapshot.as_ref().is_some_and(|s| s.id() == newest) {
            return;
        }
        // The old one first, so that its pages are free for the next writer.
        self.snapshot = None;
        self.snapshot = self.env.clone().static_read_txn().ok();
        self.stamp = match &self.snapshot {
            Some(snapshot) => stamp_of(seal, self.table, snapshot),
            None => Err(Unavailable::Damaged),
        };
    }
}

/// A generation under construction. It is in force when `finish` has returned, and gone when it is dropped before.
pub struct Rebuild {
    directory: PathBuf,
    name: String,
    seal: Seal,
    env: Option<Env<WithoutTls>>,
    table: Table,
    last: Option<Token>,
    sealed: Vec<u8>,
    packed: Vec<u8>,
    finished: bool,
}

impl Rebuild {
    fn begin(directory: &Path, seal: Seal) -> Result<Rebuild, IndexError> {
        let io = |action| {
            let place = directory.display().to_string();
            move |source| IndexError::Io {
                action,
                place,
                source,
            }
        };
        let failed = IndexError::store("begin");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io("make"))?;
        let highest = generations(directory)
            .map_err(io("list"))?
            .into_iter()
            .max()
            .unwrap_or(0);
        let name = format!("{:010}", highest + 1);
        let place = directory.join(&name);
        DirBuilder::new()
            .mode(0o700)
            .create(&place)
            .map_err(io("make"))?;
        let env = environment(&place)?;
        let mut txn = env.write_txn().map_err(&failed)?;
        let table = env
            .create_database::<Bytes, Bytes>(&mut txn, None)
            .map_err(&failed)?;
        // Holds the head's place: it sorts before all tokens, which are appended.
        table.put(&mut txn, HEAD_KEY, &[]).map_err(&failed)?;
        txn.commit().map_err(&failed)?;
        Ok(Rebuild {
            directory: directory.to_owned(),
            name,
            seal,
            env: Some(env),
            table,
            last: None,
            sealed: Vec::new(),
            packed: Vec::new(),
            finished: false,
        })
    }

    fn env(&self) -> Result<&Env<WithoutTls>, IndexError> {
        self.env.as_ref().ok_or(IndexError::Record("finished"))
    }

    /// Adds records in the order of `Token`, behind those added before. `change` is the vault's while it is read.
    pub fn add(&mut self, records: &[(Token, TokenRecord)], change: u64) -> Result<(), IndexError> {
        for (token, _) in records {
            if self.last.is_some_and(|last| last >= *token) {
                return Err(IndexError::Record("tokens are not in order"));
            }
            self.last = Some(*token);
        }
        self.put(records, change, PutFlags::APPEND)
    }

    /// Puts records that were changed while others were added: in any order, in the place of those that are there.
    pub fn amend(
        &mut self,
        records: &[(Token, TokenRecord)],
        change: u64,
    ) -> Result<(), IndexError> {
        self.put(records, change, PutFlags::empty())
    }

    fn put(
        &mut self,
        records: &[(Token, TokenRecord)],
        change: u64,
        flags: PutFlags,
    ) -> Result<(), IndexError> {
        let failed = IndexError::store("fill");
        let env = self.env()?.clone();
        let mut txn = env.write_txn().map_err(&failed)?;
        for (token, record) in records {
            record.pack(&mut self.packed)?;
            let sealed = self
                .seal
                .seal(&token.key(), change, &self.packed, &mut self.sealed);
            wiped(&mut self.packed);
            sealed?;
            self.table
                .put_with_flags(&mut txn, flags, &token.key(), &self.sealed)
                .map_err(&failed)?;
        }
        txn.commit().map_err(&failed)
    }

    /// Stamps the generation, puts it in force and removes all others.
    pub fn finish(mut self, stamp: &Stamp) -> Result<(), IndexError> {
        let failed = IndexError::store("finish");
        let env = self.env()?.clone();
        let mut txn = env.write_txn().map_err(&failed)?;
        let head = head(WHOLE, &stamp.vault);
        self.seal
            .seal(HEAD_BOUND, stamp.change, &head, &mut self.sealed)?;
        let put = self.table.put(&mut txn, HEAD_KEY, &self.sealed);
        put.map_err(&failed)?;
        txn.commit().map_err(&failed)?;
        env.force_sync().map_err(&failed)?;
        drop(env);
        self.env = None;
        let place = self.directory.display().to_string();
        let named = name_current(&self.directory, &self.name);
        named.map_err(|source| IndexError::Io {
            action: "put in force",
            place,
            source,
        })?;
        self.finished = true;
        // Who has one of the others open keeps reading it until its next look.
        for number in generations(&self.directory).unwrap_or_default() {
            let name = format!("{number:010}");
            if name != self.name {
                let _ = fs::remove_dir_all(self.directory.join(name));
            }
        }
        Ok(())
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        self.env = None;
        if !self.finished {
            // Half of a generation serves nobody.
            let _ = fs::remove_dir_all(self.directory.join(&self.name));
        }
    }
}

/// Opens an environment whose file is as long as it says itself.
fn environment(place: &Path) -> Result<Env<WithoutTls>, IndexError> {
    let env = buf::lmdb(place, MAP_BYTES, READERS_MAX).map_err(IndexError::store("open"))?;
    let pages = env.info().last_page_number as u64 + 1;
    let expected = pages.saturating_mul(u64::from(env.stat().page_size));
    let length = fs::metadata(place.join("data.mdb")).map_or(0, |file| file.len());
    if length < expected {
        return Err(IndexError::Unavailable(Unavailable::Damaged));
    }
    Ok(env)
}

fn stamp_of(
    seal: &Seal,
    table: Table,
    snapshot: &RoTxn<'static, WithoutTls>,
) -> Result<Stamp, Unavailable> {
    let found = table.get(snapshot, HEAD_KEY);
    let sealed = found.map_err(|_| Unavailable::Damaged)?;
    let mut place = [0; PACKED_BYTES_MAX];
    let (change, plain) = seal.open(HEAD_BOUND, sealed.ok_or(Unavailable::Damaged)?, &mut place)?;
    match plain {
        [FORMAT, WHOLE, vault @ ..] => Ok(Stamp {
            change,
            vault: (&*vault).try_into().map_err(|_| Unavailable::Damaged)?,
        }),
        [FORMAT, STALE, ..] => Err(Unavailable::Stale),
        _ => Err(Unavailable::Damaged),
    }
}

fn head(state: u8, vault: &[u8; VAULT_BYTES]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = FORMAT;
    head[1] = state;
    head[2..].copy_from_slice(vault);
    head
}

fn is_generation(name: &str) -> bool {
    name.len() == 10 && name.bytes().all(|byte| byte.is_ascii_digit())
}

fn generations(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        if let Ok(name) = entry?.file_name().into_string()
            && is_generation(&name)
            && let Ok(number) = name.parse()
        {
            found.push(number);
        }
    }
    Ok(found)
}

/// Replaces `CURRENT` durably.
fn name_current(directory: &Path, name: &str) -> io::Result<()> {
    let part = directory.join("CURRENT.part");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, directory.join(CURRENT))?;
    File::open(directory)?.sync_all()
}
