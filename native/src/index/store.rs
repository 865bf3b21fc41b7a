//! The index on disk: generations of LMDB environments, and `CURRENT` that names the one in force.
//!
//! One database a generation: keys of nine bytes are tokens, the key of one zero byte is the head, which says whether the
//! generation is whole, which vault it was made from and by which change of it. A generation that is found wrong is
//! marked stale, so that its readers answer `Unavailable` at once, and a new one is built beside it. A process opens a
//! generation once, before it forks nothing and spawns nothing that inherits it.
//!
//! LMDB writes, and holds snapshots; it is not asked to read (`pages`), and writes only along pages that were found
//! sound. What remains: that somebody shortens a file of an open generation under LMDB's map ends the process.

use std::cell::{Cell, RefCell};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use heed::types::Bytes;
use heed::{Env, PutFlags, RoTxn, WithoutTls};

use super::chain::{END, HEAD_KEY, Link, Scribe, Table};
use super::error::{IndexError, Unavailable};
use super::inspect::Inspection;
use super::pages::Pages;
use super::record::{KEY_BYTES, PACKED_BYTES_MAX, Token, TokenRecord};
use super::seal::Seal;
use crate::{buf, clock, simulation};

/// Address space reserved for a generation, 16 GiB: about a hundred million tokens. It costs no memory.
const MAP_BYTES: usize = 16 << 30;
const READERS_MAX: u32 = 64;
const CURRENT: &str = "CURRENT";
/// Beside the data: a reader has met damage.
const REPORT: &str = "DAMAGED";
const DATA: &str = "data.mdb";
const FORMAT: u8 = 1;
const WHOLE: u8 = 1;
const STALE: u8 = 2;
/// Bytes of a vault's id.
pub const VAULT_BYTES: usize = 16;
const HEAD_BYTES: usize = 2 + VAULT_BYTES;
/// How often `CURRENT` is looked at while there is no answer to give.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often a snapshot is taken anew when writers have overtaken it at once.
const TRIES: usize = 16;

/// Which state of which vault a generation shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub change: u64,
    pub vault: [u8; VAULT_BYTES],
}

/// One open generation.
struct Generation {
    name: String,
    place: PathBuf,
    /// What `find` reads: turned to the snapshot that is held.
    pages: RefCell<Pages>,
    snapshot: Option<RoTxn<'static, WithoutTls>>,
    env: Env<WithoutTls>,
    table: Table,
    stamp: Result<Stamp, Unavailable>,
    reported: Cell<bool>,
}

/// The index of a node as one process sees it.
pub struct Index {
    directory: PathBuf,
    scribe: Scribe,
    generation: Result<Generation, Unavailable>,
    looked_ns: u64,
}

impl Index {
    /// Opens whatever is there; nothing there, or nothing readable, is `Unavailable` and no error.
    pub fn open(directory: &Path, seal: Seal) -> Index {
        let mut index = Index {
            directory: directory.to_owned(),
            scribe: Scribe::new(seal),
            generation: Err(Unavailable::Missing),
            looked_ns: clock::monotonic_ns(),
        };
        index.look();
        index
    }

    /// Takes up the generation that `CURRENT` names, when it is another one, and a fresh snapshot. Call it from a timer.
    pub fn look(&mut self) {
        self.looked_ns = clock::monotonic_ns();
        let named = fs::read_to_string(self.directory.join(CURRENT)).unwrap_or_default();
        let named = named.trim();
        if !is_generation(named) {
            self.generation = Err(Unavailable::Missing);
            return;
        }
        if let Ok(open) = &mut self.generation
            && open.name == named
        {
            let again = open.stamp.is_err();
            return open.renew(&self.scribe.seal, again);
        }
        // Closed first: no environment is open twice in one process.
        self.generation = Err(Unavailable::Missing);
        self.generation = Generation::open(&self.directory, named, &self.scribe.seal);
    }

