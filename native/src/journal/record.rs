//! The vocabulary of the journal: kinds of records, their named fields, a builder and a reader.
//!
//! A payload is a run of `field id (u8), length (u16 LE), value`. Numbers are little-endian integers of fixed width,
//! everything else is text or digits as the normal form has them. The table below is closed: there is no field for
//! track data, a PIN block or a card verification value, and none of the fields is long enough or of a charset to
//! hide one, so sensitive authentication data cannot be expressed. The PAN is no field either: it travels beside the
//! payload and is sealed under a key of its own.

use thiserror::Error;

pub use super::fields::Fields;

/// Longest payload of one record. The widest ACCEPTED is under 500 bytes; eight times that is a bug, not a record.
pub const PAYLOAD_BYTES_MAX: usize = 4096;
/// Longest PAN by ISO/IEC 7812.
pub const PAN_BYTES_MAX: usize = 19;

/// What a record says. The numbers are the file format: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordKind {
    /// A process opened the journal: configuration, boot, version.
    Started = 1,
    /// A request will go to a bank.
    Accepted = 2,
    /// The one final outcome of an accepted request; with a cause it owes a reversal too.
    Answered = 3,
    /// A claimed request that never goes to a bank.
    Declined = 4,
    /// An acquirer's reversal.
    Reversal = 5,
    /// An owed reversal got a final code, or was parked.
    Settled = 6,
    /// A (STAN, transmission time) spent outside a transaction.
    StanMark = 7,
    /// Begin or end of a checkpoint.
    Checkpoint = 8,
    /// The clean end of a process.
    Stopped = 9,
    /// A checkpoint's windows of transaction counters.
    AtcWindows = 10,
    /// Another configuration is in force from here on; what is in flight keeps the one it was accepted under.
    Reconfigured = 11,
    /// A terminal signed on or off: the numbers of its work keys, never a key.
    WorkKeys = 12,
    /// An acquirer's advice of what was done without its bank: accepted, and owed to the bank.
    Advised = 13,
    /// An approval of ours in a bank's name: it owes the bank an advice, and with a cause the reversal of the request
    /// before it.
    StoodIn = 14,
    /// A checkpoint's total of what was approved in banks' names on one day.
    StandInTotal = 15,
}

/// Every kind with its spelling, ordered by number.
pub const KINDS: [(RecordKind, &str); 15] = [
    (RecordKind::Started, "STARTED"),
    (RecordKind::Accepted, "ACCEPTED"),
    (RecordKind::Answered, "ANSWERED"),
    (RecordKind::Declined, "DECLINED"),
    (RecordKind::Reversal, "REVERSAL"),
    (RecordKind::Settled, "SETTLED"),
    (RecordKind::StanMark, "STAN_MARK"),
    (RecordKind::Checkpoint, "CHECKPOINT"),
    (RecordKind::Stopped, "STOPPED"),
    (RecordKind::AtcWindows, "ATC_WINDOWS"),
    (RecordKind::Reconfigured, "RECONFIGURED"),
    (RecordKind::WorkKeys, "WORK_KEYS"),
    (RecordKind::Advised, "ADVISED"),
    (RecordKind::StoodIn, "STOOD_IN"),
    (RecordKind::StandInTotal, "STAND_IN_TOTAL"),
];

/// `result` of a SETTLED record after which something is still owed.
pub const UNSETTLED: [&str; 5] = ["parked", "dead", "held", "released", "retried"];

impl RecordKind {
    /// The kind of a number read from a file.
    pub fn from_u8(number: u8) -> Option<RecordKind> {
        KINDS
            .get(usize::from(number).wrapping_sub(1))
            .map(|(k, _)| *k)
    }

    pub fn as_str(self) -> &'static str {
        KINDS.get(self as usize - 1).map_or("", |(_, s)| s)
    }

    pub fn parse(text: &str) -> Option<RecordKind> {
        KINDS.iter().find(|(_, s)| *s == text).map(|(k, _)| *k)
    }
}

