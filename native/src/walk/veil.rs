//! A card number in the table of request keys, covered by a stream that only this process can make.
//!
//! The table remembers for a day or more what a later reversal must name. It holds no card number in clear: the packed
//! digits are combined with one block of AES over the request key, under a key that is drawn at the start and never
//! leaves the process. A request key stands for one request, so no block covers two numbers. On disk the number is
//! sealed by the journal instead.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

use super::digest::Digest;
use crate::buf::Locked;
use crate::journal::keys::{KeysError, random};
use crate::journal::record::PAN_BYTES_MAX;

/// Bytes of a covered number: digit count and packed digits.
pub const VEIL_BYTES: usize = 1 + PAN_BYTES_MAX.div_ceil(2);
/// One of AES.
const BLOCK_BYTES: usize = 16;

/// The key of this process.
pub struct Veil(Locked<Aes128>);

impl Veil {
    pub fn new() -> Result<Veil, KeysError> {
        let mut key = Zeroizing::new([0u8; 16]);
        random(&mut *key)?;
        let cipher = Aes128::new((&*key).into());
        Locked::new(cipher).map(Veil).map_err(KeysError::Lock)
    }

    fn stream(&self, key: &Digest) -> [u8; VEIL_BYTES] {
        let mut block = (*key).into();
        self.0.encrypt_block(&mut block);
        let block: [u8; BLOCK_BYTES] = block.into();
        let mut stream = [0; VEIL_BYTES];
        stream.copy_from_slice(&block[..VEIL_BYTES]);
        stream
    }

    /// Covers a number of up to 19 digits.
    pub fn cover(&self, key: &Digest, pan: &[u8]) -> [u8; VEIL_BYTES] {
        let mut block = self.stream(key);
        block[0] ^= pan.len() as u8;
        for (place, digit) in pan.iter().take(PAN_BYTES_MAX).enumerate() {
            block[1 + place / 2] ^= (digit & 15) << (4 * (1 - place % 2));
        }
        block
    }

    /// Appends the number that was covered under this key. False for zeros, which stand for no number.
    pub fn uncover(&self, key: &Digest, covered: &[u8; VEIL_BYTES], out: &mut Vec<u8>) -> bool {
        if *covered == [0; VEIL_BYTES] {
            return false;
        }
        let stream = Zeroizing::new(self.stream(key));
        let length = usize::from(covered[0] ^ stream[0]).min(PAN_BYTES_MAX);
        for place in 0..length {
            let byte = covered[1 + place / 2] ^ stream[1 + place / 2];
            out.push(b'0' + (byte >> (4 * (1 - place % 2)) & 15));
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_comes_back_under_its_key_only() {
        let veil = Veil::new().unwrap();
        for pan in [
            &b"6299001234567894"[..],
            b"6299001234567890128",
            b"62990012",
        ] {
            let covered = veil.cover(&[3; 16], pan);
            let mut out = Vec::new();
            assert!(veil.uncover(&[3; 16], &covered, &mut out));
            assert_eq!(out, pan);
            out.clear();
            assert!(!veil.uncover(&[3; 16], &[0; VEIL_BYTES], &mut out) && out.is_empty());
            veil.uncover(&[4; 16], &covered, &mut out);
            assert_ne!(out, pan);
            assert_ne!(covered, veil.cover(&[4; 16], pan));
            assert_ne!(covered, Veil::new().unwrap().cover(&[3; 16], pan));
        }
    }
}
