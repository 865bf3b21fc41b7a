//! What the rules of the walk remember of what banks are owed besides the reversal of a request.

use std::collections::HashMap;

use super::record::Field;
use super::scan::RecordRef;

// Numbers of `switch.model.state.Duty`.
pub const ADVICE: u64 = 1;
pub const WITHDRAWAL: u64 = 2;

/// By transaction and duty: the record that owes it, and the one that settled it.
#[derive(Default)]
pub struct Owing(HashMap<(u64, u64), (u64, u64)>);

impl Owing {
    /// Each is owed at most once; what is wrong, if anything is.
    pub fn owe(&mut self, txn: u64, duty: u64, lsn: u64) -> Option<String> {
        let (first, _) = self.0.insert((txn, duty), (lsn, 0))?;
        let what = named(duty);
        Some(format!("owes {what} again, first in record {first}"))
    }

    /// A checkpoint carries it.
    pub fn carry(&mut self, txn: u64, duty: u64, lsn: u64) {
        self.0.entry((txn, duty)).or_insert((lsn, 0));
    }

    /// It is settled (`over`) or something about it has changed. `unknown`: its beginning may have been deleted.
    pub fn settle(
        &mut self,
        txn: u64,
        duty: u64,
        lsn: u64,
        over: bool,
        unknown: bool,
    ) -> Option<String> {
        let what = named(duty);
        let Some((_, settled)) = self.0.get_mut(&(txn, duty)) else {
            return (!unknown).then(|| format!("{what} settled that was never owed"));
        };
        let first = *settled;
        if over {
            *settled = lsn;
        }
        (over && first != 0).then(|| format!("{what} settled again, first in record {first}"))
    }
}

/// Which of the fields that a delivery is built from a record lacks.
pub fn missing(record: &RecordRef<'_>, fields: &[Field]) -> Option<String> {
    let missing: Vec<&str> = fields
        .iter()
        .filter(|field| !record.fields.has(**field))
        .map(|field| field.as_str())
        .chain((!record.has_pan()).then_some("pan"))
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// An MTI under which an advice goes to a bank.
pub fn is_advice(mti: &str) -> bool {
    mti.as_bytes().get(2) == Some(&b'2')
}

fn named(duty: u64) -> &'static str {
    if duty == ADVICE {
        "an advice"
    } else {
        "the reversal of an advice"
    }
}
