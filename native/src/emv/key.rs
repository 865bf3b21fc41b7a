//! The three keys of a cryptogram, each a type of its own: the issuer's master, the card's, the session's.
//!
//! Usage is what a type can do. A `CardMaster` only makes card keys, a `CardKey` only session keys, and only a
//! `SessionKey` makes a cryptogram; none can be made from bytes except a master, and a master of another usage
//! (secure messaging, PIN) will be another type. Masters live in locked pages; card and session keys live as long as
//! a call or a `Proof`; all are wiped when dropped, and none has Debug or leaves native memory. What a move of a card
//! or session key leaves on the stack is not wiped; the process that has them is not dumpable.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use sha1::{Digest, Sha1};
use thiserror::Error;
use zeroize::Zeroizing;

use super::des::Tdes;
use super::profile::Padding;
use crate::buf::Locked;

/// Bytes of a double-length key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a check value: the head of an encrypted block of zeros.
pub const CHECK_BYTES: usize = 3;

/// How a card's key comes from the issuer's (EMV 4.3 Book 2, A1.4). A setting of the key, never guessed from a
/// number's length: there are issuers of 19-digit cards with option A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// Over the last sixteen digits of number and sequence number.
    A,
    /// Over a hash of them; numbers of up to sixteen digits as in A.
    B,
}

/// How a session key comes from the card's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// The card's key itself.
    None,
    /// PBOC: the counter, and its complement, at the right.
    Pboc,
    /// EMV common session key: the counter at the left with F0 and 0F (EMV 4.3 Book 2, A1.3.1).
    Common,
}

impl Derivation {
    /// Both with the letters that EMV gives them.
    pub const ALL: [(Derivation, &str); 2] = [(Derivation::A, "A"), (Derivation::B, "B")];

    pub fn of_name(name: &str) -> Option<Derivation> {
        let found = Derivation::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(derivation, _)| *derivation)
    }
}

/// Why a master key is refused. No variant carries a key byte.
#[derive(Debug, Error)]
pub enum MasterFault {
    #[error("cannot read the key: {0}")]
    Io(io::Error),
    #[error("a card master key is 16 bytes, or 32 hexadecimal digits")]
    Length,
    #[error("both halves of the key are the same: that is single DES")]
    Weak,
    #[error("the key does not have the check value {expected}; it is {found}")]
    CheckValue { expected: String, found: String },
    #[error("cannot lock memory for keys: {0}; raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=)")]
    Lock(io::Error),
}

/// Number and sequence number of a card or token.
#[derive(Clone, Copy)]
pub struct Card<'a> {
    number: &'a [u8],
    sequence: u8,
}

impl<'a> Card<'a> {
    /// `number` is 8 to 19 ASCII digits, `sequence` 0 to 99; None for anything else.
    pub fn new(number: &'a [u8], sequence: u8) -> Option<Card<'a>> {
        let sound = (8..=19).contains(&number.len())
            && number.iter().all(u8::is_ascii_digit)
            && sequence <= 99;
        sound.then_some(Card { number, sequence })
    }

    pub(super) fn number(&self) -> &'a [u8] {
        self.number
    }

    /// Number and sequence number as digits, most significant first.
    fn digits(&self) -> impl Iterator<Item = u8> {
        let tail = [self.sequence / 10, self.sequence % 10];
        self.number.iter().map(|digit| digit - b'0').chain(tail)
    }

    /// The block that option A encrypts: digits shift in from the right, so that sixteen are left.
    fn block_a(&self) -> u64 {
        self.digits()
            .fold(0, |block, digit| block << 4 | u64::from(digit))
    }

    fn block_b(&self) -> u64 {
        if self.number.len() <= 16 {
            return self.block_a();
        }
        let packed = self
            .digits()
            .fold(0u128, |sum, digit| sum << 4 | u128::from(digit))
            .to_be_bytes();
        let used = (self.number.len() + 3) / 2;
        let hash = Sha1::digest(&packed[packed.len() - used..]);
        let nibbles = || hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let figures = nibbles().filter(|n| *n < 10);
        let letters = nibbles().filter(|n| *n > 9).map(|n| n - 10);
        figures
            .chain(letters)
            .take(16)
            .fold(0, |block, digit| block << 4 | u64::from(digit))
    }
}

/// What is read of a key: one byte more than the longest accepted form, so that a longer file is noticed.
type Text = Zeroizing<[u8; 2 * KEY_BYTES + 3]>;

