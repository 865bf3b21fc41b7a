//! Triple DES with two keys, in the shape that a cryptogram needs.
//!
//! Source: FIPS 46-3 (tables), ISO/IEC 9797-1 algorithm 3 (`Tdes::mac`). The tables below are FIPS's; what the rounds
//! look up is computed from them at compile time. Three things make this faster than a block cipher behind a general
//! interface: S-boxes with P already applied, no permutation between the parts of a triple encryption or of a chain
//! (IP is linear, so chaining works on permuted blocks too), and two independent blocks side by side.
//!
//! Like every DES with tables it is not constant in time towards somebody who shares the processor's cache; 6 KB of
//! tables are looked up by secrets. It never branches on a secret.

use zeroize::{Zeroize, ZeroizeOnDrop};

// Positions count from 1 at the most significant bit, as in the standard.

const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19,
    13, 30, 6, 22, 11, 4, 25,
];
const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60,
    52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29,
    21, 13, 5, 28, 20, 12, 4,
];
const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52,
    31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
const SHIFTS: [u32; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12,
        11, 9, 5, 3, 8, 4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9,
        1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1,
        10, 6, 9, 11, 5, 0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15,
        4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5,
        14, 12, 11, 15, 1, 13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6,
        9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2,
        12, 1, 10, 14, 9, 10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1,
        13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15,
        10, 3, 9, 8, 6, 4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14,
        2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13,
        14, 0, 11, 3, 8, 9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5,
        15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5,
        12, 2, 15, 8, 6, 1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4,
        10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6,
        11, 0, 14, 9, 2, 7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10,
        8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
];

/// S-box and P in one: what six bits of one group contribute to the round's output.
static SP: [[u32; 64]; 8] = sp();
/// Sixteen nibbles of a key to its 56 bits in the order of PC-1 (C above D, 28 bits each).
static CHOICE1: [[u64; 16]; 16] = choice1();
/// Fourteen nibbles of C and D to the bits of a round key, in the layout of `RoundKey`.
static CHOICE2: [[u64; 16]; 14] = choice2();

const fn sp() -> [[u32; 64]; 8] {
    let mut table = [[0; 64]; 8];
    let mut group = 0;
    while group < 8 {
        let mut six = 0;
        while six < 64 {
            let row = (six >> 5 & 1) << 1 | six & 1;
            let four = S[group][row * 16 + (six >> 1 & 15)] as u32;
            let before = four << (28 - 4 * group);
            let mut out = 0;
            let mut bit = 0;
            while bit < 32 {
                out |= (before >> (32 - P[bit] as u32) & 1) << (31 - bit);
                bit += 1;
            }
            table[group][six] = out;
            six += 1;
        }
        group += 1;
    }
    table
}

const fn choice1() -> [[u64; 16]; 16] {
    let mut table = [[0; 16]; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut value = 0;
        while value < 16 {
            let key = (value as u64) << (60 - 4 * nibble);
            let mut bit = 0;
            while bit < 56 {
                table[nibble][value] |= (key >> (64 - PC1[bit] as u32) & 1) << (55 - bit);
                bit += 1;
            }
            value += 1;
        }
        nibble += 1;
    }
    table
}

const fn choice2() -> [[u64; 16]; 14] {
    let mut table = [[0; 16]; 14];
    let mut nibble = 0;
    while nibble < 14 {
        let mut value = 0;
        while value < 16 {
            let halves = (value as u64) << (52 - 4 * nibble);
            let mut bit = 0;
            while bit < 48 {
                let set = halves >> (56 - PC2[bit] as u32) & 1;
                // Even groups stand in the upper word, odd ones in the lower; each in the top six bits of a byte.
                let group = bit / 6;
                let byte = (group & 1) * 4 + group / 2;
                table[nibble][value] |= set << (63 - (8 * byte + bit % 6));
                bit += 1;
            }
            value += 1;
        }
        nibble += 1;
    }
    table
}

/// A block after IP: the left and the right half.
type Halves = (u32, u32);

