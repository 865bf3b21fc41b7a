//! Whose card it is and which profile it uses: the scheme first, then the version in the application data.
//!
//! The order matters: one version byte means different things to different schemes.

use super::iad::Iad;
use super::key::Session;
use super::refusal::Refusal;

/// Who defines the card's application data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    UnionPay,
    Visa,
}

/// Every scheme with its name and its registered application provider.
pub const SCHEMES: [(Scheme, &str, [u8; 5]); 2] = [
    (Scheme::UnionPay, "unionpay", [0xa0, 0, 0, 0x03, 0x33]),
    (Scheme::Visa, "visa", [0xa0, 0, 0, 0, 0x03]),
];

impl Scheme {
    /// By the first five bytes of an application identifier.
    pub fn of_aid(aid: &[u8]) -> Option<Scheme> {
        SCHEMES
            .iter()
            .find(|(_, _, provider)| aid.starts_with(provider))
            .map(|(scheme, _, _)| *scheme)
    }

    pub fn of_name(name: &str) -> Option<Scheme> {
        SCHEMES
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(scheme, _, _)| *scheme)
    }
}

/// How a cryptogram is made and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// PBOC and UnionPay version 01 with triple DES.
    UnionPay01,
    Visa10,
    Visa18,
}

/// Every profile with the scheme that has it.
pub const PROFILES: [(Profile, Scheme); 3] = [
    (Profile::UnionPay01, Scheme::UnionPay),
    (Profile::Visa10, Scheme::Visa),
    (Profile::Visa18, Scheme::Visa),
];

/// How data are filled up to whole blocks (ISO/IEC 9797-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Method 1: zeros where the last block is not full.
    Zeros,
    /// Method 2: one byte 80, then zeros.
    Marked,
}

/// How the issuer answers (EMV 4.3 Book 2, 8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Over the response code; eight bytes.
    One,
    /// Over the card status update; four bytes.
    Two,
}

/// UnionPay's identifier of triple DES; 04 would be SM4.
const TRIPLE_DES: u8 = 1;

impl Profile {
    /// The profile of a scheme's application data.
    pub fn of(scheme: Scheme, iad: &Iad<'_>) -> Result<Profile, Refusal> {
        let profile = match (scheme, iad.version) {
            (Scheme::UnionPay, 0x01) => Profile::UnionPay01,
            (Scheme::Visa, 0x0a) => Profile::Visa10,
            (Scheme::Visa, 0x12) => Profile::Visa18,
            (_, version) => return Err(Refusal::VersionUnknown(version)),
        };
        match iad.algorithm {
            None | Some(TRIPLE_DES) => Ok(profile),
            Some(other) => Err(Refusal::AlgorithmUnknown(other)),
        }
    }

    pub fn of_name(name: &str) -> Option<Profile> {
        let found = PROFILES.iter().find(|(known, _)| known.name() == name);
        found.map(|(profile, _)| *profile)
    }

    pub const fn scheme(self) -> Scheme {
        match self {
            Profile::UnionPay01 => Scheme::UnionPay,
            Profile::Visa10 | Profile::Visa18 => Scheme::Visa,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Profile::UnionPay01 => "unionpay-01",
            Profile::Visa10 => "visa-10",
            Profile::Visa18 => "visa-18",
        }
    }

    pub const fn session(self) -> Session {
        match self {
            Profile::UnionPay01 => Session::Pboc,
            Profile::Visa10 => Session::None,
            Profile::Visa18 => Session::Common,
        }
    }

    pub const fn padding(self) -> Padding {
        match self {
            Profile::Visa10 => Padding::Zeros,
            Profile::UnionPay01 | Profile::Visa18 => Padding::Marked,
        }
    }

    pub const fn method(self) -> Method {
        match self {
            Profile::UnionPay01 | Profile::Visa10 => Method::One,
            Profile::Visa18 => Method::Two,
        }
    }

    /// What is signed after the ten tags that all profiles sign.
    pub fn tail<'i>(self, iad: &'i Iad<'_>) -> &'i [u8] {
        match self {
            Profile::UnionPay01 | Profile::Visa10 => &iad.results,
            Profile::Visa18 => iad.whole,
        }
    }
}
