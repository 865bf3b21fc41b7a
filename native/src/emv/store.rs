//! Issuers' master keys at rest: one file, sealed under a key of the node, replaced as a whole.
//!
//! A head of 24 bytes (magic, count, nonce), a row of 64 bytes for each key, then the keys, 16 bytes each, under
//! AES-256-GCM-SIV, and the tag. Head and rows are clear and authenticated with the keys: no row can be changed, added,
//! taken out or moved to another key. An older copy of the whole file does open. Clear keys exist in locked pages only.
//!
//! Each row says what its key is for. Only a row for cryptograms ever becomes a `CardMaster`; that is the one way from
//! here into a `Ring`, so a key for script codes cannot prove a tap.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::key::{CHECK_BYTES, CardMaster, Derivation, KEY_BYTES, MasterFault};
use super::profile::{SCHEMES, Scheme};
use super::ring::{PREFIX_MAX, Ring, RingFault};
use crate::buf::{Locked, lock_exclusive};
use crate::journal::keys::random;

/// Keys in one file at most, retired ones included: their clear bytes fill one locked page.
pub const ENTRIES_MAX: usize = 256;
/// Letters and digits of an institution's id at most, as in the settings.
pub const INSTITUTION_MAX: usize = 16;
const MAGIC: &[u8; 8] = b"TSWCARD1";
const HEAD_BYTES: usize = 24;
const ROW_BYTES: usize = 64;
const TAG_BYTES: usize = 16;
const FILE_MAX: usize = HEAD_BYTES + ENTRIES_MAX * (ROW_BYTES + KEY_BYTES) + TAG_BYTES;
const TRIPLE_DES: u8 = 1;

type Seal = Zeroizing<[u8; 32]>;

/// Why the file, or a change of it, is refused. No variant carries a key byte.
#[derive(Debug, Error)]
pub enum StoreFault {
    #[error("cannot {action}: {source}")]
    Io {
        action: &'static str,
        source: io::Error,
    },
    #[error("there is no file of card master keys")]
    Absent,
    #[error("this is not a file of card master keys")]
    NotAStore,
    #[error("the node's keys do not open the file, or the file is damaged")]
    DoesNotOpen,
    #[error("another process is changing the file")]
    Busy,
    #[error(
        "an institution is 1 to 16 letters, digits, - and _; a card range 1 to 12 digits; a version at least 1"
    )]
    Entry,
    #[error("the file holds {ENTRIES_MAX} keys, retired ones included, and takes no more")]
    Full,
    #[error("there is no such key in use")]
    Unknown,
    #[error("it is the last key in use of its cards: without it every tap of theirs is declined")]
    Last,
    #[error("this key is for {0}, not for cryptograms")]
    Usage(&'static str),
    #[error(transparent)]
    Ring(#[from] RingFault),
    #[error(transparent)]
    Master(#[from] MasterFault),
    #[error("no random bytes from the kernel: {0}")]
    Random(String),
}

/// What a key may do; each card key derived from it inherits that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Application cryptograms and their answers.
    Cryptogram,
    /// Codes over issuer scripts.
    ScriptMac,
    /// Secrets in issuer scripts.
    ScriptSecret,
}

/// Every usage with its name and its byte in the file.
const USAGES: [(Usage, &str, u8); 3] = [
    (Usage::Cryptogram, "cryptogram", 1),
    (Usage::ScriptMac, "script-mac", 2),
    (Usage::ScriptSecret, "script-secret", 3),
];

impl Usage {
    pub fn of_name(name: &str) -> Option<Usage> {
        USAGES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    pub fn name(self) -> &'static str {
        USAGES
            .iter()
            .find(|row| row.0 == self)
            .map_or("", |row| row.1)
    }
}

/// Where a key belongs: what a tap, and an operator, names it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub scheme: Scheme,
    /// Leading digits of the tokens or cards.
    pub prefix: String,
    /// Derivation key index, as tag 9F10 has it.
    pub index: u8,
    pub usage: Usage,
}

/// All that is known of a key but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose key it is.
    pub institution: String,
    pub place: Place,
    /// Counts the keys of one place, from 1.
    pub version: u16,
    pub derivation: Derivation,
    pub check_value: [u8; CHECK_BYTES],
    /// Unix seconds.
    pub added_s: u64,
    /// Unix seconds from which it is out of use and its bytes are gone; 0 while it is in use.
    pub retired_s: u64,
}

