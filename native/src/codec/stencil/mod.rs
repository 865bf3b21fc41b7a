//! A request that is only to be refused, where it stands: found, checked, keyed and answered without being decoded.
//!
//! Refusing must cost a fiftieth of serving, or a switch that gets ten times what it can serve does nothing else. All
//! requests of one MTI and bitmap have the same fields in the same order, so what there is to be done with them is
//! worked out once: the pieces that are checked together, the places of what is asked for, the runs of bytes that the
//! answer takes over. Nothing of it is kept of a message, and whatever needs more than that goes the whole way
//! (`decode`), which says the same of every request that a stencil takes.

mod alike;
mod answer;
mod paste;
mod pieces;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::alike::{Alike, Filled};
use self::answer::Form;
use self::paste::Paste;
use self::pieces::{Ends, Holds, Pieces, Place, STEPS_MAX, Step};
use crate::codec::axis::Length;
use crate::codec::charset::Type;
use crate::codec::decode::{Refusal, head, mti, received};
use crate::codec::key;
use crate::codec::kind::Kind;
use crate::codec::message::Message;
use crate::codec::name::Name;
use crate::codec::spec::{Dialect, bit};

pub use self::answer::Answered;

/// Whether a frame asks for something that could as well be refused: an MTI of class 1 or 2 (authorisation, financial)
/// and function 0 (request), whoever sends it and whether or not it says of itself that it is a repeat. Reversals,
/// advices, network management and what cannot be told are not. Looks at the MTI alone.
///
/// **Source:** ISO 8583-1:2003, 5.2.2: message class and function.
#[inline]
pub fn is_new_request(dialect: &Dialect, content: &[u8]) -> bool {
    let body = content.get(dialect.envelope.width()..).unwrap_or(&[]);
    mti(dialect.mti, body).is_some_and(|(mti, _)| is_request(mti))
}

fn is_request(mti: [u8; 4]) -> bool {
    matches!(mti, [_, b'1' | b'2', b'0', _])
}

/// As `receive`, of a message that is only to be refused: what stands inside a field that has a structure is not looked
/// at. Whoever sends nonsense in one is told so when there is time.
#[inline]
pub fn receive_to_refuse(
    dialect: &Arc<Dialect>,
    content: &[u8],
    received_ns: u64,
) -> Result<Message, Box<Refusal>> {
    received::<false>(dialect, content, received_ns)
}

const DAY_S: i64 = 86_400;
/// Digits of a number that is told from zero.
const AMOUNT_DIGITS_MAX: u16 = 18;

/// A field of the key.
#[derive(Clone, Copy, Debug)]
struct Part {
    place: Option<Place>,
    /// Zeros in front do not count.
    significant: bool,
}

/// What the table of kinds says of the three fields that it asks for.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    asked: [Option<[u8; 2]>; 3],
    /// None: not in the table, or it lacks a field, or has one that it must not have.
    kind: Option<Kind>,
    refuses_zero: bool,
}

/// All requests of one dialect, MTI and bitmap.
pub struct Stencil {
    dialect: Arc<Dialect>,
    head_bytes: u8,
    mti: [u8; 4],
    bits: u128,
    has_pin: bool,
    steps: Vec<Step>,
    /// Processing code, condition code, type.
    asked: [Option<Place>; 3],
    amount: Option<Place>,
    places: Vec<Place>,
    asker: Vec<u8>,
    key: Vec<Part>,
    /// Longest key material.
    key_bytes_max: usize,
    /// Which of `key` is the transmission time.
    time: Option<usize>,
    verdict: Option<Verdict>,
    /// Month and day, today, and the year of both.
    year: Option<([u8; 4], i64, u16)>,
    form: Option<Form>,
    alike: Vec<Alike>,
    /// Which of them the last request was like.
    latest: usize,
    /// Requests that were like none of them.
    unlike: u32,
    /// Where the fields of the last of these end.
    ends: Ends,
}

/// What a stencil found in a request: to be asked of the same stencil and request, before it looks at another one.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub kind: Kind,
    /// Which one it is like of those that are kept; None: of none, and its fields end where `ends` says.
    like: Option<u8>,
    /// Of that one, or of the last search.
    serial: u32,
}

impl Stencil {
    /// Whether requests of a dialect can be told by stencils at all.
    pub fn serves(dialect: &Dialect) -> bool {
        dialect.envelope.width() == 0 && !dialect.elsewhere && !dialect.supplies_any()
    }

