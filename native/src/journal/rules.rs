//! The rules of the walk, checked over the records of a whole journal, as far as records show them.
//!
//! | rule | what records show of it |
//! |---|---|
//! | 1, 2 | an outcome stands behind its acceptance; each accepted request has one; none is accepted twice |
//! | 3 | a reversal is owed before it is settled, settled once, can be sent, and its request was not approved |
//! | 4 | an approval is only undone when provably no byte of it left |
//! | 5 | a request key is claimed once |
//! | 6 | a reversal has one effect, and the right one; a tombstone holds |
//! | 7 | a transaction counter of a token is claimed once, and none below the window; a tap that is approved can be undone |
//! | 11 | a stand-in approval is the one outcome of its request, owes its advice, and is within its limits |
//! | 10 | a (STAN, transmission time) towards one institution is spent once |
//!
//! Rule 8 leaves no trace here (legs); 9 is the closed table of fields in `record`. A journal whose
//! first segments were deleted begins in the middle of lives: what it cannot know is not a finding.

mod numbers;
mod stand_in;

use std::collections::{HashMap, HashSet};

use super::counted::total_of;
use super::device::Store;
use super::error::JournalError;
use super::keys::Keys;
use super::owing::{ADVICE, Owing, WITHDRAWAL, is_advice, missing};
use super::record::{Field, Fields, RecordKind, UNSETTLED};
use super::scan::{From, RecordRef, scan};
use crate::limits::StandIns;
use crate::tap::atc::{AtcKey, AtcTable, Window};

/// More findings than anybody reads; the rest is counted.
const FINDINGS_MAX: usize = 1_000;

// Numbers of switch/model/state.py that the rules speak of.
const APPROVED: u64 = 2;
const CAUSE_UNDELIVERABLE: u64 = 6;
const EFFECT_TOMBSTONE: u64 = 0;
const EFFECT_CANCEL: u64 = 1;
const EFFECT_SUPPRESS: u64 = 2;
const EFFECT_REVERSE: u64 = 3;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `structure` or `walk.N`.
    pub rule: &'static str,
    pub problem: String,
    pub lsn: u64,
    pub txn: u64,
    pub file: String,
    pub offset: u64,
    pub remedy: &'static str,
}

/// What is known of one transaction.
#[derive(Clone, Copy, Default)]
struct Life {
    accepted: u64,
    answered: u64,
    declined: u64,
    outcome: u64,
    owed: u64,
    settled: u64,
    suppressed: u64,
    reversed: u64,
}

#[derive(Default)]
struct Judge {
    findings: Vec<Finding>,
    dropped: u64,
    lives: HashMap<u64, Life>,
    keys: HashMap<[u8; 16], u64>,
    tombstones: HashMap<[u8; 16], u64>,
    institutions: HashMap<String, u32>,
    spent: HashSet<(u32, u64, u64)>,
    /// Records of the counters that were claimed.
    claimed: HashMap<(AtcKey, u16), u64>,
    /// The same as windows, with those that checkpoints carry.
    counters: AtcTable,
    owing: Owing,
    /// What was approved in banks' names.
    stand_ins: StandIns,
    first_lsn: u64,
    /// The first transaction that begins in what there is; ids grow.
    first_txn: u64,
    started: u64,
    unanswered: HashMap<u64, u64>,
    /// LSN of a checkpoint that is under way, and records carried since.
    checkpoint: Option<(u64, u64)>,
}

/// Reads the whole journal; an empty list means that it is sound. Damage is a finding; a wrong key or an unreadable
/// file is an error.
pub fn verify(store: &dyn Store, keys: &Keys) -> Result<Vec<Finding>, JournalError> {
    let mut judge = Judge::default();
    let outcome = scan(store, keys, From::Oldest, u64::MAX, true, &mut |record| {
        judge.record(record);
        Ok(())
    });
    match outcome {
        Ok(_) => {}
        Err(error @ JournalError::Damaged { .. }) => {
            let finding = Finding {
                rule: "structure",
                problem: error.to_string(),
                lsn: 0,
                txn: 0,
                file: error.file().to_owned(),
                offset: error.offset(),
                remedy: error.remedy(),
            };
            judge.findings.push(finding);
        }
        Err(error) => return Err(error),
    }
    if judge.dropped > 0 {
        let problem = format!("{} more findings", judge.dropped);
        judge.dropped = 0;
        judge.findings.truncate(FINDINGS_MAX - 1);
        judge.found("structure", 0, 0, problem);
    }
    Ok(judge.findings)
}

