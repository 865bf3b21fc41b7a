//! Canonical names: what the rooms above call a field, whatever its number in a dialect.

use std::any::Any;

/// One name a dialect may map a field to. The discriminant is the 1987 field number (0 is the MTI), which
/// makes a dense index; a dialect is free to carry the name in another field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Name {
    Mti = 0,
    Pan = 2,
    ProcessingCode = 3,
    Amount = 4,
    SettlementAmount = 5,
    BillingAmount = 6,
    TransmissionTime = 7,
    BillingFee = 8,
    SettlementRate = 9,
    BillingRate = 10,
    Stan = 11,
    LocalTime = 12,
    LocalDate = 13,
    Expiry = 14,
    SettlementDate = 15,
    ConversionDate = 16,
    CaptureDate = 17,
    Mcc = 18,
    AcquirerCountry = 19,
    PanCountry = 20,
    ForwarderCountry = 21,
    EntryMode = 22,
    CardSequence = 23,
    NetworkId = 24,
    ConditionCode = 25,
    PinCaptureCode = 26,
    AuthIdLength = 27,
    TransactionFee = 28,
    SettlementFee = 29,
    ProcessingFee = 30,
    SettlementProcessingFee = 31,
    AcquirerCode = 32,
    ForwarderCode = 33,
    ExtendedPan = 34,
    Track2 = 35,
    Track3 = 36,
    Rrn = 37,
    AuthCode = 38,
    ResponseCode = 39,
    ServiceRestriction = 40,
    TerminalId = 41,
    MerchantId = 42,
    MerchantName = 43,
    AdditionalResponse = 44,
    Track1 = 45,
    AdditionalIso = 46,
    AdditionalNational = 47,
    AdditionalPrivate = 48,
    Currency = 49,
    SettlementCurrency = 50,
    BillingCurrency = 51,
    PinBlock = 52,
    SecurityControl = 53,
    AdditionalAmounts = 54,
    Icc = 55,
    ReservedIso56 = 56,
    ReservedNational57 = 57,
    ReservedNational58 = 58,
    ReservedNational59 = 59,
    ReservedPrivate60 = 60,
    ReservedPrivate61 = 61,
    ReservedPrivate62 = 62,
    ReservedPrivate63 = 63,
    Mac = 64,
    SettlementCode = 66,
    ExtendedPayment = 67,
    ReceiverCountry = 68,
    SettlementCountry = 69,
    NetworkCode = 70,
    MessageNumber = 71,
    LastMessageNumber = 72,
    ActionDate = 73,
    CreditsCount = 74,
    CreditsReversalCount = 75,
    DebitsCount = 76,
    DebitsReversalCount = 77,
    TransferCount = 78,
    TransferReversalCount = 79,
    EnquiriesCount = 80,
    AuthorisationsCount = 81,
    CreditsProcessingFee = 82,
    CreditsTransactionFee = 83,
    DebitsProcessingFee = 84,
    DebitsTransactionFee = 85,
    CreditsAmount = 86,
    CreditsReversalAmount = 87,
    DebitsAmount = 88,
    DebitsReversalAmount = 89,
    OriginalData = 90,
    FileUpdateCode = 91,
    FileSecurityCode = 92,
    ResponseIndicator = 93,
    ServiceIndicator = 94,
    ReplacementAmounts = 95,
    MessageSecurity = 96,
    NetSettlement = 97,
    Payee = 98,
    SettlementInstitution = 99,
    ReceiverCode = 100,
    FileName = 101,
    AccountFrom = 102,
    AccountTo = 103,
    TransactionDescription = 104,
    Reserved105 = 105,
    Reserved106 = 106,
    Reserved107 = 107,
    Reserved108 = 108,
    Reserved109 = 109,
    Reserved110 = 110,
    Reserved111 = 111,
    Reserved112 = 112,
    Reserved113 = 113,
    Reserved114 = 114,
    Reserved115 = 115,
    Reserved116 = 116,
    Reserved117 = 117,
    Reserved118 = 118,
    Reserved119 = 119,
    Reserved120 = 120,
    Reserved121 = 121,
    Reserved122 = 122,
    Reserved123 = 123,
    Reserved124 = 124,
    Reserved125 = 125,
    Reserved126 = 126,
    Reserved127 = 127,
    Mac2 = 128,
    /// What a terminal calls the transaction, two digits; in no field of the standard.
    TransactionType = 129,
    /// The terminal's batch of transactions, six digits; in no field of the standard.
    Batch = 130,
}

/// One above the highest discriminant.
pub const NAME_END: usize = 131;

