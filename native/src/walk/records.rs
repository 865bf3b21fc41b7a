//! What the gate writes into the journal, record by record, and how an entry of the duplicates table is read back.
//!
//! A record that owes a reversal carries everything its repeats need, so it stands on its own when the segments before
//! it are gone. The values of peers are offered: one that does not fit its field is left out rather than refused.

use super::duplicates::{Entry, NO_ISSUER};
use super::original::{KEPT, Original, trimmed};
use super::state::{KeyState, ReversalEffect};
use super::steps::micros;
use crate::codec::message::Message;
use crate::codec::name::{Name, Source};
use crate::codec::wipe;
use crate::journal::record::{
    Builder, CONFIG_HASH_BYTES, Field, Fields, PAN_BYTES_MAX, RecordError, WINDOWS_MAX,
};
use crate::limits::{Of, Used, Whose};
use crate::tap::Tap;
use crate::tap::atc::{AtcKey, AtcTable, Window};

/// Buffers that serve every record in turn.
pub struct Paper {
    pub record: Builder,
    pan: Vec<u8>,
    /// The configuration in force; zeros before it is told.
    pub config: [u8; CONFIG_HASH_BYTES],
}

impl Default for Paper {
    fn default() -> Self {
        Paper {
            record: Builder::new(),
            pan: Vec::with_capacity(PAN_BYTES_MAX),
            config: [0; CONFIG_HASH_BYTES],
        }
    }
}

/// Ids of the two sides of a request; empty when there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sides<'a> {
    pub acquirer: &'a str,
    pub issuer: &'a str,
}

impl Paper {
    /// Starts a record of something decided now: it says under which configuration.
    pub fn decide(&mut self, txn: u64, wall_ms: i64) -> &mut Builder {
        let config = self.config;
        let record = self.start(txn, wall_ms);
        if config == [0; CONFIG_HASH_BYTES] {
            return record;
        }
        record.bytes(Field::ConfigHash, &config)
    }

    /// Starts a record with what every one has.
    pub fn start(&mut self, txn: u64, wall_ms: i64) -> &mut Builder {
        self.record
            .clear()
            .number(Field::Txn, txn)
            .signed(Field::AtMs, wall_ms)
    }

    /// Key, body, card and the fields of the request itself.
    pub fn request(&mut self, message: &Message, mti: [u8; 4], entry: &Entry, sides: Sides<'_>) {
        self.record
            .text(Field::Acquirer, sides.acquirer)
            .text(Field::Issuer, sides.issuer)
            .number(Field::MessageKind, u64::from(entry.kind))
            .bytes(Field::Mti, &mti)
            .bytes(Field::Card, &entry.card)
            .bytes(Field::Key, &entry.key)
            .bytes(Field::Body, &entry.body)
            .number(Field::Amount, entry.amount);
        if Tap::of(message).is_some() {
            self.tapped(entry);
        }
        self.kept(message);
    }

    /// How far a request is after its first byte, as this record of it is written; `now_ns` 0 is unknown.
    pub fn times(&mut self, message: &Message, now_ns: u64) {
        let received_ns = message.received_ns();
        let mut since = |field, at_ns: u64| {
            if at_ns > received_ns {
                self.record.number(field, micros(at_ns - received_ns));
            }
        };
        since(Field::ReadUs, message.complete_ns());
        since(Field::VerifiedUs, message.verified_ns());
        since(Field::RecordedUs, now_ns);
    }

    /// The same in the record of its outcome.
    pub fn recorded(&mut self, received_ns: u64, now_ns: u64) {
        if now_ns > received_ns && received_ns > 0 {
            self.record
                .number(Field::RecordedUs, micros(now_ns - received_ns));
        }
    }

    /// The counter that a record claims, and the mapping that was in force.
    fn tapped(&mut self, entry: &Entry) {
        self.record
            .number(Field::TokenSequence, u64::from(entry.token_sequence))
            .number(Field::Atc, u64::from(entry.atc))
            .number(Field::MappingVersion, u64::from(entry.mapping_version));
    }

    /// Windows of transaction counters from a place of the table on, at most `WINDOWS_MAX` in `span` places; the place
    /// behind the last, and whether there were any.
    pub fn windows(
        &mut self,
        table: &AtcTable,
        from: usize,
        span: usize,
        wall_ms: i64,
    ) -> (usize, bool) {
        let (mut at, mut left) = (from, WINDOWS_MAX);
        let end = table.places().min(from.saturating_add(span));
        self.start(0, wall_ms).with(Field::AtcSeen, |out| {
            while at < end && left > 0 {
                if let Some(window) = table.at(at) {
                    window.write(out);
                    left -= 1;
                }
                at += 1;
            }
            left < WINDOWS_MAX
        });
        (at, left < WINDOWS_MAX)
    }