/// What a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    U8,
    U32,
    U64,
    I64,
    /// Exactly so many bytes, shown as hex.
    Bytes(usize),
    /// ASCII digits, at most so many.
    Digits(usize),
    /// Text without control characters, at most so many bytes.
    Text(usize),
    /// What a person wrote: as `Text`, and never more than `PROSE_DIGITS_MAX` digits in a row, spaces and dashes
    /// between them or not, so that nobody can write a card number or a track into it.
    Prose(usize),
    /// Lower-case hex digits, at most so many.
    Hex(usize),
    /// Field 54: up to so many amounts of 20 characters (account type 2, amount type 2, currency 3, C or D, amount 12).
    Amounts(usize),
    /// Bytes, at most so many, shown as hex.
    UpTo(usize),
    /// Windows of transaction counters, at most so many, shown as hex; see `WINDOW_BYTES`.
    Windows(usize),
}

/// Bytes of one window: a mark, keyed hash of the token 8, its sequence number 1, highest counter 2 and 64 bits of seen
/// ones, both little-endian.
pub const WINDOW_BYTES: usize = 20;
/// First byte of a window: no text, digit or packed digit, so that nothing of a card passes for one.
pub const WINDOW_MARK: u8 = 0xac;
/// Windows of one record.
pub const WINDOWS_MAX: usize = 200;
/// Digits in a row that `Type::Prose` takes: enough for a date or a ticket.
pub const PROSE_DIGITS_MAX: usize = 8;
/// Bytes of the hash by which each record names its configuration: with the head of the field 11 bytes a record.
pub const CONFIG_HASH_BYTES: usize = 8;

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $type:expr;)*) => {
        /// A named field of a record. The numbers are the file format: never reuse one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Field { $($(#[$doc])* $variant = $id,)* }

        /// Every field with its spelling and type, ordered by number.
        pub const FIELDS: &[(Field, &str, Type)] = &[$((Field::$variant, $name, $type),)*];
    };
}

