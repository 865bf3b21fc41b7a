//! Whole frames of one connection that wait for their turn, as they came: found, and neither copied one by one nor
//! decoded.

use std::collections::VecDeque;

use crate::codec::frame::{Framing, KeepAlive};
use crate::codec::wipe;
use crate::error::FramingFault;

/// Bytes already taken are given back once they are so many, and more than half of all.
const SPARE_BYTES: usize = 65_536;

/// When a frame came, monotonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Its first byte.
    pub received_ns: u64,
    /// Its last: since then it waits.
    pub complete_ns: u64,
}

/// Frames that came together.
#[derive(Clone, Copy, Debug)]
struct Run {
    frames: usize,
    came: Came,
}

/// First in, first out. Bytes are kept as the stream has them, lengths included, and each is copied once. Memory is
/// bounded by one frame and by whoever stops filling it; what was taken is wiped.
#[derive(Debug)]
pub struct Backlog {
    framing: Framing,
    body_max: usize,
    bytes: Vec<u8>,
    /// Offset of the first frame that waits.
    start: usize,
    /// Offset behind the last whole one: the unfinished frame begins here.
    end: usize,
    runs: VecDeque<Run>,
    frames: usize,
    bodies: usize,
    /// When the unfinished frame began.
    first_ns: u64,
    /// Bytes of the stream before the unfinished frame.
    consumed: u64,
}

impl Backlog {
    /// `body_max` bounds one frame; the framing's own limit applies too.
    pub fn new(framing: Framing, body_max: usize) -> Backlog {
        Backlog {
            framing,
            body_max: body_max.min(framing.limit()),
            bytes: Vec::new(),
            start: 0,
            end: 0,
            runs: VecDeque::new(),
            frames: 0,
            bodies: 0,
            first_ns: 0,
            consumed: 0,
        }
    }

    /// Takes what has come. An empty frame is a keep-alive: passed over, or kept as nothing where the framing answers
    /// it. After a fault the stream is lost and nothing more may be added; what came before it still waits.
    pub fn add(&mut self, data: &[u8], now_ns: u64) -> Result<(), FramingFault> {
        let unfinished = self.bytes.len() > self.end;
        self.reserve(data.len());
        self.bytes.extend_from_slice(data);
        let first_ns = if unfinished { self.first_ns } else { now_ns };
        let cut = self.cut(first_ns, now_ns);
        if self.bytes.len() == self.end {
            self.first_ns = 0;
        }
        cut
    }

    /// Finds whole frames among what has come. Only the first one can have begun earlier.
    fn cut(&mut self, first_ns: u64, now_ns: u64) -> Result<(), FramingFault> {
        let width = usize::from(self.framing.width);
        let echo = self.framing.keep_alive == KeepAlive::Echo;
        // Behind a keep-alive that is passed over, frames move to its place.
        let (mut at, mut fault) = (self.end, None);
        let mut received_ns = first_ns;
        while let Some(prefix) = self.bytes.get(at..at + width) {
            let found = self.framing.announced(prefix, self.body_max, self.consumed);
            let length = match found {
                Ok(length) => length,
                Err(found) => {
                    fault = Some(found);
                    break;
                }
            };
            let whole = width + length;
            if self.bytes.len() < at + whole {
                break;
            }
            if length > 0 || echo {
                if at > self.end {
                    self.bytes.copy_within(at..at + whole, self.end);
                }
                self.end += whole;
                self.note(
                    length,
                    Came {
                        received_ns,
                        complete_ns: now_ns,
                    },
                );
            }
            self.consumed += whole as u64;
            at += whole;
            received_ns = now_ns;
        }
        if at > self.end {
            self.close_gap(self.end, at);
        }
        self.first_ns = received_ns;
        fault.map_or(Ok(()), Err)
    }

    #[inline]
    fn note(&mut self, length: usize, came: Came) {
        self.frames += 1;
        self.bodies += length;
        match self.runs.back_mut() {
            Some(run) if run.came == came => run.frames += 1,
            _ => self.runs.push_back(Run { frames: 1, came }),
        }
    }

    /// Moves what stands at `from` and behind to `to`, before it; nothing of it stays where it was.
    fn close_gap(&mut self, to: usize, from: usize) {
        let kept = self.bytes.len().saturating_sub(from);
        self.bytes.copy_within(from.., to);
        if let Some(rest) = self.bytes.get_mut(to + kept..) {
            rest.fill(0);
        }
        self.bytes.truncate(to + kept);
    }

    /// Room for so many bytes more; what is left behind for it is wiped.
    fn reserve(&mut self, more: usize) {
        let wanted = self.bytes.len() + more;
        if wanted > self.bytes.capacity() {
            let room = wanted.max(2 * self.bytes.len());
            let mut larger = Vec::with_capacity(room);
            larger.extend_from_slice(&self.bytes);
            wipe(&mut self.bytes);
            self.bytes = larger;
        }
    }

