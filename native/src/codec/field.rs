//! The fields of a dialect file: each axis read, and refused where the axes contradict each other.

use std::sync::Arc;

use crate::codec::axis::{ENCODINGS, Encoding, Length, Pad, Prefix, SIDES, UNITS, Unit};
use crate::codec::charset::{CHARSETS, Charset, TYPES, Type};
use crate::codec::class::{CLASSES, Mask};
use crate::codec::form::Form;
use crate::codec::name::{NAMES, Name};
use crate::codec::section::{Outcome, Section, suggest};
use crate::codec::spec::{Dialect, Layout, Spec, Sub, Tagged, Titles, pack};
use crate::codec::toml::Value;
use crate::codec::value::{Shape, unhex};

const MASKS: [(Mask, &str); 3] = [
    (Mask::Clear, "clear"),
    (Mask::Pan, "pan"),
    (Mask::All, "all"),
];
const LAYOUTS: [(u8, &str); 4] = [(0, "positional"), (1, "tlv"), (2, "ber-tlv"), (3, "forms")];
/// `title = { en, zh }`; both languages are required.
pub(super) fn titles(section: Section<'_>) -> Outcome<Titles> {
    let node = section.need("title")?;
    let path = section.join("title");
    let inner = section.of(node, &path)?;
    inner.only(&["en", "zh"])?;
    let text =
        |key: &str| -> Outcome<String> { Ok(inner.as_text(key, inner.need(key)?)?.to_owned()) };
    Ok(Titles {
        en: text("en")?,
        zh: text("zh")?,
    })
}

/// What a field takes when it says nothing itself.
struct Defaults {
    numeric: Encoding,
    text: Encoding,
    binary: Encoding,
    prefix: Encoding,
    unit: Unit,
    charset: Charset,
}

fn defaults(root: Section<'_>) -> Outcome<Defaults> {
    let section = root.of(root.need("defaults")?, "defaults")?;
    section.only(&["numeric", "text", "binary", "prefix", "unit", "charset"])?;
    let encoding = |key: &str| -> Outcome<Encoding> {
        section.need(key)?;
        section
            .choice(key, &ENCODINGS)?
            .ok_or_else(|| section.wrong(key, "is missing".to_owned()))
    };
    Ok(Defaults {
        numeric: encoding("numeric")?,
        text: encoding("text")?,
        binary: encoding("binary")?,
        prefix: encoding("prefix")?,
        unit: section.choice("unit", &UNITS)?.unwrap_or(Unit::Chars),
        charset: section
            .choice("charset", &CHARSETS)?
            .unwrap_or(Charset::Ascii),
    })
}

/// Reads `[defaults]` and `[fields]` into the tables of `dialect`.
pub(super) fn fields(root: Section<'_>, dialect: &mut Dialect) -> Outcome<()> {
    let defaults = defaults(root)?;
    let section = root.of(root.need("fields")?, "fields")?;
    for (key, node) in section.entries() {
        let path = section.join(key);
        let number = key
            .parse::<u8>()
            .ok()
            .filter(|number| (2..=128).contains(number) && *key == number.to_string())
            .ok_or_else(|| section.wrong(key, "is no field number from 2 to 128".to_owned()))?;
        let spec = field(section.of(node, &path)?, number, &defaults)?;
        let slot = &mut dialect.numbers[spec.name as usize];
        if *slot != 0 {
            let problem = format!("has the name of field {slot}");
            return Err(section.wrong(key, problem));
        }
        *slot = number;
        dialect.hot[usize::from(number)] = Some(spec.hot());
        dialect.specs[usize::from(number)] = Some(Arc::new(spec));
    }
    Ok(())
}

fn field(section: Section<'_>, number: u8, defaults: &Defaults) -> Outcome<Spec> {
    section.only(&[
        "name",
        "title",
        "type",
        "length",
        "max",
        "min",
        "encoding",
        "prefix",
        "pad",
        "charset",
        "class",
        "mask",
        "layout",
        "subs",
        "forms",
        "tags",
        "tag_digits",
        "length_digits",
    ])?;
    let name = canonical(section, "name")?;
    if name == Name::Mti {
        return Err(section.wrong("name", "is not a field".to_owned()));
    }
    section.need("class")?;
    let class = section
        .choice("class", &CLASSES)?
        .ok_or_else(|| section.wrong("class", "is missing".to_owned()))?;
    let shape = shape(section, defaults)?;
    let length = length(section, defaults, &shape)?;
    let mut spec = Spec {
        number,
        name,
        titles: titles(section)?,
        shape,
        length,
        class,
        mask: section
            .choice("mask", &MASKS)?
            .unwrap_or_else(|| Mask::of(class)),
        layout: Layout::Whole,
    };
    spec.layout = layout(section, &spec)?;
    Ok(spec)
}

