//! Follows a journal that is being written: records as they become whole, from where the last call stopped.
//!
//! A follower reads in chunks and remembers its place, so looking again costs what is new. It checks every record as a
//! scan does, but the rest of a segment only when something is there that is no record: `scan` is the judge.

use std::time::Duration;

use super::device::{Store, segment_name};
use super::error::JournalError;
use super::frame::{Chain, FRAME_BYTES_MAX, Frame, Link, RECORDS_AT, is_zero, seed_of};
use super::keys::{Keys, SegmentKeys};
use super::scan::{From, RecordRef, Visit, reference, scan};
use super::survey::{Known, survey};

const CHUNK_BYTES: usize = 1 << 20;
/// How long a group may take from its first byte in the file to its last; they are one write.
const SETTLE: Duration = Duration::from_millis(20);

/// Where a follower stands: behind this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub segment: u64,
    /// Where the next record will stand.
    pub offset: u64,
    pub lsn: u64,
    pub chain: Chain,
}

/// Visits records above LSN `after` that are whole now; returns where it stands then (None: nothing was ever written).
///
/// `from` is what an earlier call returned; it is used when it stands at `after`.
pub fn follow(
    store: &dyn Store,
    keys: &Keys,
    from: Option<Cursor>,
    after: u64,
    visit: &mut Visit<'_>,
) -> Result<Option<Cursor>, JournalError> {
    let survey = survey(store, keys)?;
    let linked = survey.linked();
    let mut cursor = match from.filter(|cursor| cursor.lsn == after) {
        Some(cursor) => cursor,
        None => match linked
            .iter()
            .rev()
            .find(|(_, link)| link.first_lsn <= after + 1)
            .or(linked.first())
        {
            Some((known, link)) => beginning(known, link),
            None => return Ok(None),
        },
    };
    for (known, link) in &linked {
        if known.index < cursor.segment {
            continue;
        }
        if known.index > cursor.segment {
            // The segment before is used up when its successor says that it ends here; else the scan says what is
            // wrong with it.
            if (link.previous_end, link.chain, link.first_lsn)
                != (cursor.offset, cursor.chain, cursor.lsn + 1)
            {
                break;
            }
            cursor = beginning(known, link);
        }
        segment(store, keys, known, &mut cursor, after, visit)?;
    }
    let behind = linked
        .last()
        .is_some_and(|(known, _)| known.index != cursor.segment);
    let here = linked
        .iter()
        .find(|(known, _)| known.index == cursor.segment);
    let seed = here.map_or(0, |(known, _)| seed_of(&known.head.salt));
    if behind || stuck(store, &cursor, seed)? {
        // Not a record, not nothing, and not about to become one: the scan knows what it is, and raises.
        scan(store, keys, From::Oldest, u64::MAX, true, &mut |_| Ok(()))?;
    }
    Ok(Some(cursor))
}

fn beginning(known: &Known, link: &Link) -> Cursor {
    Cursor {
        segment: known.index,
        offset: RECORDS_AT,
        lsn: link.first_lsn.saturating_sub(1),
        chain: link.chain,
    }
}

/// Records of one segment from the cursor on, up to the first place where there is none.
fn segment(
    store: &dyn Store,
    keys: &Keys,
    known: &Known,
    cursor: &mut Cursor,
    after: u64,
    visit: &mut Visit<'_>,
) -> Result<(), JournalError> {
    let seed = seed_of(&known.head.salt);
    let segment = keys
        .segment(&known.head.salt)
        .map_err(|e| known.unusable(&e))?;
    let device = store
        .open(&segment_name(known.index), false)
        .map_err(|e| JournalError::io("open", &known.file, &e))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = device
            .read_at(cursor.offset, &mut chunk)
            .map_err(|e| JournalError::io("read", &known.file, &e))?;
        let began = cursor.offset;
        let consumed = records(&chunk[..read], known, &segment, seed, cursor, after, visit)?;
        let more = read == chunk.len() && read - consumed < FRAME_BYTES_MAX;
        if !more || cursor.offset == began {
            return Ok(());
        }
    }
}

/// Records of one chunk that starts at the cursor; returns the bytes they took.
fn records(
    chunk: &[u8],
    known: &Known,
    segment: &SegmentKeys,
    seed: u32,
    cursor: &mut Cursor,
    after: u64,
    visit: &mut Visit<'_>,
) -> Result<usize, JournalError> {
    let base = cursor.offset;
    let mut payload = Vec::with_capacity(1024);
    let mut at = 0;
    while let Some(frame) = Frame::read(chunk, at, base, seed) {
        if frame.lsn() != cursor.lsn + 1 || frame.chain() != cursor.chain {
            break;
        }
        if frame.lsn() > after {
            let record: RecordRef<'_> =
                reference(known, segment, frame, cursor.offset, &mut payload)?;
            visit(&record)?;
        }
        at += frame.length();
        *cursor = Cursor {
            segment: known.index,
            offset: base + at as u64,
            lsn: frame.lsn(),
            chain: frame.tag(),
        };
    }
    Ok(at)
}