    /// The fields of a message that records keep.
    fn kept(&mut self, message: &Message) {
        for (name, field) in KEPT {
            if let Some(value) = message.value(name) {
                self.record.offer(field, &value);
            }
        }
    }

    /// What the bank said, as far as it becomes the answer.
    pub fn bank_answer(&mut self, reply: &Message) {
        for (name, field) in [
            (Name::ResponseCode, Field::BankCode),
            (Name::AuthCode, Field::AuthCode),
            (Name::SettlementDate, Field::SettlementDate),
            (Name::AdditionalAmounts, Field::AdditionalAmounts),
        ] {
            if let Some(value) = reply.value(name) {
                self.record.offer(field, &value);
            }
        }
    }

    /// The record, and the card number to be sealed beside it.
    pub fn finish(&mut self, source: &dyn Source) -> Result<(&[u8], Option<&[u8]>), RecordError> {
        wipe(&mut self.pan);
        let has_pan = source.normal(Name::Pan, &mut self.pan);
        Ok((
            self.record.finish()?,
            has_pan.then_some(self.pan.as_slice()),
        ))
    }

    /// The whole state of an entry, as a checkpoint carries it.
    pub fn carried(&mut self, entry: &Entry, sides: Sides<'_>) -> &mut Builder {
        self.start(entry.txn, i64::from(entry.at_s) * 1000)
            .text(Field::Acquirer, sides.acquirer)
            .text(Field::Issuer, sides.issuer)
            .number(Field::MessageKind, u64::from(entry.kind))
            .bytes(Field::Mti, trimmed(&entry.out_mti))
            .bytes(Field::Card, &entry.card)
            .bytes(Field::Key, &entry.key)
            .bytes(Field::Body, &entry.body)
            .number(Field::Amount, entry.amount)
            .number(Field::OutStan, u64::from(entry.out_stan))
            .bytes(Field::OutTime, trimmed(&entry.out_time))
            .bytes(Field::BusinessDate, trimmed(&entry.business_date))
            .bytes(Field::Code, trimmed(&entry.code))
            .bytes(Field::AuthCode, trimmed(&entry.auth_code))
            .bytes(Field::SettlementDate, trimmed(&entry.settlement_date))
            .bytes(Field::IssuerAuth, entry.issuer_auth())
            .number(Field::Outcome, entry.state as u64);
        if entry.tapped {
            self.tapped(entry);
        }
        for (field, value) in [
            (Field::Rrn, trimmed(&entry.rrn)),
            (Field::Currency, trimmed(&entry.currency)),
            (Field::LocalTime, trimmed(&entry.local_time)),
            (Field::LocalDate, trimmed(&entry.local_date)),
            (Field::AdditionalAmounts, entry.amounts()),
        ] {
            self.record.offer(field, value);
        }
        &mut self.record
    }

    /// All that the repeats of an owed reversal or advice need, beside what `start` has written.
    pub fn owed(&mut self, original: &Original, sides: Sides<'_>) {
        self.record
            .text(Field::Acquirer, sides.acquirer)
            .text(Field::Issuer, sides.issuer)
            .number(Field::MessageKind, u64::from(original.kind));
        original.write(&mut self.record);
    }

    /// An acquirer's reversal under its own key; with all that is owed to the bank.
    pub fn reversal(
        &mut self,
        message: &Message,
        own: &Entry,
        sides: Sides<'_>,
        original: Option<&Original>,
    ) {
        self.record
            .text(Field::Acquirer, sides.acquirer)
            .text(Field::Issuer, sides.issuer)
            .number(Field::MessageKind, u64::from(own.kind))
            .bytes(Field::Mti, &message.mti())
            .bytes(Field::Card, &own.card)
            .bytes(Field::Key, &own.key)
            .bytes(Field::Body, &own.body);
        match original {
            Some(original) => original.write(&mut self.record),
            None => {
                self.record.number(Field::Amount, own.amount);
                self.kept(message);
            }
        }
    }

    /// A total of stand-in, as a checkpoint carries it.
    pub fn total(&mut self, of: &Of, used: &Used, issuer: &str, wall_ms: i64) -> &mut Builder {
        let record = self
            .start(0, wall_ms)
            .bytes(Field::BusinessDate, &of.date)
            .bytes(Field::Currency, &of.currency)
            .number(Field::StandInCount, u64::from(used.count))
            .number(Field::StandInSum, used.sum);
        match of.whose {
            Whose::Card(card) => record.bytes(Field::PanIndex, &card),
            Whose::Bank(_) => record.text(Field::Issuer, issuer),
        }
    }

