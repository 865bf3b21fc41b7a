//! A request in the journal's named fields: what a reversal or an advice towards its bank is built from.
//!
//! It lives while that is owed, across restarts. It holds the card number, because the bank needs it, in
//! memory that is wiped when it goes; there is no place in it for track, PIN, expiry or a verification value.

use std::cell::Cell;

use zeroize::Zeroize;

use super::digest::Digest;
use super::state::{Cause, Duty};
use crate::codec::kind::{Kind, response_mti};
use crate::codec::leg::OriginalData;
use crate::codec::message::Message;
use crate::codec::name::{Name, Source};
use crate::journal::record::{Builder, Field, Fields, PAN_BYTES_MAX};

/// Text fields of a request that records keep and reversals are built from, with their place in a record. The number
/// of the acquirer's own message (STAN, transmission time) is among them for those who read the journal.
pub const KEPT: [(Name, Field); 13] = [
    (Name::ProcessingCode, Field::ProcessingCode),
    (Name::Currency, Field::Currency),
    (Name::Stan, Field::Stan),
    (Name::TransmissionTime, Field::TransmissionTime),
    (Name::LocalTime, Field::LocalTime),
    (Name::LocalDate, Field::LocalDate),
    (Name::Rrn, Field::Rrn),
    (Name::TerminalId, Field::TerminalId),
    (Name::MerchantId, Field::MerchantId),
    (Name::AcquirerCode, Field::AcquirerCode),
    (Name::Mcc, Field::Mcc),
    (Name::EntryMode, Field::EntryMode),
    (Name::ConditionCode, Field::ConditionCode),
];

/// Numbers under which something went, or will go, to a bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub stan: u32,
    /// MMDDhhmmss UTC.
    pub time: [u8; 10],
}

/// What is owed: see the module.
pub struct Original {
    pub txn: u64,
    pub acquirer: u16,
    pub issuer: u16,
    /// `switch.model.kind.Kind` of the request.
    pub kind: u8,
    /// MTI under which it went to the bank.
    pub mti: [u8; 4],
    pub key: Digest,
    pub amount: u64,
    pub business_date: [u8; 8],
    /// Numbers towards the bank of what a reversal takes back, or of what an advice stands on.
    pub out: Numbers,
    pub duty: Duty,
    /// Its own, the same in every repeat.
    pub own: Numbers,
    pub cause: Cause,
    /// Record that owes it.
    pub lsn: u64,
    /// Wall clock of that record, Unix milliseconds.
    pub owed_ms: Cell<i64>,
    /// How often a leg was built from it; at least 1 after a restart, when nobody knows.
    pub attempts: Cell<u32>,
    /// Place in `RESTS` of where it rests.
    rests: Cell<usize>,
    why: Cell<[u8; 2]>,
    /// Monotonic time at which the last leg was handed to a socket, 0 before.
    pub sent_ns: Cell<u64>,
    /// Of an advice: what was answered, and under which authorisation code.
    code: [u8; 2],
    auth_code: [u8; 6],
    forwarder: Vec<u8>,
    pan: Pan,
    /// Values of `KEPT` in that order, one after the other; `ends` are where each stops.
    kept: Vec<u8>,
    ends: [u16; KEPT.len()],
}

#[derive(Clone, Default)]
struct Pan {
    digits: [u8; PAN_BYTES_MAX],
    length: u8,
}

impl Drop for Pan {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

impl Pan {
    fn get(&self) -> &[u8] {
        self.digits.get(..usize::from(self.length)).unwrap_or(&[])
    }

    fn set(&mut self, digits: &[u8]) {
        if let Some(place) = self.digits.get_mut(..digits.len()) {
            place.copy_from_slice(digits);
            self.length = digits.len() as u8;
        }
    }
}

/// In what a delivery may rest.
const RESTS: [&str; 4] = ["", "parked", "dead", "held"];

/// What is known of an owed reversal or advice beside the fields of the request.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub txn: u64,
    pub acquirer: u16,
    pub issuer: u16,
    pub kind: u8,
    pub mti: [u8; 4],
    pub key: Digest,
    pub amount: u64,
    pub business_date: [u8; 8],
    pub out: Numbers,
    pub duty: Duty,
    pub own: Numbers,
    pub cause: Cause,
}

/// MTI of the first advice of a kind of request.
pub fn advice_mti(kind: u8) -> [u8; 4] {
    let of = |known: Kind| known as u8 == kind;
    let authorises = of(Kind::Authorisation)
        || of(Kind::Preauthorisation)
        || of(Kind::PreauthorisationCancel)
        || of(Kind::AuthorisationAdvice);
    if authorises { *b"0120" } else { *b"0220" }
}

