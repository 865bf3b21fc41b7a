//! The guard of one link: proves what comes in, and seals what goes out.
//!
//! A message is proved while its chunk is decoded, before anything else looks at it; which key proved it stays with it,
//! and its answer is sealed with the same one. Results are counted here, since nothing else sees the good ones.

use std::sync::atomic::{AtomicU64, Ordering};

use super::key::{Key, LockedKey};
use super::strategy::Strategy;
use crate::codec::kind::Kind;
use crate::codec::message::Message;
use crate::codec::seal::{CODE_BYTES, Seal};

/// Keys of one link at one time: a newer one, and the one that it takes over from.
pub const LINK_KEYS_MAX: usize = 2;

/// What came of a message's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Proof {
    /// A message of a kind that goes without.
    Unsealed = 0,
    Ok = 1,
    Wrong = 2,
    Missing = 3,
}

/// Results that are counted, with their labels.
pub const RESULTS: [(Proof, &str); 3] = [
    (Proof::Ok, "ok"),
    (Proof::Wrong, "wrong"),
    (Proof::Missing, "missing"),
];

impl Proof {
    /// It may go on.
    pub fn good(self) -> bool {
        matches!(self, Proof::Unsealed | Proof::Ok)
    }

    pub fn name(self) -> &'static str {
        let found = RESULTS.iter().find(|(known, _)| *known == self);
        found.map_or("unsealed", |(_, name)| name)
    }
}

/// How one link makes and proves message codes.
pub struct Guard {
    strategy: Strategy,
    /// The newest first: it seals what answers nothing.
    keys: Vec<LockedKey>,
    counts: [AtomicU64; RESULTS.len() + 1],
}

/// A key that is chosen, ready to seal one message.
pub struct Sealer<'a> {
    strategy: Strategy,
    key: &'a Key,
}

impl Seal for Sealer<'_> {
    fn code(&self, covered: &[u8]) -> Option<[u8; CODE_BYTES]> {
        self.strategy.code(self.key, covered)
    }
}

impl Guard {
    /// For a link whose two ends share a key; the newest first. None when there is none, too many, or one of another
    /// cipher.
    pub fn of_link(strategy: Strategy, keys: Vec<LockedKey>) -> Option<Guard> {
        let sound = (1..=LINK_KEYS_MAX).contains(&keys.len())
            && keys.iter().all(|key| key.cipher() == strategy.cipher());
        sound.then(|| Guard {
            strategy,
            keys,
            counts: Default::default(),
        })
    }

    /// Proves a message that was just decoded. Constant time in the code and the key; counts the result.
    pub fn prove(&self, message: &mut Message) -> Proof {
        if message.dialect().unsealed(message.kind()) && message.kind() != Kind::Unknown {
            return Proof::Unsealed;
        }
        let proof = self.judge(message);
        if let Some(count) = self.counts.get(proof as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        proof
    }

    fn judge(&self, message: &mut Message) -> Proof {
        let Some(sealed) = message.sealed() else {
            return Proof::Missing;
        };
        let proves = |key: &&LockedKey| self.strategy.proves(key, sealed.covered, &sealed.code);
        match self.keys.iter().position(|key| proves(&key)) {
            Some(at) => {
                message.set_mac_key(at as u32 + 1);
                Proof::Ok
            }
            None => Proof::Wrong,
        }
    }

    /// What seals an answer to `asked`, or a message that answers nothing.
    pub fn sealer(&self, asked: Option<&Message>) -> Option<Sealer<'_>> {
        let at = asked.map_or(0, |message| message.mac_key().saturating_sub(1));
        let key = self.keys.get(at as usize)?;
        Some(Sealer {
            strategy: self.strategy,
            key,
        })
    }

    /// How often each result of `RESULTS` came.
    pub fn counts(&self) -> [u64; RESULTS.len()] {
        RESULTS.map(|(proof, _)| {
            self.counts
                .get(proof as usize)
                .map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }
}
