//! What the walk must know of a token, and its compact form.
//!
//! A value is: format, state, token sequence number, token expiry, card number (digit count and packed digits), card
//! expiry, card sequence number, requestor, assurance, mapping version, then the domain. Numbers are little-endian.

use std::fmt;

use zeroize::Zeroize;

use super::error::IndexError;
use crate::journal::record::PAN_BYTES_MAX;
use crate::tap::proven::Card;

/// Merchant categories that a domain names at most.
pub const MCCS_MAX: usize = 16;
/// Currencies that a domain names at most.
pub const CURRENCIES_MAX: usize = 8;
/// Bytes of a packed record at most, the key of the next one included.
pub const PACKED_BYTES_MAX: usize = 128;
/// Bytes of a token's key.
pub const KEY_BYTES: usize = 9;
const FORMAT: u8 = 1;
const PAN_PACKED: usize = 10;
const NO_SEQUENCE: u8 = 0xff;
const REQUESTOR_BOUND: u8 = 1;
const CEILING: u8 = 2;

/// A token's number: 8 to 19 digits. Not a card number, and no secret; it still does not belong into logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// Shorter numbers first, then by value: the order of the index.
    length: u8,
    value: u64,
}

impl Token {
    pub fn parse(digits: &[u8]) -> Option<Token> {
        if !(8..=PAN_BYTES_MAX).contains(&digits.len()) {
            return None;
        }
        let value = digits.iter().try_fold(0u64, |sum, byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit < 10).then_some(())?;
            sum.checked_mul(10)?.checked_add(u64::from(digit))
        })?;
        Some(Token {
            length: digits.len() as u8,
            value,
        })
    }

    /// The token of a key.
    pub fn from_key(key: &[u8]) -> Option<Token> {
        let (length, value) = key.split_first()?;
        Some(Token {
            length: *length,
            value: u64::from_be_bytes(value.try_into().ok()?),
        })
    }

    /// Key in the index, in the order of `Ord`.
    pub fn key(&self) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key[0] = self.length;
        key[1..].copy_from_slice(&self.value.to_be_bytes());
        key
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Token of {} digits>", self.length)
    }
}

/// The check digit that makes `digits` plus it a number of ISO/IEC 7812-1, annex B.
pub fn check_digit(digits: &[u8]) -> u8 {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') << u32::from(place % 2 == 0);
            digit / 10 + digit % 10
        })
        .sum();
    b'0' + ((10 - sum % 10) % 10) as u8
}

/// Life of a token (`switch.model.token.TokenState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenState {
    Requested = 1,
    Active = 2,
    Suspended = 3,
    Deleted = 4,
}

impl TokenState {
    pub fn from_u8(number: u8) -> Option<TokenState> {
        Some(match number {
            1 => TokenState::Requested,
            2 => TokenState::Active,
            3 => TokenState::Suspended,
            4 => TokenState::Deleted,
            _ => return None,
        })
    }
}

/// A short list of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Few<const N: usize> {
    length: u8,
    values: [u16; N],
}

impl<const N: usize> Default for Few<N> {
    fn default() -> Self {
        Few {
            length: 0,
            values: [0; N],
        }
    }
}

impl<const N: usize> Few<N> {
    /// None when there are too many.
    pub fn new(values: &[u16]) -> Option<Few<N>> {
        let mut few = Few::default();
        few.values.get_mut(..values.len())?.copy_from_slice(values);
        few.length = values.len() as u8;
        Some(few)
    }

    pub fn get(&self) -> &[u16] {
        self.values.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// What a token may be used for. An empty list, or 0, restricts nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Only with its own requestor in the message (tag 9F19).
    pub requestor_bound: bool,
    /// Bits of `switch.model.token.Channel`.
    pub channels: u16,
    pub mccs: Few<MCCS_MAX>,
    /// Minor units, and their numeric currency.
    pub ceiling: Option<(u64, u16)>,
    pub currencies: Few<CURRENCIES_MAX>,
    /// Unix seconds; the first at which it may be used.
    pub not_before_s: u32,
    /// Unix seconds; the first at which it may no longer be used.
    pub not_after_s: u32,
}

/// All of it.
#[derive(Clone)]
pub struct TokenRecord {
    pub state: TokenState,
    pub token_sequence: u8,
    /// YYMM.
    pub token_expiry: [u8; 4],
    pub card: Card,
    /// 11 digits.
    pub requestor: [u8; 11],
    pub assurance: [u8; 2],
    /// From 1.
    pub mapping_version: u32,
    pub domain: Domain,
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<TokenRecord {:?}>", self.state)
    }
}

