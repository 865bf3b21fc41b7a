//! Keys of a node: journal, PAN and index, sealed together in one file.
//!
//! The file is 136 bytes: a head of 24 (magic, flags, nonce), three keys of 32 bytes under AES-256-GCM-SIV with the
//! sealing key, and the tag; the head is authenticated with them. The sealing key itself lives outside: in a file of
//! mode 0600 or behind an inherited descriptor. Opened keys stay in one locked page that is left out of core dumps and
//! overwritten at the end; what leaves it is derived (segment keys, index keys) or a check value.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::buf::Locked;

/// Bytes of each key and of the sealing key (AES-256).
pub const KEY_BYTES: usize = 32;
/// Bytes of the random salt that makes a segment's keys its own.
pub const SALT_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"TSWKEYS1";
const HEAD_BYTES: usize = 24;
const SECRET_BYTES: usize = 3 * KEY_BYTES;
const TAG_BYTES: usize = 16;
const FILE_BYTES: usize = HEAD_BYTES + SECRET_BYTES + TAG_BYTES;
const FLAG_DEMO: u8 = 1;

/// Why a key file cannot be used. No variant carries a key byte.
#[derive(Debug, Error)]
pub enum KeysError {
    #[error("cannot {action}: {source}")]
    Io {
        action: &'static str,
        source: io::Error,
    },
    #[error("the file exists already; a key file is never overwritten")]
    Exists,
    #[error("this is not a key file of tapswitch")]
    NotAKeyFile,
    #[error("this sealing key does not open the file, or the file is damaged")]
    DoesNotOpen,
    #[error("a sealing key is 32 bytes, or 64 hexadecimal digits; found {0} bytes")]
    SealingKey(usize),
    #[error("cannot lock memory for keys: {0}; raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=)")]
    Lock(io::Error),
    #[error("no random bytes from the kernel: {0}")]
    Random(String),
}

/// Which of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Journal = 0,
    Pan = 1,
    Index = 2,
}

/// Every key with its name in check values and messages.
pub const WHICH: [(Which, &str); 3] = [
    (Which::Journal, "journal"),
    (Which::Pan, "pan"),
    (Which::Index, "index"),
];

/// The ciphers of one segment; they live in locked memory.
pub struct SegmentKeys {
    pub payload: Aes256GcmSiv,
    pub pan: Aes256GcmSiv,
}

/// Keys opened from a sealed file. It has no Debug, and nothing returns a key of it.
pub struct Keys {
    secret: Locked<[u8; SECRET_BYTES]>,
    demo: bool,
}

/// Fills `out` with random bytes.
pub fn random(out: &mut [u8]) -> Result<(), KeysError> {
    crate::chance::fill(out).map_err(|error| KeysError::Random(error.to_string()))
}

/// Reads a sealing key from an open file or pipe: 32 raw bytes, or 64 hexadecimal digits and white space.
///
/// A regular file is read from its start whatever its position, so one descriptor serves twice.
pub fn read_sealing_key(mut file: File) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeysError> {
    let failed = |source| KeysError::Io {
        action: "read the sealing key",
        source,
    };
    // One byte more than the longest accepted form, so that a longer file is noticed.
    let mut text = Zeroizing::new([0u8; 2 * KEY_BYTES + 3]);
    let mut length = 0;
    let regular = file.metadata().map_err(failed)?.is_file();
    while length < text.len() {
        let space = &mut text[length..];
        let read = if regular {
            file.read_at(space, length as u64)
        } else {
            file.read(space)
        };
        match read {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    if length == KEY_BYTES {
        key.copy_from_slice(&text[..KEY_BYTES]);
        return Ok(key);
    }
    let digits = text[..length].trim_ascii();
    if digits.len() != 2 * KEY_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(KeysError::SealingKey(length));
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
    Ok(key)
}

/// The value of one hexadecimal digit, which the caller has checked.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a' - 10),
    }
}

/// A new random sealing key in a new file of mode 0600 (64 hexadecimal digits).
pub fn create_sealing_key(path: &Path) -> Result<(), KeysError> {
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    random(&mut *key)?;
    let mut text = Zeroizing::new([b'\n'; 2 * KEY_BYTES + 1]);
    for (pair, byte) in text.chunks_mut(2).zip(key.iter()) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    write_new(path, &*text)
}

/// New random keys in a new file of mode 0600, sealed under the key read from `sealing`.
pub fn create_key_file(path: &Path, sealing: File, demo: bool) -> Result<(), KeysError> {
    let sealing = read_sealing_key(sealing)?;
    let mut bytes = Zeroizing::new([0u8; FILE_BYTES]);
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = if demo { FLAG_DEMO } else { 0 };
    random(&mut bytes[12..HEAD_BYTES + SECRET_BYTES])?;
    let (head, rest) = bytes.split_at_mut(HEAD_BYTES);
    let (secret, tag) = rest.split_at_mut(SECRET_BYTES);
    let sealed = cipher(&sealing)
        .encrypt_inout_detached(&nonce_of(head), head, secret.into())
        .map_err(|_| KeysError::NotAKeyFile)?;
    tag.copy_from_slice(&sealed);
    write_new(path, &*bytes)
}

