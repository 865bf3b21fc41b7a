//! Stand-in: an approval of ours in a bank's name, when it fits into what the card has left today.
//!
//! One record says all: the request is approved, an advice is owed, and after a time-out the reversal of the request
//! before it. So no crash can come between an approval and what is owed for it. The totals that limit it are counted when
//! the record is appended, and by replay from the record itself.

use std::rc::Rc;

use super::duplicates::Entry;
use super::figures::{Outcome, Upstream, class_of};
use super::gate::{Gate, GateError, Latency, Moment, Ticket};
use super::hold::SlotId;
use super::memory::{Carded, Memory};
use super::original::{Numbers, Original, advice_mti};
use super::records::{Paper, Sides};
use super::state::{Cause, Duty, KeyState};
use super::steps::{facts, lend};
use crate::codec::kind::{RcClass, first_mti};
use crate::codec::message::Message;
use crate::codec::name::{Name, Source};
use crate::codec::wipe;
use crate::journal::{Field, RecordKind};
use crate::limits::{Allowance, Fit, Spending};
use crate::simulation::mutant::{self, Mutant};
use crate::tap::Tap;

/// End code of what was answered in a bank's name.
const STOOD_IN: [u8; 2] = *b"SW";

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Approve<'a> {
    pub slot: Option<SlotId>,
    pub txn: u64,
    pub acquirer: u16,
    pub issuer: u16,
    /// Name of the rule, and what kept the bank from answering.
    pub rule: &'a str,
    pub why: &'a str,
    pub allowed: Allowance,
    pub at: Moment,
    /// Of a request that was not accepted before; the others keep theirs.
    pub business_date: [u8; 8],
    /// Of the advice.
    pub advice: Numbers,
    /// Why a reversal of the request is owed before it, and under which numbers.
    pub cause: Cause,
    pub reversal: Numbers,
}

/// The answer of ours: a response code and an authorisation code.
struct Approval {
    code: [u8; 2],
    auth_code: [u8; 6],
}

impl Source for Approval {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        let value: &[u8] = match name {
            Name::ResponseCode => &self.code,
            Name::AuthCode => &self.auth_code,
            _ => return false,
        };
        out.extend_from_slice(value);
        true
    }
}

/// What was appended.
struct Recorded {
    lsn: u64,
    entry: Entry,
    reversal: Option<Original>,
    advice: Original,
}

impl<T: Ticket> Gate<T> {
    /// STOOD_IN when it fits: settled as approved, its answer held, and what is owed for it in the order in which it goes.
    /// Anything but `Fit::Fits` has had no effect.
    pub fn approve(
        &mut self,
        request: &Message,
        a: &Approve<'_>,
    ) -> Result<(Fit, Vec<Rc<Original>>), GateError> {
        let (spending, fit) = self.spending(request, a)?;
        if fit != Fit::Fits {
            return Ok((fit, Vec::new()));
        }
        let approval = Approval {
            code: request.dialect().answer_code(STOOD_IN, *b"00"),
            auth_code: auth_code(a.txn),
        };
        let auth = Tap::of(request).map(|tap| tap.answer(&approval.code, RcClass::Approve));
        let auth = auth.as_deref().unwrap_or(&[]);
        let built = self.build_reply(request, a.slot, &approval, &approval.code, auth, None)?;
        let recorded = self.record_stood_in(request, a, &spending, &approval, auth);
        let recorded = self.or_discard(built, recorded)?;
        let class = class_of(request.mti());
        if let Some(figures) = &mut self.figures {
            figures.outcome(a.acquirer, class, Outcome::Approved, STOOD_IN);
            match a.cause {
                Cause::Timeout => figures.upstream(a.issuer, Upstream::Timeout),
                Cause::LinkLost => figures.upstream(a.issuer, Upstream::LinkDown),
                _ => {}
            }
        }
        let latency = Latency {
            received_ns: request.received_ns(),
            sent_ns: request.sent_ns(),
            reply_ns: 0,
        };
        self.hold_answer(built, request, recorded.lsn, recorded.entry.txn, latency);
        self.remember(a.issuer, a.advice, a.txn);
        let owed = recorded.reversal.into_iter().chain([recorded.advice]);
        let (lsn, wall_ms) = (recorded.lsn, a.at.wall_ms);
        Ok((fit, owed.map(|one| self.owe(one, lsn, wall_ms)).collect()))
    }

    /// What it would be counted as, and whether it fits.
    fn spending(&self, request: &Message, a: &Approve<'_>) -> Result<(Spending, Fit), GateError> {
        let memory = lend(&self.memory)?;
        let entry = memory.entry_of(request).ok_or(GateError::Unclaimed)?;
        let date = match entry.lsn {
            0 => a.business_date,
            _ => entry.business_date,
        };
        let spending = Spending {
            date,
            currency: entry.currency,
            card: real_card(&memory, request),
            bank: a.issuer,
            amount: entry.amount,
        };
        let fit = if ended(request, &date) {
            Fit::Expired
        } else {
            memory.stand_ins.fits(&spending, &a.allowed)
        };
        Ok((spending, fit))
    }