impl TokenRecord {
    /// Appends the compact form, which holds the card number: seal it, and wipe it.
    pub fn pack(&self, out: &mut Vec<u8>) -> Result<(), IndexError> {
        let digits = self.card.pan();
        if !(8..=PAN_BYTES_MAX).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return Err(IndexError::Record("the card number"));
        }
        if self.token_sequence > 99 || self.card.sequence.is_some_and(|s| s > 99) {
            return Err(IndexError::Record("a sequence number"));
        }
        // 0 stands for a plain card where the walk remembers a request.
        if self.mapping_version == 0 {
            return Err(IndexError::Record("the mapping version"));
        }
        let expiry = yymm(&self.token_expiry).ok_or(IndexError::Record("the token's expiry"))?;
        let card_expiry = match self.card.expiry {
            [0, ..] => 0,
            text => yymm(&text).ok_or(IndexError::Record("the card's expiry"))?,
        };
        let requestor = number(&self.requestor).ok_or(IndexError::Record("the requestor"))?;
        out.extend_from_slice(&[FORMAT, self.state as u8, self.token_sequence]);
        out.extend_from_slice(&expiry.to_le_bytes());
        out.push(digits.len() as u8);
        let at = out.len();
        out.resize(at + PAN_PACKED, 0);
        for (place, digit) in digits.iter().enumerate() {
            out[at + place / 2] |= (digit - b'0') << (4 * (1 - place % 2));
        }
        out.extend_from_slice(&card_expiry.to_le_bytes());
        out.push(self.card.sequence.unwrap_or(NO_SEQUENCE));
        out.extend_from_slice(&requestor.to_le_bytes());
        out.extend_from_slice(&self.assurance);
        out.extend_from_slice(&self.mapping_version.to_le_bytes());
        self.domain.pack(out);
        Ok(())
    }

    /// Reads the compact form; None when it is not one.
    #[inline]
    pub fn unpack(packed: &[u8]) -> Option<TokenRecord> {
        let mut reader = Reader(packed);
        if reader.byte()? != FORMAT {
            return None;
        }
        let state = TokenState::from_u8(reader.byte()?)?;
        let token_sequence = reader.byte()?;
        let token_expiry = text(reader.u16()?)?;
        let length = reader.byte()?;
        let mut card = Card {
            length,
            ..Card::default()
        };
        let digits = reader.take(PAN_PACKED)?;
        if !(8..=PAN_BYTES_MAX).contains(&usize::from(length)) {
            return None;
        }
        for (place, digit) in card.digits.iter_mut().take(usize::from(length)).enumerate() {
            *digit = b'0' + (digits.get(place / 2)? >> (4 * (1 - place % 2)) & 15);
        }
        card.expiry = match reader.u16()? {
            0 => [0; 4],
            number => text(number)?,
        };
        card.sequence = Some(reader.byte()?).filter(|s| *s != NO_SEQUENCE);
        let mut requestor = [b'0'; 11];
        let mut number = u64::from_le_bytes(reader.array()?);
        for digit in requestor.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        let assurance = reader.array()?;
        let mapping_version = u32::from_le_bytes(reader.array()?);
        let domain = Domain::unpack(&mut reader)?;
        reader.0.is_empty().then_some(TokenRecord {
            state,
            token_sequence,
            token_expiry,
            card,
            requestor,
            assurance,
            mapping_version,
            domain,
        })
    }
}

impl Domain {
    fn pack(&self, out: &mut Vec<u8>) {
        let bound = if self.requestor_bound {
            REQUESTOR_BOUND
        } else {
            0
        };
        let (amount, currency) = self.ceiling.unwrap_or_default();
        out.push(bound | if self.ceiling.is_some() { CEILING } else { 0 });
        out.extend_from_slice(&self.channels.to_le_bytes());
        out.extend_from_slice(&amount.to_le_bytes());
        out.extend_from_slice(&currency.to_le_bytes());
        out.extend_from_slice(&self.not_before_s.to_le_bytes());
        out.extend_from_slice(&self.not_after_s.to_le_bytes());
        for list in [self.mccs.get(), self.currencies.get()] {
            out.push(list.len() as u8);
            for value in list {
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }

    #[inline]
    fn unpack(reader: &mut Reader<'_>) -> Option<Domain> {
        let flags = reader.byte()?;
        let channels = reader.u16()?;
        let amount = u64::from_le_bytes(reader.array()?);
        let currency = reader.u16()?;
        Some(Domain {
            requestor_bound: flags & REQUESTOR_BOUND != 0,
            channels,
            ceiling: (flags & CEILING != 0).then_some((amount, currency)),
            not_before_s: u32::from_le_bytes(reader.array()?),
            not_after_s: u32::from_le_bytes(reader.array()?),
            mccs: reader.few()?,
            currencies: reader.few()?,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn few<const N: usize>(&mut self) -> Option<Few<N>> {
        let length = self.byte()?;
        let mut few = Few {
            length,
            ..Few::default()
        };
        for value in few.values.get_mut(..usize::from(length))? {
            *value = self.u16()?;
        }
        Some(few)
    }
}

/// The number of digits; None when there are others.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| sum * 10 + u64::from(digit))
    })
}

/// YYMM as a number, when the month is one.
pub fn yymm(text: &[u8; 4]) -> Option<u16> {
    let number = number(text)? as u16;
    (1..=12).contains(&(number % 100)).then_some(number)
}

fn text(number: u16) -> Option<[u8; 4]> {
    let digit = |divisor: u16| b'0' + (number / divisor % 10) as u8;
    (number <= 9912).then(|| [digit(1000), digit(100), digit(10), digit(1)])
}

/// A buffer that has held a packed record.
pub fn wiped(packed: &mut Vec<u8>) {
    packed.as_mut_slice().zeroize();
    packed.clear();
}