/// Reads from an open file or pipe to its end, or to the end of a typed line; and how much that was.
pub(crate) fn read_text(mut file: File) -> io::Result<(Text, usize)> {
    let mut text = Zeroizing::new([0u8; 2 * KEY_BYTES + 3]);
    let mut length = 0;
    // Somebody who types ends with the end of the line, not of the file.
    let typed = file.is_terminal();
    while length < text.len() && !(typed && text[..length].ends_with(b"\n")) {
        match file.read(&mut text[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((text, length))
}

/// Reads a key of 16 bytes, or of 32 hexadecimal digits and white space, from an open file or pipe; its two halves.
pub fn read_key(file: File) -> Result<Zeroizing<[u64; 2]>, MasterFault> {
    let (text, length) = read_text(file).map_err(MasterFault::Io)?;
    let mut halves = Zeroizing::new([0u64; 2]);
    let digits = text[..length].trim_ascii();
    if length == KEY_BYTES {
        for (half, bytes) in halves.iter_mut().zip(text.chunks_exact(8)) {
            *half = bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b));
        }
    } else if digits.len() == 2 * KEY_BYTES && digits.iter().all(u8::is_ascii_hexdigit) {
        for (half, digits) in halves.iter_mut().zip(digits.chunks_exact(16)) {
            *half = digits.iter().fold(0, |sum, digit| {
                let value = char::from(*digit).to_digit(16).unwrap_or(0);
                sum << 4 | u64::from(value)
            });
        }
    } else {
        return Err(MasterFault::Length);
    }
    Ok(halves)
}

/// An issuer's master key for application cryptograms.
pub struct CardMaster {
    cipher: Locked<Tdes>,
    derivation: Derivation,
    check_value: [u8; CHECK_BYTES],
}

impl CardMaster {
    /// Reads a key as `read_key` does.
    ///
    /// Its check value must be the one that the key came with: a wrong key would decline every card.
    pub fn read(
        file: File,
        derivation: Derivation,
        check_value: [u8; CHECK_BYTES],
    ) -> Result<CardMaster, MasterFault> {
        CardMaster::new(&*read_key(file)?, derivation, check_value)
    }

    /// From the two halves of the key.
    pub fn new(
        halves: &[u64; 2],
        derivation: Derivation,
        check_value: [u8; CHECK_BYTES],
    ) -> Result<CardMaster, MasterFault> {
        const PARITY: u64 = 0x0101_0101_0101_0101;
        if (halves[0] ^ halves[1]) & !PARITY == 0 {
            return Err(MasterFault::Weak);
        }
        let mut cipher = Locked::new(Tdes::blank()).map_err(MasterFault::Lock)?;
        cipher.fill(halves);
        let found = check_value_of(&cipher);
        if found != check_value {
            return Err(MasterFault::CheckValue {
                expected: hex(&check_value),
                found: hex(&found),
            });
        }
        Ok(CardMaster {
            cipher,
            derivation,
            check_value,
        })
    }

    pub fn derivation(&self) -> Derivation {
        self.derivation
    }

    pub fn check_value(&self) -> [u8; CHECK_BYTES] {
        self.check_value
    }

    /// The check value of a key that has none yet: made here, not handed over by an issuer.
    pub(super) fn check_value_for(halves: &[u64; 2]) -> Result<[u8; CHECK_BYTES], MasterFault> {
        let mut cipher = Locked::new(Tdes::blank()).map_err(MasterFault::Lock)?;
        cipher.fill(halves);
        Ok(check_value_of(&cipher))
    }

    /// The card's key. Parity bits stay as they fall: DES does not read them.
    pub fn card(&self, card: &Card<'_>) -> CardKey {
        let block = match self.derivation {
            Derivation::A => card.block_a(),
            Derivation::B => card.block_b(),
        };
        CardKey(Tdes::new(&Zeroizing::new(
            self.cipher.encrypt([block, !block]),
        )))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn check_value_of(cipher: &Tdes) -> [u8; CHECK_BYTES] {
    let [block] = cipher.encrypt([0]);
    let [a, b, c, ..] = block.to_be_bytes();
    [a, b, c]
}

/// A card's own key for application cryptograms.
pub struct CardKey(Tdes);

impl CardKey {
    /// The key for the transaction that has this counter.
    pub fn session(&self, kind: Session, counter: u16) -> SessionKey {
        let wide = u64::from(counter);
        let blocks = match kind {
            Session::None => return SessionKey(self.0.clone()),
            Session::Pboc => [wide, wide ^ 0xffff],
            Session::Common => [wide << 48 | 0xf0 << 40, wide << 48 | 0x0f << 40],
        };
        SessionKey(Tdes::new(&Zeroizing::new(self.0.encrypt(blocks))))
    }

    /// To compare with what personalisation printed.
    pub fn check_value(&self) -> [u8; CHECK_BYTES] {
        check_value_of(&self.0)
    }
}

/// The key of one transaction: makes its cryptogram and the issuer's answer.
pub struct SessionKey(Tdes);

/// Signed data at most: the ten tags, the whole of tag 9F10, a block of padding.
const BUFFER: usize = 80;

impl SessionKey {
    /// The retail MAC over `head` and `tail`, filled up as `padding` says. Both together are at most 72 bytes.
    pub(super) fn mac(&self, head: &[u8], tail: &[u8], padding: Padding) -> u64 {
        let mut data = [0u8; BUFFER];
        let length = head.len() + tail.len();
        data[..head.len()].copy_from_slice(head);
        data[head.len()..length].copy_from_slice(tail);
        let end = match padding {
            Padding::Zeros => length.next_multiple_of(8),
            Padding::Marked => {
                data[length] = 0x80;
                (length + 1).next_multiple_of(8)
            }
        };
        self.0.mac(&data[..end])
    }

    /// One block, encrypted.
    pub(super) fn encrypt(&self, block: u64) -> u64 {
        let [out] = self.0.encrypt([block]);
        out
    }

    /// To compare with what an issuer's test tool prints.
    pub fn check_value(&self) -> [u8; CHECK_BYTES] {
        check_value_of(&self.0)
    }
}
