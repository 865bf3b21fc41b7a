//! A secure element in software: what the chip in a phone or card does with one token, for simulators.
//!
//! It is the other side of `ring`: personalised with the token's key, it counts its transactions, signs what a terminal
//! asks for, and proves the issuer's answer. It shares keys, layout and arithmetic with the verifier, so the oracle of
//! both is another program (tests/property/test_element.py).
//!
//! Cost on a busy machine, nearly all of it DES: a whole tap 1.5 µs with the card's key at hand (300 bytes a token,
//! which is what an `Element` is), 2.4 µs with a new element for it; `cryptogram::make` 2.1 µs, with nothing kept of a
//! token and no field built: a million different taps take two seconds and no memory.

use thiserror::Error;

use super::chip::{SIGNED, SIGNED_BYTES};
use super::cryptogram::made_with;
use super::iad::{Iad, RESULTS_BYTES};
use super::key::{Card, CardKey, CardMaster, SessionKey};
use super::profile::{Method, Padding, Profile, Scheme};
use crate::codec::tlv::{Ber, push_ber};

const CRYPTOGRAM: u32 = 0x9f26;
const INFORMATION: u32 = 0x9f27;
const IAD: u32 = 0x9f10;
const AID: u32 = 0x84;
const NUMBER: u32 = 0x5a;
const TRACK: u32 = 0x57;
const SEQUENCE: u32 = 0x5f34;
const REQUESTOR: u32 = 0x9f19;
const ANSWER: u32 = 0x91;

/// Tag 82: it can sign its data itself. No profile here looks at it beyond signing it.
const INTERCHANGE: [u8; 2] = [0x20, 0x00];
/// Card verification results: first GENERATE AC gave an ARQC, the second was not asked for.
const RESULTS: [u8; RESULTS_BYTES] = [3, 0xa0, 0, 0];
/// Service code of tag 57: international, chip; no PIN.
const SERVICE: [u8; 3] = [2, 0, 1];

/// Why a device cannot be made, or makes no cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ElementFault {
    #[error("a token has 8 to 19 digits, a sequence number up to 99 and an expiry of four digits")]
    Token,
    #[error("a token requestor is 11 digits")]
    Requestor,
    #[error("the transaction counter is used up")]
    Exhausted,
}

/// What the terminal asks and tells.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Tag 9F02, minor unit, below 10^12.
    pub amount: u64,
    /// Tag 9F03, likewise: cash back.
    pub other: u64,
    /// Tag 9F1A, numeric.
    pub country: u16,
    /// Tag 95: what the terminal found.
    pub findings: [u8; 5],
    /// Tag 5F2A, numeric.
    pub currency: u16,
    /// Tag 9A, YYMMDD as a number.
    pub date: u32,
    /// Tag 9C as a number: 0 for a purchase.
    pub kind: u8,
    /// Tag 9F37.
    pub unpredictable: [u8; 4],
}

/// What of the token a device tells beside its cryptogram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Tag 5A.
    pub number: bool,
    /// Tag 57.
    pub track: bool,
    /// Tag 5F34.
    pub sequence: bool,
    /// Tag 9F19, where the token has a requestor.
    pub requestor: bool,
}

/// How a tap goes otherwise than a device would do it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trick {
    /// The cryptogram has a wrong bit.
    pub spoiled: bool,
    /// Signed with this counter instead of the next one, as a copy of the device would.
    pub counter: Option<u16>,
}

/// One token in one device. Its key is wiped when it is dropped.
pub struct Element {
    key: CardKey,
    profile: Profile,
    index: u8,
    number: Vec<u8>,
    sequence: u8,
    expiry: [u8; 4],
    requestor: Option<[u8; 11]>,
    /// The last counter that it used.
    counter: u16,
}

/// Packs the decimal digits of a number, most significant first.
fn packed<const N: usize>(mut number: u64) -> [u8; N] {
    let mut out = [0; N];
    for byte in out.iter_mut().rev() {
        *byte = (((number / 10 % 10) << 4) | (number % 10)) as u8;
        number /= 100;
    }
    out
}

