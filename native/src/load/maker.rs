//! Requests that are all different: one template, whose numbers are overwritten for each serial number.
//!
//! With `Taps` every request is a genuine tap: a token out of many in no order a cache could like, its counter one
//! higher each time its turn comes, and the cryptogram that its device would make.

use std::sync::Arc;

use super::frame::{self, PREFIX, Writer};
use crate::codec::tlv::Ber;
use crate::emv::chip::SIGNED;
use crate::emv::{Card, Iad, Profile, Ring, Scheme, make};
use crate::index::record::check_digit;

/// STANs run from 1 to this; a serial number is told from its STAN while fewer are in flight.
pub const STAN_MAX: u64 = 999_999;
/// Terminals that take turns; with the STAN they make a request unique for ten thousand million serials.
const TERMINALS: u64 = 1000;
/// Cards that take turns.
const CARDS: u64 = 4096;

/// Steps through the tokens: coprime to any count of them that has no other prime factors than 2 and 5.
const STRIDE: u64 = 618_033;
/// A card's number has nine digits of its own.
pub const TOKENS_MAX: u64 = 1_000_000_000;
/// Sequence number of all tokens and cards.
const SEQUENCE: u8 = 1;
/// Derivation key index in the application data.
const INDEX: u8 = 1;
const TAG_CRYPTOGRAM: u32 = 0x9f26;
const TAG_COUNTER: u32 = 0x9f36;
const TAG_IAD: u32 = 0x9f10;

/// EMV data of a contactless payment of 2.00 by UnionPay's version 01; the cryptogram in it is made up.
const ICC: &[u8] = b"\x9F\x26\x08\x12\x34\x56\x78\x9A\xBC\xDE\xF0\x9F\x27\x01\x80\x9F\x10\x18\x07\x01\x01\x03\xA0\x00\x00\x01\x0A\x01\x00\x00\x00\x00\x00\x5A\x5A\x5A\x5A\x00\x00\x00\x00\x00\x9F\x37\x04\x0B\xAD\xCA\xFE\x9F\x36\x02\x01\x32\x95\x05\x00\x00\x00\x00\x00\x9A\x03\x26\x11\x23\x9C\x01\x00\x9F\x02\x06\x00\x00\x00\x00\x02\x00\x9F\x03\x06\x00\x00\x00\x00\x00\x00\x5F\x2A\x02\x01\x56\x82\x02\x00\x00\x9F\x1A\x02\x01\x56\x84\x08\xA0\x00\x00\x03\x33\x01\x01\x01";

/// Whose taps to send.
#[derive(Clone)]
pub struct Taps {
    /// Has a key of UnionPay's under index 1 for the prefix.
    pub ring: Arc<Ring>,
    /// Tokens that take turns, at most `TOKENS_MAX`: those that `card` makes of the prefix and the numbers from 0.
    pub tokens: u64,
}

impl std::fmt::Debug for Taps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<Taps of {} tokens>", self.tokens)
    }
}

/// Where the parts of field 55 stand in the frame, and what is signed of it.
#[derive(Clone, Debug)]
struct Places {
    cryptogram: usize,
    counter: usize,
    signed: [u8; 33],
    iad: Vec<u8>,
}

/// A run of cryptograms made before they are needed.
#[derive(Clone, Debug, Default)]
struct Stock {
    first: u64,
    cryptograms: Vec<u64>,
}

/// Writes the request of any serial number into one buffer.
#[derive(Debug)]
pub struct Maker {
    frame: Vec<u8>,
    issuer: [u8; 6],
    cards: Vec<[u8; 16]>,
    taps: Option<Taps>,
    places: Places,
    stock: Stock,
    transmission_time: [u8; 10],
    pan: usize,
    stan: usize,
    rrn: usize,
    terminal: usize,
}

