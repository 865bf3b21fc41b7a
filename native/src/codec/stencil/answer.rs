//! Answers to all requests with one bitmap: what is written once, and which runs of the request are taken over.

use super::alike::Filled;
use super::paste::Paste;
use super::pieces::{Ends, Place, Point};
use super::{Seen, Stencil};
use crate::codec::encode::Writer;
use crate::codec::frame::Framing;
use crate::codec::kind::response_mti;
use crate::codec::leg::{From, Leg, Own};
use crate::codec::name::{Name, Source};

/// One part of an answer.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// Of `written`.
    Written { from: u16, to: u16 },
    /// Of the request.
    Taken { from: Point, to: Point },
}

/// How an answer is put together.
#[derive(Clone, Debug)]
pub(super) struct Form {
    leg: u64,
    code: [u8; 2],
    framing: Framing,
    written: Vec<u8>,
    chunks: Vec<Chunk>,
}

/// What answers are made of beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    pub code: [u8; 2],
    pub forwarder_code: &'a [u8],
}

/// An answer of ours as a source: a response code and nothing else.
struct Word([u8; 2]);

impl Source for Word {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        if name == Name::ResponseCode {
            out.extend_from_slice(&self.0);
        }
        name == Name::ResponseCode
    }
}

impl Stencil {
    /// Appends the framed answer to a request, by the dialect's own leg `leg`. False, and nothing is appended, where that
    /// takes a closer look. `seen`: what this stencil found in this request.
    #[inline]
    pub fn answer(
        &mut self,
        leg: &Leg,
        answered: &Answered<'_>,
        content: &[u8],
        seen: &Seen,
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.last_saw(seen) {
            return false;
        }
        let Some(at) = seen.like.map(usize::from) else {
            let ends = self.ends;
            return self.answer_of(leg, answered, content, &ends, out);
        };
        match self.alike.get(at).and_then(|alike| alike.answer.as_ref()) {
            Some((known, code, filled)) if *known == leg.identity && *code == answered.code => {
                if let Some(filled) = filled {
                    filled.fill(content, out);
                }
                filled.is_some()
            }
            _ => self.answer_like(leg, answered, content, at, out),
        }
    }

    /// As `answer_of`, and keeps what those have that are like it.
    #[cold]
    fn answer_like(
        &mut self,
        leg: &Leg,
        answered: &Answered<'_>,
        content: &[u8],
        at: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(ends) = self.alike.get(at).map(|alike| alike.ends) else {
            return false;
        };
        let start = out.len();
        let built = self.answer_of(leg, answered, content, &ends, out);
        let whole = out.get(start..).unwrap_or(&[]);
        let form = self.form.as_ref().filter(|_| built);
        let filled = form.and_then(|form| Filled::of(whole.to_vec(), form.runs(&ends).into_iter()));
        if filled.is_some() == built
            && let Some(alike) = self.alike.get_mut(at)
        {
            alike.answer = Some((leg.identity, answered.code, filled));
        }
        built
    }

    fn answer_of(
        &mut self,
        leg: &Leg,
        answered: &Answered<'_>,
        content: &[u8],
        ends: &Ends,
        out: &mut Vec<u8>,
    ) -> bool {
        let known = self.form.as_ref();
        let known =
            known.is_some_and(|form| form.leg == leg.identity && form.code == answered.code);
        if !known {
            self.form = self.form_of(leg, answered);
        }
        let Some(form) = &self.form else {
            return false;
        };
        let start = out.len();
        let mut paste = Paste::behind(out, form.written.len() + content.len());
        for chunk in &form.chunks {
            match *chunk {
                Chunk::Written { from, to } => {
                    paste.put(&form.written, usize::from(from), usize::from(to));
                }
                Chunk::Taken { from, to } => {
                    paste.put(content, from.at(ends), to.at(ends));
                }
            }
        }
        paste.close();
        let closed = form.framing.close(out, start);
        if !closed {
            out.truncate(start);
        }
        closed
    }

    /// Does what `Leg::build` would, once: what is the request's becomes a place, and all else is written.
    #[cold]
    fn form_of(&self, leg: &Leg, answered: &Answered<'_>) -> Option<Form> {
        if leg.identity != self.dialect.identity {
            return None;
        }
        let own = Own {
            response_code: &answered.code,
            forwarder_code: answered.forwarder_code,
            ..Own::default()
        };
        let word = Word(answered.code);
        let mut written = Vec::new();
        let mut cuts = Vec::new();
        let mut writer = Writer::open(leg.head, None, response_mti(self.mti), &mut written);
        for slot in &leg.slots {
            let number = slot.hot.number;
            let before = writer.length();
            let put = match &slot.from {
                From::Request => {
                    let place = self.places.iter().find(|place| place.hot.number == number);
                    if let Some(place) = place {
                        cuts.push((before, *place));
                        writer.copy(number, &[]);
                    }
                    Ok(())
                }
                From::Reply => writer.field(&slot.hot, |out| word.normal(slot.name, out)),
                From::Own => writer.field(&slot.hot, |out| own.normal(slot.name, out)),
                From::Const(value) => writer.field(&slot.hot, |out| {
                    out.extend_from_slice(value);
                    true
                }),
                From::Original | From::Vault | From::Proof(_) => Ok(()),
            };
            // A second bitmap would move what is noted.
            if put.is_err() || number > 64 && writer.length() > before {
                return None;
            }
        }
        writer.close().ok()?;
        let chunks = chunks(&written, &cuts)?;
        Some(Form {
            leg: leg.identity,
            code: answered.code,
            framing: leg.head.framing,
            written,
            chunks,
        })
    }
}

impl Form {
    /// Where runs of the request go: from where to where, and to where in the answer.
    fn runs(&self, ends: &Ends) -> Vec<(usize, usize, usize)> {
        let mut at = 0;
        let mut runs = Vec::new();
        for chunk in &self.chunks {
            at += match *chunk {
                Chunk::Written { from, to } => usize::from(to - from),
                Chunk::Taken { from, to } => {
                    let (from, to) = (from.at(ends), to.at(ends));
                    runs.push((from, to, at));
                    to.saturating_sub(from)
                }
            };
        }
        runs
    }
}

/// What is written, with what is taken at its places between.
fn chunks(written: &[u8], cuts: &[(usize, Place)]) -> Option<Vec<Chunk>> {
    let all = u16::try_from(written.len()).ok()?;
    let mut chunks = Vec::new();
    let mut at = 0;
    for (cut, place) in cuts {
        let cut = u16::try_from(*cut).ok()?;
        match chunks.last_mut() {
            Some(Chunk::Taken { to, .. }) if cut == at && *to == place.from => {
                *to = place.to;
                continue;
            }
            _ => {}
        }
        if cut > at {
            chunks.push(Chunk::Written { from: at, to: cut });
        }
        at = cut;
        chunks.push(Chunk::Taken {
            from: place.from,
            to: place.to,
        });
    }
    if all > at {
        chunks.push(Chunk::Written { from: at, to: all });
    }
    Some(chunks)
}
