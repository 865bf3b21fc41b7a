//! What a bad disk does to a journal at rest or behind its back: noticed, or without effect; never wrong data, never a
//! silent loss of what durable records stand behind.
//!
//! Two losses no journal can notice by itself, and these tests say so: the last record of all when its bytes are
//! damaged (it looks like one that was never finished), and the end of the last segment when the disk gives back an
//! older copy of it or loses the very last write. Whoever was told of those records can notice; that is what a second
//! copy is for.

use std::sync::Arc;

use super::disk::SimDisk;
use super::faults::{KINDS, Kind};
use super::pump::{Cranked, Hand, open};
use crate::journal::device::{segment_index, segment_name};
use crate::journal::scan::{scan, tail};
use crate::journal::survey::survey;
use crate::journal::{Builder, Field, From, Journal, JournalError, Keys, Options, RecordKind};

const OPTIONS: Options = Options {
    segment_bytes: 16_384,
    pending_bytes_max: 64 << 10,
};

fn payload(number: u64) -> Vec<u8> {
    let mut b = Builder::new();
    b.number(Field::Txn, number)
        .text(Field::Rrn, &format!("{number:012}"))
        .text(Field::TerminalId, "LANE0001")
        .text(Field::MerchantId, "MERCHANT0000001")
        .number(Field::Amount, number * 100);
    b.finish().unwrap().to_vec()
}

/// Appends a group; true when it is durable.
fn group(journal: &Journal, hand: &Hand, records: u64) -> bool {
    let mut lsn = journal.appended();
    for _ in 0..records {
        match journal.append(RecordKind::Answered, &payload(lsn + 1), None) {
            Ok(next) => lsn = next,
            Err(_) => return false,
        }
    }
    journal.commit();
    while hand.waiting() {
        if hand.begin() == Cranked::Stalled {
            let _ = hand.prepare();
        }
        hand.finish();
    }
    journal.synced() == lsn
}

/// Groups of these sizes on a new disk, with a start at each 0; with where every record stands, and ends.
struct Written {
    disk: SimDisk,
    keys: Arc<Keys>,
    /// Segment, offset and end of each record.
    places: Vec<(u64, usize, usize)>,
}

fn written(groups: &[u64]) -> Written {
    let (disk, keys) = (SimDisk::new(1), Arc::new(Keys::ephemeral().unwrap()));
    let mut at = open(&disk, Arc::clone(&keys), OPTIONS, None).unwrap();
    for records in groups {
        if *records == 0 {
            at.1.kill();
            disk.crash(Some(&[]));
            at = open(&disk, Arc::clone(&keys), OPTIONS, None).unwrap();
        } else {
            assert!(group(&at.0, &at.1, *records));
        }
    }
    at.1.kill();
    disk.crash(Some(&[]));
    let mut places: Vec<(u64, usize, usize)> = Vec::new();
    let report = scan(
        &*disk.mount(),
        &keys,
        From::Oldest,
        u64::MAX,
        false,
        &mut |r| {
            let at = r.place.offset as usize;
            if let Some(before) = places.last_mut().filter(|p| p.0 == r.place.segment) {
                before.2 = at;
            }
            places.push((r.place.segment, at, at + 1));
            Ok(())
        },
    );
    let end = report.unwrap().last_end as usize;
    places.last_mut().unwrap().2 = end;
    Written { disk, keys, places }
}

/// How many records are read, each as it was written. That the oldest is missing is told at the end.
fn read(disk: &SimDisk, keys: &Keys) -> Result<u64, JournalError> {
    let (mut count, mut wrong) = (0, None);
    scan(
        &*disk.mount(),
        keys,
        From::Oldest,
        u64::MAX,
        false,
        &mut |r| {
            count += 1;
            if r.lsn != count || r.fields.payload() != payload(count) {
                wrong.get_or_insert(r.lsn);
            }
            Ok(())
        },
    )?;
    assert_eq!(wrong, None, "wrong data");
    Ok(count)
}