/// Packs half bytes, filled up with F.
fn nibbles(digits: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    let mut half = None;
    for digit in digits {
        match half.take() {
            None => half = Some(digit),
            Some(high) => out.push(high << 4 | digit),
        }
    }
    out.extend(half.map(|high| high << 4 | 15));
    out
}

impl Element {
    /// A device for a token: `number` in ASCII digits, `expiry` YYMM, `requestor` 11 digits or empty, `counter` the
    /// last one that its predecessor used.
    pub fn personalise(
        master: &CardMaster,
        profile: Profile,
        index: u8,
        token: (&[u8], u8, &[u8]),
        requestor: &[u8],
        counter: u16,
    ) -> Result<Element, ElementFault> {
        let (number, sequence, expiry) = token;
        let card = Card::new(number, sequence).ok_or(ElementFault::Token)?;
        let expiry: [u8; 4] = expiry.try_into().map_err(|_| ElementFault::Token)?;
        if !expiry.iter().all(u8::is_ascii_digit) {
            return Err(ElementFault::Token);
        }
        let requestor = match requestor {
            [] => None,
            digits => Some(digits.try_into().map_err(|_| ElementFault::Requestor)?),
        };
        if !requestor.iter().flatten().all(u8::is_ascii_digit) {
            return Err(ElementFault::Requestor);
        }
        Ok(Element {
            key: master.card(&card),
            profile,
            index,
            number: number.to_vec(),
            sequence,
            expiry,
            requestor,
            counter,
        })
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The last transaction counter used; 0 for a new device.
    pub fn counter(&self) -> u16 {
        self.counter
    }

    /// Signs what the terminal asks for, under the next counter.
    pub fn tap(&mut self, asked: &Asked, told: Told, trick: Trick) -> Result<Tapped, ElementFault> {
        let counter = match trick.counter {
            Some(counter) => counter,
            None => self.counter.checked_add(1).ok_or(ElementFault::Exhausted)?,
        };
        self.counter = self.counter.max(counter);
        let signed = asked.signed(counter);
        let application = self.application();
        let iad = Iad {
            index: self.index,
            version: application[2],
            results: RESULTS,
            algorithm: None,
            whole: &application,
        };
        let session = self.key.session(self.profile.session(), counter);
        let genuine = made_with(&session, self.profile, &signed, &iad);
        let cryptogram = genuine ^ u64::from(trick.spoiled);
        let mut field = Vec::with_capacity(192);
        push_ber(&mut field, CRYPTOGRAM, &cryptogram.to_be_bytes());
        push_ber(&mut field, INFORMATION, &[0x80]);
        push_ber(&mut field, IAD, &application);
        let mut at = 0;
        for (tag, length) in SIGNED {
            push_ber(&mut field, tag, &signed[at..at + length]);
            at += length;
        }
        push_ber(&mut field, AID, self.aid());
        self.tell(&mut field, told);
        Ok(Tapped {
            field,
            counter,
            profile: self.profile,
            cryptogram,
            session,
        })
    }

    /// Tag 9F10.
    fn application(&self) -> Vec<u8> {
        let [r0, r1, r2, r3] = RESULTS;
        match self.profile {
            Profile::UnionPay01 => vec![7, self.index, 0x01, r0, r1, r2, r3, 0x01],
            Profile::Visa10 => vec![6, self.index, 0x0a, r0, r1, r2, r3],
            Profile::Visa18 => vec![6, self.index, 0x12, r0, r1, r2, r3],
        }
    }

    fn aid(&self) -> &'static [u8] {
        match self.profile.scheme() {
            Scheme::UnionPay => &[0xa0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x02],
            Scheme::Visa => &[0xa0, 0, 0, 0, 0x03, 0x10, 0x10],
        }
    }

    fn tell(&self, field: &mut Vec<u8>, told: Told) {
        let number = || self.number.iter().map(|digit| digit - b'0');
        if told.number {
            push_ber(field, NUMBER, &nibbles(number()));
        }
        if told.track {
            let expiry = self.expiry.iter().map(|digit| digit - b'0');
            let tail = [13].into_iter().chain(expiry).chain(SERVICE);
            push_ber(field, TRACK, &nibbles(number().chain(tail)));
        }
        if told.sequence {
            push_ber(field, SEQUENCE, &packed::<1>(u64::from(self.sequence)));
        }
        if let Some(requestor) = self.requestor.filter(|_| told.requestor) {
            let value = requestor
                .iter()
                .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            push_ber(field, REQUESTOR, &packed::<6>(value));
        }
    }
}