    /// A fresh snapshot: what was committed before is seen from now on. It costs next to nothing when nothing was
    /// written.
    #[inline]
    pub fn renew(&mut self) {
        match &mut self.generation {
            Ok(generation) => generation.renew(&self.scribe.seal, false),
            Err(_) if clock::since(self.looked_ns) > LOOK_AGAIN => return self.look(),
            Err(_) => return,
        }
        // A stale one is replaced soon.
        if self.why().is_some() && clock::since(self.looked_ns) > LOOK_AGAIN {
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

    /// The record of a token, as of the last `renew`; None when there is no such token, which is proved.
    #[inline]
    pub fn find(&self, token: &Token) -> Result<Option<TokenRecord>, Unavailable> {
        let generation = self.generation.as_ref().map_err(|why| *why)?;
        generation.stamp?;
        let found = generation.find(&self.scribe.seal, token);
        if found.is_err() {
            generation.report();
        }
        found
    }

    /// Whether any process has met damage in this generation: build another.
    pub fn damaged(&self) -> bool {
        self.generation
            .as_ref()
            .is_ok_and(|generation| generation.place.join(REPORT).exists())
    }

    /// Tokens in the generation, as it says itself.
    pub fn tokens(&self) -> Result<u64, Unavailable> {
        let generation = self.generation.as_ref().map_err(|why| *why)?;
        let pages = generation.pages.try_borrow();
        pages
            .map(|pages| pages.entries().saturating_sub(1))
            .map_err(|_| Unavailable::Damaged)
    }

    /// What looks through the whole generation, with a snapshot and a file of its own.
    pub fn inspection(&self, seal: Seal) -> Result<Inspection, Unavailable> {
        let generation = self.generation.as_ref().map_err(|why| *why)?;
        generation.stamp?;
        let file = File::open(generation.place.join(DATA)).map_err(|_| Unavailable::Damaged)?;
        let mut pages = Pages::open(file)?;
        let snapshot = turned(&generation.env, &mut pages)?;
        Ok(Inspection {
            pages,
            seal,
            snapshot,
        })
    }

    /// Writes records (None: removes) and the change they come with, in one transaction that is on disk when this
    /// returns. Every reader's next `renew` sees it.
    pub fn write(
        &mut self,
        records: &[(Token, Option<TokenRecord>)],
        change: u64,
    ) -> Result<(), IndexError> {
        let generation = match &mut self.generation {
            Ok(generation) => generation,
            Err(why) => return Err(IndexError::Unavailable(*why)),
        };
        let written = generation.write(&mut self.scribe, records, change);
        if matches!(written, Err(IndexError::Unavailable(_))) {
            generation.report();
        }
        generation.renew(&self.scribe.seal, false);
        written
    }

    /// From now on every reader of this generation answers `Unavailable`, until a rebuilt one takes its place. Where
    /// damage forbids to write to it, `CURRENT` goes, which readers see at their next `look`.
    pub fn mark_stale(&mut self) -> Result<(), IndexError> {
        // Nothing readable: nothing to be marked.
        let Ok(generation) = &mut self.generation else {
            return Ok(());
        };
        let marked = generation.mark_stale(&mut self.scribe);
        generation.renew(&self.scribe.seal, false);
        if marked.is_ok() {
            return marked;
        }
        let name = generation.name.clone();
        self.generation = Err(Unavailable::Damaged);
        let current = self.directory.join(CURRENT);
        if fs::read_to_string(&current).is_ok_and(|named| named.trim() != name) {
            // Another one is in force already.
            return Ok(());
        }
        let gone = match fs::remove_file(&current) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => File::open(&self.directory).and_then(|directory| directory.sync_all()),
        };
        gone.map_err(failing("mark", &self.directory))
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
        let damaged = |_| Unavailable::Damaged;
        let place = directory.join(name);
        let file = File::open(place.join(DATA)).map_err(|_| Unavailable::Damaged)?;
        let mut pages = Pages::open(file)?;
        let env = environment(&place).map_err(|_| Unavailable::Damaged)?;
        let snapshot = turned(&env, &mut pages)?;
        let table = env.open_database::<Bytes, Bytes>(&snapshot, None);
        let table = table.map_err(damaged)?.ok_or(Unavailable::Damaged)?;
        let stamp = stamp_of(seal, &mut pages);
        Ok(Generation {
            name: name.to_owned(),
            place,
            pages: RefCell::new(pages),
            snapshot: Some(snapshot),
            env,
            table,
            stamp,
            reported: Cell::new(false),
        })
    }

    #[inline]
    fn renew(&mut self, seal: &Seal, again: bool) {
        let newest = self.env.info().last_txn_id;
        if !again && self.snapshot.as_ref().is_some_and(|s| s.id() == newest) {
            return;
        }
        // The old one first, so that its pages are free for the next writer.
        self.snapshot = None;
        let pages = self.pages.get_mut();
        match turned(&self.env, pages) {
            Ok(snapshot) => {
                self.snapshot = Some(snapshot);
                self.stamp = stamp_of(seal, pages);
            }
            Err(why) => self.stamp = Err(why),
        }
    }

    #[inline]
    fn find(&self, seal: &Seal, token: &Token) -> Result<Option<TokenRecord>, Unavailable> {
        let mut pages = self
            .pages
            .try_borrow_mut()
            .map_err(|_| Unavailable::Damaged)?;
        let sought = token.key();
        let (key, sealed) = pages.floor(&sought)?.ok_or(Unavailable::Damaged)?;
        if key == sought {
            return seal.record(token, sealed).map(Some);
        }
        // Unknown when the entry before says so.
        let next = seal.next(key, sealed)?;
        (next > sought).then_some(None).ok_or(Unavailable::Damaged)
    }

    /// Leaves word for whoever builds generations, once.
    #[cold]
    fn report(&self) {
        if !self.reported.replace(true) {
            let _ = File::create(self.place.join(REPORT));
        }
    }

    fn write(
        &mut self,
        scribe: &mut Scribe,
        records: &[(Token, Option<TokenRecord>)],
        change: u64,
    ) -> Result<(), IndexError> {
        let failed = IndexError::store("write to");
        let vault = self.stamp.map_err(IndexError::Unavailable)?.vault;
        let sound = self.sound_for(records.iter().map(|(token, _)| token.key()));
        sound.map_err(IndexError::Unavailable)?;
        let mut txn = self.env.write_txn().map_err(&failed)?;
        for (token, record) in records {
            match record {
                Some(record) => scribe.put((self.table, &mut txn), token, record, change),
                None => scribe.remove((self.table, &mut txn), token),
            }?;
        }
        let head = head(WHOLE, &vault);
        scribe.head((self.table, &mut txn), change, &head)?;
        txn.commit().map_err(&failed)
    }

    fn mark_stale(&mut self, scribe: &mut Scribe) -> Result<(), IndexError> {
        let failed = IndexError::store("mark");
        let sound = self.sound_for(std::iter::empty());
        sound.map_err(IndexError::Unavailable)?;
        let mut txn = self.env.write_txn().map_err(&failed)?;
        let head = head(STALE, &[0; VAULT_BYTES]);
        scribe.head((self.table, &mut txn), 0, &head)?;
        txn.commit().map_err(&failed)
    }

    /// Whether the pages at these keys, at the entries before them and at the head are sound.
    fn sound_for(&mut self, keys: impl Iterator<Item = Link>) -> Result<(), Unavailable> {
        let pages = self.pages.get_mut();
        let mut all = vec![HEAD_KEY.to_vec()];
        for key in keys {
            let mut below = key;
            // Keys of tokens are whole numbers behind a length: the one below is before this and behind all others.
            for byte in below.iter_mut().rev() {
                *byte = byte.wrapping_sub(1);
                if *byte != 0xff {
                    break;
                }
            }
            for key in [key, below] {
                let (found, _) = pages.floor(&key)?.ok_or(Unavailable::Damaged)?;
                all.push(found.to_vec());
            }
            all.push(key.to_vec());
        }
        pages.sound_for(all.iter().map(Vec::as_slice))
    }
}

/// Takes a snapshot and turns the pages to it.
fn turned(
    env: &Env<WithoutTls>,
    pages: &mut Pages,
) -> Result<RoTxn<'static, WithoutTls>, Unavailable> {
    for _ in 0..TRIES {
        let snapshot = env.clone().static_read_txn();
        let snapshot = snapshot.map_err(|_| Unavailable::Damaged)?;
        if pages.turn_to(snapshot.id() as u64)? {
            return Ok(snapshot);
        }
    }
    Err(Unavailable::Damaged)
}

