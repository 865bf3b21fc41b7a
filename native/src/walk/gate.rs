//! The gate: append, encode and hold in one call, so that "durable before sent" is enforced in one place.
//!
//! Each act builds its frame first, then appends the record, then holds the frame under the record's number: a frame
//! that cannot be built leaves no record, a record that the journal refuses leaves no frame. `release` hands out what
//! the journal has synced. Nothing here fails because a peer has gone: its frames are counted and dropped, and answers
//! of approvals are reported, so that the engine can apply rule 4 of the walk.

use std::cell::{RefCell, RefMut};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use thiserror::Error;

use super::checkpoint::Checkpoint;
use super::duplicates::Entry;
use super::figures::{Figures, Outcome, class_of};
use super::hold::{Frame, Hold, Role, SlotId, any_early};
use super::legs::{Code, Legs};
use super::memory::{Carded, Memory};
use super::original::{Numbers, Original, trimmed};
use super::owed::Owed;
use super::records::{Paper, Sides};
use super::shed::Stencils;
use super::state::KeyState;
use super::steps::{build, build_to, leave, lend, micros};
use crate::codec::kind::{RcClass, first_mti, response_mti};
use crate::codec::leg::{Own, Sources};
use crate::codec::message::Message;
use crate::codec::name::{Name, Source};
use crate::codec::spec::Dialect;
use crate::error::EncodeFault;
use crate::hook::{self, Handed};
use crate::journal::{CONFIG_HASH_BYTES, Field, Journal, JournalError, RecordError, RecordKind};
use crate::mac::Guard;
use crate::meter::Meter;
use crate::tap::proven::{Tap, Vaulted};

/// What the gate keeps of a message until its frame has left.
pub trait Ticket {
    fn message(&self) -> &Message;
}

/// Why an act was not done. Nothing was recorded and nothing is held then.
#[derive(Debug, Error)]
pub enum GateError {
    #[error("{0}")]
    Encode(EncodeFault),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("dialect {dialect} has no leg {leg}")]
    NoLeg { dialect: String, leg: &'static str },
    #[error(
        "the request's key is not in the duplicates table: claim it first, and keep the table larger than what is in flight"
    )]
    Unclaimed,
    #[error("{0}")]
    Usage(&'static str),
}

impl From<RecordError> for GateError {
    fn from(error: RecordError) -> GateError {
        GateError::Journal(JournalError::Record(error))
    }
}

/// The bank's leg of a request.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    pub slot: SlotId,
    pub txn: u64,
    pub acquirer: u16,
    pub issuer: u16,
    pub out: Numbers,
    pub at: Moment,
    pub business_date: [u8; 8],
}

/// When an act is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Wall clock, Unix milliseconds.
    pub wall_ms: i64,
    /// Monotonic; 0 is unknown, then the record has no times.
    pub now_ns: u64,
}

/// Who is told that a frame left.
pub(super) enum Waiting<T> {
    Request(T),
    Delivery(Rc<Original>),
    Answer(Latency, Option<T>),
    /// So many that were refused together; nobody is told.
    Refused(u32),
    Nobody,
}

/// What a frame in hold carries.
pub(super) struct Carried<T> {
    pub(super) class: usize,
    pub(super) waiting: Waiting<T>,
}

/// Times known when an answer is held; 0 is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latency {
    pub(super) received_ns: u64,
    /// Request handed to the bank's socket; 0 when it never was.
    pub(super) sent_ns: u64,
    /// First byte of the bank's answer; 0 when the answer is ours.
    pub(super) reply_ns: u64,
}