#[inline(always)]
const fn permute(block: u64) -> Halves {
    // IP as a transposition of the 8 × 8 bits and an order of its rows, by exchanges of ever smaller parts.
    let (mut l, mut r) = ((block >> 32) as u32, block as u32);
    let mut t = (l >> 4 ^ r) & 0x0f0f_0f0f;
    r ^= t;
    l ^= t << 4;
    t = (l >> 16 ^ r) & 0x0000_ffff;
    r ^= t;
    l ^= t << 16;
    t = (r >> 2 ^ l) & 0x3333_3333;
    l ^= t;
    r ^= t << 2;
    t = (r >> 8 ^ l) & 0x00ff_00ff;
    l ^= t;
    r ^= t << 8;
    t = (l >> 1 ^ r) & 0x5555_5555;
    r ^= t;
    l ^= t << 1;
    (l, r)
}

/// The inverse of `permute`.
#[inline(always)]
const fn restore((mut l, mut r): Halves) -> u64 {
    let mut t = (l >> 1 ^ r) & 0x5555_5555;
    r ^= t;
    l ^= t << 1;
    t = (r >> 8 ^ l) & 0x00ff_00ff;
    l ^= t;
    r ^= t << 8;
    t = (r >> 2 ^ l) & 0x3333_3333;
    l ^= t;
    r ^= t << 2;
    t = (l >> 16 ^ r) & 0x0000_ffff;
    r ^= t;
    l ^= t << 16;
    t = (l >> 4 ^ r) & 0x0f0f_0f0f;
    r ^= t;
    l ^= t << 4;
    (l as u64) << 32 | r as u64
}

/// The round keys of one DES key: the upper word holds groups 1, 3, 5, 7 of six bits, the lower 2, 4, 6, 8.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Schedule([u64; 16]);

impl Schedule {
    /// In place, so that no copy stays behind on the way.
    fn fill(&mut self, key: u64) {
        let mut halves = 0;
        for (nibble, row) in CHOICE1.iter().enumerate() {
            halves |= row[(key >> (60 - 4 * nibble) & 15) as usize];
        }
        let (mut c, mut d) = (halves >> 28, halves & 0x0fff_ffff);
        for (round, shift) in self.0.iter_mut().zip(SHIFTS) {
            *round = 0;
            c = (c << shift | c >> (28 - shift)) & 0x0fff_ffff;
            d = (d << shift | d >> (28 - shift)) & 0x0fff_ffff;
            let both = c << 28 | d;
            for (nibble, row) in CHOICE2.iter().enumerate() {
                *round |= row[(both >> (52 - 4 * nibble) & 15) as usize];
            }
        }
    }
}

#[inline(always)]
fn mix(right: u32, key: u64) -> u32 {
    let even = right.rotate_right(1) ^ (key >> 32) as u32;
    let odd = right.rotate_left(3) ^ key as u32;
    SP[0][(even >> 26) as usize]
        ^ SP[2][(even >> 18 & 63) as usize]
        ^ SP[4][(even >> 10 & 63) as usize]
        ^ SP[6][(even >> 2 & 63) as usize]
        ^ SP[1][(odd >> 26) as usize]
        ^ SP[3][(odd >> 18 & 63) as usize]
        ^ SP[5][(odd >> 10 & 63) as usize]
        ^ SP[7][(odd >> 2 & 63) as usize]
}

/// Sixteen rounds on permuted blocks; `N` blocks side by side keep the processor busy while one waits for its tables.
#[inline(always)]
fn rounds<'a, const N: usize>(
    mut blocks: [Halves; N],
    keys: impl Iterator<Item = &'a u64>,
) -> [Halves; N] {
    for key in keys {
        for (left, right) in &mut blocks {
            (*left, *right) = (*right, *left ^ mix(*right, *key));
        }
    }
    blocks.map(|(left, right)| (right, left))
}

/// A single-length key, ready. Only for what peers still do with it: message codes, and keys under a longer key.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Des(Schedule);

