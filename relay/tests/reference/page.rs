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

/// Checks the generated part of `docs/reference/NAME.md`.
pub(crate) fn check(name: &str, generated: &str) {
    let file = Path::new("docs/reference").join(name).with_extension("md");
    let text = fs::read_to_string(root().join(&file)).expect("the page");
    let (head, rest) = text.split_once(BEGIN).expect("the mark before the generated part");
    let (_, tail) = rest.split_once(END).expect("the mark after the generated part");
    keep(&file, &text, &format!("{head}{BEGIN}\n{}\n\n{END}{tail}", generated.trim()));
}

/// Checks that a file of the repository, which holds `found`, is as it should be; with
/// `RELAY_DOCS=write` writes it instead.
pub(crate) fn keep(file: &Path, found: &str, wanted: &str) {
    if found == wanted {
        return;
    }
    if env::var_os("RELAY_DOCS").is_some_and(|value| value == "write") {
        fs::write(root().join(file), wanted).expect("the file, written");
        return;
    }
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = line.unwrap_or_else(|| found.lines().count().min(wanted.lines().count()));
    panic!(
        "{}:{}: is stale; run `cargo xtask docs` and commit the result\n\
         file:    {}\nprogram: {}",
        file.display(),
        line + 1,
        found.lines().nth(line).unwrap_or("(end)"),
        wanted.lines().nth(line).unwrap_or("(end)"),
    );
}
