//! The journal against real files: reopening, cuts, flips, holes, failures, checkpoints.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::device::{Device, Directory, Store, segment_name};
use super::frame::RECORDS_AT;
use super::scan::{From, scan};
use super::testing::TempDir;
use super::*;

const SMALL: Options = Options {
    segment_bytes: 16_384,
    pending_bytes_max: 1 << 20,
};
const PAN: &[u8] = b"6299000000000005";

fn keys() -> Arc<Keys> {
    Arc::new(Keys::ephemeral().unwrap())
}

fn open(path: &Path, keys: &Arc<Keys>) -> Result<Journal, JournalError> {
    Journal::open(path, Arc::clone(keys), SMALL)
}

fn payload(txn: u64) -> Vec<u8> {
    let mut b = Builder::new();
    b.number(Field::Txn, txn)
        .text(Field::Rrn, &format!("{txn:012}"))
        .number(Field::Amount, txn * 7);
    b.finish().unwrap().to_vec()
}

/// Appends and waits until everything is durable.
fn put(journal: &Journal, txns: impl IntoIterator<Item = u64>) -> u64 {
    let mut last = journal.appended();
    for txn in txns {
        last = journal
            .append(RecordKind::Accepted, &payload(txn), Some(PAN))
            .unwrap();
    }
    journal.commit();
    wait(journal, last);
    last
}

fn wait(journal: &Journal, lsn: u64) {
    let until = Instant::now() + Duration::from_secs(20);
    while journal.synced() < lsn {
        assert!(journal.failure().is_none(), "{:?}", journal.failure());
        assert!(Instant::now() < until, "not durable in time");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// LSN, kind, transaction.
type Seen = (u64, RecordKind, u64);

/// Every record, and how the journal ends.
fn read(path: &Path, keys: &Keys) -> Result<(Vec<Seen>, Report), JournalError> {
    read_store(&Directory::open(path)?, keys)
}

fn read_store(store: &dyn Store, keys: &Keys) -> Result<(Vec<Seen>, Report), JournalError> {
    let mut seen = Vec::new();
    let report = scan(store, keys, From::Oldest, u64::MAX, false, &mut |record| {
        if record.kind == RecordKind::Accepted {
            assert_eq!(record.pan().unwrap().as_slice(), PAN);
        }
        seen.push((
            record.lsn,
            record.kind,
            record.fields.number_or_0(Field::Txn),
        ));
        Ok(())
    })?;
    Ok((seen, report))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            continue;
        }
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn file(path: &Path, index: u64) -> std::path::PathBuf {
    path.join(segment_name(index))
}

#[test]
fn records_come_back_in_order_over_segments_and_starts() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    assert_eq!(put(&journal, 1..=200), 200);
    journal.close();
    journal.close();
    let journal = open(dir.path(), &keys).unwrap();
    assert_eq!(journal.found().last_lsn, 201);
    assert_eq!(put(&journal, 300..=310), 212);
    let mut replayed = Vec::new();
    journal
        .replay(&mut |r| {
            replayed.push(r.lsn);
            Ok(())
        })
        .unwrap();
    assert_eq!(replayed, (1..=201).collect::<Vec<_>>());
    drop(journal);
    let (seen, report) = read(dir.path(), &keys).unwrap();
    assert_eq!(
        seen.iter().map(|r| r.0).collect::<Vec<_>>(),
        (1..=212).collect::<Vec<_>>()
    );
    assert_eq!(seen[200].1, RecordKind::Stopped);
    assert_eq!(seen[211], (212, RecordKind::Accepted, 310));
    assert!(report.segments > 3 && report.torn.is_none(), "{report:?}");
}

#[test]
fn a_second_process_is_refused_and_told_which() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    let error = open(dir.path(), &keys).err().unwrap();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    assert!(
        error.to_string().contains(&std::process::id().to_string()),
        "{error}"
    );
    journal.close();
    assert!(open(dir.path(), &keys).is_ok());
}