fields! {
    /// Node 8 bits, lane 8 bits, counter 48 bits.
    Txn = 1, "txn", Type::U64;
    /// Wall clock, Unix milliseconds.
    AtMs = 2, "at_ms", Type::I64;
    /// Institution id of the acquirer.
    Acquirer = 3, "acquirer", Type::Text(16);
    /// Institution id of the bank.
    Issuer = 4, "issuer", Type::Text(16);
    /// `switch.model.kind.Kind` of the message; spelled `message_kind` because `kind` is the record's own.
    MessageKind = 5, "message_kind", Type::U8;
    Mti = 6, "mti", Type::Digits(4);
    /// Keyed hash of the PAN.
    Card = 7, "card", Type::Bytes(8);
    /// Keyed hash of the request key.
    Key = 8, "key", Type::Bytes(16);
    /// Keyed hash of what makes two requests the same.
    Body = 9, "body", Type::Bytes(16);
    /// Minor units.
    Amount = 10, "amount", Type::U64;
    Currency = 11, "currency", Type::Text(3);
    ProcessingCode = 12, "processing_code", Type::Digits(6);
    Stan = 13, "stan", Type::Digits(6);
    /// MMDDhhmmss as the acquirer sent it.
    TransmissionTime = 14, "transmission_time", Type::Digits(10);
    LocalTime = 15, "local_time", Type::Digits(6);
    LocalDate = 16, "local_date", Type::Digits(4);
    Rrn = 17, "rrn", Type::Text(12);
    TerminalId = 18, "terminal_id", Type::Text(8);
    MerchantId = 19, "merchant_id", Type::Text(15);
    AcquirerCode = 20, "acquirer_code", Type::Digits(11);
    Mcc = 21, "mcc", Type::Digits(4);
    EntryMode = 22, "entry_mode", Type::Digits(4);
    ConditionCode = 23, "condition_code", Type::Digits(2);
    /// YYYYMMDD, fixed when the request was accepted.
    BusinessDate = 24, "business_date", Type::Digits(8);
    /// Our STAN towards the bank.
    OutStan = 25, "out_stan", Type::U32;
    /// Our transmission time towards the bank, MMDDhhmmss UTC.
    OutTime = 26, "out_time", Type::Digits(10);
    /// Response code as sent to the acquirer.
    Code = 27, "code", Type::Text(2);
    /// Response code as the bank sent it.
    BankCode = 28, "bank_code", Type::Text(2);
    AuthCode = 29, "auth_code", Type::Text(6);
    SettlementDate = 30, "settlement_date", Type::Digits(4);
    AdditionalAmounts = 31, "additional_amounts", Type::Amounts(6);
    /// `switch.model.state.KeyState` that the request key now has.
    Outcome = 32, "outcome", Type::U8;
    /// End code, two letters.
    End = 33, "end", Type::Text(2);
    /// The bank's share of the time, microseconds.
    BankUs = 34, "bank_us", Type::U32;
    /// Our share of the time, microseconds.
    OursUs = 35, "ours_us", Type::U32;
    /// `switch.model.state.Cause`; other than 0 a reversal is owed.
    Cause = 36, "cause", Type::U8;
    ReversalStan = 37, "reversal_stan", Type::U32;
    ReversalTime = 38, "reversal_time", Type::Digits(10);
    /// Transaction id of the original.
    Original = 39, "original", Type::U64;
    /// Request key of an original never seen: a tombstone.
    OriginalKey = 40, "original_key", Type::Bytes(16);
    /// `switch.model.state.ReversalEffect`.
    Effect = 41, "effect", Type::U8;
    /// Final code of a reversal, or `parked`.
    Result = 42, "result", Type::Text(16);
    Attempts = 43, "attempts", Type::U32;
    /// Hash of the configuration in force: of a process that starts, or from a reload on.
    Config = 44, "config", Type::Hex(64);
    Boot = 45, "boot", Type::U64;
    Version = 46, "version", Type::Text(32);
    /// Institution id a mark belongs to.
    Institution = 47, "institution", Type::Text(16);
    Node = 48, "node", Type::U8;
    /// Field 33 towards the bank: ours, kept so that a repeat after a change of settings stays identical.
    ForwarderCode = 49, "forwarder_code", Type::Digits(11);
    /// Checkpoint: 0 begin, 1 end.
    Phase = 50, "phase", Type::U8;
    /// Checkpoint: records carried.
    Carried = 51, "carried", Type::U64;
    /// Checkpoint end: LSN of its begin.
    Begin = 52, "begin", Type::U64;
    /// Why a process stopped, or a tap was refused.
    Reason = 53, "reason", Type::Text(32);
    /// MTI under which a reversed request went to the bank.
    OriginalMti = 54, "original_mti", Type::Digits(4);
    /// Checkpoint end: the LSN a replay starts at, not above its begin; what it covers is older.
    ReplayFrom = 55, "replay_from", Type::U64;
    /// Transaction counter of a tap that was proved: the record claims it.
    Atc = 56, "atc", Type::U32;
    TokenSequence = 57, "token_sequence", Type::U8;
    /// Version of the token's mapping to the card that is sealed beside the record.
    MappingVersion = 58, "mapping_version", Type::U32;
    /// Issuer authentication data (tag 91) as the acquirer was given them.
    IssuerAuth = 59, "issuer_auth", Type::UpTo(10);
    /// Checkpoint: windows of transaction counters.
    AtcSeen = 60, "atc_windows", Type::Windows(WINDOWS_MAX);
    /// The configuration in force when this was decided: the hash of `config`, packed.
    ConfigHash = 61, "config_hash", Type::Bytes(CONFIG_HASH_BYTES);
    /// From the first byte of the request to this record, microseconds.
    RecordedUs = 62, "recorded_us", Type::U32;
    /// From the first byte of the request to its last, microseconds; absent when it came in one piece.
    ReadUs = 63, "read_us", Type::U32;
    /// From the first byte of the request to the proof of its token and cryptogram, microseconds.
    VerifiedUs = 64, "verified_us", Type::U32;
    /// Digits of the prefix that chose the bank; 0 is the default route. The prefix itself would uncover the card.
    RouteDigits = 65, "route_digits", Type::U8;
    /// Number of a terminal's work keys; 0: none any more.
    WorkKey = 66, "work_key", Type::U32;
    /// Number of those that are good until the newer ones were used.
    FormerKey = 67, "former_key", Type::U32;
    Batch = 68, "batch", Type::Digits(6);
    NetworkCode = 69, "network_code", Type::Digits(3);
    /// Our STAN of an advice: with it the record owes the bank one.
    AdviceStan = 70, "advice_stan", Type::U32;
    AdviceTime = 71, "advice_time", Type::Digits(10);
    /// `switch.model.state.Duty` that was settled; absent: the reversal.
    Duty = 72, "duty", Type::U8;
    /// Checkpoint: wall clock of the record that owes what is carried, Unix milliseconds.
    OwedMs = 73, "owed_ms", Type::I64;
    /// Name of the rule of stand-in.
    Rule = 74, "rule", Type::Text(16);
    /// Keyed hash of the real card, under which stand-in counts; that of a token is `card`.
    PanIndex = 75, "pan_index", Type::Bytes(8);
    /// What the rule allowed the card in the day: approvals, and minor units.
    CountMax = 76, "count_max", Type::U32;
    SumMax = 77, "sum_max", Type::U64;
    /// Checkpoint: what was approved, of a card (`pan_index`) or of a whole bank.
    StandInCount = 78, "stand_in_count", Type::U32;
    StandInSum = 79, "stand_in_sum", Type::U64;
    /// Who said the word, where an operator did.
    Operator = 80, "operator", Type::Text(32);
    /// Why, in the operator's words.
    Remark = 81, "remark", Type::Prose(200);
}

