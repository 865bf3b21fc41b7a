//! Steps that the gate's acts share: building into a connection's buffer, taking back, owing, leaving.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use super::digest::Digest;
use super::duplicates::{Entry, NO_ISSUER};
use super::figures::{Figures, class_of};
use super::gate::{Carried, Gate, GateError, Latency, Ticket, Waiting};
use super::hold::{Frame, Hold, Role, SlotId};
use super::legs::{Code, Legs};
use super::memory::Memory;
use super::original::{Facts, Numbers, Original};
use super::recover::Recovered;
use super::state::{Cause, Duty};
use crate::codec::kind::response_mti;
use crate::codec::leg::{Leg, Own, Sources};
use crate::codec::message::Message;
use crate::codec::name::Source;
use crate::codec::seal::Seal;
use crate::journal::Journal;
use crate::simulation::altered::altered;
use crate::simulation::mutant;

impl<T: Ticket> Gate<T> {
    /// Frames that wait for the journal.
    pub fn recorded(&self) -> usize {
        self.hold.recorded()
    }

    /// The connection of a slot that is still open.
    pub(super) fn open(&self, slot: Option<SlotId>) -> Option<(SlotId, Rc<Legs>)> {
        let slot = slot?;
        self.hold.link(slot).map(|legs| (slot, Rc::clone(legs)))
    }

    pub(super) fn entry(&self, key: &Digest) -> Option<Entry> {
        let memory = self.memory.try_borrow().ok()?;
        memory.table.get(memory.table.find(key)?).copied()
    }

    /// Builds the answer to a message when there is somebody to be answered: `reply` is what it is made of beside the
    /// request, `code` its response code where the dialect takes that from the switch, `auth` what its device is told of
    /// the bank's decision, `known` what is remembered of it where the message itself does not lead there.
    pub(super) fn build_reply(
        &mut self,
        request: &Message,
        slot: Option<SlotId>,
        reply: &dyn Source,
        code: &[u8],
        auth: &[u8],
        known: Option<&Entry>,
    ) -> Result<Option<(SlotId, usize)>, GateError> {
        let Some((slot, legs)) = self.open(slot) else {
            return Ok(None);
        };
        let memory;
        let parties = if legs.parties {
            memory = lend(&self.memory)?;
            let issuer = known.or_else(|| memory.entry_of(request)).map(|e| e.issuer);
            let acquirer = self.hold.institution(slot);
            let code = |side: Option<u16>| side.map_or("", |side| memory.code(side));
            Some((code(issuer), code(acquirer)))
        } else {
            None
        };
        let leg = legs.answer_of(request.kind())?;
        let own = Own {
            response_code: code,
            forwarder_code: &self.forwarder,
            issuer_auth: auth,
            parties,
            ..Own::default()
        };
        let start = build_to(&mut self.hold, slot, leg, request, reply, &own)?;
        Ok(Some((slot, start)))
    }

    /// As `build_reply`, for an answer of ours.
    pub(super) fn build_answer(
        &mut self,
        request: &Message,
        slot: Option<SlotId>,
        code: [u8; 2],
    ) -> Result<Option<(SlotId, usize)>, GateError> {
        self.build_reply(request, slot, &Code(code), &code, &[], None)
    }

    /// Adds to a message without a key what its dialect says and it lacks; no reference, since it is no transaction.
    pub(super) fn supply_unclaimed(
        &self,
        message: &Message,
        slot: Option<SlotId>,
        now_s: i64,
    ) -> Result<(), GateError> {
        if message.dialect().supplies_any() {
            let institution = slot.and_then(|slot| self.hold.institution(slot));
            let institution = institution.unwrap_or(NO_ISSUER);
            lend(&self.memory)?.supply(message, institution, 0, now_s, None);
        }
        Ok(())
    }

