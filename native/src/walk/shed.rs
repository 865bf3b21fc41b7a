//! Refusing what waits too long, without a record: a fiftieth of what serving it would cost.
//!
//! Requests that look alike are answered where they stand (`codec::Stencil`); what takes a closer look is decoded first.
//! A handful goes together: their keys are made first, so that what is looked up of the last comes into the cache while
//! the first are answered, and their answers are one frame in hold.

use std::sync::Arc;

use super::figures::{Outcome, class_of};
use super::gate::{Carried, Gate, GateError, Ticket, Waiting};
use super::hold::{Role, SlotId};
use super::legs::Legs;
use super::memory::Memory;
use super::steps::lend;
use super::turned_away::Told;
use crate::codec::kind::Kind;
use crate::codec::{
    Answered, Backlog, Check, Dialect, Leg, Message, Seen, Stencil, is_new_request,
    receive_to_refuse,
};
use crate::mac::Guard;
use crate::simulation::mutant;

/// Requests that are refused together.
const TOGETHER: usize = 32;
/// Stencils of one institution: MTIs and bitmaps that its terminals use. What comes beyond goes the whole way.
const STENCILS_MAX: usize = 32;
/// Once there are so many they are made anew at most that often: of a dialect that is no longer spoken, or of bitmaps
/// that somebody made up, none are wanted.
const RENEWED_S: i64 = 60;

/// What waits on one connection.
pub struct Line<'a> {
    pub dialect: &'a Arc<Dialect>,
    pub guard: Option<&'a Guard>,
    pub backlog: &'a mut Backlog,
    pub slot: SlotId,
}

/// How far to go, and what to say.
#[derive(Clone, Copy, Debug)]
pub struct Refusing {
    /// What came then or later is left alone.
    pub before_ns: u64,
    pub code: [u8; 2],
    pub end: [u8; 2],
    /// Unix seconds.
    pub now_s: i64,
}

/// What was refused: how many, and of which kinds.
#[derive(Debug, Default)]
pub struct Shed {
    pub count: usize,
    pub kinds: Vec<(u8, usize)>,
}

impl Shed {
    #[inline]
    fn add(&mut self, kind: Kind) {
        self.count += 1;
        let kind = kind as u8;
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.kinds.push((kind, 1)),
        }
    }
}

/// Why a handful ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Nothing stands in front that is to be refused.
    Done,
    /// What stands in front takes a closer look.
    Closer,
    /// There may be more.
    Full,
}

/// Stencils of one institution.
#[derive(Default)]
pub(super) struct Stencils {
    made: Vec<Known>,
    last: usize,
    since_s: i64,
    /// What stands in front of the material of all keys.
    asker: Vec<u8>,
}

struct Known {
    identity: u64,
    /// MTI and bitmap.
    head: Vec<u8>,
    /// None: its like takes a closer look.
    stencil: Option<Stencil>,
}

impl Stencils {
    fn of_institution(all: &mut Vec<Stencils>, institution: u16) -> Option<&mut Stencils> {
        let at = usize::from(institution);
        if all.len() <= at {
            all.resize_with(at + 1, Stencils::default);
        }
        all.get_mut(at)
    }

    /// The stencil of a frame, and what it found. None: the frame takes a closer look.
    #[inline]
    fn see(
        &mut self,
        dialect: &Arc<Dialect>,
        content: &[u8],
        now_s: i64,
    ) -> Option<(&mut Stencil, Seen)> {
        let last = self.made.get_mut(self.last);
        let at_once = last
            .filter(|known| known.identity == dialect.identity)
            .and_then(|known| known.stencil.as_mut()?.glance(content));
        let seen = match at_once {
            Some(seen) => seen,
            None => self.turn(dialect, content, now_s)?.look(content)?,
        };
        Some((self.made.get_mut(self.last)?.stencil.as_mut()?, seen))
    }

    /// The stencil of a frame that is not like the last.
    fn turn(&mut self, dialect: &Arc<Dialect>, content: &[u8], now_s: i64) -> Option<&mut Stencil> {
        let fits =
            |known: &Known| known.identity == dialect.identity && content.starts_with(&known.head);
        if !self.made.get(self.last).is_some_and(fits) {
            self.last = match self.made.iter().position(fits) {
                Some(at) => at,
                None => self.make(dialect, content, now_s)?,
            };
        }
        self.made.get_mut(self.last)?.stencil.as_mut()
    }