impl Judge {
    fn found(&mut self, rule: &'static str, lsn: u64, txn: u64, problem: impl Into<String>) {
        if self.findings.len() >= FINDINGS_MAX {
            self.dropped += 1;
            return;
        }
        self.findings.push(Finding {
            rule,
            problem: problem.into(),
            lsn,
            txn,
            file: String::new(),
            offset: 0,
            remedy: "",
        });
    }

    fn record(&mut self, record: &RecordRef<'_>) {
        if self.first_lsn == 0 {
            self.first_lsn = record.lsn;
        }
        let (lsn, fields) = (record.lsn, &record.fields);
        let txn = fields.number_or_0(Field::Txn);
        if record.carried {
            self.carried(record, txn, lsn);
            return;
        }
        let claims = matches!(
            record.kind,
            RecordKind::Accepted
                | RecordKind::Declined
                | RecordKind::Reversal
                | RecordKind::Advised
        );
        if self.first_txn == 0 && claims {
            self.first_txn = txn;
        }
        match record.kind {
            RecordKind::Accepted => self.accepted(txn, lsn, record),
            RecordKind::Answered => self.answered(txn, lsn, record),
            RecordKind::Declined => self.declined(txn, lsn, fields),
            RecordKind::Reversal => self.reversal(txn, lsn, record),
            RecordKind::Advised => self.advised(txn, lsn, record),
            RecordKind::StoodIn => self.stood_in(txn, lsn, record),
            RecordKind::StandInTotal => {
                self.found(
                    "structure",
                    lsn,
                    txn,
                    "a total of stand-in outside a checkpoint",
                );
            }
            RecordKind::Settled => self.settled(txn, lsn, fields),
            RecordKind::StanMark => {
                self.spend(
                    lsn,
                    txn,
                    fields,
                    Field::Institution,
                    Field::OutStan,
                    Field::OutTime,
                );
            }
            RecordKind::Checkpoint => self.checkpoint(lsn, fields),
            RecordKind::Started => self.started = lsn,
            RecordKind::Reconfigured | RecordKind::WorkKeys => {}
            RecordKind::Stopped => self.stopped(lsn),
            RecordKind::AtcWindows => {
                self.found("structure", lsn, txn, "windows outside a checkpoint");
            }
        }
        if record.kind != RecordKind::Settled {
            self.owe_advice(txn, lsn, record);
        }
    }

    /// True when the beginning of this transaction's life may have stood in a segment that was deleted.
    fn before_our_time(&self, txn: u64) -> bool {
        self.first_lsn > 1 && (self.first_txn == 0 || txn < self.first_txn)
    }

    fn accepted(&mut self, txn: u64, lsn: u64, record: &RecordRef<'_>) {
        let life = self.lives.entry(txn).or_default();
        let (accepted, declined) = (life.accepted, life.declined);
        life.accepted = lsn;
        if accepted != 0 {
            self.found(
                "walk.2",
                lsn,
                txn,
                format!("accepted again, first in record {accepted}"),
            );
        }
        if declined != 0 {
            self.found(
                "walk.2",
                lsn,
                txn,
                format!("accepted after it was declined in record {declined}"),
            );
        }
        if !record.has_pan() {
            self.found(
                "walk.3",
                lsn,
                txn,
                "accepted without a sealed PAN: it could not be reversed",
            );
        }
        self.unanswered.insert(txn, lsn);
        self.claim(lsn, txn, &record.fields);
        self.count(lsn, txn, &record.fields);
        if let Some(tombstone) = record
            .fields
            .array(Field::Key)
            .and_then(|k| self.tombstones.get(&k))
        {
            let problem =
                format!("accepted, although record {tombstone} had reversed it before it came");
            self.found("walk.6", lsn, txn, problem);
        }
        self.spend(
            lsn,
            txn,
            &record.fields,
            Field::Issuer,
            Field::OutStan,
            Field::OutTime,
        );
    }

