//! Finds transactions by what people know of them, newest first, and reads the lives of those that were found.
//!
//! Two passes. The first goes over the segments from the newest to the oldest and opens only records that can match:
//! those in which a transaction begins, and those that owe a reversal. The second goes on from the segment of the
//! oldest transaction that was found and shows what belongs to it. No lock, one thread: a worker beside it is not held
//! up. Checksums and seals are checked as everywhere; the chain is `verify`'s.

use std::collections::HashSet;

use super::device::Store;
use super::error::JournalError;
use super::frame::{Frame, RECORDS_AT, seed_of};
use super::keys::Keys;
use super::record::{Field, Fields, RecordKind};
use super::scan::{Visit, reference};
use super::survey::{Known, load, survey};

/// A segment begins and ends at wall-clock times; a record may be this much older than the group it is written with.
const SLACK_MS: i64 = 60_000;

/// What is looked for; what is empty, zero or None does not matter.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub txn: u64,
    /// Of the acquirer's message, of the bank's leg, or of a reversal.
    pub stan: Option<u32>,
    pub rrn: String,
    /// Keyed hash of a card or token.
    pub card: Option<[u8; 8]>,
    pub acquirer: String,
    pub terminal: String,
    /// Unix milliseconds; `until_ms` 0 is no limit.
    pub from_ms: i64,
    pub until_ms: i64,
    /// The newest so many are kept.
    pub limit: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Transactions, newest first. The id of a reversal's original stands for the reversal.
    pub txns: Vec<u64>,
    /// There are older ones beyond the limit.
    pub more: bool,
    /// Records looked at.
    pub searched: u64,
    /// Index of the segment in which the oldest of them begins.
    segment: u64,
}

impl Wanted {
    fn in_time(&self, at_ms: i64) -> bool {
        at_ms >= self.from_ms && (self.until_ms == 0 || at_ms < self.until_ms)
    }

    /// The transaction that a record belongs to, when it is one that is looked for.
    fn matches(&self, kind: RecordKind, fields: &Fields<'_>) -> Option<u64> {
        let txn = fields.number_or_0(Field::Txn);
        let original = fields.number_or_0(Field::Original);
        if self.txn != 0 && txn != self.txn {
            return None;
        }
        if !self.in_time(fields.signed(Field::AtMs).unwrap_or(0)) {
            return None;
        }
        let text =
            |wanted: &str, field| wanted.is_empty() || wanted == fields.text(field).trim_end();
        if !text(&self.acquirer, Field::Acquirer)
            || !text(&self.rrn, Field::Rrn)
            || !text(&self.terminal, Field::TerminalId)
        {
            return None;
        }
        if self.card.is_some() && fields.array::<8>(Field::Card) != self.card {
            return None;
        }
        if let Some(stan) = self.stan {
            let own = fields.text(Field::Stan).parse() == Ok(stan) && begins(kind);
            let ours = [Field::OutStan, Field::ReversalStan, Field::AdviceStan]
                .into_iter()
                .any(|field| fields.number(field) == Some(u64::from(stan)));
            if !own && !ours {
                return None;
            }
        }
        Some(if kind == RecordKind::Reversal && original != 0 {
            original
        } else {
            txn
        })
    }
}

/// Kinds in which a transaction begins.
fn begins(kind: RecordKind) -> bool {
    matches!(
        kind,
        RecordKind::Accepted
            | RecordKind::Declined
            | RecordKind::Reversal
            | RecordKind::Advised
            | RecordKind::StoodIn
    )
}

/// What the first pass knows so far.
struct Hunt<'w> {
    wanted: &'w Wanted,
    found: Found,
    known: HashSet<u64>,
    /// Found by a later record: the one in which they begin is still to come.
    pending: HashSet<u64>,
    /// Nothing more is wanted but the beginnings of those.
    full: bool,
}

/// The first pass. Goes on to older segments until it knows where each transaction that it found begins.
pub fn search(store: &dyn Store, keys: &Keys, wanted: &Wanted) -> Result<Found, JournalError> {
    let survey = survey(store, keys)?;
    let linked = survey.linked();
    let mut hunt = Hunt {
        wanted,
        found: Found::default(),
        known: HashSet::new(),
        pending: HashSet::new(),
        full: false,
    };
    let mut closed_ms = i64::MAX;
    for (at, (known, link)) in linked.iter().enumerate().rev() {
        let opened_ms = link.opened_ms;
        let later = wanted.until_ms != 0 && opened_ms.saturating_sub(SLACK_MS) >= wanted.until_ms;
        let earlier = closed_ms.saturating_add(SLACK_MS) < wanted.from_ms;
        closed_ms = opened_ms;
        if hunt.pending.is_empty() && (earlier || hunt.full) {
            break;
        }
        if !later {
            let end = linked.get(at + 1).map(|(_, next)| next.previous_end);
            hunt.segment(store, keys, known, end)?;
        }
    }
    if !hunt.pending.is_empty() {
        // They begin in segments that were deleted.
        hunt.found.segment = 0;
    }
    Ok(hunt.found)
}

