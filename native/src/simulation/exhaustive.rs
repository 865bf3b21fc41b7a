//! Every short history of a journal, cut off at every operation of its disk, with every subset of what was not synced.
//!
//! Crash bugs of file systems and databases need few operations, and nearly all of them follow a sync; so histories of
//! up to four operations, from starts that have something to lose, are tried to the last one instead of long random
//! ones. A model that knows only what was appended and what was acknowledged is the judge:
//!
//! - J1: the recovered journal is all acknowledged records, and possibly some more, without a gap, each as it was;
//! - J2: a power cut alone is never taken for damage;
//! - J4: recovering again gives the same, also after the power went at any operation of the recovery;
//! - J5: after the power went nothing is acknowledged any more;
//! - a replay begins at the newest checkpoint whose end survived, and work goes on.
//!
//! **Source:** Mohan et al., "Finding crash-consistency bugs with bounded black-box crash testing", OSDI 2018.

use std::sync::Arc;

use super::disk::SimDisk;
use super::faults::Kind;
use super::pump::{Cranked, Hand, open};
use crate::chance::SplitMix;
use crate::journal::frame::Place;
use crate::journal::record::{WINDOW_BYTES, WINDOW_MARK};
use crate::journal::scan::scan;
use crate::journal::{
    Builder, Field, From, Journal, JournalError, Keys, Options, RecordKind, Step,
};

const OPTIONS: Options = Options {
    segment_bytes: 16_384,
    pending_bytes_max: 64 << 10,
};
const OPERATIONS_MAX: usize = 4;
/// Up to so many sectors every subset is tried; beyond it the shapes that disks leave, and some drawn ones.
const SUBSETS_OF_MAX: usize = 6;
const DRAWN: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// Appends a record of some 100 bytes.
    Append,
    /// Appends records of more than a segment.
    AppendMany,
    /// Appends begin, a carried record and end of a checkpoint.
    Checkpoint,
    /// Marks, seals and writes what is pending.
    Write,
    /// Syncs what was written.
    Sync,
    /// Writes and syncs by whoever commits.
    Here,
    /// Makes the next segment.
    Prepare,
    /// Removes segments that a checkpoint covers.
    Remove,
    /// Closes, and opens again.
    Restart,
}

const OPS: [Op; 9] = [
    Op::Append,
    Op::AppendMany,
    Op::Checkpoint,
    Op::Write,
    Op::Sync,
    Op::Here,
    Op::Prepare,
    Op::Remove,
    Op::Restart,
];

/// What was appended, by LSN - 1; a payload that the journal made itself is None.
#[derive(Clone, Default)]
struct Model {
    records: Vec<(RecordKind, Option<Vec<u8>>)>,
    /// LSNs of begin and end of every checkpoint.
    checkpoints: Vec<(u64, u64)>,
    acknowledged: u64,
}

/// A journal with its model.
struct Run {
    disk: SimDisk,
    keys: Arc<Keys>,
    journal: Arc<Journal>,
    hand: Arc<Hand>,
    model: Model,
}

fn power_went(disk: &SimDisk) -> bool {
    let counts = disk.counts();
    counts
        .iter()
        .any(|(what, _)| *what == Kind::PowerCut.name())
}

fn small(number: u64) -> Vec<u8> {
    let mut b = Builder::new();
    b.number(Field::Txn, number)
        .text(Field::Rrn, &format!("{number:012}"));
    b.finish().unwrap().to_vec()
}

fn large(number: u64) -> Vec<u8> {
    let mut windows = Vec::new();
    for at in 0..3_000 / WINDOW_BYTES {
        let mut window = [0; WINDOW_BYTES];
        window[0] = WINDOW_MARK;
        window[1] = number as u8;
        window[2] = at as u8;
        windows.extend_from_slice(&window);
    }
    let mut b = Builder::new();
    b.number(Field::Txn, number).bytes(Field::AtcSeen, &windows);
    b.finish().unwrap().to_vec()
}

impl Run {
    fn open(disk: &SimDisk, keys: &Arc<Keys>, model: Model) -> Result<Run, JournalError> {
        let (journal, hand) = open(disk, Arc::clone(keys), OPTIONS, None)?;
        Ok(Run {
            disk: disk.clone(),
            keys: Arc::clone(keys),
            journal,
            hand,
            model,
        })
    }

    fn append(&mut self, kind: RecordKind, payload: Vec<u8>) -> bool {
        match self.journal.append(kind, &payload, None) {
            Ok(lsn) => {
                self.model.records.push((kind, Some(payload)));
                assert_eq!(lsn, self.model.records.len() as u64);
                true
            }
            Err(_) => false,
        }
    }

