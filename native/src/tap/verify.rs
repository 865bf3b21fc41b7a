//! The one call that proves a tap: look-up, state, expiry, agreement, domain, cryptogram, counter.
//!
//! Whether a number is a token is a matter of ranges, known from the settings: a number outside them is a plain card and
//! nothing is asked. What is refused claims nothing; what is proved claims its counter, and carries what was proved
//! (`Tap`) until it is answered. The first thing that is wrong is the reason.

use crate::codec::message::Message;
use crate::codec::name::Name;
use crate::emv::{self, Ring};
use crate::index::{Index, Token, TokenRecord};
use crate::simulation::mutant::{self, Mutant};
use crate::walk::{Memory, with_pan};

use super::domain::{self, Asked};
use super::proven::Tap;
use super::reason::{COUNT, Reason, Refused, of_counter, of_state};

/// Answer of `Verifier::check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A plain card.
    Plain,
    /// Proved; the message carries its `Tap`.
    Genuine,
    Refused(Refused),
}

/// Numbers that are tokens: a prefix, and how many digits they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub prefix: Vec<u8>,
    pub digits: usize,
}

/// Everything that a verdict needs. Belongs to one thread.
pub struct Verifier {
    pub index: Index,
    ring: Ring,
    ranges: Vec<Range>,
    gap_max: u16,
    /// Month of the last look at the clock, and until when it lasts.
    month: (u16, i64),
    refused: [u64; COUNT],
    genuine: u64,
}

impl Verifier {
    pub fn new(index: Index, ring: Ring, ranges: Vec<Range>, gap_max: u16) -> Verifier {
        Verifier {
            index,
            ring,
            ranges,
            gap_max,
            month: (0, 0),
            refused: [0; COUNT],
            genuine: 0,
        }
    }

    /// Other keys and another gap from the next tap on; the keys before are wiped.
    pub fn adopt(&mut self, ring: Ring, gap_max: u16) {
        self.ring = ring;
        self.gap_max = gap_max;
    }

    /// Taps that were proved, and refusals by reason, so far.
    pub fn counts(&self) -> (u64, &[u64; COUNT]) {
        (self.genuine, &self.refused)
    }

    /// The verdict on a message whose key was claimed. `now_s`: Unix seconds.
    #[inline]
    pub fn check(&mut self, message: &Message, memory: &mut Memory, now_s: i64) -> Verdict {
        let is_token = with_pan(message, |number| self.is_token(number));
        if is_token != Some(true) {
            return Verdict::Plain;
        }
        match self.prove(message, memory, now_s) {
            Ok(tap) => {
                self.genuine += 1;
                message.attach(Box::new(tap));
                Verdict::Genuine
            }
            Err(refused) => {
                if let Some(count) = self.refused.get_mut(usize::from(refused.0)) {
                    *count += 1;
                }
                Verdict::Refused(refused)
            }
        }
    }

    fn is_token(&self, number: &[u8]) -> bool {
        self.ranges
            .iter()
            .any(|range| number.len() == range.digits && number.starts_with(&range.prefix))
    }

    fn prove(
        &mut self,
        message: &Message,
        memory: &mut Memory,
        now_s: i64,
    ) -> Result<Tap, Refused> {
        let number = message.value(Name::Pan).ok_or(Reason::TokenUnknown)?;
        let token = Token::parse(&number).ok_or(Reason::TokenUnknown)?;
        // What an order wrote before this tap began counts for it.
        if !mutant::on(Mutant::SnapshotKept) {
            self.index.renew();
        }
        let record = self.index.find(&token)?.ok_or(Reason::TokenUnknown)?;
        if let Some(reason) = of_state(record.state)
            && !mutant::on(Mutant::TokenStateIgnored)
        {
            return Err(reason.into());
        }
        if domain::is_expired(record.token_expiry, self.month_of(now_s))
            && !mutant::on(Mutant::ExpiryIgnored)
        {
            return Err(Reason::TokenExpired.into());
        }
        let asked = Asked::of(message)?;
        domain::fields_agree(message, &number, &record)?;
        let chip = message.value(Name::Icc);
        let requestor = match chip.as_deref() {
            Some(chip) => domain::chip_agrees(chip, &number, &record)?,
            None => None,
        };
        domain::check(&record, message, &asked, requestor, now_s)
            .or_else(|reason| ignored(reason).then_some(()).ok_or(reason))?;
        let chip = chip.as_deref().ok_or(Reason::ChipMissing)?;
        let card = emv::Card::new(&number, record.token_sequence).ok_or(Reason::TokenUnknown)?;
        let proof = self
            .ring
            .verify(chip, &card, asked.amount_minor, asked.currency)?;
        let tap = tap_of(record, proof);
        match of_counter(memory.claim_tap(message, &tap, self.gap_max)) {
            None => Ok(tap),
            Some(reason) => Err(reason.into()),
        }
    }

    /// YYMM; computed once a day.
    fn month_of(&mut self, now_s: i64) -> u16 {
        let (_, until) = self.month;
        if now_s >= until || now_s < until - 86_400 {
            self.month = (
                domain::yymm_of(now_s),
                (now_s.div_euclid(86_400) + 1) * 86_400,
            );
        }
        self.month.0
    }
}

/// Whether a defect lets this pass.
#[cold]
fn ignored(reason: Reason) -> bool {
    mutant::on(match reason {
        Reason::ChannelMissing | Reason::ChannelForbidden => Mutant::ChannelIgnored,
        Reason::MccMissing | Reason::MccForbidden => Mutant::MerchantIgnored,
        Reason::RequestorMissing | Reason::RequestorDiffers => Mutant::RequestorIgnored,
        Reason::CurrencyForbidden => Mutant::CurrencyIgnored,
        Reason::NotYet | Reason::NoLonger => Mutant::DatesIgnored,
        Reason::AboveCeiling => Mutant::CeilingIgnored,
        _ => return false,
    })
}

fn tap_of(record: TokenRecord, proof: emv::Proof) -> Tap {
    Tap {
        token_sequence: record.token_sequence,
        atc: proof.counter,
        mapping_version: record.mapping_version,
        requestor: record.requestor,
        assurance: record.assurance,
        card: record.card,
        proof,
    }
}
