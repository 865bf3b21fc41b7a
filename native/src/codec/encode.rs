//! Values to a framed message: the one place that writes fields, for legs and for tools.

use crate::codec::axis::{Encoding, Length, Prefix, Side, Unit, is_marked};
use crate::codec::charset::{self, Type};
use crate::codec::class::Class;
use crate::codec::envelope::Preface;
use crate::codec::form::{self, Form};
use crate::codec::frame::Framing;
use crate::codec::kind::Kind;
use crate::codec::name::Name;
use crate::codec::seal::Seal;
use crate::codec::spec::{Dialect, Hot, Layout, Part, Path, Spec, Sub, bit};
use crate::codec::tlv;
use crate::codec::value::{Shape, hex_digit, push_decimal};
use crate::error::EncodeFault;

/// How the head of a message is written.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub framing: Framing,
    /// What stands before the body when nothing else is said.
    pub preface: Preface,
    pub mti: Encoding,
    pub bitmap: Encoding,
}

/// A message being written at the end of a buffer. Fields must come in ascending order.
pub struct Writer<'a> {
    head: Head,
    out: &'a mut Vec<u8>,
    start: usize,
    /// Where the MTI stands.
    body: usize,
    bitmap_at: usize,
    bits: u128,
}

impl<'a> Writer<'a> {
    /// Writes what stands before the body and the MTI, and leaves room for length and bitmap. A preface that is not of
    /// the head's length belongs to another dialect, and gives way to the head's own.
    #[inline]
    pub fn open(
        head: Head,
        preface: Option<&Preface>,
        mti: [u8; 4],
        out: &'a mut Vec<u8>,
    ) -> Writer<'a> {
        let start = head.framing.open(out);
        if !head.preface.is_empty() {
            let given = preface.filter(|given| given.len() == head.preface.len());
            out.extend_from_slice(given.unwrap_or(&head.preface).bytes());
        }
        let body = out.len();
        match head.mti {
            Encoding::Bcd => {
                let [a, b, c, d] = mti.map(|digit| digit & 0xf);
                out.extend_from_slice(&[a << 4 | b, c << 4 | d]);
            }
            Encoding::Ebcdic => out.extend(mti.map(charset::to_ebcdic)),
            _ => out.extend_from_slice(&mti),
        }
        let bitmap_at = out.len();
        out.resize(bitmap_at + half_width(head.bitmap), 0);
        Writer {
            head,
            out,
            start,
            body,
            bitmap_at,
            bits: 0,
        }
    }

    /// Writes a field whose normal form `fill` appends; nothing when `fill` says that there is none.
    #[inline]
    pub fn field(
        &mut self,
        hot: &Hot,
        fill: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Result<(), String> {
        if put(hot, self.out, fill)? {
            self.enter(hot.number);
        }
        Ok(())
    }

    /// Writes a field that another message of the same dialect has, byte for byte.
    #[inline]
    pub fn copy(&mut self, number: u8, wire: &[u8]) {
        self.out.extend_from_slice(wire);
        self.enter(number);
    }

    /// Bytes of the buffer by now.
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.out.len()
    }

    /// Notes the field that was just written. The first one of the second half needs the second bitmap: what has
    /// been written makes room.
    #[inline]
    fn enter(&mut self, number: u8) {
        if number > 64 && self.bits & u128::from(u64::MAX) == 0 {
            let width = half_width(self.head.bitmap);
            let end = self.out.len();
            self.out.resize(end + width, 0);
            let first = self.bitmap_at + width;
            self.out.copy_within(first..end, first + width);
            self.bits |= bit(1);
        }
        self.bits |= bit(number);
    }

    /// Fills in bitmap and length.
    #[inline]
    pub fn close(mut self) -> Result<(), String> {
        self.finish();
        self.frame()
    }

    /// Fills in the bitmap; where the body begins, and the buffer.
    #[inline]
    pub(super) fn finish(&mut self) -> (usize, &mut Vec<u8>) {
        let width = half_width(self.head.bitmap);
        let wide = self.bits & u128::from(u64::MAX) != 0;
        write_half(
            self.head.bitmap,
            (self.bits >> 64) as u64,
            self.out,
            self.bitmap_at,
        );
        if wide {
            write_half(
                self.head.bitmap,
                self.bits as u64,
                self.out,
                self.bitmap_at + width,
            );
        }
        (self.body, self.out)
    }

    /// Fills in the length.
    #[inline]
    pub(super) fn frame(self) -> Result<(), String> {
        if self.head.framing.close(self.out, self.start) {
            Ok(())
        } else {
            Err("the message is longer than its framing can say".to_owned())
        }
    }
}

