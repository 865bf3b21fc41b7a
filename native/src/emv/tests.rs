//! The room as a whole: published vectors, every bit that matters and every one that does not, bad input.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use toml_edit::{Document, Table};

use super::chip::SIGNED;
use super::des::Tdes;
use super::{
    Card, CardMaster, Derivation, MasterFault, MethodFault, Proof, Refusal, Ring, Scheme, Session,
};
use crate::codec::tlv::push_ber;

const VECTORS: &str = include_str!("../../../tests/vectors/emv.toml");

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn halves(key: &[u8]) -> [u64; 2] {
    [0, 8].map(|at| u64::from_be_bytes(key[at..at + 8].try_into().unwrap()))
}

fn master(key: &[u8], derivation: Derivation) -> CardMaster {
    let [zeros] = Tdes::new(&halves(key)).encrypt([0]);
    let [a, b, c, ..] = zeros.to_be_bytes();
    CardMaster::new(&halves(key), derivation, [a, b, c]).unwrap()
}

/// A row of the file, with the tap that it describes.
struct Vector {
    scheme: Scheme,
    derivation: Derivation,
    profile: String,
    key: Vec<u8>,
    number: String,
    sequence: u8,
    tags: Vec<(u32, Vec<u8>)>,
    amount: u64,
    currency: u16,
    code: Option<Vec<u8>>,
    status: Option<Vec<u8>>,
    answer: Vec<u8>,
    checks: [Option<Vec<u8>>; 2],
}

fn number(packed: &[u8]) -> u64 {
    packed.iter().fold(0, |sum, byte| {
        sum * 100 + u64::from(byte >> 4) * 10 + u64::from(byte & 15)
    })
}

impl Vector {
    fn read(row: &Table) -> Vector {
        let optional = |name: &str| row.get(name).map(|v| v.as_str().unwrap().to_owned());
        let text = |name: &str| optional(name).unwrap();
        let data = unhex(&text("data"));
        let mut tags = Vec::new();
        let mut at = 0;
        for (tag, length) in SIGNED {
            tags.push((tag, data[at..at + length].to_vec()));
            at += length;
        }
        assert_eq!(at, data.len());
        let (amount, currency) = (number(&tags[0].1), number(&tags[4].1) as u16);
        // Data of the issuer's own behind the scheme's part: signed by Visa 18 only, whose row stays as it is.
        let mut iad = unhex(&text("iad"));
        if text("profile") != "visa-18" {
            iad.extend([2, 0x12, 0x34]);
        }
        tags.push((0x9f10, iad));
        tags.push((0x9f26, unhex(&text("cryptogram"))));
        tags.push((0x9f27, vec![0x80]));
        tags.push((0x9f33, vec![0xe0, 0xf0, 0xc8]));
        tags.push((0xdf31, vec![1, 2]));
        Vector {
            scheme: Scheme::of_name(&text("scheme")).unwrap(),
            derivation: if text("option") == "A" {
                Derivation::A
            } else {
                Derivation::B
            },
            profile: text("profile"),
            key: unhex(&text("master")),
            number: text("number"),
            sequence: row.get("sequence").unwrap().as_integer().unwrap() as u8,
            tags,
            amount,
            currency,
            code: optional("code").map(|t| unhex(&t)),
            status: optional("status").map(|t| unhex(&t)),
            answer: unhex(&text("answer")),
            checks: ["card_check", "session_check"].map(|name| optional(name).map(|t| unhex(&t))),
        }
    }

    fn ring(&self) -> Ring {
        let mut ring = Ring::default();
        let master = master(&self.key, self.derivation);
        ring.add(self.scheme, &self.number.as_bytes()[..6], 1, master)
            .unwrap();
        ring
    }

