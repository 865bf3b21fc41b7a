//! The registry of terminals: a sealed file, in the order of acquirer and terminal, found by halving.

use std::path::Path;

use thiserror::Error;

use crate::mac::book::{Book, BookFault, Clear, Kind, Seal};
use crate::mac::key::{CHECK_BYTES, word};
use crate::mac::{Cipher, KeyFault};

/// Characters of an institution's id at most.
pub const ACQUIRER_BYTES: usize = 16;
/// Field 41.
pub const TERMINAL_BYTES: usize = 8;
/// Field 42.
pub const MERCHANT_BYTES: usize = 15;
/// Characters of a zone at most.
pub const ZONE_BYTES: usize = 16;
/// Whose terminal: institution, and field 41.
pub const HEAD: usize = ACQUIRER_BYTES + TERMINAL_BYTES;
const CLEAR_BYTES: usize = 80;
const KIND: Kind = Kind {
    magic: b"TSWTERM1",
    what: "terminals",
    rows_max: 1 << 20,
};

/// Acquirer and terminal, as the file has them.
pub type Who = [u8; HEAD];

/// The name of a terminal at its acquirer; None for what is too long for either.
pub fn who(acquirer: &str, terminal: &[u8]) -> Option<Who> {
    let terminal = terminal.trim_ascii_end();
    if acquirer.len() > ACQUIRER_BYTES || terminal.is_empty() || terminal.len() > TERMINAL_BYTES {
        return None;
    }
    let mut who = [0; HEAD];
    who[..acquirer.len()].copy_from_slice(acquirer.as_bytes());
    who[ACQUIRER_BYTES..ACQUIRER_BYTES + terminal.len()].copy_from_slice(terminal);
    Some(who)
}

/// All that is known of a terminal but its master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    pub acquirer: String,
    pub terminal_id: String,
    pub merchant_id: String,
    /// Field 60.4 as the terminal declares it; 0 for any.
    pub capability: u8,
    pub zone: String,
    pub check_value: [u8; CHECK_BYTES],
    /// Unix seconds.
    pub added_s: u64,
    /// Unix seconds from which it may do nothing and its key is gone; 0 while it is in use.
    pub retired_s: u64,
}

/// A terminal, the check value that its master key must have, and the key.
pub type Entered = (Terminal, Option<[u8; CHECK_BYTES]>, Clear);

/// Why a terminal is refused.
#[derive(Debug, Error)]
pub enum RegistryFault {
    #[error(transparent)]
    Book(#[from] BookFault),
    #[error(transparent)]
    Key(#[from] KeyFault),
    #[error(
        "terminal {0}: an acquirer's id is up to 16 characters, a terminal's 1 to 8, a merchant's 1 to 15, a zone's up to 16, all ASCII"
    )]
    Terminal(String),
    #[error("terminal {0} is there already")]
    Known(String),
    #[error("there is no such terminal in use")]
    Unknown,
}

fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8(bytes[..end].to_vec()).ok()
}

impl Terminal {
    pub fn in_use(&self) -> bool {
        self.retired_s == 0
    }

    fn sound(&self) -> Option<Who> {
        let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        let merchant = (1..=MERCHANT_BYTES).contains(&self.merchant_id.len());
        let zone = self.zone.len() <= ZONE_BYTES;
        let texts = [
            &self.acquirer,
            &self.terminal_id,
            &self.merchant_id,
            &self.zone,
        ];
        who(&self.acquirer, self.terminal_id.as_bytes())
            .filter(|_| merchant && zone && texts.iter().all(|text| printable(text)))
    }

    fn write(&self, who: &Who) -> [u8; CLEAR_BYTES] {
        let mut clear = [0; CLEAR_BYTES];
        clear[..HEAD].copy_from_slice(who);
        clear[24..24 + self.merchant_id.len()].copy_from_slice(self.merchant_id.as_bytes());
        clear[39] = self.capability;
        clear[40..40 + self.zone.len()].copy_from_slice(self.zone.as_bytes());
        clear[56..60].copy_from_slice(&self.check_value);
        clear[60..68].copy_from_slice(&self.added_s.to_be_bytes());
        clear[68..76].copy_from_slice(&self.retired_s.to_be_bytes());
        clear
    }

