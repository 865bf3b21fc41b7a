//! The legs of one connection's dialect, looked up by name once.

use std::sync::Arc;

use super::gate::GateError;
use crate::codec::kind::Kind;
use crate::codec::leg::{From, Leg};
use crate::codec::name::{Name, Source};
use crate::codec::spec::Dialect;
use crate::mac::Guard;

/// Legs that a dialect has; a dialect for one side need not have those of the other.
pub struct Legs {
    dialect: String,
    request: Option<Arc<Leg>>,
    tap: Option<Arc<Leg>>,
    follow_up: Option<Arc<Leg>>,
    answer: Option<Arc<Leg>>,
    reversal: Option<Arc<Leg>>,
    advice: Option<Arc<Leg>>,
    reversal_answer: Option<Arc<Leg>>,
    network: Option<Arc<Leg>>,
    network_answer: Option<Arc<Leg>>,
    /// Message codes of this connection; None: it has none.
    pub(super) guard: Option<Arc<Guard>>,
    /// An answer says who the two sides are.
    pub parties: bool,
}

impl Legs {
    pub fn of(dialect: &Dialect, guard: Option<Arc<Guard>>) -> Legs {
        let leg = |name: &str| dialect.leg(name).cloned();
        Legs {
            dialect: dialect.name.to_string(),
            request: leg("request"),
            tap: leg("tap"),
            follow_up: leg("follow_up"),
            parties: ["answer", "reversal_answer"].into_iter().any(|name| {
                let slots = dialect.leg(name).map_or(&[][..], |leg| &leg.slots);
                slots
                    .iter()
                    .any(|slot| slot.name == Name::AdditionalResponse && slot.from == From::Own)
            }),
            answer: leg("answer"),
            reversal: leg("reversal"),
            advice: leg("advice"),
            reversal_answer: leg("reversal_answer"),
            network: leg("network"),
            network_answer: leg("network_answer"),
            guard,
        }
    }

    /// A request to a bank. One that stands on an earlier transaction has a leg of its own where the dialect has one.
    pub fn request(&self, kind: Kind) -> Result<&Leg, GateError> {
        match &self.follow_up {
            Some(leg) if kind.follows() => Ok(leg),
            _ => self.found(&self.request, "request"),
        }
    }

    /// A request to a bank for a tap that was proved.
    pub fn tap(&self) -> Result<&Leg, GateError> {
        self.found(&self.tap, "tap")
    }

    /// A reversal to a bank.
    pub fn reversal(&self) -> Result<&Leg, GateError> {
        self.found(&self.reversal, "reversal")
    }

    /// Word to a bank of what was decided without it.
    pub fn advice(&self) -> Result<&Leg, GateError> {
        self.found(&self.advice, "advice")
    }

    pub fn network(&self) -> Result<&Leg, GateError> {
        self.found(&self.network, "network")
    }

    pub fn network_answer(&self) -> Result<&Leg, GateError> {
        self.found(&self.network_answer, "network_answer")
    }

    /// The answer to a message of a kind.
    pub fn answer_of(&self, kind: Kind) -> Result<&Leg, GateError> {
        match kind {
            Kind::ReversalRequest | Kind::ReversalAdvice => {
                self.found(&self.reversal_answer, "reversal_answer")
            }
            Kind::Network => self.network_answer(),
            _ => self.found(&self.answer, "answer"),
        }
    }

    fn found<'a>(
        &self,
        leg: &'a Option<Arc<Leg>>,
        name: &'static str,
    ) -> Result<&'a Leg, GateError> {
        leg.as_deref().ok_or_else(|| GateError::NoLeg {
            dialect: self.dialect.clone(),
            leg: name,
        })
    }
}

/// An answer of ours: a response code and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Code(pub [u8; 2]);

impl Source for Code {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        if name == Name::ResponseCode {
            out.extend_from_slice(&self.0);
        }
        name == Name::ResponseCode
    }
}
