//! What is counted against limits, as a fold of the journal's records; knows neither journal nor messages.

mod stand_in;

pub use stand_in::{Allowance, Currency, Date, Fit, Of, Spending, StandIns, Used, Whose};
