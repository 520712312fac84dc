//! The description of the API (OpenAPI 3.1), made of the schemas of the verbs' JSON.

use std::collections::BTreeMap;

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};

use super::{
    api::JSON,
    endpoints::{Answer, ENDPOINTS, Endpoint, Parameter},
};

/// Name and text of each schema.
const SCHEMAS: [(&str, &str); 12] = [
    ("Diff", include_str!("../../../docs/diff.schema.json")),
    ("Dropped", include_str!("../../../docs/observe.schema.json")),
    ("Event", include_str!("../../../docs/events.schema.json")),
    ("Explained", include_str!("../../../docs/explain.schema.json")),
    ("Flows", include_str!("../../../docs/flows.schema.json")),
    ("Graph", include_str!("../../../docs/graph.schema.json")),
    ("History", include_str!("../../../docs/history.schema.json")),
    ("Pairs", include_str!("../../../docs/pairs.schema.json")),
    ("Quotas", include_str!("../../../docs/quota.schema.json")),
    ("Rules", include_str!("../../../docs/rules.schema.json")),
    ("Stats", include_str!("../../../docs/stats.schema.json")),
    ("Status", include_str!("../../../docs/status.schema.json")),
];

/// Answers with the document.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, JSON)], document().to_string()).into_response()
}

/// The whole document.
fn document() -> Value {
    let mut schemas = BTreeMap::new();
    for (name, schema) in SCHEMAS {
        component(&mut schemas, name, schema);
    }
    schemas.insert("Error".to_owned(), json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["error"],
        "properties": { "error": { "type": "string", "description": "What is wrong, and what to do." } }
    }));
    let paths: Map<String, Value> = ENDPOINTS.iter().map(Endpoint::described).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "relay serve",
            "description": "A relay to look at. Nothing here changes anything.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0" }
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Where `relay serve` was started with --token-file."
                }
            }
        }
    })
}

impl Endpoint {
    fn described(&self) -> (String, Value) {
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let (kind, schema) = match self.answer {
            Answer::One(name) => ("application/json", reference(name)),
            Answer::Many(name) => {
                ("application/json", json!({ "type": "array", "items": reference(name) }))
            }
            Answer::Events => ("text/event-stream", json!({ "type": "string" })),
        };
        let parameters: Vec<_> = self.query.iter().map(Parameter::described).collect();
        let error = |about: &str| {
            json!({
                "description": about,
                "content": { "application/json": { "schema": reference("Error") } }
            })
        };
        let operation = json!({
            "operationId": self.path.trim_start_matches('/'),
            "summary": self.summary,
            "parameters": parameters,
            "responses": {
                "200": { "description": "The answer.", "content": { kind: { "schema": schema } } },
                "400": error("The request is wrong, or asks for what is not counted."),
                "401": error("The token is missing or wrong."),
                "414": error("The path is too long."),
                "421": error("The Host header names another host."),
                "500": error("The relay cannot be read."),
                "503": error("The relay is not up, or too many ask at once.")
            }
        });
        (self.path.to_owned(), json!({ "get": operation }))
    }
}

impl Parameter {
    fn described(&self) -> Value {
        json!({
            "name": self.name,
            "in": "query",
            "required": self.required,
            "description": self.about,
            "schema": (self.schema)()
        })
    }
}

/// Adds a schema, and each of its definitions as one of its own: a reference in a component is
/// relative to the whole document.
fn component(schemas: &mut BTreeMap<String, Value>, name: &str, schema: &str) {
    let mut schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let Some(fields) = schema.as_object_mut() else { return };
    fields.remove("$schema");
    let definitions = fields.remove("$defs");
    repoint(&mut schema, name);
    schemas.insert(name.to_owned(), schema);
    if let Some(Value::Object(definitions)) = definitions {
        for (inner, mut definition) in definitions {
            repoint(&mut definition, name);
            schemas.insert(format!("{name}.{inner}"), definition);
        }
    }
}

fn repoint(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                match (key.as_str(), inner.as_str().and_then(|to| to.strip_prefix("#/$defs/"))) {
                    ("$ref", Some(to)) => {
                        *inner = Value::String(format!("#/components/schemas/{name}.{to}"));
                    }
                    _ => repoint(inner, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| repoint(item, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