#[test]
fn every_flipped_byte_is_refused_or_changes_nothing() {
    let w = written(&[1, 2, 0, 1, 3, 2]);
    let (all, last) = (w.places.len() as u64, *w.places.last().unwrap());
    let closed = w.places.iter().rev().find(|p| p.0 == 1).unwrap().1;
    let mut refused = 0;
    for segment in [1, 2] {
        let name = segment_name(segment);
        let used = if segment == 1 { closed } else { last.2 };
        for at in 0..OPTIONS.segment_bytes as usize {
            // Far behind the end one byte is as good as the next.
            if at > used + 600 && at % 61 != 0 {
                continue;
            }
            for mask in [0x01, 0x80, 0xff] {
                assert!(w.disk.flip(&name, at, mask));
                let outcome = read(&w.disk, &w.keys);
                assert!(w.disk.flip(&name, at, mask));
                match outcome {
                    Err(JournalError::Damaged { file, .. }) => {
                        assert!(file.ends_with(&name), "{file} for {name}");
                        assert!(at < last.1 || segment == 1, "{name} byte {at} was nobody's");
                        refused += 1;
                    }
                    Err(error) => panic!("{name} byte {at}: {error}"),
                    Ok(count) if segment == 2 && (last.1..last.2).contains(&at) => {
                        assert_eq!(count, all - 1, "{name} byte {at}");
                    }
                    Ok(count) => {
                        assert_eq!(count, all, "{name} byte {at}");
                        assert!(at >= used, "{name} byte {at} was not noticed");
                    }
                }
            }
        }
    }
    assert!(refused > 3 * (closed + last.1 - 100), "{refused}");
}

#[test]
fn every_subset_of_the_sectors_of_the_last_group_leaves_a_prefix() {
    let w = written(&[2, 3]);
    let (journal, hand) = open(&w.disk, Arc::clone(&w.keys), OPTIONS, None).unwrap();
    for n in 0..30 {
        journal
            .append(RecordKind::Answered, &payload(6 + n), None)
            .unwrap();
    }
    journal.commit();
    hand.begin();
    let stake = w.disk.at_stake();
    assert!((6..=11).contains(&stake.len()), "{}", stake.len());
    let (mut whole, mut torn) = (0, 0);
    for mask in 0..1u32 << stake.len() {
        let kept = stake.iter().enumerate();
        let kept: Vec<_> = kept
            .filter(|(n, _)| mask >> n & 1 == 1)
            .map(|(_, s)| s.clone())
            .collect();
        let left = w.disk.copy();
        left.crash(Some(&kept));
        let count = read(&left, &w.keys).unwrap_or_else(|e| panic!("kept {kept:?}: {e}"));
        assert!((5..=35).contains(&count), "kept {kept:?}: {count}");
        whole += u32::from(count == 35);
        torn += u32::from(count > 5 && count < 35);
    }
    assert!(whole == 1 && torn > 0, "{whole} {torn}");
}

#[test]
fn every_cut_of_the_last_group_leaves_its_longest_prefix() {
    let w = written(&[2, 4]);
    let name = segment_name(1);
    let bytes = w.disk.durable(&name).unwrap();
    for cut in w.places[2].1..=w.places[5].2 {
        let whole = w.places.iter().filter(|p| p.2 <= cut).count() as u64;
        let disk = w.disk.copy();
        disk.replace(&name, &bytes[..cut]);
        assert_eq!(read(&disk, &w.keys), Ok(whole), "shortened at {cut}");
        let mut zeroed = bytes.clone();
        zeroed[cut..].fill(0);
        disk.replace(&name, &zeroed);
        assert_eq!(read(&disk, &w.keys), Ok(whole), "zero from {cut}");
    }
}

#[test]
fn an_error_in_recovery_refuses_and_changes_no_record() {
    let w = written(&[1, 60, 60, 0, 3, 2]);
    let all = w.places.len() as u64;
    let mut met = 0;
    // Those of which nobody is told at the time have tests of their own.
    let silent = [Kind::LostWrite, Kind::MisdirectedWrite, Kind::FlippedBit];
    for (kind, _) in KINDS.iter().filter(|(kind, _)| !silent.contains(kind)) {
        for n in 1.. {
            let disk = w.disk.copy();
            disk.fail(*kind, n, false);
            let outcome = open(&disk, Arc::clone(&w.keys), OPTIONS, None);
            let struck = disk.counts().iter().any(|(what, _)| *what == kind.name());
            if let Ok((journal, hand)) = &outcome {
                assert_eq!(journal.synced(), all);
                hand.kill();
            }
            disk.mend();
            disk.crash(None);
            assert_eq!(read(&disk, &w.keys), Ok(all), "{kind:?} {n}");
            if !struck {
                break;
            }
            met += 1;
            let told = outcome.err().map(|error| error.to_string());
            assert!(told.is_some_and(|text| !text.is_empty()), "{kind:?} {n}");
        }
    }
    assert!(met >= 8, "{met}");
}

/// A file of before: name and bytes.
type Version = (String, Vec<u8>);

/// Eight groups on a new disk, and the durable image of every file before each of them.
fn with_versions() -> (SimDisk, Arc<Keys>, Vec<Version>) {
    let (disk, keys) = (SimDisk::new(1), Arc::new(Keys::ephemeral().unwrap()));
    let (journal, hand) = open(&disk, Arc::clone(&keys), OPTIONS, None).unwrap();
    let mut versions: Vec<(String, Vec<u8>)> = Vec::new();
    for records in [1, 3, 20, 40, 40, 2, 5, 1] {
        for (name, _) in disk.files() {
            let bytes = disk.durable(&name).unwrap();
            versions.push((name, bytes));
        }
        assert!(group(&journal, &hand, records));
    }
    hand.kill();
    disk.crash(Some(&[]));
    (disk, keys, versions)
}