    fn answered(&mut self, txn: u64, lsn: u64, record: &RecordRef<'_>) {
        let fields = &record.fields;
        let cause = fields.number_or_0(Field::Cause);
        let outcome = fields.number_or_0(Field::Outcome);
        let unknown = self.before_our_time(txn);
        let life = self.lives.entry(txn).or_default();
        let before = *life;
        life.answered = lsn;
        life.outcome = outcome;
        if cause != 0 {
            life.owed = lsn;
            life.settled = 0;
        }
        self.unanswered.remove(&txn);
        if before.accepted == 0 && before.answered == 0 && !unknown {
            self.found("walk.1", lsn, txn, "answered without having been accepted");
        }
        if before.answered != 0 {
            self.answered_again(txn, lsn, cause, &before);
        }
        if before.suppressed != 0 && outcome == APPROVED {
            let problem = format!(
                "approved, although record {} had reversed it",
                before.suppressed
            );
            self.found("walk.6", lsn, txn, problem);
        }
        if cause != 0 {
            if outcome == APPROVED {
                self.found(
                    "walk.3",
                    lsn,
                    txn,
                    "approved to the acquirer and reversed at the bank",
                );
            }
            self.owe(txn, lsn, record);
        }
    }

    fn answered_again(&mut self, txn: u64, lsn: u64, cause: u64, before: &Life) {
        let first = before.answered;
        if before.outcome != APPROVED {
            self.found(
                "walk.2",
                lsn,
                txn,
                format!("a second outcome, the first in record {first}"),
            );
        } else if cause != CAUSE_UNDELIVERABLE {
            let problem = format!("another outcome after the approval in record {first}");
            self.found("walk.4", lsn, txn, problem);
        }
    }

    /// A record that owes a reversal holds all that is needed to send it.
    fn owe(&mut self, txn: u64, lsn: u64, record: &RecordRef<'_>) {
        let wanted = [
            Field::ReversalStan,
            Field::ReversalTime,
            Field::Issuer,
            Field::Key,
        ];
        let lacks = missing(record, &wanted);
        self.judge(
            lsn,
            txn,
            lacks.map(|l| format!("owes a reversal without {l}")),
        );
        self.spend(
            lsn,
            txn,
            &record.fields,
            Field::Issuer,
            Field::ReversalStan,
            Field::ReversalTime,
        );
    }

    fn declined(&mut self, txn: u64, lsn: u64, fields: &Fields<'_>) {
        let life = self.lives.entry(txn).or_default();
        let before = *life;
        life.declined = lsn;
        if before.accepted != 0 || before.answered != 0 {
            let problem = format!(
                "declined after it was accepted in record {}",
                before.accepted
            );
            self.found("walk.2", lsn, txn, problem);
        } else if before.declined != 0 {
            let problem = format!("a second outcome, the first in record {}", before.declined);
            self.found("walk.2", lsn, txn, problem);
        }
        self.claim(lsn, txn, fields);
        self.count(lsn, txn, fields);
    }

    fn reversal(&mut self, txn: u64, lsn: u64, record: &RecordRef<'_>) {
        let fields = &record.fields;
        self.claim(lsn, txn, fields);
        let original = fields.number_or_0(Field::Original);
        let unknown = self.before_our_time(original);
        match fields.number_or_0(Field::Effect) {
            EFFECT_TOMBSTONE => {
                if let Some(key) = fields.array(Field::OriginalKey) {
                    self.tombstones.insert(key, lsn);
                }
            }
            effect @ (EFFECT_CANCEL | EFFECT_SUPPRESS) => {
                let life = self.lives.entry(original).or_default();
                let before = *life;
                life.suppressed = lsn;
                if before.accepted == 0 && effect == EFFECT_SUPPRESS && !unknown {
                    self.found(
                        "walk.6",
                        lsn,
                        txn,
                        format!("suppresses {original}, which was never accepted"),
                    );
                } else if before.answered != 0 {
                    let problem = format!(
                        "suppresses {original}, answered in record {}",
                        before.answered
                    );
                    self.found("walk.6", lsn, txn, problem);
                }
            }
            EFFECT_REVERSE => self.reverses(txn, lsn, original, record),
            _ => {}
        }
    }

