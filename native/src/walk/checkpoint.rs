//! Checkpoints of the live state, in steps that never stall the loop.
//!
//! A checkpoint carries what replay would otherwise need old segments for: the table's entries within the retention
//! (what was reversed however old it is, for it must never be taken up again), all windows of transaction counters (one
//! that was forgotten could be replayed), reversals and advices still owed, the last number used towards each
//! institution, the last transaction id. A request in flight is not carried: replay starts at the oldest record of one,
//! which lies a deadline before the begin at most.

use super::duplicates::{Entry, NO_ISSUER};
use super::gate::{Gate, GateError, Ticket};
use super::original::trimmed;
use super::owed::DutyOf;
use super::records::Sides;
use super::state::KeyState;
use super::steps::lend;
use crate::journal::record::PAN_BYTES_MAX;
use crate::journal::{Field, JournalError, RecordKind};
use crate::limits::{Of, Whose};
use crate::simulation::mutant::{self, Mutant};
use crate::terminal::registry::Who;
use zeroize::Zeroizing;

/// Places of the table, or deliveries owed, of one step: about 0.2 ms.
pub const STEP: usize = 256;
/// Records between two checkpoints at least, and per live entry: so that checkpoints stay a small share of what is
/// written and replay a small multiple of the live state.
const RECORDS_MIN: u64 = 200_000;
const RECORDS_PER_ENTRY: u64 = 4;
/// A window takes a twentieth of an entry's room.
const WINDOWS_PER_RECORD: u64 = 5;
/// Records of windows of one step, and places of their table: about 0.1 ms.
const WINDOW_RECORDS: usize = 4;
const WINDOW_PLACES: usize = 2048;

/// How far a checkpoint has got.
#[derive(Debug, Default)]
pub struct Checkpoint {
    stage: Stage,
    /// LSN at the end (or the failure) of the last one.
    last_lsn: u64,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Open(Open),
}

#[derive(Debug)]
struct Open {
    begin: u64,
    carried: u64,
    origin: usize,
    done: usize,
    /// Oldest record of a request that was in flight when the walk came by; the begin when there is none.
    replay_from: u64,
    /// Places of the table of counters that were walked. What is claimed meanwhile stands in records behind the begin.
    windows: usize,
    /// When it doubles meanwhile, the walk begins anew: a window that is carried twice does no harm.
    doubled: u32,
    /// Owed reversals that are still to be carried; None before the table is through.
    owed: Option<Vec<DutyOf>>,
    /// Terminals whose work keys are still to be carried, likewise.
    signed: Option<Vec<Who>>,
    /// The last total of stand-in that was carried, and whether that was all. What is approved meanwhile is added to it
    /// by its own record, which lies behind the carried one.
    totals: Option<Of>,
    totals_done: bool,
}

/// What was taken back is not taken up again by its age: only a table that is full forgets it.
fn never_lapses(state: KeyState) -> bool {
    matches!(state, KeyState::Reversed | KeyState::Tombstone) && !mutant::on(Mutant::ReversedLapses)
}

impl<T: Ticket> Gate<T> {
    /// True when enough was written since the last checkpoint, or one is under way. Never while something is in doubt:
    /// what stands in the journal alone must not lose its segment.
    pub fn checkpoint_due(&self) -> bool {
        if self.has_doubts() {
            return false;
        }
        if let Stage::Open(_) = self.checkpoint.stage {
            return true;
        }
        let (entries, windows) = self.remembered();
        let live = RECORDS_PER_ENTRY * entries + windows / WINDOWS_PER_RECORD + self.totals();
        let written = self
            .journal
            .appended()
            .saturating_sub(self.checkpoint.last_lsn);
        written >= RECORDS_MIN.max(live)
    }

