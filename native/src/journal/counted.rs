//! What records say of stand-in, as it is counted: for those who replay a journal and those who judge one.

use super::record::{Field, Fields};
use crate::limits::{Of, Spending, Used, Whose};

/// What a STOOD_IN record counts as.
pub fn spending_of(fields: &Fields<'_>, issuer: Option<u16>) -> Option<Spending> {
    Some(Spending {
        date: fields.array(Field::BusinessDate)?,
        currency: fields.array(Field::Currency)?,
        card: fields.array(Field::PanIndex)?,
        bank: issuer?,
        amount: fields.number_or_0(Field::Amount),
    })
}

/// A total that a checkpoint carries.
pub fn total_of(fields: &Fields<'_>, issuer: Option<u16>) -> Option<(Of, Used)> {
    let whose = match fields.array(Field::PanIndex) {
        Some(card) => Whose::Card(card),
        None => Whose::Bank(issuer?),
    };
    let of = Of {
        date: fields.array(Field::BusinessDate)?,
        currency: fields.array(Field::Currency)?,
        whose,
    };
    let used = Used {
        count: fields.number_or_0(Field::StandInCount) as u32,
        sum: fields.number_or_0(Field::StandInSum),
    };
    Some((of, used))
}