/// The canonical name under a key.
fn canonical(section: Section<'_>, key: &str) -> Outcome<Name> {
    let text = section.as_text(key, section.need(key)?)?;
    Name::parse(text).ok_or_else(|| {
        let help = suggest(text, NAMES.iter().map(|(_, spelling)| *spelling));
        let problem = format!("{} is no canonical name: \"{text}\"", section.join(key));
        section.fault_at(section.place(key), &section.join(key), problem, &help)
    })
}

fn shape(section: Section<'_>, defaults: &Defaults) -> Outcome<Shape> {
    section.need("type")?;
    let kind = section
        .choice("type", &TYPES)?
        .ok_or_else(|| section.wrong("type", "is missing".to_owned()))?;
    let usual = match kind {
        Type::N | Type::Xn | Type::Z => defaults.numeric,
        Type::B => defaults.binary,
        _ => defaults.text,
    };
    let encoding = section.choice("encoding", &ENCODINGS)?.unwrap_or(usual);
    if !encoding.carries(kind) {
        let problem = format!("{} cannot carry type {}", encoding.as_str(), kind.as_str());
        return Err(section.wrong("encoding", problem));
    }
    let text = !matches!(kind, Type::N | Type::Xn | Type::Z | Type::B);
    let charset = match section.choice("charset", &CHARSETS)? {
        Some(charset) => charset,
        None if text && encoding == Encoding::Ascii => defaults.charset,
        None => Charset::Ascii,
    };
    if charset == Charset::Gbk && !(text && encoding == Encoding::Ascii) {
        let problem = "gbk is for text in ascii only".to_owned();
        return Err(section.wrong("charset", problem));
    }
    Ok(Shape {
        kind,
        encoding,
        charset,
        pad: pad(section, kind, encoding)?,
    })
}

fn pad(section: Section<'_>, kind: Type, encoding: Encoding) -> Outcome<Option<Pad>> {
    let Some(node) = section.node("pad") else {
        return Ok(None);
    };
    let path = section.join("pad");
    let inner = section.of(node, &path)?;
    inner.only(&["side", "char"])?;
    inner.need("side")?;
    let side = inner
        .choice("side", &SIDES)?
        .ok_or_else(|| inner.wrong("side", "is missing".to_owned()))?;
    let text = inner.as_text("char", inner.need("char")?)?;
    let fill = match text.as_bytes() {
        [fill] => *fill,
        _ => return Err(inner.wrong("char", "is not one ASCII character".to_owned())),
    };
    let fits = match encoding {
        Encoding::Bcd => fill.is_ascii_hexdigit(),
        Encoding::Binary | Encoding::Hex => false,
        _ => crate::codec::charset::fits(kind, Charset::Ascii, &[fill]),
    };
    if !fits {
        let problem = format!("cannot stand in {} {}", encoding.as_str(), kind.as_str());
        return Err(inner.wrong("char", problem));
    }
    Ok(Some(Pad { side, fill }))
}

fn length(section: Section<'_>, defaults: &Defaults, shape: &Shape) -> Outcome<Length> {
    let fixed = section.integer("length", 1, 999)?;
    let max = section.integer("max", 1, 9_999)?;
    let min = section.integer("min", 0, 9_999)?;
    match (fixed, max) {
        (Some(fixed), None) => {
            for key in ["min", "prefix"] {
                if section.node(key).is_some() {
                    return Err(section.wrong(key, "goes with max, not with length".to_owned()));
                }
            }
            Ok(Length::Fixed(fixed as u16))
        }
        (None, Some(max)) => {
            let prefix = prefix(section, defaults)?;
            let min = min.unwrap_or(0);
            if min > max {
                return Err(section.wrong("min", format!("is more than max {max}")));
            }
            let wire = shape.encoding.wire_length(shape.kind, max as usize);
            let most = match prefix.unit {
                Unit::Chars => max as usize,
                Unit::Bytes => wire,
                Unit::Nibbles => wire * 2,
                // Packed digits may be half as long as marked text.
                Unit::Mixed if shape.encoding == Encoding::Binary => wire,
                Unit::Mixed => {
                    return Err(section.wrong("prefix", "mixed is for type b in binary".to_owned()));
                }
            };
            if most > prefix.limit() {
                let problem = format!("is more than its prefix can say ({})", prefix.limit());
                return Err(section.wrong("max", problem));
            }
            Ok(Length::Variable {
                prefix,
                min: min as u16,
                max: max as u16,
            })
        }
        _ => {
            let problem = "needs either length (fixed) or max and prefix".to_owned();
            Err(section.wrong("length", problem))
        }
    }
}