impl Original {
    /// From a message in memory: the request itself, or the acquirer's reversal of it.
    pub fn from_source(facts: Facts, source: &dyn Source, forwarder: &[u8]) -> Original {
        let mut scratch = Vec::with_capacity(PAN_BYTES_MAX);
        let mut original = Original::bare(facts, forwarder);
        if source.normal(Name::Pan, &mut scratch) {
            original.pan.set(&scratch);
        }
        scratch.zeroize();
        for (end, (name, _)) in original.ends.iter_mut().zip(KEPT) {
            source.normal(name, &mut original.kept);
            *end = original.kept.len() as u16;
        }
        original
    }

    /// From a record, and the card number that was sealed beside it.
    pub fn from_record(facts: Facts, fields: &Fields<'_>, pan: &[u8]) -> Original {
        let forwarder = fields.get(Field::ForwarderCode).unwrap_or(&[]);
        let mut original = Original::bare(facts, forwarder);
        if facts.duty == Duty::Advice {
            original.code = fields.array(Field::Code).unwrap_or([0; 2]);
            original.auth_code = fields.array(Field::AuthCode).unwrap_or([0; 6]);
        }
        let at_ms = fields.signed(Field::AtMs).unwrap_or(0);
        original
            .owed_ms
            .set(fields.signed(Field::OwedMs).unwrap_or(at_ms));
        original.pan.set(pan);
        for (end, (_, field)) in original.ends.iter_mut().zip(KEPT) {
            original
                .kept
                .extend_from_slice(fields.get(field).unwrap_or(&[]));
            *end = original.kept.len() as u16;
        }
        original
    }

    fn bare(facts: Facts, forwarder: &[u8]) -> Original {
        Original {
            txn: facts.txn,
            acquirer: facts.acquirer,
            issuer: facts.issuer,
            kind: facts.kind,
            mti: facts.mti,
            key: facts.key,
            amount: facts.amount,
            business_date: facts.business_date,
            out: facts.out,
            duty: facts.duty,
            own: facts.own,
            cause: facts.cause,
            lsn: 0,
            owed_ms: Cell::new(0),
            code: [0; 2],
            auth_code: [0; 6],
            attempts: Cell::new(0),
            rests: Cell::new(0),
            why: Cell::new([0; 2]),
            sent_ns: Cell::new(0),
            forwarder: forwarder.to_vec(),
            pan: Pan::default(),
            kept: Vec::with_capacity(128),
            ends: [0; KEPT.len()],
        }
    }

    /// What the advice says was answered, and under which authorisation code.
    #[must_use]
    pub fn approved(mut self, code: [u8; 2], auth_code: [u8; 6]) -> Original {
        self.code = code;
        self.auth_code = auth_code;
        self
    }

    /// The same request, with a reversal of these numbers owed for it.
    pub fn with_reversal(&self, cause: Cause, own: Numbers) -> Original {
        Original {
            cause,
            duty: Duty::undoing(self.mti),
            own,
            owed_ms: Cell::new(0),
            attempts: Cell::new(0),
            rests: Cell::new(0),
            why: Cell::new([0; 2]),
            sent_ns: Cell::new(0),
            forwarder: self.forwarder.clone(),
            pan: self.pan.clone(),
            kept: self.kept.clone(),
            ..*self
        }
    }

    /// A SETTLED record of `at_ms` says this of it: it rests, or does not any more and is as young as that.
    /// `why` of a dead letter is the bank's code, or the end code.
    pub fn rest(&self, result: &str, at_ms: i64, bank_code: &[u8], end: &[u8]) {
        let why = [bank_code, end].into_iter().find(|code| !code.is_empty());
        let why = why.filter(|_| result == "dead");
        self.why
            .set(why.and_then(|code| code.try_into().ok()).unwrap_or([0; 2]));
        let place = RESTS.iter().position(|known| *known == result);
        self.rests.set(place.unwrap_or(0));
        if matches!(result, "released" | "retried") {
            self.owed_ms.set(at_ms);
        }
    }

    /// Why it is a dead letter; empty: it is none.
    pub fn why(&self) -> [u8; 2] {
        self.why.get()
    }