impl Maker {
    /// `issuer`: the six digits all cards begin with. `at_s` (Unix seconds, taken as UTC) dates every message this maker writes.
    #[must_use]
    pub fn new(issuer: [u8; 6], acquirer_code: &[u8], at_s: u64, taps: Option<Taps>) -> Self {
        let cards = (0..CARDS).map(|number| card(issuer, number)).collect();
        let date = Date::of(at_s);
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, *b"0200", false);
        writer.put(2, &[b'0'; 16]);
        writer.put(3, b"000000");
        writer.put(4, b"000000000200");
        writer.put(7, &date.transmission);
        writer.put(11, b"000000");
        writer.put(12, &date.transmission[4..]);
        writer.put(13, &date.transmission[..4]);
        writer.put(14, b"3012");
        writer.put(18, b"4111");
        writer.put(19, b"156");
        writer.put(22, b"071");
        writer.put(23, b"001");
        writer.put(25, b"00");
        writer.put(32, acquirer_code);
        writer.put(37, &[b'0'; 12]);
        writer.put(41, b"B0000000");
        writer.put(42, b"BENCH0000000001");
        writer.put(49, b"156");
        writer.put(55, ICC);
        writer.finish();
        let (mut pan, mut stan, mut rrn, mut terminal, mut icc) = (0, 0, 0, 0, 0);
        // The template was made above by the same layout, so the walk finds all five.
        let _ = frame::walk(&out[PREFIX..], |field| match field.number {
            2 => pan = field.offset,
            11 => stan = field.offset,
            37 => rrn = field.offset,
            41 => terminal = field.offset,
            55 => icc = field.offset,
            _ => {}
        });
        Self {
            frame: out,
            issuer,
            cards,
            taps,
            places: places(PREFIX + icc),
            stock: Stock::default(),
            transmission_time: date.transmission,
            pan: PREFIX + pan,
            stan: PREFIX + stan,
            rrn: PREFIX + rrn,
            terminal: PREFIX + terminal,
        }
    }

    /// Makes the cryptograms of `count` serial numbers from `first` on, so that `make` need not.
    pub fn prepare(&mut self, first: u64, count: u64) {
        let Some(taps) = self.taps.clone() else {
            return;
        };
        let cryptograms = (first..first + count)
            .map(|serial| self.cryptogram(&taps, serial))
            .collect();
        self.stock = Stock { first, cryptograms };
    }

    fn cryptogram(&mut self, taps: &Taps, serial: u64) -> u64 {
        let number = card(self.issuer, token_of(serial, taps.tokens));
        let signed = &mut self.places.signed;
        signed[31..].copy_from_slice(&counter_of(serial, taps.tokens).to_be_bytes());
        let scheme = Scheme::UnionPay;
        // Card and data are made above and sound; a ring without the key makes taps that nobody believes.
        let (Some(card), Ok(iad), Some(master)) = (
            Card::new(&number, SEQUENCE),
            Iad::parse(scheme, &self.places.iad),
            taps.ring.master(scheme, &number, INDEX),
        ) else {
            return 0;
        };
        make(master, &card, Profile::UnionPay01, signed, &iad)
    }

    /// Field 2, and of a tap its counter and cryptogram.
    fn put_card(&mut self, serial: u64) {
        let number = match self.taps.clone() {
            None => self.cards[(serial % CARDS) as usize],
            Some(taps) => {
                let ahead = serial.checked_sub(self.stock.first);
                let made = ahead.and_then(|at| self.stock.cryptograms.get(at as usize).copied());
                let cryptogram = made.unwrap_or_else(|| self.cryptogram(&taps, serial));
                let Places {
                    cryptogram: at,
                    counter,
                    ..
                } = self.places;
                self.frame[at..at + 8].copy_from_slice(&cryptogram.to_be_bytes());
                let atc = counter_of(serial, taps.tokens).to_be_bytes();
                self.frame[counter..counter + 2].copy_from_slice(&atc);
                card(self.issuer, token_of(serial, taps.tokens))
            }
        };
        self.frame[self.pan..self.pan + 16].copy_from_slice(&number);
    }

    /// The framed request of a serial number; the same number gives the same bytes.
    pub fn make(&mut self, serial: u64) -> &[u8] {
        self.put_card(serial);
        frame::write_decimal(&mut self.frame[self.stan..self.stan + 6], stan(serial));
        frame::write_decimal(&mut self.frame[self.rrn..self.rrn + 12], serial);
        let digits = self.terminal + 1..self.terminal + 8;
        frame::write_decimal(&mut self.frame[digits], terminal(serial));
        &self.frame
    }

    /// The framed reversal of a serial number's request, under the STAN of `own`. Field 90 names the original.
    pub fn reversal(&mut self, serial: u64, own: u64, mti: [u8; 4], at: [u8; 10]) -> Vec<u8> {
        let request = self.make(serial).to_vec();
        let body = &request[PREFIX..];
        let (mut original, mut forwarder) = ([b'0'; 42], [b'0'; 11]);
        original[..4].copy_from_slice(&body[..4]);
        // The template was made above by the same layout, so the walk finds all of them.
        let _ = frame::walk(body, |field| match field.number {
            7 => original[10..20].copy_from_slice(field.value),
            11 => original[4..10].copy_from_slice(field.value),
            32 => {
                let code = &field.value[..field.value.len().min(11)];
                forwarder[11 - code.len()..].copy_from_slice(code);
            }
            _ => {}
        });
        original[20..31].copy_from_slice(&forwarder);
        let mut stan_digits = [b'0'; 6];
        frame::write_decimal(&mut stan_digits, stan(own));
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, mti, true);
        let _ = frame::walk(body, |field| match field.number {
            7 => writer.put(7, &at),
            11 => writer.put(11, &stan_digits),
            2 | 3 | 4 | 12 | 13 | 25 | 32 | 37 | 41 | 42 | 49 => writer.copy(&field),
            _ => {}
        });
        writer.put(90, &original);
        writer.finish();
        out
    }

    /// Field 7 of every request, MMDDhhmmss.
    #[must_use]
    pub fn transmission_time(&self) -> [u8; 10] {
        self.transmission_time
    }

    /// Offset of field 11 in the framed request, and in every answer: all fields before it come back.
    #[must_use]
    pub fn stan_offset(&self) -> usize {
        self.stan
    }
}

