//! The gate's reversals: an acquirer's, and ours towards a bank.

use std::rc::Rc;

use super::digest::Digest;
use super::duplicates::{Entry, Handle};
use super::figures::{Outcome, class_of};
use super::gate::{Carried, Gate, GateError, Latency, Moment, Ticket, Waiting};
use super::hold::{Role, SlotId};
use super::memory::Memory;
use super::original::{Numbers, Original, trimmed};
use super::records::{Sides, tombstone};
use super::state::{Cause, KeyState, ReversalEffect};
use super::steps::{build, facts, lend, micros};
use super::veil::Veil;
use crate::codec::leg::{Own, Sources};
use crate::codec::message::Message;
use crate::codec::name::{Name, Source};
use crate::journal::{Field, RecordKind};
use crate::simulation::mutant::{self, Mutant};

/// An acquirer's reversal.
#[derive(Clone, Copy, Debug)]
pub struct Reversal {
    pub slot: Option<SlotId>,
    pub txn: u64,
    pub acquirer: u16,
    /// Transaction id of the original, 0 when it is unknown.
    pub original: u64,
    pub effect: ReversalEffect,
    pub at: Moment,
    pub now_s: i64,
    pub reversal: Numbers,
}

impl<T: Ticket> Gate<T> {
    /// REVERSAL of an acquirer's reversal, answered 00; with effect REVERSE its bank is owed a reversal.
    pub fn reversal(
        &mut self,
        message: &Message,
        r: &Reversal,
    ) -> Result<Option<Rc<Original>>, GateError> {
        let built = self.build_answer(message, r.slot, *b"00")?;
        let recorded = self.record_reversal(message, r);
        let (lsn, original) = self.or_discard(built, recorded)?;
        if let Some(figures) = &mut self.figures {
            figures.outcome(
                r.acquirer,
                class_of(message.mti()),
                Outcome::Approved,
                *b"--",
            );
        }
        let latency = Latency {
            received_ns: message.received_ns(),
            ..Latency::default()
        };
        self.hold_answer(built, message, lsn, r.txn, latency);
        Ok(original.map(|original| self.owe(original, lsn)))
    }

    fn record_reversal(
        &mut self,
        message: &Message,
        r: &Reversal,
    ) -> Result<(u64, Option<Original>), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            forwarder,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let mut own = *memory.entry_of(message).ok_or(GateError::Unclaimed)?;
        let original_key = memory.original_key_of(message, r.acquirer, r.now_s);
        let place = original_key.and_then(|key| memory.table.find(&key));
        let before = place.and_then(|place| memory.table.get(place).copied());
        let original = owed(r, before.as_ref(), message, forwarder, &memory.veil)?;
        own.state = KeyState::Approved;
        own.acquirer = r.acquirer;
        own.keep_code(*b"00");
        let issuer = before.map_or("", |before| memory.name(before.issuer));
        paper.decide(r.txn, r.at.wall_ms);
        paper.reversal(
            message,
            &own,
            Sides {
                acquirer: memory.name(r.acquirer),
                issuer,
            },
            original.as_ref(),
        );
        paper
            .record
            .bytes(Field::Code, b"00")
            .text(Field::End, "--")
            .number(Field::Outcome, own.state as u64)
            .number(Field::Effect, r.effect as u64)
            .bytes(
                Field::OriginalKey,
                original_key.as_ref().map_or(&[], |key| key),
            );
        paper.times(message, r.at.now_ns);
        if r.original != 0 {
            paper.record.number(Field::Original, r.original);
        }
        let payload = paper.record.finish()?;
        let lsn = journal.append(
            RecordKind::Reversal,
            payload,
            original.as_ref().map(Original::pan),
        )?;
        own.lsn = lsn;
        if let Some(entry) = memory.entry_of_mut(message) {
            *entry = own;
        }
        apply_effect(&mut memory, r, original_key, place, lsn);
        Ok((lsn, original))
    }

    /// The bank's 0420 or 0421, held until the record that owes it is durable. False when the connection is not open.
    pub fn reverse(
        &mut self,
        original: &Rc<Original>,
        slot: SlotId,
        repeat: bool,
    ) -> Result<bool, GateError> {
        let Some(legs) = self.hold.link(slot).cloned() else {
            return Ok(false);
        };
        let own = Own {
            stan: Some(original.reversal.stan),
            transmission_time: trimmed(&original.reversal.time),
            forwarder_code: original.forwarder(),
            original: Some(original.data()),
            ..Own::default()
        };
        let sources = Sources {
            original: Some(&**original),
            own: Some(&own),
            ..Sources::default()
        };
        let mti = if repeat { *b"0421" } else { *b"0420" };
        let start = build(&mut self.hold, slot, legs.reversal()?, mti, &sources, None)?;
        original
            .attempts
            .set(original.attempts.get().saturating_add(1));
        if let Some(figures) = self.figures.as_ref().filter(|_| repeat) {
            figures.retried(original.issuer);
        }
        let carried = Carried {
            class: class_of(mti),
            waiting: Waiting::Reversal(Rc::clone(original)),
        };
        self.hold.keep(
            slot,
            start,
            original.lsn,
            original.txn,
            Role::Reversal,
            carried,
        );
        Ok(true)
    }

    /// Reversals without a final code that a bank is owed. Walks all: for a gauge.
    pub fn owed_to(&self, issuer: u16) -> usize {
        self.owed.values().filter(|o| o.issuer == issuer).count()
    }

    /// Transmission time (MMDDhhmmss, UTC) of the oldest reversal that a bank is owed. Walks all: for a gauge.
    pub fn oldest_owed_to(&self, issuer: u16) -> Option<[u8; 10]> {
        let mine = self.owed.values().filter(|o| o.issuer == issuer);
        mine.min_by_key(|o| o.txn).map(|o| o.reversal.time)
    }

    /// SETTLED: the reversal got a final code (or was parked: then it is still owed after a restart). `end`: how, with
    /// the bank's share since its last leg was handed to a socket.
    pub fn settle(
        &mut self,
        original: &Original,
        result: &str,
        end: [u8; 2],
        at: Moment,
    ) -> Result<u64, GateError> {
        let parked = result == "parked";
        let memory = lend(&self.memory)?;
        self.paper
            .decide(original.txn, at.wall_ms)
            .text(Field::Issuer, memory.name(original.issuer))
            .text(Field::Result, result)
            .bytes(Field::End, &end)
            .number(Field::ReversalStan, u64::from(original.reversal.stan))
            .number(Field::Attempts, u64::from(original.attempts.get()));
        let sent_ns = original.sent_ns.get();
        if !parked && sent_ns > 0 && at.now_ns > sent_ns {
            self.paper
                .record
                .number(Field::BankUs, micros(at.now_ns - sent_ns));
        }
        let lsn = self
            .journal
            .append(RecordKind::Settled, self.paper.record.finish()?, None)?;
        drop(memory);
        if !parked {
            self.owed.remove(&original.txn);
        }
        if let Some(figures) = &self.figures {
            figures.reversal(original.issuer, original.cause, parked);
        }
        Ok(lsn)
    }
}