impl Asked {
    /// The values of `SIGNED`, joined.
    fn signed(&self, counter: u16) -> [u8; SIGNED_BYTES] {
        let parts: [&[u8]; 10] = [
            &packed::<6>(self.amount),
            &packed::<6>(self.other),
            &packed::<2>(u64::from(self.country)),
            &self.findings,
            &packed::<2>(u64::from(self.currency)),
            &packed::<3>(u64::from(self.date)),
            &packed::<1>(u64::from(self.kind)),
            &self.unpredictable,
            &INTERCHANGE,
            &counter.to_be_bytes(),
        ];
        let mut signed = [0; SIGNED_BYTES];
        for (out, byte) in signed.iter_mut().zip(parts.into_iter().flatten()) {
            *out = *byte;
        }
        signed
    }
}

/// What the device finds in the answer to its tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The issuer made it, for this tap and with this outcome.
    Genuine,
    /// There is no tag 91.
    Absent,
    /// Field 55 or tag 91 is not laid out as the profile has it.
    Malformed,
    /// Made over another response code than the message has.
    CodeDiffers,
    /// Not the issuer's, or of another tap.
    Wrong,
}

/// Every finding with its word.
pub const FOUND: [(Found, &str); 5] = [
    (Found::Genuine, "genuine"),
    (Found::Absent, "absent"),
    (Found::Malformed, "malformed"),
    (Found::CodeDiffers, "code_differs"),
    (Found::Wrong, "wrong"),
];

/// One tap on its way: field 55, and what its answer is proved with.
pub struct Tapped {
    /// The value of field 55.
    pub field: Vec<u8>,
    pub counter: u16,
    profile: Profile,
    cryptogram: u64,
    session: SessionKey,
}

impl Tapped {
    /// Proves the answer: `field` is its field 55, `code` its response code.
    pub fn check(&self, field: &[u8], code: [u8; 2]) -> Found {
        let mut found = None;
        for element in Ber::new(field) {
            match element {
                Err(_) => return Found::Malformed,
                Ok(element) if element.tag != ANSWER => {}
                Ok(element) if found.is_none() => found = Some(element.value),
                Ok(_) => return Found::Malformed,
            }
        }
        match found {
            None => Found::Absent,
            Some(tag) => match self.profile.method() {
                Method::One => self.check_code(tag, code),
                Method::Two => self.check_status(tag),
            },
        }
    }

    fn check_code(&self, tag: &[u8], code: [u8; 2]) -> Found {
        let Some((answer, over)) = tag.split_at_checked(8) else {
            return Found::Malformed;
        };
        let &[high, low] = over else {
            return Found::Malformed;
        };
        let over = u64::from(u16::from_be_bytes([high, low])) << 48;
        if self.session.encrypt(self.cryptogram ^ over).to_be_bytes() != *answer {
            return Found::Wrong;
        }
        if [high, low] == code {
            Found::Genuine
        } else {
            Found::CodeDiffers
        }
    }

