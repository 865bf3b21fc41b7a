//! Requests of one stencil that agree in every length too, and in what decides how they are treated: of such a one
//! nothing is to be found out but whether each byte is one that may stand where it stands.

use super::pieces::{Ends, Fits, Step};
use super::{Seen, Stencil};
use crate::codec::kind::Kind;

/// Bytes that are checked at once.
const BLOCK: usize = 16;
/// Alike are kept so many of one stencil; terminals differ in what their chip data hold, and so in lengths.
pub(super) const KEPT_MAX: usize = 8;
/// Once there are so many, one in so many that is like none of them takes the place of the oldest.
const RENEWED: u32 = 16;

/// See the module.
pub(super) struct Alike {
    /// Tells it from those that had its place before.
    pub serial: u32,
    /// The least that each byte may be.
    low: Vec<u8>,
    /// By how much it may be more.
    span: Vec<u8>,
    /// Pieces whose bytes no range tells: where each begins and ends.
    closer: Vec<(Step, usize, usize)>,
    /// Where the amount stands that must not be zero, and its zero.
    not_zero: Option<(usize, usize, u8)>,
    kind: Kind,
    pub ends: Ends,
    /// Key material, on a day.
    pub key: Option<(i64, Filled)>,
    /// The answer by a leg, with a code; None: it takes a closer look.
    pub answer: Option<(u64, [u8; 2], Option<Filled>)>,
}

impl Alike {
    #[inline]
    fn fits(&self, content: &[u8]) -> bool {
        let seen = within(content, &self.low, &self.span)
            && self.not_zero.is_none_or(|(from, to, zero)| {
                content
                    .get(from..to)
                    .is_none_or(|digits| holds_other(digits, zero))
            });
        seen && self
            .closer
            .iter()
            .all(|(step, at, end)| step.check(content, *at) == Some(*end))
    }

    /// From `from` on, so many bytes must be as they are.
    fn fix(&mut self, content: &[u8], from: usize, count: usize) {
        let found = content.iter().zip(&mut self.low).zip(&mut self.span);
        for ((byte, low), span) in found.skip(from).take(count) {
            (*low, *span) = (*byte, 0);
        }
    }

    fn allow(&mut self, from: usize, to: usize, (least, most): (u8, u8)) {
        let found = self.low.iter_mut().zip(&mut self.span);
        for (low, span) in found.take(to).skip(from) {
            (*low, *span) = (least, most - least);
        }
    }
}

impl Stencil {
    /// What a request is, if it is like one that was looked at before.
    #[inline]
    pub fn glance(&mut self, content: &[u8]) -> Option<Seen> {
        let fits = |alike: &Alike| alike.fits(content);
        if !self.alike.get(self.latest).is_some_and(fits) {
            self.latest = self.alike.iter().position(fits)?;
        }
        let alike = self.alike.get(self.latest)?;
        Some(Seen {
            kind: alike.kind,
            like: u8::try_from(self.latest).ok(),
            serial: alike.serial,
        })
    }

    /// Keeps what others must be to be like this request, which was found to be in order.
    #[cold]
    pub(super) fn keep(&mut self, content: &[u8], ends: &Ends, kind: Kind) {
        let full = self.alike.len() >= KEPT_MAX;
        if full && self.unlike % RENEWED != 0 {
            return;
        }
        let alike = self.like(content, ends, kind);
        if full {
            self.alike.remove(0);
        }
        self.alike.push(alike);
    }

    fn like(&self, content: &[u8], ends: &Ends, kind: Kind) -> Alike {
        let mut alike = Alike {
            serial: self.unlike,
            low: content.to_vec(),
            span: vec![0; content.len()],
            closer: Vec::new(),
            not_zero: None,
            kind,
            ends: *ends,
            key: None,
            answer: None,
        };
        for ((step, from), to) in self.steps.iter().zip(ends).zip(ends.iter().skip(1)) {
            let (from, to) = (usize::from(*from), usize::from(*to));
            match step.fits(content.get(from..to).unwrap_or(&[])) {
                Fits::Within { width, range } => alike.allow(from + width, to, range),
                Fits::Closer => {
                    alike.allow(from, to, (0, u8::MAX));
                    alike.closer.push((*step, from, to));
                }
            }
        }
        for place in self.asked.iter().flatten() {
            let told = if place.hot.plain { 2 } else { 1 };
            alike.fix(content, place.value.at(ends), told);
        }
        if self.verdict.is_some_and(|verdict| verdict.refuses_zero)
            && let Some(amount) = &self.amount
        {
            let zero = if amount.hot.plain { b'0' } else { 0 };
            alike.not_zero = Some((amount.value.at(ends), amount.to.at(ends), zero));
        }
        for part in self.key.iter().filter(|part| part.significant) {
            if let Some(place) = &part.place {
                // Zeros in front, and what ends them, decide how long the key is.
                let value = place.wire(content, ends).unwrap_or(&[]);
                let told = crate::codec::key::zeros(value) + 1;
                alike.fix(content, place.value.at(ends), told.min(value.len()));
            }
        }
        if let Some(place) = self.time.and_then(|at| self.key.get(at)?.place) {
            // Month and day, which decide the year.
            let told = place.wire(content, ends).map_or(0, <[u8]>::len).min(4);
            alike.fix(content, place.value.at(ends), told);
        }
        alike
    }
}