#[test]
fn another_key_and_a_missing_segment_are_refused() {
    let (dir, right) = (TempDir::new(), keys());
    put(&open(dir.path(), &right).unwrap(), 1..=200);
    let error = open(dir.path(), &keys()).err().unwrap();
    assert!(
        matches!(
            error,
            JournalError::WrongKey {
                which: "journal",
                ..
            }
        ),
        "{error}"
    );
    for index in [1, 2] {
        let moved = dir.path().join("moved");
        std::fs::rename(file(dir.path(), index), &moved).unwrap();
        let error = open(dir.path(), &right).err().unwrap();
        assert!(error.to_string().contains("missing"), "{error}");
        assert_eq!(error.file(), file(dir.path(), index).display().to_string());
        std::fs::rename(&moved, file(dir.path(), index)).unwrap();
    }
    assert!(open(dir.path(), &right).is_ok());
}

/// A journal of one segment: group one of two records, group two of three; with the end of each record.
fn two_groups(dir: &Path, keys: &Arc<Keys>) -> (Vec<u8>, Vec<usize>) {
    let journal = open(dir, keys).unwrap();
    put(&journal, 1..=2);
    put(&journal, 3..=5);
    drop(journal);
    let store = Directory::open(dir).unwrap();
    let mut starts = Vec::new();
    let report = scan(&store, keys, From::Oldest, u64::MAX, false, &mut |r| {
        starts.push(r.place.offset as usize);
        Ok(())
    })
    .unwrap();
    starts.push(report.last_end as usize);
    (std::fs::read(file(dir, 1)).unwrap(), starts)
}

#[test]
fn a_tail_cut_at_any_byte_leaves_the_longest_valid_prefix() {
    let (dir, keys) = (TempDir::new(), keys());
    let (whole, ends) = two_groups(dir.path(), &keys);
    for zeroed in [false, true] {
        for cut in ends[2]..=ends[5] {
            let mut bytes = whole.clone();
            if zeroed {
                bytes[cut..].fill(0);
            } else {
                bytes.truncate(cut);
            }
            let store = Arc::new(FaultyStore::copy_of(dir.path()));
            store.replace(1, &bytes);
            let expected = ends[1..].iter().filter(|end| **end <= cut).count() as u64;
            let start = || {
                let store = Arc::clone(&store) as Arc<dyn Store>;
                Journal::start(store, Arc::clone(&keys), SMALL, None).unwrap()
            };
            let journal = start();
            assert_eq!(journal.found().last_lsn, expected, "cut at {cut}");
            assert_eq!(
                journal.found().torn.is_some(),
                !ends.contains(&cut),
                "cut at {cut}"
            );
            // It goes on, and recovering again gives the same.
            assert_eq!(put(&journal, [77]), expected + 1);
            drop(journal);
            let (seen, _) = read_store(&*store, &keys).unwrap();
            assert_eq!(seen.len() as u64, expected + 1);
            assert_eq!(seen.last().unwrap().2, 77);
            assert_eq!(start().found().last_lsn, expected + 1);
        }
    }
}

#[test]
fn any_flipped_byte_is_refused_or_changes_nothing_that_was_durable() {
    let (dir, keys) = (TempDir::new(), keys());
    let (whole, ends) = two_groups(dir.path(), &keys);
    let (sound, _) = read(dir.path(), &keys).unwrap();
    let store = FaultyStore::copy_of(dir.path());
    let mut refused = 0;
    for at in 0..ends[5] + 64 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        store.replace(1, &bytes);
        match read_store(&store, &keys) {
            Err(error) => {
                refused += 1;
                assert!(at < ends[4], "byte {at}: {error}");
                assert!(
                    matches!(error, JournalError::Damaged { .. }),
                    "byte {at}: {error}"
                );
                assert!(!error.remedy().is_empty() && error.file().ends_with(".seg"));
            }
            Ok((seen, report)) => {
                // Only the very last record may be taken for a torn write; nothing is ever changed.
                assert!(at >= ends[4], "byte {at} was not noticed");
                let kept = if at < ends[5] { 4 } else { 5 };
                assert_eq!(seen, sound[..kept]);
                assert!(report.torn.is_some());
            }
        }
    }
    assert_eq!(refused, ends[4]);
}