/// True when what stands behind the last record is neither zero nor a record, and stays so: a group that is just being
/// written changes at once.
fn stuck(store: &dyn Store, cursor: &Cursor, seed: u32) -> Result<bool, JournalError> {
    let first = bytes_at(store, cursor)?;
    if is_zero(&first) || Frame::read(&first, 0, cursor.offset, seed).is_some() {
        return Ok(false);
    }
    std::thread::sleep(SETTLE);
    Ok(bytes_at(store, cursor)? == first)
}

fn bytes_at(store: &dyn Store, cursor: &Cursor) -> Result<Vec<u8>, JournalError> {
    let name = segment_name(cursor.segment);
    let mut next = vec![0; FRAME_BYTES_MAX];
    let read = store
        .open(&name, false)
        .and_then(|device| device.read_at(cursor.offset, &mut next))
        .map_err(|e| JournalError::io("read", &store.place(&name), &e))?;
    next.truncate(read);
    Ok(next)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::journal::device::Directory;
    use crate::journal::testing::TempDir;
    use crate::journal::{Journal, Options, RecordKind};

    #[test]
    fn follows_over_segments_and_starts_without_reading_twice() {
        let dir = TempDir::new();
        let keys = Arc::new(Keys::ephemeral().unwrap());
        let store = Directory::open(dir.path()).unwrap();
        let options = Options {
            segment_bytes: 16_384,
            pending_bytes_max: 1 << 20,
        };
        let mut cursor = None;
        let mut seen: Vec<u64> = Vec::new();
        for start in 0..3 {
            let journal = Journal::open(dir.path(), Arc::clone(&keys), options).unwrap();
            for round in 0..150u64 {
                let mut b = crate::journal::Builder::new();
                b.number(crate::journal::Field::Txn, start * 1_000 + round);
                journal
                    .append(RecordKind::Settled, b.finish().unwrap(), None)
                    .unwrap();
                if round % 7 == 0 {
                    journal.commit();
                    let after = seen.last().copied().unwrap_or(0);
                    cursor = follow(&store, &keys, cursor, after, &mut |r| {
                        seen.push(r.lsn);
                        Ok(())
                    })
                    .unwrap();
                }
            }
            journal.close();
        }
        let after = seen.last().copied().unwrap();
        let end = follow(&store, &keys, cursor, after, &mut |r| {
            seen.push(r.lsn);
            Ok(())
        })
        .unwrap()
        .unwrap();
        assert_eq!(seen, (1..=453).collect::<Vec<_>>());
        // From anywhere, without a cursor.
        for after in [0, 1, 100, 200, 452, 453, 9_999] {
            let mut rest = Vec::new();
            let stands = follow(&store, &keys, None, after, &mut |r| {
                rest.push(r.lsn);
                Ok(())
            });
            assert_eq!(rest, (after + 1..=453).collect::<Vec<_>>());
            assert_eq!(stands.unwrap(), Some(end));
        }
    }

    #[test]
    fn damage_is_told_and_a_torn_tail_is_the_end() {
        let dir = TempDir::new();
        let keys = Arc::new(Keys::ephemeral().unwrap());
        let store = Directory::open(dir.path()).unwrap();
        let journal = Journal::open(
            dir.path(),
            Arc::clone(&keys),
            Options {
                segment_bytes: 16_384,
                pending_bytes_max: 1 << 20,
            },
        )
        .unwrap();
        for txn in 0..5 {
            let mut b = crate::journal::Builder::new();
            b.number(crate::journal::Field::Txn, txn);
            let lsn = journal
                .append(RecordKind::Settled, b.finish().unwrap(), None)
                .unwrap();
            journal.commit();
            while journal.synced() < lsn {
                std::thread::yield_now();
            }
        }
        drop(journal);
        let path = dir.path().join(segment_name(1));
        let whole = std::fs::read(&path).unwrap();
        let count = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let mut seen = 0;
            follow(&store, &keys, None, 0, &mut |_| {
                seen += 1;
                Ok(())
            })
            .map(|_| seen)
        };
        let frame = 67;
        assert!(matches!(
            count(8192 + frame + 10),
            Err(JournalError::Damaged { .. })
        ));
        assert_eq!(count(8192 + 4 * frame + 10), Ok(4));
    }
}
