//! Where segments live: a small trait, and files in a directory. A simulated disk implements the same two traits.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::JournalError;
use crate::buf;
use crate::hook::{self, Crashed, Point};
use crate::simulation::Real;

/// Bytes written between two looks at the pace when a segment is pre-written.
const PREPARE_CHUNK_BYTES: usize = 512 * 1024;

/// One open segment.
pub trait Device: Send {
    /// Fills `out` from `offset`; short only at the end of the file.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes`; on an error any part may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written durable. Never called again after an error.
    fn sync(&mut self) -> io::Result<()>;
}

/// A set of named segments.
pub trait Store: Send + Sync {
    /// Names of all segments, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn Device>>;
    /// A new segment of exactly `bytes` bytes, `head` and then zeros: reserved at once, fully written and durable
    /// before it appears under its name. `pace` is called with the bytes written so far and may wait; when it returns
    /// false the work is given up with `Interrupted`.
    fn create(
        &self,
        name: &str,
        bytes: u64,
        head: &[u8],
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// How messages name a segment.
    fn place(&self, name: &str) -> String;
}

/// Name of the segment with this index.
pub fn segment_name(index: u64) -> String {
    format!("{index:010}.seg")
}

/// Index of a segment's name.
pub fn segment_index(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 10).then(|| digits.parse().ok()).flatten()
}

/// Segments as files of one directory.
pub struct Directory {
    path: PathBuf,
}

/// The exclusive lock of a directory, held until dropped.
pub struct DirectoryLock {
    _file: File,
    _real: Real,
}

impl Directory {
    /// Makes the directory (mode 0700) when it is missing.
    pub fn create(path: &Path) -> Result<Directory, JournalError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| JournalError::io("create", &path.display().to_string(), &e))?;
        Ok(Directory {
            path: path.to_owned(),
        })
    }

    /// A directory that exists.
    pub fn open(path: &Path) -> Result<Directory, JournalError> {
        let shown = path.display().to_string();
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Ok(Directory {
                path: path.to_owned(),
            }),
            Ok(_) => {
                let error = io::Error::new(io::ErrorKind::NotADirectory, "not a directory");
                Err(JournalError::io("open", &shown, &error))
            }
            Err(error) => Err(JournalError::io("open", &shown, &error)),
        }
    }

    /// Takes the exclusive lock; the error names the process that has it.
    pub fn lock(&self) -> Result<DirectoryLock, JournalError> {
        let real = Real::enter().ok_or(JournalError::Usage(
            "a simulation is on in this process: no real journal opens",
        ))?;
        let path = self.path.join("lock");
        let shown = path.display().to_string();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| JournalError::io("open", &shown, &e))?;
        let taken = buf::lock_exclusive(&file).map_err(|e| JournalError::io("lock", &shown, &e))?;
        if !taken {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let by = match holder.trim() {
                "" => String::new(),
                pid => format!(" by process {pid}"),
            };
            return Err(JournalError::Locked {
                directory: self.path.display().to_string(),
                by,
            });
        }
        // The number only serves the message above; the lock is the descriptor's, and a full disk does not matter.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Ok(DirectoryLock {
            _file: file,
            _real: real,
        })
    }

    /// Removes what an interrupted `create` left behind. Only for the holder of the lock.
    pub fn sweep(&self) -> Result<(), JournalError> {
        let shown = self.path.display().to_string();
        let entries = fs::read_dir(&self.path).map_err(|e| JournalError::io("list", &shown, &e))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().ends_with(".part") {
                let path = entry.path();
                fs::remove_file(&path)
                    .map_err(|e| JournalError::io("remove", &path.display().to_string(), &e))?;
            }
        }
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Store for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                if segment_index(&name).is_some() {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn Device>> {
        let file = OpenOptions::new()
            .read(true)
            .write(writable)
            .open(self.path.join(name))?;
        Ok(Box::new(SegmentFile { file }))
    }

    fn create(
        &self,
        name: &str,
        bytes: u64,
        head: &[u8],
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()> {
        let part = self.path.join(format!("{name}.part"));
        let made = write_whole(&part, bytes, head, pace);
        if let Err(error) = made {
            // What was reserved is given back, or a full disk would stay full of half a segment.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        hook::at(Point::PrepareWritten).map_err(Crashed::io)?;
        fs::rename(&part, self.path.join(name))?;
        self.sync_names()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))?;
        self.sync_names()
    }

    fn place(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// Reserves, writes and syncs a file chunk by chunk, so that no flush is long enough to be felt by the journal.
fn write_whole(
    path: &Path,
    bytes: u64,
    head: &[u8],
    pace: &mut dyn FnMut(u64) -> bool,
) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    buf::reserve(&file, bytes)?;
    let zeros = vec![0u8; PREPARE_CHUNK_BYTES];
    file.write_all_at(head, 0)?;
    let mut at = head.len() as u64;
    while at < bytes {
        if !pace(at) {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let chunk = usize::try_from(bytes - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all_at(&zeros[..chunk], at)?;
        file.sync_data()?;
        at += chunk as u64;
    }
    file.sync_all()
}

struct SegmentFile {
    file: File,
}

impl Device for SegmentFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self
                .file
                .read_at(&mut out[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
