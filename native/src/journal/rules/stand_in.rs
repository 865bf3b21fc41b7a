//! Approvals in banks' names: one outcome each, with the advice that is owed, within the limits that the record says.

use super::super::counted::spending_of;
use super::super::record::{Field, Fields};
use super::super::scan::RecordRef;
use super::{APPROVED, Judge};

impl Judge {
    /// An approval in the bank's name: the one outcome of its request, with the advice that is owed for it, within the
    /// limits that it says.
    pub(super) fn stood_in(&mut self, txn: u64, lsn: u64, record: &RecordRef<'_>) {
        let fields = &record.fields;
        let first = fields.has(Field::Body);
        let unknown = self.before_our_time(txn);
        let life = self.lives.entry(txn).or_default();
        let before = *life;
        life.answered = lsn;
        life.outcome = fields.number_or_0(Field::Outcome);
        if first {
            life.accepted = lsn;
        }
        let outcome = life.outcome;
        if fields.number_or_0(Field::Cause) != 0 {
            life.owed = lsn;
            life.settled = 0;
            self.owe(txn, lsn, record);
        }
        self.unanswered.remove(&txn);
        if first {
            self.claim(lsn, txn, fields);
            self.count(lsn, txn, fields);
        } else if before.accepted == 0 && !unknown {
            self.found(
                "walk.1",
                lsn,
                txn,
                "stood in for without having been accepted",
            );
        }
        let earlier = before.answered.max(before.declined);
        if earlier != 0 {
            let problem = format!("approved by stand-in after its outcome in record {earlier}");
            self.found("walk.11", lsn, txn, problem);
        }
        if before.suppressed != 0 {
            let problem = format!(
                "approved, although record {} had reversed it",
                before.suppressed
            );
            self.found("walk.6", lsn, txn, problem);
        }
        if outcome != APPROVED || !fields.has(Field::AdviceStan) || !fields.has(Field::Rule) {
            let problem = "a stand-in that is no approval by a rule with its advice";
            self.found("walk.11", lsn, txn, problem);
        }
        self.within_limits(txn, lsn, fields);
    }

    /// The card's day, this approval included, against the limits that the record says.
    fn within_limits(&mut self, txn: u64, lsn: u64, fields: &Fields<'_>) {
        let bank = self.number_of(fields.text(Field::Issuer)) as u16;
        let Some(spending) = spending_of(fields, Some(bank)) else {
            let problem = "a stand-in that cannot be counted: no day, currency or card";
            return self.found("walk.11", lsn, txn, problem);
        };
        self.stand_ins.add(&spending);
        let used = self.stand_ins.used(&spending.totals()[0]);
        let (count, sum) = (
            fields.number_or_0(Field::CountMax),
            fields.number_or_0(Field::SumMax),
        );
        if u64::from(used.count) > count || used.sum > sum {
            let problem = format!(
                "stand-in approval {} of its card's day, {} minor units in all; its rule allows {count} and {sum}",
                used.count, used.sum
            );
            self.found("walk.11", lsn, txn, problem);
        }
    }
}
