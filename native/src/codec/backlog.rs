//! Whole frames of one connection that wait for their turn, as they came: cut, and not decoded.

use std::collections::VecDeque;

use crate::codec::wipe;

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

#[derive(Clone, Copy, Debug)]
struct Frame {
    length: u32,
    came: Came,
}

/// First in, first out. Memory is bounded by whoever stops filling it; what was taken is wiped.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: Vec<u8>,
    /// Offset of the first frame that waits.
    start: usize,
    frames: VecDeque<Frame>,
}

impl Backlog {
    /// Adds one. Frames are at most `frame::BODY_MAX` long.
    pub fn push(&mut self, content: &[u8], came: Came) {
        self.bytes.extend_from_slice(content);
        self.frames.push_back(Frame {
            length: content.len() as u32,
            came,
        });
    }

    /// The one that has waited longest, and when it came.
    #[inline]
    pub fn front(&self) -> Option<(&[u8], Came)> {
        let frame = self.frames.front()?;
        let end = self.start + frame.length as usize;
        Some((self.bytes.get(self.start..end)?, frame.came))
    }

    /// Those that wait, from the front on.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Came)> {
        let mut at = self.start;
        self.frames.iter().map_while(move |frame| {
            let start = at;
            at += frame.length as usize;
            Some((self.bytes.get(start..at)?, frame.came))
        })
    }

    /// Takes the front away.
    pub fn pop(&mut self) {
        let Some(frame) = self.frames.pop_front() else {
            return;
        };
        self.start += frame.length as usize;
        if self.frames.is_empty() {
            wipe(&mut self.bytes);
            self.bytes.shrink_to(SPARE_BYTES);
            self.start = 0;
        } else if self.start >= SPARE_BYTES && self.start > self.bytes.len() / 2 {
            let kept = self.bytes.len() - self.start;
            self.bytes.copy_within(self.start.., 0);
            if let Some(rest) = self.bytes.get_mut(kept..) {
                rest.fill(0);
            }
            self.bytes.truncate(kept);
            self.start = 0;
        }
    }

    /// Takes so many away from the front.
    pub fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.pop();
        }
    }

    pub fn clear(&mut self) {
        self.frames.clear();
        wipe(&mut self.bytes);
        self.start = 0;
    }

    /// Frames that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Their bytes.
    #[inline]
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.start
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
    use proptest::prelude::*;

    fn at(ns: u64) -> Came {
        Came {
            received_ns: ns,
            complete_ns: ns + 1,
        }
    }

    #[test]
    fn the_first_in_is_the_first_out_with_its_time() {
        let mut waiting = Backlog::default();
        waiting.push(b"ab", at(1));
        waiting.push(b"", at(2));
        waiting.push(b"c", at(3));
        assert_eq!((waiting.len(), waiting.waiting_bytes()), (3, 3));
        for expected in [(&b"ab"[..], at(1)), (b"", at(2)), (b"c", at(3))] {
            assert_eq!(waiting.front(), Some(expected));
            waiting.pop();
        }
        assert!(waiting.is_empty() && waiting.front().is_none());
        waiting.pop();
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_room_is_given_back(steps in proptest::collection::vec((any::<bool>(), 0usize..3_000), 1..400)) {
            let mut waiting = Backlog::default();
            let mut model: VecDeque<(Vec<u8>, u64)> = VecDeque::new();
            for (number, (push, size)) in steps.into_iter().enumerate() {
                if push {
                    let body = vec![number as u8; size];
                    waiting.push(&body, at(number as u64));
                    model.push_back((body, number as u64));
                } else {
                    waiting.pop();
                    model.pop_front();
                }
                let expected = model.front().map(|(body, ns)| (&body[..], at(*ns)));
                prop_assert_eq!(waiting.front(), expected);
                let all: Vec<u64> = waiting.iter().map(|(_, came)| came.received_ns).collect();
                prop_assert_eq!(all, model.iter().map(|(_, ns)| *ns).collect::<Vec<_>>());
                prop_assert!(waiting.iter().zip(&model).all(|((a, _), (b, _))| a == b));
                let bytes: usize = model.iter().map(|(body, _)| body.len()).sum();
                prop_assert_eq!(waiting.waiting_bytes(), bytes);
                prop_assert!(waiting.bytes.len() <= 2 * bytes + SPARE_BYTES + 3_000);
            }
        }
    }
}