/// A generation under construction. It is in force when `finish` has returned, and gone when it is dropped before.
pub struct Rebuild {
    directory: PathBuf,
    name: String,
    scribe: Scribe,
    env: Option<Env<WithoutTls>>,
    table: Table,
    last: Option<Token>,
    amended: bool,
    finished: bool,
}

impl Rebuild {
    fn begin(directory: &Path, seal: Seal) -> Result<Rebuild, IndexError> {
        let failed = IndexError::store("begin");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failing("make", directory))?;
        let highest = generations(directory)
            .map_err(failing("list", directory))?
            .into_iter()
            .max()
            .unwrap_or(0);
        let name = format!("{:010}", highest + 1);
        let place = directory.join(&name);
        DirBuilder::new()
            .mode(0o700)
            .create(&place)
            .map_err(failing("make", directory))?;
        let mut scribe = Scribe::new(seal);
        let env = environment(&place)?;
        let mut txn = env.write_txn().map_err(&failed)?;
        let table = env
            .create_database::<Bytes, Bytes>(&mut txn, None)
            .map_err(&failed)?;
        scribe.head((table, &mut txn), 0, &head(STALE, &[0; VAULT_BYTES]))?;
        txn.commit().map_err(&failed)?;
        Ok(Rebuild {
            directory: directory.to_owned(),
            name,
            scribe,
            env: Some(env),
            table,
            last: None,
            amended: false,
            finished: false,
        })
    }

    fn env(&self) -> Result<&Env<WithoutTls>, IndexError> {
        self.env.as_ref().ok_or(IndexError::Record("finished"))
    }

    /// Adds records in the order of `Token`, behind those added before. `change` is the vault's while it is read.
    pub fn add(&mut self, records: &[(Token, TokenRecord)], change: u64) -> Result<(), IndexError> {
        let mut before = self.last;
        for (token, _) in records {
            if before.is_some_and(|before| before >= *token) {
                return Err(IndexError::Record("tokens are not in order"));
            }
            before = Some(*token);
        }
        let Some((first, _)) = records.first() else {
            return Ok(());
        };
        if self.amended {
            self.last = before;
            return self.amend(records, change);
        }
        let failed = IndexError::store("fill");
        let env = self.env()?.clone();
        let mut txn = env.write_txn().map_err(&failed)?;
        let last = self.last.map(|last| last.key());
        let last = last.as_ref().map_or(HEAD_KEY, |last| last.as_slice());
        self.scribe.link(self.table, &mut txn, last, &first.key())?;
        let following = records.iter().skip(1).map(|(token, _)| token.key());
        for ((token, record), next) in records.iter().zip(following.chain([END])) {
            let place = (self.table, &mut txn);
            self.scribe
                .entry(place, token, record, &next, change, PutFlags::APPEND)?;
        }
        txn.commit().map_err(&failed)?;
        self.last = before;
        Ok(())
    }

    /// Puts records that were changed while others were added: in any order, in the place of those that are there.
    pub fn amend(
        &mut self,
        records: &[(Token, TokenRecord)],
        change: u64,
    ) -> Result<(), IndexError> {
        let failed = IndexError::store("fill");
        self.amended = true;
        let env = self.env()?.clone();
        let mut txn = env.write_txn().map_err(&failed)?;
        for (token, record) in records {
            self.scribe
                .put((self.table, &mut txn), token, record, change)?;
        }
        txn.commit().map_err(&failed)
    }

    /// Stamps the generation, puts it in force and removes all others.
    pub fn finish(mut self, stamp: &Stamp) -> Result<(), IndexError> {
        let failed = IndexError::store("finish");
        let env = self.env()?.clone();
        let mut txn = env.write_txn().map_err(&failed)?;
        let head = head(WHOLE, &stamp.vault);
        self.scribe
            .head((self.table, &mut txn), stamp.change, &head)?;
        txn.commit().map_err(&failed)?;
        env.force_sync().map_err(&failed)?;
        drop(env);
        self.env = None;
        let named = name_current(&self.directory, &self.name);
        named.map_err(failing("put in force", &self.directory))?;
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
            simulation::environments::forget(&self.directory.join(&self.name));
            let _ = fs::remove_dir_all(self.directory.join(&self.name));
        }
    }
}