/// A request as its bank knows it: what the table kept of it, and the rest from the acquirer's reversal of it.
struct Recalled<'a> {
    entry: &'a Entry,
    message: &'a Message,
    veil: &'a Veil,
}

impl Source for Recalled<'_> {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        let kept = match name {
            Name::Rrn => trimmed(&self.entry.rrn),
            Name::Currency => trimmed(&self.entry.currency),
            Name::LocalTime => trimmed(&self.entry.local_time),
            Name::LocalDate => trimmed(&self.entry.local_date),
            // The mapping that was in force at the original, whatever the token leads to by now.
            Name::Pan if self.entry.tapped => {
                return self.veil.uncover(&self.entry.key, &self.entry.veiled, out);
            }
            _ => &[],
        };
        if kept.is_empty() {
            return self.message.normal(name, out);
        }
        out.extend_from_slice(kept);
        true
    }
}

/// What the bank of a reversed original is owed; it must be the one that the record is about.
fn owed(
    r: &Reversal,
    original: Option<&Entry>,
    message: &Message,
    forwarder: &[u8],
    veil: &Veil,
) -> Result<Option<Original>, GateError> {
    match (r.effect, original) {
        (ReversalEffect::Reverse, Some(entry)) if entry.txn == r.original => {
            let facts = facts(entry, Cause::Acquirer, r.reversal);
            let source = Recalled {
                entry,
                message,
                veil,
            };
            Ok(Some(Original::from_source(facts, &source, forwarder)))
        }
        (ReversalEffect::Reverse, _) => Err(GateError::Usage(
            "the original is not the one the reversal names",
        )),
        _ => Ok(None),
    }
}

/// What an acquirer's reversal does to the key of its original.
fn apply_effect(
    memory: &mut Memory,
    r: &Reversal,
    original_key: Option<Digest>,
    place: Option<Handle>,
    lsn: u64,
) {
    match (r.effect, place, original_key) {
        (ReversalEffect::Reverse, Some(place), _) if !mutant::on(Mutant::ReversedForgotten) => {
            if let Some(entry) = memory.table.get_mut(place) {
                entry.state = KeyState::Reversed;
                entry.lsn = lsn;
            }
        }
        (ReversalEffect::Tombstone, None, Some(key)) if !mutant::on(Mutant::NoTombstone) => {
            let at_s = u32::try_from(r.now_s).unwrap_or(0);
            let mut entry = tombstone(key, r.txn, at_s, r.acquirer);
            entry.lsn = lsn;
            memory.table.insert(entry);
        }
        _ => {}
    }
}
