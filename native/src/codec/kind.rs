//! The closed table of what a message is, and what the static rules say of it. Mirrors `switch/model/kind.py`.

/// By MTI, first two digits of field 3, field 25 and, where a dialect has one, its transaction type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Unknown = 0,
    Authorisation = 1,
    Purchase = 2,
    ReversalRequest = 3,
    ReversalAdvice = 4,
    Network = 5,
    Reply = 6,
    ReversalReply = 7,
    NetworkReply = 8,
    /// What an account holds: money does not move.
    Balance = 9,
    /// An amount is put aside.
    Preauthorisation = 10,
    /// It is given back.
    PreauthorisationCancel = 11,
    /// It is taken, as a request.
    Completion = 12,
    /// It was taken: a bank is told.
    CompletionAdvice = 13,
    /// A completion is undone.
    CompletionVoid = 14,
    /// An authorisation was given without the bank: it is told.
    AuthorisationAdvice = 15,
    /// A purchase was made without the bank (a terminal off line): it is told.
    PurchaseAdvice = 16,
    AdviceReply = 17,
}

/// Spellings in dialect files; `Unknown` has none.
pub const KINDS: [(Kind, &str); 17] = [
    (Kind::Authorisation, "authorisation"),
    (Kind::Purchase, "purchase"),
    (Kind::ReversalRequest, "reversal_request"),
    (Kind::ReversalAdvice, "reversal_advice"),
    (Kind::Network, "network"),
    (Kind::Reply, "reply"),
    (Kind::ReversalReply, "reversal_reply"),
    (Kind::NetworkReply, "network_reply"),
    (Kind::Balance, "balance"),
    (Kind::Preauthorisation, "preauthorisation"),
    (Kind::PreauthorisationCancel, "preauthorisation_cancel"),
    (Kind::Completion, "completion"),
    (Kind::CompletionAdvice, "completion_advice"),
    (Kind::CompletionVoid, "completion_void"),
    (Kind::AuthorisationAdvice, "authorisation_advice"),
    (Kind::PurchaseAdvice, "purchase_advice"),
    (Kind::AdviceReply, "advice_reply"),
];

impl Kind {
    /// The kind of a number that a record holds.
    pub fn from_u8(number: u8) -> Option<Kind> {
        KINDS
            .iter()
            .map(|(kind, _)| *kind)
            .find(|kind| *kind as u8 == number)
    }

    /// A message of this kind may be the repeat of one whose kind is `first`, as a record holds it. A reversal that is
    /// sent on as an advice is still the same one; nothing else becomes something else. 0: a record that does not say.
    pub fn repeats(self, first: u8) -> bool {
        let undoes =
            |kind: u8| kind == Kind::ReversalRequest as u8 || kind == Kind::ReversalAdvice as u8;
        first == self as u8 || first == Kind::Unknown as u8 || undoes(self as u8) && undoes(first)
    }

    /// It stands on an earlier transaction of the card, and the bank is told which.
    pub fn follows(self) -> bool {
        matches!(
            self,
            Kind::PreauthorisationCancel
                | Kind::Completion
                | Kind::CompletionAdvice
                | Kind::CompletionVoid
        )
    }
}

/// What the static rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Check {
    Ok = 0,
    /// A mandatory field is missing or malformed.
    Format = 1,
    /// Not in the table.
    UnknownKind = 2,
    AmountZero = 3,
    /// Refused until PIN translation exists.
    PinPresent = 4,
}

/// What a response code means. Mirrors `switch/model/response.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RcClass {
    None = 0,
    Approve = 1,
    Partial = 2,
    Decline = 3,
    Technical = 4,
    Unknown = 5,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Rule {
    pub kind: Kind,
    /// Allowed first two digits of the processing code; empty: any. An absent field is no mismatch: whether it must
    /// be there is said by `mandatory`, and the answer is then 30, not 12.
    pub processing: Vec<[u8; 2]>,
    /// Allowed condition codes, likewise.
    pub condition: Vec<[u8; 2]>,
    /// Allowed transaction types, likewise.
    pub types: Vec<[u8; 2]>,
    /// Of a reversal that names its original by its own fields: the MTI under which that came.
    pub original_mti: Option<[u8; 4]>,
    /// Fields that must be there, as bitmap bits.
    pub mandatory: u128,
    pub refuses_zero_amount: bool,
    pub refuses_pin: bool,
}

/// All rows, found by MTI.
#[derive(Clone, Debug)]
pub struct Kinds {
    rules: Vec<Rule>,
    /// By MTI as a number: first rule of its run in `order`, plus one; 0 is none.
    first: Box<[u8; 10_000]>,
    /// Rule indexes, one run a MTI, each closed by `END`.
    order: Vec<u8>,
}

const END: u8 = u8::MAX;

impl Kinds {
    /// At most 64 rules with at most 120 MTIs in all; the caller has checked.
    pub fn new(rows: Vec<(Vec<u16>, Rule)>) -> Kinds {
        let mut first = Box::new([0u8; 10_000]);
        let mut order = Vec::new();
        let mut numbers: Vec<u16> = rows.iter().flat_map(|(mtis, _)| mtis.clone()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            if let Some(slot) = first.get_mut(usize::from(number)) {
                *slot = (order.len() + 1).min(255) as u8;
            }
            for (index, (mtis, _)) in rows.iter().enumerate() {
                if mtis.contains(&number) {
                    order.push(index as u8);
                }
            }
            order.push(END);
        }
        let rules = rows.into_iter().map(|(_, rule)| rule).collect();
        Kinds {
            rules,
            first,
            order,
        }
    }