impl Entry {
    pub fn in_use(&self) -> bool {
        self.retired_s == 0
    }

    fn sound(&self) -> bool {
        let id = self.institution.as_bytes();
        let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let prefix = self.place.prefix.as_bytes();
        (1..=INSTITUTION_MAX).contains(&id.len())
            && id.iter().all(word)
            && (1..=PREFIX_MAX).contains(&prefix.len())
            && prefix.iter().all(u8::is_ascii_digit)
            && self.version > 0
    }

    fn write(&self, row: &mut [u8]) {
        let (id, prefix) = (self.institution.as_bytes(), self.place.prefix.as_bytes());
        row[..id.len()].copy_from_slice(id);
        row[16..16 + prefix.len()].copy_from_slice(prefix);
        let scheme = SCHEMES
            .iter()
            .position(|known| known.0 == self.place.scheme);
        let usage = USAGES.iter().find(|known| known.0 == self.place.usage);
        row[28] = scheme.map_or(0, |place| place as u8 + 1);
        row[29] = usage.map_or(0, |known| known.2);
        row[30] = TRIPLE_DES;
        row[31] = if self.derivation == Derivation::A {
            1
        } else {
            2
        };
        row[32] = self.place.index;
        row[33..35].copy_from_slice(&self.version.to_be_bytes());
        row[35..38].copy_from_slice(&self.check_value);
        row[40..48].copy_from_slice(&self.added_s.to_be_bytes());
        row[48..56].copy_from_slice(&self.retired_s.to_be_bytes());
    }

    /// `row` has `ROW_BYTES`, as in `write`.
    fn read(row: &[u8]) -> Option<Entry> {
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8(bytes[..end].to_vec()).ok()
        };
        let number = |at: usize| {
            row[at..at + 8]
                .iter()
                .fold(0, |n, b| n << 8 | u64::from(*b))
        };
        let scheme = usize::from(row[28]).checked_sub(1);
        let entry = Entry {
            institution: text(&row[..16])?,
            place: Place {
                prefix: text(&row[16..28])?,
                scheme: SCHEMES.get(scheme?)?.0,
                usage: USAGES.iter().find(|known| known.2 == row[29])?.0,
                index: row[32],
            },
            derivation: match row[31] {
                1 => Derivation::A,
                2 => Derivation::B,
                _ => return None,
            },
            version: u16::from_be_bytes([row[33], row[34]]),
            check_value: [row[35], row[36], row[37]],
            added_s: number(40),
            retired_s: number(48),
        };
        (row[30] == TRIPLE_DES && entry.sound()).then_some(entry)
    }
}

/// The opened file. It has no Debug, and nothing returns a key of it but a `CardMaster`.
pub struct Store {
    entries: Vec<Entry>,
    /// The clear key of each entry, in their order; zeros where it is retired.
    keys: Locked<[u8; ENTRIES_MAX * KEY_BYTES]>,
}

