//! What was lent and has ended, and how the verbs that change something remove it.

use std::path::Path;

use super::output;
use crate::engine::{self, Lock};

/// Removes what was lent and has ended, and says so. A failure is a warning: what has ended lets
/// nothing pass.
pub(super) fn remove(_of_files: &Lock, config: &Path) {
    match engine::remove_ended(config) {
        Ok(removed) => removed.iter().for_each(|engine::Ended { rule, until, file }| {
            output::say(format_args!("removed {}: {rule} ended at {until}", file.display()));
        }),
        Err(error) => still_there(&error),
    }
}

/// The same for a verb that changes nothing else in the files.
pub(super) fn lock_and_remove(config: &Path) {
    if engine::has_ended_loans(config) {
        match Lock::files(config, output::notice) {
            Ok(lock) => remove(&lock, config),
            Err(error) => still_there(&error),
        }
    }
}

fn still_there(error: &engine::Error) {
    let what = "what was lent and has ended stays in the files";
    output::warn(&[format!("{what}: {}", error.chain())]);
}
