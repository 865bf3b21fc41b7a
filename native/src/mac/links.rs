//! Keys of links at rest: what two hosts share, and what master keys of terminals travel under.

use std::path::Path;

use thiserror::Error;
use zeroize::Zeroizing;

use super::book::{Book, BookFault, Clear, Kind, Seal};
use super::key::{CHECK_BYTES, Cipher, Key, KeyFault, LockedKey};
use crate::emv::des::Tdes;

/// Characters of a key's name at most, as institutions' ids.
pub const NAME_MAX: usize = 16;
/// Keys of one name in use at one time: the newer, and the one it takes over from.
pub const IN_USE_MAX: usize = super::guard::LINK_KEYS_MAX;
const CLEAR_BYTES: usize = 48;
const HEAD: usize = NAME_MAX + 2;
const KIND: Kind = Kind {
    magic: b"TSWLINK1",
    what: "link keys",
    rows_max: 4_096,
};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Message codes of a link.
    Mac,
    /// Master keys of terminals are brought under it.
    Transport,
}

impl Usage {
    pub const ALL: [(Usage, &str, u8); 2] =
        [(Usage::Mac, "mac", 1), (Usage::Transport, "transport", 2)];

    pub fn of_name(name: &str) -> Option<Usage> {
        let found = Usage::ALL.iter().find(|row| row.1 == name);
        found.map(|row| row.0)
    }

    pub fn name(self) -> &'static str {
        let found = Usage::ALL.iter().find(|row| row.0 == self);
        found.map_or("", |row| row.1)
    }

    fn byte(self) -> u8 {
        let found = Usage::ALL.iter().find(|row| row.0 == self);
        found.map_or(0, |row| row.2)
    }
}

/// All that is known of a key but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKey {
    pub name: String,
    /// Counts the keys of one name, from 1.
    pub version: u16,
    pub usage: Usage,
    pub cipher: Cipher,
    pub check_value: [u8; CHECK_BYTES],
    /// Unix seconds.
    pub added_s: u64,
    /// Unix seconds from which it is out of use and its bytes are gone; 0 while it is in use.
    pub retired_s: u64,
}

