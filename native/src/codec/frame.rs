//! Framing: where one message ends and the next begins. An axis of its own; every dialect can use any.

use zeroize::Zeroize;

use crate::codec::axis::Encoding;
use crate::codec::value::{decimal, hex_digit, hex_value, push_decimal};
use crate::error::FramingFault;

/// Longest body any framing may announce: offsets inside a message are 16 bits.
pub const BODY_MAX: usize = 65_535;

/// A length in front of each body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    pub name: &'static str,
    /// Bytes of the length.
    pub width: u8,
    /// Binary (big-endian), Bcd, Ascii (decimal) or Hex.
    pub encoding: Encoding,
    /// The length counts itself.
    pub inclusive: bool,
    pub keep_alive: KeepAlive,
}

/// What becomes of a frame of length zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// It is passed over.
    Ignore,
    /// The peer gets one back.
    Echo,
}

pub const KEEP_ALIVES: [(KeepAlive, &str); 2] =
    [(KeepAlive::Ignore, "ignore"), (KeepAlive::Echo, "echo")];

const fn framing(name: &'static str, width: u8, encoding: Encoding, inclusive: bool) -> Framing {
    Framing {
        name,
        width,
        encoding,
        inclusive,
        keep_alive: KeepAlive::Ignore,
    }
}

/// All framings by name.
pub const FRAMINGS: [Framing; 6] = [
    framing("length2", 2, Encoding::Binary, false),
    framing("length2-inclusive", 2, Encoding::Binary, true),
    framing("length4", 4, Encoding::Binary, false),
    framing("bcd2", 2, Encoding::Bcd, false),
    framing("ascii4", 4, Encoding::Ascii, false),
    framing("hex4", 4, Encoding::Hex, false),
];

impl Framing {
    pub fn parse(name: &str) -> Option<Framing> {
        FRAMINGS.into_iter().find(|known| known.name == name)
    }

    /// What stands behind the length of one whole frame.
    pub fn content<'a>(&self, frame: &'a [u8]) -> Result<&'a [u8], FramingFault> {
        let width = usize::from(self.width);
        let fault = |found: String| FramingFault {
            offset: 0,
            found,
            expected: format!("{} length of all that follows", self.name),
            prefix: frame.get(..width).unwrap_or(frame).to_vec(),
        };
        let (Some(prefix), Some(content)) = (frame.get(..width), frame.get(width..)) else {
            return Err(fault(format!("{} bytes", frame.len())));
        };
        match self.read(prefix) {
            Some(length) if length == content.len() as u64 => Ok(content),
            Some(length) => {
                let found = format!("length {length} before {} bytes", content.len());
                Err(fault(found))
            }
            None => Err(fault("bytes that are no length".to_owned())),
        }
    }

    /// A frame of length zero.
    pub fn empty_frame(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::from(self.width));
        let start = self.open(&mut out);
        self.close(&mut out, start);
        out
    }

    /// Greatest body it can announce.
    pub fn limit(&self) -> usize {
        let width = u32::from(self.width);
        let most = match self.encoding {
            Encoding::Binary => 256usize.saturating_pow(width) - 1,
            Encoding::Hex => 16usize.saturating_pow(width) - 1,
            Encoding::Bcd => 100usize.saturating_pow(width) - 1,
            _ => 10usize.saturating_pow(width) - 1,
        };
        let own = if self.inclusive {
            self.width as usize
        } else {
            0
        };
        (most - own).min(BODY_MAX)
    }

    /// The announced body length, or None when the bytes are no length.
    #[inline]
    pub fn read(&self, prefix: &[u8]) -> Option<u64> {
        let length = match self.encoding {
            Encoding::Binary => prefix
                .iter()
                .fold(0u64, |n, &byte| n << 8 | u64::from(byte)),
            Encoding::Ascii => decimal(prefix)?,
            Encoding::Hex if prefix.iter().all(u8::is_ascii_hexdigit) => prefix
                .iter()
                .fold(0u64, |n, &byte| n << 4 | u64::from(hex_value(byte))),
            Encoding::Bcd if prefix.iter().all(|b| b >> 4 <= 9 && b & 0xf <= 9) => {
                prefix.iter().fold(0u64, |n, &b| {
                    n * 100 + u64::from(b >> 4) * 10 + u64::from(b & 0xf)
                })
            }
            _ => return None,
        };
        if self.inclusive {
            length.checked_sub(u64::from(self.width))
        } else {
            Some(length)
        }
    }

    /// The announced body length of at most `body_max`; `offset` is where it stands in the stream.
    #[inline]
    pub(super) fn announced(
        &self,
        prefix: &[u8],
        body_max: usize,
        offset: u64,
    ) -> Result<usize, FramingFault> {
        match self.read(prefix) {
            Some(length) if length <= body_max as u64 => Ok(length as usize),
            Some(length) => Err(self.fault(format!("length {length}"), prefix, body_max, offset)),
            None => {
                let found = "bytes that are no length".to_owned();
                Err(self.fault(found, prefix, body_max, offset))
            }
        }
    }

    #[cold]
    fn fault(&self, found: String, prefix: &[u8], body_max: usize, offset: u64) -> FramingFault {
        FramingFault {
            offset,
            found,
            expected: format!("{} length of at most {body_max} bytes", self.name),
            prefix: prefix.to_vec(),
        }
    }

    /// Leaves room for the length; `close` fills it in.
    #[inline]
    pub fn open(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.resize(start + usize::from(self.width), 0);
        start
    }

    /// Writes the length of the body that began behind `start`. False when it is too long to say.
    #[inline]
    pub fn close(&self, out: &mut [u8], start: usize) -> bool {
        let width = usize::from(self.width);
        let body = out.len() - start - width;
        if body > self.limit() {
            return false;
        }
        let length = body + if self.inclusive { width } else { 0 };
        let slots = &mut out[start..start + width];
        match self.encoding {
            Encoding::Binary => {
                for (at, slot) in slots.iter_mut().rev().enumerate() {
                    *slot = (length >> (8 * at)) as u8;
                }
            }
            Encoding::Hex => {
                for (at, slot) in slots.iter_mut().rev().enumerate() {
                    *slot = hex_digit((length >> (4 * at)) as u8);
                }
            }
            Encoding::Bcd => {
                let mut rest = length;
                for slot in slots.iter_mut().rev() {
                    *slot = (((rest / 10 % 10) << 4) | (rest % 10)) as u8;
                    rest /= 100;
                }
            }
            _ => {
                let mut text = Vec::with_capacity(width);
                push_decimal(&mut text, length as u64, width);
                slots.copy_from_slice(&text);
            }
        }
        true
    }
}

