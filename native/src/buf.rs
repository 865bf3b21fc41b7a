//! The only file with `unsafe`: calls into libc that the rooms need and std does not offer.
//!
//! pwrite and fdatasync are std's (`FileExt::write_at`, `File::sync_data`): both go through libc, so a preloaded
//! library or a tracer can inject faults into them, and both need no `unsafe`.

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A non-blocking eventfd with counter 0, as a file: reading drains it, writing eight bytes adds.
pub fn eventfd() -> io::Result<File> {
    // SAFETY: eventfd takes no pointers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor is new, open, and owned by nobody else.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Takes the exclusive advisory lock of an open file; false when another open file holds it.
///
/// The lock belongs to the open file description: it ends with its last descriptor, also when the process is killed.
pub fn lock_exclusive(file: &File) -> io::Result<bool> {
    flock(file, libc::LOCK_EX | libc::LOCK_NB)
}

/// Takes a shared advisory lock of an open file; false when another open file holds the exclusive one.
pub fn lock_shared(file: &File) -> io::Result<bool> {
    flock(file, libc::LOCK_SH | libc::LOCK_NB)
}

/// Gives an advisory lock back.
pub fn unlock(file: &File) -> io::Result<()> {
    flock(file, libc::LOCK_UN).map(|_| ())
}

fn flock(file: &File, how: libc::c_int) -> io::Result<bool> {
    // SAFETY: flock takes no pointers, and the descriptor is open while `file` is borrowed.
    match check(unsafe { libc::flock(file.as_raw_fd(), how) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reserves disk blocks for the first `bytes` bytes, so that a full disk shows now and not while writing.
///
/// A file system that cannot reserve is no error: writing every byte afterwards has the same effect, later.
pub fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: fallocate takes no pointers, and the descriptor is open while `file` is borrowed.
    match check(unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) }) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

/// A second descriptor of one that the caller keeps, close-on-exec.
pub fn duplicate(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the borrow ends before this function returns and closes nothing. A number that is not open makes fcntl
    // fail with EBADF, which is passed on.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(File::from(borrowed.try_clone_to_owned()?))
}

/// A value in memory of its own: never swapped, left out of core dumps, overwritten when dropped.
pub struct Locked<T> {
    value: NonNull<T>,
    mapped: usize,
}

// SAFETY: Locked owns its value as a Box does; the mapping is private to it.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: a shared Locked only hands out shared references to its value.
unsafe impl<T: Sync> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Moves `value` in. Fails with the reason when the pages cannot be locked (RLIMIT_MEMLOCK).
    ///
    /// The caller's copy was moved from, not wiped: build secrets in place through `DerefMut` where that is possible.
    pub fn new(value: T) -> io::Result<Locked<T>> {
        const PAGE: usize = 4096;
        // mmap returns whole pages on a page boundary, so any alignment up to a page is met.
        assert!(align_of::<T>() <= PAGE);
        let mapped = size_of::<T>().max(1).next_multiple_of(PAGE);
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the range is exactly the mapping made above.
        let guarded = check(unsafe { libc::mlock(address, mapped) })
            // SAFETY: as above.
            .and_then(|_| check(unsafe { libc::madvise(address, mapped, libc::MADV_DONTDUMP) }));
        let value_at = match (guarded, NonNull::new(address.cast::<T>())) {
            (Ok(_), Some(pointer)) => pointer,
            (outcome, _) => {
                let error = outcome.err().unwrap_or_else(io::Error::last_os_error);
                // SAFETY: the range is exactly the mapping made above, and nothing refers to it.
                unsafe { libc::munmap(address, mapped) };
                return Err(error);
            }
        };
        // SAFETY: the mapping is large enough, aligned, writable, and holds no value yet.
        unsafe { value_at.as_ptr().write(value) };
        Ok(Locked {
            value: value_at,
            mapped,
        })
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the pointer holds an initialised T as long as `self` lives.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the pointer holds an initialised T as long as `self` lives, and `self` is borrowed mutably.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        let start = self.value.as_ptr();
        // SAFETY: the value is initialised and is never used again.
        unsafe { start.drop_in_place() };
        let bytes = start.cast::<u8>();
        for offset in 0..self.mapped {
            // SAFETY: every byte of the mapping is ours and writable; volatile, so that the wipe is not left out.
            unsafe { bytes.add(offset).write_volatile(0) };
        }
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the range is exactly the mapping made in `new`, and nothing refers to it any more.
        unsafe { libc::munmap(start.cast(), self.mapped) };
    }
}

/// Asks the processor to fetch `place` while other work goes on; changes nothing that a program can see.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(place).cast::<i8>();
        for line in (0..size_of::<T>()).step_by(64) {
            // SAFETY: the address lies inside `place`, and a prefetch neither faults nor writes.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(line)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Texts that `siphash` takes at once.
pub const LANES: usize = 8;

/// SipHash-2-4 with a 128-bit output of eight texts of as many words, side by side: for each its two halves. `words`
/// holds the first words of all, then the second ones, and so on, the last with the length in it. None where the
/// processor has no AVX2: then one behind the other is as quick.
///
/// **Source:** Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; for 128 bits the authors' reference
/// code (an `0xee` more, and a second finalisation).
#[inline]
pub fn siphash(key: [u64; 2], words: &[[u64; LANES]]) -> Option<[[u64; 2]; LANES]> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for.
        return Some(unsafe { siphash_avx2(key, words) });
    }
    let _ = (key, words);
    None
}