    fn checkpoint(&mut self) -> bool {
        let Ok(begin) = self.journal.checkpoint_begin() else {
            return false;
        };
        let carried = small(7);
        self.journal
            .checkpoint_carry(RecordKind::Declined, &carried, None)
            .unwrap();
        let end = self.journal.checkpoint_end(begin, begin, 1).unwrap();
        let records = &mut self.model.records;
        records.push((RecordKind::Checkpoint, None));
        records.push((RecordKind::Declined, Some(carried)));
        records.push((RecordKind::Checkpoint, None));
        self.model.checkpoints.push((begin, end));
        true
    }

    /// Does it; false when nothing came of it, so that every history with it is one without it.
    fn apply(&mut self, op: Op) -> bool {
        let number = self.model.records.len() as u64 + 1;
        let did = match op {
            Op::Append => self.append(RecordKind::Answered, small(number)),
            Op::AppendMany => {
                (0..3).all(|n| self.append(RecordKind::AtcWindows, large(number + n)))
            }
            Op::Checkpoint => self.checkpoint(),
            Op::Write => {
                self.journal.commit();
                matches!(
                    self.hand.begin(),
                    Cranked::Step(Step::Written | Step::Failed)
                )
            }
            Op::Sync => self.hand.finish() != Step::Idle,
            Op::Here => {
                self.hand.set_here(true);
                let moved = self.journal.commit_here();
                self.hand.set_here(false);
                moved || self.journal.failure().is_some()
            }
            Op::Prepare => self.hand.wants_segment() && self.hand.prepare().is_ok(),
            Op::Remove => self
                .journal
                .delete_covered(i64::MAX)
                .map_or(true, |deleted| deleted > 0),
            Op::Restart => return self.restart(),
        };
        self.acknowledge();
        did
    }

    fn acknowledge(&mut self) {
        let synced = self.journal.synced();
        assert!(synced >= self.model.acknowledged && synced <= self.model.records.len() as u64);
        self.model.acknowledged = synced;
    }

    fn restart(&mut self) -> bool {
        let before = self.journal.failure().is_none();
        self.journal.close();
        if before && self.journal.appended() > self.model.records.len() as u64 {
            self.model.records.push((RecordKind::Stopped, None));
        }
        self.acknowledge();
        if power_went(&self.disk) {
            return true;
        }
        match Run::open(&self.disk, &self.keys, self.model.clone()) {
            Ok(again) => {
                *self = again;
                true
            }
            // Only when the power went: whoever looks at the disk next tells.
            Err(_) => true,
        }
    }

    /// Appends, writes and syncs until nothing is pending.
    fn drain(&mut self) {
        self.journal.commit();
        while self.hand.waiting() {
            match self.hand.begin() {
                Cranked::Stalled => assert_eq!(self.hand.prepare(), Ok(true)),
                Cranked::Step(_) => {
                    self.hand.finish();
                }
            }
        }
        self.acknowledge();
    }

    fn die(&self) {
        self.hand.kill();
    }
}

/// What a recovery makes of a disk.
struct Recovered {
    last: u64,
    checkpoint: Place,
}

/// Holds every record up to `last` against the model; the LSN of the first, 0 for none.
fn compare(disk: &SimDisk, keys: &Keys, model: &Model, last: u64, at: &str) -> u64 {
    let (mut lsn, mut first) = (0, 0);
    let report = scan(
        &*disk.mount(),
        keys,
        From::Oldest,
        last,
        false,
        &mut |record| {
            first = if first == 0 { record.lsn } else { first };
            assert!(
                lsn == 0 || record.lsn == lsn + 1,
                "{at}: a gap before {}",
                record.lsn
            );
            lsn = record.lsn;
            let (kind, payload) = &model.records[lsn as usize - 1];
            assert_eq!(record.kind, *kind, "{at}: record {lsn}");
            if let Some(payload) = payload {
                assert_eq!(record.fields.payload(), payload, "{at}: record {lsn}");
            }
            Ok(())
        },
    );
    report.unwrap_or_else(|e| panic!("{at}: {e}"));
    assert_eq!(lsn, last, "{at}: what was found is read");
    first
}

