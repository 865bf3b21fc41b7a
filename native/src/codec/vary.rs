//! The same dialect file with some keys changed: what a tool tries when a message does not fit it.

use std::sync::Arc;

use crate::codec::compile::{compile_table, parse_file};
use crate::codec::spec::Dialect;
use crate::codec::toml::{Node, Table, Value};
use crate::error::{DialectFault, Position};

/// A parsed dialect file.
#[derive(Clone, Debug)]
pub struct Draft {
    text: String,
    file: String,
    table: Table,
}

impl Draft {
    /// Faults as `compile`.
    pub fn parse(text: &str, file: &str) -> Result<Draft, Box<DialectFault>> {
        Ok(Draft {
            text: text.to_owned(),
            file: file.to_owned(),
            table: parse_file(text, file)?,
        })
    }

    /// Compiles with `changes`: dotted path to the new value, or None to take the key away. Tables on the way are
    /// made. What the changed file would be refused for is the fault.
    pub fn vary(
        &self,
        changes: &[(String, Option<Value>)],
    ) -> Result<Arc<Dialect>, Box<DialectFault>> {
        let mut table = self.table.clone();
        for (path, value) in changes {
            set(&mut table, path, value.clone());
        }
        compile_table(&table, &self.text, &self.file)
    }
}

fn set(table: &mut Table, path: &str, value: Option<Value>) {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    let Some(rest) = rest else {
        let at = table.get(key).map_or(Position::default(), |node| node.at);
        table.entries.retain(|(name, _)| name != key);
        if let Some(value) = value {
            table.entries.push((key.to_owned(), Node { value, at }));
        }
        return;
    };
    if !matches!(
        table.get(key).map(|node| &node.value),
        Some(Value::Table(_))
    ) {
        table.entries.retain(|(name, _)| name != key);
        table.entries.push((
            key.to_owned(),
            Node {
                value: Value::Table(Table::default()),
                at: Position::default(),
            },
        ));
    }
    for (name, node) in &mut table.entries {
        if let (true, Value::Table(inner)) = (name == key, &mut node.value) {
            set(inner, rest, value);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_made_and_taken_away() {
        let mut table = Table::default();
        set(&mut table, "a.b.c", Some(Value::Integer(1)));
        set(&mut table, "a.d", Some(Value::Boolean(true)));
        set(&mut table, "a.b.c", Some(Value::Integer(2)));
        set(&mut table, "a.d", None);
        set(&mut table, "gone", None);
        let inner = |table: &Table, key: &str| match table.get(key).map(|node| &node.value) {
            Some(Value::Table(inner)) => Some(inner.clone()),
            _ => None,
        };
        let a = inner(&table, "a").unwrap_or_default();
        let b = inner(&a, "b").unwrap_or_default();
        assert_eq!(a.entries.len(), 1);
        assert_eq!(b.get("c").map(|node| &node.value), Some(&Value::Integer(2)));
        assert!(table.get("gone").is_none());
    }
}
