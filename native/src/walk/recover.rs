//! Replaying a journal: the fold from records to what was left open.
//!
//! The fold is a pure function of the records, so doing it twice gives the same. Records that stand on their own
//! (carried ones, and those that owe a reversal) are upserts; an outcome whose request lies before the replayed part
//! is followed by the carried entry of its checkpoint, and is passed over until then.

use std::rc::Rc;

use hashbrown::HashMap;

use super::digest::Digest;
use super::duplicates::Entry;
use super::gate::{Gate, GateError, Ticket};
use super::memory::Memory;
use super::original::{Facts, Numbers, Original, advice_mti};
use super::owed::DutyOf;
use super::records::{claim_of, effect_of, read_entry, settle_entry, tombstone, windows_of};
use super::sign;
use super::state::{Cause, Duty, KeyState, ReversalEffect};
use super::time::unix_near;
use super::veil::Veil;
use crate::hook::{self, Point};
use crate::journal::counted::{spending_of, total_of};
use crate::journal::record::UNSETTLED;
use crate::journal::{Field, Fields, JournalError, RecordKind, RecordRef};
use crate::simulation::mutant::{self, Mutant};

/// What a journal left open.
#[derive(Default)]
pub struct Recovered {
    /// Accepted, never answered, by transaction id.
    pub in_doubt: Vec<Rc<Original>>,
    /// Reversals and advices without a final code, by transaction id and duty.
    pub owed: Vec<Rc<Original>>,
    /// Highest (Unix second, STAN) used towards each institution.
    pub marks: Vec<(u16, Mark)>,
    pub last_txn: u64,
    pub records: u64,
}

/// A number used towards an institution, ordered by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub unix_s: i64,
    pub stan: u32,
    pub time: [u8; 10],
}

/// The fold's state.
#[derive(Default)]
struct Fold {
    entries: HashMap<Digest, Entry>,
    in_doubt: HashMap<u64, Original>,
    owed: HashMap<DutyOf, Original>,
    marks: HashMap<u16, Mark>,
    last_txn: u64,
    records: u64,
}

/// Indexes of the two sides a record names.
struct Parties {
    acquirer: u16,
    issuer: Option<u16>,
}

impl Fold {
    fn record(&mut self, record: &RecordRef<'_>, memory: &mut Memory) {
        let fields = &record.fields;
        self.records += 1;
        let counters = !mutant::on(Mutant::CountersLost);
        let totals = !mutant::on(Mutant::StandInLost);
        if let Some((key, atc)) = claim_of(fields).filter(|_| counters) {
            memory.atc.claim(&key, atc);
        }
        self.last_txn = self.last_txn.max(fields.number_or_0(Field::Txn));
        let issuer = intern(memory, fields.text(Field::Issuer));
        let parties = Parties {
            acquirer: intern(memory, fields.text(Field::Acquirer)).unwrap_or(0),
            issuer,
        };
        self.marks_towards(issuer, fields);
        match record.kind {
            RecordKind::Accepted => self.accepted(record, &parties, &memory.veil),
            RecordKind::Answered | RecordKind::Declined => {
                self.answered(record, &parties, &memory.veil);
            }
            RecordKind::Reversal => self.reversal(record, &parties),
            RecordKind::Advised => self.advised(record, &parties, &memory.veil),
            RecordKind::StoodIn => self.stood_in(record, &parties, memory),
            RecordKind::StandInTotal => {
                if let Some((of, used)) = total_of(fields, issuer).filter(|_| totals) {
                    memory.stand_ins.set(of, used);
                }
            }
            RecordKind::Settled => self.settled(fields),
            RecordKind::StanMark => {
                if let Some(institution) = intern(memory, fields.text(Field::Institution)) {
                    self.mark(institution, fields, Field::OutStan, Field::OutTime);
                }
            }
            RecordKind::WorkKeys => {
                if let (Some(terminals), Some((who, state))) =
                    (&memory.terminals, sign::read(fields))
                {
                    terminals.set(&who, state);
                }
            }
            RecordKind::AtcWindows if counters => {
                windows_of(fields).for_each(|w| memory.atc.merge(&w));
            }
            RecordKind::AtcWindows
            | RecordKind::Started
            | RecordKind::Reconfigured
            | RecordKind::Stopped
            | RecordKind::Checkpoint => {}
        }
        self.told(record, &parties);
    }

