//! The inputs that are kept.

use std::{fs, path::PathBuf};

use crate::Target;

/// The inputs of a target, in the order of their names.
fn inputs(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry of the directory").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// Gives a target all its inputs. Names the one at which it panics.
pub fn replay(target: &Target) {
    let inputs = inputs(target);
    assert!(!inputs.is_empty(), "{}: there are no inputs", target.name);
    let mut run = target.start();
    for (path, bytes) in inputs {
        let at = Named(&path);
        run(&bytes);
        std::mem::forget(at);
    }
}

/// Says which input it was if it is dropped by a panic.
struct Named<'p>(&'p std::path::Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        eprintln!("the input is {}", self.0.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TARGETS, target};

    fn replayed(name: &str) {
        replay(&target(name).expect("a target"));
    }

    #[test]
    fn each_target_has_a_directory_and_each_directory_a_target() {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let entries = fs::read_dir(directory).expect("the corpora");
        let mut found: Vec<String> = entries
            .map(|entry| entry.expect("a corpus").file_name().to_string_lossy().into_owned())
            .collect();
        found.sort();
        assert_eq!(found, TARGETS.map(|target| target.name));
    }

    #[test]
    fn a_configuration_is_a_relay_that_relay_can_edit_or_an_error_without_secrets() {
        replayed("config");
    }

    #[test]
    fn fragments_mean_what_they_mean_in_one_file() {
        replayed("fragments");
    }

    #[test]
    fn rules_mean_what_the_formula_says() {
        replayed("rules");
    }

    #[test]
    fn a_compiled_policy_is_its_formula() {
        replayed("policy");
    }

    #[test]
    fn an_import_is_a_configuration_or_an_error_and_has_no_key() {
        replayed("import");
    }

    #[test]
    fn gossip_of_others_neither_ends_an_agent_nor_names_a_stranger() {
        replayed("gossip");
    }

    #[test]
    fn an_answer_of_dns_tells_nothing_of_a_peer_that_may_not_be_known() {
        replayed("names");
    }
}
