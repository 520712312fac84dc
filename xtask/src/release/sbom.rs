//! The bill of materials, as CycloneDX 1.5: all that is linked into the binary, with version,
//! licence, checksum and source.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use relay_vm::{Architecture, process, workspace};
use serde_json::{Map, Value, json};

use super::linked::{self, Linked, Name, ROOTS};
use super::toolchains::Toolchains;
use super::{Contents, bundled, released_at};

/// The bill of the binary among these contents.
///
/// # Errors
/// Cargo failed, or a package states no licence.
pub(super) fn render(contents: &Contents, toolchains: &Toolchains) -> Result<String> {
    let sum = process::read(Command::new("sha256sum").arg("--").arg(contents.binary()))?;
    let sum = sum.split(' ').next().context("`sha256sum` printed nothing")?;
    let time = format!("--date=@{}", released_at()?);
    let time = process::read(Command::new("date").args(["--utc", "+%Y-%m-%dT%H:%M:%SZ", &time]))?;
    let bill = bill(contents.architecture, toolchains, sum, time.trim())?;
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

/// `sum` is the SHA-256 of the binary, from which the bill has its serial number.
fn bill(
    architecture: Architecture,
    toolchains: &Toolchains,
    sum: &str,
    time: &str,
) -> Result<Value> {
    let packages = &linked::packages(architecture)?;
    let checksums = checksums()?;
    let mut components = Vec::new();
    let mut dependencies = BTreeMap::new();
    let mut subject = None;
    for (name, linked) in packages {
        let mut on: Vec<_> = linked.dependencies.iter().map(reference).collect();
        if let Some(bundled) = bundled::of(linked)? {
            let part = component_of(&bundled);
            on.push(text(&part, "bom-ref")?);
            dependencies.insert(text(&part, "bom-ref")?, Vec::new());
            components.push(part);
        }
        let component = component(name, linked, checksums.get(name).map(String::as_str))?;
        if name.0 == "relay" {
            on.push(reference(&programs(packages)?));
            on.push("rust-std".to_owned());
            subject = Some(component);
        } else {
            components.push(component);
        }
        if name.0 == "relay-ebpf" {
            on.push("rust-core".to_owned());
        }
        dependencies.insert(reference(name), on);
    }
    for (reference, name, compiler, on) in [
        ("rust-std", "Rust's standard library", &toolchains.rustc, vec!["musl".to_owned()]),
        ("rust-core", "Rust's core library for BPF", &toolchains.bpf_rustc, Vec::new()),
    ] {
        components.push(library(reference, name, compiler)?);
        dependencies.insert(reference.to_owned(), on);
    }
    components.push(json!({
        "type": "library",
        "bom-ref": "musl",
        "name": "musl",
        "description": "The C library, of the version that Rust's standard library brings along",
        "licenses": [{ "expression": "MIT" }],
        "externalReferences": [{ "type": "website", "url": "https://musl.libc.org" }],
    }));
    dependencies.insert("musl".to_owned(), Vec::new());
    let mut subject = subject.context("relay is not among its own packages")?;
    subject["type"] = json!("application");
    subject["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    subject["properties"] = json!([
        { "name": "relay:built-with", "value": toolchains.to_string() },
        { "name": "relay:target", "value": architecture.target() },
    ]);
    let edges: Vec<_> =
        dependencies.iter().map(|(from, on)| json!({ "ref": from, "dependsOn": on })).collect();
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": serial_number(sum)?,
        "version": 1,
        "metadata": {
            "timestamp": time,
            "tools": { "components": [
                { "type": "application", "name": "cargo xtask dist", "version": subject["version"] }
            ] },
            "component": subject,
        },
        "components": components,
        "dependencies": edges,
    }))
}

/// A package of cargo's.
fn component((name, version): &Name, linked: &Linked, checksum: Option<&str>) -> Result<Value> {
    let package = &linked.package;
    let Some(licence) = &package.license else {
        bail!("{name} {version} states no licence in its Cargo.toml")
    };
    let mut fields = Map::new();
    let mut set = |field: &str, value: Value| fields.insert(field.to_owned(), value);
    set("type", json!("library"));
    set("bom-ref", json!(reference(&(name.clone(), version.clone()))));
    set("name", json!(name));
    set("version", json!(version));
    // An older way to write a choice.
    set("licenses", json!([{ "expression": licence.replace('/', " OR ") }]));
    if package.source.is_some() {
        // `+` is a space in a URL.
        set("purl", json!(format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))));
    }
    if let Some(checksum) = checksum {
        set("hashes", json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    if let Some(repository) = &package.repository {
        set("externalReferences", json!([{ "type": "vcs", "url": repository }]));
    }
    Ok(Value::Object(fields))
}

/// Source that a package brings along.
fn component_of(bundled: &bundled::Bundled) -> Value {
    let bundled::Bundled { name, version, licence, source, .. } = bundled;
    let mut component = json!({
        "type": "library",
        "bom-ref": format!("{name}@{version}"),
        "name": name,
        "version": version,
        "licenses": [{ "expression": licence }],
        "purl": format!("pkg:generic/{name}@{version}"),
        "externalReferences": [{ "type": "website", "url": source }],
    });
    if let Some((vendor, product)) = bundled.cpe {
        let cpe = format!("cpe:2.3:a:{vendor}:{product}:{version}:*:*:*:*:*:*:*");
        component["cpe"] = json!(cpe);
    }
    component
}

/// A library of a compiler, of which it prints `rustc VERSION (…)`.
fn library(reference: &str, description: &str, compiler: &str) -> Result<Value> {
    let version = compiler.split(' ').nth(1);
    let version = version.with_context(|| format!("no version in {compiler:?}"))?;
    Ok(json!({
        "type": "library",
        "bom-ref": reference,
        "name": reference,
        "version": version,
        "description": description,
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        "externalReferences": [{ "type": "vcs", "url": "https://github.com/rust-lang/rust" }],
    }))
}

/// How the bill names a package inside.
fn reference((name, version): &Name) -> String {
    format!("{name}@{version}")
}

/// The programs, which are in the binary as files and so not in its dependencies.
fn programs(packages: &BTreeMap<Name, Linked>) -> Result<Name> {
    let name = packages.keys().find(|(name, _)| name == ROOTS[1].1);
    name.cloned().context("the eBPF programs are not among the packages")
}

/// A UUID (version 8, RFC 9562) of this sum's first half.
fn serial_number(sum: &str) -> Result<String> {
    let part = |from, to| sum.get(from..to).context("a SHA-256 has 64 digits");
    let (a, b, c, d, e) = (part(0, 8)?, part(8, 12)?, part(13, 16)?, part(17, 20)?, part(20, 32)?);
    Ok(format!("urn:uuid:{a}-{b}-8{c}-8{d}-{e}"))
}

/// The checksums of the lock files.
fn checksums() -> Result<BTreeMap<Name, String>> {
    let mut checksums = BTreeMap::new();
    for (manifest, _) in ROOTS {
        let path = workspace::root().join(manifest).with_extension("lock");
        let lock =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for package in lock.split("[[package]]").skip(1) {
            let value = |key: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(key))?;
                Some(line.strip_prefix(" = ")?.trim_matches('"').to_owned())
            };
            if let (Some(name), Some(version), Some(checksum)) =
                (value("name"), value("version"), value("checksum"))
            {
                checksums.insert((name, version), checksum);
            }
        }
    }
    Ok(checksums)
}

fn text(component: &Value, field: &str) -> Result<String> {
    let text = component[field].as_str();
    text.map(str::to_owned).with_context(|| format!("a component without {field}"))
}

#[cfg(test)]
mod tests;
