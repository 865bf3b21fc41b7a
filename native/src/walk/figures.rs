//! What the gate counts, under the names of `switch/observe/catalogue.py`; names are resolved once, counting is by index.

use std::sync::Arc;

use super::state::{Cause, Duty};
use crate::codec::kind::RcClass;
use crate::journal::record::UNSETTLED;
use crate::meter::Meter;

/// A series that the meter does not have: counting it does nothing.
const NONE: usize = usize::MAX;

/// Label `class`, by the second digit of the MTI.
const CLASSES: [&str; 4] = ["auth", "financial", "reversal", "network"];
/// Label `outcome` of a transaction.
const OUTCOMES: [&str; 3] = ["approved", "declined", "system_error"];
/// Label `rc_class` of a bank's answer.
const RC_CLASSES: [&str; 5] = ["approved", "business", "security", "pickup", "technical"];
/// Label `result` of a request to a bank.
const UPSTREAM: [&str; 5] = ["answered", "timeout", "link_down", "rejected", "late"];
/// Label `cause` of a reversal, by number of `Cause`.
const CAUSES: [&str; 7] = [
    "",
    "timeout",
    "terminal",
    "unusable_answer",
    "link_down",
    "restart",
    "acquirer_gone",
];
/// Label `result` of what became of a delivery; the first is called otherwise for a reversal.
const SETTLED: [&str; 4] = ["delivered", "parked", "dead", "written_off"];
const ENDS: [&str; 4] = ["acknowledged", "parked", "dead", "written_off"];
/// Label `stage` of the two ways through the house, in µs of ours.
const STAGES: [&str; 2] = ["to_bank", "to_acquirer"];
/// Response codes of one bank that get a series of their own; above that (a bank that makes codes up) `_other`.
const CODES_MAX: usize = 128;

/// How a transaction ended for its acquirer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Approved = 0,
    Declined = 1,
    SystemError = 2,
}

impl Outcome {
    /// Of an answer of ours.
    pub fn of_code(code: [u8; 2]) -> Outcome {
        match &code {
            b"00" => Outcome::Approved,
            b"68" | b"91" | b"92" | b"96" => Outcome::SystemError,
            _ => Outcome::Declined,
        }
    }

    /// Of a bank's answer.
    pub fn of_bank(class: RcClass) -> Outcome {
        match class {
            RcClass::Approve | RcClass::Partial => Outcome::Approved,
            RcClass::Decline => Outcome::Declined,
            RcClass::Technical | RcClass::Unknown | RcClass::None => Outcome::SystemError,
        }
    }
}

/// What became of a request to a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    Answered = 0,
    Timeout = 1,
    LinkDown = 2,
    Rejected = 3,
}

/// Series of one institution.
struct Member {
    name: String,
    outcomes: [usize; 3],
    rc_classes: [usize; 5],
    codes: Vec<([u8; 2], usize)>,
    other_code: usize,
    upstream: [usize; 5],
    upstream_us: usize,
    messages_out: [usize; 4],
    bytes_out: usize,
    settled: [usize; 4],
    retried: usize,
}

impl Default for Member {
    fn default() -> Self {
        Member {
            name: String::new(),
            outcomes: [NONE; 3],
            rc_classes: [NONE; 5],
            codes: Vec::new(),
            other_code: NONE,
            upstream: [NONE; 5],
            upstream_us: NONE,
            messages_out: [NONE; 4],
            bytes_out: NONE,
            settled: [NONE; 4],
            retried: NONE,
        }
    }
}

/// All series of the gate.
pub struct Figures {
    meter: Arc<Meter>,
    transactions: [[usize; 3]; 4],
    duplicates: [usize; 4],
    total_us: [usize; 4],
    internal_us: [usize; 4],
    stage_us: [usize; 2],
    reversals: [[usize; 4]; 7],
    undelivered: usize,
    ends: Vec<([u8; 2], usize)>,
    members: Vec<Member>,
}

impl Figures {
    pub fn new(meter: Arc<Meter>) -> Figures {
        let counter = |name: String| meter.counter(&name).unwrap_or(NONE);
        let histogram = |name: String| meter.histogram(&name).unwrap_or(NONE);
        let transactions = CLASSES.map(|class| {
            OUTCOMES.map(|outcome| {
                counter(format!(
                    "tapswitch_transactions_total{{class=\"{class}\",outcome=\"{outcome}\"}}"
                ))
            })
        });
        let reversals = CAUSES.map(|cause| {
            ENDS.map(|result| {
                counter(format!(
                    "tapswitch_reversals_total{{cause=\"{cause}\",result=\"{result}\"}}"
                ))
            })
        });
        Figures {
            transactions,
            reversals,
            duplicates: CLASSES
                .map(|class| counter(format!("tapswitch_duplicates_total{{class=\"{class}\"}}"))),
            total_us: CLASSES.map(|class| {
                histogram(format!(
                    "tapswitch_transaction_duration_seconds{{class=\"{class}\"}}"
                ))
            }),
            internal_us: CLASSES.map(|class| {
                histogram(format!(
                    "tapswitch_internal_duration_seconds{{class=\"{class}\"}}"
                ))
            }),
            stage_us: STAGES.map(|stage| {
                histogram(format!(
                    "tapswitch_stage_duration_seconds{{stage=\"{stage}\"}}"
                ))
            }),
            undelivered: counter("tapswitch_undelivered_answers_total".into()),
            ends: Vec::new(),
            members: Vec::new(),
            meter,
        }
    }

