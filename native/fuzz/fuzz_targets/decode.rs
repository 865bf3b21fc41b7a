//! Decoding: bad bytes give a fault inside the body; good ones are written back byte for byte.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tapswitch_native::codec::compile::compile;
use tapswitch_native::codec::supply::Receipt;
use tapswitch_native::codec::{Dialect, Name, Own, Sources, decode, receive};

/// The shipped dialects, and the fields of the first along the packed axes.
static DIALECTS: LazyLock<Vec<Arc<Dialect>>> = LazyLock::new(|| {
    let text = include_str!("../../../config/dialects/iso87-ascii.toml");
    let packed = text
        .replace("numeric = \"ascii\"", "numeric = \"bcd\"")
        .replace("text = \"ascii\"", "text = \"ebcdic\"")
        .replace("binary = \"hex\"", "binary = \"binary\"")
        .replace("prefix = \"ascii\"", "prefix = \"bcd\"")
        .replace("encoding = \"hex\"", "encoding = \"binary\"");
    let bcd = include_str!("../../../config/dialects/iso87-bcd.toml");
    let pos = include_str!("../../../config/dialects/pos-cn.toml");
    [text.to_owned(), packed, bcd.to_owned(), pos.to_owned()]
        .iter()
        .filter_map(|text| compile(text, "fuzz").ok())
        .collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    assert_eq!(DIALECTS.len(), 4);
    let dialect = &DIALECTS[usize::from(choice) % DIALECTS.len()];
    let message = match decode(dialect, body, 1) {
        Ok(message) => message,
        Err(refusal) => {
            assert!(refusal.fault.offset <= body.len());
            if let Some(partial) = &refusal.partial {
                partial.describe();
            }
            return;
        }
    };
    let values: Vec<(String, Vec<u8>)> = message
        .places()
        .filter_map(|place| dialect.spec(place.number()).map(|spec| (spec, place)))
        .map(|(spec, place)| (spec.name.as_str().to_owned(), place.normal().into_owned()))
        .collect();
    let mti = String::from_utf8_lossy(&message.mti()).into_owned();
    let mut again = Vec::new();
    if let Err(fault) = dialect.encode(&mti, &values, None, &mut again) {
        panic!("what was decoded cannot be written: {fault}");
    }
    // What stands before a body is cut off by `receive` alone.
    let content = &again[usize::from(dialect.framing.width)..];
    assert!(receive(dialect, content, 1).is_ok());
    let _ = receive(dialect, body, 1);
    let written = &content[dialect.envelope.width()..];
    let back = match decode(dialect, written, 1) {
        Ok(back) => back,
        Err(refusal) => panic!("what was written cannot be decoded: {}", refusal.fault),
    };
    for place in message.places() {
        let other = back.places().find(|other| other.number() == place.number());
        assert_eq!(
            other.map(|o| o.normal().into_owned()),
            Some(place.normal().into_owned())
        );
    }
    message.describe();
    message.masked_pan();
    assert!(message.value(Name::Mti).is_some());
    message.supply(&Receipt {
        now_s: 1_795_453_200,
        zone_offset_s: 28_800,
        link: "48010001",
        reference: b"00003I9Z7IF5",
        before: None,
    });
    let (mut key, mut out) = (Vec::new(), Vec::new());
    message.key_material(1_795_453_200, &mut key);
    message.original_key_material(1_795_453_200, &mut key);
    message.body_material(&mut key);
    let own = Own {
        stan: Some(1),
        ..Own::default()
    };
    let sources = Sources {
        request: Some(&message),
        reply: Some(&message),
        original: Some(&message),
        own: Some(&own),
        vault: Some(&message),
        preface: message.answer_preface(),
        ..Sources::default()
    };
    for target in DIALECTS.iter() {
        for name in ["request", "tap", "reversal", "answer", "network_answer"] {
            if let Some(leg) = target.leg(name) {
                let before = out.len();
                if leg.build(*b"0200", &sources, &mut out).is_err() {
                    assert_eq!(out.len(), before);
                }
            }
        }
    }
});
