//! Tables of settings laid over each other, each key with its origin.

use std::collections::BTreeMap;
use toml::{Table, Value};

/// A value as TOML would read it; a bare word is a string.
pub(super) fn parse_value(text: &str) -> Value {
    let parsed: Option<Table> = format!("value = {text}").parse().ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

pub(super) fn nested(key: &str, value: Value) -> Table {
    match key.split_once('.') {
        Some((head, rest)) => {
            Table::from_iter([(head.to_owned(), Value::Table(nested(rest, value)))])
        }
        None => Table::from_iter([(key.to_owned(), value)]),
    }
}

/// Lays `layer` over `base`, key by key.
pub(crate) fn merge_tables(base: &mut Table, layer: &Table) {
    merge(base, layer, "", "", &mut BTreeMap::new());
}

/// Lays `layer` over `base`. A table whose `kind` changes starts anew: the fields belong to the kind.
pub(super) fn merge(
    base: &mut Table,
    layer: &Table,
    path: &str,
    origin: &str,
    origins: &mut BTreeMap<String, String>,
) {
    if let (Some(old), Some(new)) = (base.get("kind"), layer.get("kind"))
        && old != new
    {
        base.clear();
    }
    for (key, value) in layer {
        let key_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                merge(below, above, &key_path, origin, origins);
            }
            _ => {
                base.insert(key.clone(), value.clone());
                match value {
                    Value::Table(table) => mark(table, &key_path, origin, origins),
                    _ => {
                        origins.insert(key_path, origin.to_owned());
                    }
                }
            }
        }
    }
}

pub(super) fn mark(
    table: &Table,
    path: &str,
    origin: &str,
    origins: &mut BTreeMap<String, String>,
) {
    for (key, value) in table {
        let key_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(below) => mark(below, &key_path, origin, origins),
            _ => {
                origins.insert(key_path, origin.to_owned());
            }
        }
    }
}

pub(super) fn flatten(
    table: &Table,
    path: &str,
    origins: &BTreeMap<String, String>,
    out: &mut Vec<(String, String, String)>,
) {
    for (key, value) in table {
        let key_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(below) => flatten(below, &key_path, origins, out),
            _ => {
                let origin = origins.get(&key_path).cloned().unwrap_or_default();
                out.push((key_path, value.to_string(), origin));
            }
        }
    }
}