    /// Resolves the series of an institution; the same index again changes nothing.
    pub fn member(&mut self, index: u16, name: &str) {
        let at = usize::from(index);
        if self.members.get(at).is_some_and(|m| m.name == name) {
            return;
        }
        if self.members.len() <= at {
            self.members.resize_with(at + 1, Member::default);
        }
        let counter = |series: String| self.meter.counter(&series).unwrap_or(NONE);
        let saf = |result: &str| {
            counter(format!(
                "tapswitch_saf_deliveries_total{{member=\"{name}\",result=\"{result}\"}}"
            ))
        };
        let resolved = Member {
            name: name.to_owned(),
            outcomes: OUTCOMES.map(|outcome| {
                counter(format!(
                    "tapswitch_acquirer_transactions_total{{acquirer=\"{name}\",outcome=\"{outcome}\"}}"
                ))
            }),
            rc_classes: RC_CLASSES.map(|class| {
                counter(format!(
                    "tapswitch_issuer_responses_total{{issuer=\"{name}\",rc_class=\"{class}\"}}"
                ))
            }),
            codes: Vec::new(),
            other_code: counter(format!(
                "tapswitch_response_codes_total{{issuer=\"{name}\",rc=\"_other\"}}"
            )),
            upstream: UPSTREAM.map(|result| {
                counter(format!(
                    "tapswitch_upstream_requests_total{{issuer=\"{name}\",result=\"{result}\"}}"
                ))
            }),
            upstream_us: self
                .meter
                .histogram(&format!("tapswitch_upstream_duration_seconds{{issuer=\"{name}\"}}"))
                .unwrap_or(NONE),
            messages_out: CLASSES.map(|class| {
                counter(format!(
                    "tapswitch_messages_total{{member=\"{name}\",direction=\"out\",class=\"{class}\"}}"
                ))
            }),
            bytes_out: counter(format!(
                "tapswitch_message_bytes_total{{member=\"{name}\",direction=\"out\"}}"
            )),
            settled: SETTLED.map(saf),
            retried: saf("retried"),
        };
        if let Some(member) = self.members.get_mut(at) {
            *member = resolved;
        }
    }

    /// A transaction reached its final outcome.
    pub fn outcome(&mut self, acquirer: u16, class: usize, outcome: Outcome, end: [u8; 2]) {
        self.outcomes(acquirer, class, outcome, end, 1);
    }

    /// So many did, alike.
    pub fn outcomes(
        &mut self,
        acquirer: u16,
        class: usize,
        outcome: Outcome,
        end: [u8; 2],
        count: u64,
    ) {
        let at = outcome as usize;
        if let Some(index) = self.transactions.get(class).and_then(|row| row.get(at)) {
            self.meter.count(*index, count);
        }
        if let Some(index) = self.member_of(acquirer).and_then(|m| m.outcomes.get(at)) {
            self.meter.count(*index, count);
        }
        self.ended(end, count);
    }

    /// How something ended (`switch/model/end.py`).
    pub fn end(&mut self, end: [u8; 2]) {
        self.ended(end, 1);
    }

    fn ended(&mut self, end: [u8; 2], count: u64) {
        let meter = &self.meter;
        let index = resolve(&mut self.ends, end, NONE, |text| {
            meter.counter(&format!("tapswitch_terminations_total{{end=\"{text}\"}}"))
        });
        self.meter.count(index, count);
    }

    /// A repeat was given the stored answer.
    pub fn repeat(&mut self, class: usize) {
        if let Some(index) = self.duplicates.get(class) {
            self.meter.count(*index, 1);
        }
        self.end(*b"DV");
    }

    /// A bank's usable answer, and how long the bank took.
    pub fn answered(&mut self, issuer: u16, class: RcClass, code: [u8; 2], bank_ns: u64) {
        let meter = Arc::clone(&self.meter);
        self.upstream(issuer, Upstream::Answered);
        let Some(member) = self.members.get_mut(usize::from(issuer)) else {
            return;
        };
        if let Some(index) = member.rc_classes.get(rc_class(class, code)) {
            meter.count(*index, 1);
        }
        let name = &member.name;
        let index = resolve(&mut member.codes, code, member.other_code, |text| {
            meter.counter(&format!(
                "tapswitch_response_codes_total{{issuer=\"{name}\",rc=\"{text}\"}}"
            ))
        });
        meter.count(index, 1);
        meter.record(member.upstream_us, bank_ns / 1000);
    }

