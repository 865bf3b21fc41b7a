//! A source that names another amount than the one it stands for: what the defects of amounts are made of.

use super::mutant::{self, Mutant};
use crate::codec::leg::Sources;
use crate::codec::name::{Name, Proved, Source, Wire};

/// Field 4.
const AMOUNT: u8 = 4;
/// The digit of an MTI that tells a question from an answer, and whether it is one.
const FUNCTION: usize = 2;

/// A source with one more minor unit.
struct More<'a>(&'a dyn Source);

impl Source for More<'_> {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let there = self.0.normal(name, out);
        if name == Name::Amount
            && let Some(last) = out.get_mut(start..).and_then(<[u8]>::last_mut)
        {
            *last = if *last == b'9' { b'0' } else { *last + 1 };
        }
        there
    }

    fn proved(&self, what: Proved, out: &mut Vec<u8>) -> bool {
        self.0.proved(what, out)
    }

    fn wire(&self, dialect: u64, number: u8) -> Wire<'_> {
        match self.0.wire(dialect, number) {
            Wire::Bytes(_) if number == AMOUNT => Wire::Unlike,
            wire => wire,
        }
    }
}

/// Builds with the amount of a question, or of an answer, changed where such a defect is on.
pub fn altered<R>(mti: [u8; 4], sources: &Sources<'_>, build: impl FnOnce(&Sources<'_>) -> R) -> R {
    let answer = mti[FUNCTION] % 2 == 1;
    let wanted = if answer {
        Mutant::AmountInAnswer
    } else {
        Mutant::AmountToBank
    };
    if !mutant::on(wanted) {
        return build(sources);
    }
    let [request, reply, original] =
        [sources.request, sources.reply, sources.original].map(|source| source.map(More));
    build(&Sources {
        request: request.as_ref().map(|source| source as &dyn Source),
        reply: reply.as_ref().map(|source| source as &dyn Source),
        original: original.as_ref().map(|source| source as &dyn Source),
        ..*sources
    })
}
