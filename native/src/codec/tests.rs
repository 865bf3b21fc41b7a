//! The codec as a whole, on the shipped dialect and on variants of it along each axis.

use std::borrow::Cow;
use std::sync::Arc;

use crate::codec::compile::compile;
use crate::codec::*;

type Values = Vec<(String, Vec<u8>)>;

const FILE: &str = include_str!("../../../config/dialects/iso87-ascii.toml");

pub(super) fn dialect() -> Arc<Dialect> {
    compiled(FILE)
}

fn compiled(text: &str) -> Arc<Dialect> {
    match compile(text, "iso87-ascii.toml") {
        Ok(dialect) => dialect,
        Err(fault) => unreachable!("{fault} {}", fault.help),
    }
}

const PURCHASE: [(&str, &str); 18] = [
    ("pan", "6299001234567894"),
    ("processing_code", "000000"),
    ("amount", "000000012300"),
    ("transmission_time", "1123170000"),
    ("stan", "000123"),
    ("local_time", "170000"),
    ("local_date", "1123"),
    ("expiry", "3012"),
    ("mcc", "5411"),
    ("entry_mode", "071"),
    ("card_sequence", "001"),
    ("condition_code", "00"),
    ("acquirer_code", "48010001"),
    ("track2", "6299001234567894=301220100000"),
    ("rrn", "632717000123"),
    ("terminal_id", "TERM0001"),
    ("merchant_id", "MERCHANT0000001"),
    ("currency", "156"),
];
const ICC: [u8; 40] = [
    0x9f, 0x26, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x9f, 0x27, 1, 0x80, 0x9f, 0x36, 2, 0, 1, 0x95, 5, 0, 0,
    0, 0, 0, 0x9a, 3, 0x26, 0x11, 0x23, 0x9f, 0x37, 4, 1, 2, 3, 4, 0,
];

fn values(list: &[(&str, &str)]) -> Values {
    let mut out: Values = list
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    out.push(("icc".to_owned(), ICC[..39].to_vec()));
    out
}

fn frame(dialect: &Dialect, mti: &str, list: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    match dialect.encode(mti, list, None, &mut out) {
        Ok(()) => out,
        Err(fault) => unreachable!("{fault}"),
    }
}

fn read(dialect: &Arc<Dialect>, frame: &[u8]) -> Message {
    match decode(dialect, &frame[usize::from(dialect.framing.width)..], 7) {
        Ok(message) => message,
        Err(refusal) => unreachable!("{}", refusal.fault),
    }
}

/// A purchase as it stands behind its length.
pub(super) fn purchase_frame(dialect: &Arc<Dialect>) -> Vec<u8> {
    frame(dialect, "0200", &values(&PURCHASE)).split_off(usize::from(dialect.framing.width))
}

fn purchase(dialect: &Arc<Dialect>) -> Message {
    read(dialect, &frame(dialect, "0200", &values(&PURCHASE)))
}

fn text(message: &Message, name: Name) -> Option<String> {
    message
        .value(name)
        .map(|value| String::from_utf8_lossy(&value).into_owned())
}

#[test]
fn a_message_comes_back_as_it_was_written() {
    let dialect = dialect();
    let message = purchase(&dialect);
    assert_eq!(message.mti(), *b"0200");
    assert_eq!(message.kind(), Kind::Purchase);
    assert_eq!(
        (message.check(), message.check_path()),
        (Check::Ok, String::new())
    );
    assert_eq!((message.stan(), message.amount_minor()), (123, 12_300));
    assert_eq!(message.outcome(), RcClass::None);
    assert_eq!(message.received_ns(), 7);
    for (name, value) in PURCHASE {
        let name = Name::parse(name);
        assert_eq!(name.and_then(|n| text(&message, n)).as_deref(), Some(value));
    }
    assert_eq!(message.value(Name::Icc), Some(Cow::Borrowed(&ICC[..39])));
    assert_eq!(message.value(Name::PinBlock), None);
    assert_eq!(message.masked_pan(), "629900******7894");
    let path = dialect.path("icc.9F26");
    let cryptogram = path.and_then(|path| message.at(path).map(Cow::into_owned));
    assert_eq!(cryptogram, Some(vec![1, 2, 3, 4, 5, 6, 7, 8]));
}

