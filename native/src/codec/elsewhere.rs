//! Tables of a dialect file about what stands in no field of its own: aliases, supplied fields, codes by end code.

use crate::codec::compile::{known_names, known_path};
use crate::codec::name::{NAMES, Name};
use crate::codec::section::{Outcome, Section, suggest};
use crate::codec::spec::{Dialect, Layout, Part, Path};
use crate::codec::supply::{GIVEN, Given, Supply};
use crate::codec::toml::Value;

/// `[aliases]`: a canonical name to the sub-field that holds it.
pub(super) fn aliases(root: Section<'_>, dialect: &mut Dialect) -> Outcome<()> {
    let Some(node) = root.node("aliases") else {
        return Ok(());
    };
    let section = root.of(node, "aliases")?;
    for (key, node) in section.entries() {
        let name = name_of(section, key)?;
        if dialect.number(name) != 0 {
            let problem = format!("is the name of field {}", dialect.number(name));
            return Err(section.wrong(key, problem));
        }
        let text = section.as_text(key, node)?;
        let path = known_path(section, dialect, key, text, node.at)?;
        if name == Name::TransactionType {
            if !is_first_two(dialect, path) {
                let problem = "is not the first two characters of a field".to_owned();
                return Err(section.wrong(key, problem));
            }
            dialect.type_number = path.number;
        }
        if let Some(place) = dialect.aliases.get_mut(name as usize) {
            *place = Some(path);
        }
        dialect.elsewhere = true;
    }
    Ok(())
}

fn is_first_two(dialect: &Dialect, path: Path) -> bool {
    match (
        path.part,
        dialect.spec(path.number).map(|spec| &spec.layout),
    ) {
        (Part::Sub(0), Some(Layout::Positional(subs))) => {
            subs.first().is_some_and(|sub| sub.length == 2)
        }
        _ => false,
    }
}

fn name_of(section: Section<'_>, key: &str) -> Outcome<Name> {
    Name::parse(key)
        .filter(|name| *name != Name::Mti)
        .ok_or_else(|| {
            let help = suggest(key, NAMES.iter().map(|(_, spelling)| *spelling));
            let problem = format!("{} is no canonical name", section.join(key));
            section.fault_at(section.place(key), &section.join(key), problem, &help)
        })
}

/// `[supply]`: fields that the switch adds where a message lacks them.
pub(super) fn supply(root: Section<'_>, dialect: &mut Dialect) -> Outcome<()> {
    let Some(node) = root.node("supply") else {
        return Ok(());
    };
    let section = root.of(node, "supply")?;
    let mut supply = Supply::default();
    for (key, node) in section.entries() {
        let name = name_of(section, key)?;
        let given = match &node.value {
            Value::Table(_) => part(section.of(node, &section.join(key))?, dialect)?,
            _ => section
                .choice(key, &GIVEN)?
                .ok_or_else(|| section.wrong(key, "is missing".to_owned()))?,
        };
        if !fits(name, given) {
            return Err(section.wrong(key, "cannot be made of that".to_owned()));
        }
        supply.track2 |= given == Given::Track2;
        supply.rules.push((name, given));
    }
    dialect.elsewhere |= !supply.rules.is_empty();
    dialect.supply = supply;
    Ok(())
}

/// `{ field, from, to }`, both ends counted from 1.
fn part(section: Section<'_>, dialect: &Dialect) -> Outcome<Given> {
    section.only(&["field", "from", "to"])?;
    let text = section.as_text("field", section.need("field")?)?;
    let names = known_names(section, dialect, "field", &[(text, section.place("field"))])?;
    section.need("from")?;
    section.need("to")?;
    let from = section.integer("from", 1, 99)?.unwrap_or(1) as u8;
    let to = section.integer("to", 1, 99)?.unwrap_or(1) as u8;
    match names.first() {
        Some(field) if (from..from + 12).contains(&to) => Ok(Given::Part {
            field: *field,
            from: from - 1,
            count: to + 1 - from,
        }),
        _ => Err(section.wrong("to", "must make 1 to 12 characters with from".to_owned())),
    }
}

/// Whether a source gives what a name wants.
fn fits(name: Name, given: Given) -> bool {
    match given {
        Given::Utc => name == Name::TransmissionTime,
        Given::Local => matches!(name, Name::LocalTime | Name::LocalDate),
        Given::Link => matches!(name, Name::AcquirerCode | Name::ForwarderCode),
        Given::Transaction => name == Name::Rrn,
        Given::Track2 => name == Name::Pan,
        Given::Part { .. } => !matches!(name, Name::Pan | Name::Track2 | Name::Track3),
    }
}

/// `[answer_codes]`: end code to response code.
pub(super) fn answer_codes(root: Section<'_>, dialect: &mut Dialect) -> Outcome<()> {
    let Some(node) = root.node("answer_codes") else {
        return Ok(());
    };
    let section = root.of(node, "answer_codes")?;
    for (key, node) in section.entries() {
        let text = section.as_text(key, node)?;
        let (Ok(end), Ok(code)) = (key.as_bytes().try_into(), text.as_bytes().try_into()) else {
            return Err(section.wrong(key, "is not two characters for two letters".to_owned()));
        };
        if !key.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(section.wrong(key, "is no end code of two letters".to_owned()));
        }
        dialect.answer_codes.push((end, code));
    }
    Ok(())
}