/// Writes a new file durably: it appears under its name only when it is whole.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeysError> {
    let io_error = |action| move |source| KeysError::Io { action, source };
    if path.exists() {
        return Err(KeysError::Exists);
    }
    let part = path.with_extension(format!("part{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .map_err(io_error("create the file"))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    // A hard link refuses to replace what another process made meanwhile; a rename would not.
    let placed = written.and_then(|()| std::fs::hard_link(&part, path));
    let _ = std::fs::remove_file(&part);
    match placed {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeysError::Exists);
        }
        Err(error) => return Err(io_error("write the file")(error)),
    }
    let directory = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(io_error("sync the directory"))
}

fn nonce_of(head: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce.copy_from_slice(&head[12..HEAD_BYTES]);
    nonce
}

fn cipher(key: &[u8; KEY_BYTES]) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.into())
}

impl Keys {
    /// Opens a key file with the sealing key read from `sealing`.
    pub fn open(path: &Path, sealing: File) -> Result<Keys, KeysError> {
        let sealing = read_sealing_key(sealing)?;
        let file = File::open(path).map_err(|source| KeysError::Io {
            action: "open the file",
            source,
        })?;
        let mut bytes = Vec::with_capacity(FILE_BYTES + 1);
        file.take(FILE_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| KeysError::Io {
                action: "read the file",
                source,
            })?;
        if bytes.len() != FILE_BYTES || &bytes[..8] != MAGIC || bytes[8] & !FLAG_DEMO != 0 {
            return Err(KeysError::NotAKeyFile);
        }
        let (head, rest) = bytes.split_at(HEAD_BYTES);
        let (sealed, tag_bytes) = rest.split_at(SECRET_BYTES);
        let mut tag = Tag::default();
        tag.copy_from_slice(tag_bytes);
        let mut secret = Locked::new([0u8; SECRET_BYTES]).map_err(KeysError::Lock)?;
        // Opened in place: the clear keys exist in the locked page only.
        secret.copy_from_slice(sealed);
        cipher(&sealing)
            .decrypt_inout_detached(&nonce_of(head), head, secret.as_mut_slice().into(), &tag)
            .map_err(|_| KeysError::DoesNotOpen)?;
        Ok(Keys {
            secret,
            demo: head[8] & FLAG_DEMO != 0,
        })
    }

    /// Random keys without a file: for tests, benches and fuzz targets.
    pub fn ephemeral() -> Result<Keys, KeysError> {
        let mut secret = Locked::new([0u8; SECRET_BYTES]).map_err(KeysError::Lock)?;
        random(secret.as_mut_slice())?;
        Ok(Keys { secret, demo: true })
    }

    /// True when the file was made for a demo; such keys are refused on a non-loopback address.
    pub fn demo(&self) -> bool {
        self.demo
    }

    /// First three bytes of a keyed hash of a fixed text: tells keys apart, tells nothing of them.
    pub fn check_value(&self, which: Which) -> [u8; 3] {
        let full = self.derive(which, b"check value", &[]);
        [full[0], full[1], full[2]]
    }

    /// SipHash key for request keys and bodies.
    pub fn index_key(&self) -> [u8; 16] {
        self.half(b"request keys")
    }

    /// SipHash key for card references.
    pub fn card_key(&self) -> [u8; 16] {
        self.half(b"card references")
    }

