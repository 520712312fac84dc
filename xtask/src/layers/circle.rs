//! Circles of imports between the files of a crate.
//!
//! Re-exports count as imports of the file that defines the item. What a file takes from a `mod.rs`
//! above it does not count: a `mod.rs` heads its directory, so it imports files that build on it.

use std::collections::{BTreeMap, VecDeque};

use super::source::Source;

/// Files that import each other, in the order of the imports; the line is that of the import of
/// the next one.
pub(super) type Circle<'a> = Vec<(&'a Source, usize)>;

/// A shortest circle for each group of files that import each other.
pub(super) fn circles(sources: &[Source]) -> Vec<Circle<'_>> {
    let modules: BTreeMap<&[String], usize> =
        sources.iter().enumerate().rev().map(|(at, source)| (&source.module[..], at)).collect();
    let crates = Crate { sources, modules };
    let imports: Vec<BTreeMap<usize, usize>> =
        (0..sources.len()).map(|at| crates.imports(at)).collect();
    let mut found: Vec<Circle<'_>> = Vec::new();
    let mut covered = vec![false; sources.len()];
    for start in 0..sources.len() {
        let Some(way) = way_back(&imports, start).filter(|_| !covered[start]) else { continue };
        for (at, covered) in covered.iter_mut().enumerate() {
            *covered |= reaches(&imports, start, at) && reaches(&imports, at, start);
        }
        let next = way.iter().copied().skip(1).chain([start]);
        let circle = way.iter().zip(next).map(|(&at, next)| (&sources[at], imports[at][&next]));
        found.push(circle.collect());
    }
    found
}

struct Crate<'a> {
    sources: &'a [Source],
    modules: BTreeMap<&'a [String], usize>,
}

impl Crate<'_> {
    /// The files that a file imports, with the line of the first import.
    fn imports(&self, at: usize) -> BTreeMap<usize, usize> {
        let source = &self.sources[at];
        let mut imports = BTreeMap::new();
        for path in &source.paths {
            if let Some(target) = self.file(at, &path.names, 0)
                && target != at
                && !source.module.starts_with(&self.sources[target].module)
            {
                imports.entry(target).or_insert(path.line);
            }
        }
        imports
    }

    /// The file that defines what the path names, as seen from the file `at`.
    fn file(&self, at: usize, names: &[String], depth: usize) -> Option<usize> {
        let module = &self.sources[at].module;
        let ups = names.iter().take_while(|name| *name == "super").count();
        let rest = &names[ups.max(usize::from(matches!(&*names[0], "crate" | "self")))..];
        let base = match &*names[0] {
            "crate" => &[][..],
            "self" => module,
            "super" => &module[..module.len().checked_sub(ups)?],
            child => {
                let child = [module, &[child.to_owned()][..]].concat();
                self.modules.contains_key(&child[..]).then_some(&module[..])?
            }
        };
        let full = [base, rest].concat();
        let depths = (0..=full.len()).rev();
        let (len, &file) = depths
            .map(|len| (len, self.modules.get(&full[..len])))
            .find_map(|(len, file)| Some((len, file?)))?;
        // A re-export may lead to another one, but not for ever.
        let export = full.get(len).filter(|_| depth < 8).and_then(|item| {
            let mut exports = self.sources[file].paths.iter();
            exports.find(|path| path.exported_as.as_ref() == Some(item))
        });
        let target = export.and_then(|path| self.file(file, &path.names, depth + 1));
        Some(target.unwrap_or(file))
    }
}

/// The files of a shortest circle through `start`, which is the first.
fn way_back(imports: &[BTreeMap<usize, usize>], start: usize) -> Option<Vec<usize>> {
    let mut before = vec![None; imports.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &next in imports[at].keys() {
            if next == start {
                let mut way = vec![at];
                while let Some(&at) = way.last().filter(|at| **at != start) {
                    way.push(before[at]?);
                }
                way.reverse();
                return Some(way);
            }
            if before[next].is_none() {
                before[next] = Some(at);
                queue.push_back(next);
            }
        }
    }
    None
}

fn reaches(imports: &[BTreeMap<usize, usize>], from: usize, to: usize) -> bool {
    let mut seen = vec![false; imports.len()];
    let mut stack = vec![from];
    while let Some(at) = stack.pop() {
        for &next in imports[at].keys() {
            if next == to {
                return true;
            }
            if !std::mem::replace(&mut seen[next], true) {
                stack.push(next);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::path::paths;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = files
            .iter()
            .map(|(module, text)| Source {
                file: module.into(),
                module: module.split("::").filter(|n| !n.is_empty()).map(str::to_owned).collect(),
                paths: paths(text).expect("Rust"),
            })
            .collect();
        let circles = circles(&sources);
        let files = circles.iter().map(|circle| {
            let files =
                circle.iter().map(|(source, line)| format!("{}:{line}", source.file.display()));
            files.collect::<Vec<_>>().join(" ")
        });
        files.collect()
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        let files = [
            ("", "mod a; mod b; mod c;"),
            ("a", "use crate::b::B;"),
            ("b", "\nfn f() { super::c::c() }"),
            ("c", "use super::{d, a::A};"),
            ("d", "use std::fmt;"),
        ];
        assert_eq!(found(&files), ["a:1 b:2 c:1"]);
        assert_eq!(found(&files[..3]), [""; 0]);
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines_the_item() {
        let files = [
            ("m", "mod a; mod b;\npub use self::{a::A, b::B};"),
            ("m::a", "use crate::m::B;"),
            ("m::b", "use super::A;"),
        ];
        assert_eq!(found(&files), ["m::a:1 m::b:1"]);
    }

    #[test]
    fn a_file_may_use_what_heads_its_directory() {
        let files = [("m", "mod a; use self::a::A; pub struct M;"), ("m::a", "use super::M;")];
        assert_eq!(found(&files), [""; 0]);
        let files = [
            ("m", "mod a; use self::a::A; pub struct M;"),
            ("m::a", "use crate::n::N;"),
            ("n", "use crate::m::M;"),
        ];
        assert_eq!(found(&files), ["m:1 m::a:1 n:1"]);
    }
}
