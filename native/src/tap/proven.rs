//! What a verified tap carries with it: the card behind the token as the vault had it at that moment, and the proof.
//!
//! It is attached to the request's message, lives as long as the request is in flight, and is wiped with it. Nothing of
//! it becomes a Python object.

use std::any::Any;
use std::fmt;

use zeroize::Zeroize;

use crate::codec::kind::RcClass;
use crate::codec::message::Message;
use crate::codec::name::{Attachment, Name, Proved, Source};
use crate::emv::Proof;
use crate::emv::profile::Method;
use crate::journal::record::PAN_BYTES_MAX;

/// The card behind a token, in the mapping that was in force.
#[derive(Clone, Default)]
pub struct Card {
    /// Digits, left-aligned; see `pan`.
    pub digits: [u8; PAN_BYTES_MAX],
    pub length: u8,
    /// YYMM; zeros when the vault has none.
    pub expiry: [u8; 4],
    /// Card sequence number, when the vault has one.
    pub sequence: Option<u8>,
}

impl Card {
    /// The card number in ASCII digits.
    pub fn pan(&self) -> &[u8] {
        self.digits.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

/// A tap that was proved.
pub struct Tap {
    pub card: Card,
    /// Sequence number of the token (field 23 of the terminal's leg).
    pub token_sequence: u8,
    /// The device's transaction counter: proved, and not seen before.
    pub atc: u16,
    /// Version of the token's mapping to the card.
    pub mapping_version: u32,
    /// Token requestor, 11 digits.
    pub requestor: [u8; 11],
    /// Token assurance method, 2 characters.
    pub assurance: [u8; 2],
    pub proof: Proof,
}

impl Tap {
    /// What was proved of a message; None for a plain card.
    pub fn of(message: &Message) -> Option<&Tap> {
        message.attached()?.as_any().downcast_ref()
    }
}

/// Card status update of method 2, second byte: the issuer approves (EMV 4.3 Book 2, 8.2.2; CCD, annex C10).
const APPROVES: u8 = 0x80;

impl Tap {
    /// What tag 91 tells the device: over the response code as it is sent, or over a card status update. Nothing when
    /// the bank has decided nothing.
    pub fn answer(&self, code: &[u8], outcome: RcClass) -> Vec<u8> {
        if !matches!(outcome, RcClass::Approve | RcClass::Decline) {
            return Vec::new();
        }
        let made = match self.proof.profile.method() {
            Method::One => match code.try_into() {
                Ok(code) => self.proof.answer_code(code).map(|auth| auth.to_vec()),
                Err(_) => Ok(Vec::new()),
            },
            Method::Two => {
                let approves = if outcome == RcClass::Approve {
                    APPROVES
                } else {
                    0
                };
                self.proof.answer_status([0, approves, 0, 0], &[])
            }
        };
        // The method is the profile's own, and there are no proprietary data.
        made.unwrap_or_default()
    }
}

/// A proved tap and its request: what a bank is told.
pub struct Vaulted<'a> {
    pub tap: &'a Tap,
    pub request: &'a Message,
}

impl Source for Vaulted<'_> {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        self.tap.normal(name, out)
    }

    fn proved(&self, what: Proved, out: &mut Vec<u8>) -> bool {
        match what {
            Proved::Result => out.push(b'1'),
            Proved::Token => return self.request.normal(Name::Pan, out),
            Proved::Requestor => out.extend_from_slice(&self.tap.requestor),
            Proved::Assurance => out.extend_from_slice(&self.tap.assurance),
        }
        true
    }
}

/// Never the card number.
impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("profile", &self.proof.profile.name())
            .finish_non_exhaustive()
    }
}

impl Attachment for Tap {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What may go to the bank in the place of the terminal's fields.
impl Source for Tap {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        match name {
            Name::Pan => {
                out.extend_from_slice(self.card.pan());
                true
            }
            Name::Expiry if self.card.expiry[0] != 0 => {
                out.extend_from_slice(&self.card.expiry);
                true
            }
            Name::CardSequence => match self.card.sequence {
                Some(sequence) => {
                    out.extend_from_slice(&[b'0', b'0' + sequence / 10 % 10, b'0' + sequence % 10]);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }
}
