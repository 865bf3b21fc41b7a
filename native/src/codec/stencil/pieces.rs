//! Where the fields of all requests with one bitmap lie, and the pieces in which they are checked.

use crate::codec::axis::{Encoding, Length, Prefix, Unit};
use crate::codec::charset::{self, Charset, Type};
use crate::codec::decode::announced;
use crate::codec::spec::Hot;
use crate::codec::value::digits_packed;

/// Pieces of one message at most.
pub(super) const STEPS_MAX: usize = 48;

/// Where each piece of a message ends; the first is its head.
pub(super) type Ends = [u16; STEPS_MAX + 1];

/// A place in all requests of a stencil: so far behind the end of one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    behind: u8,
    by: u16,
}

impl Point {
    #[inline]
    pub(super) fn at(self, ends: &Ends) -> usize {
        let end = ends.get(usize::from(self.behind)).copied().unwrap_or(0);
        usize::from(end) + usize::from(self.by)
    }
}

/// Where a field stands: its length if it has one, its value, its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub from: Point,
    pub value: Point,
    pub to: Point,
    pub hot: Hot,
}

/// How many characters of normal form a piece has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    Fixed {
        count: u16,
        bytes: u16,
    },
    /// Announced by ASCII digits, so many.
    Digits {
        width: u8,
        min: u16,
        max: u16,
    },
    Announced {
        prefix: Prefix,
        min: u16,
        max: u16,
    },
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// The wire is the value.
    Text(Type),
    /// Two digits a byte.
    Packed,
    /// Whatever the field's shape says.
    Shaped,
}

/// One piece that is checked at once: a field, or fields of fixed length that may hold the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    size: Size,
    holds: Holds,
    hot: Hot,
}

/// What of a piece a range of bytes tells, when its length is known.
pub(super) enum Fits {
    /// Behind its length, which is so wide, each byte lies between these.
    Within {
        width: usize,
        range: (u8, u8),
    },
    Closer,
}

impl Holds {
    pub(super) fn of(hot: &Hot) -> Holds {
        let shape = &hot.shape;
        let even = matches!(hot.length, Length::Fixed(count) if count % 2 == 0);
        match (shape.encoding, shape.kind) {
            (Encoding::Binary, _) => Holds::Text(Type::B),
            (Encoding::Ascii, kind) if kind != Type::Xn && shape.charset == Charset::Ascii => {
                Holds::Text(kind)
            }
            (Encoding::Bcd, Type::N) if even => Holds::Packed,
            _ => Holds::Shaped,
        }
    }
}

impl Size {
    fn announced(holds: Holds, prefix: Prefix, min: u16, max: u16) -> Size {
        let counted = prefix.encoding == Encoding::Ascii && prefix.unit == Unit::Chars;
        match holds {
            Holds::Text(_) if counted && (2..=3).contains(&prefix.digits) => Size::Digits {
                width: prefix.digits,
                min,
                max,
            },
            _ => Size::Announced { prefix, min, max },
        }
    }
}

impl Step {
    /// What suffices for the piece to be what it must be; `wire` is one that is.
    pub(super) fn fits(&self, wire: &[u8]) -> Fits {
        let width = match self.size {
            Size::Fixed { .. } => 0,
            Size::Digits { width, .. } => usize::from(width),
            // What it counts may depend on what it announces.
            Size::Announced { .. } => return Fits::Closer,
        };
        let range = match self.holds {
            Holds::Text(Type::N) => (b'0', b'9'),
            Holds::Text(Type::Ans) => (b' ', b'~'),
            Holds::Text(Type::B) => (0, u8::MAX),
            // The other separator, a letter, goes the long way.
            Holds::Text(Type::Z) => (b'0', b'?'),
            // References are numbers as a rule.
            Holds::Text(Type::An | Type::Ns) if charset::digits(wire) => (b'0', b'9'),
            _ => return Fits::Closer,
        };
        Fits::Within { width, range }
    }