/// Every name with its spelling, ordered by discriminant.
pub const NAMES: [(Name, &str); 129] = [
    (Name::Mti, "mti"),
    (Name::Pan, "pan"),
    (Name::ProcessingCode, "processing_code"),
    (Name::Amount, "amount"),
    (Name::SettlementAmount, "settlement_amount"),
    (Name::BillingAmount, "billing_amount"),
    (Name::TransmissionTime, "transmission_time"),
    (Name::BillingFee, "billing_fee"),
    (Name::SettlementRate, "settlement_rate"),
    (Name::BillingRate, "billing_rate"),
    (Name::Stan, "stan"),
    (Name::LocalTime, "local_time"),
    (Name::LocalDate, "local_date"),
    (Name::Expiry, "expiry"),
    (Name::SettlementDate, "settlement_date"),
    (Name::ConversionDate, "conversion_date"),
    (Name::CaptureDate, "capture_date"),
    (Name::Mcc, "mcc"),
    (Name::AcquirerCountry, "acquirer_country"),
    (Name::PanCountry, "pan_country"),
    (Name::ForwarderCountry, "forwarder_country"),
    (Name::EntryMode, "entry_mode"),
    (Name::CardSequence, "card_sequence"),
    (Name::NetworkId, "network_id"),
    (Name::ConditionCode, "condition_code"),
    (Name::PinCaptureCode, "pin_capture_code"),
    (Name::AuthIdLength, "auth_id_length"),
    (Name::TransactionFee, "transaction_fee"),
    (Name::SettlementFee, "settlement_fee"),
    (Name::ProcessingFee, "processing_fee"),
    (Name::SettlementProcessingFee, "settlement_processing_fee"),
    (Name::AcquirerCode, "acquirer_code"),
    (Name::ForwarderCode, "forwarder_code"),
    (Name::ExtendedPan, "extended_pan"),
    (Name::Track2, "track2"),
    (Name::Track3, "track3"),
    (Name::Rrn, "rrn"),
    (Name::AuthCode, "auth_code"),
    (Name::ResponseCode, "response_code"),
    (Name::ServiceRestriction, "service_restriction"),
    (Name::TerminalId, "terminal_id"),
    (Name::MerchantId, "merchant_id"),
    (Name::MerchantName, "merchant_name"),
    (Name::AdditionalResponse, "additional_response"),
    (Name::Track1, "track1"),
    (Name::AdditionalIso, "additional_iso"),
    (Name::AdditionalNational, "additional_national"),
    (Name::AdditionalPrivate, "additional_private"),
    (Name::Currency, "currency"),
    (Name::SettlementCurrency, "settlement_currency"),
    (Name::BillingCurrency, "billing_currency"),
    (Name::PinBlock, "pin_block"),
    (Name::SecurityControl, "security_control"),
    (Name::AdditionalAmounts, "additional_amounts"),
    (Name::Icc, "icc"),
    (Name::ReservedIso56, "reserved_iso_56"),
    (Name::ReservedNational57, "reserved_national_57"),
    (Name::ReservedNational58, "reserved_national_58"),
    (Name::ReservedNational59, "reserved_national_59"),
    (Name::ReservedPrivate60, "reserved_private_60"),
    (Name::ReservedPrivate61, "reserved_private_61"),
    (Name::ReservedPrivate62, "reserved_private_62"),
    (Name::ReservedPrivate63, "reserved_private_63"),
    (Name::Mac, "mac"),
    (Name::SettlementCode, "settlement_code"),
    (Name::ExtendedPayment, "extended_payment"),
    (Name::ReceiverCountry, "receiver_country"),
    (Name::SettlementCountry, "settlement_country"),
    (Name::NetworkCode, "network_code"),
    (Name::MessageNumber, "message_number"),
    (Name::LastMessageNumber, "last_message_number"),
    (Name::ActionDate, "action_date"),
    (Name::CreditsCount, "credits_count"),
    (Name::CreditsReversalCount, "credits_reversal_count"),
    (Name::DebitsCount, "debits_count"),
    (Name::DebitsReversalCount, "debits_reversal_count"),
    (Name::TransferCount, "transfer_count"),
    (Name::TransferReversalCount, "transfer_reversal_count"),
    (Name::EnquiriesCount, "enquiries_count"),
    (Name::AuthorisationsCount, "authorisations_count"),
    (Name::CreditsProcessingFee, "credits_processing_fee"),
    (Name::CreditsTransactionFee, "credits_transaction_fee"),
    (Name::DebitsProcessingFee, "debits_processing_fee"),
    (Name::DebitsTransactionFee, "debits_transaction_fee"),
    (Name::CreditsAmount, "credits_amount"),
    (Name::CreditsReversalAmount, "credits_reversal_amount"),
    (Name::DebitsAmount, "debits_amount"),
    (Name::DebitsReversalAmount, "debits_reversal_amount"),
    (Name::OriginalData, "original_data"),
    (Name::FileUpdateCode, "file_update_code"),
    (Name::FileSecurityCode, "file_security_code"),
    (Name::ResponseIndicator, "response_indicator"),
    (Name::ServiceIndicator, "service_indicator"),
    (Name::ReplacementAmounts, "replacement_amounts"),
    (Name::MessageSecurity, "message_security"),
    (Name::NetSettlement, "net_settlement"),
    (Name::Payee, "payee"),
    (Name::SettlementInstitution, "settlement_institution"),
    (Name::ReceiverCode, "receiver_code"),
    (Name::FileName, "file_name"),
    (Name::AccountFrom, "account_from"),
    (Name::AccountTo, "account_to"),
    (Name::TransactionDescription, "transaction_description"),
    (Name::Reserved105, "reserved_105"),
    (Name::Reserved106, "reserved_106"),
    (Name::Reserved107, "reserved_107"),
    (Name::Reserved108, "reserved_108"),
    (Name::Reserved109, "reserved_109"),
    (Name::Reserved110, "reserved_110"),
    (Name::Reserved111, "reserved_111"),
    (Name::Reserved112, "reserved_112"),
    (Name::Reserved113, "reserved_113"),
    (Name::Reserved114, "reserved_114"),
    (Name::Reserved115, "reserved_115"),
    (Name::Reserved116, "reserved_116"),
    (Name::Reserved117, "reserved_117"),
    (Name::Reserved118, "reserved_118"),
    (Name::Reserved119, "reserved_119"),
    (Name::Reserved120, "reserved_120"),
    (Name::Reserved121, "reserved_121"),
    (Name::Reserved122, "reserved_122"),
    (Name::Reserved123, "reserved_123"),
    (Name::Reserved124, "reserved_124"),
    (Name::Reserved125, "reserved_125"),
    (Name::Reserved126, "reserved_126"),
    (Name::Reserved127, "reserved_127"),
    (Name::Mac2, "mac2"),
    (Name::TransactionType, "transaction_type"),
    (Name::Batch, "batch"),
];