    /// MTI and bitmap of a new request: those that begin alike have one stencil.
    pub fn head<'a>(dialect: &Dialect, content: &'a [u8]) -> Option<&'a [u8]> {
        let head = head(dialect, content).ok()?;
        content.get(..head.at).filter(|_| is_request(head.mti))
    }

    /// The stencil of a request; None where its like takes a closer look. `asker` stands in front of all key material.
    pub fn of(dialect: &Arc<Dialect>, content: &[u8], asker: &[u8]) -> Option<Stencil> {
        let head = head(dialect, content).ok().filter(|head| !head.wide)?;
        if !Stencil::serves(dialect) || !is_request(head.mti) {
            return None;
        }
        let (steps, places) = cut(dialect, head.bits)?;
        let place = |number: u8| {
            let found = places.iter().find(|place| place.hot.number == number);
            found.copied()
        };
        let named = |name: Name| place(dialect.number(name));
        let amount = named(Name::Amount);
        let asked = [
            named(Name::ProcessingCode),
            named(Name::ConditionCode),
            place(dialect.type_number),
        ];
        if !asked.iter().flatten().all(is_told) || !amount.iter().all(is_counted) {
            return None;
        }
        let part = |&name: &Name| Part {
            place: named(name),
            significant: key::is_stripped(name),
        };
        let names = &dialect.keys.request;
        let key: Vec<Part> = names.iter().map(part).collect();
        Some(Stencil {
            dialect: Arc::clone(dialect),
            head_bytes: head.at as u8,
            mti: head.mti,
            bits: head.bits,
            has_pin: named(Name::PinBlock).is_some(),
            asked,
            amount,
            asker: asker.to_vec(),
            key_bytes_max: key_bytes_max(&key),
            key,
            time: names
                .iter()
                .position(|name| *name == Name::TransmissionTime),
            verdict: None,
            year: None,
            form: None,
            alike: Vec::new(),
            latest: 0,
            unlike: 0,
            ends: [0; STEPS_MAX + 1],
            steps,
            places,
        })
    }

    pub fn mti(&self) -> [u8; 4] {
        self.mti
    }

    /// Finds and checks the fields of a frame that begins with the stencil's head. None: it is not well-formed, or not
    /// to be refused by a glance.
    #[inline]
    pub fn look(&mut self, content: &[u8]) -> Option<Seen> {
        match self.glance(content) {
            Some(seen) => Some(seen),
            None => self.search(content),
        }
    }

    fn search(&mut self, content: &[u8]) -> Option<Seen> {
        if content.len() > usize::from(u16::MAX) {
            return None;
        }
        let mut ends: Ends = [0; STEPS_MAX + 1];
        let (first, behind) = ends.split_first_mut()?;
        let mut at = usize::from(self.head_bytes);
        *first = at as u16;
        for (step, end) in self.steps.iter().zip(behind) {
            at = step.check(content, at)?;
            *end = at as u16;
        }
        if at != content.len() {
            return None;
        }
        let kind = self.kind(content, &ends)?;
        self.unlike = self.unlike.wrapping_add(1);
        self.ends = ends;
        self.keep(content, &ends, kind);
        Some(Seen {
            kind,
            like: None,
            serial: self.unlike,
        })
    }

    /// What the request is, if the static rules have nothing against it and its answer is one to a request.
    #[inline]
    fn kind(&mut self, content: &[u8], ends: &Ends) -> Option<Kind> {
        let mut asked = [None; 3];
        for (place, two) in self.asked.iter().zip(&mut asked) {
            if let Some(place) = place {
                *two = Some(place.two(content, ends)?);
            }
        }
        let verdict = match self.verdict {
            Some(verdict) if verdict.asked == asked => verdict,
            _ => self.judge(asked),
        };
        if verdict.refuses_zero
            && let Some(amount) = &self.amount
        {
            let zero = if amount.hot.plain { b'0' } else { 0 };
            if amount.wire(content, ends)?.iter().all(|byte| *byte == zero) {
                return None;
            }
        }
        verdict.kind
    }

    #[cold]
    fn judge(&mut self, asked: [Option<[u8; 2]>; 3]) -> Verdict {
        let [processing, condition, kind] = asked;
        let mti = self
            .mti
            .iter()
            .fold(0, |mti, digit| mti * 10 + u16::from(digit & 0xf));
        let found = self.dialect.kinds.find(mti, processing, condition, kind);
        let good = found.ok().filter(|rule| {
            let plainly = !matches!(
                rule.kind,
                Kind::ReversalRequest | Kind::ReversalAdvice | Kind::Network
            );
            plainly && rule.mandatory & !self.bits == 0 && !(rule.refuses_pin && self.has_pin)
        });
        let verdict = Verdict {
            asked,
            kind: good.map(|rule| rule.kind),
            refuses_zero: good.is_some_and(|rule| rule.refuses_zero_amount),
        };
        self.verdict = Some(verdict);
        verdict
    }

    /// See `Message::key_material`; who asks stands in front of it. `seen`: what this stencil found in this request.
    #[inline]
    pub fn key_material(&mut self, content: &[u8], seen: &Seen, now_s: i64, out: &mut Vec<u8>) {
        if !self.last_saw(seen) {
            return;
        }
        let Some(at) = seen.like.map(usize::from) else {
            let ends = self.ends;
            return self.key_of(content, &ends, now_s, out);
        };
        let today = now_s.div_euclid(DAY_S);
        match self.alike.get(at).map(|alike| &alike.key) {
            Some(Some((day, filled))) if *day == today => filled.fill(content, out),
            _ => self.key_like(content, at, now_s, out),
        }
    }

    /// Whether `seen` is of the last request that this stencil looked at.
    #[inline]
    fn last_saw(&self, seen: &Seen) -> bool {
        match seen.like {
            Some(at) => self
                .alike
                .get(usize::from(at))
                .is_some_and(|alike| alike.serial == seen.serial),
            None => self.unlike == seen.serial,
        }
    }

    /// As `key_of`, and keeps what those have that are like it.
    #[cold]
    fn key_like(&mut self, content: &[u8], at: usize, now_s: i64, out: &mut Vec<u8>) {
        let Some(ends) = self.alike.get(at).map(|alike| alike.ends) else {
            return;
        };
        let start = out.len();
        self.key_of(content, &ends, now_s, out);
        let mut to_at = self.asker.len() + 1;
        let mut plain = true;
        let runs: Vec<_> = self
            .key
            .iter()
            .map(|part| {
                to_at += 2;
                let Some(place) = &part.place else {
                    return (0, 0, to_at);
                };
                plain &= place.hot.plain;
                let (from, to) = (place.value.at(&ends), place.to.at(&ends));
                let from = match part.significant {
                    true => from + key::zeros(content.get(from..to).unwrap_or(&[])),
                    false => from,
                };
                let run = (from, to, to_at);
                to_at += to - from;
                run
            })
            .collect();
        if plain
            && let Some(whole) = out.get(start..)
            && let Some(filled) = Filled::of(whole.to_vec(), runs.into_iter())
            && let Some(alike) = self.alike.get_mut(at)
        {
            alike.key = Some((now_s.div_euclid(DAY_S), filled));
        }
    }

    fn key_of(&mut self, content: &[u8], ends: &Ends, now_s: i64, out: &mut Vec<u8>) {
        let year = self.dialect.keys.dated.then(|| {
            let year = self.year_of(content, ends, now_s);
            year.to_le_bytes()
        });
        out.extend_from_slice(&self.asker);
        let mut paste = Paste::behind(out, self.key_bytes_max);
        paste.few([key::class_of(self.mti)]);
        for part in &self.key {
            match &part.place {
                Some(place) if place.hot.plain => {
                    let (from, to) = (place.value.at(ends), place.to.at(ends));
                    let from = match part.significant {
                        true => from + key::zeros(content.get(from..to).unwrap_or(&[])),
                        false => from,
                    };
                    paste.few(((to - from) as u16).to_le_bytes());
                    paste.put(content, from, to);
                }
                Some(place) => {
                    let mut normal = Vec::new();
                    place.read(content, ends, &mut normal);
                    let from = match part.significant {
                        true => key::zeros(&normal),
                        false => 0,
                    };
                    paste.few(((normal.len() - from) as u16).to_le_bytes());
                    paste.put(&normal, from, normal.len());
                }
                None => paste.few(key::ABSENT.to_le_bytes()),
            }
        }
        if let Some(year) = year {
            paste.few(year);
        }
        paste.close();
    }

    #[inline]
    fn year_of(&mut self, content: &[u8], ends: &Ends, now_s: i64) -> u16 {
        let place = self.time.and_then(|at| self.key.get(at)?.place);
        let today = now_s.div_euclid(DAY_S);
        let date = place
            .filter(|place| place.hot.plain)
            .and_then(|place| place.wire(content, ends)?.first_chunk().copied());
        if let (Some(date), Some((known, day, year))) = (date, self.year)
            && known == date
            && day == today
        {
            return year;
        }
        let mut normal = Vec::new();
        if let Some(place) = &place {
            place.read(content, ends, &mut normal);
        }
        let year = key::year(place.is_some().then_some(&normal[..]), now_s);
        self.year = date.map(|date| (date, today, year));
        year
    }
}