fn environment(place: &Path) -> Result<Env<WithoutTls>, IndexError> {
    let open = || buf::lmdb(place, MAP_BYTES, READERS_MAX);
    let env = if simulation::active() {
        simulation::environments::environment(place, open)
    } else {
        open()
    };
    env.map_err(IndexError::store("open"))
}

/// An error of the file system at the index's directory.
fn failing(action: &'static str, directory: &Path) -> impl Fn(io::Error) -> IndexError {
    let place = directory.display().to_string();
    move |source| IndexError::Io {
        action,
        place: place.clone(),
        source,
    }
}

fn stamp_of(seal: &Seal, pages: &mut Pages) -> Result<Stamp, Unavailable> {
    let (key, sealed) = pages.floor(HEAD_KEY)?.ok_or(Unavailable::Damaged)?;
    if key != HEAD_KEY {
        return Err(Unavailable::Damaged);
    }
    let mut place = [0; PACKED_BYTES_MAX];
    let (change, plain) = seal.open(HEAD_KEY, sealed, &mut place)?;
    match plain.get(KEY_BYTES..) {
        Some([FORMAT, WHOLE, vault @ ..]) => Ok(Stamp {
            change,
            vault: vault.try_into().map_err(|_| Unavailable::Damaged)?,
        }),
        Some([FORMAT, STALE, ..]) => Err(Unavailable::Stale),
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
    File::open(directory.join(name))?.sync_all()?;
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