#[test]
fn flips_in_a_closed_journal_are_noticed_up_to_its_stop_record() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    put(&journal, 1..=3);
    journal.close();
    drop(journal);
    let (_, report) = read(dir.path(), &keys).unwrap();
    // Started again: the next segment says where this one ended, so even its last byte counts.
    put(&open(dir.path(), &keys).unwrap(), [9]);
    let whole = std::fs::read(file(dir.path(), 1)).unwrap();
    let store = FaultyStore::copy_of(dir.path());
    for at in 0..report.last_end as usize {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x01;
        store.replace(1, &bytes);
        let error = read_store(&store, &keys).expect_err("not noticed");
        assert_eq!(error.file(), store.place(&segment_name(1)));
    }
}

#[test]
fn sectors_lost_from_the_last_group_are_cut_and_from_an_older_one_refused() {
    let (dir, keys) = (TempDir::new(), keys());
    let origin = dir.path().join("a");
    let journal = open(&origin, &keys).unwrap();
    put(&journal, 1..=9);
    put(&journal, 10..=39);
    drop(journal);
    let store = Directory::open(&origin).unwrap();
    let mut starts = Vec::new();
    let report = scan(&store, &keys, From::Oldest, u64::MAX, false, &mut |r| {
        starts.push(r.place.offset as usize);
        Ok(())
    })
    .unwrap();
    let (group, end) = (starts[9], report.last_end as usize);
    let whole = std::fs::read(file(&origin, 1)).unwrap();
    let path = dir.path().join("b");
    copy(&origin, &path);
    let mut torn = 0;
    for sector in (RECORDS_AT as usize..end).step_by(512) {
        let mut bytes = whole.clone();
        // A sector of an unsynced write keeps what it held: zeros, or the end of the group before.
        let from = if sector < group && group < sector + 512 {
            group
        } else {
            sector
        };
        bytes[from..sector + 512].fill(0);
        std::fs::write(file(&path, 1), &bytes).unwrap();
        let outcome = read(&path, &keys);
        if from < group {
            assert!(
                matches!(outcome, Err(JournalError::Damaged { .. })),
                "sector {sector}"
            );
        } else {
            let (seen, report) = outcome.unwrap();
            assert!(
                seen.len() >= 9 && seen.len() < 39 && report.torn.is_some(),
                "sector {sector}"
            );
            torn += 1;
        }
    }
    assert!(torn > 3);
}

