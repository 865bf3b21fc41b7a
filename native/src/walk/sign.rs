//! The gate's sign-ons of terminals: new work keys are recorded, then told.

use super::gate::{Carried, Gate, GateError, Ticket, Waiting};
use super::hold::{Role, SlotId};
use super::legs::Code;
use super::steps::build;
use crate::codec::kind::response_mti;
use crate::codec::leg::{Own, Sources};
use crate::codec::message::Message;
use crate::journal::{Field, Fields, RecordKind};
use crate::terminal::registry::{ACQUIRER_BYTES, MERCHANT_BYTES, Who, who};
use crate::terminal::{SignOn, Standing, Terminals, Variant};

use super::figures::class_of;
use super::records::Paper;

/// What a sign-on asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub variant: Variant,
    /// Field 60.2; zeros for none.
    pub batch: [u8; 6],
    pub wall_ms: i64,
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or("")
}

/// What a record says of a terminal's work keys.
fn write(paper: &mut Paper, wall_ms: i64, who: &Who, state: &SignOn) {
    paper
        .start(0, wall_ms)
        .text(Field::Acquirer, text(&who[..ACQUIRER_BYTES]))
        .text(Field::TerminalId, text(&who[ACQUIRER_BYTES..]))
        .text(Field::MerchantId, text(&state.merchant_id))
        .number(Field::WorkKey, u64::from(state.current))
        .number(Field::FormerKey, u64::from(state.former));
    if state.batch != [0; 6] {
        paper.record.bytes(Field::Batch, &state.batch);
    }
}

/// Reads back what `write` wrote. A replayed current key counts as used: the next sign-on keeps it for a moment.
pub(super) fn read(fields: &Fields<'_>) -> Option<(Who, SignOn)> {
    let who = who(
        fields.text(Field::Acquirer),
        fields.text(Field::TerminalId).as_bytes(),
    )?;
    let mut merchant_id = [0; MERCHANT_BYTES];
    let merchant = fields.text(Field::MerchantId).as_bytes();
    merchant_id
        .get_mut(..merchant.len())?
        .copy_from_slice(merchant);
    let former = fields.number_or_0(Field::FormerKey) as u32;
    let state = SignOn {
        current: fields.number_or_0(Field::WorkKey) as u32,
        former,
        used: former == 0,
        merchant_id,
        batch: fields.array(Field::Batch).unwrap_or([0; 6]),
    };
    Some((who, state))
}

impl<T: Ticket> Gate<T> {
    /// Where the terminal of a message stands, on a connection whose terminals have keys of their own.
    pub fn standing(&self, request: &Message, slot: SlotId) -> Standing {
        let guard = self.hold.link(slot).and_then(|legs| legs.guard.clone());
        guard.map_or(Standing::Unknown, |guard| guard.standing(request))
    }

    /// New work keys for the terminal of a sign-on: WORK_KEYS, and the answer with field 62 held until that is
    /// durable. False when there is no such terminal, no connection, or no room for its keys in what it asks for.
    pub fn sign_on(
        &mut self,
        request: &Message,
        slot: SlotId,
        asked: &Asked,
    ) -> Result<bool, GateError> {
        let Some(guard) = self.hold.link(slot).and_then(|legs| legs.guard.clone()) else {
            return Ok(false);
        };
        let Some((terminals, who)) = guard.terminal(request) else {
            return Ok(false);
        };
        let (cipher, now_s) = (guard.strategy().cipher(), asked.wall_ms / 1000);
        let issued = terminals.issue(&who, asked.variant, cipher, asked.batch, now_s);
        let Some(issued) = issued else {
            return Ok(false);
        };
        self.told(
            request,
            slot,
            &issued.download,
            terminals,
            (&who, issued.next),
            asked.wall_ms,
        )?;
        Ok(true)
    }

    /// The terminal of a message has no work keys from now on; answered 00 when that is durable.
    pub fn sign_off(
        &mut self,
        request: &Message,
        slot: SlotId,
        wall_ms: i64,
    ) -> Result<bool, GateError> {
        let Some(guard) = self.hold.link(slot).and_then(|legs| legs.guard.clone()) else {
            return Ok(false);
        };
        let Some((terminals, who)) = guard.terminal(request) else {
            return Ok(false);
        };
        let state = SignOn {
            merchant_id: terminals.sign_on(&who).unwrap_or_default().merchant_id,
            ..SignOn::default()
        };
        self.told(request, slot, &[], terminals, (&who, state), wall_ms)?;
        Ok(true)
    }

    /// A terminal has no work keys from now on, by order; false when it had none.
    pub fn signed_off(
        &mut self,
        terminals: &Terminals,
        who: &Who,
        wall_ms: i64,
    ) -> Result<bool, GateError> {
        let Some(before) = terminals.sign_on(who) else {
            return Ok(false);
        };
        let state = SignOn {
            merchant_id: before.merchant_id,
            ..SignOn::default()
        };
        write(&mut self.paper, wall_ms, who, &state);
        let payload = self.paper.record.finish()?;
        self.journal.append(RecordKind::WorkKeys, payload, None)?;
        terminals.set(who, state);
        Ok(true)
    }

    fn told(
        &mut self,
        request: &Message,
        slot: SlotId,
        keys: &[u8],
        terminals: &Terminals,
        (who, state): (&Who, SignOn),
        wall_ms: i64,
    ) -> Result<(), GateError> {
        let Some(legs) = self.hold.link(slot).cloned() else {
            return Ok(());
        };
        self.supply_unclaimed(request, Some(slot), wall_ms / 1000)?;
        let answer = Code(*b"00");
        let rrn = format!("{:012}", wall_ms.unsigned_abs() % 1_000_000_000_000);
        let own = Own {
            response_code: b"00",
            rrn: rrn.as_bytes(),
            forwarder_code: &self.forwarder,
            keys,
            ..Own::default()
        };
        let sources = Sources {
            request: Some(request),
            reply: Some(&answer),
            own: Some(&own),
            preface: request.answer_preface(),
            ..Sources::default()
        };
        let mti = response_mti(request.mti());
        let leg = legs.network_answer()?;
        let start = build(&mut self.hold, slot, leg, mti, &sources, Some(request))?;
        write(&mut self.paper, wall_ms, who, &state);
        let appended = self
            .paper
            .record
            .finish()
            .map_err(GateError::from)
            .and_then(|payload| Ok(self.journal.append(RecordKind::WorkKeys, payload, None)?));
        let lsn = match appended {
            Ok(lsn) => lsn,
            Err(error) => {
                self.hold.discard(slot, start);
                return Err(error);
            }
        };
        terminals.set(who, state);
        let carried = Carried {
            class: class_of(mti),
            waiting: Waiting::Nobody,
        };
        self.hold.keep(slot, start, lsn, 0, Role::Network, carried);
        Ok(())
    }

    /// Puts some terminals' work keys into a checkpoint.
    pub(super) fn carry_signed(
        &mut self,
        some: &[Who],
        wall_ms: i64,
        carried: &mut u64,
    ) -> Result<(), GateError> {
        let Some(terminals) = self.memory()?.terminals.clone() else {
            return Ok(());
        };
        for who in some {
            let Some(state) = terminals.sign_on(who) else {
                continue;
            };
            write(&mut self.paper, wall_ms, who, &state);
            let payload = self.paper.record.finish()?;
            self.journal
                .checkpoint_carry(RecordKind::WorkKeys, payload, None)?;
            *carried += 1;
        }
        Ok(())
    }
}
