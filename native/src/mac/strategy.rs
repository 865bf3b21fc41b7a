//! How bytes become a message code: the algorithms of the field, each with its parameters as data.
//!
//! | name | rule |
//! |---|---|
//! | CUP-ECB | all blocks folded by exclusive or; the hexadecimal digits of the result are two blocks of text; the first is encrypted, the second laid over it, the sum encrypted again |
//! | X9.9 | the last block of a chain under one key |
//! | X9.19 | the same under the first half, then decrypted under the second half and encrypted under the first |
//!
//! What is called "ECB" by those who use it is no electronic code book. Acquirers vary four things of it, so all four
//! are parameters: length of the key, block cipher, chain (the fold, or a plain chain over the message) and form (the
//! first eight hexadecimal digits of the last block, or its bytes). Input is filled up with zeros.
//!
//! Source: ANSI X9.9, X9.19, ISO/IEC 9797-1 algorithms 1 and 3; POS terminal specifications of China UnionPay as quoted
//! by public captures; the vectors in tests/vectors/mac.toml name theirs.

use subtle::ConstantTimeEq;
use thiserror::Error;

use super::key::{Cipher, Key, Schedule, word};

/// Bytes of field 64 and field 128.
pub const CODE_BYTES: usize = 8;

/// The algorithms, by the names that links know them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    CupEcb,
    X99,
    X919,
}

impl Name {
    pub const ALL: [(Name, &str); 3] = [
        (Name::CupEcb, "cup-ecb"),
        (Name::X99, "x9.9"),
        (Name::X919, "x9.19"),
    ];

    pub fn of_name(name: &str) -> Option<Name> {
        let found = Name::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(algorithm, _)| *algorithm)
    }
}

/// How the blocks of a message become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Folded by exclusive or, then two encryptions of the digits of the result.
    Xor,
    /// Each encrypted with what came before it.
    Cbc,
    /// As Cbc under the first half of the key, with a triple encryption at the end.
    Retail,
}

/// How a code is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The first four bytes of the last block as eight upper-case hexadecimal digits.
    Hex,
    /// The first bytes of the last block: 8, or 4 with zeros behind them.
    Binary(u8),
}

/// Parameters that make no strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StrategyFault {
    #[error("x9.9 is single DES, key length 8, in a chain")]
    X99,
    #[error("x9.19 is triple DES, key length 16, in a chain")]
    X919,
    #[error("cup-ecb has the chain xor or cbc")]
    CupEcb,
    #[error("a code is 8 or 4 bytes long, and 8 in hexadecimal form")]
    Length,
}

/// How one link makes codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    cipher: Cipher,
    chain: Chain,
    form: Form,
}

impl Strategy {
    pub fn new(
        name: Name,
        cipher: Cipher,
        chain: Chain,
        form: Form,
    ) -> Result<Strategy, StrategyFault> {
        match (name, cipher, chain) {
            (Name::CupEcb, _, Chain::Xor | Chain::Cbc) => {}
            (Name::CupEcb, ..) => return Err(StrategyFault::CupEcb),
            (Name::X99, Cipher::Des, Chain::Cbc) => {}
            (Name::X99, ..) => return Err(StrategyFault::X99),
            (Name::X919, Cipher::Tdes, Chain::Retail) => {}
            (Name::X919, ..) => return Err(StrategyFault::X919),
        }
        match form {
            Form::Hex | Form::Binary(4 | 8) => Ok(Strategy {
                cipher,
                chain,
                form,
            }),
            Form::Binary(_) => Err(StrategyFault::Length),
        }
    }

    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The code over `data`, as field 64 or 128 has it in normal form. None when the key is of another cipher.
    #[inline]
    pub fn code(&self, key: &Key, data: &[u8]) -> Option<[u8; CODE_BYTES]> {
        let last = match (&key.schedule, self.chain) {
            (Schedule::Des(_) | Schedule::Tdes(_), Chain::Xor) => folded(key, data),
            (Schedule::Des(des), Chain::Cbc) => des.chain(data),
            (Schedule::Tdes(tdes), Chain::Cbc) => tdes.chain(data),
            (Schedule::Tdes(tdes), Chain::Retail) => tdes.retail(data),
            (Schedule::Sm4(_), Chain::Xor) => word(&folded_wide(key, data)),
            (Schedule::Sm4(_), Chain::Cbc) => word(&chained_wide(key, data)),
            _ => return None,
        };
        if key.cipher() != self.cipher {
            return None;
        }
        let mut code = [0; CODE_BYTES];
        match self.form {
            Form::Hex => code = digits((last >> 32) as u32),
            Form::Binary(length) => {
                let kept = usize::from(length).min(CODE_BYTES);
                code[..kept].copy_from_slice(&last.to_be_bytes()[..kept]);
            }
        }
        Some(code)
    }