#[test]
fn static_checks_name_their_field() {
    let dialect = dialect();
    let check = |mti: &str, change: &dyn Fn(&mut Values)| {
        let mut list = values(&PURCHASE);
        change(&mut list);
        let message = read(&dialect, &frame(&dialect, mti, &list));
        (message.check(), message.check_path())
    };
    let without =
        |name: &'static str| move |list: &mut Values| list.retain(|(known, _)| known != name);
    let with = |name: &'static str, value: &'static [u8]| {
        move |list: &mut Values| {
            list.retain(|(known, _)| known != name);
            list.push((name.to_owned(), value.to_vec()));
        }
    };
    let named = |check, path: &str| (check, path.to_owned());
    assert_eq!(check("0201", &|_| {}), named(Check::Ok, ""));
    assert_eq!(
        check("0200", &without("pan")),
        named(Check::Format, "field 2")
    );
    assert_eq!(
        check("0200", &without("condition_code")),
        named(Check::Format, "field 25")
    );
    assert_eq!(
        check("0200", &with("processing_code", b"900000")),
        named(Check::UnknownKind, "field 3")
    );
    assert_eq!(
        check("0200", &with("condition_code", b"99")),
        named(Check::UnknownKind, "field 25")
    );
    assert_eq!(check("0500", &|_| {}), named(Check::UnknownKind, "mti"));
    assert_eq!(
        check("0200", &with("amount", b"000000000000")),
        named(Check::AmountZero, "field 4")
    );
    assert_eq!(
        check("0100", &with("pin_block", &[0xa5; 8])),
        named(Check::PinPresent, "field 52")
    );
    assert_eq!(check("0420", &|_| {}), named(Check::Format, "field 90"));
}

#[test]
fn a_leg_takes_only_what_is_listed() {
    let dialect = dialect();
    let mut list = values(&PURCHASE);
    list.push(("pin_block".to_owned(), vec![0xa5; 8]));
    list.push(("additional_private".to_owned(), b"secret".to_vec()));
    let request = read(&dialect, &frame(&dialect, "0200", &list));
    let own = Own {
        stan: Some(77),
        transmission_time: b"1123170001",
        forwarder_code: b"48020000",
        response_code: b"00",
        ..Own::default()
    };
    let sources = Sources {
        request: Some(&request),
        own: Some(&own),
        ..Sources::default()
    };
    let mut out = b"before".to_vec();
    let leg = dialect.leg("request").cloned();
    let built = leg.map(|leg| leg.build(*b"0200", &sources, &mut out));
    assert_eq!(built, Some(Ok(())));
    let sent = read(&dialect, &out[6..]);
    assert_eq!(text(&sent, Name::Stan).as_deref(), Some("000077"));
    assert_eq!(
        text(&sent, Name::TransmissionTime).as_deref(),
        Some("1123170001")
    );
    assert_eq!(
        text(&sent, Name::ForwarderCode).as_deref(),
        Some("48020000")
    );
    assert_eq!(text(&sent, Name::AcquirerCode).as_deref(), Some("48010001"));
    assert_eq!(sent.value(Name::Icc), request.value(Name::Icc));
    assert!(!sent.has(Name::PinBlock) && !sent.has(Name::AdditionalPrivate));
    assert_eq!(sent.check(), Check::Ok);

    let mut answer = values(&PURCHASE);
    answer.retain(|(name, _)| {
        !["pan", "track2", "icc", "stan", "transmission_time"].contains(&&**name)
    });
    for (name, value) in [
        ("stan", "000077"),
        ("transmission_time", "1123170001"),
        ("response_code", "51"),
    ] {
        answer.push((name.to_owned(), value.as_bytes().to_vec()));
    }
    let reply = read(&dialect, &frame(&dialect, "0210", &answer));
    assert_eq!(
        (reply.kind(), reply.outcome()),
        (Kind::Reply, RcClass::Decline)
    );
    assert!(reply.agrees(&request, 77, b"1123170001"));
    assert!(!reply.agrees(&request, 78, b"1123170001"));
    assert!(!reply.agrees(&request, 77, b"1123170002"));
    for name in ["rrn", "terminal_id", "currency"] {
        let mut other = answer.clone();
        other.retain(|(known, _)| known != name);
        let reply = read(&dialect, &frame(&dialect, "0210", &other));
        assert!(!reply.agrees(&request, 77, b"1123170001"), "{name}");
    }
    let wrong = read(&dialect, &frame(&dialect, "0110", &answer));
    assert!(!wrong.agrees(&request, 77, b"1123170001"));
}

