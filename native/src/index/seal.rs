//! Sealing of values: AES-256-GCM-SIV over the packed record, with the token it belongs to bound in.
//!
//! A sealed value is the change of the vault that it stems from (8 bytes, also the nonce), the encrypted record, and the
//! tag. The record stands behind the key of the next entry (`chain`). The same change may write many tokens: the cipher keeps its promises under a repeated nonce (RFC 8452), and the
//! token is authenticated beside it.

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};

use super::error::{IndexError, Unavailable};
use super::record::{KEY_BYTES, PACKED_BYTES_MAX, Token, TokenRecord};
use crate::buf::Locked;
use crate::journal::keys::{Keys, KeysError};
use zeroize::Zeroize;

const CHANGE_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
/// Bytes that sealing adds.
pub const SEAL_BYTES: usize = CHANGE_BYTES + TAG_BYTES;

/// The cipher of a node's index, in locked memory.
pub struct Seal(Locked<Aes256GcmSiv>);

impl Seal {
    pub fn new(keys: &Keys) -> Result<Seal, KeysError> {
        let key = keys.token_index_key();
        let cipher = Aes256GcmSiv::new((&*key).into());
        Locked::new(cipher).map(Seal).map_err(KeysError::Lock)
    }

    /// Replaces `out` by `plain`, sealed; `bound` is what it belongs to.
    pub fn seal(
        &self,
        bound: &[u8],
        change: u64,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), IndexError> {
        out.clear();
        out.extend_from_slice(&change.to_be_bytes());
        out.extend_from_slice(plain);
        let tag = self
            .0
            .encrypt_inout_detached(&nonce(change), bound, (&mut out[CHANGE_BYTES..]).into())
            .map_err(|_| IndexError::Record("too long"))?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens into `out` and returns the change and the plain value.
    pub fn open<'o>(
        &self,
        bound: &[u8],
        sealed: &[u8],
        out: &'o mut [u8; PACKED_BYTES_MAX],
    ) -> Result<(u64, &'o mut [u8]), Unavailable> {
        let (change, rest) = sealed
            .split_first_chunk::<CHANGE_BYTES>()
            .ok_or(Unavailable::Sealed)?;
        let (body, tag_bytes) = rest
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(Unavailable::Sealed)?;
        let plain = out.get_mut(..body.len()).ok_or(Unavailable::Sealed)?;
        plain.copy_from_slice(body);
        let mut tag = Tag::default();
        tag.copy_from_slice(tag_bytes);
        let change = u64::from_be_bytes(*change);
        self.0
            .decrypt_inout_detached(&nonce(change), bound, (&mut *plain).into(), &tag)
            .map_err(|_| Unavailable::Sealed)?;
        Ok((change, plain))
    }

    /// The record of a token.
    #[inline]
    pub fn record(&self, token: &Token, sealed: &[u8]) -> Result<TokenRecord, Unavailable> {
        let mut place = [0; PACKED_BYTES_MAX];
        let (_, plain) = self.open(&token.key(), sealed, &mut place)?;
        let body = plain.get(KEY_BYTES..);
        let record = body.and_then(TokenRecord::unpack);
        plain.zeroize();
        record.ok_or(Unavailable::Sealed)
    }

    /// The key of the entry behind the one at `key`.
    pub fn next(&self, key: &[u8], sealed: &[u8]) -> Result<[u8; KEY_BYTES], Unavailable> {
        let mut place = [0; PACKED_BYTES_MAX];
        let (_, plain) = self.open(key, sealed, &mut place)?;
        let next = plain.first_chunk().copied();
        plain.zeroize();
        next.ok_or(Unavailable::Sealed)
    }
}

fn nonce(change: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[..CHANGE_BYTES].copy_from_slice(&change.to_be_bytes());
    nonce
}