    /// All numbers that a record says were used towards its bank.
    fn marks_towards(&mut self, issuer: Option<u16>, fields: &Fields<'_>) {
        let Some(issuer) = issuer else { return };
        self.mark(issuer, fields, Field::OutStan, Field::OutTime);
        self.mark(issuer, fields, Field::ReversalStan, Field::ReversalTime);
        self.mark(issuer, fields, Field::AdviceStan, Field::AdviceTime);
    }

    /// Whatever record of a request names the numbers of an advice, owes it.
    fn told(&mut self, record: &RecordRef<'_>, parties: &Parties) {
        let fields = &record.fields;
        if record.kind != RecordKind::Settled
            && fields.has(Field::AdviceStan)
            && let Some(key) = fields.array(Field::Key)
        {
            let txn = fields.number_or_0(Field::Txn);
            let mut facts = facts_of(fields, key, txn, Field::OriginalMti, parties);
            facts.duty = Duty::Advice;
            facts.own = numbers(fields, Field::AdviceStan, Field::AdviceTime);
            self.owe(record, facts);
        }
    }

    /// Over, or resting: then it is known how often it was sent.
    fn settled(&mut self, fields: &Fields<'_>) {
        let duty = Duty::from_u8(fields.number_or_0(Field::Duty) as u8);
        let key = (fields.number_or_0(Field::Txn), duty.unwrap_or_default());
        let result = fields.text(Field::Result);
        if !UNSETTLED.contains(&result) {
            self.owed.remove(&key);
        } else if let Some(original) = self.owed.get(&key) {
            let at_ms = fields.signed(Field::AtMs).unwrap_or(0);
            let text = |field| fields.get(field).unwrap_or(&[]);
            original.rest(result, at_ms, text(Field::BankCode), text(Field::End));
            let attempts = fields.number_or_0(Field::Attempts) as u32;
            original.attempts.set(attempts.max(1));
        }
    }

    /// An acquirer's advice: its own key is settled by it; what its bank is owed is read by `told`.
    fn advised(&mut self, record: &RecordRef<'_>, parties: &Parties, veil: &Veil) {
        let Some(mut entry) = read_entry(&record.fields, parties.acquirer, parties.issuer) else {
            return;
        };
        entry.lsn = record.lsn;
        // In its record these are of what it stands on.
        entry.out_stan = 0;
        entry.out_time = [0; 10];
        entry.out_mti = [0; 4];
        cover(&mut entry, record, veil);
        self.entries.insert(entry.key, entry);
    }

    /// An approval of ours: it settles the request, which it may be the first record of, and counts. What the bank is
    /// owed besides the reversal is read by `record`.
    fn stood_in(&mut self, record: &RecordRef<'_>, parties: &Parties, memory: &mut Memory) {
        let fields = &record.fields;
        self.answered(record, parties, &memory.veil);
        let key = fields.array::<16>(Field::Key);
        if let Some(entry) = key.and_then(|key| self.entries.get_mut(&key)) {
            entry.out_stan = fields.number_or_0(Field::AdviceStan) as u32;
            entry.out_time = fields.array(Field::AdviceTime).unwrap_or([0; 10]);
            entry.out_mti = advice_mti(entry.kind);
            entry.issuer = parties.issuer.unwrap_or(entry.issuer);
            entry.business_date = fields.array(Field::BusinessDate).unwrap_or([0; 8]);
        }
        let lost = mutant::on(Mutant::StandInLost);
        if let Some(spending) = spending_of(fields, parties.issuer).filter(|_| !lost) {
            memory.stand_ins.add(&spending);
        }
    }

    fn accepted(&mut self, record: &RecordRef<'_>, parties: &Parties, veil: &Veil) {
        let fields = &record.fields;
        let Some(mut entry) = read_entry(fields, parties.acquirer, parties.issuer) else {
            return;
        };
        entry.lsn = record.lsn;
        cover(&mut entry, record, veil);
        let facts = facts_of(fields, entry.key, entry.txn, Field::Mti, parties);
        self.in_doubt.insert(entry.txn, original_of(record, facts));
        self.entries.insert(entry.key, entry);
    }

