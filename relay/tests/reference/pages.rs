//! Every Markdown file of the repository: links, table of contents, line width.

use std::{
    collections::HashSet,
    fs,
    path::{Component, Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::page;

/// Columns of prose. Tables, code, addresses of links and generated parts may be wider.
const WIDTH: usize = 100;

/// Where the repository's files are on the web. Pages of the book link to files outside the book by it.
const ON_THE_WEB: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// The lines before and after a generated part.
const MARKS: [&str; 2] = ["<!-- generated:", "<!-- bench:"];

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let root = page::root();
    let mut broken = Vec::new();
    for file in markdown_files() {
        let text = fs::read_to_string(root.join(&file)).expect("a page");
        for link in links(&text) {
            let in_repository = link.strip_prefix(ON_THE_WEB);
            if in_repository.is_none() && (link.contains("://") || link.starts_with("mailto:")) {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let directory = file.parent().expect("a directory");
            let target = match in_repository {
                Some(path) => path.split('#').next().map(PathBuf::from).expect("a path"),
                None if path.is_empty() => file.clone(),
                None => normal(&directory.join(path)),
            };
            if file.starts_with("docs") && in_repository.is_none() && !target.starts_with("docs") {
                broken.push(format!("{}: {link}: not in the book", file.display()));
            }
            let there = root.join(&target);
            if !there.exists() {
                broken.push(format!("{}: {link}: no such file", file.display()));
            } else if !heading.is_empty()
                && !headings(&fs::read_to_string(&there).expect("a page")).contains(heading)
            {
                broken.push(format!("{}: {link}: no such heading", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_of_the_book_is_in_its_table_of_contents() {
    let summary = fs::read_to_string(page::root().join("docs/SUMMARY.md")).expect("the contents");
    let listed: HashSet<_> = links(&summary).map(PathBuf::from).collect();
    let pages = markdown_files().into_iter();
    let pages = pages.filter_map(|file| file.strip_prefix("docs").map(Path::to_path_buf).ok());
    let missing: Vec<_> =
        pages.filter(|page| page.as_os_str() != "SUMMARY.md" && !listed.contains(page)).collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
}

#[test]
fn prose_is_wrapped() {
    let mut wide = Vec::new();
    for file in markdown_files() {
        let text = fs::read_to_string(page::root().join(&file)).expect("a page");
        let (mut is_code, mut is_generated) = (false, false);
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            if MARKS.iter().any(|mark| line.starts_with(mark)) {
                is_generated = !is_generated;
            }
            let is_link = line.starts_with('[') && line.contains("]: http");
            let is_free = is_code || is_generated || is_link || line.starts_with('|');
            if !is_free && line.chars().count() > WIDTH {
                wide.push(format!("{}:{}", file.display(), number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "wider than {WIDTH} columns: {wide:#?}");
}

/// Paths from the root of the repository.
fn markdown_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (directory, deep) in [("", false), ("docs", true), ("deploy", true)] {
        collect(Path::new(directory), deep, &mut files);
    }
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    files
}

fn collect(directory: &Path, deep: bool, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(page::root().join(directory)).expect("a directory") {
        let entry = entry.expect("an entry");
        let path = directory.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            if deep {
                collect(&path, deep, files);
            }
        } else if path.extension().is_some_and(|ending| ending == "md") {
            files.push(path);
        }
    }
}

fn events(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

fn links(text: &str) -> impl Iterator<Item = String> {
    events(text).filter_map(|event| {
        let (Event::Start(Tag::Link { dest_url, .. }) | Event::Start(Tag::Image { dest_url, .. })) =
            event
        else {
            return None;
        };
        Some(dest_url.into_string())
    })
}

/// The anchors of the headings, as forges and mdBook make them.
fn headings(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut heading: Option<String> = None;
    for event in events(text) {
        if let Event::Start(Tag::Heading { .. }) = event {
            heading = Some(String::new());
        } else if let Event::Text(part) | Event::Code(part) = &event {
            heading = heading.map(|heading| heading + part);
        } else if let Event::End(TagEnd::Heading(_)) = event {
            found.extend(heading.take().map(|heading| anchor(&heading)));
        }
    }
    found
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The path without `..`, which a link may have many of.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}