    fn read(clear: &[u8; CLEAR_BYTES]) -> Option<Terminal> {
        Some(Terminal {
            acquirer: text(&clear[..ACQUIRER_BYTES])?,
            terminal_id: text(&clear[ACQUIRER_BYTES..HEAD])?,
            merchant_id: text(&clear[24..39])?,
            capability: clear[39],
            zone: text(&clear[40..56])?,
            check_value: [clear[56], clear[57], clear[58], clear[59]],
            added_s: word(&clear[60..68]),
            retired_s: word(&clear[68..76]),
        })
    }
}

/// What the walk asks of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub place: usize,
    pub merchant_id: [u8; MERCHANT_BYTES],
    pub in_use: bool,
}

/// The opened file.
pub struct Registry {
    book: Book<CLEAR_BYTES>,
}

impl Registry {
    pub fn open(path: &Path, seal: &Seal) -> Result<Registry, BookFault> {
        let book = Book::open(path, KIND, seal)?;
        Ok(Registry { book })
    }

    /// Counts the changes of the file.
    pub fn generation(&self) -> u64 {
        self.book.generation()
    }

    pub fn len(&self) -> usize {
        self.book.rows().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.book.bytes()
    }

    pub fn find(&self, who: &Who) -> Option<Found> {
        let place = self.book.find(who).ok()?;
        let clear = &self.book.rows().get(place)?.clear;
        let mut merchant_id = [0; MERCHANT_BYTES];
        merchant_id.copy_from_slice(&clear[24..39]);
        Some(Found {
            place,
            merchant_id,
            in_use: clear[68..76] == [0; 8],
        })
    }

    /// The master key of a place, as long as it is used.
    pub fn master(&self, place: usize) -> Option<Clear> {
        self.book.key(place)
    }

    /// Terminals from a place on, at most so many.
    pub fn rows(&self, from: usize, most: usize) -> Result<Vec<Terminal>, BookFault> {
        let rows = self.book.rows().iter().skip(from).take(most);
        rows.map(|row| Terminal::read(&row.clear))
            .collect::<Option<_>>()
            .ok_or(BookFault::NotABook(KIND.what))
    }

    /// Enters terminals with their master keys, all or none. A check value that is given must be the key's; `replace`
    /// allows those that are there.
    pub fn add(
        path: &Path,
        seal: &Seal,
        entries: Vec<Entered>,
        replace: bool,
    ) -> Result<usize, RegistryFault> {
        let count = entries.len();
        let mut rows = Vec::with_capacity(count);
        for (mut terminal, expected, key) in entries {
            let name = || terminal.terminal_id.clone();
            let who = terminal
                .sound()
                .ok_or_else(|| RegistryFault::Terminal(name()))?;
            terminal.check_value = crate::mac::links::proved(Cipher::Tdes, &key, expected)?;
            rows.push((terminal.write(&who), key));
        }
        Book::change(path, KIND, seal, |book: &mut Book<CLEAR_BYTES>| {
            let known = rows
                .iter()
                .find(|(clear, _)| book.find(&clear[..HEAD]).is_ok());
            if let Some((clear, _)) = known.filter(|_| !replace) {
                let name = text(&clear[ACQUIRER_BYTES..HEAD]).unwrap_or_default();
                return Err(RegistryFault::Known(name));
            }
            book.put(HEAD, rows)?;
            Ok(count)
        })
    }

    /// Takes a terminal out of use for good: its master key leaves the file, its row stays.
    pub fn retire(path: &Path, seal: &Seal, who: &Who, at_s: u64) -> Result<(), RegistryFault> {
        Book::change(path, KIND, seal, |book: &mut Book<CLEAR_BYTES>| {
            let place = book.find(who).map_err(|_| RegistryFault::Unknown)?;
            let found = book
                .rows()
                .get(place)
                .and_then(|row| Terminal::read(&row.clear));
            let mut terminal = found
                .filter(Terminal::in_use)
                .ok_or(RegistryFault::Unknown)?;
            terminal.retired_s = at_s.max(1);
            book.amend(place, true, |clear| *clear = terminal.write(who))?;
            Ok(())
        })
    }
}
