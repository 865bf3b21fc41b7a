//! Segments: however their bytes are changed, a scan gives a prefix of what was written or says what is wrong.

#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use tapswitch_native::journal::device::{Device, Store, segment_name};
use tapswitch_native::journal::follow::follow;
use tapswitch_native::journal::frame::Frame;
use tapswitch_native::journal::scan::scan;
use tapswitch_native::journal::{
    Builder, Field, Fields, From, Journal, JournalError, Keys, Options, RecordKind,
};

const SEGMENT_BYTES: u64 = 16_384;
const RECORDS: u64 = 150;

type Files = BTreeMap<String, Vec<u8>>;

/// Segments in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Files>>);

struct Segment(Memory, String);

impl Memory {
    fn files(&self) -> std::sync::MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for Segment {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let files = self.0.files();
        let bytes = files.get(&self.1).ok_or(io::ErrorKind::NotFound)?;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(out.len());
        out[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.files();
        let file = files.get_mut(&self.1).ok_or(io::ErrorKind::NotFound)?;
        file[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Box<dyn Device>> {
        Ok(Box::new(Segment(self.clone(), name.to_owned())))
    }

    fn create(
        &self,
        name: &str,
        bytes: u64,
        head: &[u8],
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()> {
        if !pace(0) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut whole = vec![0; bytes as usize];
        whole[..head.len()].copy_from_slice(head);
        self.files().insert(name.to_owned(), whole);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name);
        Ok(())
    }

    fn place(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// LSN and payload of every record.
type Told = Vec<(u64, Vec<u8>)>;

/// A journal of several segments and groups, with what it says.
static WRITTEN: LazyLock<Option<(Arc<Keys>, Files, Told)>> = LazyLock::new(|| {
    let keys = Arc::new(Keys::ephemeral().ok()?);
    let memory = Memory::default();
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        pending_bytes_max: 1 << 20,
    };
    let store = Arc::new(memory.clone());
    let journal = Journal::start(store, Arc::clone(&keys), options, None).ok()?;
    for txn in 1..=RECORDS {
        let mut record = Builder::new();
        record
            .number(Field::Txn, txn)
            .text(Field::Rrn, &format!("{txn:012}"))
            .bytes(Field::Key, &[txn as u8; 16]);
        let pan: Option<&[u8]> = (txn % 2 == 0).then_some(b"6299000000000005");
        let lsn = journal.append(RecordKind::Accepted, record.finish().ok()?, pan);
        if txn % 7 == 0 {
            journal.commit();
            while journal.synced() < lsn.clone().ok()? {
                std::thread::yield_now();
            }
        }
    }
    journal.close();
    drop(journal);
    let told = read(&memory, &keys).ok()?;
    let files = memory.files().clone();
    Some((keys, files, told.0))
});

/// Every record, and whether the journal ends with a torn group.
fn read(store: &Memory, keys: &Keys) -> Result<(Told, bool), JournalError> {
    let mut told = Told::new();
    let report = scan(store, keys, From::Oldest, u64::MAX, false, &mut |record| {
        record.pan();
        told.push((record.lsn, record.fields.payload().to_vec()));
        Ok(())
    })?;
    Ok((told, report.torn.is_some()))
}

/// Changes bytes as the input says: which segment, where, how much, what.
fn change(files: &mut Files, data: &[u8]) {
    for edit in data.chunks_exact(6) {
        let name = segment_name(u64::from(edit[0] % 4) + 1);
        let Some(bytes) = files.get_mut(&name) else {
            continue;
        };
        let at = usize::from(u16::from_le_bytes([edit[1], edit[2]])) % SEGMENT_BYTES as usize;
        let length = usize::from(edit[3]) + 1;
        let Some(range) = bytes.get_mut(at..(at + length).min(SEGMENT_BYTES as usize)) else {
            continue;
        };
        match edit[4] % 6 {
            0 => range[0] ^= edit[5],
            1 => range.fill(edit[5]),
            2 => range.fill(0),
            3 => range.rotate_left(usize::from(edit[5]) % length.min(range.len())),
            4 => bytes.truncate(at),
            _ => drop(files.remove(&name)),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(fields) = Fields::parse(data) {
        assert_eq!(
            fields.iter().map(|(_, v)| v.len() + 3).sum::<usize>(),
            data.len()
        );
    }
    for at in 0..data.len().min(64) {
        assert!(Frame::read(data, at, 0, 7).is_none_or(|frame| at + frame.length() <= data.len()));
    }

    let Some((keys, files, told)) = WRITTEN.as_ref() else {
        panic!("the journal to be changed could not be written");
    };
    let mut files = files.clone();
    change(&mut files, data);
    let changed = Memory(Arc::new(Mutex::new(files)));
    match read(&changed, keys) {
        Ok((seen, torn)) => {
            assert!(
                told.starts_with(&seen),
                "a scan told what was never written"
            );
            assert_eq!(read(&changed, keys), Ok((seen.clone(), torn)));
            if !torn {
                // At a torn end a follower waits for the rest of the group; here nobody writes it.
                let mut followed = 0;
                let end = follow(&changed, keys, None, 0, &mut |_| {
                    followed += 1;
                    Ok(())
                });
                assert!(end.is_ok() && followed == seen.len());
            }
        }
        Err(JournalError::Damaged { file, .. }) => assert!(!file.is_empty()),
        Err(JournalError::WrongKey { .. }) => {
            panic!("a changed head passed for one of another key")
        }
        Err(error) => panic!("{error}"),
    }
});