#[test]
fn a_first_group_that_never_became_durable_is_cut() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    put(&journal, 1..=2);
    drop(journal);
    let journal = open(dir.path(), &keys).unwrap();
    put(&journal, 3..=6);
    drop(journal);
    let whole = std::fs::read(file(dir.path(), 2)).unwrap();
    // The link was lost, some of its records not; then the records, the link not.
    for (lost, kept) in [(4096..8192, 2), (8192..16_384, 2), (4096..16_384, 2)] {
        let mut bytes = whole.clone();
        bytes[lost.clone()].fill(0);
        std::fs::write(file(dir.path(), 2), &bytes).unwrap();
        let (seen, report) = read(dir.path(), &keys).unwrap();
        assert_eq!(seen.len(), kept, "{lost:?} {report:?}");
    }
    // A link that is there and wrong is damage: a block of one sector is written or it is not.
    let mut bytes = whole.clone();
    bytes[4100] ^= 1;
    std::fs::write(file(dir.path(), 2), &bytes).unwrap();
    assert!(matches!(
        read(dir.path(), &keys),
        Err(JournalError::Damaged { .. })
    ));
    // And when a later group stands behind, a lost link is damage too.
    std::fs::write(file(dir.path(), 2), &whole).unwrap();
    put(&open(dir.path(), &keys).unwrap(), [7]);
    let mut bytes = whole;
    bytes[4096..8192].fill(0);
    std::fs::write(file(dir.path(), 2), &bytes).unwrap();
    assert!(matches!(
        read(dir.path(), &keys),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn an_interrupted_preparation_and_a_torn_spare_are_swept() {
    let (dir, keys) = (TempDir::new(), keys());
    put(&open(dir.path(), &keys).unwrap(), 1..=2);
    std::fs::write(dir.path().join("0000000009.seg.part"), b"half").unwrap();
    for _ in 0..3 {
        let journal = open(dir.path(), &keys).unwrap();
        assert_eq!(journal.found().last_lsn, 2);
    }
    assert!(!dir.path().join("0000000009.seg.part").exists());
    // Starts without records use up no segments.
    assert!(std::fs::read_dir(dir.path()).unwrap().count() <= 4);
}

#[test]
fn a_checkpoint_lets_old_segments_go() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    put(&journal, 1..=200);
    assert_eq!(journal.delete_covered(i64::MAX).unwrap(), 0);
    let live = [payload(199), payload(200)];
    let end = journal
        .checkpoint(
            live.iter()
                .map(|p| (RecordKind::Accepted, p.as_slice(), Some(PAN))),
        )
        .unwrap();
    wait(&journal, end);
    assert_eq!(
        journal.delete_covered(0).unwrap(),
        0,
        "nothing is older than 1970"
    );
    let deleted = journal.delete_covered(i64::MAX).unwrap();
    assert!(deleted > 2);
    put(&journal, 201..=203);
    drop(journal);

    for _ in 0..2 {
        let journal = open(dir.path(), &keys).unwrap();
        let mut seen = Vec::new();
        journal
            .replay(&mut |r| {
                seen.push((r.kind, r.carried, r.fields.number_or_0(Field::Txn)));
                Ok(())
            })
            .unwrap();
        use RecordKind::{Accepted, Checkpoint};
        assert_eq!(
            seen[..5],
            [
                (Checkpoint, false, 0),
                (Accepted, true, 199),
                (Accepted, true, 200),
                (Checkpoint, false, 0),
                (Accepted, false, 201),
            ]
        );
    }
    // The segment with the checkpoint is needed now.
    let oldest = (1..).find(|i| file(dir.path(), *i).exists()).unwrap();
    std::fs::remove_file(file(dir.path(), oldest)).unwrap();
    assert!(open(dir.path(), &keys).is_err());
}

#[test]
fn a_checkpoint_over_several_segments_counts_only_when_it_is_complete() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    put(&journal, 1..=150);
    let begin = journal.checkpoint_begin().unwrap();
    for txn in 1..=150 {
        journal
            .checkpoint_carry(RecordKind::Accepted, &payload(txn), Some(PAN))
            .unwrap();
        if txn % 40 == 0 {
            put(&journal, [1000 + txn]);
        }
    }
    journal.commit();
    wait(&journal, journal.appended());
    assert_eq!(journal.delete_covered(i64::MAX).unwrap(), 0);
    let first = |path: &Path| {
        let store = Directory::open(path).unwrap();
        let mut first = None;
        scan(&store, &keys, From::Checkpoint, u64::MAX, false, &mut |r| {
            first.get_or_insert(r.lsn);
            Ok(())
        })
        .unwrap();
        first.unwrap()
    };
    let copied = dir.path().join("incomplete");
    copy(dir.path(), &copied);
    assert_eq!(first(&copied), 1);
    journal.checkpoint_end(begin, begin, 150).unwrap();
    journal.commit();
    wait(&journal, journal.appended());
    put(&journal, 2000..=2100);
    assert!(journal.delete_covered(i64::MAX).unwrap() > 0);
    drop(journal);
    assert_eq!(first(dir.path()), begin);
    // The end of a process ends its unfinished checkpoint: a later end record of another one does not complete it.
    let journal = open(&copied, &keys).unwrap();
    journal.checkpoint_end(begin, begin, 150).unwrap();
    journal.commit();
    wait(&journal, journal.appended());
    assert_eq!(journal.delete_covered(i64::MAX).unwrap(), 0);
}

