//! The two durable records of the floor: as long as the switch's own, through the switch's own journal, and
//! nothing decided about them. What the switch costs beyond this is what it does.

use std::sync::Arc;

use crate::journal::record::{Builder, Field, RecordError, RecordKind};
use crate::journal::{Journal, JournalError};

/// A payload starts with its first field: id (1), length (2), then the transaction number.
const TXN_AT: usize = 3;

/// Appends records that differ in their transaction number only.
pub struct Recorder {
    journal: Arc<Journal>,
    accepted: Vec<u8>,
    answered: Vec<u8>,
    txn: u64,
}

impl Recorder {
    /// # Errors
    /// Never in practice: the templates keep the journal's own rules.
    pub fn new(journal: Arc<Journal>) -> Result<Self, RecordError> {
        Ok(Self {
            journal,
            accepted: accepted()?,
            answered: answered()?,
            txn: 0,
        })
    }

    /// What the switch records before a request leaves for a bank.
    ///
    /// # Errors
    /// The journal's.
    pub fn accept(&mut self) -> Result<u64, JournalError> {
        self.txn += 1;
        number(&mut self.accepted, self.txn);
        let pan = Some(&b"6299000000000011"[..]);
        self.journal
            .append(RecordKind::Accepted, &self.accepted, pan)
    }

    /// What it records before an answer leaves for an acquirer.
    ///
    /// # Errors
    /// The journal's.
    pub fn answer(&mut self) -> Result<u64, JournalError> {
        number(&mut self.answered, self.txn);
        self.journal
            .append(RecordKind::Answered, &self.answered, None)
    }

    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

fn number(payload: &mut [u8], txn: u64) {
    payload[TXN_AT..TXN_AT + 8].copy_from_slice(&txn.to_le_bytes());
}

fn accepted() -> Result<Vec<u8>, RecordError> {
    let mut builder = Builder::new();
    builder
        .number(Field::Txn, 0)
        .signed(Field::AtMs, 1_795_000_000_000)
        .text(Field::Acquirer, "ACQ01")
        .text(Field::Issuer, "BANK01")
        .number(Field::MessageKind, 2)
        .text(Field::Mti, "0200")
        .bytes(Field::Card, &[7; 8])
        .bytes(Field::Key, &[8; 16])
        .bytes(Field::Body, &[9; 16])
        .number(Field::Amount, 200)
        .text(Field::Currency, "156")
        .text(Field::ProcessingCode, "000000")
        .text(Field::Stan, "000001")
        .text(Field::TransmissionTime, "1123170000")
        .text(Field::LocalTime, "170000")
        .text(Field::LocalDate, "1123")
        .text(Field::Rrn, "000000000001")
        .text(Field::TerminalId, "B0000001")
        .text(Field::MerchantId, "BENCH0000000001")
        .text(Field::AcquirerCode, "10000001")
        .text(Field::Mcc, "4111")
        .text(Field::EntryMode, "071")
        .text(Field::ConditionCode, "00")
        .text(Field::BusinessDate, "20261123")
        .number(Field::OutStan, 1)
        .text(Field::OutTime, "1123170000");
    builder.finish().map(<[u8]>::to_vec)
}

fn answered() -> Result<Vec<u8>, RecordError> {
    let mut builder = Builder::new();
    builder
        .number(Field::Txn, 0)
        .signed(Field::AtMs, 1_795_000_000_000)
        .bytes(Field::Key, &[8; 16])
        .text(Field::Code, "00")
        .text(Field::BankCode, "00")
        .text(Field::AuthCode, "000001")
        .number(Field::Outcome, 2)
        .text(Field::End, "--")
        .number(Field::BankUs, 100)
        .number(Field::OursUs, 100);
    builder.finish().map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Fields;

    #[test]
    fn the_number_stands_where_it_is_written() -> Result<(), RecordError> {
        for mut payload in [accepted()?, answered()?] {
            number(&mut payload, 0x0102_0304_0506_0708);
            let fields = Fields::parse(&payload)?;
            assert_eq!(fields.number(Field::Txn), Some(0x0102_0304_0506_0708));
        }
        Ok(())
    }
}
