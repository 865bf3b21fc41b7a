//! Framing: however a stream is cut into chunks, the same frames come out, and what is held stays bounded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tapswitch_native::codec::Framer;
use tapswitch_native::codec::frame::{FRAMINGS, KeepAlive};

const BODY_MAX: usize = 512;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, stream)) = data.split_first() else {
        return;
    };
    let mut framing = FRAMINGS[usize::from(choice) % FRAMINGS.len()];
    let chunk = usize::from(choice) / FRAMINGS.len() + 1;
    if chunk % 2 == 0 {
        framing.keep_alive = KeepAlive::Echo;
    }

    let mut whole = Vec::new();
    let mut framer = Framer::new(framing, BODY_MAX);
    let lost = framer
        .feed(stream, 1, |body, _| whole.push(body.to_vec()))
        .is_err();

    let mut pieces = Vec::new();
    let mut framer = Framer::new(framing, BODY_MAX);
    let mut lost_too = false;
    for part in stream.chunks(chunk) {
        if framer
            .feed(part, 1, |body, _| pieces.push(body.to_vec()))
            .is_err()
        {
            lost_too = true;
            break;
        }
        assert!(framer.buffered() <= BODY_MAX + usize::from(framing.width));
    }
    assert_eq!(lost, lost_too);
    assert_eq!(whole, pieces);
});