impl Des {
    pub fn new(key: u64) -> Des {
        let mut cipher = Des(Schedule([0; 16]));
        cipher.0.fill(key);
        cipher
    }

    pub fn encrypt(&self, block: u64) -> u64 {
        let [out] = rounds([permute(block)], self.0.0.iter());
        restore(out)
    }

    /// The last block of a chain that begins with zeros; `data` is filled up with zeros to whole blocks.
    pub fn chain(&self, data: &[u8]) -> u64 {
        let [end] = chained([(0, 0)], data, |blocks| rounds(blocks, self.0.0.iter()));
        restore(end)
    }
}

/// A chain over permuted blocks, the last one filled up with zeros.
#[inline(always)]
fn chained(
    mut chain: [Halves; 1],
    data: &[u8],
    step: impl Fn([Halves; 1]) -> [Halves; 1],
) -> [Halves; 1] {
    for block in data.chunks(8) {
        let filled = 8 * (8 - block.len() as u32);
        let block = block.iter().fold(0, |sum, b| sum << 8 | u64::from(*b));
        let (left, right) = permute(block << filled);
        chain = step([(chain[0].0 ^ left, chain[0].1 ^ right)]);
    }
    chain
}

/// A double-length key, ready: encrypts under its first half, decrypts under its second, encrypts again.
///
/// Parity bits are ignored, as DES does.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Tdes {
    first: Schedule,
    second: Schedule,
}

impl Tdes {
    /// Without a key yet: all round keys are zero. `fill` gives it one in place.
    pub fn blank() -> Tdes {
        Tdes {
            first: Schedule([0; 16]),
            second: Schedule([0; 16]),
        }
    }

    /// Takes the key as two halves.
    pub fn fill(&mut self, [first, second]: &[u64; 2]) {
        self.first.fill(*first);
        self.second.fill(*second);
    }

    /// A key that is at hand as two halves.
    pub fn new(halves: &[u64; 2]) -> Tdes {
        let mut cipher = Tdes::blank();
        cipher.fill(halves);
        cipher
    }

    /// Independent blocks, each encrypted by itself.
    pub fn encrypt<const N: usize>(&self, blocks: [u64; N]) -> [u64; N] {
        let mut halves = blocks.map(permute);
        halves = rounds(halves, self.first.0.iter());
        halves = rounds(halves, self.second.0.iter().rev());
        halves = rounds(halves, self.first.0.iter());
        halves.map(restore)
    }

    /// Independent blocks, each decrypted by itself.
    pub fn decrypt<const N: usize>(&self, blocks: [u64; N]) -> [u64; N] {
        let mut halves = blocks.map(permute);
        halves = rounds(halves, self.first.0.iter().rev());
        halves = rounds(halves, self.second.0.iter());
        halves = rounds(halves, self.first.0.iter().rev());
        halves.map(restore)
    }

    /// The last block of a chain of triple encryptions that begins with zeros; `data` is filled up with zeros.
    pub fn chain(&self, data: &[u8]) -> u64 {
        let [end] = chained([(0, 0)], data, |blocks| {
            let blocks = rounds(blocks, self.first.0.iter());
            let blocks = rounds(blocks, self.second.0.iter().rev());
            rounds(blocks, self.first.0.iter())
        });
        restore(end)
    }

    /// ISO/IEC 9797-1 algorithm 3: a chain under the first half of the key, a triple encryption at its end.
    ///
    /// `data` has a length that is a multiple of eight; what is left over is not in the result.
    pub fn mac(&self, data: &[u8]) -> u64 {
        self.retail(&data[..data.len() / 8 * 8])
    }

    /// As `mac`, with the last block filled up with zeros (ISO/IEC 9797-1 padding method 1).
    pub fn retail(&self, data: &[u8]) -> u64 {
        let mut chain = chained([(0, 0)], data, |blocks| rounds(blocks, self.first.0.iter()));
        chain = rounds(chain, self.second.0.iter().rev());
        let [end] = rounds(chain, self.first.0.iter());
        restore(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::des::cipher::{BlockCipherEncrypt, KeyInit};
    use proptest::prelude::*;

    fn theirs(key: [u64; 2], block: u64) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key[0].to_be_bytes());
        bytes[8..].copy_from_slice(&key[1].to_be_bytes());
        let mut out = block.to_be_bytes().into();
        ::des::TdesEde2::new(&bytes.into()).encrypt_block(&mut out);
        u64::from_be_bytes(out.0)
    }

