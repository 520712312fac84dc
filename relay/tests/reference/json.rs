//! `docs/reference/json.md`, from the schemas in `docs/`.

use std::{collections::HashSet, fs};

use serde_json::Value;

use crate::{
    markdown::{code, table},
    page,
};

#[test]
fn the_page_of_json_is_current() {
    let mut files: Vec<_> = fs::read_dir(page::root().join("docs"))
        .expect("docs/")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".schema.json"))
        .collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let schema = fs::read_to_string(&file).expect("a schema");
        let schema: Value = serde_json::from_str(&schema).expect("JSON");
        let [title, description] = ["title", "description"].map(|key| field(&schema, key));
        let mut rows = Rows { schema: &schema, rows: Vec::new(), open: HashSet::new() };
        rows.properties(&schema, "");
        let fields = table(["field", "type", "meaning"], rows.rows);
        text.push_str(&format!(
            "## `{title}`\n\n{description} Schema: [{name}](../{name}).\n\n{fields}\n"
        ));
    }
    page::check("json", &text);
}

struct Rows<'s> {
    schema: &'s Value,
    rows: Vec<[String; 3]>,
    /// Definitions that are being followed, or were: each is written out where it first occurs.
    open: HashSet<String>,
}

impl<'s> Rows<'s> {
    /// The fields of an object, and of what is in them.
    fn properties(&mut self, object: &'s Value, prefix: &str) {
        let Some(properties) = object["properties"].as_object() else { return };
        for (name, property) in properties {
            let path = format!("{prefix}{name}");
            let (resolved, reference) = self.resolved(property);
            let meaning = [property, resolved]
                .map(|value| field(value, "description"))
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or_default();
            let mut path = path;
            let mut inner = (resolved, reference);
            let mut kind = kind(resolved);
            while kind == "array" {
                path.push_str("[]");
                inner = self.resolved(&inner.0["items"]);
                if inner.0.is_null() {
                    break;
                }
                kind = format!("array of {}", self::kind(inner.0));
            }
            let (inner, reference) = inner;
            // A definition without properties of its own, such as a count, is only a type.
            let has_fields = inner["properties"].is_object();
            let first = match reference.filter(|_| has_fields) {
                Some(name) => self.open.insert(name.to_owned()),
                None => true,
            };
            let see = match reference {
                Some(name) if has_fields && !first => format!(" Fields: as in `{name}` above."),
                Some(_) | None => String::new(),
            };
            self.rows.push([code(&path), kind, format!("{meaning}{see}").trim().to_owned()]);
            if first {
                self.properties(inner, &format!("{path}."));
            }
        }
    }

    /// What a `$ref` leads to, and its name.
    fn resolved(&self, value: &'s Value) -> (&'s Value, Option<&'s str>) {
        match value["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => (&self.schema["$defs"][name], Some(name)),
            None => (value, None),
        }
    }
}

fn field(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// The type, as a reader of the table needs it.
fn kind(value: &Value) -> String {
    if let Some(constant) = value.get("const") {
        return format!("`{constant}`");
    }
    if let Some(values) = value["enum"].as_array() {
        return values.iter().map(|value| code(&value.to_string())).collect::<Vec<_>>().join(", ");
    }
    match &value["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ if value["oneOf"].is_array() || value["anyOf"].is_array() => "one of several".to_owned(),
        _ => "object".to_owned(),
    }
}