/// Why a key is refused.
#[derive(Debug, Error)]
pub enum LinkFault {
    #[error(transparent)]
    Book(#[from] BookFault),
    #[error(transparent)]
    Key(#[from] KeyFault),
    #[error("a key is named by 1 to {NAME_MAX} letters, digits, - and _")]
    Name,
    #[error("there are {IN_USE_MAX} keys of this name in use already: retire one first")]
    InUse,
    #[error("the keys of this name are for {0} with {1}")]
    Another(&'static str, &'static str),
    #[error("there is no such key in use")]
    Unknown,
    #[error("it is the last key of its name: the link, or the import, would have none")]
    Last,
}

impl LinkKey {
    fn in_use(&self) -> bool {
        self.retired_s == 0
    }

    fn write(&self) -> [u8; CLEAR_BYTES] {
        let mut clear = [0; CLEAR_BYTES];
        clear[..self.name.len()].copy_from_slice(self.name.as_bytes());
        clear[NAME_MAX..HEAD].copy_from_slice(&self.version.to_be_bytes());
        clear[18] = self.usage.byte();
        let cipher = Cipher::ALL.iter().position(|row| row.0 == self.cipher);
        clear[19] = cipher.map_or(0, |at| at as u8 + 1);
        clear[20..24].copy_from_slice(&self.check_value);
        clear[24..32].copy_from_slice(&self.added_s.to_be_bytes());
        clear[32..40].copy_from_slice(&self.retired_s.to_be_bytes());
        clear
    }

    fn read(clear: &[u8; CLEAR_BYTES]) -> Option<LinkKey> {
        let end = clear[..NAME_MAX].iter().position(|b| *b == 0);
        let name = &clear[..end.unwrap_or(NAME_MAX)];
        Some(LinkKey {
            name: String::from_utf8(name.to_vec()).ok()?,
            version: u16::from_be_bytes([clear[16], clear[17]]),
            usage: Usage::ALL.iter().find(|row| row.2 == clear[18])?.0,
            cipher: Cipher::ALL.get(usize::from(clear[19]).checked_sub(1)?)?.0,
            check_value: [clear[20], clear[21], clear[22], clear[23]],
            added_s: super::key::word(&clear[24..32]),
            retired_s: super::key::word(&clear[32..40]),
        })
    }
}

/// The opened file.
pub struct LinkKeys {
    book: Book<CLEAR_BYTES>,
    entries: Vec<LinkKey>,
}

fn entries(book: &Book<CLEAR_BYTES>) -> Result<Vec<LinkKey>, BookFault> {
    let rows = book.rows().iter().map(|row| LinkKey::read(&row.clear));
    rows.collect::<Option<_>>()
        .ok_or(BookFault::NotABook(KIND.what))
}

impl LinkKeys {
    pub fn open(path: &Path, seal: &Seal) -> Result<LinkKeys, BookFault> {
        let book = Book::open(path, KIND, seal)?;
        let entries = entries(&book)?;
        Ok(LinkKeys { book, entries })
    }

    /// In order of name and version.
    pub fn entries(&self) -> &[LinkKey] {
        &self.entries
    }

    /// Keys in use of a name and usage, the newest first.
    pub fn of(&self, name: &str, usage: Usage) -> Result<Vec<LockedKey>, LinkFault> {
        let mut keys = Vec::new();
        for (at, entry) in self.entries.iter().enumerate().rev() {
            if entry.name == name && entry.usage == usage && entry.in_use() {
                let key = self
                    .book
                    .key(at)
                    .and_then(|clear| Key::new(entry.cipher, &*clear));
                keys.push(key.ok_or(LinkFault::Unknown)?.locked()?);
            }
        }
        Ok(keys)
    }

    /// The newest key in use of a name under which other keys travel.
    pub fn transport(&self, name: &str) -> Result<Transport, LinkFault> {
        let found = self.entries.iter().rposition(|entry| {
            entry.name == name && entry.usage == Usage::Transport && entry.in_use()
        });
        let at = found.ok_or(LinkFault::Unknown)?;
        match (self.entries[at].cipher, self.book.key(at)) {
            (Cipher::Tdes, Some(key)) => Ok(Transport(Tdes::new(&Zeroizing::new([
                super::key::word(&key[..8]),
                super::key::word(&key[8..]),
            ])))),
            _ => Err(LinkFault::Unknown),
        }
    }

    /// Enters a key; its version is the next of its name, returned. `check_value`: what it must have, None for what it
    /// has.
    pub fn add(
        path: &Path,
        seal: &Seal,
        mut entry: LinkKey,
        key: &Clear,
        check_value: Option<[u8; CHECK_BYTES]>,
    ) -> Result<u16, LinkFault> {
        let name = entry.name.as_bytes();
        let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !(1..=NAME_MAX).contains(&name.len()) || !name.iter().all(word) {
            return Err(LinkFault::Name);
        }
        entry.check_value = proved(entry.cipher, key, check_value)?;
        Book::change(path, KIND, seal, |book| {
            let known = entries(book)?;
            let versions = || known.iter().filter(|other| other.name == entry.name);
            if versions().filter(|other| other.in_use()).count() >= IN_USE_MAX {
                return Err(LinkFault::InUse);
            }
            let unlike = |other: &&LinkKey| {
                other.in_use() && (other.usage, other.cipher) != (entry.usage, entry.cipher)
            };
            if let Some(other) = versions().find(unlike) {
                return Err(LinkFault::Another(other.usage.name(), other.cipher.name()));
            }
            entry.version = versions().map(|other| other.version).max().unwrap_or(0) + 1;
            book.put(HEAD, [(entry.write(), key.clone())])?;
            Ok(entry.version)
        })
    }

    /// Takes a key out of use for good: its bytes leave the file, its row stays.
    pub fn retire(
        path: &Path,
        seal: &Seal,
        name: &str,
        version: u16,
        at_s: u64,
        last: bool,
    ) -> Result<(), LinkFault> {
        Book::change(path, KIND, seal, |book| {
            let known = entries(book)?;
            let used = |entry: &&LinkKey| entry.name == name && entry.in_use();
            let found = known
                .iter()
                .position(|entry| used(&entry) && entry.version == version)
                .ok_or(LinkFault::Unknown)?;
            if known.iter().filter(used).count() == 1 && !last {
                return Err(LinkFault::Last);
            }
            let mut entry = known[found].clone();
            entry.retired_s = at_s.max(1);
            book.amend(found, true, |clear| *clear = entry.write())?;
            Ok(())
        })
    }
}

/// A key under which other keys travel, block by block.
pub struct Transport(Tdes);

impl Transport {
    /// The key that was sealed under this one.
    pub fn open(&self, sealed: &[u8; 16]) -> Clear {
        let mut clear = Clear::default();
        for (out, block) in clear.chunks_exact_mut(8).zip(sealed.chunks_exact(8)) {
            let [block] = self.0.decrypt([super::key::word(block)]);
            out.copy_from_slice(&block.to_be_bytes());
        }
        clear
    }
}

/// The check value of a key, which must be `expected`, and not that of single DES in double length.
pub(crate) fn proved(
    cipher: Cipher,
    key: &Clear,
    expected: Option<[u8; CHECK_BYTES]>,
) -> Result<[u8; CHECK_BYTES], KeyFault> {
    const PARITY: u64 = 0x0101_0101_0101_0101;
    let (left, right) = (super::key::word(&key[..8]), super::key::word(&key[8..]));
    if cipher == Cipher::Tdes && (left ^ right) & !PARITY == 0 {
        return Err(KeyFault::Weak);
    }
    let found = Key::new(cipher, &**key).map_or([0; CHECK_BYTES], |key| key.check_value());
    match expected {
        Some(expected) if expected != found => Err(KeyFault::CheckValue {
            expected: crate::codec::value::hex(&expected),
            found: crate::codec::value::hex(&found),
        }),
        _ => Ok(found),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::journal::testing::TempDir;

    fn entry(name: &str, usage: Usage) -> LinkKey {
        LinkKey {
            name: name.to_owned(),
            version: 0,
            usage,
            cipher: Cipher::Tdes,
            check_value: [0; 4],
            added_s: 7,
            retired_s: 0,
        }
    }

    fn key(byte: u8) -> Clear {
        let mut key = Zeroizing::new([byte; 16]);
        key[8] ^= 0xf0;
        key
    }

    #[test]
    fn versions_follow_each_other_and_the_newest_comes_first() {
        let (dir, seal) = (TempDir::new(), Zeroizing::new([1; 32]));
        let path = dir.path().join("links");
        let add = |byte, usage| LinkKeys::add(&path, &seal, entry("bank", usage), &key(byte), None);
        assert_eq!(add(1, Usage::Mac).unwrap(), 1);
        assert_eq!(add(2, Usage::Mac).unwrap(), 2);
        assert!(matches!(add(3, Usage::Mac), Err(LinkFault::InUse)));
        let open = || LinkKeys::open(&path, &seal).unwrap();
        let values = |keys: &[LockedKey]| keys.iter().map(|k| k.check_value()).collect::<Vec<_>>();
        let check = |byte| Key::new(Cipher::Tdes, &*key(byte)).unwrap().check_value();
        assert_eq!(
            values(&open().of("bank", Usage::Mac).unwrap()),
            [check(2), check(1)]
        );
        assert!(open().of("bank", Usage::Transport).unwrap().is_empty());
        LinkKeys::retire(&path, &seal, "bank", 1, 9, false).unwrap();
        assert!(matches!(
            LinkKeys::retire(&path, &seal, "bank", 2, 9, false),
            Err(LinkFault::Last)
        ));
        assert_eq!(values(&open().of("bank", Usage::Mac).unwrap()), [check(2)]);
        assert_eq!(open().entries()[0].retired_s, 9);
        assert!(matches!(
            add(4, Usage::Transport),
            Err(LinkFault::Another("mac", "3des"))
        ));
    }

    #[test]
    fn a_wrong_check_value_is_refused() {
        let (dir, seal) = (TempDir::new(), Zeroizing::new([1; 32]));
        let path = dir.path().join("links");
        let wrong = LinkKeys::add(&path, &seal, entry("b", Usage::Mac), &key(1), Some([0; 4]));
        assert!(matches!(
            wrong,
            Err(LinkFault::Key(KeyFault::CheckValue { .. }))
        ));
        let weak = LinkKeys::add(
            &path,
            &seal,
            entry("b", Usage::Mac),
            &Zeroizing::new([9; 16]),
            None,
        );
        assert!(matches!(weak, Err(LinkFault::Key(KeyFault::Weak))));
        assert!(!path.exists());
    }
}
