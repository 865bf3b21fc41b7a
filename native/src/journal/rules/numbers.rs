//! What may be used once: request keys, transaction counters, and numbers towards an institution.

use super::Judge;
use crate::journal::record::{Field, Fields};
use crate::tap::atc::{AtcKey, Freshness};

impl Judge {
    pub(super) fn claim(&mut self, lsn: u64, txn: u64, fields: &Fields<'_>) {
        let Some(key) = fields.array(Field::Key) else {
            self.found("walk.5", lsn, txn, "a request without a key");
            return;
        };
        if let Some(first) = self.keys.insert(key, lsn) {
            self.found(
                "walk.5",
                lsn,
                txn,
                format!("the same request key was claimed in record {first}"),
            );
        }
    }

    /// A counter of a tap that was proved.
    pub(super) fn count(&mut self, lsn: u64, txn: u64, fields: &Fields<'_>) {
        let (Some(token), Some(atc)) = (fields.array(Field::Card), fields.number(Field::Atc))
        else {
            return;
        };
        let key = AtcKey {
            token,
            sequence: fields.number_or_0(Field::TokenSequence) as u8,
        };
        let Ok(atc) = u16::try_from(atc) else {
            return self.found("walk.7", lsn, txn, "a transaction counter over 65535");
        };
        let first = self.claimed.insert((key, atc), lsn);
        let freshness = self.counters.check(&key, atc, u16::MAX);
        let problem = match (first, freshness) {
            (Some(first), _) => {
                format!("the same transaction counter was claimed in record {first}")
            }
            (None, Freshness::Seen) => {
                "the transaction counter was claimed before, as a checkpoint says".to_owned()
            }
            (None, Freshness::Old) => "the transaction counter lies below the window".to_owned(),
            _ => {
                self.counters.claim(&key, atc);
                return;
            }
        };
        self.found("walk.7", lsn, txn, problem);
    }

    /// A number for an institution.
    pub(super) fn number_of(&mut self, name: &str) -> u32 {
        let next = self.institutions.len() as u32;
        match self.institutions.get(name) {
            Some(number) => *number,
            None => *self.institutions.entry(name.to_owned()).or_insert(next),
        }
    }

    pub(super) fn spend(
        &mut self,
        lsn: u64,
        txn: u64,
        fields: &Fields<'_>,
        who: Field,
        stan: Field,
        time: Field,
    ) {
        let name = fields.text(who);
        let institution = self.number_of(name);
        let (stan, time) = (fields.number_or_0(stan), fields.text(time));
        let number = time
            .bytes()
            .fold(0, |n, digit| n * 10 + u64::from(digit.wrapping_sub(b'0')));
        if !self.spent.insert((institution, number, stan)) {
            let problem = format!("STAN {stan:06} at {time} was used before towards {name}");
            self.found("walk.10", lsn, txn, problem);
        }
    }
}
