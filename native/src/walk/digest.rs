//! Keyed digests: request keys, bodies and card references. The keys never leave native memory, so neither a key in
//! the journal nor one in a dump tells a card number.
//!
//! SipHash-2-4 is a pseudo-random function under a secret 128-bit key, which is all that is asked for here (nobody who
//! lacks the key can compute, invert or aim a digest), at a fifth of the cost of a MAC over the same bytes.
//! **Source:** Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.

use siphasher::sip::SipHasher24;
use siphasher::sip128::SipHasher24 as SipHasher24of128;
use zeroize::Zeroize;

use crate::buf::{LANES, siphash};

/// 16 bytes that stand for a request key or a body.
pub type Digest = [u8; 16];
/// 8 bytes that stand for a card number.
pub type CardRef = [u8; 8];

/// Three keys, because one key has one use: for request keys, for bodies, for cards.
pub struct Digester {
    request: [u8; 16],
    body: [u8; 16],
    card: [u8; 16],
}

impl Digester {
    /// `index` gives the keys for requests and bodies, `card` the one for cards.
    pub fn new(index: [u8; 16], card: [u8; 16]) -> Digester {
        let derive = |use_of: &[u8]| digest(&index, use_of);
        Digester {
            request: derive(b"request"),
            body: derive(b"body"),
            card,
        }
    }

    /// Digest of a request key: who asks, and the codec's key material.
    #[inline]
    pub fn request(&self, material: &[u8]) -> Digest {
        digest(&self.request, material)
    }

    /// Digests of several request keys, whose materials stand one behind the other and end at `ends`. Those of one length,
    /// eight in a row, cost a third of what they do one by one.
    pub fn requests(&self, materials: &[u8], ends: &[usize], keys: &mut [Digest]) {
        let mut from = 0;
        for (ends, keys) in ends.chunks(LANES).zip(keys.chunks_mut(LANES)) {
            let mut texts: [&[u8]; LANES] = [&[]; LANES];
            for (text, end) in texts.iter_mut().zip(ends) {
                *text = materials.get(from..*end).unwrap_or(&[]);
                from = *end;
            }
            let full = ends.len() == LANES;
            match full.then(|| side_by_side(&self.request, &texts)).flatten() {
                Some(digests) => keys.iter_mut().zip(digests).for_each(|(k, d)| *k = d),
                None => {
                    for (key, text) in keys.iter_mut().zip(texts) {
                        *key = self.request(text);
                    }
                }
            }
        }
    }

    /// Digest of the dialect's body fields.
    #[inline]
    pub fn body(&self, fields: &[u8]) -> Digest {
        digest(&self.body, fields)
    }

    /// Reference of a card number given in digits.
    #[inline]
    pub fn card(&self, pan: &[u8]) -> CardRef {
        let [low, high] = halves(&self.card);
        SipHasher24::new_with_keys(low, high)
            .hash(pan)
            .to_le_bytes()
    }
}

/// As bytes, low half first.
#[inline]
fn digest(key: &[u8; 16], bytes: &[u8]) -> Digest {
    let [low, high] = halves(key);
    let hash = SipHasher24of128::new_with_keys(low, high).hash(bytes);
    hash.as_u128().to_le_bytes()
}

/// Words of the longest texts that are hashed side by side.
const WORDS_MAX: usize = 24;

/// Digests of texts of one length; None where they are not.
#[inline]
fn side_by_side(key: &[u8; 16], texts: &[&[u8]; LANES]) -> Option<[Digest; LANES]> {
    let length = texts[0].len();
    let whole = length / 8;
    if whole >= WORDS_MAX || texts.iter().any(|text| text.len() != length) {
        return None;
    }
    let mut words = [[0; LANES]; WORDS_MAX];
    for (lane, text) in texts.iter().enumerate() {
        let (full, rest) = text.split_at(whole * 8);
        for (place, word) in words.iter_mut().zip(full.chunks_exact(8)) {
            place[lane] = word
                .first_chunk()
                .map_or(0, |word| u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest) {
            *place = *byte;
        }
        last[7] = length as u8;
        words.get_mut(whole)?[lane] = u64::from_le_bytes(last);
    }
    let digests = siphash(halves(key), words.get(..=whole)?)?;
    let bytes = |[low, high]: [u64; 2]| (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
    Some(digests.map(bytes))
}

#[inline]
fn halves(key: &[u8; 16]) -> [u64; 2] {
    let whole = u128::from_le_bytes(*key);
    [whole as u64, (whole >> 64) as u64]
}

impl Drop for Digester {
    fn drop(&mut self) {
        self.request.zeroize();
        self.body.zeroize();
        self.card.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digester() -> Digester {
        Digester::new([1; 16], [2; 16])
    }

    #[test]
    fn every_part_matters() {
        let d = digester();
        let base = d.request(b"abc");
        assert_eq!(base, d.request(b"abc"));
        for other in [
            d.request(b"abd"),
            d.body(b"abc"),
            Digester::new([3; 16], [2; 16]).request(b"abc"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn digests_are_those_of_the_library_that_journals_were_written_with() {
        let key: [u8; 16] = std::array::from_fn(|at| at as u8);
        for length in [0, 1, 7, 8, 63, 64] {
            let text: Vec<u8> = (0..length).collect();
            let expected = SipHasher24of128::new_with_key(&key).hash(&text).as_bytes();
            assert_eq!(digest(&key, &text), expected);
        }
    }

    #[test]
    fn side_by_side_or_one_by_one_digests_are_the_same() {
        let d = digester();
        let text: Vec<u8> = (0..=255).cycle().take(40_000).collect();
        for count in [0, 1, 7, 8, 9, 16, 31, 32] {
            for length in [0, 1, 7, 8, 9, 63, 64, 66, 71, 72, 191, 192, 250, 300] {
                for other in [0, length + 1] {
                    // One of another length among them, or none.
                    let mut end = 0;
                    let ends: Vec<usize> = (0..count)
                        .map(|at| {
                            end += if at == 3 && other > 0 { other } else { length };
                            end
                        })
                        .collect();
                    let mut keys = vec![[0; 16]; count];
                    d.requests(&text, &ends, &mut keys);
                    let mut from = 0;
                    for (key, end) in keys.iter().zip(&ends) {
                        assert_eq!(*key, d.request(&text[from..*end]), "{count} {length}");
                        from = *end;
                    }
                }
            }
        }
    }

    #[test]
    fn cards_depend_on_their_key_alone() {
        let pan = b"6299001234567890";
        assert_eq!(
            digester().card(pan),
            Digester::new([9; 16], [2; 16]).card(pan)
        );
        assert_ne!(
            digester().card(pan),
            Digester::new([1; 16], [3; 16]).card(pan)
        );
        assert_ne!(digester().card(pan), digester().card(b"6299001234567891"));
    }
}