/// The gate. See the module; single-threaded, like the loop that owns it.
pub struct Gate<T> {
    pub(super) journal: Arc<Journal>,
    pub(super) memory: Rc<RefCell<Memory>>,
    pub(super) hold: Hold<Carried<T>, Rc<Legs>>,
    pub(super) paper: Paper,
    pub(super) figures: Option<Figures>,
    pub(super) forwarder: Vec<u8>,
    /// Reversals and advices without a final code.
    pub(super) owed: Owed,
    /// Requests in doubt after a restart, until `undo`.
    pub(super) in_doubt: HashMap<u64, Rc<Original>>,
    /// Approvals that were still held when their connection went, until `undo` or the end of the tick.
    pub(super) withdrawn: Vec<(u64, T)>,
    /// Approvals recorded when their connection had gone already.
    pub(super) undelivered: Vec<u64>,
    pub(super) checkpoint: Checkpoint,
    /// Last numbers used towards each institution, by index.
    pub(super) marks: Vec<Numbers>,
    /// What each institution speaks, by index.
    dialects: Vec<Option<Arc<Dialect>>>,
    pub(super) last_txn: u64,
    /// How requests are refused, by institution.
    pub(super) stencils: Vec<Stencils>,
}

impl<T: Ticket> Gate<T> {
    pub fn new(
        journal: Arc<Journal>,
        memory: Rc<RefCell<Memory>>,
        meter: Option<Arc<Meter>>,
        forwarder_code: &str,
    ) -> Gate<T> {
        Gate {
            journal,
            memory,
            hold: Hold::default(),
            paper: Paper::default(),
            figures: meter.map(Figures::new),
            forwarder: forwarder_code.as_bytes().to_vec(),
            owed: Owed::default(),
            in_doubt: HashMap::new(),
            withdrawn: Vec::new(),
            undelivered: Vec::new(),
            checkpoint: Checkpoint::default(),
            marks: Vec::new(),
            dialects: Vec::new(),
            last_txn: 0,
            stencils: Vec::new(),
        }
    }

