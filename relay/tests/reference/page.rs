//! A page of `docs/reference`: prose written by hand around one generated part.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const BEGIN: &str = "<!-- generated: begin -->\n";
const END: &str = "<!-- generated: end -->\n";

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Checks the generated part of `docs/reference/NAME.md`, or writes it with `RELAY_DOCS=write`.
pub(crate) fn check(name: &str, generated: &str) {
    let file = root().join("docs/reference").join(name).with_extension("md");
    let text = fs::read_to_string(&file).expect("the page");
    let (head, rest) = text.split_once(BEGIN).expect("the mark before the generated part");
    let (found, tail) = rest.split_once(END).expect("the mark after the generated part");
    let wanted = format!("\n{}\n\n", generated.trim());
    if found == wanted {
        return;
    }
    if env::var_os("RELAY_DOCS").is_some_and(|value| value == "write") {
        fs::write(&file, [head, BEGIN, &wanted, END, tail].concat()).expect("the page, written");
        return;
    }
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = line.unwrap_or_else(|| found.lines().count().min(wanted.lines().count()));
    panic!(
        "docs/reference/{name}.md is stale; run `cargo xtask docs` and commit the result\n\
         page:    {}\nprogram: {}",
        found.lines().nth(line).unwrap_or("(end)"),
        wanted.lines().nth(line).unwrap_or("(end)"),
    );
}