    fn record_stood_in(
        &mut self,
        request: &Message,
        a: &Approve<'_>,
        spending: &Spending,
        approval: &Approval,
        auth: &[u8],
    ) -> Result<Recorded, GateError> {
        let Gate {
            paper,
            journal,
            memory,
            forwarder,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let before = *memory.entry_of(request).ok_or(GateError::Unclaimed)?;
        let accepted = before.lsn != 0;
        let card = Carded(request);
        let reversal = (a.cause != Cause::None)
            .then(|| Original::from_source(facts(&before, a.cause, a.reversal), &card, forwarder));
        let mut entry = settled(before, a, spending, approval, auth);
        let mut known = facts(&before, Cause::None, a.advice);
        known.duty = Duty::Advice;
        known.issuer = a.issuer;
        known.acquirer = a.acquirer;
        known.business_date = spending.date;
        let advice = Original::from_source(known, &card, forwarder)
            .approved(approval.code, approval.auth_code);
        let sides = Sides {
            acquirer: memory.name(a.acquirer),
            issuer: memory.name(a.issuer),
        };
        paper.decide(a.txn, a.at.wall_ms);
        let first = (!accepted).then_some((request, &entry));
        owing(paper, &before, first, reversal.as_ref(), &advice, sides);
        paper.record.number(Field::Outcome, entry.state as u64);
        decided(paper, a, spending, approval, auth);
        paper.times(request, a.at.now_ns);
        let (payload, pan) = paper.finish(&card)?;
        let lsn = journal.append(RecordKind::StoodIn, payload, pan)?;
        entry.lsn = lsn;
        if let Some(place) = memory.entry_of_mut(request) {
            *place = entry;
        }
        if !mutant::on(Mutant::StandInUncounted) {
            memory.stand_ins.add(spending);
        }
        Ok(Recorded {
            lsn,
            entry,
            reversal,
            advice,
        })
    }
}

/// What is remembered of the request from now on.
fn settled(
    before: Entry,
    a: &Approve<'_>,
    spending: &Spending,
    approval: &Approval,
    auth: &[u8],
) -> Entry {
    let mut entry = Entry {
        state: KeyState::Approved,
        acquirer: a.acquirer,
        issuer: a.issuer,
        business_date: spending.date,
        code: approval.code,
        auth_code: approval.auth_code,
        // What an acquirer's reversal of it takes back at the bank is the advice.
        out_stan: a.advice.stan,
        out_time: a.advice.time,
        out_mti: advice_mti(before.kind),
        ..before
    };
    entry.set_issuer_auth(auth);
    entry
}

/// The request, and all that its bank is owed. `first`: this is its first record, which claims key and counter.
fn owing(
    paper: &mut Paper,
    before: &Entry,
    first: Option<(&Message, &Entry)>,
    reversal: Option<&Original>,
    advice: &Original,
    sides: Sides<'_>,
) {
    match (first, reversal) {
        (Some((request, entry)), _) => {
            paper.request(request, first_mti(request.mti()), entry, sides);
            advice.write_named(&mut paper.record);
            advice.write_advice(&mut paper.record);
        }
        // Accepted before, and it may have reached the bank.
        (None, Some(reversal)) => {
            named(paper, before);
            paper.owed(reversal, sides);
            advice.write_advice(&mut paper.record);
        }
        // Accepted before, and it never left.
        (None, None) => {
            named(paper, before);
            paper.owed(advice, sides);
        }
    }
}

/// What was answered, by which rule, and within which limits.
fn decided(
    paper: &mut Paper,
    a: &Approve<'_>,
    spending: &Spending,
    approval: &Approval,
    auth: &[u8],
) {
    paper
        .record
        .bytes(Field::Code, &approval.code)
        .bytes(Field::End, &STOOD_IN)
        .bytes(Field::IssuerAuth, auth)
        .text(Field::Reason, a.why)
        .text(Field::Rule, a.rule)
        .bytes(Field::PanIndex, &spending.card)
        .number(Field::CountMax, u64::from(a.allowed.count))
        .number(Field::SumMax, a.allowed.sum);
}

/// Which request it is, without claiming its key again.
fn named(paper: &mut Paper, entry: &Entry) {
    paper
        .record
        .bytes(Field::Card, &entry.card)
        .bytes(Field::Key, &entry.key);
}

/// Keyed hash of the card that pays, the one behind the token where there is one.
fn real_card(memory: &Memory, request: &Message) -> [u8; 8] {
    let mut pan = Vec::new();
    if mutant::on(Mutant::StandInPerToken) {
        request.normal(Name::Pan, &mut pan);
    } else {
        Carded(request).normal(Name::Pan, &mut pan);
    }
    let card = memory.digester.card(&pan);
    wipe(&mut pan);
    card
}

/// The card ended before the month of this date, or nobody says until when it is good. A proved token was looked up with
/// its own expiry; this is the card's.
fn ended(request: &Message, date: &[u8; 8]) -> bool {
    let [_, _, y1, y2, m1, m2, _, _] = *date;
    let month = [y1, y2, m1, m2];
    match Tap::of(request) {
        Some(tap) => tap.card.expiry[0] != 0 && tap.card.expiry < month,
        None => request
            .value(Name::Expiry)
            .is_none_or(|expiry| *expiry < month[..]),
    }
}

/// An authorisation code of ours: S, and five characters that count transactions.
fn auth_code(txn: u64) -> [u8; 6] {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |place: u32| {
        let at = (txn >> (5 * place)) & 31;
        DIGITS.get(at as usize).copied().unwrap_or(b'0')
    };
    [b'S', digit(4), digit(3), digit(2), digit(1), digit(0)]
}
