//! What a stencil takes it treats as the whole way does, byte for byte.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::codec::compile::compile;
use crate::codec::tests::{dialect, purchase_frame};
use crate::codec::{Check, Name, Own, Source, Sources, kind};

const ASCII: &str = include_str!("../../../../config/dialects/iso87-ascii.toml");
const BCD: &str = include_str!("../../../../config/dialects/iso87-bcd.toml");
const POS: &str = include_str!("../../../../config/dialects/pos-cn.toml");
const FORWARDER: &[u8] = b"90000001";
/// Noon of 31 December 2026, and of the day after.
const DAYS_S: [i64; 2] = [1_798_718_400, 1_798_804_800];

/// The shipped dialects, and the fields of the first along other axes.
fn dialects() -> Vec<Arc<Dialect>> {
    let packed = ASCII
        .replace("numeric = \"ascii\"", "numeric = \"bcd\"")
        .replace("text = \"ascii\"", "text = \"ebcdic\"")
        .replace("binary = \"hex\"", "binary = \"binary\"")
        .replace("prefix = \"ascii\"", "prefix = \"bcd\"")
        .replace("encoding = \"hex\"", "encoding = \"binary\"");
    let hexadecimal = ASCII.replace("unit = \"chars\"", "unit = \"bytes\"");
    let constant = ASCII.replace(
        "additional_amounts = \"reply\"",
        "additional_amounts = \"const:0000156C000000000000\"",
    );
    [ASCII, BCD, POS, &packed, &hexadecimal, &constant]
        .iter()
        .map(|text| match compile(text, "dialect.toml") {
            Ok(dialect) => dialect,
            Err(fault) => unreachable!("{fault} {}", fault.help),
        })
        .collect()
}

struct Busy([u8; 2]);

impl Source for Busy {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        if name == Name::ResponseCode {
            out.extend_from_slice(&self.0);
        }
        name == Name::ResponseCode
    }
}

/// The answer as the ordinary way builds it.
fn answer(dialect: &Dialect, request: &Message, code: [u8; 2]) -> Option<Vec<u8>> {
    let busy = Busy(code);
    let own = Own {
        response_code: &code,
        forwarder_code: FORWARDER,
        ..Own::default()
    };
    let sources = Sources {
        request: Some(request),
        reply: Some(&busy),
        own: Some(&own),
        preface: request.answer_preface(),
        ..Sources::default()
    };
    let mut out = Vec::new();
    let mti = kind::response_mti(request.mti());
    let built = dialect.leg("answer")?.build(mti, &sources, &mut out);
    built.ok().map(|()| out)
}

/// Stencils by what requests begin with, as they are kept.
type Kept = HashMap<Vec<u8>, Option<Stencil>>;

/// Whether a stencil was enough; what it says is what the message says.
fn agrees(dialect: &Arc<Dialect>, content: &[u8], code: [u8; 2], kept: &mut Kept) -> bool {
    let Some(head) = Stencil::head(dialect, content) else {
        return false;
    };
    let made = kept
        .entry(head.to_vec())
        .or_insert_with(|| Stencil::of(dialect, content, b"\x05ACQ01"));
    let Some((stencil, seen)) = made.as_mut().and_then(|stencil| {
        let seen = stencil.look(content)?;
        Some((stencil, seen))
    }) else {
        return false;
    };
    assert!(is_new_request(dialect, content));
    let Ok(message) = receive_to_refuse(dialect, content, 7) else {
        unreachable!("a stencil took what is not in order")
    };
    assert_eq!(message.check(), Check::Ok);
    assert_eq!((stencil.mti(), seen.kind), (message.mti(), message.kind()));
    for now_s in DAYS_S {
        let (mut one, mut other) = (Vec::new(), b"\x05ACQ01".to_vec());
        stencil.key_material(content, &seen, now_s, &mut one);
        message.key_material(now_s, &mut other);
        assert_eq!(one, other);
    }
    let answered = Answered {
        code,
        forwarder_code: FORWARDER,
    };
    let mut out = b"before".to_vec();
    let built = dialect
        .leg("answer")
        .is_some_and(|leg| stencil.answer(leg, &answered, content, &seen, &mut out));
    let expected = answer(dialect, &message, code).filter(|_| built);
    assert_eq!(out, [b"before", &expected.unwrap_or_default()[..]].concat());
    built
}

#[test]
fn a_request_is_told_keyed_and_answered_as_its_message() {
    let dialect = dialect();
    let frame = purchase_frame(&dialect);
    let mut kept = Kept::new();
    assert!(agrees(&dialect, &frame, *b"91", &mut kept));
    assert!(agrees(&dialect, &frame, *b"96", &mut kept));
    let shorter = frame.get(..frame.len() - 1).unwrap_or(&[]);
    for wrong in [shorter, &[frame.as_slice(), b"0"].concat(), &[]] {
        assert!(!agrees(&dialect, wrong, *b"91", &mut kept));
    }
    assert_eq!(kept.len(), 1);
}

