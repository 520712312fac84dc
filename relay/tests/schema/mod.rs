use std::{fs, path::Path};

use serde_json::Value;

/// Parses `text` and validates it by `docs/NAME.schema.json`.
pub(crate) fn parse(name: &str, text: &str) -> Value {
    let file = format!("../docs/{name}.schema.json");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let schema = fs::read_to_string(&file).expect("the schema");
    let schema = serde_json::from_str(&schema).expect("JSON");
    let value = serde_json::from_str(text).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = schema
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}: {errors:#?}\n{text}", file.display());
    value
}