/// `prefix = 2`, or a table with `digits`, `encoding` and `unit`.
fn prefix(section: Section<'_>, defaults: &Defaults) -> Outcome<Prefix> {
    let node = section.need("prefix")?;
    let path = section.join("prefix");
    let (digits, encoding, unit) = match &node.value {
        Value::Table(_) => {
            let inner = section.of(node, &path)?;
            inner.only(&["digits", "encoding", "unit"])?;
            inner.need("digits")?;
            (
                inner.integer("digits", 1, 4)?,
                inner.choice("encoding", &ENCODINGS)?,
                inner.choice("unit", &UNITS)?,
            )
        }
        _ => (section.integer("prefix", 1, 4)?, None, None),
    };
    Ok(Prefix {
        digits: digits.unwrap_or(1) as u8,
        encoding: encoding.unwrap_or(defaults.prefix),
        unit: unit.unwrap_or(defaults.unit),
    })
}

fn layout(section: Section<'_>, spec: &Spec) -> Outcome<Layout> {
    let chosen = section.choice("layout", &LAYOUTS)?;
    let belongs: &[&str] = match chosen {
        Some(0) => &["subs"],
        Some(1) => &["tags", "tag_digits", "length_digits"],
        Some(3) => &["forms"],
        _ => &[],
    };
    for key in ["subs", "tags", "tag_digits", "length_digits", "forms"] {
        if section.node(key).is_some() && !belongs.contains(&key) {
            return Err(section.wrong(key, "does not go with the field's layout".to_owned()));
        }
    }
    match chosen {
        None => Ok(Layout::Whole),
        Some(0) => Ok(Layout::Positional(subs(section, spec)?)),
        Some(3) if spec.shape.kind == Type::B && spec.shape.encoding == Encoding::Binary => {
            Ok(Layout::Forms(forms(section, spec)?))
        }
        Some(3) => Err(section.wrong("layout", "forms needs type b in binary".to_owned())),
        Some(1) => decimal_layout(section, spec),
        Some(_) if spec.shape.kind == Type::B => Ok(Layout::Ber),
        Some(_) => Err(section.wrong("layout", "ber-tlv needs type b".to_owned())),
    }
}

fn subs(section: Section<'_>, spec: &Spec) -> Outcome<Vec<Sub>> {
    let (out, at) = sub_list(section, spec)?;
    let good = match spec.length {
        Length::Fixed(length) => at == length,
        Length::Variable { max, .. } => at <= max,
    };
    if !good || out.is_empty() || out.len() > 64 {
        let problem = format!("take {at} characters, the field has {}", spec.length.max());
        return Err(section.wrong("subs", problem));
    }
    Ok(out)
}

/// The forms of a field.
fn forms(section: Section<'_>, spec: &Spec) -> Outcome<Vec<Form>> {
    let node = section.need("forms")?;
    let Value::List(elements) = &node.value else {
        return Err(section.wrong("forms", "is not a list".to_owned()));
    };
    let mut out = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let path = format!("{}.{index}", section.join("forms"));
        out.push(form(section.of(element, &path)?, spec)?);
    }
    let subs: usize = out.iter().map(|form: &Form| form.subs.len()).sum();
    if out.is_empty() || subs > 200 {
        return Err(section.wrong("forms", "are none, or have over 200 sub-fields".to_owned()));
    }
    Ok(out)
}