    fn their_chain(key: [u64; 2], data: &[u8]) -> u64 {
        let single = |key: u64, block: u64| theirs([key, key], block);
        let blocks = data
            .chunks_exact(8)
            .map(|b| u64::from_be_bytes(b.try_into().unwrap_or_default()));
        let mut chain = 0;
        for block in blocks {
            chain = single(key[0], chain ^ block);
        }
        // The end of the chain is decrypted under one half and encrypted again under the other.
        let mut bytes = chain.to_be_bytes().into();
        ::des::cipher::BlockCipherDecrypt::decrypt_block(
            &::des::Des::new(&key[1].to_be_bytes().into()),
            &mut bytes,
        );
        single(key[0], u64::from_be_bytes(bytes.0))
    }

    #[test]
    fn keys_are_wiped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Tdes>();
        let mut schedule = Schedule([7; 16]);
        schedule.zeroize();
        assert_eq!(schedule.0, [0; 16]);
    }

    #[test]
    fn the_classic_block() {
        // FIPS 46 walk-through that every text book has.
        let key = 0x1334_5779_9bbc_dff1;
        let [out] = Tdes::new(&[key, key]).encrypt([0x0123_4567_89ab_cdef]);
        assert_eq!(out, 0x85e8_1354_0f0a_b405);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn permutations_are_inverse(block: u64) {
            prop_assert_eq!(restore(permute(block)), block);
        }

        #[test]
        fn blocks_are_those_of_the_crate(key: [u64; 2], blocks: [u64; 2]) {
            let cipher = Tdes::new(&key);
            prop_assert_eq!(cipher.encrypt(blocks), blocks.map(|block| theirs(key, block)));
            let [first, _] = blocks;
            prop_assert_eq!(cipher.encrypt([first]), [theirs(key, first)]);
        }

        #[test]
        fn chains_are_those_of_the_crate(key: [u64; 2], data in prop::collection::vec(any::<u8>(), 0..80)) {
            let whole = data.len() / 8 * 8;
            prop_assert_eq!(Tdes::new(&key).mac(&data), their_chain(key, &data[..whole]));
        }

        #[test]
        fn what_was_encrypted_is_decrypted(key: [u64; 2], blocks: [u64; 2]) {
            let cipher = Tdes::new(&key);
            prop_assert_eq!(cipher.decrypt(cipher.encrypt(blocks)), blocks);
            prop_assert_eq!(Des::new(key[0]).encrypt(blocks[0]), theirs([key[0], key[0]], blocks[0]));
        }

        #[test]
        fn a_last_block_is_filled_up_with_zeros(key: [u64; 2], data in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut filled = data.clone();
            filled.resize(data.len().next_multiple_of(8), 0);
            let blocks = || filled.chunks_exact(8).map(|b| u64::from_be_bytes(b.try_into().unwrap_or_default()));
            let cipher = Tdes::new(&key);
            prop_assert_eq!(cipher.retail(&data), their_chain(key, &filled));
            prop_assert_eq!(cipher.chain(&data), blocks().fold(0, |chain, block| theirs(key, chain ^ block)));
            let single = [key[0], key[0]];
            prop_assert_eq!(Des::new(key[0]).chain(&data), blocks().fold(0, |chain, block| theirs(single, chain ^ block)));
        }

        #[test]
        fn parity_bits_do_not_count(key: [u64; 2], block: u64) {
            let flipped = key.map(|half| half ^ 0x0101_0101_0101_0101);
            prop_assert_eq!(Tdes::new(&key).encrypt([block]), Tdes::new(&flipped).encrypt([block]));
        }
    }
}