fn half_width(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Binary => 8,
        _ => 16,
    }
}

#[inline]
fn write_half(encoding: Encoding, half: u64, out: &mut [u8], at: usize) {
    let Some(slots) = out.get_mut(at..at + half_width(encoding)) else {
        return;
    };
    match encoding {
        Encoding::Binary => slots.copy_from_slice(&half.to_be_bytes()),
        _ => {
            for (slot, place) in slots.iter_mut().zip((0..16).rev()) {
                let digit = hex_digit((half >> (4 * place)) as u8);
                *slot = match encoding {
                    Encoding::Ebcdic => charset::to_ebcdic(digit),
                    _ => digit,
                };
            }
        }
    }
}

/// Appends one field in wire form.
#[inline]
fn put(
    hot: &Hot,
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> bool,
) -> Result<bool, String> {
    let shape = &hot.shape;
    let (width, start) = match hot.length {
        Length::Fixed(_) => (0, out.len()),
        Length::Variable { prefix, .. } => {
            let width = prefix.width();
            out.extend_from_slice([0; 4].get(..width).unwrap_or(&[0; 4]));
            (width, out.len())
        }
    };
    if !fill(out) {
        out.truncate(start - width);
        return Ok(false);
    }
    let mut count = out.len() - start;
    match hot.length {
        Length::Fixed(length) => {
            if count != usize::from(length) {
                stretch(shape, out, start, usize::from(length))?;
                count = usize::from(length);
            }
        }
        Length::Variable { min, max, .. } => {
            if count < usize::from(min) || count > usize::from(max) {
                return Err(format!("length {count} is not {min} to {max}"));
            }
        }
    }
    if !charset::fits_within(shape.kind, shape.charset, out, start, out.len()) {
        return Err(format!("the value is not {}", shape.kind.as_str()));
    }
    if let Length::Variable { prefix, .. } = hot.length {
        let digits = count - usize::from(shape.kind == Type::Xn && count > 0);
        if prefix.unit == Unit::Bytes && shape.encoding == Encoding::Bcd && digits % 2 == 1 {
            return Err("an odd number of digits, and the prefix counts bytes".to_owned());
        }
    }
    shape.write(out, start);
    if let Length::Variable { prefix, .. } = hot.length {
        let wire = out.len() - start;
        let length = match prefix.unit {
            Unit::Chars => count,
            Unit::Bytes => wire,
            Unit::Nibbles if shape.encoding == Encoding::Bcd && shape.kind != Type::Xn => count,
            Unit::Nibbles => wire * 2,
            Unit::Mixed if is_marked(out, start) => wire,
            Unit::Mixed => wire * 2,
        };
        if length > prefix.limit() {
            return Err(format!("length {length} does not fit its prefix"));
        }
        write_prefix(prefix, length, out, start - width);
    }
    Ok(true)
}

/// Pads a short fixed value, where the field says how.
#[cold]
fn stretch(shape: &Shape, out: &mut Vec<u8>, start: usize, length: usize) -> Result<(), String> {
    let count = out.len() - start;
    // For packed digits the filling is the spare nibble and no licence to change the value.
    let pad = shape
        .pad
        .filter(|_| count < length && shape.encoding != Encoding::Bcd);
    let Some(pad) = pad else {
        return Err(format!("length {count} is not {length}"));
    };
    out.resize(start + length, pad.fill);
    if pad.side == Side::Left {
        out[start..].rotate_right(length - count);
    }
    Ok(())
}

#[inline]
fn write_prefix(prefix: Prefix, length: usize, out: &mut [u8], at: usize) {
    let Some(slots) = out.get_mut(at..at + prefix.width()) else {
        return;
    };
    let mut rest = length;
    for slot in slots.iter_mut().rev() {
        *slot = match prefix.encoding {
            Encoding::Ascii => b'0' + (rest % 10) as u8,
            Encoding::Ebcdic => 0xf0 + (rest % 10) as u8,
            Encoding::Bcd => (((rest / 10 % 10) << 4) | (rest % 10)) as u8,
            Encoding::Binary => rest as u8,
            Encoding::Hex => hex_digit(rest as u8),
        };
        rest = match prefix.encoding {
            Encoding::Ascii | Encoding::Ebcdic => rest / 10,
            Encoding::Bcd => rest / 100,
            Encoding::Binary => rest >> 8,
            Encoding::Hex => rest >> 4,
        };
    }
}

impl Dialect {
    pub(super) fn head(&self) -> Head {
        Head {
            framing: self.framing,
            preface: self.envelope.default,
            mti: self.mti,
            bitmap: self.bitmap,
        }
    }