/// True for a record that can match: one in which a transaction begins, or that owes a reversal.
fn worth_opening(frame: &Frame<'_>) -> bool {
    let kind = RecordKind::from_u8(frame.kind());
    frame.flags() == 0
        && kind
            .is_some_and(|kind| begins(kind) || (kind == RecordKind::Answered && frame.has_pan()))
}

impl Hunt<'_> {
    fn segment(
        &mut self,
        store: &dyn Store,
        keys: &Keys,
        known: &Known,
        end: Option<u64>,
    ) -> Result<(), JournalError> {
        let (mut here, mut began) = (Vec::new(), Vec::new());
        let wanted = self.wanted;
        self.found.searched += walk(store, keys, known, end, &worth_opening, &mut |record| {
            if begins(record.kind) {
                began.push(record.fields.number_or_0(Field::Txn));
            }
            if let Some(txn) = wanted.matches(record.kind, &record.fields) {
                here.push(txn);
            }
            Ok(())
        })?;
        for txn in here.into_iter().rev() {
            self.take(txn);
        }
        for txn in began {
            if self.pending.remove(&txn) {
                self.found.segment = known.index;
            }
        }
        self.full |= wanted.txn != 0 && !self.found.txns.is_empty();
        Ok(())
    }

    fn take(&mut self, txn: u64) {
        if self.full || self.known.contains(&txn) {
            return;
        }
        if self.found.txns.len() == self.wanted.limit {
            self.found.more = true;
            self.full = true;
            return;
        }
        self.known.insert(txn);
        self.pending.insert(txn);
        self.found.txns.push(txn);
    }
}

/// The second pass: every record of the transactions that were found, and of what names them as its original, and when
/// a process started, was reconfigured or stopped. Returns how many records were looked at.
pub fn lives(
    store: &dyn Store,
    keys: &Keys,
    found: &Found,
    visit: &mut Visit<'_>,
) -> Result<u64, JournalError> {
    let wanted: HashSet<u64> = found.txns.iter().copied().collect();
    let survey = survey(store, keys)?;
    let linked = survey.linked();
    let mut searched = 0;
    for (at, (known, _)) in linked.iter().enumerate() {
        if known.index < found.segment {
            continue;
        }
        let end = linked.get(at + 1).map(|(_, next)| next.previous_end);
        searched += walk(store, keys, known, end, &|_| true, &mut |record| {
            let context = matches!(
                record.kind,
                RecordKind::Started | RecordKind::Reconfigured | RecordKind::Stopped
            );
            let fields = &record.fields;
            let belongs = [Field::Txn, Field::Original]
                .into_iter()
                .any(|field| wanted.contains(&fields.number_or_0(field)));
            if context || belongs {
                visit(record)?;
            }
            Ok(())
        })?;
    }
    Ok(searched)
}

/// Visits those records of a segment that `open` wants opened; returns how many there are. The last segment ends where
/// there is no record any more: one that is just being written is none yet.
fn walk(
    store: &dyn Store,
    keys: &Keys,
    known: &Known,
    end: Option<u64>,
    open: &dyn Fn(&Frame<'_>) -> bool,
    visit: &mut Visit<'_>,
) -> Result<u64, JournalError> {
    let segment = keys
        .segment(&known.head.salt)
        .map_err(|e| known.unusable(&e))?;
    let seed = seed_of(&known.head.salt);
    let bytes = load(store, known)?;
    let mut payload = Vec::with_capacity(1024);
    let (mut at, mut seen) = (RECORDS_AT as usize, 0);
    while end.is_none_or(|end| (at as u64) < end) {
        let Some(frame) = Frame::read(&bytes, at, 0, seed) else {
            break;
        };
        seen += 1;
        if open(&frame) {
            let record = reference(known, &segment, frame, at as u64, &mut payload)?;
            visit(&record)?;
        }
        at += frame.length();
    }
    match end {
        Some(end) if at as u64 != end => {
            let problem = format!("no valid record, but records up to offset {end} were durable");
            Err(JournalError::damaged(&known.file, at as u64, problem))
        }
        _ => Ok(seen),
    }
}
