//! What a verified tap carries with it: the card behind the token as the vault had it at that moment, and the proof.
//!
//! It is attached to the request's message, lives as long as the request is in flight, and is wiped with it. Nothing of
//! it becomes a Python object.

use std::any::Any;
use std::fmt;

use zeroize::Zeroize;

use crate::codec::message::Message;
use crate::codec::name::{Attachment, Name, Source};
use crate::emv::Proof;
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
