//! Reading one table of a dialect file: unknown keys are refused with the nearest valid one, wrong types with
//! their place.

use crate::codec::toml::{Node, Table, Value};
use crate::error::{DialectFault, Position};

/// A table, where it stands and what it is called.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    file: &'a str,
    table: &'a Table,
    path: &'a str,
    at: Position,
}

/// A fault is boxed: it is large, and rare.
pub type Outcome<T> = Result<T, Box<DialectFault>>;

impl<'a> Section<'a> {
    /// The whole file.
    pub fn root(file: &'a str, table: &'a Table) -> Section<'a> {
        Section {
            file,
            table,
            path: "",
            at: Position { line: 1, column: 1 },
        }
    }

    /// The table in `node`, which stands under `path`.
    pub fn of(&self, node: &'a Node, path: &'a str) -> Outcome<Section<'a>> {
        match &node.value {
            Value::Table(table) => Ok(Section {
                file: self.file,
                table,
                path,
                at: node.at,
            }),
            other => Err(self.fault_at(
                node.at,
                path,
                format!("{path} is {}, not a table", other.describe()),
                "",
            )),
        }
    }

    /// Refuses keys that are not in `known`.
    pub fn only(&self, known: &[&str]) -> Outcome<()> {
        for (key, node) in &self.table.entries {
            if !known.contains(&key.as_str()) {
                let path = self.join(key);
                let help = suggest(key, known.iter().copied());
                return Err(self.fault_at(node.at, &path, format!("unknown key {path}"), &help));
            }
        }
        Ok(())
    }

    /// The dotted path of a key of this table.
    pub fn join(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub fn entries(&self) -> &'a [(String, Node)] {
        &self.table.entries
    }

    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.table.get(key)
    }

    /// The node of a key that must be there.
    pub fn need(&self, key: &str) -> Outcome<&'a Node> {
        self.node(key).ok_or_else(|| {
            let path = self.join(key);
            self.fault_at(self.at, &path, format!("{path} is missing"), "")
        })
    }

    pub fn text(&self, key: &str) -> Outcome<Option<&'a str>> {
        self.node(key)
            .map(|node| self.as_text(key, node))
            .transpose()
    }

    pub fn as_text(&self, key: &str, node: &'a Node) -> Outcome<&'a str> {
        match &node.value {
            Value::Text(text) => Ok(text),
            other => Err(self.wrong(key, format!("is {}, not text", other.describe()))),
        }
    }

    /// An integer of `low` to `high`.
    pub fn integer(&self, key: &str, low: i64, high: i64) -> Outcome<Option<i64>> {
        match self.node(key).map(|node| &node.value) {
            None => Ok(None),
            Some(Value::Integer(number)) if (low..=high).contains(number) => Ok(Some(*number)),
            Some(Value::Integer(number)) => {
                Err(self.wrong(key, format!("is {number}, not {low} to {high}")))
            }
            Some(other) => Err(self.wrong(key, format!("is {}, not an integer", other.describe()))),
        }
    }

    /// A list of text, empty when absent.
    pub fn texts(&self, key: &str) -> Outcome<Vec<(&'a str, Position)>> {
        match self.node(key).map(|node| &node.value) {
            None => Ok(Vec::new()),
            Some(Value::List(elements)) => elements
                .iter()
                .map(|element| match &element.value {
                    Value::Text(text) => Ok((text.as_str(), element.at)),
                    other => {
                        Err(self.wrong(key, format!("holds {}, not only text", other.describe())))
                    }
                })
                .collect(),
            Some(other) => Err(self.wrong(key, format!("is {}, not a list", other.describe()))),
        }
    }

    /// One of the spellings of an axis.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(T, &'static str)]) -> Outcome<Option<T>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match choices.iter().find(|(_, spelling)| *spelling == text) {
            Some((value, _)) => Ok(Some(*value)),
            None => {
                let help = suggest(text, choices.iter().map(|(_, spelling)| *spelling));
                let path = self.join(key);
                let problem = format!("{path} has no value \"{text}\"");
                Err(self.fault_at(self.place(key), &path, problem, &help))
            }
        }
    }

    /// A fault about a key of this table.
    pub fn wrong(&self, key: &str, problem: String) -> Box<DialectFault> {
        let path = self.join(key);
        self.fault_at(self.place(key), &path, format!("{path} {problem}"), "")
    }

    pub fn fault_at(
        &self,
        at: Position,
        key: &str,
        message: String,
        help: &str,
    ) -> Box<DialectFault> {
        Box::new(DialectFault {
            message,
            file: self.file.to_owned(),
            at,
            key: key.to_owned(),
            help: help.to_owned(),
        })
    }

    /// Where a key stands, or the table when it is not there.
    pub fn place(&self, key: &str) -> Position {
        self.node(key).map_or(self.at, |node| node.at)
    }
}

/// `did you mean …?` for the nearest of `known`, or all of them when none is near and they are few.
pub fn suggest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = known.collect();
    let near = all
        .iter()
        .map(|candidate| (distance(text, candidate), *candidate))
        .min()
        .filter(|(far, candidate)| *far <= 1 + candidate.chars().count() / 3);
    match near {
        Some((_, candidate)) => format!("did you mean \"{candidate}\"?"),
        None if all.len() <= 12 => format!("one of {}", all.join(", ")),
        None => String::new(),
    }
}

/// Edits (insert, delete, replace) that turn one text into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut corner = line;
        let mut before = line + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (slot, to) in row.iter_mut().skip(1).zip(&right) {
            let cost = corner + usize::from(from != *to);
            corner = *slot;
            before = cost.min(corner + 1).min(before + 1);
            *slot = before;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        let known = ["encoding", "length", "prefix"];
        assert_eq!(
            suggest("encodng", known.into_iter()),
            "did you mean \"encoding\"?"
        );
        assert_eq!(
            suggest("zzz", known.into_iter()),
            "one of encoding, length, prefix"
        );
    }
}
