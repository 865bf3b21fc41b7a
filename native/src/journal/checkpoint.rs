//! Checkpoints: the live state carried forward, so that older segments may be deleted.
//!
//! A checkpoint is a begin record, carried records, and an end record; traffic may go on between them. A carried record
//! is the whole state of one item as of its own LSN. When the end is durable, a replay starts at the LSN that it names
//! and knows everything. What is live is decided by whoever folds the records (walk/recover.rs).

use super::device::{segment_index, segment_name};
use super::error::JournalError;
use super::frame::{BLOCK_BYTES, FLAG_CARRIED, Head, Link, Place, RECORDS_AT};
use super::handle::Journal;
use super::record::{Builder, Field, Fields, RecordKind};
use super::shared::lock;
use super::unix_ms;
use crate::hook::{self, Point};
use crate::simulation::mutant::{self, Mutant};

impl Journal {
    /// Begins a checkpoint. Records carried from here to `checkpoint_end` stand for everything before.
    pub fn checkpoint_begin(&self) -> Result<u64, JournalError> {
        let mut record = Builder::new();
        record
            .number(Field::Phase, 0)
            .signed(Field::AtMs, unix_ms());
        let lsn = self.put(RecordKind::Checkpoint, 0, record.finish()?, &[])?;
        hook::at(Point::CheckpointBegun)?;
        Ok(lsn)
    }

    /// Carries one live item: `payload` is its whole state now. Traffic may go on between carried records.
    pub fn checkpoint_carry(
        &self,
        kind: RecordKind,
        payload: &[u8],
        pan: Option<&[u8]>,
    ) -> Result<u64, JournalError> {
        let lsn = self.put(kind, FLAG_CARRIED, payload, pan.unwrap_or_default())?;
        hook::at(Point::CheckpointCarried)?;
        Ok(lsn)
    }

    /// Completes the checkpoint that began at `begin`; it counts when this record is durable.
    ///
    /// A replay then visits records from `replay_from` on (not above `begin`): what was in flight at the begin need
    /// not be carried when it starts at the oldest of it.
    pub fn checkpoint_end(
        &self,
        begin: u64,
        replay_from: u64,
        carried: u64,
    ) -> Result<u64, JournalError> {
        if replay_from > begin {
            return Err(JournalError::Usage(
                "a replay starts at the begin of its checkpoint or before",
            ));
        }
        let mut record = Builder::new();
        record
            .number(Field::Phase, 1)
            .signed(Field::AtMs, unix_ms())
            .number(Field::Begin, begin)
            .number(Field::ReplayFrom, replay_from)
            .number(Field::Carried, carried);
        let lsn = self.put(RecordKind::Checkpoint, 0, record.finish()?, &[])?;
        hook::at(Point::CheckpointEnded)?;
        Ok(lsn)
    }

    /// A checkpoint in one go: for a state that fits the pending buffer. Returns the LSN that makes it count.
    pub fn checkpoint<'r>(
        &self,
        records: impl IntoIterator<Item = (RecordKind, &'r [u8], Option<&'r [u8]>)>,
    ) -> Result<u64, JournalError> {
        let begin = self.checkpoint_begin()?;
        let mut carried = 0;
        for (kind, payload, pan) in records {
            self.checkpoint_carry(kind, payload, pan)?;
            carried += 1;
        }
        let end = self.checkpoint_end(begin, begin, carried)?;
        self.commit();
        Ok(end)
    }

    /// Deletes segments that lie wholly before the newest durable checkpoint and whose last record is older than
    /// `older_than_ms` (Unix). Returns how many. Oldest first, so that a crash leaves no gap.
    pub fn delete_covered(&self, older_than_ms: i64) -> Result<usize, JournalError> {
        let checkpoint = lock(&self.shared.progress).1;
        let mut indexes = self.indexes()?;
        let needed = checkpoint.segment + u64::from(mutant::on(Mutant::RemovedTooEarly));
        indexes.retain(|index| *index <= needed);
        let mut deleted = 0;
        for pair in indexes.windows(2) {
            if self.opened_ms(pair[1])? >= older_than_ms {
                break;
            }
            let name = segment_name(pair[0]);
            hook::at(Point::RemoveBefore)?;
            self.store
                .remove(&name)
                .map_err(|e| JournalError::io("remove", &self.store.place(&name), &e))?;
            deleted += 1;
            hook::at(Point::RemoveAfter)?;
        }
        Ok(deleted)
    }

    /// When the segment was begun, which is when the one before got its last record.
    fn opened_ms(&self, index: u64) -> Result<i64, JournalError> {
        let name = segment_name(index);
        let mut blocks = vec![0; 2 * BLOCK_BYTES];
        self.store
            .open(&name, false)
            .and_then(|device| device.read_at(0, &mut blocks))
            .map_err(|e| JournalError::io("read", &self.store.place(&name), &e))?;
        let opened = Head::decode(&blocks[..BLOCK_BYTES], &self.keys)
            .ok()
            .and_then(|(_, segment)| Link::decode(&blocks[BLOCK_BYTES..], &segment))
            .map(|link| link.opened_ms);
        opened.ok_or_else(|| {
            JournalError::damaged(&self.store.place(&name), 0, "no sound head and link")
        })
    }

    /// Indexes of all segments, in order.
    pub fn indexes(&self) -> Result<Vec<u64>, JournalError> {
        let names = self
            .store
            .list()
            .map_err(|e| JournalError::io("list", &self.store.place(""), &e))?;
        let mut indexes: Vec<u64> = names.iter().filter_map(|n| segment_index(n)).collect();
        indexes.sort_unstable();
        Ok(indexes)
    }
}

/// Follows begin and end of checkpoints; the writer and the scan share it.
///
/// `starts` are index and first LSN of every segment up to this one. A complete checkpoint's place is the segment in
/// which a replay starts, and the LSN it starts with.
pub fn track(
    fields: &Fields<'_>,
    place: Place,
    starts: &[(u64, u64)],
    unfinished: &mut Place,
    checkpoint: &mut Place,
) {
    if fields.number_or_0(Field::Phase) == 0 {
        *unfinished = place;
    } else if unfinished.segment != 0 && fields.number(Field::Begin) == Some(unfinished.lsn) {
        let from = fields
            .number(Field::ReplayFrom)
            .map_or(unfinished.lsn, |lsn| lsn.min(unfinished.lsn));
        if let Some((segment, _)) = starts.iter().rev().find(|(_, first)| *first <= from) {
            *checkpoint = Place {
                segment: *segment,
                offset: RECORDS_AT,
                lsn: from,
            };
        }
        *unfinished = Place::default();
    }
}