    /// Whether `given` is the code over `data`: compared in constant time.
    #[inline]
    pub fn proves(&self, key: &Key, data: &[u8], given: &[u8]) -> bool {
        self.code(key, data)
            .is_some_and(|code| code.ct_eq(given).into())
    }
}

/// Eight upper-case hexadecimal digits. Without a table, so that no memory is looked up by what is half a secret.
#[inline]
fn digits(value: u32) -> [u8; 8] {
    let mut out = [0; 8];
    for (place, digit) in out.iter_mut().enumerate() {
        let nibble = (value >> (28 - 4 * place) & 15) as u8;
        // 7 more from ten on: the letters stand behind the figures.
        *digit = b'0' + nibble + 7 * ((nibble + 6) >> 4);
    }
    out
}

fn folded(key: &Key, data: &[u8]) -> u64 {
    let mut blocks = data.chunks_exact(8);
    let mut sum = blocks.by_ref().fold(0, |sum, block| sum ^ word(block));
    let rest = blocks.remainder();
    if !rest.is_empty() {
        sum ^= word(rest) << (8 * (8 - rest.len()));
    }
    let (first, second) = (digits((sum >> 32) as u32), digits(sum as u32));
    let once = key.narrow(u64::from_be_bytes(first));
    key.narrow(once ^ u64::from_be_bytes(second))
}

fn folded_wide(key: &Key, data: &[u8]) -> [u8; 16] {
    let mut sum = [0u8; 16];
    for block in data.chunks(16) {
        lay_over(&mut sum, block);
    }
    let mut text = [0u8; 32];
    for (digits_of, bytes) in text.chunks_exact_mut(8).zip(sum.chunks_exact(4)) {
        digits_of.copy_from_slice(&digits((word(bytes)) as u32));
    }
    let mut first = [0; 16];
    first.copy_from_slice(&text[..16]);
    let mut once = key.wide(first);
    lay_over(&mut once, &text[16..]);
    key.wide(once)
}

fn chained_wide(key: &Key, data: &[u8]) -> [u8; 16] {
    let mut chain = [0u8; 16];
    for block in data.chunks(16) {
        lay_over(&mut chain, block);
        chain = key.wide(chain);
    }
    chain
}

fn lay_over(block: &mut [u8; 16], over: &[u8]) {
    for (byte, other) in block.iter_mut().zip(over) {
        *byte ^= other;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Strategy;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_are_hexadecimal() {
        assert_eq!(&digits(0x0123_4567), b"01234567");
        assert_eq!(&digits(0x89ab_cdef), b"89ABCDEF");
    }

    #[test]
    fn parameters_that_do_not_fit_are_refused() {
        let new = Strategy::new;
        let (hex, eight) = (Form::Hex, Form::Binary(8));
        assert!(new(Name::CupEcb, Cipher::Sm4, Chain::Xor, hex).is_ok());
        assert!(new(Name::CupEcb, Cipher::Des, Chain::Retail, hex).is_err());
        assert!(new(Name::X99, Cipher::Tdes, Chain::Cbc, eight).is_err());
        assert!(new(Name::X919, Cipher::Des, Chain::Retail, eight).is_err());
        assert!(new(Name::X919, Cipher::Tdes, Chain::Retail, Form::Binary(5)).is_err());
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_noticed(
            key: [u8; 16],
            data in prop::collection::vec(any::<u8>(), 1..200),
            at: prop::sample::Index,
            bit in 0u8..8,
            which in 0usize..4,
        ) {
            let (name, cipher, chain) = [
                (Name::CupEcb, Cipher::Des, Chain::Xor),
                (Name::CupEcb, Cipher::Sm4, Chain::Xor),
                (Name::X99, Cipher::Des, Chain::Cbc),
                (Name::X919, Cipher::Tdes, Chain::Retail),
            ][which];
            let strategy = Strategy::new(name, cipher, chain, Form::Binary(8)).unwrap();
            let key = Key::new(cipher, &key).unwrap();
            let code = strategy.code(&key, &data).unwrap();
            prop_assert!(strategy.proves(&key, &data, &code));
            let mut other = data.clone();
            other[at.index(data.len())] ^= 1 << bit;
            prop_assert!(!strategy.proves(&key, &other, &code));
            prop_assert!(!strategy.proves(&key, &data, &code[..7]));
            prop_assert!(!strategy.proves(&key, &data, b""));
        }

        #[test]
        fn a_key_of_another_cipher_proves_nothing(key: [u8; 16], data in prop::collection::vec(any::<u8>(), 1..40)) {
            let strategy = Strategy::new(Name::CupEcb, Cipher::Tdes, Chain::Xor, Form::Hex).unwrap();
            let key = Key::new(Cipher::Des, &key).unwrap();
            prop_assert_eq!(strategy.code(&key, &data), None);
        }
    }
}