/// Field 11 of a serial number.
#[must_use]
pub fn stan(serial: u64) -> u64 {
    1 + serial % STAN_MAX
}

fn terminal(serial: u64) -> u64 {
    (serial / STAN_MAX) * TERMINALS + serial % TERMINALS
}

/// True when fields 37 and 41 are those of the serial number.
#[must_use]
pub fn agrees(serial: u64, rrn: &[u8], terminal_id: &[u8]) -> bool {
    frame::decimal(rrn) == Some(serial)
        && terminal_id.first() == Some(&b'B')
        && frame::decimal(&terminal_id[1..]) == Some(terminal(serial))
}

/// Which token a serial number taps.
fn token_of(serial: u64, tokens: u64) -> u64 {
    (serial % tokens) * STRIDE % tokens
}

/// The transaction counter of that tap, 1 at the token's first.
fn counter_of(serial: u64, tokens: u64) -> u16 {
    (serial / tokens + 1) as u16
}

/// Finds the parts of the template's field 55, which begins at `start` of the frame.
fn places(start: usize) -> Places {
    let mut places = Places {
        cryptogram: 0,
        counter: 0,
        signed: [0; 33],
        iad: Vec::new(),
    };
    let base = ICC.as_ptr() as usize;
    for element in Ber::new(ICC).map_while(Result::ok) {
        let at = start + (element.value.as_ptr() as usize - base);
        match element.tag {
            TAG_CRYPTOGRAM => places.cryptogram = at,
            TAG_COUNTER => places.counter = at,
            TAG_IAD => places.iad = element.value.to_vec(),
            _ => {}
        }
        let mut into = 0;
        for (tag, length) in SIGNED {
            if tag == element.tag {
                places.signed[into..into + length].copy_from_slice(element.value);
            }
            into += length;
        }
    }
    places
}

/// The card or token of a number: issuer, nine digits, check digit.
pub fn card(issuer: [u8; 6], number: u64) -> [u8; 16] {
    let mut pan = [b'0'; 16];
    pan[..6].copy_from_slice(&issuer);
    frame::write_decimal(&mut pan[6..15], number);
    pan[15] = check_digit(&pan[..15]);
    pan
}

struct Date {
    /// MMDDhhmmss, UTC.
    transmission: [u8; 10],
}

