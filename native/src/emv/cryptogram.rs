//! The proof of a cryptogram, and the issuer's answer to it.

use subtle::ConstantTimeEq;
use thiserror::Error;

use super::chip::{Chip, SIGNED_BYTES};
use super::iad::{Iad, RESULTS_BYTES};
use super::key::{Card, CardMaster, SessionKey};
use super::profile::{Method, Padding, Profile};
use super::refusal::Refusal;

/// Bytes of proprietary data that method 2 takes at most.
pub const PROPRIETARY_MAX: usize = 8;

/// A cryptogram that held. Keeps the session key for the answer, and wipes it when dropped.
pub struct Proof {
    pub profile: Profile,
    /// The card's transaction counter: authenticated, not yet compared with earlier ones.
    pub counter: u16,
    /// Which of the issuer's keys.
    pub index: u8,
    /// Which version of that key, of those that the ring has: it tells when a rotation may end.
    pub version: u16,
    /// Card verification results, authenticated.
    pub results: [u8; RESULTS_BYTES],
    pub(super) cryptogram: u64,
    pub(super) session: SessionKey,
}

/// An answer was asked for that the profile does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MethodFault {
    #[error("the profile answers by the other method")]
    Other,
    #[error("proprietary data have at most 8 bytes")]
    Proprietary,
}

/// Proves that `card` made the cryptogram over the data that `chip` holds, as its first and as a request.
///
/// The comparison takes the same time for every cryptogram.
pub fn prove(
    master: &CardMaster,
    card: &Card<'_>,
    profile: Profile,
    chip: &Chip<'_>,
    iad: &Iad<'_>,
) -> Result<Proof, Refusal> {
    let counter = chip.counter();
    let session = master.card(card).session(profile.session(), counter);
    let expected = made_with(&session, profile, &chip.signed, iad);
    if !bool::from(expected.ct_eq(&chip.cryptogram)) {
        return Err(Refusal::Cryptogram);
    }
    if !iad.first_request() {
        return Err(Refusal::Results);
    }
    Ok(Proof {
        profile,
        counter,
        index: iad.index,
        version: 0,
        results: iad.results,
        cryptogram: chip.cryptogram,
        session,
    })
}

/// The cryptogram that a genuine device makes over `signed` (the values of `chip::SIGNED`, the counter among them) and
/// its application data: for devices in software.
pub fn make(
    master: &CardMaster,
    card: &Card<'_>,
    profile: Profile,
    signed: &[u8; SIGNED_BYTES],
    iad: &Iad<'_>,
) -> u64 {
    let counter = u16::from_be_bytes([signed[SIGNED_BYTES - 2], signed[SIGNED_BYTES - 1]]);
    let session = master.card(card).session(profile.session(), counter);
    made_with(&session, profile, signed, iad)
}

pub(super) fn made_with(
    session: &SessionKey,
    profile: Profile,
    signed: &[u8; SIGNED_BYTES],
    iad: &Iad<'_>,
) -> u64 {
    session.mac(signed, profile.tail(iad), profile.padding())
}

impl Proof {
    /// Tag 91 by method 1: the ARPC and the response code as it is sent to the terminal.
    pub fn answer_code(&self, code: [u8; 2]) -> Result<[u8; 10], MethodFault> {
        if self.profile.method() != Method::One {
            return Err(MethodFault::Other);
        }
        let block = self.cryptogram ^ u64::from(u16::from_be_bytes(code)) << 48;
        let mut tag = [0; 10];
        tag[..8].copy_from_slice(&self.session.encrypt(block).to_be_bytes());
        tag[8..].copy_from_slice(&code);
        Ok(tag)
    }

    /// Tag 91 by method 2: the ARPC, the card status update, and proprietary data.
    pub fn answer_status(
        &self,
        status: [u8; 4],
        proprietary: &[u8],
    ) -> Result<Vec<u8>, MethodFault> {
        if self.profile.method() != Method::Two {
            return Err(MethodFault::Other);
        }
        if proprietary.len() > PROPRIETARY_MAX {
            return Err(MethodFault::Proprietary);
        }
        let mut head = [0; 12];
        head[..8].copy_from_slice(&self.cryptogram.to_be_bytes());
        head[8..].copy_from_slice(&status);
        let mac = self.session.mac(&head, proprietary, Padding::Marked);
        let mut tag = Vec::with_capacity(8 + proprietary.len());
        tag.extend_from_slice(&mac.to_be_bytes()[..4]);
        tag.extend_from_slice(&status);
        tag.extend_from_slice(proprietary);
        Ok(tag)
    }
}