/// One above the highest field number.
pub(super) const FIELD_END: usize = 82;

impl Field {
    /// The field of a number read from a file.
    pub fn from_u8(number: u8) -> Option<Field> {
        FIELDS
            .get(usize::from(number).wrapping_sub(1))
            .map(|(f, _, _)| *f)
    }

    pub fn as_str(self) -> &'static str {
        FIELDS.get(self as usize - 1).map_or("", |(_, s, _)| s)
    }

    pub fn kind(self) -> Type {
        FIELDS
            .get(self as usize - 1)
            .map_or(Type::U8, |(_, _, t)| *t)
    }

    pub fn parse(text: &str) -> Option<Field> {
        FIELDS
            .iter()
            .find(|(_, s, _)| *s == text)
            .map(|(f, _, _)| *f)
    }

    /// True when `value` is of the field's type.
    pub(super) fn admits(self, value: &[u8]) -> bool {
        match self.kind() {
            Type::U8 => value.len() == 1,
            Type::U32 => value.len() == 4,
            Type::U64 | Type::I64 => value.len() == 8,
            Type::Bytes(n) => value.len() == n,
            Type::UpTo(max) => value.len() <= max,
            Type::Windows(max) => {
                let mut windows = value.chunks_exact(WINDOW_BYTES);
                windows.len() <= max
                    && windows.all(|w| w[0] == WINDOW_MARK)
                    && value.len() % WINDOW_BYTES == 0
            }
            Type::Digits(max) => value.len() <= max && every(value, |b| b.is_ascii_digit()),
            Type::Text(max) => value.len() <= max && every(value, |b| b >= 0x20 && b != 0x7f),
            Type::Prose(max) => {
                value.len() <= max
                    && every(value, |b| b >= 0x20 && b != 0x7f)
                    && digits_in_a_row(value) <= PROSE_DIGITS_MAX
            }
            Type::Hex(max) => {
                value.len() <= max && value.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
            Type::Amounts(max) => {
                value.len() % 20 == 0 && value.len() / 20 <= max && value.chunks(20).all(is_amount)
            }
        }
    }
}

/// As `Iterator::all`, without stopping early: the compiler checks many bytes at a time then.
fn every(value: &[u8], holds: impl Fn(u8) -> bool) -> bool {
    value.iter().fold(true, |so_far, b| so_far & holds(*b))
}

