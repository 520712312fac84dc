//! Validates the JSON that `relay` prints, by the schemas in `docs/`.

#[cfg(feature = "suites")]
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

macro_rules! schemas {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../docs/", $name, ".schema.json")))),+]
    };
}

/// Compiled in, as the virtual machine has no `docs/`.
const SCHEMAS: [(&str, &str); 19] = schemas![
    "bench", "diff", "doctor", "events", "explain", "flows", "graph", "learn", "lend", "observe",
    "pairs", "quota", "rules", "stats", "status", "suggest", "try", "unused", "up"
];

/// Parses and validates `text`.
pub fn parse(name: &str, text: &str) -> Result<Value> {
    let value = serde_json::from_str(text).with_context(|| format!("{name}: no JSON: {text}"))?;
    let found = SCHEMAS.iter().find(|(known, _)| *known == name);
    let (name, schema) = found.with_context(|| format!("there is no schema of {name}"))?;
    let errors = errors(name, schema, &value)?;
    if !errors.is_empty() {
        bail!("{name} is not as docs/{name}.schema.json says:\n{}\n{text}", errors.join("\n"));
    }
    Ok(value)
}

#[cfg(feature = "suites")]
fn errors(name: &'static str, schema: &str, value: &Value) -> Result<Vec<String>> {
    /// A schema takes longer to prepare than most values to validate.
    static PREPARED: Mutex<BTreeMap<&str, jsonschema::Validator>> = Mutex::new(BTreeMap::new());
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = match prepared.entry(name) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            entry.insert(jsonschema::validator_for(&serde_json::from_str(schema)?)?)
        }
    };
    let errors = schema.iter_errors(value);
    Ok(errors.map(|error| format!("{}: {error}", error.instance_path())).collect())
}

/// Parses `text`: the demonstration does not validate.
#[cfg(not(feature = "suites"))]
fn errors(_name: &str, _schema: &str, _value: &Value) -> Result<Vec<String>> {
    Ok(Vec::new())
}
