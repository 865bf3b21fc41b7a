//! A request that is only to be refused, where it stands: its fields are found and checked, and nothing is copied.
//!
//! Refusing must cost a twentieth of serving, or a switch that gets ten times what it can serve does nothing else. So
//! there is no message here, only places on the stack; whatever takes more than that is left to the ordinary way.

use std::borrow::Cow;
use std::sync::Arc;

use crate::codec::axis::Length;
use crate::codec::charset;
use crate::codec::decode::{Refusal, announced, head, mti, received};
use crate::codec::kind::{Kind, Rule};
use crate::codec::message::Message;
use crate::codec::name::{Name, Source, Wire};
use crate::codec::spec::Dialect;
use crate::codec::value::decimal;

/// Whether a frame asks for something that could as well be refused: an MTI of class 1 or 2 (authorisation, financial)
/// and function 0 (request), whoever sends it and whether or not it says of itself that it is a repeat. Reversals,
/// advices, network management and what cannot be told are not. Looks at the MTI alone.
///
/// **Source:** ISO 8583-1:2003, 5.2.2: message class and function.
#[inline]
pub fn is_new_request(dialect: &Dialect, content: &[u8]) -> bool {
    let body = content.get(dialect.envelope.width()..).unwrap_or(&[]);
    let mti = mti(dialect.mti, body);
    matches!(mti, Some(([_, b'1' | b'2', b'0', _], _)))
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

/// Fields of one bitmap, and nothing at 0.
const PLACES: usize = 65;

/// Where one field stands: its length if it has one, its value, its end.
#[derive(Clone, Copy, Default)]
struct Place {
    start: u16,
    value: u16,
    end: u16,
}

/// A request of which nothing stands in its way of being refused.
pub struct Glance<'a> {
    dialect: &'a Dialect,
    body: &'a [u8],
    mti: [u8; 4],
    kind: Kind,
    places: [Place; PLACES],
}

