//! Card numbers of the vault: sealed at rest, found by a keyed hash. Both keys have versions.
//!
//! A sealed number is 12 random bytes of nonce, the encrypted digits, and the tag, with the row, the column and the key
//! version authenticated: a value that was moved to another row does not open.

use std::collections::HashMap;
use std::sync::Arc;

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::journal::keys::{Keys, KeysError, random};
use crate::journal::record::PAN_BYTES_MAX;
use crate::tap::proven::Card;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Bytes of the keyed hash.
pub const HASH_BYTES: usize = 32;
const COLUMN: &[u8] = b"card.pan";

/// Why a number is not sealed or opened. No variant carries a digit.
#[derive(Debug, Error)]
pub enum VaultFault {
    #[error("a card number has 8 to 19 digits")]
    Number,
    #[error(
        "the card number of row {0} does not open: damaged, moved, or sealed under another key"
    )]
    DoesNotOpen(i64),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

struct Version {
    cipher: Aes256GcmSiv,
    hash: Hmac<Sha256>,
}

/// The vault's keys, derived from the node's, by version.
pub struct VaultKeys {
    keys: Arc<Keys>,
    versions: HashMap<u32, Version>,
}

impl VaultKeys {
    pub fn new(keys: Arc<Keys>) -> VaultKeys {
        VaultKeys {
            keys,
            versions: HashMap::new(),
        }
    }

    fn version(&mut self, version: u32) -> Result<&Version, VaultFault> {
        let keys = &self.keys;
        let entry = self.versions.entry(version);
        Ok(match entry {
            std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let hash = Hmac::<Sha256>::new_from_slice(&*keys.vault_hash_key(version))
                    .map_err(|_| VaultFault::Number)?;
                place.insert(Version {
                    cipher: Aes256GcmSiv::new((&*keys.vault_pan_key(version)).into()),
                    hash,
                })
            }
        })
    }

    /// Seals a number for a row.
    pub fn seal(&mut self, digits: &[u8], row: i64, version: u32) -> Result<Vec<u8>, VaultFault> {
        sound(digits)?;
        let mut out = vec![0; NONCE_BYTES];
        random(&mut out)?;
        out.extend_from_slice(digits);
        let mut nonce = Nonce::default();
        nonce.copy_from_slice(&out[..NONCE_BYTES]);
        let cipher = &self.version(version)?.cipher;
        let tag = cipher
            .encrypt_inout_detached(
                &nonce,
                &bound(row, version),
                (&mut out[NONCE_BYTES..]).into(),
            )
            .map_err(|_| VaultFault::Number)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens the number of a row.
    pub fn open(
        &mut self,
        sealed: &[u8],
        row: i64,
        version: u32,
    ) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
        let failed = || VaultFault::DoesNotOpen(row);
        let (head, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(failed)?;
        let (body, tail) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(failed)?;
        let (mut nonce, mut tag) = (Nonce::default(), Tag::default());
        nonce.copy_from_slice(head);
        tag.copy_from_slice(tail);
        let mut digits = Zeroizing::new(body.to_vec());
        self.version(version)?
            .cipher
            .decrypt_inout_detached(
                &nonce,
                &bound(row, version),
                digits.as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| failed())?;
        sound(&digits).map_err(|_| failed())?;
        Ok(digits)
    }

    /// The number of a row as the index carries it.
    pub fn card(&mut self, sealed: &[u8], row: i64, version: u32) -> Result<Card, VaultFault> {
        let digits = self.open(sealed, row, version)?;
        let mut card = Card {
            length: digits.len() as u8,
            ..Card::default()
        };
        card.digits[..digits.len()].copy_from_slice(&digits);
        Ok(card)
    }

    /// The keyed hash of a number (HMAC-SHA-256).
    pub fn hash(&mut self, digits: &[u8], version: u32) -> Result<[u8; HASH_BYTES], VaultFault> {
        sound(digits)?;
        let mut mac = self.version(version)?.hash.clone();
        mac.update(digits);
        Ok(mac.finalize().into_bytes().into())
    }
}

fn sound(digits: &[u8]) -> Result<(), VaultFault> {
    let sound =
        (8..=PAN_BYTES_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    sound.then_some(()).ok_or(VaultFault::Number)
}

fn bound(row: i64, version: u32) -> Vec<u8> {
    let mut bound = COLUMN.to_vec();
    bound.extend_from_slice(&row.to_be_bytes());
    bound.extend_from_slice(&version.to_be_bytes());
    bound
}