    /// Where the piece that begins at `at` ends, if it is what it must be.
    #[inline]
    pub(super) fn check(&self, content: &[u8], at: usize) -> Option<usize> {
        let (value, count, bytes) = match self.size {
            Size::Fixed { count, bytes } => (at, usize::from(count), usize::from(bytes)),
            Size::Digits { width, min, max } => {
                let value = at + usize::from(width);
                let count = number(content.get(at..value)?)?;
                within(count, min, max)?;
                (value, count, count)
            }
            Size::Announced { prefix, min, max } => {
                let count = announced(&self.hot, prefix, content, at, self.hot.number).ok()?;
                within(count, min, max)?;
                (at + prefix.width(), count, self.hot.wire_length(count))
            }
        };
        let end = value + bytes;
        if end > content.len() {
            return None;
        }
        let good = match self.holds {
            Holds::Text(kind) => charset::fits_within(kind, Charset::Ascii, content, value, end),
            Holds::Packed => digits_packed(content.get(value..end)?),
            Holds::Shaped => {
                let wire = content.get(value..end)?;
                self.hot.shape.first_wrong(wire, count).is_none()
            }
        };
        good.then_some(end)
    }
}

#[inline]
fn within(count: usize, min: u16, max: u16) -> Option<()> {
    (usize::from(min)..=usize::from(max))
        .contains(&count)
        .then_some(())
}

/// Two or three digits.
#[inline]
fn number(text: &[u8]) -> Option<usize> {
    let mut value = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + usize::from(digit);
    }
    Some(value)
}

impl Place {
    #[inline]
    pub(super) fn wire<'a>(&self, content: &'a [u8], ends: &Ends) -> Option<&'a [u8]> {
        content.get(self.value.at(ends)..self.to.at(ends))
    }

    /// The first two characters of a field that has them, and says them without being read.
    #[inline]
    pub(super) fn two(&self, content: &[u8], ends: &Ends) -> Option<[u8; 2]> {
        let wire = self.wire(content, ends)?;
        if self.hot.plain {
            return wire.first_chunk().copied();
        }
        let first = wire.first()?;
        Some([b'0' + (first >> 4), b'0' + (first & 0xf)])
    }

    /// Appends the normal form.
    pub(super) fn read(&self, content: &[u8], ends: &Ends, out: &mut Vec<u8>) {
        let count = match self.hot.length {
            Length::Fixed(count) => Some(usize::from(count)),
            Length::Variable { prefix, .. } => {
                let from = self.from.at(ends);
                announced(&self.hot, prefix, content, from, self.hot.number).ok()
            }
        };
        if let (Some(count), Some(wire)) = (count, self.wire(content, ends)) {
            self.hot.shape.read(wire, count, out);
        }
    }
}

/// Fields to pieces.
#[derive(Default)]
pub(super) struct Pieces {
    pub steps: Vec<Step>,
    found: Vec<Place>,
}

impl Pieces {
    /// Adds the next field; None when there are too many.
    pub(super) fn add(&mut self, hot: &Hot) -> Option<()> {
        let holds = Holds::of(hot);
        let at = |behind: usize, by: usize| Point {
            behind: behind as u8,
            by: by as u16,
        };
        let next = self.steps.len();
        if next == STEPS_MAX {
            return None;
        }
        let (from, value, to, step);
        match hot.length {
            Length::Fixed(count) => {
                let wide = hot.wire_length(usize::from(count));
                let wide = u16::try_from(wide).ok()?;
                match self.steps.last_mut() {
                    Some(Step {
                        size: Size::Fixed { count: all, bytes },
                        holds: before,
                        ..
                    }) if *before == holds && holds != Holds::Shaped => {
                        let start = usize::from(*bytes);
                        *bytes = bytes.checked_add(wide)?;
                        *all = all.checked_add(count)?;
                        from = at(next - 1, start);
                        to = at(next - 1, usize::from(*bytes));
                        step = None;
                    }
                    _ => {
                        from = at(next, 0);
                        to = at(next, usize::from(wide));
                        step = Some(Size::Fixed { count, bytes: wide });
                    }
                }
                value = from;
            }
            Length::Variable { prefix, min, max } => {
                from = at(next, 0);
                value = at(next, prefix.width());
                to = at(next + 1, 0);
                step = Some(Size::announced(holds, prefix, min, max));
            }
        }
        if let Some(size) = step {
            self.steps.push(Step {
                size,
                holds,
                hot: *hot,
            });
        }
        self.found.push(Place {
            from,
            value,
            to,
            hot: *hot,
        });
        Some(())
    }

    /// Where the fields are. The end of a whole piece has one name.
    pub(super) fn places(&self) -> Vec<Place> {
        let named = |place: &Place| {
            let mut place = *place;
            if let Some(Step {
                size: Size::Fixed { bytes, .. },
                ..
            }) = self.steps.get(usize::from(place.to.behind))
                && *bytes == place.to.by
            {
                place.to = Point {
                    behind: place.to.behind + 1,
                    by: 0,
                };
            }
            place
        };
        self.found.iter().map(named).collect()
    }
}
