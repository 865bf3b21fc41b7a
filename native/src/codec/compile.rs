//! A dialect file to tables. Everything that could surprise at run time is refused here, with file, line and key.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::codec::axis::{ENCODINGS, Encoding, Length};
use crate::codec::charset::Type;
use crate::codec::class::Class;
use crate::codec::elsewhere::{aliases, answer_codes, supply};
use crate::codec::encode::Head;
use crate::codec::field::{fields, titles};
use crate::codec::framing::framing;
use crate::codec::kind::{KINDS, Kinds, RcClass, Rule};
use crate::codec::leg::{From, Leg, Proofs, Slot};
use crate::codec::name::{NAME_END, Name, PROVED, Proved};
use crate::codec::section::{Outcome, Section, suggest};
use crate::codec::spec::{Dialect, FIELDS, Hot, Keys, Layout, Part, Path, Spec, TapRules, bit};
use crate::codec::supply::Supply;
use crate::codec::toml::{self, Table, Value};
use crate::codec::value::hex;
use crate::error::{DialectFault, Position};

const SOURCES: [&str; 7] = [
    "request", "reply", "original", "switch", "vault", "proof", "const:",
];
/// Rules in one file: their index is a byte, and a table that people read stays short.
const RULES_MAX: usize = 64;
/// MTIs in all rows together, repeats counted: the table addresses their runs by a byte.
const MTIS_MAX: usize = 120;

/// Compiles the text of a dialect file; `file` is its name in faults.
pub fn compile(text: &str, file: &str) -> Result<Arc<Dialect>, Box<DialectFault>> {
    compile_table(&parse_file(text, file)?, text, file)
}

pub(super) fn parse_file(text: &str, file: &str) -> Outcome<Table> {
    toml::parse(text).map_err(|fault| {
        Box::new(DialectFault {
            message: fault.message,
            file: file.to_owned(),
            at: fault.at,
            key: String::new(),
            help: String::new(),
        })
    })
}

/// Compiles a parsed file; `text` gives the digest.
pub(super) fn compile_table(table: &Table, text: &str, file: &str) -> Outcome<Arc<Dialect>> {
    let root = Section::root(file, table);
    root.only(&[
        "name",
        "title",
        "framing",
        "mti",
        "bitmap",
        "defaults",
        "fields",
        "aliases",
        "supply",
        "kinds",
        "keys",
        "echoes",
        "response_codes",
        "answer_codes",
        "tap",
        "mac",
        "legs",
    ])?;
    let mut dialect = head(root, text)?;
    fields(root, &mut dialect)?;
    aliases(root, &mut dialect)?;
    supply(root, &mut dialect)?;
    dialect.kinds = kinds(root, &dialect)?;
    dialect.keys = keys(root, &dialect)?;
    dialect.echoes = echoes(root, &dialect)?;
    codes(root, &mut dialect)?;
    answer_codes(root, &mut dialect)?;
    dialect.tap = tap(root, &dialect)?;
    mac(root, &mut dialect)?;
    legs(root, &mut dialect)?;
    Ok(Arc::new(dialect))
}

/// Name, framing, MTI and bitmap; the rest still empty.
fn head(root: Section<'_>, text: &str) -> Outcome<Dialect> {
    let name = root.as_text("name", root.need("name")?)?;
    let (framing, envelope) = framing(root)?;
    let one = |key: &str, allowed: &[Encoding]| -> Outcome<Encoding> {
        let section = root.of(root.need(key)?, key)?;
        section.only(&["encoding"])?;
        section.need("encoding")?;
        match section.choice("encoding", &ENCODINGS)? {
            Some(encoding) if allowed.contains(&encoding) => Ok(encoding),
            _ => {
                let names: Vec<&str> = allowed.iter().map(|e| e.as_str()).collect();
                Err(section.wrong("encoding", format!("must be one of {}", names.join(", "))))
            }
        }
    };
    let digest = Sha256::digest(text.as_bytes());
    Ok(Dialect {
        name: Arc::from(name),
        titles: titles(root)?,
        identity: digest
            .iter()
            .take(8)
            .fold(0, |identity, &byte| identity << 8 | u64::from(byte)),
        digest: hex(&digest).to_lowercase(),
        framing,
        envelope,
        mti: one("mti", &[Encoding::Ascii, Encoding::Bcd, Encoding::Ebcdic])?,
        bitmap: one(
            "bitmap",
            &[Encoding::Binary, Encoding::Hex, Encoding::Ebcdic],
        )?,
        kinds: Kinds::new(Vec::new()),
        keys: Keys::default(),
        echoes: Vec::new(),
        codes: Vec::new(),
        final_reversal: Vec::new(),
        final_advice: Vec::new(),
        tap: TapRules::default(),
        unsealed: 0,
        sealable: false,
        hot: Box::new([None; FIELDS]),
        specs: vec![None; FIELDS],
        numbers: [0; NAME_END],
        aliases: Box::new([None; NAME_END]),
        type_number: 0,
        elsewhere: false,
        supply: Supply::default(),
        answer_codes: Vec::new(),
        legs: Vec::new(),
    })
}