    fn check_status(&self, tag: &[u8]) -> Found {
        let Some((answer, rest)) = tag.split_at_checked(4) else {
            return Found::Malformed;
        };
        if !(4..=12).contains(&rest.len()) {
            return Found::Malformed;
        }
        let head = self.cryptogram.to_be_bytes();
        let mac = self.session.mac(&head, rest, Padding::Marked);
        if mac.to_be_bytes()[..4] == *answer {
            Found::Genuine
        } else {
            Found::Wrong
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::profile::PROFILES;
    use super::super::{Derivation, MasterFault, Refusal, Ring};
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &[u8] = b"6299770000000005";

    fn master() -> CardMaster {
        let halves = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        assert!(matches!(
            CardMaster::new(&halves, Derivation::A, [0; 3]),
            Err(MasterFault::CheckValue { .. })
        ));
        CardMaster::new(&halves, Derivation::A, [0x08, 0xd7, 0xb4]).unwrap()
    }

    fn element(profile: Profile) -> Element {
        let token = (TOKEN, 1, &b"3012"[..]);
        Element::personalise(&master(), profile, 7, token, b"62990000001", 0).unwrap()
    }

    fn ring(profile: Profile) -> Ring {
        let mut ring = Ring::default();
        ring.add(profile.scheme(), b"629977", 7, master()).unwrap();
        ring
    }

    fn asked(amount: u64) -> Asked {
        Asked {
            amount,
            currency: 156,
            country: 156,
            date: 261_125,
            unpredictable: [1, 2, 3, 4],
            ..Asked::default()
        }
    }

    const ALL: Told = Told {
        number: true,
        track: true,
        sequence: true,
        requestor: true,
    };

    #[test]
    fn every_profile_is_proved_and_its_answer_too() {
        let card = Card::new(TOKEN, 1).unwrap();
        for (profile, _) in PROFILES {
            let mut element = element(profile);
            for turn in 1..=300u16 {
                let amount = u64::from(turn) * 101;
                let tapped = element.tap(&asked(amount), ALL, Trick::default()).unwrap();
                let proof = ring(profile)
                    .verify(&tapped.field, &card, amount, 156)
                    .ok()
                    .unwrap();
                assert_eq!(
                    (proof.profile, proof.counter, proof.index),
                    (profile, turn, 7)
                );
                assert_eq!((tapped.counter, element.counter()), (turn, turn));
                let tag = match profile.method() {
                    Method::One => proof.answer_code(*b"00").unwrap().to_vec(),
                    Method::Two => proof.answer_status([0, 0x82, 0, 0], b"own").unwrap(),
                };
                let mut field = Vec::new();
                push_ber(&mut field, ANSWER, &tag);
                assert_eq!(tapped.check(&field, *b"00"), Found::Genuine);
                let other = match profile.method() {
                    Method::One => Found::CodeDiffers,
                    Method::Two => Found::Genuine,
                };
                assert_eq!(tapped.check(&field, *b"05"), other);
            }
        }
    }

    #[test]
    fn tricks_are_seen_through() {
        let card = Card::new(TOKEN, 1).unwrap();
        for (profile, _) in PROFILES {
            let mut element = element(profile);
            let spoiled = Trick {
                spoiled: true,
                counter: None,
            };
            let tapped = element.tap(&asked(5), ALL, spoiled).unwrap();
            let refused = ring(profile).verify(&tapped.field, &card, 5, 156).err();
            assert_eq!(refused, Some(Refusal::Cryptogram));
            // A copy with an old counter signs rightly: only who remembers counters finds it out.
            let again = Trick {
                spoiled: false,
                counter: Some(1),
            };
            let tapped = element.tap(&asked(6), ALL, again).unwrap();
            let proof = ring(profile)
                .verify(&tapped.field, &card, 6, 156)
                .ok()
                .unwrap();
            assert_eq!((proof.counter, element.counter()), (1, 1));
        }
    }

    #[test]
    fn answers_that_are_not_the_issuers_are_noticed() {
        for (profile, _) in PROFILES {
            let mut element = element(profile);
            let tapped = element.tap(&asked(5), ALL, Trick::default()).unwrap();
            let card = Card::new(TOKEN, 1).unwrap();
            let proof = ring(profile)
                .verify(&tapped.field, &card, 5, 156)
                .ok()
                .unwrap();
            let tag = match profile.method() {
                Method::One => proof.answer_code(*b"00").unwrap().to_vec(),
                Method::Two => proof.answer_status([0; 4], b"").unwrap(),
            };
            let check = |tag: &[u8]| {
                let mut field = Vec::new();
                push_ber(&mut field, 0x71, b"script");
                push_ber(&mut field, ANSWER, tag);
                tapped.check(&field, *b"00")
            };
            assert_eq!(check(&tag), Found::Genuine);
            for bit in 0..tag.len() * 8 {
                let mut flipped = tag.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(check(&flipped), Found::Wrong, "bit {bit}");
            }
            for length in 0..tag.len() {
                assert_eq!(check(&tag[..length]), Found::Malformed);
            }
            let next = element.tap(&asked(5), ALL, Trick::default()).unwrap();
            let mut field = Vec::new();
            push_ber(&mut field, ANSWER, &tag);
            assert_eq!(next.check(&field, *b"00"), Found::Wrong);
            push_ber(&mut field, ANSWER, &tag);
            assert_eq!(next.check(&field, *b"00"), Found::Malformed);
            assert_eq!(next.check(&field[1..], *b"00"), Found::Malformed);
            assert_eq!(next.check(b"", *b"00"), Found::Absent);
        }
    }

    #[test]
    fn what_it_tells_of_the_token_is_laid_out_as_emv_has_it() {
        let mut element = element(Profile::UnionPay01);
        let tapped = element.tap(&asked(5), ALL, Trick::default()).unwrap();
        let value = |tag| {
            let mut all = Ber::new(&tapped.field).map(Result::unwrap);
            all.find(|element| element.tag == tag).map(|e| e.value)
        };
        let of = |tag| value(tag).unwrap();
        assert_eq!(of(NUMBER), [0x62, 0x99, 0x77, 0, 0, 0, 0, 0x05]);
        assert_eq!(of(TRACK)[8..], [0xd3, 0x01, 0x22, 0x01]);
        assert_eq!(of(SEQUENCE), [0x01]);
        assert_eq!(of(REQUESTOR), [0x06, 0x29, 0x90, 0x00, 0x00, 0x01]);
        assert_eq!(of(0x9f02), [0, 0, 0, 0, 0, 5]);
        assert_eq!(of(0x9a), [0x26, 0x11, 0x25]);
        assert_eq!(of(0x84), [0xa0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x02]);
        let plain = element.tap(&asked(5), Told::default(), Trick::default());
        let field = plain.unwrap().field;
        for tag in [NUMBER, TRACK, SEQUENCE, REQUESTOR] {
            assert!(!Ber::new(&field).any(|e| e.unwrap().tag == tag));
        }
        let odd = Element::personalise(
            &master(),
            Profile::Visa10,
            1,
            (b"6299770000000000001", 0, b"3012"),
            b"",
            0,
        );
        let field = odd
            .unwrap()
            .tap(&asked(5), ALL, Trick::default())
            .unwrap()
            .field;
        let number = Ber::new(&field)
            .map(Result::unwrap)
            .find(|e| e.tag == NUMBER);
        assert_eq!(number.unwrap().value[8..], [0x00, 0x1f]);
    }

    #[test]
    fn bad_tokens_and_used_up_counters_are_refused() {
        let make = |token, requestor: &[u8], counter| {
            Element::personalise(&master(), Profile::Visa18, 1, token, requestor, counter)
        };
        for token in [
            (&b"6299"[..], 1, &b"3012"[..]),
            (TOKEN, 100, b"3012"),
            (TOKEN, 1, b"301"),
            (TOKEN, 1, b"3O12"),
        ] {
            assert_eq!(make(token, b"", 0).err(), Some(ElementFault::Token));
        }
        let token = (TOKEN, 1, &b"3012"[..]);
        for requestor in [&b"1"[..], b"6299000000x"] {
            assert_eq!(
                make(token, requestor, 0).err(),
                Some(ElementFault::Requestor)
            );
        }
        let mut last = make(token, b"", u16::MAX - 1).unwrap();
        assert!(last.tap(&asked(1), ALL, Trick::default()).is_ok());
        let refused = last.tap(&asked(1), ALL, Trick::default()).err();
        assert_eq!(refused, Some(ElementFault::Exhausted));
    }

    proptest! {
        #[test]
        fn any_answer_has_a_finding(field in prop::collection::vec(any::<u8>(), 0..60)) {
            let tapped = element(Profile::Visa18).tap(&asked(5), ALL, Trick::default()).unwrap();
            prop_assert_ne!(tapped.check(&field, *b"00"), Found::Genuine);
        }
    }
}
