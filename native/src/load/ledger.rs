//! A bank's own books of a run: what it was asked, what it holds, what was reversed.
//!
//! Kept only when asked for: a bank that remembers costs a lock and a copy for each request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::frame;

/// What names a request at its bank: STAN and transmission time.
type Reference = ([u8; 6], [u8; 10]);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    Request,
    /// A STAN and time that was seen before: no switch may send one.
    Copy,
    /// Set money free.
    Released,
    /// Of a request that held nothing.
    Nothing,
    /// Of a request that is reversed already.
    Again,
    /// Of a request that is not known.
    Tombstone,
}

/// One line of the books. A reversal's reference is its original's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    pub saw: Saw,
    pub stan: [u8; 6],
    pub time: [u8; 10],
    pub rrn: Vec<u8>,
    pub terminal: Vec<u8>,
    pub acquirer: Vec<u8>,
    pub amount: u64,
    pub code: [u8; 2],
    /// Minor units: held by a request, set free by a reversal.
    pub money: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    money: u64,
    reversed: bool,
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: Vec<Booking>,
    holds: HashMap<Reference, Held>,
}

impl Ledger {
    /// A request that is about to be answered with `code`; all zero bits: silence.
    pub fn request(&mut self, body: &[u8], code: [u8; 2]) {
        let Some(mut line) = read(body) else {
            return;
        };
        line.code = code;
        let reference = (line.stan, line.time);
        if let Entry::Vacant(place) = self.holds.entry(reference) {
            line.money = if code == *b"00" { line.amount } else { 0 };
            place.insert(Held {
                money: line.money,
                reversed: false,
            });
        } else {
            line.saw = Saw::Copy;
        }
        self.lines.push(line);
    }

    /// A reversal; field 90 names its original.
    pub fn reversal(&mut self, body: &[u8]) {
        let Some(mut line) = read(body) else {
            return;
        };
        let _ = frame::walk(body, |field| {
            if field.number == 90 && field.value.len() >= 20 {
                line.stan.copy_from_slice(&field.value[4..10]);
                line.time.copy_from_slice(&field.value[10..20]);
            }
        });
        line.saw = match self.holds.get_mut(&(line.stan, line.time)) {
            None => Saw::Tombstone,
            Some(held) if held.reversed => Saw::Again,
            Some(held) => {
                held.reversed = true;
                line.money = held.money;
                if held.money > 0 {
                    Saw::Released
                } else {
                    Saw::Nothing
                }
            }
        };
        self.lines.push(line);
    }

    /// The lines since the last call. What they hold stays known.
    pub fn take(&mut self) -> Vec<Booking> {
        std::mem::take(&mut self.lines)
    }
}

fn read(body: &[u8]) -> Option<Booking> {
    let mut line = Booking {
        saw: Saw::Request,
        stan: [0; 6],
        time: [0; 10],
        rrn: Vec::new(),
        terminal: Vec::new(),
        acquirer: Vec::new(),
        amount: 0,
        code: [0; 2],
        money: 0,
    };
    frame::walk(body, |field| match field.number {
        4 => line.amount = frame::decimal(field.value).unwrap_or(0),
        7 => line.time.copy_from_slice(field.value),
        11 => line.stan.copy_from_slice(field.value),
        32 => line.acquirer = field.value.to_vec(),
        37 => line.rrn = field.value.to_vec(),
        41 => line.terminal = field.value.to_vec(),
        _ => {}
    })?;
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::super::frame::PREFIX;
    use super::super::maker::Maker;
    use super::*;

    #[test]
    fn a_hold_is_set_free_once() {
        let mut maker = Maker::new(*b"629900", b"10000001", 1_795_000_000, None);
        let mut ledger = Ledger::default();
        for serial in [1, 2, 1] {
            ledger.request(&maker.make(serial)[PREFIX..], *b"00");
        }
        ledger.request(&maker.make(3)[PREFIX..], *b"51");
        for serial in [1, 1, 3, 9] {
            let reversal = maker.reversal(serial, 77, *b"0420", *b"1123170001");
            ledger.reversal(&reversal[PREFIX..]);
        }
        let lines = ledger.take();
        let saw: Vec<Saw> = lines.iter().map(|line| line.saw).collect();
        let wanted = [
            Saw::Request,
            Saw::Request,
            Saw::Copy,
            Saw::Request,
            Saw::Released,
            Saw::Again,
            Saw::Nothing,
            Saw::Tombstone,
        ];
        assert_eq!(saw, wanted);
        let money: Vec<u64> = lines.iter().map(|line| line.money).collect();
        assert_eq!(money[..5], [200, 200, 0, 0, 200]);
        assert_eq!(lines[4].stan, lines[0].stan);
        assert!(ledger.take().is_empty());
    }
}