    fn card(&self) -> Card<'_> {
        Card::new(self.number.as_bytes(), self.sequence).unwrap()
    }

    fn field(&self) -> Vec<u8> {
        let mut field = Vec::new();
        for (tag, value) in &self.tags {
            push_ber(&mut field, *tag, value);
        }
        field
    }

    fn set(&mut self, tag: u32, value: &[u8]) {
        self.tags.iter_mut().find(|(t, _)| *t == tag).unwrap().1 = value.to_vec();
    }

    fn verify(&self) -> Result<Proof, Refusal> {
        self.ring()
            .verify(&self.field(), &self.card(), self.amount, self.currency)
    }

    fn refusal(&self) -> Option<Refusal> {
        self.verify().err()
    }
}

fn vectors() -> Vec<Vector> {
    let document = Document::parse(VECTORS).unwrap();
    let rows = document
        .get("vector")
        .unwrap()
        .as_array_of_tables()
        .unwrap();
    rows.iter().map(Vector::read).collect()
}

/// The UnionPay row.
fn tap() -> Vector {
    vectors().remove(0)
}

#[test]
fn published_cryptograms_hold_and_are_answered_as_published() {
    let all = vectors();
    assert_eq!(all.len(), 3);
    for vector in all {
        let proof = vector.verify().ok().unwrap();
        assert_eq!(proof.profile.name(), vector.profile);
        let counter = u16::from_be_bytes(vector.tags[9].1[..].try_into().unwrap());
        assert_eq!((proof.counter, proof.index), (counter, 1));
        match (&vector.code, &vector.status) {
            (Some(code), None) => {
                let code = code[..].try_into().unwrap();
                assert_eq!(proof.answer_code(code).unwrap()[..], vector.answer);
                assert_eq!(proof.answer_status([0; 4], b""), Err(MethodFault::Other));
            }
            (None, Some(status)) => {
                let status = status[..].try_into().unwrap();
                assert_eq!(proof.answer_status(status, b"").unwrap(), vector.answer);
                assert_eq!(proof.answer_code([0; 2]), Err(MethodFault::Other));
                assert_eq!(
                    proof.answer_status(status, &[0; 9]),
                    Err(MethodFault::Proprietary)
                );
            }
            _ => unreachable!("a row answers by one method"),
        }
        let card = master(&vector.key, vector.derivation).card(&vector.card());
        let session = proof.profile.session();
        let found = [
            card.check_value().to_vec(),
            card.session(session, counter).check_value().to_vec(),
        ];
        for (found, published) in found.iter().zip(&vector.checks) {
            assert!(published.as_ref().is_none_or(|p| found.starts_with(p)));
        }
    }
}

/// What one flipped bit of a tag must do: be refused, or change nothing.
fn must_fail(vector: &Vector, tag: u32, byte: usize, bit: usize) -> bool {
    match tag {
        0x9f27 => bit >= 6,
        0x9f33 | 0xdf31 => false,
        // A head of six without the algorithm is UnionPay's too, so 07 may become 06: a bit that nobody signs.
        0x9f10 if vector.profile == "unionpay-01" && (byte, bit) == (0, 0) => false,
        // The ring holds a key under one index; of the issuer's own data no bit is signed.
        0x9f10 => {
            byte < if vector.profile == "unionpay-01" {
                8
            } else {
                7
            }
        }
        _ => true,
    }
}

#[test]
fn every_bit_that_matters_matters_and_no_other() {
    for mut vector in vectors() {
        let mut seen = [0, 0];
        for place in 0..vector.tags.len() {
            let (tag, length) = (vector.tags[place].0, vector.tags[place].1.len());
            for (byte, bit) in (0..length).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
                vector.tags[place].1[byte] ^= 1 << bit;
                let fails = must_fail(&vector, tag, byte, bit);
                let refused = vector.refusal();
                assert_eq!(refused.is_some(), fails, "{tag:X} {byte} {bit} {refused:?}");
                seen[usize::from(fails)] += 1;
                vector.tags[place].1[byte] ^= 1 << bit;
            }
        }
        assert!(seen[0] >= 40 && seen[1] >= (33 + 8 + 6) * 8, "{seen:?}");
    }
}