/// Each word of a register, turned to the left.
#[cfg(target_arch = "x86_64")]
macro_rules! rotated {
    ($x:expr, $left:literal) => {
        _mm256_or_si256(
            _mm256_slli_epi64::<$left>($x),
            _mm256_srli_epi64::<{ 64 - $left }>($x),
        )
    };
}

/// So many rounds of SipHash, of registers that do not wait for one another.
#[cfg(target_arch = "x86_64")]
macro_rules! rounds {
    ($halves:expr, $count:literal) => {
        for _ in 0..$count {
            for [a, b, c, d] in &mut $halves {
                *a = _mm256_add_epi64(*a, *b);
                *c = _mm256_add_epi64(*c, *d);
                *b = _mm256_xor_si256(rotated!(*b, 13), *a);
                *d = _mm256_xor_si256(rotated!(*d, 16), *c);
                // The halves of each word change places.
                *a = _mm256_shuffle_epi32::<0b10_11_00_01>(*a);
                *c = _mm256_add_epi64(*c, *b);
                *a = _mm256_add_epi64(*a, *d);
                *b = _mm256_xor_si256(rotated!(*b, 17), *c);
                *d = _mm256_xor_si256(rotated!(*d, 21), *a);
                *c = _mm256_shuffle_epi32::<0b10_11_00_01>(*c);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
// From Rust 1.87 on the intrinsics are safe where the feature is enabled.
#[allow(unused_unsafe)]
unsafe fn siphash_avx2(key: [u64; 2], words: &[[u64; LANES]]) -> [[u64; 2]; LANES] {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_loadu_si256, _mm256_or_si256, _mm256_set1_epi64x,
        _mm256_shuffle_epi32, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256,
        _mm256_xor_si256,
    };
    /// Four lanes a register.
    type Half = [__m256i; 4];
    let mut out = [[0; LANES]; 2];
    // SAFETY: the caller promises AVX2. Reads and writes are of four words each, at the front and in the middle of
    // arrays of eight, and may lie anywhere.
    unsafe {
        let all = |word: u64| _mm256_set1_epi64x(word as i64);
        let first: Half = [
            all(key[0] ^ 0x736f_6d65_7073_6575),
            all(key[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee),
            all(key[0] ^ 0x6c79_6765_6e65_7261),
            all(key[1] ^ 0x7465_6462_7974_6573),
        ];
        let mut halves = [first; 2];
        for words in words {
            let low = words.as_ptr().cast::<__m256i>();
            let word = [_mm256_loadu_si256(low), _mm256_loadu_si256(low.add(1))];
            halves[0][3] = _mm256_xor_si256(halves[0][3], word[0]);
            halves[1][3] = _mm256_xor_si256(halves[1][3], word[1]);
            rounds!(halves, 2);
            halves[0][0] = _mm256_xor_si256(halves[0][0], word[0]);
            halves[1][0] = _mm256_xor_si256(halves[1][0], word[1]);
        }
        for half in &mut halves {
            half[2] = _mm256_xor_si256(half[2], all(0xee));
        }
        for (turn, out) in out.iter_mut().enumerate() {
            if turn == 1 {
                for half in &mut halves {
                    half[1] = _mm256_xor_si256(half[1], all(0xdd));
                }
            }
            rounds!(halves, 4);
            let low = out.as_mut_ptr().cast::<__m256i>();
            for (at, [a, b, c, d]) in halves.into_iter().enumerate() {
                let sum = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
                _mm256_storeu_si256(low.add(at), sum);
            }
        }
    }
    std::array::from_fn(|lane| [out[0][lane], out[1][lane]])
}

/// Opens (or makes) an LMDB environment in a directory.
///
/// The caller promises what LMDB asks for: the directory is on a local disk, nobody but LMDB writes to its files or
/// shortens them, and the process does not fork afterwards. heed keeps a second opening in one process away.
pub fn lmdb(
    place: &std::path::Path,
    map_bytes: usize,
    readers_max: u32,
) -> heed::Result<heed::Env<heed::WithoutTls>> {
    let mut options = heed::EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(map_bytes).max_readers(readers_max);
    // SAFETY: mapping a file is sound while nobody changes it behind LMDB's back; see the promise above. No flag is
    // set that would give up LMDB's own locking or syncing.
    unsafe { options.open(place) }
}

/// A shared mapping of the first words of a file, as atomics. The owner of the file must never shorten it while
/// it is mapped: writers make a new file and rename it into place.
#[derive(Debug)]
pub struct Words {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the mapping is plain memory that is reached only through atomics; it belongs to no thread.
unsafe impl Send for Words {}
// SAFETY: as above; `AtomicU64` is `Sync`.
unsafe impl Sync for Words {}

impl Words {
    /// Maps `count` words of `file`, shared; faulted in at once, so that no later store waits for a page.
    ///
    /// A mapping made with `writable` false must only be loaded from: a store into it would end the process.
    pub fn map(file: &File, count: usize, writable: bool) -> io::Result<Words> {
        let bytes = count
            .checked_mul(8)
            .filter(|b| *b > 0)
            .ok_or_else(|| io::Error::other("nothing to map"))?;
        let length = file.metadata()?.len();
        if (bytes as u64) > length {
            return Err(io::Error::other("file is shorter than its mapping"));
        }
        let access = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        // SAFETY: a fresh mapping at an address of the kernel's choice, over an open descriptor, checked below.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                access,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<AtomicU64>())
            .ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Words { start, count })
    }

    /// The words, in the byte order of this machine.
    pub fn as_slice(&self) -> &[AtomicU64] {
        // SAFETY: `start` is page-aligned and covers `count` words until `self` is dropped; all bit patterns are valid.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: exactly the region that `map` obtained, unmapped once; no slice can outlive `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * 8) };
    }
}

/// The VmFlags line of the mapping that starts at `address`.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub fn flags_of(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in maps.lines() {
        if let Some((start, rest)) = line.split_once('-') {
            if let (Ok(start), Some((end, _))) =
                (usize::from_str_radix(start, 16), rest.split_once(' '))
            {
                let end = usize::from_str_radix(end, 16).unwrap_or(0);
                inside = start <= address && address < end;
            }
        }
        if inside && line.starts_with("VmFlags") {
            return line.to_owned();
        }
    }
    String::new()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::Arc;

    #[test]
    fn eventfd_counts_and_drains() {
        let mut event = eventfd().unwrap();
        let mut eight = [0; 8];
        assert_eq!(
            event.read(&mut eight).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        event.write_all(&1u64.to_ne_bytes()).unwrap();
        event.write_all(&2u64.to_ne_bytes()).unwrap();
        event.read_exact(&mut eight).unwrap();
        assert_eq!(u64::from_ne_bytes(eight), 3);
    }

    #[test]
    fn lock_is_exclusive_between_open_files() {
        let path = std::env::temp_dir().join(format!("tapswitch-lock-{}", std::process::id()));
        let first = File::create(&path).unwrap();
        let second = File::open(&path).unwrap();
        assert!(lock_exclusive(&first).unwrap());
        assert!(!lock_exclusive(&second).unwrap());
        drop(first);
        assert!(lock_exclusive(&second).unwrap());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_closed_descriptor_is_an_error() {
        assert!(duplicate(-1).is_err());
        assert!(duplicate(1_000_000).is_err());
    }

    #[test]
    fn locked_holds_drops_and_is_kept_out_of_dumps() {
        let shared = Arc::new(());
        let mut held = Locked::new((Arc::clone(&shared), [7u8; 5000])).unwrap();
        held.1[4999] = 9;
        assert_eq!((held.1[0], held.1[4999]), (7, 9));
        assert_eq!(Arc::strong_count(&shared), 2);
        let address = std::ptr::from_ref(&*held) as usize;
        assert!(flags_of(address).contains(" dd"), "{}", flags_of(address));
        assert!(flags_of(address).contains(" lo"), "{}", flags_of(address));
        drop(held);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
