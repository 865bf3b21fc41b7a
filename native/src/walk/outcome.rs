//! The gate's outcomes of ours: conclude, undo, decline, refuse, repeat.

use std::rc::Rc;

use super::duplicates::{Entry, NO_ISSUER};
use super::figures::{Outcome, Upstream, class_of};
use super::gate::{Carried, Gate, GateError, Latency, Moment, Ticket, Waiting};
use super::hold::{Role, SlotId};
use super::memory::Carded;
use super::original::{Numbers, Original};
use super::records::{Paper, Sides};
use super::state::{Cause, KeyState};
use super::steps::{facts, lend, micros};
use super::turned_away::Told;
use crate::codec::kind::Kind;
use crate::codec::message::Message;
use crate::journal::{Field, Journal, RecordKind};

/// An outcome of ours for a forwarded request.
#[derive(Clone, Copy, Debug)]
pub struct Conclude<'a> {
    /// Where its acquirer waits; None: nobody.
    pub slot: Option<SlotId>,
    pub txn: u64,
    pub code: [u8; 2],
    pub end: [u8; 2],
    pub at: Moment,
    pub cause: Cause,
    pub reversal: Numbers,
    pub bank_code: &'a [u8],
}

impl<T: Ticket> Gate<T> {
    /// ANSWERED with a code of ours for a forwarded request; with a cause the same record owes its bank a reversal.
    pub fn conclude(
        &mut self,
        ticket: &T,
        c: &Conclude<'_>,
    ) -> Result<Option<Rc<Original>>, GateError> {
        let request = ticket.message();
        let meant = c.code;
        let c = &Conclude {
            code: request.dialect().answer_code(c.end, c.code),
            ..*c
        };
        let built = self.build_answer(request, c.slot, c.code)?;
        let recorded = self.record_concluded(request, c);
        let (lsn, entry, original) = self.or_discard(built, recorded)?;
        let latency = Latency {
            received_ns: request.received_ns(),
            sent_ns: request.sent_ns(),
            reply_ns: 0,
        };
        self.count_concluded(&entry, class_of(request.mti()), meant, c.end);
        self.hold_answer(built, request, lsn, c.txn, latency);
        Ok(original.map(|original| self.owe(original, lsn, c.at.wall_ms)))
    }