    /// An acquirer takes an approval back: its bank is owed a reversal, once.
    fn reverses(&mut self, txn: u64, lsn: u64, original: u64, record: &RecordRef<'_>) {
        let unknown = self.before_our_time(original);
        let withdraws = is_advice(record.fields.text(Field::OriginalMti));
        let life = self.lives.entry(original).or_default();
        let before = *life;
        life.reversed = lsn;
        if !withdraws {
            life.owed = lsn;
            life.settled = 0;
        }
        if before.reversed != 0 || (before.owed != 0 && !withdraws) {
            let first = before.reversed.max(before.owed);
            self.found(
                "walk.6",
                lsn,
                txn,
                format!("reverses {original} again, first in record {first}"),
            );
        } else if before.outcome != APPROVED && !(unknown && before.answered == 0) {
            self.found(
                "walk.6",
                lsn,
                txn,
                format!("reverses {original}, which was not approved"),
            );
        }
        if withdraws {
            let again = self.owing.owe(original, WITHDRAWAL, lsn);
            self.judge(lsn, txn, again);
        }
        self.owe(txn, lsn, record);
    }

    /// An acquirer's advice: accepted as it stands, and owed to its bank.
    fn advised(&mut self, txn: u64, lsn: u64, record: &RecordRef<'_>) {
        let fields = &record.fields;
        self.claim(lsn, txn, fields);
        self.count(lsn, txn, fields);
        if !fields.has(Field::AdviceStan) {
            self.found("walk.3", lsn, txn, "an advice that nobody is owed");
        }
    }

    fn judge(&mut self, lsn: u64, txn: u64, problem: Option<String>) {
        if let Some(problem) = problem {
            self.found("walk.3", lsn, txn, problem);
        }
    }

    /// A record that owes an advice holds all that is needed to send it.
    fn owe_advice(&mut self, txn: u64, lsn: u64, record: &RecordRef<'_>) {
        let fields = &record.fields;
        if !fields.has(Field::AdviceStan) {
            return;
        }
        let again = self.owing.owe(txn, ADVICE, lsn);
        self.judge(lsn, txn, again);
        let wanted = [Field::AdviceTime, Field::Issuer, Field::Key, Field::Code];
        let lacks = missing(record, &wanted);
        self.judge(
            lsn,
            txn,
            lacks.map(|l| format!("owes an advice without {l}")),
        );
        self.spend(
            lsn,
            txn,
            fields,
            Field::Issuer,
            Field::AdviceStan,
            Field::AdviceTime,
        );
    }

    fn settled(&mut self, txn: u64, lsn: u64, fields: &Fields<'_>) {
        let unknown = self.before_our_time(txn);
        let parked = UNSETTLED.contains(&fields.text(Field::Result));
        let duty = fields.number_or_0(Field::Duty);
        if duty != 0 {
            let problem = self.owing.settle(txn, duty, lsn, !parked, unknown);
            return self.judge(lsn, txn, problem);
        }
        let life = self.lives.entry(txn).or_default();
        let before = *life;
        if !parked {
            life.settled = lsn;
        }
        if before.settled != 0 && !parked {
            let problem = format!(
                "a reversal settled again, first in record {}",
                before.settled
            );
            self.found("walk.3", lsn, txn, problem);
        } else if before.owed == 0 && !unknown {
            self.found("walk.3", lsn, txn, "a reversal settled that was never owed");
        }
    }

    /// A checkpoint carries the state of an item: it stands for records that may be gone.
    fn carried(&mut self, record: &RecordRef<'_>, txn: u64, lsn: u64) {
        let (kind, fields) = (record.kind, &record.fields);
        if let Some((_, carried)) = &mut self.checkpoint {
            *carried += 1;
        }
        if kind == RecordKind::StandInTotal {
            let bank = self.number_of(fields.text(Field::Issuer)) as u16;
            if let Some((of, used)) = total_of(fields, Some(bank)) {
                self.stand_ins.set(of, used);
            }
            return;
        }
        let windows = fields.get(Field::AtcSeen).unwrap_or(&[]);
        Window::read_all(windows).for_each(|window| self.counters.merge(&window));
        if matches!(kind, RecordKind::StanMark | RecordKind::AtcWindows) || txn == 0 {
            return;
        }
        let approved = fields.number_or_0(Field::Outcome) == APPROVED;
        if approved && fields.has(Field::MappingVersion) && !record.has_pan() {
            self.found(
                "walk.7",
                lsn,
                txn,
                "an approved tap carried without a sealed PAN: it could not be reversed",
            );
        }
        if fields.has(Field::AdviceStan) {
            self.owing.carry(txn, ADVICE, lsn);
        }
        let owes = fields.number_or_0(Field::Cause) != 0;
        if owes && is_advice(fields.text(Field::OriginalMti)) {
            self.owing.carry(txn, WITHDRAWAL, lsn);
        }
        let life = self.lives.entry(txn).or_default();
        match kind {
            RecordKind::Accepted if life.accepted == 0 => life.accepted = lsn,
            RecordKind::Answered if life.answered == 0 => {
                life.accepted = lsn;
                life.answered = lsn;
                life.outcome = fields.number_or_0(Field::Outcome);
                if fields.number_or_0(Field::Cause) != 0 {
                    life.owed = lsn;
                }
            }
            RecordKind::Declined if life.declined == 0 && life.accepted == 0 => life.declined = lsn,
            _ => {}
        }
    }

