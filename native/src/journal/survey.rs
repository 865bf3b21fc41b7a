//! What segments there are: their heads and links, read and checked before any record is.

use super::device::{Device, Store, segment_index, segment_name};
use super::error::JournalError;
use super::frame::{BLOCK_BYTES, Head, HeadFault, Link, is_zero};
use super::keys::{Keys, KeysError};

/// A segment with a sound head.
pub struct Known {
    pub index: u64,
    pub file: String,
    pub head: Head,
    pub link: Option<Link>,
}

impl Known {
    /// The error when the keys of this segment cannot be held.
    pub fn unusable(&self, error: &KeysError) -> JournalError {
        JournalError::Io {
            action: "hold keys for",
            file: self.file.clone(),
            problem: error.to_string(),
        }
    }
}

/// The segments of a journal, oldest first, without gaps.
pub struct Survey {
    pub known: Vec<Known>,
    /// How many of `known` have a link; they come first.
    pub linked: usize,
}

/// Reads all heads and links. Cost: two pages a segment.
pub fn survey(store: &dyn Store, keys: &Keys) -> Result<Survey, JournalError> {
    let names = store
        .list()
        .map_err(|e| JournalError::io("list", &store.place(""), &e))?;
    let mut indexes: Vec<u64> = names.iter().filter_map(|n| segment_index(n)).collect();
    indexes.sort_unstable();
    let mut known: Vec<Known> = Vec::with_capacity(indexes.len());
    for index in indexes {
        let file = store.place(&segment_name(index));
        if let Some(before) = known.last() {
            if before.index + 1 != index {
                let missing = store.place(&segment_name(before.index + 1));
                return Err(JournalError::damaged(&missing, 0, "the segment is missing"));
            }
        }
        let one = know(store, keys, index, file)?;
        if known
            .first()
            .is_some_and(|first| first.head.journal != one.head.journal)
        {
            return Err(JournalError::damaged(
                &one.file,
                24,
                "the segment belongs to another journal",
            ));
        }
        known.push(one);
    }
    let linked = known
        .iter()
        .rposition(|k| k.link.is_some())
        .map_or(0, |i| i + 1);
    if let Some(torn) = known[..linked].iter().find(|k| k.link.is_none()) {
        return Err(JournalError::damaged(
            &torn.file,
            BLOCK_BYTES as u64,
            "the link block is damaged",
        ));
    }
    Ok(Survey { known, linked })
}

fn know(store: &dyn Store, keys: &Keys, index: u64, file: String) -> Result<Known, JournalError> {
    let mut blocks = vec![0; 2 * BLOCK_BYTES];
    store
        .open(&segment_name(index), false)
        .and_then(|device| device.read_at(0, &mut blocks))
        .map_err(|e| JournalError::io("read", &file, &e))?;
    let (head, segment) =
        Head::decode(&blocks[..BLOCK_BYTES], keys).map_err(|fault| match fault {
            HeadFault::Damaged => JournalError::damaged(&file, 0, "the head block is damaged"),
            HeadFault::Format(n) => {
                JournalError::damaged(&file, 8, format!("format {n} is of a later version"))
            }
            HeadFault::WrongKey(which) => JournalError::WrongKey {
                file: file.clone(),
                which,
            },
        })?;
    if head.index != index {
        return Err(JournalError::damaged(
            &file,
            40,
            format!("this is segment {}", head.index),
        ));
    }
    let link = Link::decode(&blocks[BLOCK_BYTES..], &segment);
    Ok(Known {
        index,
        file,
        head,
        link,
    })
}

/// What stands where a segment's link belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Unwritten,
    Sound,
    Damaged,
}

/// Looks again at a segment's link. Cost: two pages.
pub fn link_state(
    store: &dyn Store,
    keys: &Keys,
    known: &Known,
) -> Result<LinkState, JournalError> {
    let mut blocks = vec![0; 2 * BLOCK_BYTES];
    store
        .open(&segment_name(known.index), false)
        .and_then(|device| device.read_at(0, &mut blocks))
        .map_err(|e| JournalError::io("read", &known.file, &e))?;
    if is_zero(&blocks[BLOCK_BYTES..]) {
        return Ok(LinkState::Unwritten);
    }
    let segment = keys
        .segment(&known.head.salt)
        .map_err(|e| known.unusable(&e))?;
    Ok(match Link::decode(&blocks[BLOCK_BYTES..], &segment) {
        Some(_) => LinkState::Sound,
        None => LinkState::Damaged,
    })
}

/// A whole segment in memory; what a shortened file lacks reads as never written.
pub fn load(store: &dyn Store, known: &Known) -> Result<Vec<u8>, JournalError> {
    let mut whole = Vec::new();
    load_into(store, known, &mut whole)?;
    Ok(whole)
}

/// As `load`, into memory that was used before: the pages of a fresh buffer cost a replay a seventh of its time.
pub fn load_into(
    store: &dyn Store,
    known: &Known,
    whole: &mut Vec<u8>,
) -> Result<(), JournalError> {
    let bytes = usize::try_from(known.head.segment_bytes).map_err(|_| {
        JournalError::damaged(&known.file, 48, "the segment does not fit in memory")
    })?;
    if whole.len() != bytes {
        *whole = vec![0; bytes];
    }
    let read = store
        .open(&segment_name(known.index), false)
        .and_then(|device: Box<dyn Device>| device.read_at(0, whole))
        .map_err(|e| JournalError::io("read", &known.file, &e))?;
    if let Some(lacking) = whole.get_mut(read..) {
        lacking.fill(0);
    }
    Ok(())
}

impl Survey {
    /// Index and first LSN of every segment with records, oldest first.
    pub fn starts(&self) -> Vec<(u64, u64)> {
        let linked = &self.known[..self.linked];
        linked
            .iter()
            .filter_map(|k| k.link.as_ref().map(|link| (k.index, link.first_lsn)))
            .collect()
    }

    /// Segments with records and their links, oldest first.
    pub fn linked(&self) -> Vec<(&Known, &Link)> {
        self.known
            .iter()
            .filter_map(|k| k.link.as_ref().map(|link| (k, link)))
            .collect()
    }

    /// Head of the segment with this index.
    pub fn head(&self, index: u64) -> Option<&Head> {
        self.known
            .iter()
            .find(|k| k.index == index)
            .map(|k| &k.head)
    }
}