fn form(section: Section<'_>, spec: &Spec) -> Outcome<Form> {
    section.only(&[
        "name", "starts", "length", "packed", "subs", "tlv", "end", "tags",
    ])?;
    let truth = |key: &str| match section.node(key).map(|node| &node.value) {
        None => Ok(false),
        Some(Value::Boolean(truth)) => Ok(*truth),
        Some(_) => Err(section.wrong(key, "is not true or false".to_owned())),
    };
    let mark = |key: &str| -> Outcome<Vec<u8>> {
        Ok(section.text(key)?.unwrap_or("").as_bytes().to_vec())
    };
    let (subs, head) = sub_list(section, spec)?;
    let form = Form {
        name: section.as_text("name", section.need("name")?)?.to_owned(),
        starts: mark("starts")?,
        length: section.integer("length", 1, 9_999)?.map(|n| n as usize),
        packed: truth("packed")?,
        tlv: truth("tlv")?,
        end: mark("end")?,
        tags: match section.node("tags") {
            Some(_) => tagged(section, |text| unhex(text.as_bytes()).map(|tag| pack(&tag)))?,
            None => Vec::new(),
        },
        subs,
    };
    let told = !form.starts.is_empty() || form.length.is_some();
    let whole = form
        .length
        .is_none_or(|length| form.tlv || length == usize::from(head));
    let even = !form.packed || head % 2 == 0 && !form.tlv;
    if !told || !whole || !even || form.starts.len() > form.head() {
        let problem = "has neither start nor length, or sub-fields that do not make its length";
        return Err(section.wrong("subs", problem.to_owned()));
    }
    Ok(form)
}

/// Sub-fields in order, and the characters that they take.
fn sub_list(section: Section<'_>, spec: &Spec) -> Outcome<(Vec<Sub>, u16)> {
    let node = section.need("subs")?;
    let Value::List(elements) = &node.value else {
        return Err(section.wrong("subs", "is not a list".to_owned()));
    };
    let mut out: Vec<Sub> = Vec::with_capacity(elements.len());
    let mut at = 0u16;
    for (index, element) in elements.iter().enumerate() {
        let path = format!("{}.{index}", section.join("subs"));
        let inner = section.of(element, &path)?;
        let sub = sub(inner, spec, at)?;
        if out.iter().any(|known| known.name == sub.name) {
            return Err(inner.wrong("name", "comes twice".to_owned()));
        }
        at += sub.length;
        out.push(sub);
    }
    Ok((out, at))
}

/// One sub-field that begins at `at`.
fn sub(section: Section<'_>, spec: &Spec, at: u16) -> Outcome<Sub> {
    section.only(&["name", "title", "type", "length", "class", "mask"])?;
    let name = section.as_text("name", section.need("name")?)?.to_owned();
    section.need("type")?;
    let kind = section.choice("type", &TYPES)?.unwrap_or(Type::Ans);
    section.need("class")?;
    let class = section
        .choice("class", &CLASSES)?
        .ok_or_else(|| section.wrong("class", "is missing".to_owned()))?;
    section.need("length")?;
    let length = section.integer("length", 1, 999)?.unwrap_or(1) as u16;
    Ok(Sub {
        name,
        titles: titles(section)?,
        shape: Shape {
            kind,
            encoding: spec.shape.encoding,
            charset: spec.shape.charset,
            pad: None,
        },
        at,
        length,
        class,
        mask: section
            .choice("mask", &MASKS)?
            .unwrap_or_else(|| Mask::of(class)),
    })
}

fn decimal_layout(section: Section<'_>, spec: &Spec) -> Outcome<Layout> {
    if spec.shape.kind == Type::B {
        return Err(section.wrong("layout", "tlv needs a text type".to_owned()));
    }
    section.need("tag_digits")?;
    section.need("length_digits")?;
    let tag_digits = section.integer("tag_digits", 1, 4)?.unwrap_or(2) as u8;
    let length_digits = section.integer("length_digits", 1, 4)?.unwrap_or(3) as u8;
    section.need("tags")?;
    let digits = usize::from(tag_digits);
    let tags = tagged(section, |text| {
        (text.len() == digits).then(|| pack(text.as_bytes()))
    })?;
    Ok(Layout::Decimal {
        tag_digits,
        length_digits,
        tags,
    })
}

/// The tags under `tags`; `read` gives the number of one, None when the text is no tag.
fn tagged(section: Section<'_>, read: impl Fn(&str) -> Option<u32>) -> Outcome<Vec<Tagged>> {
    let path = section.join("tags");
    let list = section.of(section.need("tags")?, &path)?;
    let mut tags = Vec::new();
    for (key, node) in list.entries() {
        let tag = read(key).ok_or_else(|| list.wrong(key, "is no tag".to_owned()))?;
        let path = list.join(key);
        let inner = list.of(node, &path)?;
        inner.only(&["title", "class", "mask"])?;
        inner.need("class")?;
        let class = inner
            .choice("class", &CLASSES)?
            .ok_or_else(|| inner.wrong("class", "is missing".to_owned()))?;
        tags.push(Tagged {
            tag,
            text: key.clone(),
            titles: titles(inner)?,
            class,
            mask: inner
                .choice("mask", &MASKS)?
                .unwrap_or_else(|| Mask::of(class)),
        });
    }
    Ok(tags)
}