    #[cold]
    fn make(&mut self, dialect: &Arc<Dialect>, content: &[u8], now_s: i64) -> Option<usize> {
        let head = Stencil::head(dialect, content)?.to_vec();
        if self.made.len() >= STENCILS_MAX {
            if (now_s - self.since_s).abs() < RENEWED_S {
                return None;
            }
            self.made.clear();
        }
        if self.made.is_empty() {
            self.since_s = now_s;
        }
        self.made.push(Known {
            identity: dialect.identity,
            head,
            stencil: Stencil::of(dialect, content, &self.asker),
        });
        Some(self.made.len() - 1)
    }
}

/// What a handful is made with.
struct Means<'a> {
    stencils: &'a mut Stencils,
    memory: &'a mut Memory,
    leg: &'a Leg,
    answered: Answered<'a>,
    /// Takes the answers.
    out: &'a mut Vec<u8>,
}

/// Requests of one class that are answered together: where the material of its key ends, what it is, where its answer
/// ends, and how long it and those before it are.
struct Handful {
    materials: [usize; TOGETHER],
    found: [(Kind, usize, usize); TOGETHER],
    count: usize,
    class: Option<usize>,
}

impl Default for Handful {
    fn default() -> Handful {
        Handful {
            materials: [0; TOGETHER],
            found: [(Kind::Unknown, 0, 0); TOGETHER],
            count: 0,
            class: None,
        }
    }
}

impl Handful {
    /// Adds what waits from the front on, at most `most`, with an answer to each; why no more.
    fn gather(
        &mut self,
        line: &Line<'_>,
        means: &mut Means<'_>,
        refusing: &Refusing,
        most: usize,
    ) -> Ended {
        let now_s = refusing.now_s;
        let mut bodies = 0;
        for (content, came) in line.backlog.iter().take(most.min(TOGETHER)) {
            if came.complete_ns >= refusing.before_ns {
                return Ended::Done;
            }
            let Some((stencil, seen)) = means.stencils.see(line.dialect, content, now_s) else {
                return Ended::Closer;
            };
            let class = class_of(stencil.mti());
            if *self.class.get_or_insert(class) != class {
                return Ended::Full;
            }
            let fresh = self.count == 0;
            let material = means.memory.add_key(fresh, |out| {
                stencil.key_material(content, &seen, now_s, out);
            });
            if !stencil.answer(means.leg, &means.answered, content, &seen, means.out) {
                return Ended::Closer;
            }
            let places = (
                self.materials.get_mut(self.count),
                self.found.get_mut(self.count),
            );
            if let (Some(end), Some(found)) = places {
                *end = material;
                bodies += content.len();
                *found = (seen.kind, means.out.len(), bodies);
                self.count += 1;
            }
        }
        match self.count {
            0 => Ended::Done,
            _ => Ended::Full,
        }
    }
}

impl<T: Ticket> Gate<T> {
    /// Refuses new requests from the front on, at most `frames_max`, until one came too late or must not be refused;
    /// counts them in `shed`. Their repeats are told the same for a while.
    ///
    /// Ends before one whose key is known: what is remembered of it must be told, so that nobody takes an approval for a
    /// decline. Ends too before what is not in order, and before what cannot be answered, which the ordinary way finds
    /// out too.
    pub fn shed(
        &mut self,
        line: &mut Line<'_>,
        refusing: &Refusing,
        frames_max: usize,
        shed: &mut Shed,
    ) -> Result<(), GateError> {
        let Some((_, legs)) = self.open(Some(line.slot)) else {
            return Ok(());
        };
        let alike = line.guard.is_none()
            && legs.guard.is_none()
            && !legs.parties
            && Stencil::serves(line.dialect)
            && !mutant::any();
        let until = shed.count.saturating_add(frames_max);
        while shed.count < until {
            let most = (until - shed.count).min(TOGETHER);
            let ended = match alike {
                true => self.shed_alike(line, &legs, refusing, most, shed)?,
                false => Ended::Closer,
            };
            match ended {
                Ended::Full => {}
                Ended::Closer if self.shed_whole(line, refusing, shed)? => {}
                Ended::Closer | Ended::Done => break,
            }
        }
        Ok(())
    }