fn blank() -> Result<Locked<[u8; ENTRIES_MAX * KEY_BYTES]>, StoreFault> {
    Ok(Locked::new([0; ENTRIES_MAX * KEY_BYTES]).map_err(MasterFault::Lock)?)
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> StoreFault {
    move |source| StoreFault::Io { action, source }
}

impl Store {
    /// No keys yet.
    pub fn empty() -> Result<Store, StoreFault> {
        Ok(Store {
            entries: Vec::new(),
            keys: blank()?,
        })
    }

    pub fn open(path: &Path, seal: &Seal) -> Result<Store, StoreFault> {
        let file = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreFault::Absent,
            _ => failed("open the file")(source),
        })?;
        let mut bytes = Vec::new();
        file.take(FILE_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed("read the file"))?;
        let count = match bytes.get(..HEAD_BYTES) {
            Some(head) if head.starts_with(MAGIC) => {
                usize::from(u16::from_be_bytes([head[8], head[9]]))
            }
            _ => return Err(StoreFault::NotAStore),
        };
        let clear = HEAD_BYTES + count * ROW_BYTES;
        let sealed = clear + count * KEY_BYTES;
        if count > ENTRIES_MAX || bytes.len() != sealed + TAG_BYTES {
            return Err(StoreFault::NotAStore);
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(&bytes[sealed..]);
        let mut keys = blank()?;
        // Opened in place: the clear keys exist in the locked page only.
        let page = &mut keys[..count * KEY_BYTES];
        page.copy_from_slice(&bytes[clear..sealed]);
        let (head, nonce) = (&bytes[..clear], nonce_of(&bytes));
        Aes256GcmSiv::new((&**seal).into())
            .decrypt_inout_detached(&nonce, head, page.into(), &tag)
            .map_err(|_| StoreFault::DoesNotOpen)?;
        let rows = bytes[HEAD_BYTES..clear].chunks_exact(ROW_BYTES);
        let entries = rows.map(Entry::read).collect::<Option<_>>();
        Ok(Store {
            entries: entries.ok_or(StoreFault::NotAStore)?,
            keys,
        })
    }

    /// Replaces the file, durably and at once: whoever opens it sees the old one or the new one.
    pub fn save(&self, path: &Path, seal: &Seal) -> Result<(), StoreFault> {
        let count = self.entries.len();
        let mut bytes = vec![0; HEAD_BYTES + count * ROW_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&(count as u16).to_be_bytes());
        random(&mut bytes[12..HEAD_BYTES]).map_err(|e| StoreFault::Random(e.to_string()))?;
        let rows = bytes[HEAD_BYTES..].chunks_exact_mut(ROW_BYTES);
        for (row, entry) in rows.zip(&self.entries) {
            entry.write(row);
        }
        let mut sealed = blank()?;
        let page = &mut sealed[..count * KEY_BYTES];
        page.copy_from_slice(&self.keys[..count * KEY_BYTES]);
        let tag = Aes256GcmSiv::new((&**seal).into())
            .encrypt_inout_detached(&nonce_of(&bytes), &bytes, (&mut *page).into())
            .map_err(|_| StoreFault::NotAStore)?;
        bytes.extend_from_slice(page);
        bytes.extend_from_slice(&tag);
        replace(path, &bytes)
    }

    /// One change of the file by one process at a time; a file that is not there yet is made.
    pub fn change<T>(
        path: &Path,
        seal: &Seal,
        act: impl FnOnce(&mut Store) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let lock = private(&beside(path, ".lock"), false).map_err(failed("make the lock file"))?;
        if !lock_exclusive(&lock).map_err(failed("lock the file"))? {
            return Err(StoreFault::Busy);
        }
        let mut store = match Store::open(path, seal) {
            Err(StoreFault::Absent) => Store::empty()?,
            other => other?,
        };
        let done = act(&mut store)?;
        store.save(path, seal)?;
        Ok(done)
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn key(&self, at: usize) -> Zeroizing<[u64; 2]> {
        let bytes = &self.keys[at * KEY_BYTES..(at + 1) * KEY_BYTES];
        let mut halves = Zeroizing::new([0; 2]);
        for (half, bytes) in halves.iter_mut().zip(bytes.chunks_exact(8)) {
            *half = bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b));
        }
        halves
    }

    /// Enters a key. Its version is the one of `entry`, or with 0 the next one of its place; returned.
    ///
    /// The key must have the entry's check value. Refused where `Ring::add_version` would refuse it.
    pub fn add(&mut self, mut entry: Entry, key: &[u64; 2]) -> Result<u16, StoreFault> {
        let versions = || self.entries.iter().filter(|e| e.place == entry.place);
        if entry.version == 0 {
            entry.version = versions()
                .map(|e| e.version)
                .max()
                .unwrap_or(0)
                .saturating_add(1);
        }
        if !entry.sound() {
            return Err(StoreFault::Entry);
        }
        if self.entries.len() == ENTRIES_MAX {
            return Err(StoreFault::Full);
        }
        // A version names one key for ever, also after that key has gone.
        if versions().any(|e| e.version == entry.version) {
            return Err(RingFault::Taken.into());
        }
        if versions().filter(|e| e.in_use()).count() == super::ring::VERSIONS_MAX {
            return Err(RingFault::Versions.into());
        }
        // What any usage asks of a key: not a single one, and the one that was meant.
        CardMaster::new(key, entry.derivation, entry.check_value)?;
        let at = self.entries.len() * KEY_BYTES;
        for (bytes, half) in self.keys[at..at + KEY_BYTES].chunks_exact_mut(8).zip(key) {
            for (place, byte) in bytes.iter_mut().enumerate() {
                *byte = (half >> (56 - 8 * place)) as u8;
            }
        }
        let version = entry.version;
        self.entries.push(entry);
        Ok(version)
    }

    /// Enters a new random key; the check value of `entry` is not read.
    pub fn generate(&mut self, mut entry: Entry) -> Result<u16, StoreFault> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random(&mut *bytes).map_err(|e| StoreFault::Random(e.to_string()))?;
        let mut key = Zeroizing::new([0; 2]);
        for (half, bytes) in key.iter_mut().zip(bytes.chunks_exact(8)) {
            *half = bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b));
        }
        entry.check_value = CardMaster::check_value_for(&key)?;
        self.add(entry, &key)
    }

    /// Takes a key out of use for good: its bytes leave the file, its row stays. `last` allows what `Last` forbids.
    pub fn retire(
        &mut self,
        place: &Place,
        version: u16,
        at_s: u64,
        last: bool,
    ) -> Result<(), StoreFault> {
        let used = |e: &&Entry| e.place == *place && e.in_use();
        let count = self.entries.iter().filter(used).count();
        let found = self
            .entries
            .iter()
            .position(|e| used(&e) && e.version == version)
            .ok_or(StoreFault::Unknown)?;
        if count == 1 && !last {
            return Err(StoreFault::Last);
        }
        self.entries[found].retired_s = at_s.max(1);
        self.keys[found * KEY_BYTES..(found + 1) * KEY_BYTES].zeroize();
        Ok(())
    }

    /// The key of an entry as what proves cryptograms; refused for a key of any other usage.
    pub fn card_master(&self, at: usize) -> Result<CardMaster, StoreFault> {
        let entry = self.entries.get(at).ok_or(StoreFault::Unknown)?;
        match entry.place.usage {
            Usage::Cryptogram if entry.in_use() => {}
            Usage::Cryptogram => return Err(StoreFault::Unknown),
            other => return Err(StoreFault::Usage(other.name())),
        }
        Ok(CardMaster::new(
            &self.key(at),
            entry.derivation,
            entry.check_value,
        )?)
    }

    /// All keys in use that are for cryptograms.
    pub fn ring(&self) -> Result<Ring, StoreFault> {
        let mut ring = Ring::default();
        for (at, entry) in self.entries.iter().enumerate() {
            if entry.place.usage != Usage::Cryptogram || !entry.in_use() {
                continue;
            }
            let Place {
                scheme,
                prefix,
                index,
                ..
            } = &entry.place;
            let master = self.card_master(at)?;
            ring.add_version(*scheme, prefix.as_bytes(), *index, entry.version, master)?;
        }
        Ok(ring)
    }
}

