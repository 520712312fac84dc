use std::collections::BTreeSet;

use super::*;

/// The schema of OWASP CycloneDX, under Apache-2.0, unchanged:
/// <https://github.com/CycloneDX/specification>, `schema/bom-1.5.schema.json`.
const SCHEMA: &str = include_str!("bom-1.5.schema.json");

/// Schemas that it refers to, for what no bill of ours has: single licences and signatures.
const UNUSED: [&str; 2] = ["spdx.schema.json", "jsf-0.82.schema.json"];

fn bill_of_relay(architecture: Architecture) -> Value {
    let toolchains = Toolchains::example();
    let sum = "0123456789abcdef".repeat(4);
    bill(architecture, &toolchains, &sum, "2026-01-02T03:04:05Z").expect("a bill")
}

#[test]
fn the_bill_is_as_the_schema_of_cyclonedx_says() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("a schema");
    let none = json!({ "definitions": { "signature": false }, "not": {} });
    let mut registry = jsonschema::Registry::new();
    for name in UNUSED {
        let address = format!("http://cyclonedx.org/schema/{name}");
        registry = registry.add(address, none.clone()).expect("a schema");
    }
    let registry = registry.prepare().expect("schemas");
    let validator = jsonschema::options().with_registry(&registry).build(&schema);
    let validator = validator.expect("a schema");
    let bill = bill_of_relay(Architecture::Arm64);
    let errors: Vec<_> = validator.iter_errors(&bill).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    let mut wrong = bill;
    wrong["components"][0]["type"] = json!("crate");
    assert!(!validator.is_valid(&wrong), "the schema accepts anything");
}

#[test]
fn everything_that_is_linked_is_in_the_bill_once() {
    let bill = bill_of_relay(Architecture::Amd64);
    let list = bill["components"].as_array().expect("components");
    let components: Vec<_> = list.iter().map(|part| text(part, "bom-ref").expect("text")).collect();
    let set: BTreeSet<_> = components.iter().cloned().collect();
    assert_eq!(set.len(), components.len(), "{components:?}");
    for (name, linked) in linked::packages(Architecture::Amd64).expect("packages") {
        let is_subject = name.0 == "relay";
        assert_eq!(set.contains(&reference(&name)), !is_subject, "{name:?}");
        let of_crates_io = linked.package.source.is_some();
        let part = list.iter().find(|part| part["bom-ref"] == json!(reference(&name)));
        let is_known = |part: &Value| part["hashes"][0]["content"].is_string();
        assert!(is_subject || part.is_some_and(is_known) == of_crates_io, "{name:?}");
    }
    for name in ["sqlite", "zstd", "uplot", "rust-std", "musl", "rust-core"] {
        assert!(list.iter().any(|part| part["name"] == name), "{name}");
    }
    let wireguard = list.iter().find(|part| part["name"] == "wireguard-control");
    let licence = wireguard.map(|part| &part["licenses"][0]["expression"]);
    assert_eq!(licence, Some(&json!("LGPL-2.1-or-later")));
}

#[test]
fn the_bill_names_the_target_of_its_binary() {
    for architecture in Architecture::ALL {
        let bill = bill_of_relay(architecture);
        let properties = bill["metadata"]["component"]["properties"].as_array().expect("a list");
        let target = json!({ "name": "relay:target", "value": architecture.target() });
        assert!(properties.contains(&target), "{properties:?}");
    }
}

#[test]
fn every_component_is_reached_from_relay() {
    let bill = bill_of_relay(Architecture::Amd64);
    let edges: BTreeMap<String, Vec<String>> = bill["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .map(|edge| {
            let on = serde_json::from_value(edge["dependsOn"].clone()).expect("references");
            (text(edge, "ref").expect("text"), on)
        })
        .collect();
    let subject = text(&bill["metadata"]["component"], "bom-ref").expect("text");
    let mut reached = BTreeSet::new();
    let mut next = vec![subject];
    while let Some(name) = next.pop() {
        let on = edges.get(&name).unwrap_or_else(|| panic!("{name} has no dependencies"));
        if reached.insert(name) {
            next.extend(on.iter().cloned());
        }
    }
    assert!(edges.keys().eq(reached.iter()), "unreached components");
}