#[test]
fn a_replay_starts_where_the_checkpoint_says() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    put(&journal, 1..=300);
    let begin = journal.checkpoint_begin().unwrap();
    assert!(journal.checkpoint_end(begin, begin + 1, 0).is_err());
    let from = 170;
    journal.checkpoint_end(begin, from, 0).unwrap();
    put(&journal, 301..=400);
    assert!(journal.delete_covered(i64::MAX).unwrap() > 0);
    drop(journal);
    for _ in 0..2 {
        let journal = open(dir.path(), &keys).unwrap();
        let mut lsns = Vec::new();
        let report = journal
            .replay(&mut |r| {
                lsns.push(r.lsn);
                Ok(())
            })
            .unwrap();
        assert_eq!((lsns[0], lsns.len() as u64), (from, report.records));
        assert_eq!(lsns.last(), Some(&journal.found().last_lsn));
        put(&journal, [1]);
    }
}

#[test]
fn limits_are_named() {
    let (dir, keys) = (TempDir::new(), keys());
    let options = Options {
        pending_bytes_max: 300,
        ..SMALL
    };
    let journal = Journal::open(dir.path(), Arc::clone(&keys), options).unwrap();
    let mut taken = 0;
    let error = loop {
        match journal.append(RecordKind::Answered, &payload(1), None) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(
        taken > 2 && matches!(error, JournalError::PendingFull { limit: 300, .. }),
        "{error}"
    );
    assert!(
        journal
            .append(RecordKind::Answered, &[0; 5000], None)
            .is_err()
    );
    let error = journal
        .append(RecordKind::Accepted, b"", Some(b"4111x"))
        .unwrap_err();
    assert!(!error.to_string().contains("4111"));
    journal.commit();
    wait(&journal, taken);
    assert!(
        journal
            .append(RecordKind::Answered, &payload(1), None)
            .is_ok()
    );
    assert!(
        Journal::open(
            dir.path(),
            keys,
            Options {
                segment_bytes: 100,
                ..SMALL
            }
        )
        .is_err()
    );
}

#[test]
fn close_writes_what_was_appended_without_commit() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    for txn in 1..=10 {
        journal
            .append(RecordKind::Accepted, &payload(txn), Some(PAN))
            .unwrap();
    }
    journal.close();
    assert_eq!(journal.synced(), 11);
    assert!(matches!(
        journal.append(RecordKind::Answered, &payload(1), None),
        Err(JournalError::Stopped { .. })
    ));
    drop(journal);
    assert_eq!(read(dir.path(), &keys).unwrap().0.len(), 11);
}

#[test]
fn the_eventfd_is_signalled_once_until_acknowledged() {
    let (dir, keys) = (TempDir::new(), keys());
    let journal = open(dir.path(), &keys).unwrap();
    put(&journal, [1]);
    put(&journal, [2]);
    std::thread::sleep(Duration::from_millis(20));
    let mut count = [0; 8];
    let event = crate::buf::duplicate(journal.fileno()).unwrap();
    io::Read::read_exact(&mut &event, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);
    assert_eq!(journal.acknowledge(), 2);
    put(&journal, [3]);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(journal.acknowledge(), 3);
    assert_eq!(journal.acknowledge(), 3);
}

/// A disk in memory whose n-th write, sync or creation fails.
#[derive(Default)]
struct FaultyStore {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    calls: Arc<AtomicU64>,
    fail_at: u64,
    no_room: Mutex<bool>,
}

struct FaultyDevice {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    name: String,
    calls: Arc<AtomicU64>,
    fail_at: u64,
}

