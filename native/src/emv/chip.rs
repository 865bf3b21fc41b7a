//! What a cryptogram needs of field 55, read in one pass and checked for presence, number and length.

use super::profile::Scheme;
use super::refusal::Refusal;
use crate::codec::tlv::Ber;

/// The data that every profile signs first, in this order: tag and length in bytes (EMV 4.3 Book 2, 8.1.1).
pub const SIGNED: [(u32, usize); 10] = [
    (0x9f02, 6),
    (0x9f03, 6),
    (0x9f1a, 2),
    (0x95, 5),
    (0x5f2a, 2),
    (0x9a, 3),
    (0x9c, 1),
    (0x9f37, 4),
    (0x82, 2),
    (0x9f36, 2),
];
/// Bytes of all of `SIGNED`.
pub const SIGNED_BYTES: usize = 33;
const CRYPTOGRAM: u32 = 0x9f26;
const INFORMATION: u32 = 0x9f27;
const IAD: u32 = 0x9f10;
const AIDS: [u32; 3] = [0x84, 0x4f, 0x9f06];
/// Bits of `seen` after those of `SIGNED`.
const NEEDED: [u32; 3] = [CRYPTOGRAM, INFORMATION, IAD];

/// The tags of one tap.
#[derive(Clone)]
pub struct Chip<'a> {
    /// Values of `SIGNED`, joined.
    pub signed: [u8; SIGNED_BYTES],
    /// Tag 9F26.
    pub cryptogram: u64,
    /// Tag 9F27.
    pub information: u8,
    /// Tag 9F10, as it came.
    pub iad: &'a [u8],
    /// What the application identifiers say; None without one.
    pub scheme: Option<Scheme>,
}

impl<'a> Chip<'a> {
    /// Reads the value of field 55. Tags that no profile reads are passed over.
    pub fn parse(field: &'a [u8]) -> Result<Chip<'a>, Refusal> {
        let mut chip = Chip {
            signed: [0; SIGNED_BYTES],
            cryptogram: 0,
            information: 0,
            iad: &[],
            scheme: None,
        };
        let mut seen = 0u32;
        for element in Ber::new(field) {
            let element = element.map_err(|_| Refusal::FieldFormat)?;
            let Some(bit) = chip.take(element.tag, element.value)? else {
                continue;
            };
            if seen & bit != 0 {
                return Err(Refusal::TagTwice(element.tag));
            }
            seen |= bit;
        }
        let needed = SIGNED.iter().map(|(tag, _)| *tag).chain(NEEDED);
        match needed.enumerate().find(|(place, _)| seen >> place & 1 == 0) {
            Some((_, tag)) => Err(Refusal::TagMissing(tag)),
            None => Ok(chip),
        }
    }

    /// Keeps the value of a tag that is read; its bit, or None for another tag.
    fn take(&mut self, tag: u32, value: &'a [u8]) -> Result<Option<u32>, Refusal> {
        let mut at = 0;
        for (place, (signed, length)) in SIGNED.into_iter().enumerate() {
            if tag == signed {
                if value.len() != length {
                    return Err(Refusal::TagLength(tag));
                }
                self.signed[at..at + length].copy_from_slice(value);
                return Ok(Some(1 << place));
            }
            at += length;
        }
        match tag {
            CRYPTOGRAM => {
                let bytes = value.try_into().map_err(|_| Refusal::TagLength(tag))?;
                self.cryptogram = u64::from_be_bytes(bytes);
                Ok(Some(1 << 10))
            }
            INFORMATION => {
                let [byte] = value else {
                    return Err(Refusal::TagLength(tag));
                };
                self.information = *byte;
                Ok(Some(1 << 11))
            }
            IAD => {
                self.iad = value;
                Ok(Some(1 << 12))
            }
            _ if AIDS.contains(&tag) => self.application(tag, value).map(Some),
            _ => Ok(None),
        }
    }

    fn application(&mut self, tag: u32, aid: &[u8]) -> Result<u32, Refusal> {
        if !(5..=16).contains(&aid.len()) {
            return Err(Refusal::TagLength(tag));
        }
        let scheme = Scheme::of_aid(aid).ok_or(Refusal::ApplicationUnknown)?;
        if self.scheme.is_some_and(|other| other != scheme) {
            return Err(Refusal::ApplicationsDiffer);
        }
        self.scheme = Some(scheme);
        let place = AIDS.iter().position(|other| *other == tag).unwrap_or(0);
        Ok(1 << (13 + place))
    }

    /// Tag 9F02.
    pub fn amount(&self) -> &[u8] {
        &self.signed[..6]
    }

    /// Tag 5F2A.
    pub fn currency(&self) -> &[u8] {
        &self.signed[19..21]
    }

    /// Tag 9F36.
    pub fn counter(&self) -> u16 {
        u16::from_be_bytes([self.signed[31], self.signed[32]])
    }

    /// True when tag 9F27 says ARQC; its lower bits are advice and reason.
    pub fn is_request(&self) -> bool {
        self.information & 0xc0 == 0x80
    }
}