/// Names that a message of the dialect can have.
pub(super) fn known_names(
    section: Section<'_>,
    dialect: &Dialect,
    key: &str,
    texts: &[(&str, Position)],
) -> Outcome<Vec<Name>> {
    texts
        .iter()
        .map(|(text, at)| {
            Name::parse(text)
                .filter(|name| dialect.knows(*name))
                .ok_or_else(|| no_field(section, dialect, key, text, *at))
        })
        .collect()
}

fn no_field(
    section: Section<'_>,
    dialect: &Dialect,
    key: &str,
    text: &str,
    at: Position,
) -> Box<DialectFault> {
    let help = suggest(text, dialect.specs().map(|spec| spec.name.as_str()));
    let problem = format!("{}: the dialect has no field \"{text}\"", section.join(key));
    section.fault_at(at, &section.join(key), problem, &help)
}

pub(super) fn known_path(
    section: Section<'_>,
    dialect: &Dialect,
    key: &str,
    text: &str,
    at: Position,
) -> Outcome<Path> {
    dialect
        .path(text)
        .filter(|path| path.number != 0)
        .ok_or_else(|| no_field(section, dialect, key, text, at))
}

fn kinds(root: Section<'_>, dialect: &Dialect) -> Outcome<Kinds> {
    let node = root.need("kinds")?;
    let Value::List(elements) = &node.value else {
        return Err(root.wrong("kinds", "is not a list of tables".to_owned()));
    };
    let mut rows = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let path = format!("kinds.{index}");
        rows.push(kind(root.of(element, &path)?, dialect)?);
    }
    let mtis: usize = rows.iter().map(|(mtis, _)| mtis.len()).sum();
    if rows.len() > RULES_MAX || mtis > MTIS_MAX {
        return Err(root.wrong(
            "kinds",
            format!("has more than {RULES_MAX} rows or {MTIS_MAX} MTIs"),
        ));
    }
    Ok(Kinds::new(rows))
}

fn kind(section: Section<'_>, dialect: &Dialect) -> Outcome<(Vec<u16>, Rule)> {
    section.only(&[
        "kind",
        "mti",
        "processing",
        "condition",
        "type",
        "original_mti",
        "mandatory",
        "refuse",
    ])?;
    section.need("kind")?;
    let kind = section
        .choice("kind", &KINDS)?
        .ok_or_else(|| section.wrong("kind", "is missing".to_owned()))?;
    section.need("mti")?;
    let mtis = mtis(section)?;
    let pairs = |key: &str| -> Outcome<Vec<[u8; 2]>> {
        section
            .texts(key)?
            .iter()
            .map(|(text, _)| {
                text.as_bytes().try_into().map_err(|_| {
                    section.wrong(key, format!("holds \"{text}\", not two characters"))
                })
            })
            .collect()
    };
    let mandatory = known_names(section, dialect, "mandatory", &section.texts("mandatory")?)?;
    let number = |name: Name| match (dialect.number(name), dialect.alias(name)) {
        (0, Some(path)) => path.number,
        (number, _) => number,
    };
    let refused = section.texts("refuse")?;
    for (text, at) in &refused {
        if !["zero_amount", "pin"].contains(text) {
            let help = suggest(text, ["zero_amount", "pin"].into_iter());
            let problem = format!("{} has no value \"{text}\"", section.join("refuse"));
            return Err(section.fault_at(*at, &section.join("refuse"), problem, &help));
        }
    }
    let refuses = |what: &str| refused.iter().any(|(text, _)| *text == what);
    let rule = Rule {
        kind,
        processing: pairs("processing")?,
        condition: pairs("condition")?,
        types: pairs("type")?,
        original_mti: original_mti(section)?,
        mandatory: mandatory
            .iter()
            .map(|name| number(*name))
            .filter(|number| *number != 0)
            .fold(0, |bits, number| bits | bit(number)),
        refuses_zero_amount: refuses("zero_amount"),
        refuses_pin: refuses("pin"),
    };
    Ok((mtis, rule))
}