    /// What became of a request to a bank.
    pub fn upstream(&self, issuer: u16, result: Upstream) {
        if let Some(index) = self
            .member_of(issuer)
            .and_then(|m| m.upstream.get(result as usize))
        {
            self.meter.count(*index, 1);
        }
    }

    /// What a bank was owed is over, or rests. What an operator says without ending it is not counted.
    pub fn settled(&self, issuer: u16, duty: Duty, cause: Cause, result: &str) {
        let ended = !UNSETTLED.contains(&result);
        let known = SETTLED.iter().position(|known| *known == result);
        let Some(at) = known.or(ended.then_some(0)) else {
            return;
        };
        let reversal = self.reversals.get(cause as usize).and_then(|r| r.get(at));
        if let Some(index) = reversal.filter(|_| duty != Duty::Advice) {
            self.meter.count(*index, 1);
        }
        if let Some(index) = self.member_of(issuer).and_then(|m| m.settled.get(at)) {
            self.meter.count(*index, 1);
        }
    }

    /// What a bank is owed was sent again.
    pub fn retried(&self, issuer: u16) {
        if let Some(member) = self.member_of(issuer) {
            self.meter.count(member.retried, 1);
        }
    }

    /// An answer had nobody to go to.
    pub fn undelivered(&self) {
        self.meter.count(self.undelivered, 1);
    }

    /// A frame of so many messages was handed to a socket.
    #[inline]
    pub fn sent(&self, institution: u16, class: usize, messages: u64, bytes: usize) {
        if let Some(member) = self.member_of(institution) {
            self.meter.count(
                member.messages_out.get(class).copied().unwrap_or(NONE),
                messages,
            );
            self.meter.count(member.bytes_out, bytes as u64);
        }
    }

    /// First byte of a request in, its leg handed to the bank's socket.
    #[inline]
    pub fn to_bank(&self, ours_ns: u64) {
        self.meter.record(self.stage_us[0], ours_ns / 1000);
    }

    /// An answer was handed to the acquirer's socket: time since the request's first byte, our share of it, and time
    /// since the first byte of the bank's answer. The last two are known only when a bank answered, or was never asked.
    #[inline]
    pub fn to_acquirer(
        &self,
        class: usize,
        total_ns: u64,
        ours_ns: Option<u64>,
        back_ns: Option<u64>,
    ) {
        self.meter.record(
            self.total_us.get(class).copied().unwrap_or(NONE),
            total_ns / 1000,
        );
        if let Some(ours_ns) = ours_ns {
            self.meter.record(
                self.internal_us.get(class).copied().unwrap_or(NONE),
                ours_ns / 1000,
            );
        }
        if let Some(back_ns) = back_ns {
            self.meter.record(self.stage_us[1], back_ns / 1000);
        }
    }

    fn member_of(&self, institution: u16) -> Option<&Member> {
        self.members.get(usize::from(institution))
    }
}

/// Index into `CLASSES` by MTI; behind the end for classes without a series.
#[inline]
pub fn class_of(mti: [u8; 4]) -> usize {
    match mti[1] {
        b'1' => 0,
        b'2' => 1,
        b'4' => 2,
        b'8' => 3,
        _ => CLASSES.len(),
    }
}

/// Index into `RC_CLASSES`. Which declines keep the card and which are about its security is ISO 8583:1987's table.
fn rc_class(class: RcClass, code: [u8; 2]) -> usize {
    match class {
        RcClass::Approve | RcClass::Partial => 0,
        RcClass::Technical | RcClass::Unknown | RcClass::None => 4,
        RcClass::Decline => match &code {
            b"04" | b"07" | b"33" | b"34" | b"35" | b"36" | b"37" | b"38" | b"41" | b"43"
            | b"67" => 3,
            b"55" | b"59" | b"63" | b"66" | b"75" | b"88" => 2,
            _ => 1,
        },
    }
}

/// The series of two letters, looked up by name once; `fallback` when there is none of its own.
fn resolve(
    known: &mut Vec<([u8; 2], usize)>,
    code: [u8; 2],
    fallback: usize,
    find: impl FnOnce(&str) -> Option<usize>,
) -> usize {
    if let Some((_, index)) = known.iter().find(|(known, _)| *known == code) {
        return *index;
    }
    if known.len() >= CODES_MAX {
        return fallback;
    }
    let index = std::str::from_utf8(&code)
        .ok()
        .and_then(find)
        .unwrap_or(fallback);
    known.push((code, index));
    index
}