/// The pieces of a message with this bitmap, and where its fields are.
fn cut(dialect: &Dialect, bits: u128) -> Option<(Vec<Step>, Vec<Place>)> {
    let mut pieces = Pieces::default();
    for number in (2..=64).filter(|number| bits & bit(*number) != 0) {
        pieces.add(dialect.hot.get(usize::from(number))?.as_ref()?)?;
    }
    let places = pieces.places();
    Some((pieces.steps, places))
}

/// Class, year, and each field behind its length.
fn key_bytes_max(key: &[Part]) -> usize {
    let widths = key.iter().map(|part| {
        let place = part.place.as_ref();
        2 + place.map_or(0, |place| usize::from(place.hot.length.max()))
    });
    1 + 2 + widths.sum::<usize>()
}

/// Its first two characters are there, and can be told without reading all of it.
fn is_told(place: &Place) -> bool {
    let Length::Fixed(count) = place.hot.length else {
        return false;
    };
    let count = usize::from(count);
    count >= 2 && (place.hot.plain || place.hot.shape.starts_whole(count))
}

/// It is nothing but digits, and can be told from zero without reading it.
fn is_counted(place: &Place) -> bool {
    let few = matches!(place.hot.length, Length::Fixed(count) if count <= AMOUNT_DIGITS_MAX);
    few && matches!(Holds::of(&place.hot), Holds::Text(Type::N) | Holds::Packed)
}