impl FaultyStore {
    /// The segments of a directory, in memory.
    fn copy_of(path: &Path) -> FaultyStore {
        let store = FaultyStore::default();
        for name in Directory::open(path).unwrap().list().unwrap() {
            let bytes = std::fs::read(path.join(&name)).unwrap();
            store.files.lock().unwrap().insert(name, bytes);
        }
        store
    }

    fn replace(&self, index: u64, bytes: &[u8]) {
        self.files
            .lock()
            .unwrap()
            .insert(segment_name(index), bytes.to_vec());
    }
}

impl Device for FaultyDevice {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let files = self.files.lock().unwrap();
        let bytes = files.get(&self.name).unwrap();
        let from = (offset as usize).min(bytes.len());
        let n = out.len().min(bytes.len() - from);
        out[..n].copy_from_slice(&bytes[from..from + n]);
        Ok(n)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let mut files = self.files.lock().unwrap();
        let file = files.get_mut(&self.name).unwrap();
        let written = if call == self.fail_at {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        file[offset as usize..offset as usize + written].copy_from_slice(&bytes[..written]);
        if written < bytes.len() {
            Err(io::Error::other("injected"))
        } else {
            Ok(())
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if call == self.fail_at {
            Err(io::Error::other("injected"))
        } else {
            Ok(())
        }
    }
}

impl Store for FaultyStore {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Box<dyn Device>> {
        Ok(Box::new(FaultyDevice {
            files: Arc::clone(&self.files),
            name: name.to_owned(),
            calls: Arc::clone(&self.calls),
            fail_at: self.fail_at,
        }))
    }