/// The longest run of digits, with spaces, dashes, dots and slashes between them left out of account.
fn digits_in_a_row(text: &[u8]) -> usize {
    let (mut run, mut longest) = (0, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' => run += 1,
            b' ' | b'-' | b'.' | b'/' => {}
            _ => run = 0,
        }
        longest = longest.max(run);
    }
    longest
}

/// One amount of field 54 (ISO 8583:1987).
fn is_amount(twenty: &[u8]) -> bool {
    twenty.iter().enumerate().all(|(i, b)| match i {
        7 => matches!(b, b'C' | b'D'),
        4..=6 => b.is_ascii_alphanumeric(),
        _ => b.is_ascii_digit(),
    })
}

/// A payload that does not keep the rules of the table. Never quotes a value.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    #[error("field {0} of the record does not fit its type")]
    Value(&'static str),
    #[error("field {0} appears twice in the record")]
    Twice(&'static str),
    #[error("field number {0} is unknown to this version")]
    UnknownField(u8),
    #[error("record kind {0} is unknown to this version")]
    UnknownKind(u8),
    #[error("the record's payload ends inside a field")]
    Short,
    #[error("the record's payload is over {PAYLOAD_BYTES_MAX} bytes")]
    Long,
    #[error("a PAN is over {PAN_BYTES_MAX} digits or not digits")]
    Pan,
}

/// Builds one payload in a buffer that is used again for the next record.
///
/// The first fault is kept and returned by `finish`, so that the hot path has one check instead of twenty.
#[derive(Default)]
pub struct Builder {
    bytes: Vec<u8>,
    fault: Option<RecordError>,
}

impl Builder {
    pub fn new() -> Builder {
        Builder {
            bytes: Vec::with_capacity(1024),
            fault: None,
        }
    }

    /// Forgets the last record; the buffer stays.
    pub fn clear(&mut self) -> &mut Builder {
        self.bytes.clear();
        self.fault = None;
        self
    }

    /// An integer field, cut to its width; a value too large is a fault.
    pub fn number(&mut self, field: Field, value: u64) -> &mut Builder {
        let width = match field.kind() {
            Type::U8 => 1,
            Type::U32 => 4,
            Type::U64 | Type::I64 => 8,
            _ => return self.refuse(RecordError::Value(field.as_str())),
        };
        if width < 8 && value >> (8 * width) != 0 {
            return self.refuse(RecordError::Value(field.as_str()));
        }
        self.head(field, width);
        self.bytes.extend_from_slice(&value.to_le_bytes()[..width]);
        self
    }

    /// A signed integer field (`at_ms`).
    pub fn signed(&mut self, field: Field, value: i64) -> &mut Builder {
        if field.kind() != Type::I64 {
            return self.refuse(RecordError::Value(field.as_str()));
        }
        self.head(field, 8);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Text, digits or raw bytes; empty text is left out.
    pub fn bytes(&mut self, field: Field, value: &[u8]) -> &mut Builder {
        if value.is_empty() {
            return self;
        }
        if matches!(field.kind(), Type::U8 | Type::U32 | Type::U64 | Type::I64)
            || !field.admits(value)
        {
            return self.refuse(RecordError::Value(field.as_str()));
        }
        self.head(field, value.len());
        self.bytes.extend_from_slice(value);
        self
    }

    pub fn text(&mut self, field: Field, value: &str) -> &mut Builder {
        self.bytes(field, value.as_bytes())
    }

    /// A value that `write` appends to the buffer itself (no copy between); left out when it returns false or adds
    /// nothing.
    pub fn with(&mut self, field: Field, write: impl FnOnce(&mut Vec<u8>) -> bool) -> &mut Builder {
        let start = self.bytes.len();
        self.head(field, 0);
        let value = self.bytes.len();
        if !write(&mut self.bytes) || self.bytes.len() <= value {
            self.bytes.truncate(start);
            return self;
        }
        if !field.admits(&self.bytes[value..]) {
            self.bytes.truncate(start);
            return self.refuse(RecordError::Value(field.as_str()));
        }
        // An admitted value is under 4 KiB, so its length fits.
        let length = (self.bytes.len() - value) as u16;
        self.bytes[start + 1..value].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// As `bytes`, but what does not fit is left out instead of being a fault: for values that a peer chose and that
    /// no rule of ours needs. Returns true when it is in.
    pub fn offer(&mut self, field: Field, value: &[u8]) -> bool {
        let number = matches!(field.kind(), Type::U8 | Type::U32 | Type::U64 | Type::I64);
        let fits = !value.is_empty() && !number && field.admits(value);
        if fits {
            self.head(field, value.len());
            self.bytes.extend_from_slice(value);
        }
        fits
    }

    /// The payload, or the first fault.
    pub fn finish(&self) -> Result<&[u8], RecordError> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.bytes.len() > PAYLOAD_BYTES_MAX => Err(RecordError::Long),
            None => Ok(&self.bytes),
        }
    }

    fn head(&mut self, field: Field, length: usize) {
        self.bytes.push(field as u8);
        self.bytes.extend_from_slice(&(length as u16).to_le_bytes());
    }

    fn refuse(&mut self, fault: RecordError) -> &mut Builder {
        self.fault.get_or_insert(fault);
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tables_are_dense_and_named_once() {
        for (i, (kind, name)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, i + 1);
            assert_eq!(RecordKind::parse(name), Some(*kind));
            assert_eq!(RecordKind::from_u8(*kind as u8), Some(*kind));
            assert_eq!(kind.as_str(), *name);
        }
        for (i, (field, name, _)) in FIELDS.iter().enumerate() {
            assert_eq!(*field as usize, i + 1);
            assert_eq!(Field::parse(name), Some(*field));
            assert_eq!(Field::from_u8(*field as u8), Some(*field));
            assert_eq!(field.as_str(), *name);
        }
        assert_eq!(FIELDS.len() + 1, FIELD_END);
        assert_eq!(RecordKind::from_u8(0), None);
        assert_eq!(RecordKind::from_u8(KINDS.len() as u8 + 1), None);
        assert_eq!(Field::from_u8(0), None);
        assert_eq!(Field::from_u8(FIELD_END as u8), None);
    }

    #[test]
    fn no_field_can_carry_track_or_pin() {
        let track = b"6299000000000000=30122011234567890123";
        for (field, name, kind) in FIELDS {
            let mut b = Builder::new();
            assert!(b.bytes(*field, track).finish().is_err(), "{name} {kind:?}");
            let mut padded = track.to_vec();
            padded.resize(40, b'0');
            assert!(!b.clear().offer(*field, &padded), "{name} {kind:?}");
        }
    }

    #[test]
    fn prose_takes_a_ticket_and_no_card_number() {
        let said = |text: &str| {
            let mut b = Builder::new();
            b.text(Field::Remark, text).finish().is_ok()
        };
        assert!(said("settled by phone on 2026-11-28, ticket 1234567"));
        assert!(said("已与银行电话核对"));
        for number in [
            "6299000000000004",
            "6299 0000 0000 0004",
            "6299-0000.0000/0004",
        ] {
            assert!(!said(&format!("the card is {number}")));
        }
        assert!(!said("a\nb") && !said(&"x".repeat(201)));
    }

    #[test]
    fn faults_are_named_and_values_are_not() {
        let mut b = Builder::new();
        b.text(Field::Stan, "12a456").number(Field::Amount, 5);
        let fault = b.finish().unwrap_err();
        assert_eq!(fault, RecordError::Value("stan"));
        assert!(!fault.to_string().contains("12a456"));
        assert!(b.clear().number(Field::Cause, 256).finish().is_err());
        assert!(b.clear().number(Field::Stan, 1).finish().is_err());
        assert!(b.clear().bytes(Field::Txn, &[0; 8]).finish().is_err());
        assert!(b.clear().text(Field::TerminalId, "a\nb").finish().is_err());
    }

    #[test]
    fn with_rolls_back_what_is_absent() {
        let mut b = Builder::new();
        b.with(Field::Rrn, |_| false)
            .with(Field::TerminalId, |_| true)
            .with(Field::Stan, |out| {
                out.extend_from_slice(b"000042");
                true
            });
        let payload = b.finish().unwrap();
        let f = Fields::parse(payload).unwrap();
        assert_eq!(f.text(Field::Stan), "000042");
        assert!(!f.has(Field::Rrn) && !f.has(Field::TerminalId));
        assert!(
            b.clear()
                .with(Field::Stan, |o| {
                    o.extend_from_slice(&[7; 300]);
                    true
                })
                .finish()
                .is_err()
        );
    }

    #[test]
    fn repeated_and_unknown_fields_are_refused() {
        let mut b = Builder::new();
        b.number(Field::Txn, 1);
        let mut twice = b.finish().unwrap().to_vec();
        twice.extend_from_within(..);
        assert_eq!(Fields::parse(&twice).err(), Some(RecordError::Twice("txn")));
        assert_eq!(
            Fields::parse(&[200, 1, 0, 0]).err(),
            Some(RecordError::UnknownField(200))
        );
        assert_eq!(Fields::parse(&[1, 8, 0, 0]).err(), Some(RecordError::Short));
        assert_eq!(Fields::parse(&[1, 8]).err(), Some(RecordError::Short));
        assert_eq!(
            Fields::parse(&[13, 0, 0]).err(),
            Some(RecordError::Value("stan"))
        );
    }

    fn value() -> impl Strategy<Value = (Field, Vec<u8>)> {
        (
            0..FIELDS.len(),
            proptest::collection::vec(any::<u8>(), 1..130),
        )
            .prop_map(|(i, raw)| {
                let (field, _, kind) = FIELDS[i];
                let value = match kind {
                    Type::U8 => vec![raw[0]],
                    Type::U32 => (0..4).map(|i| raw[i % raw.len()]).collect(),
                    Type::U64 | Type::I64 => (0..8).map(|i| raw[i % raw.len()]).collect(),
                    Type::UpTo(n) => (0..n).map(|i| raw[i % raw.len()]).collect(),
                    Type::Windows(n) => {
                        [WINDOW_MARK; WINDOW_BYTES].repeat(1 + usize::from(raw[0]) % n.min(50))
                    }
                    Type::Bytes(n) => (0..n).map(|i| raw[i % raw.len()]).collect(),
                    Type::Digits(n) => raw.iter().take(n).map(|b| b'0' + b % 10).collect(),
                    Type::Prose(n) => raw.iter().take(n).map(|b| b'a' + b % 26).collect(),
                    Type::Text(n) => raw.iter().take(n).map(|b| b' ' + b % 95).collect(),
                    Type::Hex(n) => raw
                        .iter()
                        .take(n)
                        .map(|b| b"0123456789abcdef"[usize::from(b % 16)])
                        .collect(),
                    Type::Amounts(n) => b"0001156D000000001200".repeat(1 + usize::from(raw[0]) % n),
                };
                (field, value)
            })
    }

    proptest! {
        #[test]
        fn built_is_read_back(values in proptest::collection::btree_map(0..FIELDS.len(), value(), 0..30)) {
            let chosen: std::collections::BTreeMap<Field, Vec<u8>> = values.into_values().collect();
            let mut b = Builder::new();
            for (field, value) in &chosen {
                match field.kind() {
                    Type::U8 | Type::U32 | Type::U64 => {
                        let mut wide = [0; 8];
                        wide[..value.len()].copy_from_slice(value);
                        b.number(*field, u64::from_le_bytes(wide));
                    }
                    Type::I64 => {
                        let mut wide = [0; 8];
                        wide.copy_from_slice(value);
                        b.signed(*field, i64::from_le_bytes(wide));
                    }
                    _ => { b.bytes(*field, value); }
                }
            }
            let payload = b.finish().unwrap();
            let fields = Fields::parse(payload).unwrap();
            let read: std::collections::BTreeMap<Field, Vec<u8>> =
                fields.iter().map(|(f, v)| (f, v.to_vec())).collect();
            prop_assert_eq!(read, chosen);
        }

        #[test]
        fn any_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(fields) = Fields::parse(&raw) {
                let total: usize = fields.iter().map(|(_, v)| v.len() + 3).sum();
                prop_assert_eq!(total, raw.len());
            }
        }
    }
}
