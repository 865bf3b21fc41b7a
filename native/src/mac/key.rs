//! A key for message codes: locked in usage, wiped on drop, never back to bytes.

use std::fs::File;
use std::io;

use sm4::Sm4;
use sm4::cipher::{BlockCipherEncrypt, KeyInit};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::buf::Locked;
use crate::emv::des::{Des, Tdes};

/// Bytes of the longest key.
pub const KEY_BYTES_MAX: usize = 16;
/// Bytes of a check value as terminals' key downloads have it.
pub const CHECK_BYTES: usize = 4;

/// The block cipher of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// Single DES, 8 bytes: what terminals of the field still have.
    Des,
    /// Triple DES with two keys, 16 bytes.
    Tdes,
    /// GB/T 32907 SM4, 16 bytes.
    Sm4,
}

impl Cipher {
    pub const ALL: [(Cipher, &str); 3] = [
        (Cipher::Des, "des"),
        (Cipher::Tdes, "3des"),
        (Cipher::Sm4, "sm4"),
    ];

    pub fn of_name(name: &str) -> Option<Cipher> {
        let found = Cipher::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(cipher, _)| *cipher)
    }

    pub fn name(self) -> &'static str {
        let found = Cipher::ALL.iter().find(|(known, _)| *known == self);
        found.map_or("", |(_, name)| name)
    }

    pub fn key_bytes(self) -> usize {
        match self {
            Cipher::Des => 8,
            Cipher::Tdes | Cipher::Sm4 => 16,
        }
    }

    pub fn block_bytes(self) -> usize {
        match self {
            Cipher::Des | Cipher::Tdes => 8,
            Cipher::Sm4 => 16,
        }
    }
}

/// Why a key is refused. No variant carries a key byte.
#[derive(Debug, Error)]
pub enum KeyFault {
    #[error("cannot read the key: {0}")]
    Io(io::Error),
    #[error("a key for {0} is {1} bytes, or {2} hexadecimal digits")]
    Length(&'static str, usize, usize),
    #[error("both halves of the key are the same: that is single DES")]
    Weak,
    #[error("the key does not have the check value {expected}; it is {found}")]
    CheckValue { expected: String, found: String },
    #[error("cannot lock memory for keys: {0}; raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=)")]
    Lock(io::Error),
}

// A cipher per key; boxed in locked pages where it lives longer than a call.
#[allow(clippy::large_enum_variant)]
pub(super) enum Schedule {
    Des(Des),
    Tdes(Tdes),
    Sm4(Sm4),
}

/// A key for message codes, ready.
pub struct Key {
    pub(super) schedule: Schedule,
}

/// The same in a locked page, for as long as a link lives.
pub struct LockedKey(Locked<Key>);

impl std::ops::Deref for LockedKey {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.0
    }
}

impl Key {
    /// `bytes` holds a key of the cipher at its start; None when it is too short.
    pub fn new(cipher: Cipher, bytes: &[u8]) -> Option<Key> {
        let whole = bytes.get(..cipher.key_bytes())?;
        let half = |at: usize| word(&whole[at..]);
        let schedule = match cipher {
            Cipher::Des => Schedule::Des(Des::new(half(0))),
            Cipher::Tdes => Schedule::Tdes(Tdes::new(&Zeroizing::new([half(0), half(8)]))),
            Cipher::Sm4 => Schedule::Sm4(Sm4::new_from_slice(whole).ok()?),
        };
        Some(Key { schedule })
    }

    /// Reads a key, binary or hexadecimal, up to the end of an open file or pipe, or of a typed line.
    pub fn read(file: File, cipher: Cipher) -> Result<LockedKey, KeyFault> {
        let bytes = read_bytes(file, cipher)?;
        let key = Key::new(cipher, &*bytes).ok_or_else(|| length_fault(cipher))?;
        key.locked()
    }

    pub fn locked(self) -> Result<LockedKey, KeyFault> {
        Locked::new(self).map(LockedKey).map_err(KeyFault::Lock)
    }

    pub fn cipher(&self) -> Cipher {
        match self.schedule {
            Schedule::Des(_) => Cipher::Des,
            Schedule::Tdes(_) => Cipher::Tdes,
            Schedule::Sm4(_) => Cipher::Sm4,
        }
    }

    /// The head of an encrypted block of zeros.
    pub fn check_value(&self) -> [u8; CHECK_BYTES] {
        let [a, b, c, d, ..] = match self.schedule {
            Schedule::Sm4(_) => self.wide([0; 16]),
            _ => {
                let mut block = [0; 16];
                block[..8].copy_from_slice(&self.narrow(0).to_be_bytes());
                block
            }
        };
        [a, b, c, d]
    }

    /// One block of eight bytes, encrypted. Not for SM4, whose blocks are wider.
    #[inline]
    pub(super) fn narrow(&self, block: u64) -> u64 {
        match &self.schedule {
            Schedule::Des(key) => key.encrypt(block),
            Schedule::Tdes(key) => key.encrypt([block])[0],
            Schedule::Sm4(_) => 0,
        }
    }

    /// One block of sixteen bytes, encrypted. For SM4 only.
    pub(super) fn wide(&self, block: [u8; 16]) -> [u8; 16] {
        let mut out = block.into();
        if let Schedule::Sm4(key) = &self.schedule {
            key.encrypt_block(&mut out);
        }
        out.into()
    }
}

pub(crate) fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn length_fault(cipher: Cipher) -> KeyFault {
    let bytes = cipher.key_bytes();
    KeyFault::Length(cipher.name(), bytes, 2 * bytes)
}

/// A key of the cipher's length at the start, zeros behind it.
pub(crate) fn read_bytes(
    file: File,
    cipher: Cipher,
) -> Result<Zeroizing<[u8; KEY_BYTES_MAX]>, KeyFault> {
    let (text, length) = crate::emv::key::read_text(file).map_err(KeyFault::Io)?;
    let bytes = cipher.key_bytes();
    let mut key = Zeroizing::new([0u8; KEY_BYTES_MAX]);
    let digits = text[..length].trim_ascii();
    if length == bytes {
        key[..bytes].copy_from_slice(&text[..bytes]);
    } else if digits.len() == 2 * bytes && digits.iter().all(u8::is_ascii_hexdigit) {
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
    } else {
        return Err(length_fault(cipher));
    }
    Ok(key)
}