    /// Seals the values of the token index.
    pub fn token_index_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.derive(Which::Index, b"token index", &[])
    }

    /// Seals card numbers in the vault, under a version of its own choosing.
    pub fn vault_pan_key(&self, version: u32) -> Zeroizing<[u8; KEY_BYTES]> {
        self.derive(Which::Pan, b"vault pan", &version.to_be_bytes())
    }

    /// Makes the keyed hash by which the vault finds a card number.
    pub fn vault_hash_key(&self, version: u32) -> Zeroizing<[u8; KEY_BYTES]> {
        self.derive(Which::Index, b"vault pan hash", &version.to_be_bytes())
    }

    /// Seals issuers' card master keys in their file.
    pub fn card_masters_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.derive(Which::Pan, b"card masters", &[])
    }

    /// Seals the keys of links in their file.
    pub fn link_keys_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.derive(Which::Pan, b"link keys", &[])
    }

    /// Seals terminals' master keys in their file.
    pub fn terminals_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.derive(Which::Pan, b"terminals", &[])
    }

    /// What terminals' work keys are derived from.
    pub fn work_keys_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.derive(Which::Pan, b"work keys", &[])
    }

    /// Ciphers of the segment with this salt: no two segments share a key, so a nonce may start anew in each.
    pub fn segment(&self, salt: &[u8; SALT_BYTES]) -> Result<Locked<SegmentKeys>, KeysError> {
        let payload = self.derive(Which::Journal, b"segment payload", salt);
        let pan = self.derive(Which::Pan, b"segment pan", salt);
        Locked::new(SegmentKeys {
            payload: cipher(&payload),
            pan: cipher(&pan),
        })
        .map_err(KeysError::Lock)
    }

    fn half(&self, label: &[u8]) -> [u8; 16] {
        let full = self.derive(Which::Index, label, &[]);
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        half
    }

    /// HMAC-SHA-256 of label and context under one key, as a key derivation (NIST SP 800-108 with one block).
    fn derive(&self, which: Which, label: &[u8], context: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        let start = which as usize * KEY_BYTES;
        let mut out = Zeroizing::new([0u8; KEY_BYTES]);
        // HMAC takes a key of any length, so there is no error to report.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret[start..start + KEY_BYTES])
        {
            mac.update(b"tapswitch 1 ");
            mac.update(label);
            mac.update(&[0]);
            mac.update(context);
            let mut full = mac.finalize().into_bytes();
            out.copy_from_slice(&full);
            full.as_mut_slice().zeroize();
        }
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::journal::testing::TempDir;

    fn fixture() -> (TempDir, std::path::PathBuf, std::path::PathBuf) {
        let dir = TempDir::new();
        let (sealing, keys) = (dir.path().join("seal.key"), dir.path().join("node.keys"));
        create_sealing_key(&sealing).unwrap();
        create_key_file(&keys, File::open(&sealing).unwrap(), true).unwrap();
        (dir, sealing, keys)
    }

    #[test]
    fn a_key_file_opens_with_its_sealing_key_only() {
        let (dir, sealing, path) = fixture();
        let keys = Keys::open(&path, File::open(&sealing).unwrap()).unwrap();
        let again = Keys::open(&path, File::open(&sealing).unwrap()).unwrap();
        assert!(keys.demo());
        for (which, _) in WHICH {
            assert_eq!(keys.check_value(which), again.check_value(which));
        }
        assert_eq!(keys.index_key(), again.index_key());
        assert_ne!(keys.index_key(), keys.card_key());
        let other = dir.path().join("other.key");
        create_sealing_key(&other).unwrap();
        assert!(matches!(
            Keys::open(&path, File::open(&other).unwrap()),
            Err(KeysError::DoesNotOpen)
        ));
    }

    #[test]
    fn every_flipped_byte_of_a_key_file_is_noticed() {
        let (dir, sealing, path) = fixture();
        let whole = std::fs::read(&path).unwrap();
        let broken = dir.path().join("broken.keys");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&broken, &bytes).unwrap();
            assert!(
                Keys::open(&broken, File::open(&sealing).unwrap()).is_err(),
                "byte {at}"
            );
        }
        for length in 0..whole.len() {
            std::fs::write(&broken, &whole[..length]).unwrap();
            assert!(
                Keys::open(&broken, File::open(&sealing).unwrap()).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn the_demo_flag_is_sealed() {
        let (dir, sealing, path) = fixture();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8] = 0;
        let cleared = dir.path().join("cleared.keys");
        std::fs::write(&cleared, &bytes).unwrap();
        assert!(matches!(
            Keys::open(&cleared, File::open(&sealing).unwrap()),
            Err(KeysError::DoesNotOpen)
        ));
    }

    #[test]
    fn nothing_is_overwritten_and_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, sealing, path) = fixture();
        assert!(matches!(
            create_sealing_key(&sealing),
            Err(KeysError::Exists)
        ));
        assert!(matches!(
            create_key_file(&path, File::open(&sealing).unwrap(), false),
            Err(KeysError::Exists)
        ));
        for file in [&sealing, &path] {
            assert_eq!(
                std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn sealing_keys_are_raw_or_hexadecimal() {
        let dir = TempDir::new();
        let path = dir.path().join("k");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_sealing_key(File::open(&path).unwrap())
        };
        assert_eq!(*read(&[0xab; 32]).unwrap(), [0xab; 32]);
        assert_eq!(*read("aB".repeat(32).as_bytes()).unwrap(), [0xab; 32]);
        assert_eq!(
            *read(format!("{}\r\n", "09".repeat(32)).as_bytes()).unwrap(),
            [9; 32]
        );
        for bad in [
            &[][..],
            &[1; 31],
            &[1; 33],
            &[b'g'; 64],
            &[b'a'; 67],
            &[b'a'; 4000],
        ] {
            assert!(
                matches!(read(bad), Err(KeysError::SealingKey(_))),
                "{}",
                bad.len()
            );
        }
    }

    #[test]
    fn segments_have_keys_of_their_own() {
        let keys = Keys::ephemeral().unwrap();
        let seal = |salt: u8| {
            let segment = keys.segment(&[salt; SALT_BYTES]).unwrap();
            let mut data = *b"same bytes";
            let tag = segment
                .payload
                .encrypt_inout_detached(&Nonce::default(), b"", data.as_mut_slice().into())
                .unwrap();
            (data, tag)
        };
        assert_eq!(seal(1), seal(1));
        assert_ne!(seal(1), seal(2));
    }
}
