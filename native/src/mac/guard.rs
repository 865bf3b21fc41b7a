//! The guard of one link: proves what comes in, and seals what goes out.
//!
//! A message is proved while its chunk is decoded, before anything else looks at it; which key proved it stays with it,
//! and its answer is sealed with the same one. Results are counted here, since nothing else sees the good ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::key::{Key, LockedKey};
use super::strategy::Strategy;
use crate::codec::kind::Kind;
use crate::codec::message::Message;
use crate::codec::name::Name;
use crate::codec::seal::{CODE_BYTES, Seal};
use crate::terminal::registry::{Who, who};
use crate::terminal::{Standing, Terminals};

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
    /// The terminal has no work keys.
    Keyless = 4,
    /// Nobody's terminal.
    Unknown = 5,
    /// The terminal is another merchant's.
    Merchant = 6,
}

/// Results that are counted, with their labels.
pub const RESULTS: [(Proof, &str); 6] = [
    (Proof::Ok, "ok"),
    (Proof::Wrong, "wrong"),
    (Proof::Missing, "missing"),
    (Proof::Keyless, "keyless"),
    (Proof::Unknown, "unknown"),
    (Proof::Merchant, "merchant"),
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

/// Whose keys a link has.
enum Keys {
    /// The newest first: it seals what answers nothing.
    Link(Vec<LockedKey>),
    /// Each terminal its own.
    Terminals {
        terminals: Arc<Terminals>,
        acquirer: String,
    },
}

/// How one link makes and proves message codes.
pub struct Guard {
    strategy: Strategy,
    keys: Keys,
    counts: [AtomicU64; RESULTS.len() + 1],
}

/// A key that is chosen, ready to seal one message.
pub struct Sealer<'a> {
    strategy: Strategy,
    key: Chosen<'a>,
}

#[allow(clippy::large_enum_variant)]
enum Chosen<'a> {
    Link(&'a Key),
    Own(Key),
}

impl Seal for Sealer<'_> {
    fn code(&self, covered: &[u8]) -> Option<[u8; CODE_BYTES]> {
        match &self.key {
            Chosen::Link(key) => self.strategy.code(key, covered),
            Chosen::Own(key) => self.strategy.code(key, covered),
        }
    }
}

impl Guard {
    /// For a link whose two ends share a key; the newest first. None when there is none, too many, or one of another
    /// cipher.
    pub fn of_link(strategy: Strategy, keys: Vec<LockedKey>) -> Option<Guard> {
        let sound = (1..=LINK_KEYS_MAX).contains(&keys.len())
            && keys.iter().all(|key| key.cipher() == strategy.cipher());
        sound.then(|| Guard::new(strategy, Keys::Link(keys)))
    }

    /// For the links of an acquirer whose terminals have keys of their own.
    pub fn of_terminals(strategy: Strategy, terminals: Arc<Terminals>, acquirer: &str) -> Guard {
        let acquirer = acquirer.to_owned();
        Guard::new(
            strategy,
            Keys::Terminals {
                terminals,
                acquirer,
            },
        )
    }

    fn new(strategy: Strategy, keys: Keys) -> Guard {
        Guard {
            strategy,
            keys,
            counts: Default::default(),
        }
    }

    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The terminals of the link, and which of them a message is from; None where the link has a key of its own, or the
    /// message no terminal.
    pub fn terminal(&self, message: &Message) -> Option<(&Terminals, Who)> {
        let Keys::Terminals {
            terminals,
            acquirer,
        } = &self.keys
        else {
            return None;
        };
        let id = message.value(Name::TerminalId)?;
        Some((terminals, who(acquirer, &id)?))
    }

    /// Where the terminal of a message stands.
    pub fn standing(&self, message: &Message) -> Standing {
        let merchant = message.value(Name::MerchantId).unwrap_or_default();
        match self.terminal(message) {
            Some((terminals, who)) => terminals.standing(&who, &merchant),
            None => Standing::Unknown,
        }
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

    /// As `prove`, for a message that is looked at again when its code does not hold: only a good one is counted.
    pub fn proves(&self, message: &mut Message) -> bool {
        if message.dialect().unsealed(message.kind()) && message.kind() != Kind::Unknown {
            return true;
        }
        let good = self.judge(message) == Proof::Ok;
        if let (true, Some(count)) = (good, self.counts.get(Proof::Ok as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        good
    }

    fn judge(&self, message: &mut Message) -> Proof {
        let keys = match &self.keys {
            Keys::Link(keys) => keys,
            Keys::Terminals { .. } => return self.judge_terminal(message),
        };
        let Some(sealed) = message.sealed() else {
            return Proof::Missing;
        };
        let proves = |key: &&LockedKey| self.strategy.proves(key, sealed.covered, &sealed.code);
        match keys.iter().position(|key| proves(&key)) {
            Some(at) => {
                message.set_mac_key(at as u32 + 1);
                Proof::Ok
            }
            None => Proof::Wrong,
        }
    }

    fn judge_terminal(&self, message: &mut Message) -> Proof {
        match self.standing(message) {
            Standing::Unknown => return Proof::Unknown,
            Standing::Merchant => return Proof::Merchant,
            Standing::Keyless => return Proof::Keyless,
            Standing::SignedOn => {}
        }
        let Some((terminals, who)) = self.terminal(message) else {
            return Proof::Unknown;
        };
        let state = terminals.sign_on(&who).unwrap_or_default();
        let proving = {
            let Some(sealed) = message.sealed() else {
                return Proof::Missing;
            };
            let cipher = self.strategy.cipher();
            let proves = |number: &u32| {
                *number != 0
                    && terminals
                        .code_key(&who, *number, cipher)
                        .is_some_and(|key| self.strategy.proves(&key, sealed.covered, &sealed.code))
            };
            [state.current, state.former].into_iter().find(proves)
        };
        let Some(number) = proving else {
            return Proof::Wrong;
        };
        if !state.used {
            terminals.used(&who, number);
        }
        message.set_mac_key(number);
        Proof::Ok
    }

    /// What seals an answer to `asked`, or a message that answers nothing: the key that proved what it answers, else
    /// the newest one that there is.
    pub fn sealer(&self, asked: Option<&Message>) -> Option<Sealer<'_>> {
        let proved = asked.map_or(0, Message::mac_key);
        let key = match &self.keys {
            Keys::Link(keys) => Chosen::Link(keys.get(proved.saturating_sub(1) as usize)?),
            Keys::Terminals { .. } => {
                let (terminals, who) = self.terminal(asked?)?;
                let number = match proved {
                    0 => terminals.sign_on(&who)?.current,
                    number => number,
                };
                Chosen::Own(terminals.code_key(&who, number, self.strategy.cipher())?)
            }
        };
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