/// The MTIs of a row, as numbers.
fn mtis(section: Section<'_>) -> Outcome<Vec<u16>> {
    section
        .texts("mti")?
        .iter()
        .map(|(text, _)| {
            text.parse::<u16>()
                .ok()
                .filter(|_| text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| section.wrong("mti", format!("holds \"{text}\", not four digits")))
        })
        .collect()
}

/// The MTI of what a reversal of this row takes back.
fn original_mti(section: Section<'_>) -> Outcome<Option<[u8; 4]>> {
    let Some(text) = section.text("original_mti")? else {
        return Ok(None);
    };
    match <[u8; 4]>::try_from(text.as_bytes()) {
        Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Some(digits)),
        _ => Err(section.wrong("original_mti", "is not four digits".to_owned())),
    }
}

fn keys(root: Section<'_>, dialect: &Dialect) -> Outcome<Keys> {
    let section = root.of(root.need("keys")?, "keys")?;
    section.only(&["request", "body", "original"])?;
    section.need("request")?;
    let request = known_names(section, dialect, "request", &section.texts("request")?)?;
    for name in &request {
        if dialect.supplies(*name) {
            let problem = format!("holds {}, which is new each time", name.as_str());
            return Err(section.wrong("request", problem));
        }
    }
    section.need("body")?;
    let body = section
        .texts("body")?
        .into_iter()
        .map(|(text, at)| known_path(section, dialect, "body", text, at))
        .collect::<Outcome<_>>()?;
    let original = section.of(section.need("original")?, "keys.original")?;
    let mut allowed: Vec<&str> = request.iter().map(|name| name.as_str()).collect();
    allowed.push("mti");
    original.only(&allowed)?;
    let place = |key: &str| -> Outcome<Option<Path>> {
        original
            .text(key)?
            .map(|text| known_path(original, dialect, key, text, original.place(key)))
            .transpose()
    };
    Ok(Keys {
        original: request
            .iter()
            .map(|name| place(name.as_str()))
            .collect::<Outcome<_>>()?,
        original_mti: place("mti")?,
        dated: request.contains(&Name::TransmissionTime),
        request,
        body,
    })
}

fn echoes(root: Section<'_>, dialect: &Dialect) -> Outcome<Vec<Name>> {
    let section = root.of(root.need("echoes")?, "echoes")?;
    section.only(&["fields"])?;
    section.need("fields")?;
    known_names(section, dialect, "fields", &section.texts("fields")?)
}

fn codes(root: Section<'_>, dialect: &mut Dialect) -> Outcome<()> {
    const LISTS: [(RcClass, &str); 4] = [
        (RcClass::Approve, "approve"),
        (RcClass::Partial, "partial"),
        (RcClass::Decline, "decline"),
        (RcClass::Technical, "technical"),
    ];
    let section = root.of(root.need("response_codes")?, "response_codes")?;
    section.only(&[
        "approve",
        "partial",
        "decline",
        "technical",
        "final_reversal",
        "final_advice",
    ])?;
    let length = dialect
        .spec(dialect.number(Name::ResponseCode))
        .map_or(0, |spec| usize::from(spec.length.max()));
    for (class, key) in LISTS {
        section.need(key)?;
        for (code, at) in section.texts(key)? {
            let path = section.join(key);
            if code.len() != length {
                let problem = format!("{path}: \"{code}\" is not {length} characters");
                return Err(section.fault_at(at, &path, problem, ""));
            }
            if dialect
                .codes
                .iter()
                .any(|(known, _)| known == code.as_bytes())
            {
                let problem = format!("{path}: \"{code}\" is in two lists");
                return Err(section.fault_at(at, &path, problem, ""));
            }
            dialect.codes.push((code.as_bytes().to_vec(), class));
        }
    }
    section.need("final_reversal")?;
    let finals = [
        ("final_reversal", &mut dialect.final_reversal),
        ("final_advice", &mut dialect.final_advice),
    ];
    for (key, list) in finals {
        for (code, at) in section.texts(key)? {
            if code.len() != length {
                let path = section.join(key);
                let problem = format!("{path}: \"{code}\" is not {length} characters");
                return Err(section.fault_at(at, &path, problem, ""));
            }
            list.push(code.as_bytes().to_vec());
        }
    }
    Ok(())
}