    pub(super) fn memory(&self) -> Result<RefMut<'_, Memory>, GateError> {
        lend(&self.memory)
    }

    /// Counts in another meter from now on; what was counted is that meter's affair.
    pub fn remeter(&mut self, meter: Arc<Meter>) -> Result<(), GateError> {
        let mut figures = Figures::new(meter);
        for (index, name) in lend(&self.memory)?.names() {
            figures.member(index, name);
        }
        self.figures = Some(figures);
        Ok(())
    }

    /// The configuration that every record names from now on; zeros: none.
    pub fn configured(&mut self, hash: [u8; CONFIG_HASH_BYTES]) {
        self.paper.config = hash;
    }

    // -- connections ---------------------------------------------------------------------------------------------

    /// Interns an institution; None when there are too many.
    pub fn institution(&mut self, name: &str, code: &str) -> Result<u16, GateError> {
        let index = self
            .memory()?
            .institution(name, code)
            .ok_or(GateError::Usage("too many institutions"))?;
        if let Some(figures) = &mut self.figures {
            figures.member(index, name);
        }
        Ok(index)
    }

    /// What an institution speaks, whether it is connected or not: a request of its from before the start is answered in
    /// its codes.
    pub fn speaks(&mut self, institution: u16, dialect: &Arc<Dialect>) {
        let at = usize::from(institution);
        if self.dialects.len() <= at {
            self.dialects.resize(at + 1, None);
        }
        if let Some(place) = self.dialects.get_mut(at) {
            *place = Some(Arc::clone(dialect));
        }
    }

    /// What an acquirer is answered for `code` under an end code.
    pub(super) fn answer_code(&self, acquirer: u16, end: [u8; 2], code: [u8; 2]) -> [u8; 2] {
        let dialect = self.dialects.get(usize::from(acquirer));
        let dialect = dialect.and_then(Option::as_ref);
        dialect.map_or(code, |dialect| dialect.answer_code(end, code))
    }

    /// A number for one connection; never used again. `guard` seals what goes out on it.
    pub fn attach(
        &mut self,
        institution: u16,
        dialect: &Arc<Dialect>,
        guard: Option<Arc<Guard>>,
    ) -> Result<SlotId, GateError> {
        self.hold
            .attach(institution, Rc::new(Legs::of(dialect, guard)))
            .ok_or(GateError::Usage("too many connections"))
    }

    /// The connection has gone. Returns the transactions of bank legs that were never handed to a socket and of
    /// approvals of which no byte left (these can be undone until the end of the tick). An approval that is held a
    /// second time, for a repeat on another connection, is none of them: that copy may still leave.
    pub fn detach(&mut self, slot: SlotId) -> Vec<u64> {
        let mut unsent = Vec::new();
        let frames = self.hold.detach(slot);
        let approves = |frame: &Frame<Carried<T>>| frame.role == Role::Answer { approval: true };
        let copied = match frames.iter().any(approves) {
            true => self.hold.answers(),
            false => HashSet::new(),
        };
        for frame in frames {
            match (frame.role, frame.ticket.waiting) {
                (Role::Request, _) => unsent.push(frame.txn),
                (Role::Answer { approval: true }, Waiting::Answer(_, Some(request)))
                    if !copied.contains(&frame.txn) =>
                {
                    unsent.push(frame.txn);
                    self.withdrawn.push((frame.txn, request));
                    self.count_undelivered();
                }
                (Role::Answer { .. }, _) => self.count_undelivered(),
                _ => {}
            }
        }
        unsent
    }

    /// Moves unsent requests to another connection of the same institution.
    pub fn retarget(&mut self, slot: SlotId, other: SlotId) -> usize {
        self.hold.retarget(slot, other)
    }

    /// True when the request's leg was still held and now never leaves.
    pub fn cancel(&mut self, slot: SlotId, txn: u64) -> bool {
        self.hold.cancel(slot, txn).is_some()
    }

    /// Approvals recorded when their connection had gone already, since the last call.
    pub fn undelivered(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.undelivered)
    }

    pub fn held(&self) -> usize {
        self.hold.held()
    }

    pub fn held_bytes(&self, slot: SlotId) -> usize {
        self.hold.held_bytes(slot)
    }

    pub(super) fn count_undelivered(&self) {
        if let Some(figures) = &self.figures {
            figures.undelivered();
        }
    }

    // -- the hot pair --------------------------------------------------------------------------------------------

    /// ACCEPTED, and the bank's leg held. 0 when the connection is not open: nothing was done.
    pub fn forward(&mut self, ticket: T, f: &Forward) -> Result<u64, GateError> {
        let Some(legs) = self.hold.link(f.slot).cloned() else {
            return Ok(0);
        };
        let request = ticket.message();
        let mti = first_mti(request.mti());
        let own = Own {
            stan: Some(f.out.stan),
            transmission_time: trimmed(&f.out.time),
            forwarder_code: &self.forwarder,
            ..Own::default()
        };
        let vaulted = Tap::of(request).map(|tap| Vaulted { tap, request });
        let sources = Sources {
            request: Some(request),
            own: Some(&own),
            vault: vaulted.as_ref().map(|v| v as &dyn Source),
            ..Sources::default()
        };
        let leg = match vaulted {
            Some(_) => legs.tap()?,
            None => legs.request(request.kind())?,
        };
        let start = build(&mut self.hold, f.slot, leg, mti, &sources, None)?;
        let recorded = self.record_accepted(request, mti, f);
        let lsn = match recorded {
            Ok(lsn) => lsn,
            Err(error) => {
                self.hold.discard(f.slot, start);
                return Err(error);
            }
        };
        self.remember(f.issuer, f.out, f.txn);
        let carried = Carried {
            class: class_of(mti),
            waiting: Waiting::Request(ticket),
        };
        self.hold
            .keep(f.slot, start, lsn, f.txn, Role::Request, carried);
        Ok(lsn)
    }

    fn record_accepted(
        &mut self,
        request: &Message,
        mti: [u8; 4],
        f: &Forward,
    ) -> Result<u64, GateError> {
        let Gate {
            paper,
            journal,
            forwarder,
            memory,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let entry = *memory.entry_of(request).ok_or(GateError::Unclaimed)?;
        let sides = Sides {
            acquirer: memory.name(f.acquirer),
            issuer: memory.name(f.issuer),
        };
        paper.decide(f.txn, f.at.wall_ms);
        paper.request(request, mti, &entry, sides);
        paper
            .record
            .number(Field::OutStan, u64::from(f.out.stan))
            .bytes(Field::OutTime, trimmed(&f.out.time))
            .bytes(Field::BusinessDate, trimmed(&f.business_date))
            .bytes(Field::ForwarderCode, forwarder);
        if let Some(digits) = request.route() {
            paper.record.number(Field::RouteDigits, u64::from(digits));
        }
        paper.times(request, f.at.now_ns);
        let (payload, pan) = paper.finish(&Carded(request))?;
        let lsn = journal.append(RecordKind::Accepted, payload, pan)?;
        if let Some(entry) = memory.entry_of_mut(request) {
            entry.acquirer = f.acquirer;
            entry.issuer = f.issuer;
            entry.out_stan = f.out.stan;
            entry.out_time = f.out.time;
            entry.out_mti = mti;
            entry.business_date = f.business_date;
            entry.lsn = lsn;
        }
        Ok(lsn)
    }

    /// ANSWERED from a bank's usable reply, settled in the table, the acquirer's leg held.
    pub fn answer(
        &mut self,
        ticket: T,
        reply: &Message,
        slot: Option<SlotId>,
        txn: u64,
        at: Moment,
    ) -> Result<u64, GateError> {
        let request = ticket.message();
        let code = reply.value(Name::ResponseCode).unwrap_or_default();
        let auth = Tap::of(request).map(|tap| tap.answer(&code, reply.outcome()));
        let auth = auth.as_deref().unwrap_or(&[]);
        let built = self.build_reply(request, slot, reply, &code, auth, None)?;
        let latency = Latency {
            received_ns: request.received_ns(),
            sent_ns: request.sent_ns(),
            reply_ns: reply.received_ns(),
        };
        let recorded = self.record_answered(request, reply, txn, at, latency, auth);
        let (lsn, entry) = self.or_discard(built, recorded)?;
        let class = class_of(request.mti());
        if let Some(figures) = &mut self.figures {
            let bank_ns = latency.reply_ns.saturating_sub(latency.sent_ns);
            figures.answered(entry.issuer, reply.outcome(), entry.code, bank_ns);
            let outcome = Outcome::of_bank(reply.outcome());
            figures.outcome(entry.acquirer, class, outcome, *b"--");
        }
        let approval = entry.state == KeyState::Approved;
        match built {
            Some((slot, start)) => {
                let waiting = Waiting::Answer(latency, approval.then_some(ticket));
                let role = Role::Answer { approval };
                let carried = Carried { class, waiting };
                self.hold.keep(slot, start, lsn, txn, role, carried);
            }
            None => self.nobody_to_answer(ticket, txn, approval && slot.is_some()),
        }
        Ok(lsn)
    }

    /// A bank's answer whose connection has gone. Where the engine thinks that it is there, it is told of an approval.
    fn nobody_to_answer(&mut self, ticket: T, txn: u64, report: bool) {
        self.count_undelivered();
        if report {
            self.withdrawn.push((txn, ticket));
            self.undelivered.push(txn);
        }
    }

    fn record_answered(
        &mut self,
        request: &Message,
        reply: &Message,
        txn: u64,
        at: Moment,
        latency: Latency,
        auth: &[u8],
    ) -> Result<(u64, Entry), GateError> {
        let Gate {
            paper,
            journal,
            memory,
            ..
        } = self;
        let mut memory = lend(memory)?;
        let entry = memory.entry_of_mut(request).ok_or(GateError::Unclaimed)?;
        let mut settled = *entry;
        settled.state = match reply.outcome() {
            RcClass::Approve => KeyState::Approved,
            _ => KeyState::Declined,
        };
        settled.keep_answer(reply);
        settled.set_issuer_auth(auth);
        paper
            .decide(txn, at.wall_ms)
            .bytes(Field::Key, &settled.key)
            .bytes(Field::Code, trimmed(&settled.code))
            .number(Field::Outcome, settled.state as u64)
            .text(Field::End, "--")
            .number(
                Field::BankUs,
                micros(latency.reply_ns.saturating_sub(latency.sent_ns)),
            )
            .number(
                Field::OursUs,
                micros(latency.sent_ns.saturating_sub(latency.received_ns)),
            );
        paper.recorded(latency.received_ns, at.now_ns);
        paper.bank_answer(reply);
        paper.record.bytes(Field::IssuerAuth, auth);
        let lsn = journal.append(RecordKind::Answered, paper.record.finish()?, None)?;
        settled.lsn = lsn;
        *entry = settled;
        Ok((lsn, settled))
    }

    // -- network management --------------------------------------------------------------------------------------

    /// STAN_MARK for a message outside a transaction.
    pub fn mark(
        &mut self,
        institution: u16,
        numbers: Numbers,
        wall_ms: i64,
    ) -> Result<u64, GateError> {
        let memory = lend(&self.memory)?;
        self.paper
            .record
            .clear()
            .signed(Field::AtMs, wall_ms)
            .text(Field::Institution, memory.name(institution))
            .number(Field::OutStan, u64::from(numbers.stan))
            .bytes(Field::OutTime, trimmed(&numbers.time));
        let lsn = self
            .journal
            .append(RecordKind::StanMark, self.paper.record.finish()?, None)?;
        drop(memory);
        self.remember(institution, numbers, 0);
        Ok(lsn)
    }

    /// A network management message built from `values`, held until `after` (0: at once). False when the connection is
    /// not open.
    pub fn network(
        &mut self,
        slot: SlotId,
        mti: [u8; 4],
        values: &dyn Source,
        after: u64,
    ) -> Result<bool, GateError> {
        let Some(legs) = self.hold.link(slot).cloned() else {
            return Ok(false);
        };
        let sources = Sources {
            own: Some(values),
            request: Some(values),
            ..Sources::default()
        };
        let start = build(&mut self.hold, slot, legs.network()?, mti, &sources, None)?;
        let carried = Carried {
            class: class_of(mti),
            waiting: Waiting::Nobody,
        };
        self.hold
            .keep(slot, start, after, 0, Role::Network, carried);
        Ok(true)
    }

    /// The answer to a peer's network management message; no record. `now_s`: for what the dialect supplies.
    pub fn network_answer(
        &mut self,
        request: &Message,
        slot: SlotId,
        code: [u8; 2],
        now_s: i64,
    ) -> Result<bool, GateError> {
        let Some(legs) = self.hold.link(slot).cloned() else {
            return Ok(false);
        };
        self.supply_unclaimed(request, Some(slot), now_s)?;
        let own = Own {
            response_code: &code,
            forwarder_code: &self.forwarder,
            ..Own::default()
        };
        let leg = legs.network_answer()?;
        let start = build_to(&mut self.hold, slot, leg, request, &Code(code), &own)?;
        let carried = Carried {
            class: class_of(response_mti(request.mti())),
            waiting: Waiting::Nobody,
        };
        self.hold.keep(slot, start, 0, 0, Role::Network, carried);
        Ok(true)
    }

    // -- out -----------------------------------------------------------------------------------------------------

    /// The end of a tick: what was appended in it is written, here or by the journal's writer. True when it is durable
    /// already, so that `release` can be called at once. What was withdrawn in it can no longer be undone.
    pub fn commit(&mut self) -> bool {
        self.withdrawn.clear();
        self.journal.commit_here() || any_early()
    }

    /// As `commit`, in the midst of a tick: what was appended so far goes to the journal's writer, which works
    /// meanwhile. True when something that is held has become durable since `release` looked.
    pub fn hand_over(&mut self) -> bool {
        self.withdrawn.clear();
        self.journal.commit();
        self.hold.is_due(self.journal.synced())
    }

    /// Hands out what the journal has synced, one write per connection.
    pub fn release<E>(
        &mut self,
        now_ns: u64,
        write: impl FnMut(SlotId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let synced = self.journal.synced();
        let figures = self.figures.as_ref();
        self.hold.release(
            synced,
            |institution, frame, bytes| {
                if hook::armed() {
                    giving(frame.role);
                }
                leave(figures, institution, frame, bytes, now_ns);
            },
            write,
        )
    }
}

/// The crash points of a frame that is given out. Whoever called `release` looks whether one was reached.
#[cold]
fn giving(role: Role) {
    let _ = match role {
        Role::Request => hook::giving(Handed::Request),
        Role::Answer { .. } | Role::Refusal => hook::giving(Handed::Answer),
        Role::Delivery => hook::giving(Handed::Reversal),
        Role::Network => Ok(()),
    };
}
