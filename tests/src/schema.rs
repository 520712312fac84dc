//! What `relay` prints as JSON, held against the schemas in `docs/`.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

macro_rules! schemas {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../docs/", $name, ".schema.json")))),+]
    };
}

/// Taken along when this is built, because a virtual machine has no `docs/`.
const SCHEMAS: [(&str, &str); 7] =
    schemas!["doctor", "explain", "observe", "pairs", "stats", "status", "up"];

/// The value that `text` is.
///
/// # Errors
/// It is no JSON, or not as the schema of this name says.
pub fn parse(name: &str, text: &str) -> Result<Value> {
    let value = serde_json::from_str(text).with_context(|| format!("{name}: no JSON: {text}"))?;
    let found = SCHEMAS.iter().find(|(known, _)| *known == name);
    let (_, schema) = found.with_context(|| format!("there is no schema of {name}"))?;
    let schema = jsonschema::validator_for(&serde_json::from_str(schema)?)?;
    let errors: Vec<_> = schema
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    if !errors.is_empty() {
        bail!("{name} is not as docs/{name}.schema.json says:\n{}\n{text}", errors.join("\n"));
    }
    Ok(value)
}