    /// The one that has waited longest, and when it came.
    #[inline]
    pub fn front(&self) -> Option<(&[u8], Came)> {
        let run = self.runs.front()?;
        Some((self.content(self.start)?, run.came))
    }

    /// What stands behind the length at `at`.
    #[inline]
    fn content(&self, at: usize) -> Option<&[u8]> {
        let body = at + usize::from(self.framing.width);
        let length = self.framing.read(self.bytes.get(at..body)?)?;
        self.bytes.get(body..body + usize::try_from(length).ok()?)
    }

    /// Those that wait, from the front on.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Came)> {
        let width = usize::from(self.framing.width);
        let mut at = self.start;
        let runs = self.runs.iter();
        runs.flat_map(|run| std::iter::repeat_n(run.came, run.frames))
            .map_while(move |came| {
                let content = self.content(at)?;
                at += width + content.len();
                Some((content, came))
            })
    }

    /// Takes the front away.
    pub fn pop(&mut self) {
        self.skip(1);
    }

    /// Takes so many away from the front.
    pub fn skip(&mut self, count: usize) {
        let count = count.min(self.frames);
        let bodies = self.iter().take(count).map(|(content, _)| content.len());
        self.skip_known(count, bodies.sum());
    }

    /// As `skip`, of so many as wait, whose contents are together so long.
    pub fn skip_known(&mut self, count: usize, bodies: usize) {
        self.start += count * usize::from(self.framing.width) + bodies;
        self.bodies -= bodies;
        self.frames -= count;
        let mut left = count;
        while left > 0
            && let Some(run) = self.runs.front_mut()
        {
            let of_run = run.frames.min(left);
            run.frames -= of_run;
            left -= of_run;
            if run.frames == 0 {
                self.runs.pop_front();
            }
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        let large = self.start >= SPARE_BYTES && self.start > self.bytes.len() / 2;
        if self.frames > 0 && !large {
            return;
        }
        self.close_gap(0, self.start);
        self.end -= self.start;
        self.start = 0;
        if self.frames == 0 {
            self.bytes.shrink_to(SPARE_BYTES);
        }
    }

    /// Forgets the frames that wait.
    pub fn clear(&mut self) {
        self.runs.clear();
        (self.frames, self.bodies) = (0, 0);
        self.start = self.end;
        self.give_back();
    }

    /// Frames that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.frames
    }

    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Their bytes, lengths not counted.
    #[inline]
    pub fn waiting_bytes(&self) -> usize {
        self.bodies
    }

    /// Bytes held of the unfinished frame.
    pub fn buffered(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// Monotonic time of the unfinished frame's first byte, 0 when there is none.
    pub fn first_byte_ns(&self) -> u64 {
        self.first_ns
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Framer;
    use crate::codec::frame::FRAMINGS;
    use proptest::prelude::*;

    fn framed(framing: Framing, bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for body in bodies {
            let start = framing.open(&mut out);
            out.extend_from_slice(body);
            assert!(framing.close(&mut out, start));
        }
        out
    }

    fn at(received_ns: u64, complete_ns: u64) -> Came {
        Came {
            received_ns,
            complete_ns,
        }
    }

    #[test]
    fn the_first_in_is_the_first_out_with_its_time() {
        let stream = framed(FRAMINGS[0], &[b"ab", b"c", b"def"]);
        let mut waiting = Backlog::new(FRAMINGS[0], 4096);
        for (chunk, ns) in [(&stream[..5], 1), (&stream[5..8], 2), (&stream[8..], 3)] {
            assert_eq!(waiting.add(chunk, ns), Ok(()));
        }
        assert_eq!((waiting.len(), waiting.waiting_bytes()), (3, 6));
        assert_eq!((waiting.buffered(), waiting.first_byte_ns()), (0, 0));
        for expected in [(&b"ab"[..], at(1, 1)), (b"c", at(1, 2)), (b"def", at(2, 3))] {
            assert_eq!(waiting.front(), Some(expected));
            waiting.pop();
        }
        assert!(waiting.is_empty() && waiting.front().is_none());
        waiting.pop();
    }

    #[test]
    fn an_unfinished_frame_outlives_those_that_are_taken_or_forgotten() {
        let stream = framed(FRAMINGS[0], &[b"ab", b"cde", b"f"]);
        let mut waiting = Backlog::new(FRAMINGS[0], 4096);
        assert_eq!(waiting.add(&stream[..7], 5), Ok(()));
        waiting.clear();
        assert_eq!((waiting.len(), waiting.buffered()), (0, 3));
        assert_eq!(waiting.first_byte_ns(), 5);
        assert_eq!(waiting.add(&stream[7..], 9), Ok(()));
        let left: Vec<_> = waiting.iter().collect();
        assert_eq!(left, [(&b"cde"[..], at(5, 9)), (b"f", at(9, 9))]);
    }

    #[test]
    fn keep_alives_without_end_take_no_memory() {
        let mut waiting = Backlog::new(FRAMINGS[0], 4096);
        let mut stream = framed(FRAMINGS[0], &[b"one"]);
        stream.extend_from_slice(&[0; 60_001]);
        for ns in 0..20 {
            assert_eq!(waiting.add(&stream, ns), Ok(()));
            assert_eq!(waiting.add(&[0], ns), Ok(()));
        }
        assert_eq!((waiting.len(), waiting.buffered()), (20, 0));
        assert_eq!(waiting.bytes.len(), 100);
        assert!(waiting.bytes.capacity() < 200_000);
        assert!(waiting.iter().all(|(content, _)| content == b"one"));
    }

    #[test]
    fn what_came_before_a_fault_still_waits_and_what_is_held_is_bounded() {
        let mut stream = framed(FRAMINGS[0], &[b"ab", b"c"]);
        stream.extend_from_slice(b"\xff\xffxyz");
        let mut waiting = Backlog::new(FRAMINGS[0], 512);
        let fault = waiting.add(&stream, 1).err();
        assert_eq!(
            fault.map(|f| (f.offset, f.found)),
            Some((7, "length 65535".to_owned()))
        );
        assert_eq!(waiting.len(), 2);
    }

    proptest! {
        /// The framer that hands out frame by frame is the model.
        #[test]
        fn nothing_is_lost_and_room_is_given_back(
            steps in proptest::collection::vec((0usize..4, 0usize..3_000, 0usize..40), 1..200),
            which in 0usize..6,
            echo in any::<bool>(),
        ) {
            let mut framing = FRAMINGS[which];
            if echo {
                framing.keep_alive = KeepAlive::Echo;
            }
            let mut waiting = Backlog::new(framing, 4096);
            let mut framer = Framer::new(framing, 4096);
            let mut model: VecDeque<(Vec<u8>, Came)> = VecDeque::new();
            let mut stream: VecDeque<u8> = VecDeque::new();
            for (number, (act, size, count)) in steps.into_iter().enumerate() {
                let now_ns = number as u64 + 1;
                match act {
                    0 => {
                        waiting.skip(count);
                        model.drain(..count.min(model.len()));
                    }
                    1 => {
                        let empty = framed(framing, &[&[]]);
                        stream.extend(empty.iter().copied().cycle().take(empty.len() * (count % 4)));
                    }
                    _ => stream.extend(framed(framing, &[&vec![number as u8; size % 700]])),
                }
                let chunk: Vec<u8> = stream.drain(..size.min(stream.len())).collect();
                prop_assert_eq!(waiting.add(&chunk, now_ns), Ok(()));
                let fed = framer.feed(&chunk, now_ns, |body, received_ns| {
                    model.push_back((body.to_vec(), at(received_ns, now_ns)));
                });
                prop_assert_eq!(fed, Ok(()));
                let all: Vec<(Vec<u8>, Came)> = waiting.iter().map(|(body, came)| (body.to_vec(), came)).collect();
                prop_assert_eq!(&all, &Vec::from(model.clone()));
                prop_assert_eq!(waiting.front().map(|(body, came)| (body.to_vec(), came)), all.first().cloned());
                let bytes: usize = model.iter().map(|(body, _)| body.len()).sum();
                prop_assert_eq!((waiting.len(), waiting.waiting_bytes()), (model.len(), bytes));
                prop_assert_eq!(waiting.buffered(), framer.buffered());
                prop_assert_eq!(waiting.first_byte_ns(), framer.first_byte_ns());
                let lengths = 4 * model.len();
                prop_assert!(waiting.bytes.len() <= 2 * (bytes + lengths) + SPARE_BYTES + 8_000);
            }
        }

        #[test]
        fn noise_is_cut_as_the_framer_cuts_it(data in proptest::collection::vec(any::<u8>(), 0..2000), which in 0usize..6, piece in 1usize..600) {
            let mut waiting = Backlog::new(FRAMINGS[which], 512);
            let mut framer = Framer::new(FRAMINGS[which], 512);
            let mut found = Vec::new();
            for chunk in data.chunks(piece) {
                let fed = framer.feed(chunk, 1, |body, _| found.push(body.to_vec()));
                prop_assert_eq!(waiting.add(chunk, 1), fed.clone());
                if fed.is_err() {
                    break;
                }
                prop_assert!(waiting.buffered() <= 516);
            }
            let all: Vec<Vec<u8>> = waiting.iter().map(|(body, _)| body.to_vec()).collect();
            prop_assert_eq!(all, found);
        }
    }
}
