//! `docs/reference/json.md`, from the schemas in `docs/`.

use std::{collections::HashMap, fs, path::Path};

use serde_json::Value;

use crate::{
    markdown::{code, table},
    page, schema,
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
        let found = fs::read_to_string(&file).expect("a schema");
        let schema = schema::filled(&found);
        page::keep(&Path::new("docs").join(&name), &found, &schema);
        let schema: Value = serde_json::from_str(&schema).expect("JSON");
        let [title, description] = ["title", "description"].map(|key| field(&schema, key));
        let mut rows = Rows { schema: &schema, rows: Vec::new(), written: HashMap::new() };
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
    /// Definitions whose fields are in the table already, and under which path.
    written: HashMap<&'s str, String>,
}

impl<'s> Rows<'s> {
    /// The fields of an object, and of what is in them.
    fn properties(&mut self, object: &'s Value, prefix: &str) {
        let Some(properties) = object["properties"].as_object() else { return };
        for (name, property) in properties {
            self.property(format!("{prefix}{name}"), property);
        }
    }

    fn property(&mut self, mut path: String, property: &'s Value) {
        let (resolved, mut reference) = self.resolved(property);
        let descriptions = [property, resolved].map(|value| field(value, "description"));
        let mut meaning = descriptions.iter().find(|text| !text.is_empty()).cloned();
        let mut inner = resolved;
        let mut kind = kind(inner);
        if kind == "array" {
            path.push_str("[]");
            (inner, reference) = self.resolved(&inner["items"]);
            kind = format!("array of {}", self::kind(inner));
        }
        let list =
            schema::LISTS.iter().find(|(mark, _)| field(inner, "description").contains(mark));
        let reference = reference.filter(|_| inner["properties"].is_object() && list.is_none());
        let elsewhere = reference.and_then(|name| self.written.get(name).cloned());
        if let Some(elsewhere) = &elsewhere {
            let text = meaning.unwrap_or_default();
            meaning = Some(format!("{text} Fields as in `{elsewhere}`.").trim().to_owned());
        } else if let Some(name) = reference {
            self.written.insert(name, path.clone());
        }
        self.rows.push([code(&path), kind, meaning.unwrap_or_default()]);
        if let Some((_, name)) = list {
            let meaning = "A count; see [reasons](reasons.md).".to_owned();
            self.rows.push([code(&format!("{path}.{name}")), "integer".to_owned(), meaning]);
        } else if elsewhere.is_none() {
            self.properties(inner, &format!("{path}."));
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
    let one_of = ["oneOf", "anyOf"].iter().any(|key| value[key].is_array());
    match (value["type"].as_str(), value["type"].as_array()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(names)) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        (None, None) if one_of => "one of several".to_owned(),
        (None, None) => "object".to_owned(),
    }
}