    fn record_concluded(
        &mut self,
        request: &Message,
        c: &Conclude<'_>,
    ) -> Result<(u64, Entry, Option<Original>), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            forwarder,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let before = *memory.entry_of(request).ok_or(GateError::Unclaimed)?;
        let original = (c.cause != Cause::None).then(|| {
            let source = Carded(request);
            Original::from_source(facts(&before, c.cause, c.reversal), &source, forwarder)
        });
        let mut settled = before;
        settled.state = KeyState::Declined;
        settled.keep_code(c.code);
        let sides = Sides {
            acquirer: memory.name(settled.acquirer),
            issuer: memory.name(settled.issuer),
        };
        let sent_ns = request.sent_ns();
        let lsn = append_concluded(
            paper,
            journal,
            &settled,
            sides,
            c,
            Some(Spent {
                received_ns: request.received_ns(),
                sent_ns,
            }),
            original.as_ref(),
        )?;
        settled.lsn = lsn;
        if let Some(entry) = memory.entry_of_mut(request) {
            *entry = settled;
        }
        Ok((lsn, settled, original))
    }

    /// Issuer of a request that `undo` can take back: in doubt after a restart, or an approval of this tick of which
    /// no byte left.
    pub fn issuer_of(&self, txn: u64) -> Option<u16> {
        if let Some(original) = self.in_doubt.get(&txn) {
            return Some(original.issuer);
        }
        let (_, ticket) = self.withdrawn.iter().find(|(t, _)| *t == txn)?;
        let memory = self.memory.try_borrow().ok()?;
        memory.entry_of(ticket.message()).map(|entry| entry.issuer)
    }

    /// As `conclude` for a request without a live object. None when nothing can be held at its bank: it declined, or the
    /// cause is that nothing is owed.
    pub fn undo(&mut self, c: &Conclude<'_>) -> Result<Option<Rc<Original>>, GateError> {
        if let Some(at) = self.withdrawn.iter().position(|(txn, _)| *txn == c.txn) {
            let (_, ticket) = self.withdrawn.swap_remove(at);
            let approved = self
                .memory()?
                .entry_of(ticket.message())
                .is_some_and(|entry| {
                    entry.state == KeyState::Approved && entry.kind != Kind::Balance as u8
                });
            return if approved {
                self.conclude(&ticket, c)
            } else {
                Ok(None)
            };
        }
        let Some(doubtful) = self.in_doubt.get(&c.txn).cloned() else {
            return Ok(None);
        };
        let meant = c.code;
        let c = &Conclude {
            code: self.answer_code(doubtful.acquirer, c.end, c.code),
            ..*c
        };
        let original = doubtful.with_reversal(c.cause, c.reversal);
        let owes = c.cause != Cause::None;
        let Gate {
            paper,
            journal,
            memory,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let handle = memory.table.find(&original.key);
        let mut settled = handle
            .and_then(|handle| memory.table.get(handle).copied())
            .ok_or(GateError::Unclaimed)?;
        settled.state = KeyState::Declined;
        settled.keep_code(c.code);
        let sides = Sides {
            acquirer: memory.name(settled.acquirer),
            issuer: memory.name(settled.issuer),
        };
        let owed = owes.then_some(&original);
        let lsn = append_concluded(paper, journal, &settled, sides, c, None, owed)?;
        settled.lsn = lsn;
        if let Some(entry) = handle.and_then(|handle| memory.table.get_mut(handle)) {
            *entry = settled;
        }
        drop(memory);
        self.in_doubt.remove(&c.txn);
        self.count_concluded(&settled, class_of(settled.out_mti), meant, c.end);
        Ok(owes.then(|| self.owe(original, lsn, c.at.wall_ms)))
    }

    fn count_concluded(&mut self, entry: &Entry, class: usize, code: [u8; 2], end: [u8; 2]) {
        let Some(figures) = &mut self.figures else {
            return;
        };
        figures.outcome(entry.acquirer, class, Outcome::of_code(code), end);
        match &end {
            b"TW" => figures.upstream(entry.issuer, Upstream::Timeout),
            b"IW" | b"IR" | b"JW" => figures.upstream(entry.issuer, Upstream::LinkDown),
            b"IB" => figures.upstream(entry.issuer, Upstream::Rejected),
            _ => {}
        }
    }

    /// DECLINED for a claimed request (or reversal) that goes to no bank; its answer held.
    #[allow(clippy::too_many_arguments)]
    pub fn decline(
        &mut self,
        request: &Message,
        slot: Option<SlotId>,
        txn: u64,
        acquirer: u16,
        code: [u8; 2],
        end: [u8; 2],
        at: Moment,
        reason: &str,
    ) -> Result<u64, GateError> {
        let meant = code;
        let code = request.dialect().answer_code(end, code);
        let built = self.build_answer(request, slot, code)?;
        let recorded = self.record_declined(request, txn, acquirer, code, end, at, reason);
        let lsn = self.or_discard(built, recorded)?;
        if let Some(figures) = &mut self.figures {
            figures.outcome(
                acquirer,
                class_of(request.mti()),
                Outcome::of_code(meant),
                end,
            );
        }
        let latency = Latency {
            received_ns: request.received_ns(),
            ..Latency::default()
        };
        self.hold_answer(built, request, lsn, txn, latency);
        Ok(lsn)
    }

    #[allow(clippy::too_many_arguments)]
    fn record_declined(
        &mut self,
        request: &Message,
        txn: u64,
        acquirer: u16,
        code: [u8; 2],
        end: [u8; 2],
        at: Moment,
        reason: &str,
    ) -> Result<u64, GateError> {
        let Gate {
            paper,
            journal,
            memory,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let mut settled = *memory.entry_of(request).ok_or(GateError::Unclaimed)?;
        settled.state = KeyState::Declined;
        settled.acquirer = acquirer;
        settled.issuer = NO_ISSUER;
        settled.keep_code(code);
        paper.decide(txn, at.wall_ms);
        let sides = Sides {
            acquirer: memory.name(acquirer),
            issuer: "",
        };
        paper.request(request, request.mti(), &settled, sides);
        paper
            .record
            .bytes(Field::Code, &code)
            .bytes(Field::End, &end)
            .text(Field::Reason, reason)
            .number(Field::Outcome, settled.state as u64);
        paper.times(request, at.now_ns);
        let lsn = journal.append(RecordKind::Declined, paper.record.finish()?, None)?;
        settled.lsn = lsn;
        if let Some(entry) = memory.entry_of_mut(request) {
            *entry = settled;
        }
        Ok(lsn)
    }

    /// An answer that touches no state and needs no record. A tap that was proved claims nothing then. `now_s`: for what
    /// the dialect supplies.
    pub fn refuse(
        &mut self,
        request: &Message,
        slot: Option<SlotId>,
        code: [u8; 2],
        end: [u8; 2],
        now_s: i64,
    ) -> Result<(), GateError> {
        let mut memory = self.memory()?;
        memory.release_tap(request);
        memory.unclaim(request, Told { code, end }, now_s);
        drop(memory);
        self.supply_unclaimed(request, slot, now_s)?;
        let meant = code;
        let code = request.dialect().answer_code(end, code);
        let Some((slot, start)) = self.build_answer(request, slot, code)? else {
            return Ok(());
        };
        let class = class_of(request.mti());
        let acquirer = self.hold.institution(slot).unwrap_or(NO_ISSUER);
        if let Some(figures) = &mut self.figures {
            figures.outcome(acquirer, class, Outcome::of_code(meant), end);
        }
        let carried = Carried {
            class,
            waiting: Waiting::Nobody,
        };
        self.hold.keep(slot, start, 0, 0, Role::Refusal, carried);
        Ok(())
    }

    /// The stored answer once more, held until the record it stands on is durable; what a request was told that was
    /// turned away a moment ago. False when nothing is stored.
    pub fn repeat(
        &mut self,
        request: &Message,
        slot: Option<SlotId>,
        institution: u16,
        now_s: i64,
    ) -> Result<bool, GateError> {
        let key = self.memory()?.key_of(request, institution, now_s);
        let Some(entry) = self.entry(&key) else {
            let told = self.memory()?.turned_away.told(&key, now_s);
            if let Some(Told { code, end }) = told {
                self.refuse(request, slot, code, end, now_s)?;
            }
            return Ok(told.is_some());
        };
        if entry.state == KeyState::InFlight || entry.code == [0; 2] {
            return Ok(false);
        }
        let class = class_of(request.mti());
        if let Some(figures) = &mut self.figures {
            figures.repeat(class);
        }
        let auth = entry.issuer_auth();
        let built = self.build_reply(request, slot, &entry, &entry.code, auth, Some(&entry))?;
        let Some((slot, start)) = built else {
            return Ok(true);
        };
        // A repeated approval that does not arrive changes nothing: the first one may have.
        let role = Role::Answer { approval: false };
        let carried = Carried {
            class,
            waiting: Waiting::Nobody,
        };
        self.hold
            .keep(slot, start, entry.lsn, entry.txn, role, carried);
        Ok(true)
    }
}

/// Times of a request that is concluded; 0 is unknown.
#[derive(Clone, Copy)]
struct Spent {
    received_ns: u64,
    sent_ns: u64,
}

/// ANSWERED with a code of ours. Owing a reversal it carries all that the reversal's repeats need.
fn append_concluded(
    paper: &mut Paper,
    journal: &Journal,
    settled: &Entry,
    sides: Sides<'_>,
    c: &Conclude<'_>,
    spent: Option<Spent>,
    original: Option<&Original>,
) -> Result<u64, GateError> {
    paper
        .decide(c.txn, c.at.wall_ms)
        .bytes(Field::Key, &settled.key)
        .number(Field::Outcome, settled.state as u64)
        .bytes(Field::Code, &c.code)
        .bytes(Field::End, &c.end);
    if let Some(Spent {
        received_ns,
        sent_ns,
    }) = spent
    {
        let ours_ns = sent_ns.saturating_sub(received_ns);
        paper.record.number(Field::OursUs, micros(ours_ns));
        paper.recorded(received_ns, c.at.now_ns);
    }
    paper.record.offer(Field::BankCode, c.bank_code);
    if let Some(original) = original {
        paper.owed(original, sides);
    }
    let pan = original.map(Original::pan);
    Ok(journal.append(RecordKind::Answered, paper.record.finish()?, pan)?)
}