    /// An owed reversal or advice, as a checkpoint carries it: an ANSWERED record that says nothing of the request's key.
    pub fn carried_owed(
        &mut self,
        original: &Original,
        sides: Sides<'_>,
        wall_ms: i64,
    ) -> &mut Builder {
        self.start(original.txn, wall_ms)
            .bytes(Field::Key, &original.key)
            .number(Field::Attempts, u64::from(original.attempts.get()))
            .signed(Field::OwedMs, original.owed_ms.get())
            .text(Field::Result, original.standing())
            .bytes(Field::End, trimmed(&original.why()))
            .bytes(Field::Code, original.code());
        self.owed(original, sides);
        &mut self.record
    }
}

/// Reads an entry from any record that has a key of its own: what a record does not say stays as in a fresh claim.
pub fn read_entry(fields: &Fields<'_>, acquirer: u16, issuer: Option<u16>) -> Option<Entry> {
    let at_ms = fields.signed(Field::AtMs).unwrap_or(0);
    let mut entry = Entry {
        amount: fields.number_or_0(Field::Amount),
        out_stan: fields.number_or_0(Field::OutStan) as u32,
        acquirer,
        issuer: issuer.unwrap_or(NO_ISSUER),
        kind: fields.number_or_0(Field::MessageKind) as u8,
        out_time: fields.array(Field::OutTime).unwrap_or([0; 10]),
        out_mti: fields.array(Field::Mti).unwrap_or([0; 4]),
        business_date: fields.array(Field::BusinessDate).unwrap_or([0; 8]),
        rrn: fields.array(Field::Rrn).unwrap_or([0; 12]),
        currency: fields.array(Field::Currency).unwrap_or([0; 3]),
        local_time: fields.array(Field::LocalTime).unwrap_or([0; 6]),
        local_date: fields.array(Field::LocalDate).unwrap_or([0; 4]),
        tapped: fields.has(Field::MappingVersion),
        token_sequence: fields.number_or_0(Field::TokenSequence) as u8,
        atc: fields.number_or_0(Field::Atc) as u16,
        mapping_version: fields.number_or_0(Field::MappingVersion) as u32,
        ..Entry::claimed(
            fields.array(Field::Key)?,
            fields.array(Field::Body).unwrap_or([0; 16]),
            fields.array(Field::Card).unwrap_or([0; 8]),
            fields.number_or_0(Field::Txn),
            u32::try_from(at_ms / 1000).unwrap_or(0),
        )
    };
    settle_entry(&mut entry, fields);
    Some(entry)
}

/// Takes over what a record says of the outcome; nothing when it says nothing.
pub fn settle_entry(entry: &mut Entry, fields: &Fields<'_>) {
    let outcome = fields.number(Field::Outcome).unwrap_or(0) as u8;
    let Some(state) = KeyState::from_u8(outcome).filter(|s| *s != KeyState::New) else {
        return;
    };
    entry.state = state;
    entry.code = fields.array(Field::Code).unwrap_or([0; 2]);
    entry.auth_code = fields.array(Field::AuthCode).unwrap_or([0; 6]);
    entry.settlement_date = fields.array(Field::SettlementDate).unwrap_or([0; 4]);
    entry.set_amounts(fields.get(Field::AdditionalAmounts).unwrap_or(&[]));
    entry.set_issuer_auth(fields.get(Field::IssuerAuth).unwrap_or(&[]));
}

/// Every window of a record.
pub fn windows_of<'a>(fields: &Fields<'a>) -> impl Iterator<Item = Window> + 'a {
    Window::read_all(fields.get(Field::AtcSeen).unwrap_or(&[]))
}

/// The counter that a record claims.
pub fn claim_of(fields: &Fields<'_>) -> Option<(AtcKey, u16)> {
    let key = AtcKey {
        token: fields.array(Field::Card)?,
        sequence: fields.number_or_0(Field::TokenSequence) as u8,
    };
    Some((key, fields.number(Field::Atc)? as u16))
}

/// A key that is only known from a reversal of it.
pub fn tombstone(key: [u8; 16], txn: u64, at_s: u32, acquirer: u16) -> Entry {
    Entry {
        acquirer,
        state: KeyState::Tombstone,
        ..Entry::claimed(key, [0; 16], [0; 8], txn, at_s)
    }
}

/// The effect a REVERSAL record says.
pub fn effect_of(fields: &Fields<'_>) -> Option<ReversalEffect> {
    ReversalEffect::from_u8(fields.number(Field::Effect)? as u8)
}