/// Where a terminal says what its merchant is, and where a bank is told what was proved.
fn tap(root: Section<'_>, dialect: &Dialect) -> Outcome<TapRules> {
    let mut rules = TapRules::default();
    let Some(node) = root.node("tap") else {
        return Ok(rules);
    };
    let section = root.of(node, "tap")?;
    let mut allowed: Vec<&str> = PROVED.iter().map(|(_, text)| *text).collect();
    allowed.push("mcc");
    section.only(&allowed)?;
    for (what, key) in PROVED {
        let Some(text) = section.text(key)? else {
            continue;
        };
        let path = known_path(section, dialect, key, text, section.place(key))?;
        let spec = dialect.spec(path.number);
        let decimal = spec.is_some_and(|spec| matches!(spec.layout, Layout::Decimal { .. }));
        if !decimal || path.part == Part::Whole {
            return Err(section.wrong(key, "is no sub-field of layout tlv".to_owned()));
        }
        rules.proofs.push((what, path));
    }
    if let Some(node) = section.node("mcc") {
        let inner = section.of(node, "tap.mcc")?;
        inner.only(&["field", "from", "to"])?;
        let text = inner.as_text("field", inner.need("field")?)?;
        let name = known_names(inner, dialect, "field", &[(text, inner.place("field"))])?;
        let from = inner.integer("from", 1, 99)?.unwrap_or(1) as u8;
        let to = inner.integer("to", 1, 99)?.unwrap_or(4) as u8;
        if to != from + 3 {
            return Err(inner.wrong("to", "must make four characters with from".to_owned()));
        }
        rules.mcc = name.first().map(|name| (*name, from - 1));
    }
    Ok(rules)
}

/// Which messages go without a code where the link has codes.
fn mac(root: Section<'_>, dialect: &mut Dialect) -> Outcome<()> {
    let Some(node) = root.node("mac") else {
        return Ok(());
    };
    let section = root.of(node, "mac")?;
    section.only(&["without"])?;
    section.need("without")?;
    if dialect.number(Name::Mac) == 0 {
        return Err(root.wrong("mac", "needs a field of the name mac".to_owned()));
    }
    for (text, at) in section.texts("without")? {
        let known = KINDS.iter().find(|(_, name)| *name == text);
        let Some((kind, _)) = known else {
            let help = suggest(text, KINDS.iter().map(|(_, name)| *name));
            let problem = format!("mac.without has no value \"{text}\"");
            return Err(section.fault_at(at, "mac.without", problem, &help));
        };
        dialect.unsealed |= 1 << (*kind as u32);
    }
    dialect.sealable = true;
    Ok(())
}

fn legs(root: Section<'_>, dialect: &mut Dialect) -> Outcome<()> {
    let section = root.of(root.need("legs")?, "legs")?;
    let mut legs = Vec::new();
    for (name, node) in section.entries() {
        let path = section.join(name);
        let inner = section.of(node, &path)?;
        legs.push((name.clone(), Arc::new(leg(inner, name, dialect)?)));
    }
    dialect.legs = legs;
    Ok(())
}