/// Whether there are as many bytes as must be, and each is what it may be.
#[inline]
fn within(content: &[u8], low: &[u8], span: &[u8]) -> bool {
    if content.len() != low.len() || low.len() != span.len() {
        return false;
    }
    let blocks = (
        content.chunks_exact(BLOCK),
        low.chunks_exact(BLOCK),
        span.chunks_exact(BLOCK),
    );
    let mut over = [0; BLOCK];
    for ((content, low), span) in blocks.0.zip(blocks.1).zip(blocks.2) {
        over = or(over, above(content, low, span));
    }
    // The last block overlaps the one before it.
    let from = content.len().saturating_sub(BLOCK);
    let rest = (content.get(from..), low.get(from..), span.get(from..));
    if let (Some(content), Some(low), Some(span)) = rest {
        over = or(over, above(content, low, span));
    }
    u128::from_le_bytes(over) == 0
}

/// Whether a byte is another than `zero`.
#[inline(always)]
fn holds_other(digits: &[u8], zero: u8) -> bool {
    let zeros = u64::from_le_bytes([zero; 8]);
    match (digits.first_chunk(), digits.last_chunk()) {
        (Some(first), Some(last)) if digits.len() <= 16 => {
            u64::from_le_bytes(*first) != zeros || u64::from_le_bytes(*last) != zeros
        }
        _ => digits.iter().any(|byte| *byte != zero),
    }
}

/// By how much each byte of a block is more than it may be; what is less wraps around.
#[inline(always)]
fn above(content: &[u8], low: &[u8], span: &[u8]) -> [u8; BLOCK] {
    let (content, low, span) = (block(content), block(low), block(span));
    std::array::from_fn(|at| content[at].wrapping_sub(low[at]).saturating_sub(span[at]))
}

#[inline(always)]
fn or(one: [u8; BLOCK], other: [u8; BLOCK]) -> [u8; BLOCK] {
    (u128::from_le_bytes(one) | u128::from_le_bytes(other)).to_le_bytes()
}

/// The bytes, and zeros behind them if they are fewer.
#[inline(always)]
fn block(bytes: &[u8]) -> [u8; BLOCK] {
    match bytes.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut block = [0; BLOCK];
            for (place, byte) in block.iter_mut().zip(bytes) {
                *place = *byte;
            }
            block
        }
    }
}

/// Where a run of the request goes.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: u16,
    to: u16,
    at: u16,
}

/// Bytes that are the same for all that are alike, and what is put between them.
#[derive(Default)]
pub(super) struct Filled {
    whole: Vec<u8>,
    runs: Vec<Run>,
}

impl Filled {
    /// Of what was written once. `runs`: from where to where in the request, and where it went. None when it is too long.
    pub(super) fn of(
        mut whole: Vec<u8>,
        runs: impl Iterator<Item = (usize, usize, usize)>,
    ) -> Option<Filled> {
        let mut kept = Vec::new();
        for (from, to, at) in runs.filter(|(from, to, _)| to > from) {
            whole.get_mut(at..at + (to - from))?.fill(0);
            kept.push(Run {
                from: u16::try_from(from).ok()?,
                to: u16::try_from(to).ok()?,
                at: u16::try_from(at).ok()?,
            });
        }
        Some(Filled { whole, runs: kept })
    }

    /// Appends it for a request.
    #[inline]
    pub(super) fn fill(&self, content: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.whole);
        let Some(place) = out.get_mut(start..) else {
            return;
        };
        for run in &self.runs {
            let (from, to) = (usize::from(run.from), usize::from(run.to));
            let at = usize::from(run.at);
            let found = (place.get_mut(at..at + (to - from)), content.get(from..to));
            if let (Some(place), Some(run)) = found {
                put(place, run);
            }
        }
    }
}

/// A copy of a short run, without a call.
#[inline(always)]
fn put(place: &mut [u8], run: &[u8]) {
    if !(ends::<16>(place, run, 32) || ends::<8>(place, run, 16) || ends::<4>(place, run, 8)) {
        place.copy_from_slice(run);
    }
}

/// Copies the first N bytes and the last, where these are all.
#[inline(always)]
fn ends<const N: usize>(place: &mut [u8], run: &[u8], most: usize) -> bool {
    if run.len() < N || run.len() > most || place.len() != run.len() {
        return false;
    }
    if let (Some(place), Some(run)) = (place.first_chunk_mut::<N>(), run.first_chunk::<N>()) {
        *place = *run;
    }
    if let (Some(place), Some(run)) = (place.last_chunk_mut::<N>(), run.last_chunk::<N>()) {
        *place = *run;
    }
    true
}
