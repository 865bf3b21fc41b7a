//! Short runs of bytes put one behind the other.

/// Copied at once, also of a shorter run: what is too much is written over by the next, or cut off.
const BLOCK: usize = 16;

/// Room at the end of a buffer that is filled from its front. A run of some bytes is copied in blocks where both sides
/// have room for them: a call for each run would cost more than all else.
pub(super) struct Paste<'a> {
    out: &'a mut Vec<u8>,
    at: usize,
}

impl<'a> Paste<'a> {
    /// Behind what there is, room for `most` bytes.
    #[inline]
    pub(super) fn behind(out: &'a mut Vec<u8>, most: usize) -> Paste<'a> {
        let at = out.len();
        out.resize(at + most + BLOCK, 0);
        Paste { out, at }
    }

    /// The bytes `from..to` of `source`; nothing where they are not there, or there is no room for them.
    #[inline(always)]
    pub(super) fn put(&mut self, source: &[u8], from: usize, to: usize) {
        let Some(count) = to.checked_sub(from) else {
            return;
        };
        let end = self.at + count;
        let (mut from, mut at) = (from, self.at);
        if end > self.out.len() || to > source.len() {
            return;
        }
        while from < to {
            let blocks = (
                self.out.get_mut(at..at + BLOCK),
                source.get(from..from + BLOCK),
            );
            let (Some(place), Some(block)) = blocks else {
                if let (Some(place), Some(rest)) = (self.out.get_mut(at..end), source.get(from..to))
                {
                    place.copy_from_slice(rest);
                }
                break;
            };
            place.copy_from_slice(block);
            from += BLOCK;
            at += BLOCK;
        }
        self.at = end;
    }

    /// A few bytes.
    #[inline(always)]
    pub(super) fn few<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(place) = self.out.get_mut(self.at..self.at + N) {
            place.copy_from_slice(&bytes);
            self.at += N;
        }
    }

    /// Cuts off the room that was not wanted; nothing stays in it.
    #[inline]
    pub(super) fn close(self) {
        if let Some(over) = self.out.get_mut(self.at..)
            && let Some(over) = over.first_chunk_mut::<BLOCK>()
        {
            *over = [0; BLOCK];
        }
        self.out.truncate(self.at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_there_is_not_put() {
        let mut out = b"x".to_vec();
        let mut paste = Paste::behind(&mut out, 2);
        paste.put(b"abc", 2, 4);
        paste.put(b"abc", 2, 1);
        paste.put(&[b'a'; 40], 0, 40);
        paste.few(*b"yz");
        paste.close();
        assert_eq!(out, b"xyz");
    }

    proptest! {
        #[test]
        fn runs_stand_one_behind_the_other(
            source in proptest::collection::vec(1u8.., 0..120),
            runs in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
        ) {
            let mut out = b"before".to_vec();
            let mut expected = out.clone();
            let mut paste = Paste::behind(&mut out, 6 * 120);
            for (one, other) in runs {
                let (one, other) = (one.index(source.len() + 1), other.index(source.len() + 1));
                let (from, to) = (one.min(other), one.max(other));
                paste.put(&source, from, to);
                paste.few([9]);
                expected.extend_from_slice(&source[from..to]);
                expected.push(9);
            }
            paste.close();
            prop_assert_eq!(&out, &expected);
        }
    }
}