impl<'a> Glance<'a> {
    /// None: the frame is not a well-formed request, or has something that takes a closer look. As `receive_to_refuse`,
    /// it does not look inside fields that have a structure.
    #[inline]
    pub fn at(dialect: &'a Dialect, content: &'a [u8]) -> Option<Glance<'a>> {
        if dialect.envelope.width() > 0 || dialect.elsewhere || dialect.supplies_any() {
            return None;
        }
        let body = content;
        let head = head(dialect, body).ok().filter(|head| !head.wide)?;
        let mut glance = Glance {
            dialect,
            body,
            mti: head.mti,
            kind: Kind::Unknown,
            places: [Place::default(); PLACES],
        };
        let mut at = head.at;
        let mut rest = (head.bits >> 64) as u64;
        while rest != 0 {
            let zeros = rest.leading_zeros();
            let number = zeros as u8 + 1;
            rest &= !(1 << (63 - zeros));
            at = glance.field(number, at)?;
        }
        if at != body.len() {
            return None;
        }
        let rule = glance.rule()?;
        let missing = rule.mandatory & !head.bits != 0;
        let refused = rule.refuses_pin && glance.value_of(Name::PinBlock).is_some()
            || rule.refuses_zero_amount && decimal(glance.plain(Name::Amount)?)? == 0;
        if missing || refused {
            return None;
        }
        glance.kind = rule.kind;
        Some(glance)
    }

    /// Finds and checks one field; where the next one begins.
    #[inline]
    fn field(&mut self, number: u8, start: usize) -> Option<usize> {
        let hot = self.dialect.hot.get(usize::from(number))?.as_ref()?;
        let (value, count) = match hot.length {
            Length::Fixed(length) => (start, usize::from(length)),
            Length::Variable { prefix, min, max } => {
                let count = announced(hot, prefix, self.body, start, number).ok()?;
                if count > usize::from(max) || count < usize::from(min) {
                    return None;
                }
                (start + prefix.width(), count)
            }
        };
        let end = value + hot.wire_length(count);
        let wire = self.body.get(value..end)?;
        let shape = &hot.shape;
        let good =
            hot.plain && charset::fits_within(shape.kind, shape.charset, self.body, value, end);
        if !good && shape.first_wrong(wire, count).is_some() {
            return None;
        }
        *self.places.get_mut(usize::from(number))? = Place {
            start: start as u16,
            value: value as u16,
            end: end as u16,
        };
        Some(end)
    }

    fn rule(&self) -> Option<&'a Rule> {
        let two = |name| self.two(self.dialect.number(name));
        let mti = decimal(&self.mti)? as u16;
        let (processing, condition) = (two(Name::ProcessingCode)?, two(Name::ConditionCode)?);
        let kind = self.two(self.dialect.type_number)?;
        let found = self.dialect.kinds.find(mti, processing, condition, kind);
        found.ok()
    }

    /// The first two characters of a field, if it is there; nothing at all where its wire is not its value.
    #[inline]
    #[allow(clippy::option_option)]
    fn two(&self, number: u8) -> Option<Option<[u8; 2]>> {
        let Some((plain, value)) = self.value(number) else {
            return Some(None);
        };
        plain.then(|| value.first_chunk().copied())
    }

    /// Whether a field's wire is its value, and the wire.
    #[inline]
    fn value(&self, number: u8) -> Option<(bool, &'a [u8])> {
        let place = self.places.get(usize::from(number))?;
        let wire = self
            .body
            .get(usize::from(place.value)..usize::from(place.end))?;
        let hot = self.dialect.hot.get(usize::from(number))?.as_ref()?;
        (place.end > 0).then_some((hot.plain, wire))
    }

    /// A field whose wire is its value.
    #[inline]
    fn plain(&self, name: Name) -> Option<&'a [u8]> {
        let value = self.value(self.dialect.number(name));
        value.and_then(|(plain, wire)| plain.then_some(wire))
    }

    #[inline]
    fn value_of(&self, name: Name) -> Option<&'a [u8]> {
        self.value(self.dialect.number(name)).map(|(_, wire)| wire)
    }
}

/// What a request must tell to be refused.
pub trait Refusable: Source {
    fn mti(&self) -> [u8; 4];
    fn kind(&self) -> Kind;
    fn dialect(&self) -> &Dialect;
    /// See `Message::key_material`.
    fn key_material(&self, now_s: i64, out: &mut Vec<u8>);
    /// The whole message; None where nothing beside it is needed for an answer.
    fn message(&self) -> Option<&Message>;
}

impl Refusable for Message {
    fn mti(&self) -> [u8; 4] {
        Message::mti(self)
    }

    fn kind(&self) -> Kind {
        Message::kind(self)
    }

    fn dialect(&self) -> &Dialect {
        Message::dialect(self)
    }

    fn key_material(&self, now_s: i64, out: &mut Vec<u8>) {
        Message::key_material(self, now_s, out);
    }

    fn message(&self) -> Option<&Message> {
        Some(self)
    }
}

impl Refusable for Glance<'_> {
    fn mti(&self) -> [u8; 4] {
        self.mti
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn dialect(&self) -> &Dialect {
        self.dialect
    }

    #[inline]
    fn key_material(&self, now_s: i64, out: &mut Vec<u8>) {
        let value = |name: Name| match name {
            Name::Mti => Some(Cow::Borrowed(&self.mti[..])),
            _ => self.normal_of(self.dialect.number(name)),
        };
        super::key::material(self.dialect, self.mti, value, now_s, out);
    }

    fn message(&self) -> Option<&Message> {
        None
    }
}

