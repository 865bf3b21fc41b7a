//! Forms: a field that peers fill in one of several ways, told apart by how its value begins or by its length.
//!
//! Sub-fields of a form stand at fixed places, of bytes or (packed) of half bytes; BER-TLV may follow, and a mark that
//! closes it. A value that is in no form is whole: it passes, and nothing is known of its inside.

use std::borrow::Cow;

use crate::codec::charset;
use crate::codec::spec::{Part, Sub, Tagged};
use crate::codec::tlv;
use crate::codec::value::hex_digit;

/// One way of filling a binary field.
#[derive(Clone, Debug, Default)]
pub struct Form {
    pub name: String,
    /// How the value begins; empty: any way.
    pub starts: Vec<u8>,
    /// Its length in characters of the form; None: any.
    pub length: Option<usize>,
    /// Two digits a byte: sub-fields are counted in digits.
    pub packed: bool,
    pub subs: Vec<Sub>,
    /// BER-TLV stands behind the sub-fields.
    pub tlv: bool,
    /// What closes the TLV.
    pub end: Vec<u8>,
    pub tags: Vec<Tagged>,
}

/// Where a value breaks its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormFault {
    pub part: Part,
    /// Bytes into the value.
    pub at: usize,
    pub found: String,
    pub expected: String,
}

impl Form {
    /// Characters of all sub-fields.
    pub fn head(&self) -> usize {
        self.subs.iter().map(|sub| usize::from(sub.length)).sum()
    }

    fn takes(&self, whole: &[u8]) -> bool {
        let count = whole.len() * if self.packed { 2 } else { 1 };
        whole.starts_with(&self.starts) && self.length.is_none_or(|length| length == count)
    }

