//! What banks are owed on its way: reversals and advices, built anew for each attempt, and settled.

use std::rc::Rc;

use super::figures::class_of;
use super::gate::{Carried, Gate, GateError, Moment, Ticket, Waiting};
use super::hold::{Role, SlotId};
use super::original::{Original, trimmed};
use super::state::Duty;
use super::steps::{build, lend, micros};
use crate::codec::leg::{Own, Sources};
use crate::journal::record::UNSETTLED;
use crate::journal::{Field, RecordKind};

/// An operator's word about something owed, or a bank's that ends nothing; empty where it was none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Word<'a> {
    pub operator: &'a str,
    pub remark: &'a str,
    /// By which a bank refused an advice.
    pub bank_code: &'a str,
}

impl<'a> Word<'a> {
    pub fn of(operator: &'a str, remark: &'a str, bank_code: &'a str) -> Word<'a> {
        Word {
            operator,
            remark,
            bank_code,
        }
    }
}

impl<T: Ticket> Gate<T> {
    /// One attempt at what a bank is owed (0420, 0120, 0220; as a repeat 0421, 0121, 0221), held until the record that
    /// owes it is durable. False when the connection is not open.
    pub fn deliver(
        &mut self,
        original: &Rc<Original>,
        slot: SlotId,
        repeat: bool,
    ) -> Result<bool, GateError> {
        let Some(legs) = self.hold.link(slot).cloned() else {
            return Ok(false);
        };
        let advice = original.duty == Duty::Advice;
        let own = Own {
            stan: Some(original.own.stan),
            transmission_time: trimmed(&original.own.time),
            forwarder_code: original.forwarder(),
            response_code: original.code(),
            original: (!advice).then(|| original.data()),
            ..Own::default()
        };
        let sources = Sources {
            original: Some(&**original),
            own: Some(&own),
            ..Sources::default()
        };
        let leg = if advice {
            legs.advice()?
        } else {
            legs.reversal()?
        };
        let mti = if repeat {
            original.repeat_mti()
        } else {
            original.first_mti()
        };
        let start = build(&mut self.hold, slot, leg, mti, &sources, None)?;
        original
            .attempts
            .set(original.attempts.get().saturating_add(1));
        if let Some(figures) = self.figures.as_ref().filter(|_| repeat) {
            figures.retried(original.issuer);
        }
        let carried = Carried {
            class: class_of(mti),
            waiting: Waiting::Delivery(Rc::clone(original)),
        };
        self.hold.keep(
            slot,
            start,
            original.lsn,
            original.txn,
            Role::Delivery,
            carried,
        );
        Ok(true)
    }

    /// Reversals and advices without a final code that a bank is owed.
    pub fn owed_to(&self, issuer: u16) -> usize {
        self.owed.count(issuer)
    }

    /// Transmission time (MMDDhhmmss, UTC) of the oldest of them.
    pub fn oldest_owed_to(&self, issuer: u16) -> Option<[u8; 10]> {
        self.owed.oldest(issuer).map(|o| o.own.time)
    }

    /// SETTLED: a final code came, or it stays owed and something about it changed (`UNSETTLED`). `end`: how, with the
    /// bank's share since its last leg was handed to a socket.
    pub fn settle(
        &mut self,
        original: &Original,
        result: &str,
        end: [u8; 2],
        at: Moment,
        word: Word<'_>,
    ) -> Result<u64, GateError> {
        let over = !UNSETTLED.contains(&result);
        let memory = lend(&self.memory)?;
        let record = self
            .paper
            .decide(original.txn, at.wall_ms)
            .text(Field::Issuer, memory.name(original.issuer))
            .text(Field::Result, result)
            .bytes(Field::End, &end);
        let stan = u64::from(original.own.stan);
        match original.duty {
            Duty::Reversal => record.number(Field::ReversalStan, stan),
            Duty::Withdrawal => record
                .number(Field::ReversalStan, stan)
                .number(Field::Duty, original.duty as u64),
            Duty::Advice => record
                .number(Field::AdviceStan, stan)
                .number(Field::Duty, original.duty as u64),
        };
        record
            .number(Field::Attempts, u64::from(original.attempts.get()))
            .text(Field::Operator, word.operator)
            .text(Field::Remark, word.remark)
            .text(Field::BankCode, word.bank_code);
        let sent_ns = original.sent_ns.get();
        if over && sent_ns > 0 && at.now_ns > sent_ns {
            record.number(Field::BankUs, micros(at.now_ns - sent_ns));
        }
        let lsn = self
            .journal
            .append(RecordKind::Settled, self.paper.record.finish()?, None)?;
        drop(memory);
        original.rest(result, at.wall_ms, word.bank_code.as_bytes(), &end);
        if over {
            self.owed.remove(&(original.txn, original.duty));
        }
        if let Some(figures) = &mut self.figures {
            figures.settled(original.issuer, original.duty, original.cause, result);
            if matches!(result, "dead" | "written_off") {
                figures.end(end);
            }
        }
        Ok(lsn)
    }
}