impl Glance<'_> {
    /// The normal form of a field; borrowed where the wire has it.
    #[inline]
    fn normal_of(&self, number: u8) -> Option<Cow<'_, [u8]>> {
        let (plain, wire) = self.value(number)?;
        if plain {
            return Some(Cow::Borrowed(wire));
        }
        let hot = self.dialect.hot.get(usize::from(number))?.as_ref()?;
        let count = match hot.length {
            Length::Fixed(length) => usize::from(length),
            Length::Variable { prefix, .. } => {
                let start = usize::from(self.places.get(usize::from(number))?.start);
                announced(hot, prefix, self.body, start, number).ok()?
            }
        };
        let mut out = Vec::with_capacity(count);
        hot.shape.read(wire, count, &mut out);
        Some(Cow::Owned(out))
    }
}

impl Source for Glance<'_> {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        if name == Name::Mti {
            out.extend_from_slice(&self.mti);
            return true;
        }
        let value = self.normal_of(self.dialect.number(name));
        if let Some(value) = &value {
            out.extend_from_slice(value);
        }
        value.is_some()
    }

    #[inline]
    fn wire(&self, dialect: u64, number: u8) -> Wire<'_> {
        if dialect != self.dialect.identity {
            return Wire::Unlike;
        }
        let place = self.places.get(usize::from(number));
        place
            .filter(|place| place.end > 0)
            .and_then(|place| {
                self.body
                    .get(usize::from(place.start)..usize::from(place.end))
            })
            .map_or(Wire::Absent, Wire::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::tests::{dialect, purchase_frame};
    use crate::codec::{Check, Own, Sources};

    struct Busy;

    impl Source for Busy {
        fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
            if name == Name::ResponseCode {
                out.extend_from_slice(b"91");
            }
            name == Name::ResponseCode
        }
    }

    fn answer(dialect: &Dialect, request: &dyn Source) -> Vec<u8> {
        let own = Own {
            response_code: b"91",
            forwarder_code: b"90000001",
            ..Own::default()
        };
        let sources = Sources {
            request: Some(request),
            reply: Some(&Busy),
            own: Some(&own),
            ..Sources::default()
        };
        let mut out = Vec::new();
        let built = dialect
            .leg("answer")
            .map(|leg| leg.build(*b"0210", &sources, &mut out));
        assert!(built.is_some_and(|built| built.is_ok()));
        out
    }

    /// Whether a glance was enough; what it says is what the message says.
    fn agrees(dialect: &Arc<Dialect>, content: &[u8]) -> bool {
        let Some(glance) = Glance::at(dialect, content) else {
            return false;
        };
        let Ok(message) = receive_to_refuse(dialect, content, 7) else {
            unreachable!("a glance took what is not in order")
        };
        assert_eq!(message.check(), Check::Ok);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for now_s in [1_795_454_445, 1_798_761_599] {
            Refusable::key_material(&glance, now_s, &mut one);
            Refusable::key_material(&message, now_s, &mut other);
        }
        assert_eq!(one, other);
        assert_eq!(
            (Refusable::mti(&glance), Refusable::kind(&glance)),
            (Refusable::mti(&message), Refusable::kind(&message))
        );
        assert_eq!(answer(dialect, &glance), answer(dialect, &message));
        true
    }

    #[test]
    fn a_request_is_told_and_keyed_by_a_glance_as_by_its_message() {
        let dialect = dialect();
        let frame = purchase_frame(&dialect);
        assert!(agrees(&dialect, &frame) && is_new_request(&dialect, &frame));
        let without_its_end = frame.get(..frame.len() - 1).unwrap_or(&[]);
        assert!(Glance::at(&dialect, without_its_end).is_none());
        assert!(Glance::at(&dialect, &[]).is_none());
    }

    proptest! {
        #[test]
        fn whatever_comes_a_glance_agrees_with_the_message(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            whole in any::<bool>(),
        ) {
            let dialect = dialect();
            let mut frame = purchase_frame(&dialect);
            for (at, byte) in changes {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            if !whole {
                frame.truncate(cut.index(frame.len()));
            }
            agrees(&dialect, &frame);
        }
    }
}
