//! Every random byte of the cellar: salts, identifiers, keys, tokens. The kernel's, or a simulation's by its seed.
//!
//! While a simulation is on, bytes are SHA-256 of seed and block number: the same seed and the same order of draws give
//! the same journal, byte for byte. Such bytes are no secret; `simulation` does not begin beside a real journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

static SEEDED: AtomicBool = AtomicBool::new(false);
static STREAM: Mutex<Option<Bytes>> = Mutex::new(None);

/// Fills `out` with random bytes.
///
/// # Errors
/// When the kernel has none.
pub fn fill(out: &mut [u8]) -> Result<(), getrandom::Error> {
    if SEEDED.load(Ordering::Acquire) {
        let mut stream = STREAM.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = stream.as_mut() {
            bytes.fill(out);
            return Ok(());
        }
    }
    getrandom::fill(out)
}

/// From now on by this seed; None: from the kernel again. For `simulation` only, which judges who may.
pub(crate) fn seed(seed: Option<u64>) {
    let mut stream = STREAM.lock().unwrap_or_else(PoisonError::into_inner);
    *stream = seed.map(Bytes::new);
    SEEDED.store(stream.is_some(), Ordering::Release);
}

struct Bytes {
    seed: u64,
    block: u64,
}

impl Bytes {
    fn new(seed: u64) -> Bytes {
        Bytes { seed, block: 0 }
    }

    fn fill(&mut self, out: &mut [u8]) {
        for part in out.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(b"tapswitch simulation")
                .chain_update(self.seed.to_le_bytes())
                .chain_update(self.block.to_le_bytes())
                .finalize();
            part.copy_from_slice(&block[..part.len()]);
            self.block += 1;
        }
    }
}

/// Numbers of one seed for what may be drawn often: SplitMix64, small, known, the same on every machine.
///
/// **Source:** Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    #[must_use]
    pub fn new(seed: u64) -> SplitMix {
        SplitMix(seed)
    }

    /// The stream of this name under a seed: what one stream draws moves no other.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> SplitMix {
        let hash = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(name.as_bytes())
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        SplitMix(u64::from_le_bytes(first))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, 0 for none.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply and shift: its bias is under 2^-32 for the small bounds of a simulation.
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// True in `per_million` of a million draws.
    pub fn hits(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_its_bytes_and_another_seed_others() {
        let draw = |seed| {
            let (mut bytes, mut out) = (Bytes::new(seed), [0; 70]);
            bytes.fill(&mut out[..30]);
            bytes.fill(&mut out[30..]);
            out
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[..30], draw(1)[30..60]);
    }

    #[test]
    fn the_kernels_bytes_differ_each_time() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        fill(&mut a).unwrap();
        fill(&mut b).unwrap();
        assert_ne!(a, b);
    }

    #[test]
    fn split_mix_gives_the_published_numbers() {
        // Reference output for seed 1234567, from the generator's own test data.
        let mut random = SplitMix::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.draw()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
        assert_ne!(
            SplitMix::stream(1, "a").draw(),
            SplitMix::stream(1, "b").draw()
        );
        assert!((0..1000).all(|_| random.below(7) < 7));
        assert_eq!((random.below(1), random.hits(0)), (0, false));
        assert!(random.hits(1_000_000));
    }
}
