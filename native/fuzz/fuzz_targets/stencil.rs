//! Stencils: whatever comes, what a stencil takes is in order, and its kind, its key and its answer are those of the
//! message that is decoded.

#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tapswitch_native::codec::compile::compile;
use tapswitch_native::codec::kind::response_mti;
use tapswitch_native::codec::{
    Answered, Check, Dialect, Message, Name, Own, Source, Sources, Stencil, is_new_request,
    receive_to_refuse,
};

const FORWARDER: &[u8] = b"90000001";
const ASKER: &[u8] = b"\x05ACQ01";
/// Noon of 31 December 2026, and of the day after.
const DAYS_S: [i64; 2] = [1_798_718_400, 1_798_804_800];

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
    let mti = response_mti(request.mti());
    let built = dialect.leg("answer")?.build(mti, &sources, &mut out);
    built.ok().map(|()| out)
}

/// A stencil that looks at a frame and at those before it says what the message says.
fn agrees(dialect: &Arc<Dialect>, stencil: &mut Stencil, content: &[u8], now_s: i64) {
    let Some(seen) = stencil.look(content) else {
        return;
    };
    assert!(is_new_request(dialect, content));
    let Ok(message) = receive_to_refuse(dialect, content, 7) else {
        panic!("a stencil took what is not in order");
    };
    assert!(message.check() == Check::Ok, "a rule is against it");
    assert_eq!((stencil.mti(), seen.kind), (message.mti(), message.kind()));
    let (mut one, mut other) = (Vec::new(), ASKER.to_vec());
    stencil.key_material(content, &seen, now_s, &mut one);
    message.key_material(now_s, &mut other);
    assert_eq!(one, other, "the key is another");
    for code in [*b"91", *b"9A"] {
        let answered = Answered {
            code,
            forwarder_code: FORWARDER,
        };
        let mut out = b"before".to_vec();
        let built = dialect
            .leg("answer")
            .is_some_and(|leg| stencil.answer(leg, &answered, content, &seen, &mut out));
        let expected = match built {
            true => answer(dialect, &message, code),
            false => Some(Vec::new()),
        };
        assert_eq!(
            out.strip_prefix(b"before"),
            expected.as_deref(),
            "the answer is another"
        );
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    assert_eq!(DIALECTS.len(), 4);
    let dialect = &DIALECTS[usize::from(choice) % DIALECTS.len()];
    // A frame, and how others differ from it: in one byte, or by one that is left out or put in.
    let (length, rest) = match rest {
        [high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return,
    };
    let (frame, edits) = rest.split_at(length.min(rest.len()));
    let mut stencils: HashMap<Vec<u8>, Option<Stencil>> = HashMap::new();
    let mut look = |content: &[u8], now_s: i64| {
        let Some(head) = Stencil::head(dialect, content) else {
            return;
        };
        let made = stencils.entry(head.to_vec());
        let made = made.or_insert_with(|| Stencil::of(dialect, content, ASKER));
        if let Some(stencil) = made {
            agrees(dialect, stencil, content, now_s);
        }
    };
    look(frame, DAYS_S[0]);
    let mut content = frame.to_vec();
    for edit in edits.chunks_exact(4).take(32) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % content.len().max(1);
        match edit[2] % 4 {
            0 if !content.is_empty() => drop(content.remove(at)),
            1 => content.insert(at.min(content.len()), edit[3]),
            // From what was sent first again.
            2 => {
                content = frame.to_vec();
                if let Some(byte) = content.get_mut(at) {
                    *byte = edit[3];
                }
            }
            _ => {
                if let Some(byte) = content.get_mut(at) {
                    *byte = edit[3];
                }
            }
        }
        let now_s = DAYS_S[usize::from(edit[2] >> 7)];
        look(&content, now_s);
        look(&content, now_s);
    }
    // Those that were kept serve the first one still.
    look(frame, DAYS_S[1]);
});