impl Date {
    /// Civil date from days since 1970 by the era method (Howard Hinnant, "chrono-compatible low-level date algorithms").
    fn of(at_s: u64) -> Self {
        let days = at_s / 86_400 + 719_468;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let second = at_s % 86_400;
        let clock = second / 3600 * 10_000 + second / 60 % 60 * 100 + second % 60;
        let mut transmission = [b'0'; 10];
        frame::write_decimal(&mut transmission, (month * 100 + day) * 1_000_000 + clock);
        Self { transmission }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::emv::{CardMaster, Derivation, MasterFault};

    fn fields(frame: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut found = Vec::new();
        assert!(
            frame::walk(&frame[PREFIX..], |f| found
                .push((f.number, f.value.to_vec())))
            .is_some()
        );
        found
    }

    #[test]
    fn every_serial_is_another_request() {
        let mut maker = Maker::new(*b"629900", b"10000001", 1_795_000_000, None);
        let mut seen = HashSet::new();
        for serial in (0..5000).chain(STAN_MAX - 5..STAN_MAX + 5000) {
            assert!(seen.insert(maker.make(serial).to_vec()), "{serial}");
        }
    }

    #[test]
    fn a_request_is_what_a_terminal_sends() {
        let mut maker = Maker::new(*b"629900", b"10000001", 1_795_000_000, None);
        let frame = maker.make(1_000_123).to_vec();
        assert!((250..=290).contains(&frame.len()), "{}", frame.len());
        let fields = fields(&frame);
        assert_eq!(fields.len(), 19);
        let value = |number| {
            fields
                .iter()
                .find(|(n, _)| *n == number)
                .map(|(_, v)| v.clone())
        };
        assert_eq!(value(11), Some(b"000125".to_vec()));
        assert_eq!(value(37), Some(b"000001000123".to_vec()));
        assert_eq!(value(41), Some(b"B0001123".to_vec()));
        assert!(agrees(1_000_123, b"000001000123", b"B0001123"));
        assert!(!agrees(1_000_124, b"000001000123", b"B0001123"));
        let stan = maker.stan_offset();
        assert_eq!(&frame[stan..stan + 6], b"000125");
    }

    #[test]
    fn a_reversal_names_its_original_and_carries_no_chip_data() {
        let mut maker = Maker::new(*b"629900", b"10000001", 1_795_000_000, None);
        let request = fields(maker.make(7));
        let frame = maker.reversal(7, 9, *b"0420", *b"1123170001");
        assert_eq!(&frame[PREFIX..PREFIX + 4], b"0420");
        let reversal = fields(&frame);
        let numbers: Vec<u8> = reversal.iter().map(|(number, _)| *number).collect();
        assert_eq!(
            numbers,
            [2, 3, 4, 7, 11, 12, 13, 25, 32, 37, 41, 42, 49, 90]
        );
        let of = |from: &[(u8, Vec<u8>)], number| {
            from.iter()
                .find(|(n, _)| *n == number)
                .map(|(_, v)| v.clone())
                .unwrap()
        };
        assert_eq!(of(&reversal, 37), of(&request, 37));
        assert_eq!(of(&reversal, 11), b"000010");
        let original = [b"0200".to_vec(), of(&request, 11), of(&request, 7)].concat();
        assert_eq!(of(&reversal, 90)[..20], original);
        assert_eq!(&of(&reversal, 90)[20..], b"0001000000100000000000");
    }

    /// A ring with the key that a scheme prints in its examples.
    fn ring() -> Ring {
        let halves = [0xF0C3_4A81_24CE_E0A9, 0x1A0B_034A_A97D_6EAC];
        let found = match CardMaster::new(&halves, Derivation::A, [0; 3]) {
            Err(MasterFault::CheckValue { found, .. }) => found,
            _ => String::new(),
        };
        let byte = |at: usize| u8::from_str_radix(&found[at..at + 2], 16).unwrap_or(0);
        let master = CardMaster::new(&halves, Derivation::A, [byte(0), byte(2), byte(4)]);
        let mut ring = Ring::default();
        ring.add(Scheme::UnionPay, b"629977", INDEX, master.unwrap())
            .unwrap();
        ring
    }

    #[test]
    fn taps_are_genuine_and_no_two_share_token_and_counter() {
        let taps = Taps {
            ring: Arc::new(ring()),
            tokens: 1000,
        };
        let ring = ring();
        let mut maker = Maker::new(*b"629977", b"10000001", 1_795_000_000, Some(taps));
        maker.prepare(500, 1000);
        let mut seen = HashSet::new();
        for serial in (0..2500).step_by(3) {
            let frame = maker.make(serial).to_vec();
            let fields = fields(&frame);
            let value = |n| fields.iter().find(|(m, _)| *m == n).map(|(_, v)| v.clone());
            let (token, icc) = (value(2).unwrap(), value(55).unwrap());
            let card = Card::new(&token, SEQUENCE).unwrap();
            let counter = match ring.verify(&icc, &card, 200, 156) {
                Ok(proof) => proof.counter,
                Err(refusal) => {
                    assert_eq!(refusal.reason(), "genuine", "{serial}");
                    0
                }
            };
            assert!(seen.insert((token, counter)), "{serial}");
        }
    }

    #[test]
    fn cards_pass_luhn() {
        for number in 0..CARDS {
            let sum: u32 = card(*b"629900", number)
                .iter()
                .rev()
                .enumerate()
                .map(|(place, byte)| {
                    let digit = u32::from(byte - b'0') << u32::from(place % 2 == 1);
                    digit / 10 + digit % 10
                })
                .sum();
            assert_eq!(sum % 10, 0);
        }
    }

    #[test]
    fn dates_are_civil() {
        assert_eq!(&Date::of(951_782_399).transmission, b"0228235959");
        assert_eq!(&Date::of(951_782_400).transmission, b"0229000000");
        assert_eq!(&Date::of(1_795_454_445).transmission, b"1123172045");
    }
}