    /// The value in characters: digits where it is packed.
    fn text<'a>(&self, whole: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.packed {
            return Cow::Borrowed(whole);
        }
        let digits = whole
            .iter()
            .flat_map(|&b| [hex_digit(b >> 4), hex_digit(b)]);
        Cow::Owned(digits.collect())
    }

    /// What stands behind the sub-fields, without its closing mark, and where it begins.
    pub fn tail<'a>(&self, whole: &'a [u8]) -> (usize, &'a [u8]) {
        let tail = whole.get(self.head()..).unwrap_or(&[]);
        (self.head(), tail.strip_suffix(&*self.end).unwrap_or(tail))
    }

    /// The characters of a sub-field.
    pub fn cut<'a>(&self, sub: &Sub, whole: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let range = usize::from(sub.at)..usize::from(sub.at) + usize::from(sub.length);
        match self.text(whole) {
            Cow::Borrowed(text) => text.get(range).map(Cow::Borrowed),
            Cow::Owned(text) => text.get(range).map(|part| Cow::Owned(part.to_vec())),
        }
    }

    fn check(&self, first: usize, whole: &[u8]) -> Result<(), FormFault> {
        let text = self.text(whole);
        let byte = |at: usize| if self.packed { at / 2 } else { at };
        for (index, sub) in self.subs.iter().enumerate() {
            let at = usize::from(sub.at);
            let fail = |at: usize, found: &str, expected: String| FormFault {
                part: Part::Sub((first + index) as u8),
                at: byte(at),
                found: found.to_owned(),
                expected,
            };
            let Some(value) = text.get(at..at + usize::from(sub.length)) else {
                return Err(fail(at, "the end", format!("{} characters", sub.length)));
            };
            if let Some(bad) = charset::first_wrong(sub.shape.kind, sub.shape.charset, value) {
                let expected = sub.shape.kind.as_str().to_owned();
                return Err(fail(at + bad, "a byte outside the type", expected));
            }
        }
        let (start, tail) = self.tail(whole);
        if self.tlv {
            return tlv::check_ber(tail).map_err(|fault| FormFault {
                part: fault.tag.map_or(Part::Whole, Part::Tag),
                at: start + fault.at,
                found: fault.found,
                expected: fault.expected,
            });
        }
        match text.len().checked_sub(self.head()) {
            Some(left) if left > 0 => Err(FormFault {
                part: Part::Whole,
                at: byte(self.head()),
                found: format!("{left} characters behind the last sub-field"),
                expected: "none".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// The form of a value, and the index of its first sub-field among those of all forms.
pub fn of<'f>(forms: &'f [Form], whole: &[u8]) -> Option<(usize, &'f Form)> {
    let mut first = 0;
    for form in forms {
        if form.takes(whole) {
            return Some((first, form));
        }
        first += form.subs.len();
    }
    None
}

/// A sub-field by its index among those of all forms.
pub fn sub(forms: &[Form], index: u8) -> Option<(&Form, &Sub)> {
    let mut at = usize::from(index);
    for form in forms {
        if let Some(sub) = form.subs.get(at) {
            return Some((form, sub));
        }
        at -= form.subs.len();
    }
    None
}

/// The index of the first sub-field of a name.
pub fn named(forms: &[Form], name: &str) -> Option<u8> {
    let mut all = forms.iter().flat_map(|form| &form.subs);
    all.position(|sub| sub.name == name).map(|at| at as u8)
}

/// What is known of a tag in any of the forms.
pub fn tagged(forms: &[Form], tag: u32) -> Option<&Tagged> {
    let mut all = forms.iter().flat_map(|form| &form.tags);
    all.find(|known| known.tag == tag)
}

/// The value of a part: of a sub-field where the value's own form has one of that name.
pub fn cut<'a>(forms: &[Form], part: Part, whole: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let (_, form) = of(forms, whole)?;
    match part {
        Part::Whole => Some(Cow::Borrowed(whole)),
        Part::Sub(index) => {
            let (_, asked) = sub(forms, index)?;
            let own = form.subs.iter().find(|sub| sub.name == asked.name)?;
            form.cut(own, whole)
        }
        Part::Tag(tag) if form.tlv => {
            tlv::first_ber(form.tail(whole).1, tag).map(|e| Cow::Borrowed(e.value))
        }
        Part::Tag(_) => None,
    }
}

/// Whether a value keeps the rules of its form.
pub fn check(forms: &[Form], whole: &[u8]) -> Result<(), FormFault> {
    match of(forms, whole) {
        Some((first, form)) => form.check(first, whole),
        None => Ok(()),
    }
}

/// A whole value from parts: the first form that has them all. None when there is none, or a part does not fit.
pub fn compose(forms: &[Form], parts: &[(Part, &[u8])]) -> Option<Vec<u8>> {
    let name_of = |index: u8| sub(forms, index).map(|(_, sub)| sub.name.as_str());
    let form = forms.iter().find(|form| {
        parts.iter().all(|(part, _)| match part {
            Part::Sub(index) => {
                name_of(*index).is_some_and(|name| form.subs.iter().any(|sub| sub.name == name))
            }
            Part::Tag(_) => form.tlv,
            Part::Whole => false,
        })
    })?;
    let mut text = Vec::with_capacity(form.head());
    for own in &form.subs {
        let given = parts.iter().find_map(|(part, value)| match part {
            Part::Sub(index) if name_of(*index) == Some(&*own.name) => Some(*value),
            _ => None,
        });
        let value = given.unwrap_or(&[]);
        let spare = usize::from(own.length).checked_sub(value.len())?;
        let filling: u8 = match own.shape.kind {
            kind if kind.numeric() => b'0',
            charset::Type::B => 0,
            _ => b' ',
        };
        let front = if own.shape.kind.numeric() { spare } else { 0 };
        text.extend(std::iter::repeat_n(filling, front));
        text.extend_from_slice(value);
        text.extend(std::iter::repeat_n(filling, spare - front));
    }
    if let (Some(place), true) = (text.get_mut(..form.starts.len()), !form.packed) {
        place.copy_from_slice(&form.starts);
    }
    if form.packed {
        text = text
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, &d| byte << 4 | (d & 0xf)))
            .collect();
    }
    for (part, value) in parts {
        if let Part::Tag(tag) = part {
            tlv::push_ber(&mut text, *tag, value);
        }
    }
    text.extend_from_slice(&form.end);
    Some(text)
}