    fn answered(&mut self, record: &RecordRef<'_>, parties: &Parties, veil: &Veil) {
        let fields = &record.fields;
        let txn = fields.number_or_0(Field::Txn);
        let Some(key) = fields.array::<16>(Field::Key) else {
            return;
        };
        if fields.has(Field::Body) {
            if let Some(mut entry) = read_entry(fields, parties.acquirer, parties.issuer) {
                entry.lsn = record.lsn;
                cover(&mut entry, record, veil);
                self.entries.insert(key, entry);
            }
        } else if let Some(entry) = self.entries.get_mut(&key) {
            settle_entry(entry, fields);
            entry.lsn = record.lsn;
        }
        self.in_doubt.remove(&txn);
        if fields.number_or_0(Field::Cause) != 0 {
            let facts = facts_of(fields, key, txn, Field::OriginalMti, parties);
            self.owe(record, facts);
        }
    }

    fn reversal(&mut self, record: &RecordRef<'_>, parties: &Parties) {
        let fields = &record.fields;
        let at_s = if let Some(mut own) = read_entry(fields, parties.acquirer, None) {
            own.lsn = record.lsn;
            own.out_stan = 0;
            own.out_time = [0; 10];
            own.business_date = [0; 8];
            own.out_mti = [0; 4];
            self.entries.insert(own.key, own);
            own.at_s
        } else {
            0
        };
        let Some(key) = fields.array::<16>(Field::OriginalKey) else {
            return;
        };
        match effect_of(fields) {
            Some(ReversalEffect::Tombstone) if !mutant::on(Mutant::TombstoneLost) => {
                let txn = fields.number_or_0(Field::Txn);
                self.entries.entry(key).or_insert_with(|| Entry {
                    lsn: record.lsn,
                    ..tombstone(key, txn, at_s, parties.acquirer)
                });
            }
            Some(ReversalEffect::Reverse) => {
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.state = KeyState::Reversed;
                    entry.lsn = record.lsn;
                }
                let txn = fields.number_or_0(Field::Original);
                let facts = facts_of(fields, key, txn, Field::OriginalMti, parties);
                self.owe(record, facts);
            }
            _ => {}
        }
    }

    fn owe(&mut self, record: &RecordRef<'_>, facts: Facts) {
        let original = original_of(record, facts);
        let end = record.fields.get(Field::End).unwrap_or(&[]);
        original.rest(record.fields.text(Field::Result), 0, &[], end);
        original
            .attempts
            .set((record.fields.number_or_0(Field::Attempts) as u32).max(1));
        self.owed.insert((facts.txn, facts.duty), original);
    }

    fn mark(&mut self, institution: u16, fields: &Fields<'_>, stan: Field, time: Field) {
        let now_s = fields.signed(Field::AtMs).unwrap_or(0) / 1000;
        let Some(text) = fields.array::<10>(time) else {
            return;
        };
        let Some(unix_s) = unix_near(&text, now_s) else {
            return;
        };
        let mark = Mark {
            unix_s,
            stan: fields.number_or_0(stan) as u32,
            time: text,
        };
        let highest = self.marks.entry(institution).or_default();
        *highest = (*highest).max(mark);
    }

    /// Loads the table, oldest first, so that its ring is in order of age.
    fn remember(&self, memory: &mut Memory) {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        // By the numbers of their transactions, which only grow: `at_s` is of the wall clock, which may have been set
        // back, and an LSN moves when a request is answered. A reversal and the tombstone that it leaves have one of
        // each.
        entries.sort_unstable_by_key(|entry| (entry.txn, entry.lsn, entry.key));
        let surplus = entries.len().saturating_sub(memory.table.capacity());
        for entry in entries.into_iter().skip(surplus) {
            let known = memory.table.find(&entry.key);
            match known.and_then(|handle| memory.table.get_mut(handle)) {
                Some(place) => *place = *entry,
                None => {
                    memory.table.insert(*entry);
                }
            }
        }
    }
}