impl Name {
    /// The spelling used in dialect files, settings and Python.
    pub fn as_str(self) -> &'static str {
        NAMES
            .iter()
            .find(|(n, _)| *n == self)
            .map_or("", |(_, s)| s)
    }

    /// The name of a spelling.
    pub fn parse(text: &str) -> Option<Name> {
        NAMES.iter().find(|(_, s)| *s == text).map(|(n, _)| *n)
    }
}

/// Anything a leg or a record can be built from: a decoded message, or an accepted request replayed from the journal.
pub trait Source {
    /// Appends the normal form of `name` to `out` (numerics as ASCII digits without padding changes, text as sent,
    /// binary raw) and returns true; returns false and leaves `out` alone when it is absent.
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool;

    /// Appends what was proved of the message, as text, and returns true; false when nothing of it was.
    fn proved(&self, _what: Proved, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// A field as it stands on the wire, length prefix included, when this source speaks the dialect of that
    /// identity: a leg in the same dialect copies it without reading it again.
    #[inline]
    fn wire(&self, _dialect: u64, _number: u8) -> Wire<'_> {
        Wire::Unlike
    }
}

/// What a bank may be told of a tap that was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proved {
    /// `1`: the cryptogram is genuine and new.
    Result,
    /// The token's number.
    Token,
    /// Token requestor, 11 digits.
    Requestor,
    /// Token assurance method, 2 characters.
    Assurance,
}

/// Every fact with its spelling in dialect files.
pub const PROVED: [(Proved, &str); 4] = [
    (Proved::Result, "result"),
    (Proved::Token, "token"),
    (Proved::Requestor, "requestor"),
    (Proved::Assurance, "assurance"),
];

/// What another room has proved of a message, kept with it and dropped with it. As a source it gives what may go out
/// in the message's place.
pub trait Attachment: Source + Any + Send + Sync + std::fmt::Debug {
    /// For the room that attached it.
    fn as_any(&self) -> &dyn Any;
}

/// Answer of `Source::wire`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'a> {
    Bytes(&'a [u8]),
    /// The same dialect, and no such field.
    Absent,
    /// Another dialect, or no wire form: ask for the normal form.
    Unlike,
}
