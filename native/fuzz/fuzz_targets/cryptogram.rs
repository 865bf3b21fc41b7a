//! Field 55 and tag 9F10 as cryptograms read them: any bytes end in a reason or in parts that lie inside the data.

#![no_main]

use std::sync::LazyLock;

use tapswitch_native::emv::element::{Asked, Element, Found, Tapped, Told, Trick};

use libfuzzer_sys::fuzz_target;
use tapswitch_native::emv::chip::SIGNED_BYTES;
use tapswitch_native::emv::des::Tdes;
use tapswitch_native::emv::refusal::REASONS;
use tapswitch_native::emv::{Card, CardMaster, Chip, Derivation, Iad, Profile, Ring, Scheme};

/// The published key of tests/vectors/emv.toml; the corpus has a tap that it proves.
const KEY: [u64; 2] = [0xf0c3_4a81_24ce_e0a9, 0x1a0b_034a_a97d_6eac];

static RING: LazyLock<Ring> = LazyLock::new(|| {
    let mut ring = Ring::default();
    for scheme in [Scheme::UnionPay, Scheme::Visa] {
        let [zeros] = Tdes::new(&KEY).encrypt([0]);
        let [a, b, c, ..] = zeros.to_be_bytes();
        let master = CardMaster::new(&KEY, Derivation::A, [a, b, c]);
        assert!(ring.add(scheme, b"622800", 1, master.unwrap()).is_ok());
    }
    ring
});

/// A tap of a device in software for each way of answering.
static TAPPED: LazyLock<Vec<Tapped>> = LazyLock::new(|| {
    let tap = |profile: Profile| {
        let master = RING.master(profile.scheme(), b"6228000100001", 1)?;
        let token = (&b"6228000100001"[..], 1, &b"3012"[..]);
        let mut device = Element::personalise(master, profile, 1, token, b"", 0).ok()?;
        device
            .tap(&Asked::default(), Told::default(), Trick::default())
            .ok()
    };
    [Profile::UnionPay01, Profile::Visa18]
        .into_iter()
        .filter_map(tap)
        .collect()
});

fuzz_target!(|data: &[u8]| {
    assert_eq!(TAPPED.len(), 2);
    for tapped in TAPPED.iter() {
        let found = tapped.check(data, *b"00");
        assert!(data.windows(2).any(|w| w[0] == 0x91 && w[1] >= 8) || found != Found::Genuine);
    }
    for scheme in [Scheme::UnionPay, Scheme::Visa] {
        if let Ok(iad) = Iad::parse(scheme, data) {
            assert!(iad.whole == data && data.len() <= 32);
            assert_eq!([iad.index, iad.version], [data[1], data[2]]);
            assert_eq!(iad.results, data[3..7]);
            if let Ok(profile) = Profile::of(scheme, &iad) {
                assert!(matches!(profile.tail(&iad).len(), 4 | 7..=32));
            }
        }
    }
    let card = Card::new(b"6228000100001", 1).unwrap();
    let verdict = RING.verify(data, &card, 1, 156);
    let chip = Chip::parse(data);
    if let Ok(chip) = &chip {
        assert!(data.len() > SIGNED_BYTES + chip.iad.len());
    }
    match (verdict, chip) {
        // The fuzzer sees both sides of the comparison, so it does forge cryptograms.
        (Ok(proof), Ok(chip)) => {
            assert_eq!(proof.counter, chip.counter());
            assert!(chip.is_request() && proof.results[1] & 0xf0 == 0xa0);
            let one = proof.answer_code(*b"00").map(|tag| tag.len());
            let two = proof.answer_status([0; 4], &[]).map(|tag| tag.len());
            assert!(matches!((one, two), (Ok(10), Err(_)) | (Err(_), Ok(8))));
        }
        (Ok(_), Err(_)) => panic!("proved what cannot be read"),
        (Err(refusal), Ok(_)) => {
            assert!(REASONS.contains(&refusal.reason()) && refusal.about().len() <= 8);
        }
        (Err(refusal), Err(fault)) => assert!(refusal == fault && fault.about().len() <= 8),
    }
});
