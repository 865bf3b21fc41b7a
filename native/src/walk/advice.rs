//! An acquirer's advice: what was done without its bank is accepted at once, and the bank is owed word of it.

use std::rc::Rc;

use super::duplicates::Entry;
use super::figures::{Outcome, class_of};
use super::gate::{Gate, GateError, Latency, Moment, Ticket};
use super::hold::SlotId;
use super::memory::Carded;
use super::original::{Numbers, Original};
use super::records::Sides;
use super::state::{Cause, Duty, KeyState};
use super::steps::{facts, lend};
use crate::codec::kind::first_mti;
use crate::codec::message::Message;
use crate::codec::name::Name;
use crate::journal::{Field, RecordKind};

/// An acquirer's advice.
#[derive(Clone, Copy, Debug)]
pub struct Advise {
    pub slot: Option<SlotId>,
    pub txn: u64,
    pub acquirer: u16,
    pub issuer: u16,
    /// Of the advice to the bank.
    pub own: Numbers,
    pub at: Moment,
    pub now_s: i64,
    pub business_date: [u8; 8],
}

impl<T: Ticket> Gate<T> {
    /// ADVISED: accepted and answered 00, and its bank is owed the advice.
    pub fn advise(&mut self, message: &Message, a: &Advise) -> Result<Rc<Original>, GateError> {
        let built = self.build_answer(message, a.slot, *b"00")?;
        let recorded = self.record_advised(message, a);
        let (lsn, original) = self.or_discard(built, recorded)?;
        let class = class_of(message.mti());
        if let Some(figures) = &mut self.figures {
            figures.outcome(a.acquirer, class, Outcome::Approved, *b"--");
        }
        let latency = Latency {
            received_ns: message.received_ns(),
            ..Latency::default()
        };
        self.hold_answer(built, message, lsn, a.txn, latency);
        Ok(self.owe(original, lsn, a.at.wall_ms))
    }

    fn record_advised(
        &mut self,
        message: &Message,
        a: &Advise,
    ) -> Result<(u64, Original), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            forwarder,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let mut entry = *memory.entry_of(message).ok_or(GateError::Unclaimed)?;
        let stands_on = memory
            .original_key_of(message, a.acquirer, a.now_s)
            .and_then(|key| memory.table.get(memory.table.find(&key)?).copied());
        entry.state = KeyState::Approved;
        entry.acquirer = a.acquirer;
        entry.issuer = a.issuer;
        entry.business_date = a.business_date;
        entry.keep_code(*b"00");
        let auth_code = message.value(Name::AuthCode);
        let auth_code = auth_code.as_deref().and_then(|code| code.try_into().ok());
        let (mti, out) = named(message, a.issuer, stands_on.as_ref());
        let mut known = facts(&entry, Cause::None, a.own);
        known.duty = Duty::Advice;
        known.mti = mti;
        known.out = out;
        let original = Original::from_source(known, &Carded(message), forwarder)
            .approved(*b"00", auth_code.unwrap_or([0; 6]));
        let sides = Sides {
            acquirer: memory.name(a.acquirer),
            issuer: memory.name(a.issuer),
        };
        paper.decide(a.txn, a.at.wall_ms);
        paper.request(message, first_mti(message.mti()), &entry, sides);
        original.write_named(&mut paper.record);
        original.write_advice(&mut paper.record);
        paper
            .record
            .bytes(Field::Code, b"00")
            .text(Field::End, "--")
            .number(Field::Outcome, entry.state as u64);
        paper.times(message, a.at.now_ns);
        let (payload, pan) = paper.finish(&Carded(message))?;
        let lsn = journal.append(RecordKind::Advised, payload, pan)?;
        entry.lsn = lsn;
        if let Some(place) = memory.entry_of_mut(message) {
            *place = entry;
        }
        Ok((lsn, original))
    }
}

/// What an advice stands on, in the numbers that its bank knows; where we do not know it any more, as the acquirer says.
fn named(message: &Message, issuer: u16, stands_on: Option<&Entry>) -> ([u8; 4], Numbers) {
    let known = stands_on.filter(|entry| entry.issuer == issuer && entry.out_stan != 0);
    if let Some(entry) = known {
        let out = Numbers {
            stan: entry.out_stan,
            time: entry.out_time,
        };
        return (entry.out_mti, out);
    }
    let Some(data) = message.value(Name::OriginalData) else {
        return ([0; 4], Numbers::default());
    };
    let digits = |from: usize, to: usize| data.get(from..to).unwrap_or(&[]);
    let stan = digits(4, 10).iter().fold(0u32, |n, digit| {
        n * 10 + u32::from(digit.wrapping_sub(b'0') % 10)
    });
    let all_digits = data.len() >= 20 && digits(0, 20).iter().all(u8::is_ascii_digit);
    match (
        all_digits,
        digits(0, 4).try_into(),
        digits(10, 20).try_into(),
    ) {
        (true, Ok(mti), Ok(time)) => (mti, Numbers { stan, time }),
        _ => ([0; 4], Numbers::default()),
    }
}
