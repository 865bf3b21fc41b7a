//! Issuer application data, tag 9F10, as Visa and UnionPay lay them out.
//!
//! Length, key index, cryptogram version, card verification results (length 03 and three bytes), for UnionPay the
//! algorithm; what follows is the issuer's own. Source: PBOC 3.0 part 5 annex, VIS 1.5 format 0/1/3.

use super::profile::Scheme;
use super::refusal::Refusal;

/// Bytes of tag 9F10 at most (EMV 4.3 Book 3, annex A).
pub const IAD_MAX: usize = 32;
/// Bytes of the card verification results, their length byte included.
pub const RESULTS_BYTES: usize = 4;

/// The parts of the data.
#[derive(Clone, Copy)]
pub struct Iad<'a> {
    /// Derivation key index: which of the issuer's master keys.
    pub index: u8,
    /// Cryptogram version.
    pub version: u8,
    pub results: [u8; RESULTS_BYTES],
    /// UnionPay's algorithm identifier; None where the data have none.
    pub algorithm: Option<u8>,
    pub whole: &'a [u8],
}

impl<'a> Iad<'a> {
    /// Reads the data of a card of `scheme`.
    pub fn parse(scheme: Scheme, whole: &'a [u8]) -> Result<Iad<'a>, Refusal> {
        let &[length, index, version, r0, r1, r2, r3, ref rest @ ..] = whole else {
            return Err(Refusal::IadFormat);
        };
        let algorithm = match (scheme, length, rest) {
            (Scheme::Visa | Scheme::UnionPay, 6, _) => None,
            (Scheme::UnionPay, 7, [algorithm, ..]) => Some(*algorithm),
            _ => return Err(Refusal::IadFormat),
        };
        if r0 != 3 || whole.len() > IAD_MAX {
            return Err(Refusal::IadFormat);
        }
        Ok(Iad {
            index,
            version,
            results: [r0, r1, r2, r3],
            algorithm,
            whole,
        })
    }

    /// True when the results say that the first GENERATE AC gave an ARQC and the second was not asked for.
    ///
    /// They mean something only where the cryptogram over them holds: tag 9F27 is not signed, these are.
    pub fn first_request(&self) -> bool {
        self.results[1] & 0xf0 == 0xa0
    }
}
