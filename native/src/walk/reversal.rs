//! The gate's reversals by an acquirer; what a bank is owed by them goes out in `deliver`.

use std::rc::Rc;

use super::digest::Digest;
use super::duplicates::{Entry, Handle};
use super::figures::{Outcome, class_of};
use super::gate::{Gate, GateError, Latency, Moment, Ticket};
use super::hold::SlotId;
use super::memory::Memory;
use super::original::{Numbers, Original, trimmed};
use super::records::{Sides, tombstone};
use super::state::{Cause, KeyState, ReversalEffect};
use super::steps::{facts, lend};
use super::veil::Veil;
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
        Ok(original.map(|original| self.owe(original, lsn, r.at.wall_ms)))
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