/// Keeps the card behind a proved tap, from where it is sealed beside the record; a tap that was not approved has none.
fn cover(entry: &mut Entry, record: &RecordRef<'_>, veil: &Veil) {
    if let Some(pan) = record.pan().filter(|_| entry.tapped) {
        entry.veiled = veil.cover(&entry.key, &pan);
    }
}

fn intern(memory: &mut Memory, name: &str) -> Option<u16> {
    if name.is_empty() {
        None
    } else {
        memory.institution(name, "")
    }
}

fn facts_of(fields: &Fields<'_>, key: Digest, txn: u64, mti: Field, parties: &Parties) -> Facts {
    Facts {
        txn,
        acquirer: parties.acquirer,
        issuer: parties.issuer.unwrap_or(0),
        kind: fields.number_or_0(Field::MessageKind) as u8,
        mti: fields.array(mti).unwrap_or([0; 4]),
        key,
        amount: fields.number_or_0(Field::Amount),
        business_date: fields.array(Field::BusinessDate).unwrap_or([0; 8]),
        out: numbers(fields, Field::OutStan, Field::OutTime),
        duty: Duty::undoing(fields.array(mti).unwrap_or([0; 4])),
        own: numbers(fields, Field::ReversalStan, Field::ReversalTime),
        cause: Cause::from_u8(fields.number_or_0(Field::Cause) as u8).unwrap_or_default(),
    }
}

fn numbers(fields: &Fields<'_>, stan: Field, time: Field) -> Numbers {
    Numbers {
        stan: fields.number_or_0(stan) as u32,
        time: fields.array(time).unwrap_or([0; 10]),
    }
}

fn original_of(record: &RecordRef<'_>, facts: Facts) -> Original {
    let pan = record.pan();
    Original::from_record(facts, &record.fields, pan.as_deref().map_or(&[], |pan| pan))
}

/// What recovery loses by a defect of a simulation.
fn forget(fold: &mut Fold, marks: &mut Vec<(u16, Mark)>) {
    if mutant::on(Mutant::InDoubtLost) {
        fold.in_doubt.clear();
    }
    if mutant::on(Mutant::OwedLost) {
        fold.owed.clear();
    }
    if mutant::on(Mutant::MarksLost) {
        marks.clear();
    }
    if mutant::on(Mutant::NumbersLost) {
        fold.last_txn = 0;
    }
}

/// By transaction id and duty: that is the order in which they were owed, and the same in every replay.
fn sorted(originals: impl Iterator<Item = Original>) -> Vec<Rc<Original>> {
    let mut list: Vec<Rc<Original>> = originals.map(Rc::new).collect();
    list.sort_unstable_by_key(|original| (original.txn, original.duty));
    list
}

impl<T: Ticket> Gate<T> {
    /// Replays the gate's journal into its table and gives what was left open. Do it before any traffic.
    pub fn recover(&mut self) -> Result<Recovered, GateError> {
        let mut fold = Fold::default();
        let found = self.journal.found();
        let span = found.last_lsn.saturating_sub(found.checkpoint.lsn);
        let journal = std::sync::Arc::clone(&self.journal);
        {
            let mut memory = self.memory()?;
            // Two records a transaction, mostly: a table that grows moves all that it has, several times.
            let expected = usize::try_from(span / 2).unwrap_or(usize::MAX);
            fold.entries.reserve(expected.min(memory.table.capacity()));
            journal.replay(&mut |record: &RecordRef<'_>| -> Result<(), JournalError> {
                fold.record(record, &mut memory);
                Ok(())
            })?;
            hook::at(Point::RecoverReplayed).map_err(JournalError::Crashed)?;
            if !mutant::on(Mutant::DuplicatesLost) {
                fold.remember(&mut memory);
            }
        }
        let mut marks: Vec<(u16, Mark)> = std::mem::take(&mut fold.marks).into_iter().collect();
        marks.sort_unstable();
        forget(&mut fold, &mut marks);
        let recovered = Recovered {
            in_doubt: sorted(fold.in_doubt.into_values()),
            owed: sorted(fold.owed.into_values()),
            marks,
            last_txn: fold.last_txn,
            records: fold.records,
        };
        self.adopt(&recovered);
        Ok(recovered)
    }
}