/// Cuts one connection's bytes into bodies. Memory is bounded by one frame.
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    body_max: usize,
    /// The unfinished frame, length included.
    rest: Vec<u8>,
    first_ns: u64,
    /// Bytes of the stream before `rest`.
    consumed: u64,
}

impl Framer {
    /// `body_max` bounds what a peer can make us hold; the framing's own limit applies too.
    pub fn new(framing: Framing, body_max: usize) -> Framer {
        Framer {
            framing,
            body_max: body_max.min(framing.limit()),
            rest: Vec::new(),
            first_ns: 0,
            consumed: 0,
        }
    }

    /// Hands what stands behind each length in `data` to `sink`, with the monotonic time of its frame's first byte. An
    /// empty frame is a keep-alive: passed over, or handed on as nothing where the framing answers it. After a fault
    /// the stream is lost: nothing more may be fed.
    pub fn feed(
        &mut self,
        data: &[u8],
        now_ns: u64,
        mut sink: impl FnMut(&[u8], u64),
    ) -> Result<(), FramingFault> {
        let mut data = data;
        while !self.rest.is_empty() && !data.is_empty() {
            data = self.complete(data, now_ns, &mut sink)?;
        }
        let width = usize::from(self.framing.width);
        while let Some(prefix) = data.get(..width) {
            let length = self.length(prefix)?;
            let Some(body) = data.get(width..width + length) else {
                break;
            };
            self.consumed += (width + length) as u64;
            data = data.get(width + length..).unwrap_or(&[]);
            if length > 0 || self.framing.keep_alive == KeepAlive::Echo {
                sink(body, now_ns);
            }
        }
        if !data.is_empty() {
            self.rest.extend_from_slice(data);
            self.first_ns = now_ns;
        }
        Ok(())
    }

    /// Takes what the unfinished frame lacks from `data`; returns what is left of it.
    fn complete<'a>(
        &mut self,
        data: &'a [u8],
        _now_ns: u64,
        sink: &mut impl FnMut(&[u8], u64),
    ) -> Result<&'a [u8], FramingFault> {
        let width = usize::from(self.framing.width);
        let whole = match self.rest.get(..width) {
            Some(prefix) => width + self.length(prefix)?,
            None => width,
        };
        let (taken, left) = data.split_at(data.len().min(whole.saturating_sub(self.rest.len())));
        self.rest.extend_from_slice(taken);
        if self.rest.len() < whole {
            return Ok(left);
        }
        let length = match self.rest.get(..width) {
            Some(prefix) => self.length(prefix)?,
            None => return Ok(left),
        };
        if self.rest.len() == width + length {
            let echo = self.framing.keep_alive == KeepAlive::Echo;
            if let Some(body) = self.rest.get(width..).filter(|b| echo || !b.is_empty()) {
                sink(body, self.first_ns);
            }
            self.consumed += self.rest.len() as u64;
            self.rest.zeroize();
            self.first_ns = 0;
        }
        Ok(left)
    }

    #[inline]
    fn length(&self, prefix: &[u8]) -> Result<usize, FramingFault> {
        self.framing.announced(prefix, self.body_max, self.consumed)
    }

    /// Bytes held of the unfinished frame.
    pub fn buffered(&self) -> usize {
        self.rest.len()
    }

    /// Monotonic time of the unfinished frame's first byte, 0 when there is none.
    pub fn first_byte_ns(&self) -> u64 {
        self.first_ns
    }
}