    /// Passes a recorded result on, or takes back the frame built for it.
    pub(super) fn or_discard<R>(
        &mut self,
        built: Option<(SlotId, usize)>,
        recorded: Result<R, GateError>,
    ) -> Result<R, GateError> {
        if let (Err(_), Some((slot, start))) = (&recorded, built) {
            self.hold.discard(slot, start);
        }
        recorded
    }

    /// Holds an answer of ours that was built.
    pub(super) fn hold_answer(
        &mut self,
        built: Option<(SlotId, usize)>,
        request: &Message,
        lsn: u64,
        txn: u64,
        latency: Latency,
    ) {
        let Some((slot, start)) = built else {
            return self.count_undelivered();
        };
        let carried = Carried {
            class: class_of(request.mti()),
            waiting: Waiting::Answer(latency, None),
        };
        self.hold.keep(
            slot,
            start,
            lsn,
            txn,
            Role::Answer { approval: false },
            carried,
        );
    }

    /// A bank is owed this from record `lsn` on, which was written at `wall_ms`.
    pub(super) fn owe(&mut self, mut original: Original, lsn: u64, wall_ms: i64) -> Rc<Original> {
        original.lsn = lsn;
        original.owed_ms.set(wall_ms);
        self.remember(original.issuer, original.own, original.txn);
        let original = Rc::new(original);
        self.owed.insert(Rc::clone(&original));
        original
    }

    /// Numbers were used towards an institution, for a transaction (0: for none). They only ever grow.
    pub(super) fn remember(&mut self, institution: u16, numbers: Numbers, txn: u64) {
        let at = usize::from(institution);
        if self.marks.len() <= at {
            self.marks.resize(at + 1, Numbers::default());
        }
        if let Some(mark) = self.marks.get_mut(at) {
            *mark = numbers;
        }
        self.last_txn = self.last_txn.max(txn);
    }

    /// Takes over what a replayed journal left open.
    pub(super) fn adopt(&mut self, recovered: &Recovered) {
        let doubts = recovered.in_doubt.iter();
        self.in_doubt = doubts.map(|o| (o.txn, Rc::clone(o))).collect();
        for original in &recovered.owed {
            self.owed.insert(Rc::clone(original));
        }
        for (institution, mark) in &recovered.marks {
            let numbers = Numbers {
                stan: mark.stan,
                time: mark.time,
            };
            self.remember(*institution, numbers, recovered.last_txn);
        }
        self.last_txn = self.last_txn.max(recovered.last_txn);
    }

    /// True when the gate was made with this journal and this table.
    pub fn stands_on(&self, journal: &Arc<Journal>, memory: &Rc<RefCell<Memory>>) -> bool {
        Arc::ptr_eq(&self.journal, journal) && Rc::ptr_eq(&self.memory, memory)
    }

    /// Entries in the table, and tokens whose counters are known.
    pub(super) fn remembered(&self) -> (u64, u64) {
        self.memory.try_borrow().map_or((0, 0), |memory| {
            (memory.table.len() as u64, memory.atc.len() as u64)
        })
    }

    /// Totals of stand-in that are remembered.
    pub(super) fn totals(&self) -> u64 {
        let memory = self.memory.try_borrow();
        memory.map_or(0, |memory| memory.stand_ins.len() as u64)
    }

    /// True while something from before the start waits for `undo`.
    pub(super) fn has_doubts(&self) -> bool {
        !self.in_doubt.is_empty()
    }
}

/// The table for the length of a call. Fails only when the gate is entered from inside itself.
pub(super) fn lend(memory: &RefCell<Memory>) -> Result<RefMut<'_, Memory>, GateError> {
    memory
        .try_borrow_mut()
        .map_err(|_| GateError::Usage("the duplicates table is in use"))
}

