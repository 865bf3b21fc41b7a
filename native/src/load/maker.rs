//! Requests that are all different: one template, whose numbers are overwritten for each serial number.

use super::frame::{self, PREFIX, Writer};

/// STANs run from 1 to this; a serial number is told from its STAN while fewer are in flight.
pub const STAN_MAX: u64 = 999_999;
/// Terminals that take turns; with the STAN they make a request unique for ten thousand million serials.
const TERMINALS: u64 = 1000;
/// Cards that take turns.
const CARDS: u64 = 4096;

/// EMV data of a contactless payment of 2.00; made up, and nothing that may not be stored.
const ICC: &[u8] = b"\x9F\x26\x08\x12\x34\x56\x78\x9A\xBC\xDE\xF0\x9F\x27\x01\x80\x9F\x10\x18\x07\x01\x01\x03\xA0\x00\x00\x01\x0A\x01\x00\x00\x00\x00\x00\x5A\x5A\x5A\x5A\x00\x00\x00\x00\x00\x9F\x37\x04\x0B\xAD\xCA\xFE\x9F\x36\x02\x01\x32\x95\x05\x00\x00\x00\x00\x00\x9A\x03\x26\x11\x23\x9C\x01\x00\x9F\x02\x06\x00\x00\x00\x00\x02\x00\x5F\x2A\x02\x01\x56\x82\x02\x00\x00\x9F\x1A\x02\x01\x56";

/// Writes the request of any serial number into one buffer.
#[derive(Debug)]
pub struct Maker {
    frame: Vec<u8>,
    cards: Vec<[u8; 16]>,
    transmission_time: [u8; 10],
    pan: usize,
    stan: usize,
    rrn: usize,
    terminal: usize,
}

impl Maker {
    /// `issuer`: the six digits all cards begin with. `at_s` (Unix seconds, taken as UTC) dates every message this maker writes.
    #[must_use]
    pub fn new(issuer: [u8; 6], acquirer_code: &[u8], at_s: u64) -> Self {
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
        let (mut pan, mut stan, mut rrn, mut terminal) = (0, 0, 0, 0);
        // The template was made above by the same layout, so the walk finds all four.
        let _ = frame::walk(&out[PREFIX..], |field| match field.number {
            2 => pan = field.offset,
            11 => stan = field.offset,
            37 => rrn = field.offset,
            41 => terminal = field.offset,
            _ => {}
        });
        Self {
            frame: out,
            cards,
            transmission_time: date.transmission,
            pan: PREFIX + pan,
            stan: PREFIX + stan,
            rrn: PREFIX + rrn,
            terminal: PREFIX + terminal,
        }
    }

    /// The framed request of a serial number; the same number gives the same bytes.
    pub fn make(&mut self, serial: u64) -> &[u8] {
        let card = self.cards[(serial % CARDS) as usize];
        self.frame[self.pan..self.pan + 16].copy_from_slice(&card);
        frame::write_decimal(&mut self.frame[self.stan..self.stan + 6], stan(serial));
        frame::write_decimal(&mut self.frame[self.rrn..self.rrn + 12], serial);
        let digits = self.terminal + 1..self.terminal + 8;
        frame::write_decimal(&mut self.frame[digits], terminal(serial));
        &self.frame
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

fn card(issuer: [u8; 6], number: u64) -> [u8; 16] {
    let mut pan = [b'0'; 16];
    pan[..6].copy_from_slice(&issuer);
    frame::write_decimal(&mut pan[6..15], number);
    // Luhn: from the right, every second digit before the check digit counts double.
    let sum: u32 = pan[..15]
        .iter()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') << u32::from(place % 2 == 0);
            digit / 10 + digit % 10
        })
        .sum();
    pan[15] = b'0' + ((10 - sum % 10) % 10) as u8;
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
mod tests {
    use std::collections::HashSet;

    use super::*;

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
        let mut maker = Maker::new(*b"629900", b"10000001", 1_795_000_000);
        let mut seen = HashSet::new();
        for serial in (0..5000).chain(STAN_MAX - 5..STAN_MAX + 5000) {
            assert!(seen.insert(maker.make(serial).to_vec()), "{serial}");
        }
    }

    #[test]
    fn a_request_is_what_a_terminal_sends() {
        let mut maker = Maker::new(*b"629900", b"10000001", 1_795_000_000);
        let frame = maker.make(1_000_123).to_vec();
        assert!((230..=270).contains(&frame.len()), "{}", frame.len());
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