    #[cold]
    pub(super) fn encode_fault(&self, path: &str, problem: impl Into<String>) -> EncodeFault {
        EncodeFault {
            dialect: self.name.to_string(),
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// Appends a whole framed message from canonical names and values in normal form; for simulators, tools and
    /// tests, not the hot path. Sub-fields are dotted. `preface` None: the dialect's own. On a fault `out` is as before.
    pub fn encode(
        &self,
        mti: &str,
        values: &[(String, Vec<u8>)],
        preface: Option<&Preface>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeFault> {
        self.encode_sealed(mti, values, preface, None, out)
    }

    /// As `encode`, with a message code where messages of the MTI carry one.
    pub fn encode_sealed(
        &self,
        mti: &str,
        values: &[(String, Vec<u8>)],
        preface: Option<&Preface>,
        seal: Option<&dyn Seal>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeFault> {
        let start = out.len();
        let network = mti.as_bytes().get(1) == Some(&b'8');
        let seal = seal.filter(|_| !(network && self.unsealed(Kind::Network)));
        let result = self.encode_into(mti, values, preface, seal, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn encode_into(
        &self,
        mti: &str,
        values: &[(String, Vec<u8>)],
        preface: Option<&Preface>,
        seal: Option<&dyn Seal>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeFault> {
        let digits = <[u8; 4]>::try_from(mti.as_bytes())
            .ok()
            .filter(|digits| charset::digits(digits))
            .ok_or_else(|| self.encode_fault("mti", "is not four digits"))?;
        let mut paths: Vec<(Path, &[u8])> = Vec::with_capacity(values.len());
        for (name, value) in values {
            let path = self
                .path(name)
                .filter(|path| path.number != 0)
                .ok_or_else(|| self.encode_fault(name, "the dialect has no such field"))?;
            if paths.iter().any(|(known, _)| *known == path) {
                return Err(self.encode_fault(name, "is given twice"));
            }
            paths.push((path, value));
        }
        // Stable: tags keep the order they were given in.
        paths.sort_by_key(|(path, _)| path.number);
        let mut writer = Writer::open(self.head(), preface, digits, out);
        for group in paths.chunk_by(|(a, _), (b, _)| a.number == b.number) {
            let Some(spec) = group.first().and_then(|(path, _)| self.spec(path.number)) else {
                continue;
            };
            let value = compose(spec, group)
                .map_err(|(part, problem)| self.encode_fault(&spec.path(part), problem))?;
            let fault = |problem| self.encode_fault(&spec.path(Part::Whole), problem);
            check_inside(spec, &value).map_err(fault)?;
            writer
                .field(&spec.hot(), |out| {
                    out.extend_from_slice(&value);
                    true
                })
                .map_err(fault)?;
        }
        let last = paths.last().map_or(0, |(path, _)| path.number);
        let name = if last > 64 { Name::Mac2 } else { Name::Mac };
        let closed = match (seal, self.spec(self.number(name))) {
            (Some(seal), Some(spec)) => writer.close_sealed(&spec.hot(), seal),
            _ => writer.close(),
        };
        closed.map_err(|problem| self.encode_fault("message", problem))
    }
}

/// Which part cannot be written, and why.
type PartFault = (Part, String);

/// The whole value of a field from its parts.
fn compose(spec: &Spec, group: &[(Path, &[u8])]) -> Result<Vec<u8>, PartFault> {
    if let [
        (
            Path {
                part: Part::Whole, ..
            },
            value,
        ),
    ] = group
    {
        return Ok(value.to_vec());
    }
    if let Layout::Forms(forms) = &spec.layout {
        return of_forms(forms, group);
    }
    let mut out = Vec::new();
    if let (Length::Fixed(length), Layout::Positional(_)) = (spec.length, &spec.layout) {
        out.resize(usize::from(length), filling(spec.shape.kind));
    }
    for (path, value) in group {
        match (&spec.layout, path.part) {
            (_, Part::Whole) => {
                let problem = "is given both whole and in parts".to_owned();
                return Err((Part::Whole, problem));
            }
            (Layout::Positional(subs), Part::Sub(index)) => {
                if let Some(sub) = subs.get(usize::from(index)) {
                    place(spec, sub, value, &mut out).map_err(|problem| (path.part, problem))?;
                }
            }
            (Layout::Ber, Part::Tag(tag)) => tlv::push_ber(&mut out, tag, value),
            (
                Layout::Decimal {
                    tag_digits,
                    length_digits,
                    ..
                },
                Part::Tag(tag),
            ) => {
                let bytes = tag.to_be_bytes();
                let skip = bytes.len().saturating_sub(usize::from(*tag_digits));
                out.extend_from_slice(bytes.get(skip..).unwrap_or(&[]));
                if value.len() >= 10usize.pow(u32::from(*length_digits)) {
                    let problem = format!("length {} does not fit", value.len());
                    return Err((path.part, problem));
                }
                push_decimal(&mut out, value.len() as u64, usize::from(*length_digits));
                out.extend_from_slice(value);
            }
            _ => return Err((path.part, "the field has no such part".to_owned())),
        }
    }
    Ok(out)
}

/// The whole value of a field with forms, from parts of one of them.
fn of_forms(forms: &[Form], group: &[(Path, &[u8])]) -> Result<Vec<u8>, PartFault> {
    let parts: Vec<(Part, &[u8])> = group.iter().map(|(path, v)| (path.part, *v)).collect();
    form::compose(forms, &parts).ok_or_else(|| {
        let problem = "the field has no form with all these parts in these lengths";
        (Part::Whole, problem.to_owned())
    })
}

/// Puts one sub-field into its place: numbers to the right of their zeros, text to the left of its spaces.
fn place(spec: &Spec, sub: &Sub, value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let (at, length) = (usize::from(sub.at), usize::from(sub.length));
    let Some(spare) = length.checked_sub(value.len()) else {
        return Err(format!("length {} is more than {length}", value.len()));
    };
    if out.len() < at + length {
        out.resize(at + length, filling(spec.shape.kind));
    }
    let slots = &mut out[at..at + length];
    slots.fill(filling(sub.shape.kind));
    let skip = if sub.shape.kind.numeric() { spare } else { 0 };
    slots[skip..skip + value.len()].copy_from_slice(value);
    Ok(())
}

fn filling(kind: Type) -> u8 {
    match kind {
        Type::N | Type::Xn => b'0',
        Type::B => 0,
        _ => b' ',
    }
}

/// What decoding would refuse is not written either.
fn check_inside(spec: &Spec, value: &[u8]) -> Result<(), String> {
    match &spec.layout {
        Layout::Whole => Ok(()),
        Layout::Forms(forms) => form::check(forms, value)
            .map_err(|fault| format!("found {}, expected {}", fault.found, fault.expected)),
        Layout::Ber => tlv::check_ber(value)
            .map_err(|fault| format!("TLV: found {}, expected {}", fault.found, fault.expected)),
        Layout::Decimal {
            tag_digits,
            length_digits,
            ..
        } => match tlv::Decimal::new(value, *tag_digits, *length_digits).find_map(Result::err) {
            Some(fault) => Err(format!(
                "TLV: found {}, expected {}",
                fault.found, fault.expected
            )),
            None => Ok(()),
        },
        Layout::Positional(subs) => {
            for sub in subs {
                let at = usize::from(sub.at);
                if at == value.len() {
                    return Ok(());
                }
                let part = value.get(at..at + usize::from(sub.length));
                if !part.is_some_and(|part| charset::fits(sub.shape.kind, sub.shape.charset, part))
                {
                    return Err(format!(
                        "{} is not {} {}",
                        sub.name,
                        sub.length,
                        sub.shape.kind.as_str()
                    ));
                }
            }
            Ok(())
        }
    }
}

/// Whether a value given as text for `name` must be read as hexadecimal.
pub fn is_binary(dialect: &Dialect, path: Path) -> bool {
    match (dialect.spec(path.number), path.part) {
        (Some(spec), Part::Whole) => spec.shape.kind == Type::B,
        (Some(spec), Part::Tag(_)) => matches!(spec.layout, Layout::Ber | Layout::Forms(_)),
        (Some(spec), Part::Sub(index)) => match &spec.layout {
            Layout::Positional(subs) => subs
                .get(usize::from(index))
                .is_some_and(|sub| sub.shape.kind == Type::B),
            Layout::Forms(forms) => {
                form::sub(forms, index).is_some_and(|(_, sub)| sub.shape.kind == Type::B)
            }
            _ => false,
        },
        (None, _) => false,
    }
}

/// Whether a value may be shown outside simulators and tests: not an account number, not C3, not SAD.
pub fn is_readable(dialect: &Dialect, path: Path) -> bool {
    let Some(spec) = dialect.spec(path.number) else {
        return path.number == 0;
    };
    let (class, mask) = spec.sensitivity(path.part);
    class.readable() && mask != crate::codec::class::Mask::Pan && class != Class::Sad
}

/// The name of a field number, for messages.
pub fn name_of(dialect: &Dialect, number: u8) -> Option<Name> {
    if number == 0 {
        return Some(Name::Mti);
    }
    dialect.spec(number).map(|spec| spec.name)
}
