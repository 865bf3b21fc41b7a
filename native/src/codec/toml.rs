//! TOML with the place of every key, so that settings and dialect errors name line and column.

use toml_edit::{Document, Item, TableLike};

use crate::error::{Position, TomlFault};

/// A value and where it stands: the place of its key, or of the element in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    pub at: Position,
}

/// What TOML can say. Dates stay text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
}

/// Keys in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub entries: Vec<(String, Node)>,
}

impl Table {
    /// The node of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }
}

impl Value {
    /// What it is, for error messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Text(_) => "text",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Parses `text`; the fault names line and column.
pub fn parse(text: &str) -> Result<Table, TomlFault> {
    let places = Places::new(text);
    let document = Document::parse(text).map_err(|error| TomlFault {
        message: error.message().trim().replace('\n', "; "),
        at: places.at(error.span().map_or(0, |span| span.start)),
    })?;
    Ok(table(document.as_table(), &places))
}

/// Every key of `table` by dotted path with its place; elements of lists are addressed by index.
pub fn positions(table: &Table) -> Vec<(String, Position)> {
    let mut out = Vec::new();
    collect(table, "", &mut out);
    out
}

fn collect(table: &Table, prefix: &str, out: &mut Vec<(String, Position)>) {
    for (name, node) in &table.entries {
        collect_node(node, join(prefix, name), out);
    }
}

fn collect_node(node: &Node, path: String, out: &mut Vec<(String, Position)>) {
    match &node.value {
        Value::Table(inner) => {
            out.push((path.clone(), node.at));
            collect(inner, &path, out);
        }
        Value::List(elements) => {
            out.push((path.clone(), node.at));
            for (index, element) in elements.iter().enumerate() {
                collect_node(element, join(&path, &index.to_string()), out);
            }
        }
        _ => out.push((path, node.at)),
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Byte offsets to lines.
struct Places<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Places { text, starts }
    }

    fn at(&self, offset: usize) -> Position {
        let line = self
            .starts
            .partition_point(|&start| start <= offset)
            .saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let column = self
            .text
            .get(start..offset)
            .map_or(offset.saturating_sub(start), |part| part.chars().count());
        Position {
            line: line + 1,
            column: column + 1,
        }
    }
}

fn table(source: &dyn TableLike, places: &Places<'_>) -> Table {
    let mut entries = Vec::with_capacity(source.len());
    for (name, item) in source.iter() {
        let span = source
            .key(name)
            .and_then(toml_edit::Key::span)
            .or_else(|| item.span());
        let at = places.at(span.map_or(0, |s| s.start));
        if let Some(value) = item_value(item, places) {
            entries.push((name.to_owned(), Node { value, at }));
        }
    }
    Table { entries }
}

fn item_value(item: &Item, places: &Places<'_>) -> Option<Value> {
    match item {
        Item::None => None,
        Item::Value(inner) => Some(value(inner, places)),
        Item::Table(inner) => Some(Value::Table(table(inner, places))),
        Item::ArrayOfTables(tables) => Some(Value::List(
            tables
                .iter()
                .map(|inner| Node {
                    value: Value::Table(table(inner, places)),
                    at: places.at(inner.span().map_or(0, |s| s.start)),
                })
                .collect(),
        )),
    }
}

fn value(source: &toml_edit::Value, places: &Places<'_>) -> Value {
    match source {
        toml_edit::Value::String(inner) => Value::Text(inner.value().clone()),
        toml_edit::Value::Integer(inner) => Value::Integer(*inner.value()),
        toml_edit::Value::Float(inner) => Value::Float(*inner.value()),
        toml_edit::Value::Boolean(inner) => Value::Boolean(*inner.value()),
        toml_edit::Value::Datetime(inner) => Value::Text(inner.value().to_string()),
        toml_edit::Value::Array(inner) => Value::List(
            inner
                .iter()
                .map(|element| Node {
                    value: value(element, places),
                    at: places.at(element.span().map_or(0, |s| s.start)),
                })
                .collect(),
        ),
        toml_edit::Value::InlineTable(inner) => Value::Table(table(inner, places)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, path: &str) -> Option<(usize, usize)> {
        let parsed = parse(text).ok()?;
        positions(&parsed)
            .into_iter()
            .find(|(name, _)| name == path)
            .map(|(_, at)| (at.line, at.column))
    }

    #[test]
    fn every_kind_of_key_has_its_place() {
        let text = "a = 1\n[t]\n  b = 'x'\n\n[[list]]\nid = \"é\"; \n".replace("; ", "");
        assert_eq!(place(&text, "a"), Some((1, 1)));
        assert_eq!(place(&text, "t"), Some((2, 2)));
        assert_eq!(place(&text, "t.b"), Some((3, 3)));
        assert_eq!(place(&text, "list.0"), Some((5, 1)));
        assert_eq!(place(&text, "list.0.id"), Some((6, 1)));
        assert_eq!(place("é = 1", "é"), None);
        let inline = "x = { 'é' = [1, 22] , b = 2 }";
        assert_eq!(place(inline, "x.é"), Some((1, 7)));
        assert_eq!(place(inline, "x.é.1"), Some((1, 17)));
        assert_eq!(place(inline, "x.b"), Some((1, 23)));
        assert_eq!(place("a.b.c = 1\n", "a.b.c"), Some((1, 5)));
    }

    #[test]
    fn a_fault_names_its_place() {
        let fault = parse("a = 1\nb = = 2\n").err();
        assert_eq!(fault.map(|f| f.at.line), Some(2));
        let twice = parse("a = 1\na = 2\n").err();
        assert_eq!(twice.map(|f| (f.at.line, f.at.column)), Some((2, 1)));
    }
}