    /// One bounded step; begins a checkpoint when none is under way. True when this step has completed it. A journal
    /// that has no room at the moment ends it unfinished, to be begun anew later; that is no error.
    pub fn checkpoint(&mut self, wall_ms: i64) -> Result<bool, GateError> {
        let result = match std::mem::take(&mut self.checkpoint.stage) {
            Stage::Idle => self.checkpoint_open().map(Some),
            Stage::Open(open) => self.checkpoint_step(open, wall_ms),
        };
        match result {
            Ok(Some(open)) => {
                self.checkpoint.stage = Stage::Open(open);
                Ok(false)
            }
            Ok(None) => {
                self.checkpoint.last_lsn = self.journal.appended();
                Ok(true)
            }
            Err(GateError::Journal(
                JournalError::NoRoom { .. } | JournalError::PendingFull { .. },
            )) => {
                self.checkpoint.last_lsn = self.journal.appended();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn checkpoint_open(&mut self) -> Result<Open, GateError> {
        if self.has_doubts() {
            return Err(GateError::Usage(
                "undo what is in doubt before a checkpoint",
            ));
        }
        let begin = self.journal.checkpoint_begin()?;
        let memory = self.memory()?;
        Ok(Open {
            begin,
            carried: 0,
            origin: memory.table.oldest(),
            done: 0,
            replay_from: begin,
            windows: 0,
            doubled: memory.atc.doubled(),
            owed: None,
            signed: None,
            totals: None,
            totals_done: false,
        })
    }

    fn checkpoint_step(&mut self, mut open: Open, wall_ms: i64) -> Result<Option<Open>, GateError> {
        if open.done < self.memory()?.table.capacity() {
            self.carry_entries(&mut open, wall_ms)?;
            return Ok(Some(open));
        }
        if open.windows < self.memory()?.atc.places() {
            self.carry_windows(&mut open, wall_ms)?;
            return Ok(Some(open));
        }
        if !open.totals_done {
            self.carry_totals(&mut open, wall_ms)?;
            return Ok(Some(open));
        }
        let mut owed = match open.owed.take() {
            Some(owed) => owed,
            // Taken from the end, the oldest first: the same state gives the same records.
            None => self.owed.keys(),
        };
        for key in owed.split_off(owed.len().saturating_sub(STEP)) {
            self.carry_owed(key, wall_ms, &mut open.carried)?;
        }
        if !owed.is_empty() {
            open.owed = Some(owed);
            return Ok(Some(open));
        }
        let mut signed = match open.signed.take() {
            Some(signed) => signed,
            None => match &self.memory()?.terminals {
                Some(terminals) => terminals.all(),
                None => Vec::new(),
            },
        };
        let some = signed.split_off(signed.len().saturating_sub(STEP));
        self.carry_signed(&some, wall_ms, &mut open.carried)?;
        if !signed.is_empty() {
            open.owed = Some(Vec::new());
            open.signed = Some(signed);
            return Ok(Some(open));
        }
        self.carry_marks(wall_ms, &mut open.carried)?;
        self.journal
            .checkpoint_end(open.begin, open.replay_from, open.carried)?;
        Ok(None)
    }

    /// The next places of the table.
    fn carry_entries(&mut self, open: &mut Open, wall_ms: i64) -> Result<(), GateError> {
        let now_s = wall_ms / 1000;
        for _ in 0..STEP {
            let found = {
                let memory = self.memory()?;
                if open.done >= memory.table.capacity() {
                    return Ok(());
                }
                let kept_s = if mutant::on(Mutant::CheckpointForgetsHours) {
                    3_600
                } else {
                    i64::from(memory.table.retention_s())
                };
                let oldest_s = now_s - kept_s;
                memory
                    .table
                    .at(open.origin + open.done)
                    .filter(|entry| i64::from(entry.at_s) >= oldest_s || never_lapses(entry.state))
                    .copied()
            };
            open.done += 1;
            let Some(entry) = found else {
                continue;
            };
            match entry.state {
                // Claimed but not recorded yet: its record will lie behind the begin.
                KeyState::InFlight if entry.lsn == 0 => {}
                KeyState::InFlight => open.replay_from = open.replay_from.min(entry.lsn),
                _ if mutant::on(Mutant::CheckpointForgetsAnswers) => {}
                _ => self.carry_entry(&entry, &mut open.carried)?,
            }
        }
        Ok(())
    }

    fn carry_entry(&mut self, entry: &Entry, carried: &mut u64) -> Result<(), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            ..
        } = self;
        let memory = lend(memory)?;
        let sides = Sides {
            acquirer: memory.name(entry.acquirer),
            issuer: memory.name(entry.issuer),
        };
        let kind = if entry.issuer == NO_ISSUER {
            RecordKind::Declined
        } else {
            RecordKind::Answered
        };
        let mut pan = Zeroizing::new(Vec::new());
        // Only an approval can still be reversed by its acquirer; what we owe carries its own.
        if entry.tapped && entry.state == KeyState::Approved {
            pan.reserve_exact(PAN_BYTES_MAX);
            memory.veil.uncover(&entry.key, &entry.veiled, &mut pan);
        }
        let payload = paper.carried(entry, sides).finish()?;
        journal.checkpoint_carry(kind, payload, (!pan.is_empty()).then_some(&pan))?;
        *carried += 1;
        Ok(())
    }

    /// The next windows of transaction counters.
    fn carry_windows(&mut self, open: &mut Open, wall_ms: i64) -> Result<(), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            ..
        } = self;
        let memory = lend(memory)?;
        if open.doubled != memory.atc.doubled() {
            (open.doubled, open.windows) = (memory.atc.doubled(), 0);
        }
        let end = open.windows + WINDOW_PLACES;
        for _ in 0..WINDOW_RECORDS {
            let span = end.saturating_sub(open.windows);
            let (next, any) = paper.windows(&memory.atc, open.windows, span, wall_ms);
            open.windows = next;
            if !any {
                break;
            }
            journal.checkpoint_carry(RecordKind::AtcWindows, paper.record.finish()?, None)?;
            open.carried += 1;
        }
        Ok(())
    }

    /// The next totals of stand-in.
    fn carry_totals(&mut self, open: &mut Open, wall_ms: i64) -> Result<(), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            ..
        } = self;
        let memory = lend(memory)?;
        for _ in 0..STEP {
            let Some((of, used)) = memory.stand_ins.next(open.totals.as_ref()) else {
                open.totals_done = true;
                return Ok(());
            };
            let issuer = match of.whose {
                Whose::Bank(issuer) => memory.name(issuer),
                Whose::Card(_) => "",
            };
            let payload = paper.total(of, used, issuer, wall_ms).finish()?;
            if !mutant::on(Mutant::CheckpointForgetsTotals) {
                journal.checkpoint_carry(RecordKind::StandInTotal, payload, None)?;
            }
            open.totals = Some(*of);
            open.carried += 1;
        }
        Ok(())
    }

    fn carry_owed(
        &mut self,
        key: DutyOf,
        wall_ms: i64,
        carried: &mut u64,
    ) -> Result<(), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            owed,
            ..
        } = self;
        // Settled since: then it is not owed any more.
        let kept = !mutant::on(Mutant::CheckpointForgetsOwed);
        let Some(original) = owed.get(&key).filter(|_| kept) else {
            return Ok(());
        };
        let memory = lend(memory)?;
        let sides = Sides {
            acquirer: memory.name(original.acquirer),
            issuer: memory.name(original.issuer),
        };
        let payload = paper.carried_owed(original, sides, wall_ms).finish()?;
        journal.checkpoint_carry(RecordKind::Answered, payload, Some(original.pan()))?;
        *carried += 1;
        Ok(())
    }

    fn carry_marks(&mut self, wall_ms: i64, carried: &mut u64) -> Result<(), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            marks,
            last_txn,
            ..
        } = self;
        let memory = lend(memory)?;
        for (institution, numbers) in marks.iter().enumerate() {
            if trimmed(&numbers.time).is_empty() {
                continue;
            }
            let name = memory.name(u16::try_from(institution).unwrap_or(NO_ISSUER));
            let payload = paper
                .start(*last_txn, wall_ms)
                .text(Field::Institution, name)
                .number(Field::OutStan, u64::from(numbers.stan))
                .bytes(Field::OutTime, &numbers.time)
                .finish()?;
            journal.checkpoint_carry(RecordKind::StanMark, payload, None)?;
            *carried += 1;
        }
        Ok(())
    }
}