/// Builds a frame at the end of a connection's buffer and returns where it starts. Where the connection has message
/// codes the frame is sealed, an answer with the key that proved what it answers (`asked`).
pub(super) fn build<T>(
    hold: &mut Hold<Carried<T>, Rc<Legs>>,
    slot: SlotId,
    leg: &Leg,
    mti: [u8; 4],
    sources: &Sources<'_>,
    asked: Option<&Message>,
) -> Result<usize, GateError> {
    let guard = match &leg.seal {
        Some(_) => hold.link(slot).and_then(|legs| legs.guard.clone()),
        None => None,
    };
    let sealer = guard.as_ref().and_then(|guard| guard.sealer(asked));
    let sources = Sources {
        seal: sealer.as_ref().map(|sealer| sealer as &dyn Seal),
        ..*sources
    };
    let buffer = hold
        .buffer(slot)
        .ok_or(GateError::Usage("the connection is not open"))?;
    let start = buffer.len();
    let built = if mutant::any() {
        altered(mti, &sources, |sources| leg.build(mti, sources, buffer))
    } else {
        leg.build(mti, &sources, buffer)
    };
    built.map_err(GateError::Encode)?;
    Ok(start)
}

/// Builds what answers a message, from it, from `reply` and from what is the switch's own.
pub(super) fn build_to<T>(
    hold: &mut Hold<Carried<T>, Rc<Legs>>,
    slot: SlotId,
    leg: &Leg,
    request: &Message,
    reply: &dyn Source,
    own: &Own<'_>,
) -> Result<usize, GateError> {
    let sources = Sources {
        request: Some(request),
        reply: Some(reply),
        own: Some(own),
        preface: request.answer_preface(),
        ..Sources::default()
    };
    let mti = response_mti(request.mti());
    build(hold, slot, leg, mti, &sources, Some(request))
}

/// What the table knows of a forwarded request that is to be reversed.
pub(super) fn facts(entry: &Entry, cause: Cause, own: Numbers) -> Facts {
    Facts {
        txn: entry.txn,
        acquirer: entry.acquirer,
        issuer: entry.issuer,
        kind: entry.kind,
        mti: entry.out_mti,
        key: entry.key,
        amount: entry.amount,
        business_date: entry.business_date,
        out: Numbers {
            stan: entry.out_stan,
            time: entry.out_time,
        },
        duty: Duty::undoing(entry.out_mti),
        own,
        cause,
    }
}

/// Nanoseconds as the journal keeps them.
pub(super) fn micros(ns: u64) -> u64 {
    (ns / 1000).min(u64::from(u32::MAX))
}

/// A frame was handed to its socket.
pub(super) fn leave<T: Ticket>(
    figures: Option<&Figures>,
    institution: u16,
    frame: &Frame<Carried<T>>,
    bytes: usize,
    now_ns: u64,
) {
    let since = |earlier: u64| now_ns.saturating_sub(earlier);
    match &frame.ticket.waiting {
        Waiting::Request(ticket) => ticket.message().set_sent_ns(now_ns),
        Waiting::Delivery(original) => original.sent_ns.set(now_ns),
        Waiting::Answer(..) | Waiting::Refused(_) | Waiting::Nobody => {}
    }
    let Some(figures) = figures else {
        return;
    };
    match &frame.ticket.waiting {
        Waiting::Request(ticket) => figures.to_bank(since(ticket.message().received_ns())),
        Waiting::Answer(latency, _) => {
            let total = since(latency.received_ns);
            let bank = latency.reply_ns.saturating_sub(latency.sent_ns);
            let (ours, back) = match (latency.sent_ns, latency.reply_ns) {
                (0, _) => (Some(total), None),
                (_, 0) => (None, None),
                (_, reply_ns) => (Some(total.saturating_sub(bank)), Some(since(reply_ns))),
            };
            figures.to_acquirer(frame.ticket.class, total, ours, back);
        }
        Waiting::Delivery(_) | Waiting::Refused(_) | Waiting::Nobody => {}
    }
    let messages = match &frame.ticket.waiting {
        Waiting::Refused(count) => u64::from(*count),
        _ => 1,
    };
    figures.sent(institution, frame.ticket.class, messages, bytes);
}