    /// In what it rests; empty: it does not.
    pub fn standing(&self) -> &'static str {
        RESTS.get(self.rests.get()).copied().unwrap_or("")
    }

    /// MTI under which it goes.
    pub fn first_mti(&self) -> [u8; 4] {
        match self.duty {
            Duty::Advice => advice_mti(self.kind),
            Duty::Reversal | Duty::Withdrawal => *b"0420",
        }
    }

    /// The same of a repeat.
    pub fn repeat_mti(&self) -> [u8; 4] {
        let [version, class, function, _] = self.first_mti();
        [version, class, function, b'1']
    }

    /// What an advice tells of; empty for a reversal.
    pub fn code(&self) -> &[u8] {
        trimmed(&self.code)
    }

    /// True when there is something to be named: what is reversed, or what an advice stands on.
    fn names(&self) -> bool {
        match self.duty {
            Duty::Advice => self.out.stan != 0 && self.mti != [0; 4] && follows(self.kind),
            Duty::Reversal | Duty::Withdrawal => true,
        }
    }

    /// What names the request to its bank.
    pub fn data(&self) -> OriginalData<'_> {
        let at = KEPT.iter().position(|(n, _)| *n == Name::AcquirerCode);
        OriginalData {
            mti: self.mti,
            stan: self.out.stan,
            transmission_time: &self.out.time,
            acquirer_code: at.map_or(&[], |at| self.kept_at(at)),
            forwarder_code: &self.forwarder,
        }
    }

    /// True when a bank's answer belongs to what was built from this: response MTI, its own STAN and
    /// transmission time, and the echoes that the answer's dialect lists. What was sent must have come back unchanged.
    pub fn agrees(&self, reply: &Message) -> bool {
        let mut sent = Vec::with_capacity(16);
        reply.mti() == response_mti(self.first_mti())
            && i64::from(reply.stan()) == i64::from(self.own.stan)
            && reply.dialect().echoes.iter().all(|&name| {
                sent.clear();
                !self.normal(name, &mut sent) || reply.value(name).as_deref() == Some(&sent)
            })
    }

    /// Field 33 under which the request went to the bank.
    pub fn forwarder(&self) -> &[u8] {
        &self.forwarder
    }

    /// The card number, for the sealed place beside a record.
    pub fn pan(&self) -> &[u8] {
        self.pan.get()
    }

    /// Writes everything that `from_record` needs, so that the record stands on its own.
    pub fn write(&self, record: &mut Builder) {
        record.number(Field::Amount, self.amount);
        self.write_named(record);
        match self.duty {
            Duty::Advice => self.write_advice(record),
            Duty::Reversal | Duty::Withdrawal => {
                record
                    .number(Field::Cause, self.cause as u64)
                    .number(Field::ReversalStan, u64::from(self.own.stan))
                    .bytes(Field::ReversalTime, trimmed(&self.own.time));
            }
        }
        for (at, (_, field)) in KEPT.iter().enumerate() {
            record.offer(*field, self.kept_at(at));
        }
    }

    /// What it is about, and as whom we speak.
    pub fn write_named(&self, record: &mut Builder) {
        record
            .bytes(Field::OriginalMti, trimmed(&self.mti))
            .number(Field::OutStan, u64::from(self.out.stan))
            .bytes(Field::OutTime, trimmed(&self.out.time))
            .bytes(Field::BusinessDate, trimmed(&self.business_date))
            .bytes(Field::ForwarderCode, &self.forwarder);
    }

    /// Only what a record of the request that owes an advice has beside the request's fields and the code.
    pub fn write_advice(&self, record: &mut Builder) {
        record
            .number(Field::AdviceStan, u64::from(self.own.stan))
            .bytes(Field::AdviceTime, trimmed(&self.own.time));
        record.offer(Field::AuthCode, trimmed(&self.auth_code));
    }

    fn kept_at(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = usize::from(start.copied().unwrap_or(0));
        let end = self.ends.get(at).map_or(start, |end| usize::from(*end));
        self.kept.get(start..end).unwrap_or(&[])
    }
}

/// Fixed-length text, empty when it is not there.
pub fn trimmed(text: &[u8]) -> &[u8] {
    match text.first() {
        None | Some(0) => &[],
        Some(_) => text,
    }
}

/// True for a kind that stands on an earlier transaction.
fn follows(kind: u8) -> bool {
    Kind::from_u8(kind).is_some_and(Kind::follows)
}

/// Names as the legs ask for them: its own numbers, and in the original data those of what it is about.
impl Source for Original {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        match name {
            Name::Pan => push(out, self.pan.get()),
            Name::Amount => push(out, format!("{:012}", self.amount).as_bytes()),
            Name::Stan => push(out, format!("{:06}", self.own.stan).as_bytes()),
            Name::TransmissionTime => push(out, trimmed(&self.own.time)),
            Name::ForwarderCode => push(out, &self.forwarder),
            Name::ResponseCode => push(out, self.code()),
            Name::AuthCode => push(out, trimmed(&self.auth_code)),
            Name::OriginalData => {
                if self.names() {
                    self.data().write(out);
                }
                self.names()
            }
            _ => KEPT
                .iter()
                .position(|(kept, _)| *kept == name)
                .is_some_and(|at| push(out, self.kept_at(at))),
        }
    }
}

fn push(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    !value.is_empty()
}