impl Drop for Framer {
    fn drop(&mut self) {
        self.rest.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(framing: Framing, chunks: &[&[u8]]) -> Result<Vec<(Vec<u8>, u64)>, FramingFault> {
        let mut framer = Framer::new(framing, 4096);
        let mut out = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            framer.feed(chunk, at as u64 + 1, |body, ns| {
                out.push((body.to_vec(), ns))
            })?;
        }
        Ok(out)
    }

    fn frame(framing: Framing, body: &[u8], out: &mut Vec<u8>) -> bool {
        let start = framing.open(out);
        out.extend_from_slice(body);
        framing.close(out, start)
    }

    #[test]
    fn lengths_as_written() {
        let written = |name: &str| {
            let mut out = Vec::new();
            let framing = Framing::parse(name).map(|framing| frame(framing, &[7; 18], &mut out));
            (framing, out[..out.len() - 18].to_vec())
        };
        assert_eq!(written("length2"), (Some(true), vec![0, 18]));
        assert_eq!(written("length2-inclusive"), (Some(true), vec![0, 20]));
        assert_eq!(written("length4"), (Some(true), vec![0, 0, 0, 18]));
        assert_eq!(written("bcd2"), (Some(true), vec![0, 0x18]));
        assert_eq!(written("ascii4"), (Some(true), b"0018".to_vec()));
        assert_eq!(written("hex4"), (Some(true), b"0012".to_vec()));
    }

    #[test]
    fn a_frame_is_timed_by_its_first_byte() {
        let read = all(
            FRAMINGS[0],
            &[b"\x00", b"\x02a", b"b\x00\x01c\x00", b"\x01d"],
        );
        let expected = vec![(b"ab".to_vec(), 1), (b"c".to_vec(), 3), (b"d".to_vec(), 3)];
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn an_empty_frame_is_passed_over() {
        let read = all(FRAMINGS[0], &[b"\x00\x00\x00\x01a\x00", b"\x00\x00\x01b"]);
        assert_eq!(read, Ok(vec![(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    }

    #[test]
    fn an_empty_frame_is_handed_on_where_it_is_answered() {
        let framing = Framing {
            keep_alive: KeepAlive::Echo,
            ..FRAMINGS[4]
        };
        let read = all(framing, &[b"00000001a00", b"000001b0000"]);
        let expected = [(&b""[..], 1), (b"a", 1), (b"", 1), (b"b", 2), (b"", 2)];
        let expected = expected.map(|(body, ns)| (body.to_vec(), ns)).to_vec();
        assert_eq!(read, Ok(expected));
        assert_eq!(framing.empty_frame(), b"0000");
        let inclusive = Framing::parse("length2-inclusive").map(|f| f.empty_frame());
        assert_eq!(inclusive, Some(vec![0, 2]));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let fault = all(FRAMINGS[0], &[b"\x00\x01a", b"\x10\x01"]).err();
        assert_eq!(
            fault.map(|f| (f.offset, f.found)),
            Some((3, "length 4097".to_owned()))
        );
        let fault = all(FRAMINGS[4], &[b"00", b"x1"]).err();
        assert_eq!(fault.map(|f| f.offset), Some(0));
        let mut out = Vec::new();
        assert!(!frame(FRAMINGS[3], &vec![0; 10_000], &mut out));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..8),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
            which in 0usize..6,
        ) {
            let framing = FRAMINGS[which];
            let mut stream = Vec::new();
            for body in &bodies {
                prop_assert!(frame(framing, body, &mut stream));
            }
            let mut places: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let chunks: Vec<&[u8]> = places.windows(2).map(|p| &stream[p[0]..p[1]]).collect();
            let read = all(framing, &chunks);
            prop_assert_eq!(read.map(|r| r.into_iter().map(|(b, _)| b).collect::<Vec<_>>()), Ok(bodies));
        }

        #[test]
        fn noise_never_panics_nor_grows(data in proptest::collection::vec(any::<u8>(), 0..2000), which in 0usize..6) {
            let mut framer = Framer::new(FRAMINGS[which], 512);
            for chunk in data.chunks(7) {
                if framer.feed(chunk, 1, |_, _| {}).is_err() {
                    break;
                }
                prop_assert!(framer.buffered() <= 516);
            }
        }
    }
}
