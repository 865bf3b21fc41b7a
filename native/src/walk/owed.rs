//! What banks are owed: all of it by transaction and duty, and for each bank in the order of its transactions.

use std::collections::BTreeSet;
use std::rc::Rc;

use hashbrown::HashMap;

use super::original::Original;
use super::state::Duty;

/// At most one of each duty for a transaction.
pub type DutyOf = (u64, Duty);

/// See the module. Counting what one bank is owed, and finding its oldest, cost nothing however much it is.
#[derive(Default)]
pub struct Owed {
    all: HashMap<DutyOf, Rc<Original>>,
    by_issuer: HashMap<u16, BTreeSet<DutyOf>>,
}

impl Owed {
    pub fn insert(&mut self, original: Rc<Original>) {
        let key = (original.txn, original.duty);
        self.by_issuer
            .entry(original.issuer)
            .or_default()
            .insert(key);
        self.all.insert(key, original);
    }

    pub fn remove(&mut self, key: &DutyOf) {
        if let Some(original) = self.all.remove(key)
            && let Some(queue) = self.by_issuer.get_mut(&original.issuer)
        {
            queue.remove(key);
        }
    }

    pub fn get(&self, key: &DutyOf) -> Option<&Rc<Original>> {
        self.all.get(key)
    }

    /// All of it, newest transaction first.
    pub fn keys(&self) -> Vec<DutyOf> {
        let mut keys: Vec<DutyOf> = self.all.keys().copied().collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys
    }

    pub fn count(&self, issuer: u16) -> usize {
        self.by_issuer.get(&issuer).map_or(0, BTreeSet::len)
    }

    pub fn oldest(&self, issuer: u16) -> Option<&Rc<Original>> {
        self.all.get(self.by_issuer.get(&issuer)?.first()?)
    }
}
