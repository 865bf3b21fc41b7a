//! What stands inside a field: sub-fields at fixed places, tags, and the forms that a field may take.

use crate::codec::axis::Encoding;
use crate::codec::charset;
use crate::codec::charset::Type;
use crate::codec::decode::Wrong;
use crate::codec::form;
use crate::codec::spec::{Dialect, Layout, Part, Spec, Sub};
use crate::codec::tlv;

/// Checks what stands inside a field.
#[inline]
pub(super) fn structure(
    dialect: &Dialect,
    number: u8,
    wire: &[u8],
    start: usize,
    count: usize,
) -> Result<(), Box<Wrong>> {
    let Some(spec) = dialect.spec(number) else {
        return Ok(());
    };
    if matches!(spec.layout, Layout::Ber) && spec.shape.encoding == Encoding::Binary {
        return tlv::check_ber(wire).map_err(|fault| {
            Box::new(Wrong {
                number,
                part: fault.tag.map_or(Part::Whole, Part::Tag),
                offset: start + fault.at,
                found: fault.found,
                expected: fault.expected,
            })
        });
    }
    if let Layout::Positional(subs) = &spec.layout
        && spec.shape.kind == Type::N
        && spec.shape.encoding == Encoding::Bcd
        && subs.iter().all(|sub| sub.shape.kind == Type::N)
        && ends_between(subs, count)
    {
        // All of it was checked to be digits, and it ends where a sub-field does.
        return Ok(());
    }
    structure_of(spec, wire, start, count)
}

/// Whether a value of that many characters ends behind a sub-field.
#[inline]
fn ends_between(subs: &[Sub], count: usize) -> bool {
    subs.iter()
        .any(|sub| usize::from(sub.at) + usize::from(sub.length) == count)
}

fn structure_of(spec: &Spec, wire: &[u8], start: usize, count: usize) -> Result<(), Box<Wrong>> {
    let number = spec.number;
    let mut whole = Vec::new();
    spec.shape.read(wire, count, &mut whole);
    // An offset inside the normal form is one on the wire only where a character is a byte.
    let offset = |at: usize| match spec.shape.encoding {
        Encoding::Bcd => start + at / 2,
        Encoding::Hex => start + at * 2,
        _ => start + at,
    };
    let tlv_fault = |fault: tlv::TlvFault| {
        Box::new(Wrong {
            number,
            part: fault.tag.map_or(Part::Whole, Part::Tag),
            offset: offset(fault.at),
            found: fault.found,
            expected: fault.expected,
        })
    };
    match &spec.layout {
        Layout::Whole => Ok(()),
        Layout::Ber => tlv::check_ber(&whole).map_err(tlv_fault),
        Layout::Forms(forms) => form::check(forms, &whole).map_err(|fault| {
            Box::new(Wrong {
                number,
                part: fault.part,
                offset: offset(fault.at),
                found: fault.found,
                expected: fault.expected,
            })
        }),
        Layout::Decimal {
            tag_digits,
            length_digits,
            ..
        } => tlv::Decimal::new(&whole, *tag_digits, *length_digits)
            .find_map(Result::err)
            .map_or(Ok(()), |fault| Err(tlv_fault(fault))),
        Layout::Positional(subs) => positional(number, subs, &whole, &offset),
    }
}

/// Each sub-field holds what its type may; the value may end behind any of them.
fn positional(
    number: u8,
    subs: &[Sub],
    whole: &[u8],
    offset: &dyn Fn(usize) -> usize,
) -> Result<(), Box<Wrong>> {
    for (index, sub) in subs.iter().enumerate() {
        let at = usize::from(sub.at);
        if at == whole.len() {
            return Ok(());
        }
        let fail = |at: usize, found: &str, expected: String| {
            Box::new(Wrong {
                number,
                part: Part::Sub(index as u8),
                offset: offset(at),
                found: found.to_owned(),
                expected,
            })
        };
        let Some(value) = whole.get(at..at + usize::from(sub.length)) else {
            return Err(fail(at, "the end", format!("{} characters", sub.length)));
        };
        let kind = sub.shape.kind;
        if let Some(bad) = charset::first_wrong(kind, sub.shape.charset, value) {
            let expected = kind.as_str().to_owned();
            return Err(fail(at + bad, "a byte outside the type", expected));
        }
    }
    Ok(())
}