    fn checkpoint(&mut self, lsn: u64, fields: &Fields<'_>) {
        if fields.number_or_0(Field::Phase) == 0 {
            self.checkpoint = Some((lsn, 0));
            return;
        }
        let Some((begin, carried)) = self.checkpoint.take() else {
            if fields.number_or_0(Field::Begin) < self.first_lsn {
                // Its begin went with a segment that a later checkpoint covers.
                return;
            }
            self.found("structure", lsn, 0, "a checkpoint ends that never began");
            return;
        };
        if fields.number(Field::Begin) != Some(begin)
            || fields.number(Field::Carried) != Some(carried)
        {
            self.found(
                "structure",
                lsn,
                0,
                format!("a checkpoint does not match its begin in record {begin}"),
            );
        }
    }

    /// A process that starts answers what was in doubt before it does anything else.
    fn stopped(&mut self, lsn: u64) {
        let started = self.started;
        let mut forgotten: Vec<(u64, u64)> = self
            .unanswered
            .iter()
            .filter(|(_, at)| **at < started)
            .map(|(t, at)| (*at, *t))
            .collect();
        forgotten.sort_unstable();
        for (accepted, txn) in forgotten {
            let problem = format!(
                "accepted in record {accepted}, and without an outcome although the process started again in record {started} and stopped cleanly"
            );
            self.found("walk.2", lsn, txn, problem);
            self.unanswered.remove(&txn);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::journal::device::Directory;
    use crate::journal::testing::TempDir;
    use crate::journal::{Builder, Journal, Options};

    const OPTIONS: Options = Options {
        segment_bytes: 16_384,
        pending_bytes_max: 1 << 20,
    };

    /// A short story told by records; every line is one record.
    struct Story {
        dir: TempDir,
        keys: Arc<Keys>,
        journal: Journal,
    }

    fn key(of: u64) -> [u8; 16] {
        u128::from(of).to_le_bytes()
    }

    type Line<'l> = &'l dyn Fn(&mut Builder);

    impl Story {
        fn new() -> Story {
            let dir = TempDir::new();
            let keys = Arc::new(Keys::ephemeral().unwrap());
            let journal = Journal::open(dir.path(), Arc::clone(&keys), OPTIONS).unwrap();
            Story { dir, keys, journal }
        }

        fn say(&self, kind: RecordKind, line: Line<'_>) -> &Story {
            let mut b = Builder::new();
            line(&mut b);
            let pan = matches!(
                kind,
                RecordKind::Accepted | RecordKind::Answered | RecordKind::Reversal
            )
            .then_some(&b"6299000000000005"[..]);
            self.journal.append(kind, b.finish().unwrap(), pan).unwrap();
            self
        }

        fn accepted(&self, txn: u64) -> &Story {
            self.say(RecordKind::Accepted, &|b| {
                b.number(Field::Txn, txn)
                    .bytes(Field::Key, &key(txn))
                    .text(Field::Issuer, "BANK01");
                b.number(Field::OutStan, txn)
                    .text(Field::OutTime, "1123170000");
            })
        }

        fn answered(&self, txn: u64, outcome: u64) -> &Story {
            self.say(RecordKind::Answered, &|b| {
                b.number(Field::Txn, txn).number(Field::Outcome, outcome);
            })
        }

        /// A proved tap, declined by us: nothing but its key and its counter matters.
        fn tapped(&self, txn: u64, token: u8, sequence: u64, atc: u64) -> &Story {
            self.say(RecordKind::Declined, &|b| {
                b.number(Field::Txn, txn)
                    .bytes(Field::Key, &key(txn))
                    .bytes(Field::Card, &[token; 8])
                    .number(Field::TokenSequence, sequence)
                    .number(Field::Atc, atc);
            })
        }

        fn owed(&self, txn: u64, cause: u64, outcome: u64) -> &Story {
            self.say(RecordKind::Answered, &|b| {
                b.number(Field::Txn, txn)
                    .number(Field::Outcome, outcome)
                    .number(Field::Cause, cause);
                b.bytes(Field::Key, &key(txn)).text(Field::Issuer, "BANK01");
                b.number(Field::ReversalStan, 500 + txn)
                    .text(Field::ReversalTime, "1123170001");
            })
        }

        fn reversal(&self, txn: u64, original: u64, effect: u64) -> &Story {
            self.say(RecordKind::Reversal, &|b| {
                b.number(Field::Txn, txn)
                    .bytes(Field::Key, &key(txn))
                    .number(Field::Effect, effect);
                b.bytes(Field::OriginalKey, &key(original))
                    .text(Field::Issuer, "BANK01");
                b.number(Field::ReversalStan, 700 + txn)
                    .text(Field::ReversalTime, "1123170001");
                if effect != EFFECT_TOMBSTONE {
                    b.number(Field::Original, original);
                }
            })
        }

        fn settled(&self, txn: u64, result: &str) -> &Story {
            self.say(RecordKind::Settled, &|b| {
                b.number(Field::Txn, txn).text(Field::Result, result);
            })
        }

        /// An approval in BANK01's name; `first`: it was not accepted before.
        fn stood_in(&self, txn: u64, first: bool, amount: u64, line: Line<'_>) -> &Story {
            let mut b = Builder::new();
            b.number(Field::Txn, txn)
                .number(Field::Outcome, APPROVED)
                .bytes(Field::Key, &key(txn))
                .text(Field::Issuer, "BANK01")
                .number(Field::AdviceStan, 500_000 + txn)
                .text(Field::AdviceTime, "1123170000")
                .text(Field::Code, "00")
                .text(Field::Rule, "small")
                .number(Field::Amount, amount)
                .text(Field::Currency, "156")
                .text(Field::BusinessDate, "20261123")
                .bytes(Field::PanIndex, &[7; 8])
                .number(Field::CountMax, 2)
                .number(Field::SumMax, 1_000);
            if first {
                b.bytes(Field::Body, &key(txn));
            }
            line(&mut b);
            let pan = Some(&b"6299000000000005"[..]);
            self.journal
                .append(RecordKind::StoodIn, b.finish().unwrap(), pan)
                .unwrap();
            self
        }

        fn findings(&self) -> Vec<(&'static str, u64)> {
            self.journal.close();
            let store = Directory::open(self.dir.path()).unwrap();
            let found = verify(&store, &self.keys).unwrap();
            found.iter().map(|f| (f.rule, f.txn)).collect()
        }
    }

    #[test]
    fn stand_in_is_one_outcome_within_its_limits() {
        let within = |story: &Story| {
            story
                .stood_in(1, true, 400, &|_| {})
                .accepted(2)
                .stood_in(2, false, 600, &|b| {
                    b.number(Field::Cause, 1)
                        .number(Field::ReversalStan, 700_002)
                        .text(Field::ReversalTime, "1123170000")
                        .text(Field::OriginalMti, "0200");
                });
        };
        let sound = Story::new();
        within(&sound);
        assert_eq!(sound.findings(), []);
        // A third of the day, and one more than its sum.
        let third = Story::new();
        within(&third);
        third.stood_in(3, true, 1, &|_| {});
        assert_eq!(third.findings(), [("walk.11", 3)]);
    }

    #[test]
    fn stand_in_after_an_outcome_or_without_its_advice_is_found() {
        let declined = Story::new();
        declined
            .accepted(1)
            .answered(1, 3)
            .stood_in(1, false, 1, &|_| {});
        assert_eq!(declined.findings(), [("walk.11", 1)]);
        let strange = Story::new();
        strange.stood_in(1, false, 1, &|_| {});
        assert_eq!(strange.findings(), [("walk.1", 1)]);
        let bare = Story::new();
        bare.stood_in(1, true, 1, &|_| {});
        let mut b = Builder::new();
        b.number(Field::Txn, 9)
            .number(Field::Outcome, APPROVED)
            .bytes(Field::Key, &key(9))
            .bytes(Field::Body, &key(9));
        let payload = b.finish().unwrap();
        bare.journal
            .append(RecordKind::StoodIn, payload, None)
            .unwrap();
        assert_eq!(bare.findings(), [("walk.11", 9), ("walk.11", 9)]);
    }

    #[test]
    fn a_sound_story_has_no_findings() {
        let story = Story::new();
        story
            .accepted(1)
            .answered(1, APPROVED)
            .accepted(2)
            .owed(2, 1, 3);
        story
            .settled(2, "parked")
            .settled(2, "parked")
            .settled(2, "00");
        story.say(RecordKind::Declined, &|b| {
            b.number(Field::Txn, 3)
                .bytes(Field::Key, &key(3))
                .number(Field::Outcome, 3);
        });
        story.reversal(4, 1, EFFECT_REVERSE).settled(1, "00");
        story
            .accepted(5)
            .reversal(6, 5, EFFECT_SUPPRESS)
            .owed(5, 2, 3)
            .settled(5, "00");
        story.reversal(7, 99, EFFECT_TOMBSTONE);
        story
            .accepted(8)
            .answered(8, APPROVED)
            .owed(8, CAUSE_UNDELIVERABLE, 3);
        story.say(RecordKind::StanMark, &|b| {
            b.text(Field::Institution, "BANK01")
                .number(Field::OutStan, 9)
                .text(Field::OutTime, "1123170000");
        });
        story.tapped(20, 1, 0, 100).tapped(21, 1, 0, 99);
        story.tapped(22, 1, 1, 100).tapped(23, 2, 0, 100);
        story.tapped(24, 1, 0, 37).tapped(25, 1, 0, 65_535);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn each_broken_rule_is_found() {
        type Told = fn(&Story);
        let broken: [(Told, &[(&str, u64)]); 23] = [
            (
                |s| _ = s.tapped(1, 1, 0, 5).tapped(2, 1, 0, 5),
                &[("walk.7", 2)],
            ),
            (
                |s| _ = s.tapped(1, 1, 0, 100).tapped(2, 1, 0, 36),
                &[("walk.7", 2)],
            ),
            (|s| _ = s.tapped(1, 1, 0, 65_536), &[("walk.7", 1)]),
            (
                |s| {
                    s.say(RecordKind::AtcWindows, &|_| {});
                },
                &[("structure", 0)],
            ),
            (|s| _ = s.answered(1, 3), &[("walk.1", 1)]),
            (
                |s| _ = s.accepted(1).answered(1, 3).answered(1, 3),
                &[("walk.2", 1)],
            ),
            (
                |s| _ = s.accepted(1).answered(1, APPROVED).owed(1, 1, 3),
                &[("walk.4", 1)],
            ),
            (|s| _ = s.accepted(1).owed(1, 1, APPROVED), &[("walk.3", 1)]),
            (|s| _ = s.accepted(1).settled(1, "00"), &[("walk.3", 1)]),
            (
                |s| {
                    _ = s
                        .accepted(1)
                        .owed(1, 1, 3)
                        .settled(1, "00")
                        .settled(1, "00")
                },
                &[("walk.3", 1)],
            ),
            (
                |s| _ = s.accepted(1).accepted(1),
                &[("walk.2", 1), ("walk.5", 1), ("walk.10", 1)],
            ),
            (
                |s| {
                    s.say(RecordKind::Declined, &|b| {
                        b.number(Field::Txn, 1).bytes(Field::Key, &key(7));
                    });
                    s.accepted(7);
                    s.say(RecordKind::Declined, &|b| {
                        b.number(Field::Txn, 7).bytes(Field::Key, &key(8));
                    });
                },
                &[("walk.5", 7), ("walk.2", 7)],
            ),
            (
                |s| {
                    s.say(RecordKind::Declined, &|b| {
                        b.number(Field::Txn, 1);
                    });
                },
                &[("walk.5", 1)],
            ),
            (
                |s| _ = s.reversal(9, 3, EFFECT_TOMBSTONE).accepted(3),
                &[("walk.6", 3)],
            ),
            (|s| _ = s.reversal(9, 3, EFFECT_REVERSE), &[("walk.6", 9)]),
            (|s| _ = s.reversal(9, 3, EFFECT_SUPPRESS), &[("walk.6", 9)]),
            (
                |s| _ = s.accepted(3).answered(3, 3).reversal(9, 3, EFFECT_REVERSE),
                &[("walk.6", 9)],
            ),
            (
                |s| _ = s.accepted(3).answered(3, 3).reversal(9, 3, EFFECT_SUPPRESS),
                &[("walk.6", 9)],
            ),
            (
                |s| {
                    s.accepted(3)
                        .answered(3, APPROVED)
                        .reversal(9, 3, EFFECT_REVERSE);
                    s.reversal(10, 3, EFFECT_REVERSE);
                },
                &[("walk.6", 10)],
            ),
            (
                |s| {
                    _ = s
                        .accepted(3)
                        .reversal(9, 3, EFFECT_SUPPRESS)
                        .answered(3, APPROVED)
                },
                &[("walk.6", 3)],
            ),
            (
                |s| {
                    for _ in 0..2 {
                        s.say(RecordKind::StanMark, &|b| {
                            b.text(Field::Institution, "BANK01")
                                .number(Field::OutStan, 9);
                            b.text(Field::OutTime, "1123170000");
                        });
                    }
                },
                &[("walk.10", 0)],
            ),
            (
                |s| {
                    s.accepted(1).say(RecordKind::Started, &|_| {});
                },
                &[("walk.2", 1)],
            ),
            (
                |s| {
                    s.say(RecordKind::Checkpoint, &|b| {
                        b.number(Field::Phase, 1)
                            .number(Field::Begin, 1)
                            .number(Field::Carried, 0);
                    });
                },
                &[("structure", 0)],
            ),
        ];
        for (at, (tell, expected)) in broken.iter().enumerate() {
            let story = Story::new();
            tell(&story);
            assert_eq!(&story.findings(), expected, "story {at}");
        }
    }

    #[test]
    fn what_stood_in_deleted_segments_is_no_finding() {
        let story = Story::new();
        for txn in 1..=400 {
            story.accepted(txn);
            if txn % 40 != 0 {
                story.answered(txn, 3);
            }
        }
        let mut carried = Builder::new();
        carried.number(Field::Txn, 400);
        let carried = carried.finish().unwrap().to_vec();
        story
            .journal
            .checkpoint([(RecordKind::Accepted, carried.as_slice(), None)])
            .unwrap();
        while story.journal.synced() < story.journal.appended() {
            std::thread::yield_now();
        }
        assert!(story.journal.delete_covered(i64::MAX).unwrap() > 1);
        story
            .answered(40, 3)
            .answered(400, 3)
            .settled(3, "00")
            .reversal(401, 7, EFFECT_REVERSE);
        assert_eq!(story.findings(), []);
    }

    /// The claims stood in segments that are gone; the windows of the checkpoint remember them.
    #[test]
    fn a_counter_that_only_a_checkpoint_knows_is_claimed_once() {
        let story = Story::new();
        let mut window = Builder::new();
        let mut counters = AtcTable::new(1);
        let token = AtcKey {
            token: [1; 8],
            sequence: 0,
        };
        counters.claim(&token, 100);
        counters.claim(&token, 98);
        window.with(Field::AtcSeen, |out| {
            (0..counters.places()).for_each(|at| {
                counters.at(at).iter().for_each(|w| w.write(out));
            });
            true
        });
        let mut bare = Builder::new();
        bare.number(Field::Txn, 9)
            .number(Field::Outcome, APPROVED)
            .number(Field::MappingVersion, 1);
        let sealed = Some(&b"6299000000000005"[..]);
        story
            .journal
            .checkpoint([
                (RecordKind::AtcWindows, window.finish().unwrap(), None),
                (RecordKind::Answered, bare.finish().unwrap(), None),
                (RecordKind::Answered, bare.finish().unwrap(), sealed),
            ])
            .unwrap();
        story.tapped(1, 1, 0, 98).tapped(2, 1, 0, 99);
        story.tapped(3, 1, 0, 30).tapped(4, 1, 0, 101);
        assert_eq!(
            story.findings(),
            [("walk.7", 9), ("walk.7", 1), ("walk.7", 3)]
        );
    }

    #[test]
    fn damage_is_a_finding_with_a_place() {
        let story = Story::new();
        story.accepted(1).answered(1, 3).journal.close();
        let path = story.dir.path().join("0000000001.seg");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let store = Directory::open(story.dir.path()).unwrap();
        let found = verify(&store, &story.keys).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].rule, found[0].file.as_str()),
            ("structure", path.to_str().unwrap())
        );
        assert!(!found[0].remedy.is_empty());
    }
}