    fn create(
        &self,
        name: &str,
        bytes: u64,
        head: &[u8],
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()> {
        if *self.no_room.lock().unwrap() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if !pace(0) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut whole = vec![0; bytes as usize];
        whole[..head.len()].copy_from_slice(head);
        self.files.lock().unwrap().insert(name.to_owned(), whole);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().unwrap().remove(name);
        Ok(())
    }

    fn place(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

#[test]
fn the_first_failed_write_or_sync_stops_everything() {
    fail_every_call(Journal::commit);
}

#[test]
fn the_first_failure_on_the_callers_own_thread_stops_everything() {
    fail_every_call(|journal| {
        journal.commit_here();
    });
}

fn fail_every_call(commit: impl Fn(&Journal)) {
    let keys = keys();
    // Fail the n-th call for n = 1, 2, 3 … until a run ends without a failure.
    for n in 1.. {
        let store = Arc::new(FaultyStore {
            fail_at: n,
            ..FaultyStore::default()
        });
        let journal = Journal::start(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&keys),
            SMALL,
            None,
        )
        .unwrap();
        let mut acknowledged = 0;
        for txn in 1..=120 {
            let Ok(lsn) = journal.append(RecordKind::Answered, &payload(txn), None) else {
                break;
            };
            commit(&journal);
            while journal.synced() < lsn && journal.failure().is_none() {
                std::thread::yield_now();
            }
            acknowledged = journal.synced();
        }
        let failed = journal.failure();
        if failed.is_some() {
            let stuck = journal.synced();
            assert!(
                journal
                    .append(RecordKind::Answered, &payload(1), None)
                    .is_err()
            );
            commit(&journal);
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!((journal.synced(), stuck), (acknowledged, acknowledged));
            assert!(failed.clone().unwrap().contains("injected"), "{failed:?}");
            // Told through the eventfd, whatever was read from it before.
            let mut told = journal.acknowledge();
            told = told.max(journal.acknowledge());
            assert_eq!(told, acknowledged);
        }
        journal.close();
        drop(journal);
        // What was acknowledged is there; a failed sync may have left more.
        let healed = FaultyStore {
            files: Arc::clone(&store.files),
            ..FaultyStore::default()
        };
        let report = scan(&healed, &keys, From::Oldest, u64::MAX, false, &mut |_| {
            Ok(())
        })
        .unwrap();
        assert!(report.last_lsn >= acknowledged, "call {n}");
        if failed.is_none() {
            assert!(n > 200, "the sweep ended at call {n}");
            break;
        }
    }
}

#[test]
fn a_small_group_is_durable_when_commit_here_returns() {
    let dir = TempDir::new();
    let keys = keys();
    let journal = open(dir.path(), &keys).unwrap();
    let (mut here, mut last) = (0, 0);
    for txn in 1..=40 {
        last = journal
            .append(RecordKind::Accepted, &payload(txn), Some(PAN))
            .unwrap();
        if journal.commit_here() {
            assert_eq!(journal.synced(), last);
            here += 1;
        }
        wait(&journal, last);
    }
    assert!(
        here > 0,
        "the disk was never quick, or the policy never taken"
    );
    assert!(!journal.commit_here(), "nothing is pending");
    // Far more than a tick's worth: the thread's.
    for txn in 41..=400 {
        last = journal
            .append(RecordKind::Accepted, &payload(txn), Some(PAN))
            .unwrap();
    }
    assert!(!journal.commit_here());
    wait(&journal, last);
    journal.close();
    assert!(!journal.commit_here(), "closed");
}

#[test]
fn both_policies_together_keep_the_order_of_records() {
    let dir = TempDir::new();
    let keys = keys();
    let journal = open(dir.path(), &keys).unwrap();
    let mut last = 0;
    for txn in 1..=3_000u64 {
        last = journal
            .append(RecordKind::Accepted, &payload(txn), Some(PAN))
            .unwrap();
        // A pattern without a period of its own: some ticks of one record, some of many.
        match txn.wrapping_mul(0x9E37_79B9) % 7 {
            0 | 1 => journal.commit(),
            2..=4 => {
                journal.commit_here();
            }
            _ => {}
        }
    }
    journal.commit();
    wait(&journal, last);
    journal.close();
    let (seen, report) = read(dir.path(), &keys).unwrap();
    let txns: Vec<u64> = seen
        .iter()
        .filter(|(_, kind, _)| *kind == RecordKind::Accepted)
        .map(|(_, _, txn)| *txn)
        .collect();
    assert_eq!(txns, (1..=3_000).collect::<Vec<_>>());
    assert_eq!(report.last_lsn, last + 1);
}

#[test]
fn without_room_new_work_is_refused_before_old_work_is() {
    let keys = keys();
    let store = Arc::new(FaultyStore::default());
    let journal = Journal::start(
        Arc::clone(&store) as Arc<dyn Store>,
        Arc::clone(&keys),
        SMALL,
        None,
    )
    .unwrap();
    *store.no_room.lock().unwrap() = true;
    let until = Instant::now() + Duration::from_secs(30);
    let durable = |within: Duration| {
        journal.commit();
        let lsn = journal.appended();
        let give_up = Instant::now() + within;
        while journal.synced() < lsn && Instant::now() < give_up {
            assert_eq!(journal.failure(), None);
            std::thread::sleep(Duration::from_micros(200));
        }
        journal.synced() >= lsn
    };
    // The one spare that may have been made is used up first.
    let refused = loop {
        assert!(Instant::now() < until);
        if journal.shortage().is_none() {
            // A segment this small fills before the preparer has even tried.
            std::thread::sleep(Duration::from_millis(5));
        }
        match journal.append(RecordKind::Accepted, &payload(1), Some(PAN)) {
            Ok(_) => assert!(durable(Duration::from_secs(10))),
            Err(JournalError::NoRoom { reason }) => break reason,
            Err(other) => unreachable!("{other}"),
        }
    };
    assert!(!refused.is_empty());
    for kind in [RecordKind::Declined, RecordKind::AtcWindows] {
        let refused = journal.append(kind, &payload(1), None);
        assert!(matches!(refused, Err(JournalError::NoRoom { .. })));
    }
    assert!(matches!(
        journal.checkpoint_begin(),
        Err(JournalError::NoRoom { .. })
    ));
    // What was begun goes on in the room that was kept, and when that is used too the writer waits.
    let mut answered = 0;
    while {
        journal
            .append(RecordKind::Answered, &payload(1), None)
            .unwrap();
        durable(Duration::from_millis(300))
    } {
        answered += 1;
        assert!(Instant::now() < until);
    }
    assert!(answered > 5, "{answered}");
    assert!(journal.shortage().is_some());
    let refused = journal.append(RecordKind::Accepted, &payload(1), Some(PAN));
    assert!(matches!(refused, Err(JournalError::NoRoom { .. })));
    // Room again: it goes on by itself, with all that waited.
    *store.no_room.lock().unwrap() = false;
    assert!(durable(Duration::from_secs(20)));
    put(&journal, 1..=300);
    let last = journal.appended();
    journal.close();
    drop(journal);
    let report = scan(&*store, &keys, From::Oldest, u64::MAX, false, &mut |_| {
        Ok(())
    })
    .unwrap();
    assert_eq!(report.last_lsn, last + 1);
    assert!(report.torn.is_none());
}

#[test]
fn a_journal_that_waits_for_room_can_be_closed_and_none_starts_without() {
    let keys = keys();
    let store = Arc::new(FaultyStore::default());
    let start = || {
        Journal::start(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&keys),
            SMALL,
            None,
        )
    };
    let journal = start().unwrap();
    *store.no_room.lock().unwrap() = true;
    let began = Instant::now();
    let mut synced = journal.synced();
    loop {
        journal
            .append(RecordKind::Answered, &payload(1), None)
            .unwrap();
        journal.commit();
        std::thread::sleep(Duration::from_millis(1));
        let stands = journal.shortage().is_some() && journal.synced() == synced;
        if stands && journal.appended() > synced + 200 {
            break;
        }
        synced = journal.synced();
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    let synced = journal.synced();
    journal.close();
    assert_eq!(journal.synced(), synced);
    assert!(journal.failure().unwrap().contains("no room"));
    drop(journal);
    assert!(matches!(start(), Err(JournalError::NoRoom { .. })));
    *store.no_room.lock().unwrap() = false;
    let journal = start().unwrap();
    assert_eq!(journal.found().last_lsn, synced);
    put(&journal, [1]);
}

#[test]
fn room_that_comes_back_ends_the_shortage() {
    let store = Arc::new(FaultyStore::default());
    let journal =
        Journal::start(Arc::clone(&store) as Arc<dyn Store>, keys(), SMALL, None).unwrap();
    *store.no_room.lock().unwrap() = true;
    let until = Instant::now() + Duration::from_secs(20);
    let mut txn = 0;
    while journal.shortage().is_none() {
        assert!(Instant::now() < until);
        txn += 1;
        put(&journal, [txn]);
    }
    *store.no_room.lock().unwrap() = false;
    while journal.shortage().is_some() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
    put(&journal, txn..txn + 300);
}

#[test]
fn appends_from_many_threads_are_dense() {
    let (dir, keys) = (TempDir::new(), keys());
    let options = Options {
        segment_bytes: 256 << 10,
        pending_bytes_max: 1 << 20,
    };
    let journal = Arc::new(Journal::open(dir.path(), Arc::clone(&keys), options).unwrap());
    let threads: Vec<_> = (0..4u64)
        .map(|t| {
            let journal = Arc::clone(&journal);
            std::thread::spawn(move || {
                for i in 0..1_000 {
                    let payload = payload(t * 1_000 + i);
                    while journal
                        .append(RecordKind::Answered, &payload, None)
                        .is_err()
                    {
                        std::thread::yield_now();
                    }
                    journal.commit();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    journal.close();
    drop(journal);
    let (seen, _) = read(dir.path(), &keys).unwrap();
    assert_eq!(seen.len(), 4_001);
    let mut txns: Vec<u64> = seen.iter().take(4_000).map(|r| r.2).collect();
    txns.sort_unstable();
    assert_eq!(txns, (0..4_000).collect::<Vec<_>>());
}