#[test]
fn a_segment_that_is_missing_or_older_is_noticed_unless_it_is_the_last() {
    let (disk, keys, versions) = with_versions();
    let all = read(&disk, &keys).unwrap();
    let newest = tail(
        &*disk.mount(),
        &keys,
        &survey(&*disk.mount(), &keys).unwrap(),
        false,
    );
    let newest = newest.unwrap().last_index;
    for (name, _) in disk.files() {
        let left = disk.copy();
        assert!(left.delete(&name));
        let index = segment_index(&name).unwrap();
        match read(&left, &keys) {
            Err(JournalError::Damaged { .. }) => assert!(index <= newest),
            // The last one: what stood in it is gone, and nothing says so. A spare is nobody's.
            Ok(count) => assert!(index > newest && count == all || index == newest, "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    let (mut noticed, mut same, mut last) = (0, 0, 0);
    for (name, bytes) in versions {
        let left = disk.copy();
        left.replace(&name, &bytes);
        match read(&left, &keys) {
            Err(JournalError::Damaged { .. }) => noticed += 1,
            Ok(count) if count == all => same += 1,
            Ok(_) => {
                let index = segment_index(&name).unwrap();
                assert_eq!(index, newest, "an older {name} was taken");
                last += 1;
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    let seen = (noticed, same, last);
    assert!(noticed >= 5 && same > 0 && last > 0, "{seen:?}");
}

#[test]
fn every_write_that_is_lost_astray_or_garbled_is_noticed_behind_later_ones() {
    const GROUPS: [u64; 9] = [1, 4, 1, 30, 12, 40, 2, 9, 3];
    for kind in [Kind::LostWrite, Kind::MisdirectedWrite, Kind::FlippedBit] {
        let (mut noticed, mut healed, mut at_end) = (0, 0, 0);
        for n in 1.. {
            let (disk, keys) = (SimDisk::new(n), Arc::new(Keys::ephemeral().unwrap()));
            let (journal, hand) = open(&disk, Arc::clone(&keys), OPTIONS, None).unwrap();
            disk.fail(kind, n, false);
            let writes = |disk: &SimDisk| {
                let counts = disk.counts();
                counts
                    .iter()
                    .find(|(w, _)| *w == "writes")
                    .map_or(0, |c| c.1)
            };
            for records in GROUPS {
                assert!(group(&journal, &hand, records));
            }
            let all = journal.synced();
            hand.kill();
            if writes(&disk) < n {
                break;
            }
            let last = writes(&disk) == n;
            disk.crash(None);
            match read(&disk, &keys) {
                Err(JournalError::Damaged { .. } | JournalError::WrongKey { .. }) => noticed += 1,
                // A later write of the same sector has put it right.
                Ok(count) if count == all => healed += 1,
                Ok(_) => {
                    assert!(last, "{kind:?} of write {n} lost records silently");
                    at_end += 1;
                }
                Err(error) => panic!("{kind:?} {n}: {error}"),
            }
        }
        assert!(
            noticed > 4 && at_end <= 1,
            "{kind:?}: {noticed} {healed} {at_end}"
        );
    }
}

#[test]
fn every_failed_write_or_sync_stops_and_keeps_what_was_acknowledged() {
    let kinds = [
        Kind::WriteError,
        Kind::WriteNoSpace,
        Kind::SyncError,
        Kind::SyncDropped,
    ];
    for kind in kinds {
        for n in 1.. {
            let (disk, keys) = (SimDisk::new(n), Arc::new(Keys::ephemeral().unwrap()));
            let (journal, hand) = open(&disk, Arc::clone(&keys), OPTIONS, None).unwrap();
            disk.fail(kind, n, false);
            let mut told = 0;
            for records in [1, 4, 30, 12, 40, 2] {
                if !group(&journal, &hand, records) {
                    break;
                }
                told = journal.synced();
            }
            let failed = journal.failure().is_some();
            if failed {
                // Nothing more is taken, nothing more is acknowledged.
                assert!(!group(&journal, &hand, 1), "{kind:?} {n}");
                assert_eq!(journal.synced(), told, "{kind:?} {n}: J5");
            }
            hand.kill();
            disk.crash(None);
            let count = read(&disk, &keys).unwrap_or_else(|e| panic!("{kind:?} {n}: {e}"));
            assert!(count >= told, "{kind:?} {n}: {count} of {told}");
            if !failed {
                assert!(n > 5, "{kind:?} {n}");
                break;
            }
        }
    }
}