/// Recovers from a disk and holds the result against the model. `at` names the case.
fn judge(disk: &SimDisk, keys: &Arc<Keys>, model: &Model, at: &str) -> Recovered {
    let opened = open(disk, Arc::clone(keys), OPTIONS, None);
    let (journal, hand) = opened.unwrap_or_else(|e| panic!("{at}: a power cut is no damage: {e}"));
    let last = journal.synced();
    assert!(
        last >= model.acknowledged,
        "{at}: J1, record {last} of {}",
        model.acknowledged
    );
    assert!(
        last <= model.records.len() as u64,
        "{at}: more than was appended"
    );
    let first = compare(disk, keys, model, last, at);
    let mut replays_from = None;
    journal
        .replay(&mut |record| {
            replays_from.get_or_insert(record.lsn);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{at}: {e}"));
    let newest = model.checkpoints.iter().rev();
    let begin = newest
        .clone()
        .find(|(_, end)| *end <= last)
        .map(|(begin, _)| *begin);
    assert_eq!(
        replays_from,
        (last > 0).then(|| begin.unwrap_or(1)),
        "{at}: where the replay begins"
    );
    assert!(
        first <= begin.unwrap_or(1),
        "{at}: a needed segment has gone"
    );
    hand.kill();
    Recovered {
        last,
        checkpoint: journal.found().checkpoint,
    }
}

/// Sectors that survive, each list one outcome of a power cut.
fn outcomes(stake: &[(String, usize)], random: &mut SplitMix) -> Vec<Vec<(String, usize)>> {
    let pick = |mask: u64| -> Vec<(String, usize)> {
        let chosen = stake.iter().enumerate();
        chosen
            .filter(|(n, _)| mask >> n & 1 == 1)
            .map(|(_, sector)| sector.clone())
            .collect()
    };
    let all = stake.len();
    if all <= SUBSETS_OF_MAX {
        return (0..1 << all).map(pick).collect();
    }
    let full = (1u64 << all) - 1;
    let mut masks = vec![0, full];
    for n in 0..all {
        masks.extend([
            full & !(1 << n),
            1 << n,
            (1 << n) - 1,
            full & !((1 << n) - 1),
        ]);
    }
    masks.extend((0..DRAWN).map(|_| random.draw() & full));
    masks.sort_unstable();
    masks.dedup();
    masks.into_iter().map(pick).collect()
}

#[derive(Default)]
struct Tried {
    histories: u64,
    crashes: u64,
    recoveries_cut: u64,
    torn: u64,
}

/// Every outcome of a power cut at this moment.
fn cut_off(disk: &SimDisk, keys: &Arc<Keys>, model: &Model, at: &str, tried: &mut Tried) {
    let mut random = SplitMix::new(tried.crashes);
    let stake = disk.at_stake();
    let outcomes = outcomes(&stake, &mut random);
    let middle = outcomes.len() / 2;
    for (number, kept) in outcomes.iter().enumerate() {
        tried.crashes += 1;
        let at = format!("{at}, kept {kept:?} of {stake:?}");
        let left = disk.copy();
        left.crash(Some(kept));
        // How a recovery is cut off and gone on from does not hang on single sectors: tried for the ends of the list
        // and its middle.
        let shown = number == 0 || number == middle || number + 1 == outcomes.len();
        if shown {
            cut_recovery(&left, keys, model, &at, tried);
        }
        let first = judge(&left, keys, model, &at);
        left.crash(Some(&[]));
        let (again, hand) = open(&left, Arc::clone(keys), OPTIONS, None).unwrap();
        hand.kill();
        // Not the torn group: a spare segment with one is removed by the first recovery, which told of it.
        assert_eq!(
            (again.found().last_lsn, again.found().checkpoint),
            (first.last, first.checkpoint),
            "{at}: J4"
        );
        if first.last < model.records.len() as u64 && !kept.is_empty() {
            tried.torn += 1;
        }
        if shown {
            go_on(&left, keys, model, first.last, &at);
        }
    }
}

/// The power goes at every operation of the recovery; the next recovery is left to finish.
fn cut_recovery(left: &SimDisk, keys: &Arc<Keys>, model: &Model, at: &str, tried: &mut Tried) {
    for n in 1.. {
        let again = left.copy();
        again.fail(Kind::PowerCut, n, false);
        let outcome = open(&again, Arc::clone(keys), OPTIONS, None);
        if let Ok((_, hand)) = &outcome {
            hand.kill();
        }
        if !power_went(&again) {
            break;
        }
        again.mend();
        again.crash(Some(&[]));
        tried.recoveries_cut += 1;
        judge(&again, keys, model, &format!("{at}, recovery cut at {n}"));
    }
}

/// Work goes on behind what was recovered.
fn go_on(disk: &SimDisk, keys: &Arc<Keys>, model: &Model, last: u64, at: &str) {
    let mut model = model.clone();
    model.records.truncate(last as usize);
    model.checkpoints.retain(|(_, end)| *end <= last);
    model.acknowledged = last;
    let mut run = Run::open(disk, keys, model).unwrap();
    assert!(run.append(RecordKind::Answered, small(last + 1)));
    run.drain();
    assert_eq!(run.model.acknowledged, last + 1, "{at}: going on");
    run.die();
    disk.crash(Some(&[]));
    judge(disk, keys, &run.model, &format!("{at}, going on"));
}

/// Starts with something to lose.
fn starts(keys: &Arc<Keys>) -> Vec<(&'static str, SimDisk, Model)> {
    let mut starts = Vec::new();
    let mut begin = |name, ops: &[Op]| {
        let disk = SimDisk::new(1);
        let mut run = Run::open(&disk, keys, Model::default()).unwrap();
        for op in ops {
            run.apply(*op);
            if matches!(op, Op::Append | Op::AppendMany | Op::Checkpoint) {
                run.drain();
            }
        }
        run.die();
        disk.crash(Some(&[]));
        starts.push((name, disk, run.model));
    };
    begin("nothing", &[]);
    begin("two segments", &[Op::Append, Op::AppendMany]);
    begin(
        "a checkpoint behind three segments",
        &[Op::AppendMany, Op::AppendMany, Op::Checkpoint, Op::Append],
    );
    starts
}

/// Plays a history again; None when its last operation comes to nothing. With `cut` the power goes at that operation
/// of the disk, counted from the last operation of the history on.
fn play(
    start: &(&'static str, SimDisk, Model),
    keys: &Arc<Keys>,
    ops: &[Op],
    cut: Option<u64>,
) -> Option<Run> {
    let (_, disk, model) = start;
    let mut run = Run::open(&disk.copy(), keys, model.clone()).unwrap();
    let (last, before) = ops.split_last()?;
    for op in before {
        run.apply(*op);
    }
    if let Some(n) = cut {
        run.disk.fail(Kind::PowerCut, n, false);
    }
    run.apply(*last).then_some(run)
}

/// The moments within the last operation of a history.
fn within(
    start: &(&'static str, SimDisk, Model),
    keys: &Arc<Keys>,
    ops: &[Op],
    name: &str,
    tried: &mut Tried,
) {
    for n in 1.. {
        let Some(cut) = play(start, keys, ops, Some(n)) else {
            break;
        };
        if !power_went(&cut.disk) {
            cut.die();
            break;
        }
        // Whatever is still asked of it: nothing more is acknowledged.
        let _ = cut.journal.append(RecordKind::Answered, &small(1), None);
        cut.journal.commit();
        let _ = (cut.hand.begin(), cut.hand.finish());
        assert_eq!(cut.journal.synced(), cut.model.acknowledged, "{name}: J5");
        cut.die();
        cut.disk.mend();
        let name = format!("{name} cut at {n}");
        cut_off(&cut.disk, keys, &cut.model, &name, tried);
    }
}

/// Histories behind each line that says how far it is.
const PROGRESS: u64 = 250;

/// All histories from one start. Those of four operations: every `one_in`th.
fn every_history(start: usize, one_in: u64) -> Tried {
    let keys = Arc::new(Keys::ephemeral().unwrap());
    let mut tried = Tried::default();
    let start = starts(&keys).swap_remove(start);
    let mut open: Vec<Vec<Op>> = vec![Vec::new()];
    let mut longest = 0;
    while let Some(history) = open.pop() {
        for op in OPS {
            let mut ops = history.clone();
            ops.push(op);
            if ops.len() == OPERATIONS_MAX {
                longest += 1;
                if longest % one_in != 0 {
                    continue;
                }
            }
            let Some(run) = play(&start, &keys, &ops, None) else {
                continue;
            };
            tried.histories += 1;
            if tried.histories.is_multiple_of(PROGRESS) {
                println!("{}: {} histories so far", start.0, tried.histories);
            }
            let name = format!("{}: {ops:?}", start.0);
            run.die();
            if !matches!(op, Op::Append | Op::AppendMany | Op::Checkpoint) {
                // Those change nothing on the disk: what a power cut leaves is what it left before them.
                cut_off(&run.disk, &keys, &run.model, &name, &mut tried);
            }
            within(&start, &keys, &ops, &name, &mut tried);
            if ops.len() < OPERATIONS_MAX {
                open.push(ops);
            }
        }
    }
    println!(
        "{}: {} histories, {} power cuts ({} tore a group), {} recoveries cut",
        start.0, tried.histories, tried.crashes, tried.torn, tried.recoveries_cut
    );
    tried
}

/// `make exhaustive` tries them all.
fn one_in() -> u64 {
    let all = std::env::var_os("TAPSWITCH_EXHAUSTIVE").is_some();
    if all { 1 } else { 8 }
}

#[test]
fn every_short_history_of_a_new_journal_survives_every_power_cut() {
    let tried = every_history(0, one_in());
    assert!(tried.histories > 200 && tried.torn > 300 && tried.recoveries_cut > 100);
}

#[test]
fn every_short_history_behind_two_segments_survives_every_power_cut() {
    let tried = every_history(1, one_in());
    assert!(tried.histories > 200 && tried.torn > 1_000 && tried.recoveries_cut > 100);
}

#[test]
fn every_short_history_behind_a_checkpoint_survives_every_power_cut() {
    let tried = every_history(2, one_in());
    assert!(tried.histories > 200 && tried.torn > 1_000 && tried.recoveries_cut > 100);
}
