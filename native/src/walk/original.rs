//! An accepted request in the journal's named fields: what a reversal towards its bank is built from.
//!
//! It lives while the reversal is owed, across restarts. It holds the card number, because the bank needs it, in
//! memory that is wiped when it goes; there is no place in it for track, PIN, expiry or a verification value.

use std::cell::Cell;

use zeroize::Zeroize;

use super::digest::Digest;
use super::state::Cause;
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
    /// The request's numbers towards the bank.
    pub out: Numbers,
    /// The reversal's own, the same in every repeat.
    pub reversal: Numbers,
    pub cause: Cause,
    /// Record that owes it.
    pub lsn: u64,
    /// How often a leg was built from it; at least 1 after a restart, when nobody knows.
    pub attempts: Cell<u32>,
    /// Monotonic time at which the last leg was handed to a socket, 0 before.
    pub sent_ns: Cell<u64>,
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

/// What is known of an owed reversal beside the fields of the request.
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
    pub reversal: Numbers,
    pub cause: Cause,
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
            reversal: facts.reversal,
            cause: facts.cause,
            lsn: 0,
            attempts: Cell::new(0),
            sent_ns: Cell::new(0),
            forwarder: forwarder.to_vec(),
            pan: Pan::default(),
            kept: Vec::with_capacity(128),
            ends: [0; KEPT.len()],
        }
    }

    /// The same request, with a reversal of these numbers owed for it.
    pub fn with_reversal(&self, cause: Cause, reversal: Numbers) -> Original {
        Original {
            cause,
            reversal,
            attempts: Cell::new(0),
            sent_ns: Cell::new(0),
            forwarder: self.forwarder.clone(),
            pan: self.pan.clone(),
            kept: self.kept.clone(),
            ..*self
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

    /// True when a bank's answer belongs to the reversal built from this: response MTI, the reversal's own STAN and
    /// transmission time, and the echoes that the answer's dialect lists. What was sent must have come back unchanged.
    pub fn agrees(&self, reply: &Message) -> bool {
        let mut sent = Vec::with_capacity(16);
        reply.mti() == *b"0430"
            && i64::from(reply.stan()) == i64::from(self.reversal.stan)
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
        record
            .bytes(Field::OriginalMti, trimmed(&self.mti))
            .number(Field::Amount, self.amount)
            .number(Field::OutStan, u64::from(self.out.stan))
            .bytes(Field::OutTime, trimmed(&self.out.time))
            .bytes(Field::BusinessDate, trimmed(&self.business_date))
            .bytes(Field::ForwarderCode, &self.forwarder)
            .number(Field::Cause, self.cause as u64)
            .number(Field::ReversalStan, u64::from(self.reversal.stan))
            .bytes(Field::ReversalTime, trimmed(&self.reversal.time));
        for (at, (_, field)) in KEPT.iter().enumerate() {
            record.offer(*field, self.kept_at(at));
        }
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

/// Names as the reversal's leg asks for them: the reversal's own numbers, and the request's in the original data.
impl Source for Original {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        match name {
            Name::Pan => push(out, self.pan.get()),
            Name::Amount => push(out, format!("{:012}", self.amount).as_bytes()),
            Name::Stan => push(out, format!("{:06}", self.reversal.stan).as_bytes()),
            Name::TransmissionTime => push(out, trimmed(&self.reversal.time)),
            Name::ForwarderCode => push(out, &self.forwarder),
            Name::OriginalData => {
                self.data().write(out);
                true
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