fn leg(section: Section<'_>, name: &str, dialect: &Dialect) -> Outcome<Leg> {
    let mut slots = Vec::with_capacity(section.entries().len());
    let mut seal = None;
    for (key, node) in section.entries() {
        let spec = Name::parse(key)
            .and_then(|name| dialect.spec(dialect.number(name)))
            .ok_or_else(|| no_field(section, dialect, key, key, node.at))?;
        let text = section.as_text(key, node)?;
        let from = match text {
            "request" => From::Request,
            "reply" => From::Reply,
            "original" => From::Original,
            "switch" => From::Own,
            "vault" => From::Vault,
            "proof" => proofs(section, key, spec, dialect)?,
            _ => match text.strip_prefix("const:") {
                Some(value) => constant(section, key, spec, value)?,
                None => {
                    let help = suggest(text, SOURCES.into_iter());
                    let problem = format!("{} has no value \"{text}\"", section.join(key));
                    return Err(section.fault_at(node.at, &section.join(key), problem, &help));
                }
            },
        };
        if let Some(problem) = misplaced(name, spec, &from) {
            return Err(section.fault_at(node.at, &section.join(key), problem.to_owned(), ""));
        }
        if from == From::Own && matches!(spec.name, Name::Mac | Name::Mac2) {
            seal = Some((spec.hot(), node.at, key.as_str()));
            continue;
        }
        slots.push(Slot {
            name: spec.name,
            hot: spec.hot(),
            from,
            spec: Arc::clone(spec),
        });
    }
    slots.sort_by_key(|slot| slot.spec.number);
    Ok(Leg {
        seal: seal_of(section, &slots, seal)?,
        name: name.to_owned(),
        dialect: Arc::clone(&dialect.name),
        identity: dialect.identity,
        head: Head {
            framing: dialect.framing,
            preface: dialect.envelope.default,
            mti: dialect.mti,
            bitmap: dialect.bitmap,
        },
        slots,
    })
}

/// The code must stand behind all else: 64, or 128 of a message with a second bitmap.
fn seal_of(
    section: Section<'_>,
    slots: &[Slot],
    seal: Option<(Hot, Position, &str)>,
) -> Outcome<Option<Hot>> {
    let last = slots.last().map_or(0, |slot| slot.spec.number);
    let ends = |number: u8| number > last && (number > 64) == (last > 64);
    if let Some((hot, at, key)) = seal.filter(|(hot, ..)| !ends(hot.number)) {
        let problem = format!(
            "field {} is not the last of the leg, which ends with field {last}: a code is field 64, or 128 of a \
             message with a second bitmap",
            hot.number
        );
        return Err(section.fault_at(at, &section.join(key), problem, ""));
    }
    Ok(seal.map(|(hot, ..)| hot))
}

/// What no leg may say: of a tap nothing that is the terminal's alone, and of a card nothing to anybody but a bank.
fn misplaced(leg: &str, spec: &Spec, from: &From) -> Option<&'static str> {
    const TOKENS: [Name; 6] = [
        Name::Pan,
        Name::ExtendedPan,
        Name::Expiry,
        Name::CardSequence,
        Name::Mac,
        Name::Mac2,
    ];
    let terminals = spec.class == Class::Sad || TOKENS.contains(&spec.name);
    match from {
        From::Request if leg == "tap" && terminals => {
            Some("a bank gets this from the vault, or not at all")
        }
        From::Vault | From::Proof(_) if leg != "tap" => Some("only the leg tap knows the vault"),
        _ => None,
    }
}

/// The parts of a field that `[tap]` gives a meaning.
fn proofs(section: Section<'_>, key: &str, spec: &Arc<Spec>, dialect: &Dialect) -> Outcome<From> {
    let mut parts: Vec<(Vec<u8>, Proved)> = dialect
        .tap
        .proofs
        .iter()
        .filter(|(_, path)| path.number == spec.number)
        .filter_map(|(what, path)| Some((spec.part_text(path.part)?.into_bytes(), *what)))
        .collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    match &spec.layout {
        Layout::Decimal { length_digits, .. } if !parts.is_empty() => Ok(From::Proof(Proofs {
            parts,
            length_digits: *length_digits,
        })),
        _ => Err(section.wrong(key, "has no sub-field that the table tap names".to_owned())),
    }
}

/// A constant must fit its field now, not when the first message is sent.
fn constant(section: Section<'_>, key: &str, spec: &Arc<Spec>, value: &str) -> Outcome<From> {
    let count = value.len();
    let right = match spec.length {
        Length::Fixed(length) => count == usize::from(length),
        Length::Variable { min, max, .. } => (usize::from(min)..=usize::from(max)).contains(&count),
    };
    let text = value.as_bytes();
    if spec.shape.kind == Type::B
        || !right
        || !crate::codec::charset::fits(spec.shape.kind, spec.shape.charset, text)
    {
        return Err(section.wrong(key, "has a constant that does not fit the field".to_owned()));
    }
    Ok(From::Const(text.to_vec()))
}