#[test]
fn what_is_signed_is_signed_also_where_the_message_agrees() {
    // Amount and currency are compared with the message before anything is computed: here the message lies too.
    for mut vector in vectors() {
        for (tag, value) in [
            (0x9f02, [0, 0, 0, 0, 0, 2].as_slice()),
            (0x5f2a, &[8, 0x40]),
        ] {
            let before = (vector.amount, vector.currency);
            let place = vector.tags.iter().position(|(t, _)| *t == tag).unwrap();
            let kept = vector.tags[place].1.clone();
            vector.set(tag, value);
            if tag == 0x9f02 {
                vector.amount = 2;
            } else {
                vector.currency = 840;
            }
            assert_eq!(vector.refusal(), Some(Refusal::Cryptogram));
            vector.set(tag, &kept);
            (vector.amount, vector.currency) = before;
        }
        assert_eq!(vector.refusal(), None);
    }
}

#[test]
fn what_the_message_asks_must_be_what_the_card_signed() {
    for (amount, currency, expected) in [
        (1, 156, None),
        (0, 156, Some(Refusal::AmountDiffers)),
        (10, 156, Some(Refusal::AmountDiffers)),
        (1, 840, Some(Refusal::CurrencyDiffers)),
        (1, 0, Some(Refusal::CurrencyDiffers)),
    ] {
        let mut vector = tap();
        (vector.amount, vector.currency) = (amount, currency);
        assert_eq!(vector.refusal(), expected);
    }
    for (information, expected) in [
        (0x80, None),
        (0x8f, None),
        (0x00, Some(Refusal::NotARequest)),
        (0x40, Some(Refusal::NotARequest)),
        (0xc0, Some(Refusal::NotARequest)),
    ] {
        let mut vector = tap();
        vector.set(0x9f27, &[information]);
        assert_eq!(vector.refusal(), expected);
    }
}

#[test]
fn results_count_though_they_are_signed_rightly() {
    // A card that made a TC or an AAC signs it with the same key; tag 9F27 alone could be rewritten on the way.
    for mut vector in vectors() {
        let key = master(&vector.key, vector.derivation);
        let card = key.card(&vector.card());
        let profile = vector.verify().ok().unwrap().profile;
        let session = card.session(
            profile.session(),
            u16::from_be_bytes(vector.tags[9].1[..].try_into().unwrap()),
        );
        let signed: Vec<u8> = vector.tags[..10]
            .iter()
            .flat_map(|(_, v)| v.clone())
            .collect();
        for second_byte in 0..=255u8 {
            let mut iad = vector.tags[10].1.clone();
            iad[4] = second_byte;
            let tail = if vector.profile == "visa-18" {
                iad.clone()
            } else {
                iad[3..7].to_vec()
            };
            let mac = session.mac(&signed, &tail, profile.padding());
            vector.set(0x9f10, &iad);
            vector.set(0x9f26, &mac.to_be_bytes());
            let expected = (second_byte >> 4 != 0b1010).then_some(Refusal::Results);
            assert_eq!(vector.refusal(), expected, "{second_byte:02X}");
        }
    }
}