fn nonce_of(bytes: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce.copy_from_slice(&bytes[12..HEAD_BYTES]);
    nonce
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) fn private(path: &Path, new: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .create_new(new)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// The caller holds the lock, so a part that lies there was left by a process that died.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreFault> {
    let part = beside(path, ".part");
    let _ = std::fs::remove_file(&part);
    let mut file = private(&part, true).map_err(failed("create the file"))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(failed("write the file"))?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))
        .and_then(|d| d.sync_all())
        .map_err(failed("sync the directory"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::emv::{Card, Refusal};
    use crate::journal::testing::TempDir;

    const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
    const CHECK: [u8; 3] = [0x08, 0xd7, 0xb4];

    fn seal(byte: u8) -> Seal {
        Zeroizing::new([byte; 32])
    }

    fn entry(usage: Usage, index: u8) -> Entry {
        Entry {
            institution: "BANK01".to_owned(),
            place: Place {
                scheme: Scheme::Visa,
                prefix: "123456".to_owned(),
                index,
                usage,
            },
            version: 0,
            derivation: Derivation::A,
            check_value: CHECK,
            added_s: 1_795_000_000,
            retired_s: 0,
        }
    }

    /// A store of one key for cryptograms and one for script codes, both the same 16 bytes.
    fn fixture() -> (TempDir, PathBuf) {
        let dir = TempDir::new();
        let path = dir.path().join("card-masters");
        Store::change(&path, &seal(1), |store| {
            store.add(entry(Usage::Cryptogram, 1), &KEY)?;
            store.add(entry(Usage::ScriptMac, 2), &KEY)
        })
        .unwrap();
        (dir, path)
    }

    /// The Visa 10 row of tests/vectors/emv.toml, which `KEY` proves, under a key index.
    fn refusal(ring: &Ring, index: u8) -> Option<Refusal> {
        let mut field = Vec::new();
        for (tag, text) in [
            (0x9f02, "000000004000"),
            (0x9f03, "000000000000"),
            (0x9f1a, "0124"),
            (0x95, "8000048000"),
            (0x5f2a, "0124"),
            (0x9a, "191105"),
            (0x9c, "01"),
            (0x9f37, "52BF4585"),
            (0x82, "1800"),
            (0x9f36, "001C"),
            (0x9f10, &format!("06{index:02X}0A03A06010")),
            (0x9f26, "29CCA15AE665FA2E"),
            (0x9f27, "80"),
        ] {
            let value: Vec<u8> = (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect();
            crate::codec::tlv::push_ber(&mut field, tag, &value);
        }
        let card = Card::new(b"1234567890123456", 0).unwrap();
        ring.verify(&field, &card, 4000, 124).err()
    }

    #[test]
    fn a_key_of_another_usage_never_proves_a_cryptogram() {
        let (_dir, path) = fixture();
        let store = Store::open(&path, &seal(1)).unwrap();
        let ring = store.ring().unwrap();
        assert_eq!((store.entries().len(), ring.len()), (2, 1));
        assert_eq!(refusal(&ring, 1), None);
        // The very same bytes, entered for script codes.
        assert_eq!(refusal(&ring, 2), Some(Refusal::KeyUnknown(2)));
        assert!(matches!(
            store.card_master(1),
            Err(StoreFault::Usage("script-mac"))
        ));
        assert!(store.card_master(0).is_ok());
    }

    #[test]
    fn the_usage_of_a_key_cannot_be_rewritten() {
        let (_dir, path) = fixture();
        let mut bytes = std::fs::read(&path).unwrap();
        let usage = HEAD_BYTES + ROW_BYTES + 29;
        assert_eq!(bytes[usage], 2);
        bytes[usage] = 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(
            Store::open(&path, &seal(1)),
            Err(StoreFault::DoesNotOpen)
        ));
    }

    #[test]
    fn every_flipped_bit_every_cut_and_another_seal_are_noticed() {
        let (_dir, path) = fixture();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(
            whole.len(),
            HEAD_BYTES + 2 * (ROW_BYTES + KEY_BYTES) + TAG_BYTES
        );
        assert!(!whole.windows(8).any(|w| w == KEY[0].to_be_bytes()));
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(Store::open(&path, &seal(1)).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Store::open(&path, &seal(1)).is_err(), "length {at}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert!(matches!(
            Store::open(&path, &seal(2)),
            Err(StoreFault::DoesNotOpen)
        ));
        assert!(Store::open(&path, &seal(1)).is_ok());
    }

    #[test]
    fn rows_and_keys_cannot_change_places() {
        let (_dir, path) = fixture();
        let mut bytes = std::fs::read(&path).unwrap();
        let (first, second) = (HEAD_BYTES, HEAD_BYTES + ROW_BYTES);
        for at in 0..ROW_BYTES {
            bytes.swap(first + at, second + at);
        }
        std::fs::write(&path, &bytes).unwrap();
        assert!(Store::open(&path, &seal(1)).is_err());
    }

    #[test]
    fn a_rotation_tries_both_versions_and_ends_by_retiring_one() {
        let mut store = Store::empty().unwrap();
        let place = entry(Usage::Cryptogram, 1).place;
        assert_eq!(store.add(entry(Usage::Cryptogram, 1), &KEY).unwrap(), 1);
        assert!(matches!(
            store.retire(&place, 1, 5, false),
            Err(StoreFault::Last)
        ));
        assert_eq!(store.generate(entry(Usage::Cryptogram, 1)).unwrap(), 2);
        assert!(matches!(
            store.generate(entry(Usage::Cryptogram, 1)),
            Err(StoreFault::Ring(RingFault::Versions))
        ));
        // The older version made this card, and still proves it.
        assert_eq!(refusal(&store.ring().unwrap(), 1), None);
        store.retire(&place, 1, 5, false).unwrap();
        assert_eq!(
            refusal(&store.ring().unwrap(), 1),
            Some(Refusal::Cryptogram)
        );
        assert!(store.keys[..KEY_BYTES].iter().all(|b| *b == 0));
        assert!(matches!(
            store.retire(&place, 1, 5, true),
            Err(StoreFault::Unknown)
        ));
        // A version is never given twice, and a key that has gone can be entered again under a new one.
        assert_eq!(store.add(entry(Usage::Cryptogram, 1), &KEY).unwrap(), 3);
        store.retire(&place, 2, 6, false).unwrap();
        assert_eq!(refusal(&store.ring().unwrap(), 1), None);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let (_dir, path) = fixture();
        Store::change(&path, &seal(1), |store| {
            let mut third = entry(Usage::ScriptSecret, 255);
            third.institution = "B-_0123456789ABC".to_owned();
            third.place.prefix = "629977123456".to_owned();
            third.place.scheme = Scheme::UnionPay;
            third.derivation = Derivation::B;
            third.version = u16::MAX;
            store.add(third, &KEY)?;
            let place = entry(Usage::ScriptMac, 2).place;
            store.retire(&place, 1, u64::MAX, true)
        })
        .unwrap();
        let store = Store::open(&path, &seal(1)).unwrap();
        let [first, second, third] = store.entries() else {
            unreachable!("three entries")
        };
        assert_eq!(first.version, 1);
        assert_eq!((first.in_use(), second.in_use()), (true, false));
        assert_eq!(second.retired_s, u64::MAX);
        assert_eq!(third.institution, "B-_0123456789ABC");
        assert_eq!(third.place.prefix, "629977123456");
        assert_eq!((third.place.index, third.version), (255, u16::MAX));
        assert_eq!(
            (third.derivation, third.check_value),
            (Derivation::B, CHECK)
        );
        assert_eq!(store.key(2)[..], KEY);
        assert_eq!(store.key(1)[..], [0, 0]);
    }

    #[test]
    fn entries_that_no_file_may_hold_are_refused() {
        let mut store = Store::empty().unwrap();
        let mut refused = |change: &dyn Fn(&mut Entry)| {
            let mut bad = entry(Usage::Cryptogram, 1);
            change(&mut bad);
            store.add(bad, &KEY).err()
        };
        for id in ["", "seventeen-letters", "B K", "Bänk"] {
            let fault = refused(&|e| e.institution = id.to_owned());
            assert!(matches!(fault, Some(StoreFault::Entry)), "{id}");
        }
        for prefix in ["", "62x", "6299771234567"] {
            let fault = refused(&|e| e.place.prefix = prefix.to_owned());
            assert!(matches!(fault, Some(StoreFault::Entry)), "{prefix}");
        }
        let fault = refused(&|e| e.check_value = [0; 3]);
        assert!(matches!(
            fault,
            Some(StoreFault::Master(MasterFault::CheckValue { .. }))
        ));
        for at in 0..ENTRIES_MAX {
            let mut one = entry(Usage::Cryptogram, (at % 250) as u8);
            one.place.prefix = format!("{}", 1000 + at / 250);
            store.add(one, &KEY).unwrap();
        }
        let full = store.add(entry(Usage::Cryptogram, 1), &KEY).err();
        assert!(matches!(full, Some(StoreFault::Full)));
    }

    #[test]
    fn the_file_is_private_and_a_failed_change_leaves_it_as_it_was() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, path) = fixture();
        let before = std::fs::read(&path).unwrap();
        let failed = Store::change(&path, &seal(1), |store| {
            store.retire(&entry(Usage::Cryptogram, 9).place, 1, 1, true)
        });
        assert!(matches!(failed, Err(StoreFault::Unknown)));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        // Left by a process that died while it wrote.
        std::fs::write(beside(&path, ".part"), b"half").unwrap();
        Store::change(&path, &seal(1), |store| {
            store.retire(&entry(Usage::Cryptogram, 1).place, 1, 1, true)
        })
        .unwrap();
        assert_ne!(std::fs::read(&path).unwrap(), before);
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["card-masters", "card-masters.lock"]);
        for name in names {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap();
            assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        }
        let held = private(&beside(&path, ".lock"), false).unwrap();
        assert!(lock_exclusive(&held).unwrap());
        let busy = Store::change(&path, &seal(1), |_| Ok(()));
        assert!(matches!(busy, Err(StoreFault::Busy)));
        assert!(matches!(
            Store::open(&dir.path().join("none"), &seal(1)),
            Err(StoreFault::Absent)
        ));
    }

    #[test]
    fn opened_keys_are_locked_and_left_out_of_dumps() {
        let (_dir, path) = fixture();
        let store = Store::open(&path, &seal(1)).unwrap();
        let flags = crate::buf::flags_of(std::ptr::from_ref(&*store.keys) as usize);
        assert!(flags.contains(" lo") && flags.contains(" dd"), "{flags}");
    }
}