    /// The rule of a message, or which of its fields is not in the table.
    #[inline]
    pub fn find(
        &self,
        mti: u16,
        processing: Option<[u8; 2]>,
        condition: Option<[u8; 2]>,
        kind: Option<[u8; 2]>,
    ) -> Result<&Rule, Miss> {
        let first = self.first.get(usize::from(mti)).copied().unwrap_or(0);
        if first == 0 {
            return Err(Miss::Mti);
        }
        let run = self.order.get(usize::from(first) - 1..).unwrap_or(&[]);
        let mut miss = Miss::Processing;
        for &index in run.iter().take_while(|&&index| index != END) {
            let Some(rule) = self.rules.get(usize::from(index)) else {
                continue;
            };
            let listed = |list: &[[u8; 2]], value: Option<[u8; 2]>| {
                list.is_empty() || value.is_none_or(|value| list.contains(&value))
            };
            if !listed(&rule.processing, processing) {
                continue;
            }
            if !listed(&rule.condition, condition) {
                miss = Miss::Condition;
                continue;
            }
            if listed(&rule.types, kind) {
                return Ok(rule);
            }
            miss = Miss::Type;
        }
        Err(miss)
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// Why no rule was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    Mti,
    Processing,
    Condition,
    Type,
}

/// The response MTI of a request: digit 3 plus one, and the origin's first presentation (0201 is answered 0210).
pub fn response_mti(request: [u8; 4]) -> [u8; 4] {
    let [version, class, function, _] = request;
    [version, class, function | 1, base_origin(request)]
}

/// The MTI of the first presentation: 0201 gives 0200.
pub fn first_mti(request: [u8; 4]) -> [u8; 4] {
    let [version, class, function, _] = request;
    [version, class, function, base_origin(request)]
}

/// Whether the origin digit says that it is a repeat.
pub fn is_repeat(mti: [u8; 4]) -> bool {
    matches!(mti[3], b'1' | b'3' | b'5')
}

fn base_origin(mti: [u8; 4]) -> u8 {
    if is_repeat(mti) { mti[3] - 1 } else { mti[3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: Kind, processing: &[[u8; 2]], condition: &[[u8; 2]]) -> Rule {
        Rule {
            kind,
            processing: processing.to_vec(),
            condition: condition.to_vec(),
            types: Vec::new(),
            original_mti: None,
            mandatory: 0,
            refuses_zero_amount: false,
            refuses_pin: false,
        }
    }

    #[test]
    fn the_table_is_closed() {
        let kinds = Kinds::new(vec![
            (
                vec![200, 201],
                rule(Kind::Purchase, &[*b"00"], &[*b"00", *b"08"]),
            ),
            (vec![100], rule(Kind::Authorisation, &[*b"00"], &[])),
            (vec![810], rule(Kind::NetworkReply, &[], &[])),
        ]);
        let find = |mti, processing, condition| {
            let found = kinds.find(mti, processing, condition, None);
            found.map(|rule| rule.kind)
        };
        assert_eq!(find(201, Some(*b"00"), Some(*b"08")), Ok(Kind::Purchase));
        assert_eq!(find(200, Some(*b"20"), Some(*b"00")), Err(Miss::Processing));
        assert_eq!(find(200, Some(*b"00"), Some(*b"06")), Err(Miss::Condition));
        assert_eq!(find(200, None, None), Ok(Kind::Purchase));
        assert_eq!(find(100, Some(*b"00"), None), Ok(Kind::Authorisation));
        assert_eq!(find(810, None, None), Ok(Kind::NetworkReply));
        assert_eq!(find(500, None, None), Err(Miss::Mti));
        assert_eq!(find(u16::MAX, None, None), Err(Miss::Mti));
    }

    #[test]
    fn the_type_tells_apart_what_looks_alike() {
        let row = |kind, types: &[[u8; 2]]| {
            let mut row = rule(kind, &[*b"20"], &[*b"06"]);
            row.types = types.to_vec();
            (vec![200], row)
        };
        let kinds = Kinds::new(vec![
            row(Kind::CompletionVoid, &[*b"21"]),
            row(Kind::Completion, &[*b"20"]),
        ]);
        let find = |kind| {
            let found = kinds.find(200, Some(*b"20"), Some(*b"06"), kind);
            found.map(|rule| rule.kind)
        };
        assert_eq!(find(Some(*b"21")), Ok(Kind::CompletionVoid));
        assert_eq!(find(Some(*b"20")), Ok(Kind::Completion));
        assert_eq!(find(Some(*b"22")), Err(Miss::Type));
        assert_eq!(find(None), Ok(Kind::CompletionVoid));
    }

    #[test]
    fn repeats_are_answered_like_the_first() {
        assert_eq!(&response_mti(*b"0200"), b"0210");
        assert_eq!(&response_mti(*b"0201"), b"0210");
        assert_eq!(&response_mti(*b"0421"), b"0430");
        assert_eq!(&response_mti(*b"0800"), b"0810");
        assert_eq!(&first_mti(*b"0101"), b"0100");
        assert!(is_repeat(*b"0401") && !is_repeat(*b"0400"));
    }
}