#[test]
fn number_sequence_and_key_matter() {
    for mut vector in vectors() {
        vector.sequence += 1;
        assert_eq!(vector.refusal(), Some(Refusal::Cryptogram));
        vector.sequence -= 1;
        for place in 6..vector.number.len() {
            let kept = vector.number.clone();
            let digit = (kept.as_bytes()[place] - b'0' + 1) % 10;
            vector
                .number
                .replace_range(place..=place, &digit.to_string());
            assert_eq!(vector.refusal(), Some(Refusal::Cryptogram), "digit {place}");
            vector.number = kept;
        }
        for bit in 0..128 {
            vector.key[bit / 8] ^= 1 << (bit % 8);
            let parity = bit % 8 == 0;
            let expected = (!parity).then_some(Refusal::Cryptogram);
            assert_eq!(vector.refusal(), expected, "bit {bit} of the key");
            vector.key[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_bit_of_what_an_answer_is_made_over_matters() {
    for vector in vectors() {
        let proof = vector.verify().ok().unwrap();
        let mut inputs = match (&vector.code, &vector.status) {
            (Some(code), None) => code.clone(),
            (None, Some(status)) => [&status[..], b"own data"].concat(),
            _ => unreachable!("a row answers by one method"),
        };
        let answer = |inputs: &[u8]| match &vector.code {
            Some(_) => proof.answer_code(inputs.try_into().unwrap()).unwrap()[..8].to_vec(),
            None => {
                let (status, own) = inputs.split_at(4);
                let tag = proof.answer_status(status.try_into().unwrap(), own);
                tag.unwrap()[..4].to_vec()
            }
        };
        let right = answer(&inputs);
        for bit in 0..inputs.len() * 8 {
            inputs[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(answer(&inputs), right, "bit {bit}");
            inputs[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(answer(&inputs), right);
    }
}

#[test]
fn of_an_application_identifier_the_provider_matters_and_no_more() {
    for (aid, mut vector) in [
        ("A000000333010102", tap()),
        ("A0000000031010", vectors().remove(1)),
    ] {
        vector.tags.push((0x84, unhex(aid)));
        assert_eq!(vector.refusal(), None);
        for bit in 0..unhex(aid).len() * 8 {
            let place = vector.tags.len() - 1;
            vector.tags[place].1[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(vector.refusal().is_some(), bit < 40, "bit {bit}");
            vector.tags[place].1[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn the_option_is_the_keys_and_never_guessed() {
    let key = unhex("0123456789ABCDEFFEDCBA9876543210");
    let check = |derivation, number: &str| {
        let card = Card::new(number.as_bytes(), 1).unwrap();
        master(&key, derivation).card(&card).check_value()
    };
    for number in ["62990000", "6299000000000004"] {
        assert_eq!(check(Derivation::A, number), check(Derivation::B, number));
    }
    let long = "6299000000000000003";
    assert_ne!(check(Derivation::A, long), check(Derivation::B, long));
    // Option A reads the last fourteen digits of the number; B reads all of them.
    let other = "6299100000000000003";
    assert_eq!(check(Derivation::A, long), check(Derivation::A, other));
    assert_ne!(check(Derivation::B, long), check(Derivation::B, other));
}

#[test]
fn each_missing_doubled_or_wrongly_sized_tag_has_its_reason() {
    let needed: Vec<u32> = tap().tags.iter().map(|(tag, _)| *tag).take(13).collect();
    for tag in needed {
        let mut vector = tap();
        let place = vector.tags.iter().position(|(t, _)| *t == tag).unwrap();
        let (_, value) = vector.tags.remove(place);
        assert_eq!(vector.refusal(), Some(Refusal::TagMissing(tag)));
        vector.tags.push((tag, value.clone()));
        vector.tags.push((tag, value.clone()));
        assert_eq!(vector.refusal(), Some(Refusal::TagTwice(tag)));
        vector.tags.pop();
        for length in [value.len() - 1, value.len() + 1] {
            let mut other = value.clone();
            other.resize(length, 0);
            vector.set(tag, &other);
            // Tag 9F10 is of any length that its parts allow; its algorithm is one byte from the end here.
            if tag != 0x9f10 {
                assert_eq!(vector.refusal(), Some(Refusal::TagLength(tag)));
            }
        }
    }
    let mut vector = tap();
    vector.set(0x9f02, &[0, 0, 0, 0, 0, 0x0a]);
    assert_eq!(vector.refusal(), Some(Refusal::TagFormat(0x9f02)));
    let mut vector = tap();
    vector.set(0x5f2a, &[0xf1, 0x56]);
    assert_eq!(vector.refusal(), Some(Refusal::TagFormat(0x5f2a)));
}

#[test]
fn application_data_are_laid_out_as_the_scheme_says() {
    let refused = |iad: &str| {
        let mut vector = tap();
        vector.set(0x9f10, &unhex(iad));
        vector.refusal()
    };
    assert_eq!(refused("07010103A0400201"), None);
    assert_eq!(refused("06010103A04002"), None);
    for iad in [
        "",
        "07",
        "06010103A040",
        "07010103A04002",
        "05010103A0400201",
        "08010103A0400201",
        "07010104A0400201",
    ] {
        assert_eq!(refused(iad), Some(Refusal::IadFormat), "{iad}");
    }
    assert_eq!(
        refused(&format!("07010103A0400201{}", "00".repeat(24))),
        None
    );
    assert_eq!(
        refused(&format!("07010103A0400201{}", "00".repeat(25))),
        Some(Refusal::IadFormat)
    );
    assert_eq!(
        refused("07010203A0400201"),
        Some(Refusal::VersionUnknown(2))
    );
    assert_eq!(
        refused("07010A03A0400201"),
        Some(Refusal::VersionUnknown(10))
    );
    assert_eq!(
        refused("07010103A0400204"),
        Some(Refusal::AlgorithmUnknown(4))
    );
    assert_eq!(refused("07020103A0400201"), Some(Refusal::KeyUnknown(2)));
    // A Visa card has no algorithm byte, and so no head of seven.
    let mut visa = vectors().remove(1);
    visa.set(0x9f10, &unhex("07010A03A0601001"));
    assert_eq!(visa.refusal(), Some(Refusal::IadFormat));
}

#[test]
fn the_scheme_comes_from_the_application_or_else_from_the_range() {
    let unionpay = unhex("A000000333010101");
    let visa = unhex("A0000000031010");
    let with = |tags: &[(u32, &[u8])]| {
        let mut vector = tap();
        vector
            .tags
            .extend(tags.iter().map(|(t, v)| (*t, v.to_vec())));
        vector.refusal()
    };
    assert_eq!(with(&[(0x84, &unionpay)]), None);
    assert_eq!(
        with(&[(0x84, &unionpay), (0x4f, &unionpay), (0x9f06, &unionpay)]),
        None
    );
    assert_eq!(
        with(&[(0x84, &unionpay), (0x9f06, &visa)]),
        Some(Refusal::ApplicationsDiffer)
    );
    assert_eq!(
        with(&[(0x84, &unionpay), (0x84, &unionpay)]),
        Some(Refusal::TagTwice(0x84))
    );
    assert_eq!(
        with(&[(0x84, &unionpay[..4])]),
        Some(Refusal::TagLength(0x84))
    );
    assert_eq!(
        with(&[(0x84, &[0xa0, 0, 0, 0, 4, 1])]),
        Some(Refusal::ApplicationUnknown)
    );
    // The application is Visa's, so its data are read as Visa's, whatever the range says.
    assert_eq!(with(&[(0x84, &visa)]), Some(Refusal::IadFormat));

    let vector = tap();
    let verify = |ring: &Ring, field: &[u8]| {
        ring.verify(field, &vector.card(), vector.amount, vector.currency)
            .err()
    };
    let mut ring = vector.ring();
    let other = || master(&unhex("0123456789ABCDEFFEDCBA9876543210"), Derivation::A);
    ring.add(Scheme::Visa, b"622800", 1, other()).unwrap();
    assert_eq!(
        verify(&ring, &vector.field()),
        Some(Refusal::ApplicationUnknown)
    );
    let mut field = vector.field();
    push_ber(&mut field, 0x84, &unionpay);
    assert_eq!(verify(&ring, &field), None);
    // The longest range of the scheme counts, and only that one.
    ring.add(Scheme::Visa, b"62280001", 1, other()).unwrap();
    assert_eq!(verify(&ring, &field), None);
    ring.add(Scheme::UnionPay, b"62280001", 2, other()).unwrap();
    assert_eq!(verify(&ring, &field), Some(Refusal::KeyUnknown(1)));
    assert_eq!((ring.len(), ring.is_empty()), (4, false));
    assert_eq!(
        verify(&Ring::default(), &vector.field()),
        Some(Refusal::ApplicationUnknown)
    );
}

#[test]
fn masters_are_read_from_a_descriptor_and_compared_with_their_check_value() {
    use std::io::Write;
    let key = "0123456789ABCDEFFEDCBA9876543210";
    let read = |bytes: &[u8], check| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(bytes).unwrap();
        drop(writer);
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(reader));
        CardMaster::read(file, Derivation::A, check).err()
    };
    let right = [0x08, 0xd7, 0xb4];
    assert!(read(key.as_bytes(), right).is_none());
    assert!(read(format!("{}\n", key.to_lowercase()).as_bytes(), right).is_none());
    assert!(read(&unhex(key), right).is_none());
    assert!(matches!(
        read(key.as_bytes(), [8, 0xd7, 0xb5]),
        Some(MasterFault::CheckValue { .. })
    ));
    for bad in [
        &b""[..],
        b"0123",
        &[1; 17],
        &[b'0'; 33],
        &[b'g'; 32],
        &[b'0'; 90],
    ] {
        assert!(matches!(read(bad, right), Some(MasterFault::Length)));
    }
    // Halves that differ in parity bits only are one key.
    let single = unhex("0123456789ABCDEF0022456789ABCDEF");
    assert!(matches!(read(&single, right), Some(MasterFault::Weak)));
}

#[test]
fn cards_and_ranges_are_digits() {
    for (number, sequence, sound) in [
        (&b"62990000"[..], 0, true),
        (b"6299000000000000003", 99, true),
        (b"6299000", 0, false),
        (b"62990000000000000030", 0, false),
        (b"6299000000000O04", 0, false),
        (b"6299000000000004", 100, false),
    ] {
        assert_eq!(Card::new(number, sequence).is_some(), sound);
    }
    let mut ring = Ring::default();
    let key = || master(&unhex("0123456789ABCDEFFEDCBA9876543210"), Derivation::A);
    for bad in [&b""[..], b"62990000000000", b"6x"] {
        assert!(ring.add(Scheme::Visa, bad, 1, key()).is_err());
    }
    assert!(ring.add(Scheme::Visa, b"6299", 1, key()).is_ok());
    assert!(ring.add(Scheme::Visa, b"6299", 1, key()).is_err());
    assert!(ring.add(Scheme::UnionPay, b"6299", 1, key()).is_ok());
    assert!(ring.add(Scheme::Visa, b"6299", 2, key()).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_with_a_reason(field in prop::collection::vec(any::<u8>(), 0..300)) {
        let vector = tap();
        let refused = vector.ring().verify(&field, &vector.card(), 1, 156).err();
        prop_assert!(refused.is_some_and(|r| super::refusal::REASONS.contains(&r.reason())));
    }

    #[test]
    fn sessions_of_two_counters_differ(key: [u64; 2], one: u16, two: u16) {
        prop_assume!(one != two && (key[0] ^ key[1]) & !0x0101_0101_0101_0101 != 0);
        let bytes: Vec<u8> = key.iter().flat_map(|half| half.to_be_bytes()).collect();
        let card = Card::new(b"6299000000000004", 1).unwrap();
        let block = |kind, counter| {
            master(&bytes, Derivation::A).card(&card).session(kind, counter).encrypt(0)
        };
        for kind in [Session::Pboc, Session::Common] {
            prop_assert_ne!(block(kind, one), block(kind, two));
        }
        prop_assert_eq!(block(Session::None, one), block(Session::None, two));
    }
}