    /// A handful that takes no closer look.
    fn shed_alike(
        &mut self,
        line: &mut Line<'_>,
        legs: &Legs,
        refusing: &Refusing,
        most: usize,
        shed: &mut Shed,
    ) -> Result<Ended, GateError> {
        let (Some(institution), Ok(leg)) = (
            self.hold.institution(line.slot),
            legs.answer_of(Kind::Purchase),
        ) else {
            return Ok(Ended::Closer);
        };
        let mut memory = lend(&self.memory)?;
        let stencils = Stencils::of_institution(&mut self.stencils, institution);
        let (Some(stencils), Some(buffer)) = (stencils, self.hold.buffer(line.slot)) else {
            return Ok(Ended::Done);
        };
        if stencils.asker.is_empty() {
            stencils.asker = memory.asker(institution);
        }
        let start = buffer.len();
        let told = refusing.told();
        let mut handful = Handful::default();
        let mut means = Means {
            stencils,
            memory: &mut memory,
            leg,
            answered: Answered {
                code: line.dialect.answer_code(told.end, told.code),
                forwarder_code: &self.forwarder,
            },
            out: buffer,
        };
        let mut ended = handful.gather(line, &mut means, refusing, most);
        let mut keys = [[0; 16]; TOGETHER];
        let materials = handful.materials.get(..handful.count).unwrap_or(&[]);
        memory.keys_at_hand(materials, &mut keys);
        let (mut count, mut end, mut bodies) = (0, start, 0);
        for (key, (kind, to, with)) in keys.iter().zip(&handful.found).take(handful.count) {
            let known = memory.table.find(key).is_some()
                || !memory.turned_away.tell(key, told, refusing.now_s);
            if known {
                ended = Ended::Done;
                break;
            }
            shed.add(*kind);
            count += 1;
            (end, bodies) = (*to, *with);
        }
        drop(memory);
        buffer.truncate(end);
        line.backlog.skip_known(count, bodies);
        if let Some(class) = handful.class.filter(|_| count > 0) {
            let built = (start, count as u32);
            self.hold_refused(line.slot, built, institution, class, refusing);
        }
        Ok(ended)
    }

    /// The one in front, decoded. False, and nothing done, where it must not be refused.
    fn shed_whole(
        &mut self,
        line: &mut Line<'_>,
        refusing: &Refusing,
        shed: &mut Shed,
    ) -> Result<bool, GateError> {
        let (Some(message), Some(institution)) =
            (line.refusable(refusing), self.hold.institution(line.slot))
        else {
            return Ok(false);
        };
        let (told, now_s) = (refusing.told(), refusing.now_s);
        let mut memory = self.memory()?;
        let key = memory.key_of(&message, institution, now_s);
        if memory.table.find(&key).is_some() || memory.turned_away.told(&key, now_s).is_some() {
            return Ok(false);
        }
        drop(memory);
        self.supply_unclaimed(&message, Some(line.slot), now_s)?;
        let code = line.dialect.answer_code(told.end, told.code);
        let start = match self.build_answer(&message, Some(line.slot), code) {
            Ok(Some((_, start))) => start,
            Ok(None) | Err(GateError::Encode(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        self.memory()?.turned_away.tell(&key, told, now_s);
        line.backlog.pop();
        shed.add(message.kind());
        let class = class_of(message.mti());
        self.hold_refused(line.slot, (start, 1), institution, class, refusing);
        Ok(true)
    }

    /// Counts refusals and holds their answers, which were built from `start` on.
    fn hold_refused(
        &mut self,
        slot: SlotId,
        (start, count): (usize, u32),
        institution: u16,
        class: usize,
        refusing: &Refusing,
    ) {
        if let Some(figures) = &mut self.figures {
            let outcome = Outcome::of_code(refusing.code);
            figures.outcomes(institution, class, outcome, refusing.end, count.into());
        }
        let waiting = Waiting::Refused(count);
        let carried = Carried { class, waiting };
        self.hold.keep(slot, start, 0, 0, Role::Refusal, carried);
    }
}

impl Refusing {
    fn told(&self) -> Told {
        Told {
            code: self.code,
            end: self.end,
        }
    }
}

impl Line<'_> {
    /// What stands in front, if it is a new request that came early enough, is well-formed, and proves what its link
    /// wants proved.
    fn refusable(&self, refusing: &Refusing) -> Option<Message> {
        let (content, came) = self.backlog.front()?;
        if came.complete_ns >= refusing.before_ns || !is_new_request(self.dialect, content) {
            return None;
        }
        let mut message = receive_to_refuse(self.dialect, content, came.received_ns).ok()?;
        let proved = self.guard.is_none_or(|guard| guard.proves(&mut message));
        (proved && message.check() == Check::Ok).then_some(message)
    }
}