#[test]
fn a_reversal_names_its_original_in_the_second_bitmap() {
    let dialect = dialect();
    let request = purchase(&dialect);
    let own = Own {
        stan: Some(78),
        transmission_time: b"1123170101",
        forwarder_code: b"48020000",
        original: Some(OriginalData {
            mti: *b"0200",
            stan: 123,
            transmission_time: b"1123170000",
            acquirer_code: b"48010001",
            forwarder_code: b"48020000",
        }),
        ..Own::default()
    };
    let sources = Sources {
        original: Some(&request),
        own: Some(&own),
        ..Sources::default()
    };
    let mut out = Vec::new();
    let built = dialect
        .leg("reversal")
        .map(|leg| leg.build(*b"0420", &sources, &mut out));
    assert_eq!(built, Some(Ok(())));
    let reversal = read(&dialect, &out);
    assert_eq!(
        (reversal.kind(), reversal.check()),
        (Kind::ReversalAdvice, Check::Ok)
    );
    assert_eq!(
        text(&reversal, Name::OriginalData).as_deref(),
        Some("020000012311231700000004801000100048020000")
    );
    assert!(!reversal.has(Name::Track2) && !reversal.has(Name::Icc));

    let now = 1_795_453_200; // 2026-11-23
    let (mut own_key, mut original_key) = (Vec::new(), Vec::new());
    request.key_material(now, &mut own_key);
    assert!(reversal.original_key_material(now, &mut original_key));
    assert_eq!(own_key, original_key);
    let mut other = Vec::new();
    reversal.key_material(now, &mut other);
    assert_ne!(own_key, other);
    assert!(!request.original_key_material(now, &mut other));
}

#[test]
fn a_repeat_has_the_key_and_body_of_the_first() {
    let dialect = dialect();
    let list = values(&PURCHASE);
    let material = |mti: &str, list: &[(String, Vec<u8>)]| {
        let message = read(&dialect, &frame(&dialect, mti, list));
        let (mut key, mut body) = (Vec::new(), Vec::new());
        message.key_material(0, &mut key);
        message.body_material(&mut body);
        (key, body)
    };
    let first = material("0200", &list);
    assert_eq!(first, material("0201", &list));
    assert_ne!(first.0, material("0100", &list).0);
    for (at, (name, _)) in PURCHASE.iter().enumerate() {
        let mut other = list.clone();
        let last = other[at].1.len() - 1;
        other[at].1[last] = if other[at].1[last] == b'1' {
            b'2'
        } else {
            b'1'
        };
        let changed = material("0200", &other);
        let in_key = [
            "acquirer_code",
            "terminal_id",
            "merchant_id",
            "stan",
            "transmission_time",
        ];
        let in_body = [
            "pan",
            "processing_code",
            "amount",
            "terminal_id",
            "merchant_id",
            "currency",
        ];
        assert_eq!(changed.0 != first.0, in_key.contains(name), "{name}");
        assert_eq!(changed.1 != first.1, in_body.contains(name), "{name}");
    }
}