#[test]
fn what_takes_a_closer_look_has_no_stencil() {
    let frame = purchase_frame(&dialect());
    let with = |at: usize, byte: u8| {
        let mut frame = frame.clone();
        frame[at] = byte;
        frame
    };
    let dialect = dialect();
    // A reversal, an advice, an answer, network management, a second bitmap, a field that there is not.
    for (at, byte) in [(1, b'4'), (2, b'2'), (2, b'1'), (1, b'8')] {
        assert!(Stencil::head(&dialect, &with(at, byte)).is_none());
        assert!(Stencil::of(&dialect, &with(at, byte), b"").is_none());
    }
    assert!(Stencil::of(&dialect, &with(4, b'F'), b"").is_none());
    assert!(Stencil::of(&dialect, &frame, b"").is_some());
    assert!(!Stencil::serves(&dialects()[2]));
}

/// Draws from a number.
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most.max(1)
    }

    fn byte(&mut self, of: &[u8]) -> u8 {
        let at = self.below(of.len() as u64);
        of.get(at as usize).copied().unwrap_or(b'0')
    }
}

const DIGITS: &[u8] = b"0123456789";
const LETTERS: &[u8] = b"ABCDEFXYZ";
const LETTERS_AND_DIGITS: &[u8] = b"0A1B2C3D4E5F";
const PRINTABLE: &[u8] = b" !0AZaz~/";
const TRACK: &[u8] = b"0123456789=";

/// A value that a field may hold.
fn value(draw: &mut Draw, hot: &crate::codec::spec::Hot) -> Vec<u8> {
    let count = match hot.length {
        Length::Fixed(count) => count,
        Length::Variable { min, max, .. } => {
            let most = max.min(min + 24);
            min + draw.below(u64::from(most - min) + 1) as u16
        }
    };
    let one = |draw: &mut Draw, at: u16| match hot.shape.kind {
        Type::N => draw.byte(DIGITS),
        Type::Xn if at == 0 => draw.byte(b"CD"),
        Type::Xn => draw.byte(DIGITS),
        Type::A => draw.byte(LETTERS),
        Type::An => draw.byte(LETTERS_AND_DIGITS),
        Type::Z => draw.byte(TRACK),
        Type::Ns => draw.byte(b"0123 !"),
        Type::As => draw.byte(b"AB !"),
        Type::Ans => draw.byte(PRINTABLE),
        Type::B => draw.below(256) as u8,
    };
    (0..count).map(|at| one(draw, at)).collect()
}

/// A request with what it must have, and other fields as drawn.
fn request(dialect: &Dialect, draw: &mut Draw) -> Option<Vec<u8>> {
    let mtis = ["0100", "0101", "0200", "0201", "0220", "0400"];
    let mti = mtis.get(draw.below(6) as usize)?;
    let always = [2, 3, 4, 7, 11, 22, 25, 32, 41, 42, 49];
    let mut values = Vec::new();
    for spec in dialect.specs().filter(|spec| spec.number <= 64) {
        let must = always.contains(&spec.number) && draw.below(20) > 0;
        if !must && draw.below(4) > 0 {
            continue;
        }
        let value = match spec.number {
            3 => match draw.below(4) {
                0 => b"310000".to_vec(),
                1 => b"200000".to_vec(),
                _ => b"000000".to_vec(),
            },
            4 if draw.below(8) == 0 => vec![b'0'; 12],
            25 => match draw.below(4) {
                0 => b"06".to_vec(),
                1 => b"08".to_vec(),
                _ => b"00".to_vec(),
            },
            7 => format!("12{:02}120000", draw.below(32)).into_bytes(),
            _ => value(draw, &spec.hot()),
        };
        values.push((spec.name.as_str().to_owned(), value));
    }
    let mut out = Vec::new();
    dialect.encode(mti, &values, None, &mut out).ok()?;
    Some(out.split_off(usize::from(dialect.framing.width)))
}

#[test]
fn most_requests_of_most_dialects_need_no_closer_look() {
    for dialect in dialects().iter().filter(|dialect| Stencil::serves(dialect)) {
        let (mut drawn, mut taken, mut kept) = (0, 0, Kept::new());
        let mut draw = Draw(7);
        for _ in 0..3_000 {
            let Some(content) = request(dialect, &mut draw) else {
                continue;
            };
            let whole = is_new_request(dialect, &content)
                && receive_to_refuse(dialect, &content, 1)
                    .is_ok_and(|message| message.check() == Check::Ok);
            drawn += usize::from(whole);
            taken += usize::from(agrees(dialect, &content, *b"91", &mut kept));
        }
        assert!(drawn > 50 && taken == drawn, "{taken} of {drawn}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_a_stencil_agrees_with_the_message(
        seed in 1u64..,
        which in 0usize..6,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
        other_code in any::<bool>(),
    ) {
        let dialects = dialects();
        let dialect = &dialects[which];
        let mut draw = Draw(seed);
        let mut kept = Kept::new();
        for _ in 0..8 {
            let Some(mut content) = request(dialect, &mut draw) else {
                continue;
            };
            let code = if other_code { *b"9A" } else { *b"91" };
            agrees(dialect, &content, code, &mut kept);
            // Of the same bitmap, and changed within.
            for (at, byte) in &changes {
                let at = at.index(content.len());
                content[at] = *byte;
            }
            agrees(dialect, &content, *b"91", &mut kept);
            if !whole {
                content.truncate(cut.index(content.len()));
            }
            agrees(dialect, &content, code, &mut kept);
        }
    }
}
