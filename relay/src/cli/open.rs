use std::{cell::Cell, collections::HashSet, path::Path};

use super::{ended, output};
use crate::{
    config::{Draft, Edit, Loaded, Options, Secrets},
    engine::{self, Lock, Result},
};

/// The configuration, locked against other changes of its files.
pub(super) struct Open {
    pub(super) draft: Draft,
    pub(super) loaded: Loaded,
    /// How many warnings about the change were shown.
    warned: Cell<usize>,
    _lock: Lock,
}

/// The configuration after a valid change.
pub(super) struct Checked {
    pub(super) loaded: Loaded,
    pub(super) secrets: Secrets,
}

impl Open {
    /// Reads the files under their lock. Unless this is a dry run, what was lent and has ended is taken
    /// out of them first, so that it is in no change's way.
    pub(super) fn new(config: &Path, dry_run: bool) -> Result<Self> {
        let options = Options { allow_empty: true };
        // First, since its errors about a missing file say more than those of the lock.
        Draft::read(config).load(options)?;
        let lock = Lock::files(config, output::notice)?;
        if !dry_run {
            ended::remove(&lock, config);
        }
        let draft = Draft::read(config);
        Ok(Self { loaded: draft.load(options)?, draft, warned: Cell::new(0), _lock: lock })
    }

    /// Checks what `edit` makes, as `relay check` does, and prints its new warnings.
    pub(super) fn check(&self, edit: &Edit, options: Options) -> Result<Checked> {
        let checked = self.checked(edit, options)?;
        self.warn(&checked);
        Ok(checked)
    }

    /// The same without printing.
    pub(super) fn checked(&self, edit: &Edit, options: Options) -> Result<Checked> {
        let loaded = self.draft.load_with(edit, options)?;
        let secrets = Secrets::read(&loaded)?;
        engine::judge(&loaded)?;
        engine::compile(&loaded)?;
        Ok(Checked { loaded, secrets })
    }

    /// Prints the warnings that a change makes.
    pub(super) fn warn(&self, checked: &Checked) {
        let before: HashSet<_> =
            self.loaded.warnings.iter().map(|warning| (&warning.key, &warning.problem)).collect();
        let is_new = |key, problem| !before.contains(&(key, problem));
        let warnings = checked.loaded.warnings.iter();
        let new: Vec<_> =
            warnings.filter(|warning| is_new(&warning.key, &warning.problem)).collect();
        output::warn(&new);
        self.warned.set(new.len());
    }

    /// How many warnings were shown.
    pub(super) fn warned(&self) -> usize {
        self.warned.get()
    }
}
