//! The state of a host's kernel, for comparison before and after.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::RelayHost;

/// A map of aya's feature probes. The kernel frees it some time later.
const PROBE: &str = "aya_global";

/// Everything that `relay up` could leave behind: interfaces, addresses, routes, rules, qdiscs and
/// filters, netfilter tables, pins, programs and maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint(Vec<(&'static str, Vec<String>)>);

impl Footprint {
    /// Reads the state of a host.
    pub fn read(host: &RelayHost) -> Result<Self> {
        let mut parts = Vec::new();
        let run = |program: &str, arguments: &[&str]| -> Result<Vec<String>> {
            let text = host.namespace().run(program, arguments)?;
            Ok(text.lines().map(|line| line.trim_end().to_owned()).collect())
        };
        for (what, arguments) in [
            ("links", &["-j", "link"][..]),
            ("addresses", &["-j", "address"]),
            ("IPv4 routes", &["-j", "-4", "route", "show", "table", "all"]),
            ("IPv6 routes", &["-j", "-6", "route", "show", "table", "all"]),
            ("IPv4 rules", &["-j", "-4", "rule"]),
            ("IPv6 rules", &["-j", "-6", "rule"]),
        ] {
            let text = host.namespace().run("ip", arguments)?;
            parts.push((what, objects(&text)?));
        }
        parts.push(("qdiscs", run("tc", &["qdisc", "show"])?));
        parts.push(("tables", run("nft", &["list", "ruleset"])?));
        let mut pins = Vec::new();
        walk(host.bpffs(), &mut pins)?;
        parts.push(("pins", pins));
        for (what, objects) in [("programs", programs()?), ("maps", maps()?)] {
            parts.push((what, objects.iter().map(|(id, name)| format!("{id} {name}")).collect()));
        }
        for (_what, lines) in &mut parts {
            lines.sort();
        }
        Ok(Self(parts))
    }

    /// The lines of one part, such as `maps`.
    pub fn lines(&self, part: &str) -> &[String] {
        self.0.iter().find(|(what, _)| *what == part).map_or(&[], |(_, lines)| lines)
    }

    /// Lines that are in only one of the two: `+` here, `-` in `before`.
    pub fn difference(&self, before: &Self) -> String {
        let mut difference = String::new();
        for ((what, now), (_what, then)) in self.0.iter().zip(&before.0) {
            for (sign, these, others) in [('+', now, then), ('-', then, now)] {
                for line in these.iter().filter(|line| !others.contains(line)) {
                    difference.push_str(&format!("  {sign} {what}: {line}\n"));
                }
            }
        }
        difference
    }
}

/// Programs of relay, maps and links that are loaded, anywhere on the machine: what each is, its number
/// and its name. The kernel does not give a number again soon.
///
/// # Errors
/// The caller is not root.
pub fn loaded() -> Result<BTreeSet<(&'static str, u32, String)>> {
    let mut loaded = BTreeSet::new();
    for (what, objects) in [("programs", programs()?), ("maps", maps()?)] {
        loaded.extend(objects.into_iter().map(|(id, name)| (what, id, name)));
    }
    // One may go between being listed and being looked at.
    let links = aya::programs::loaded_links().flatten();
    loaded.extend(links.map(|link| ("links", link.id(), String::new())));
    Ok(loaded)
}

/// The objects of a JSON list of `ip`, without what changes by itself.
fn objects(text: &str) -> Result<Vec<String>> {
    // Without anything to list, some versions print nothing at all.
    let text = if text.trim().is_empty() { "[]" } else { text };
    let list: Vec<Value> = serde_json::from_str(text).context("ip -j")?;
    Ok(list
        .into_iter()
        .map(|mut object| {
            if let Some(fields) = object.as_object_mut() {
                fields
                    .retain(|key, _value| !["expires", "valid_life_time"].contains(&key.as_str()));
            }
            object.to_string()
        })
        .collect())
}

/// Programs of relay that are loaded, anywhere on the machine.
fn programs() -> Result<Vec<(u32, String)>> {
    let mut names = Vec::new();
    for program in aya::programs::loaded_programs() {
        // One may go between being listed and being looked at.
        let Ok(program) = program else { continue };
        let name = program.name_as_str().unwrap_or_default().to_owned();
        if name.starts_with("relay_") {
            names.push((program.id(), name));
        }
    }
    Ok(names)
}

/// Maps that are loaded, anywhere on the machine.
fn maps() -> Result<Vec<(u32, String)>> {
    let mut names = Vec::new();
    for map in aya::maps::loaded_maps() {
        let Ok(map) = map else { continue };
        let name = map.name_as_str().unwrap_or_default().to_owned();
        if name != PROBE {
            names.push((map.id(), name));
        }
    }
    Ok(names)
}

fn walk(directory: &Path, found: &mut Vec<String>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        found.push(entry.path().display().to_string());
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), found)?;
        }
    }
    Ok(())
}
