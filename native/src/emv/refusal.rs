//! Why a tap proves nothing: one reason each, counted apart. An acquirer is told less.

/// The reason. It names tags and versions, and quotes no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Field 55 is not well-formed BER-TLV.
    FieldFormat,
    /// A tag that is needed is not there.
    TagMissing(u32),
    /// A tag that is read comes twice.
    TagTwice(u32),
    /// A tag has another length than the standard gives it.
    TagLength(u32),
    /// A numeric tag holds something else than digits.
    TagFormat(u32),
    /// Neither an application identifier nor the card's number says whose profile it is.
    ApplicationUnknown,
    /// Two application identifiers name two schemes.
    ApplicationsDiffer,
    /// The issuer application data are not laid out as the scheme lays them out.
    IadFormat,
    /// A cryptogram version that the scheme's profiles do not have.
    VersionUnknown(u8),
    /// An algorithm that the profile does not have.
    AlgorithmUnknown(u8),
    /// No master key for this card under the index of the issuer application data.
    KeyUnknown(u8),
    /// Tag 9F27 says that this is no request for an authorisation.
    NotARequest,
    /// Tag 9F02 is not the message's amount.
    AmountDiffers,
    /// Tag 5F2A is not the message's currency.
    CurrencyDiffers,
    /// The cryptogram is not the one of this card over these data.
    Cryptogram,
    /// The card's own results, which the cryptogram covers, do not say "first GENERATE AC, ARQC".
    Results,
}

/// Every reason's word, in the order of `Refusal`.
pub const REASONS: [&str; 16] = [
    "field_format",
    "tag_missing",
    "tag_twice",
    "tag_length",
    "tag_format",
    "application_unknown",
    "applications_differ",
    "iad_format",
    "version_unknown",
    "algorithm_unknown",
    "key_unknown",
    "not_a_request",
    "amount_differs",
    "currency_differs",
    "cryptogram",
    "results",
];

impl Refusal {
    /// A stable word for counters and records.
    pub fn reason(self) -> &'static str {
        REASONS[self.place()]
    }

    /// Its place in `REASONS`.
    pub const fn place(self) -> usize {
        match self {
            Refusal::FieldFormat => 0,
            Refusal::TagMissing(_) => 1,
            Refusal::TagTwice(_) => 2,
            Refusal::TagLength(_) => 3,
            Refusal::TagFormat(_) => 4,
            Refusal::ApplicationUnknown => 5,
            Refusal::ApplicationsDiffer => 6,
            Refusal::IadFormat => 7,
            Refusal::VersionUnknown(_) => 8,
            Refusal::AlgorithmUnknown(_) => 9,
            Refusal::KeyUnknown(_) => 10,
            Refusal::NotARequest => 11,
            Refusal::AmountDiffers => 12,
            Refusal::CurrencyDiffers => 13,
            Refusal::Cryptogram => 14,
            Refusal::Results => 15,
        }
    }

    /// What the reason is about: a tag, or a version, algorithm or key index, in hexadecimal; else empty.
    pub fn about(self) -> String {
        match self {
            Refusal::TagMissing(tag)
            | Refusal::TagTwice(tag)
            | Refusal::TagLength(tag)
            | Refusal::TagFormat(tag) => format!("{tag:02X}"),
            Refusal::VersionUnknown(byte)
            | Refusal::AlgorithmUnknown(byte)
            | Refusal::KeyUnknown(byte) => format!("{byte:02X}"),
            _ => String::new(),
        }
    }
}
