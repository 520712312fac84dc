use std::{cell::Cell, collections::HashSet, io::Write};

use clap::Args;

use super::{
    Site,
    client::{Client, Prepared, Show},
};
use crate::{
    cli::{output, up::Up},
    config::{Draft, Edit, Loaded, Options, Secrets},
    engine::{self, ErrorContext as _, Lock, Result},
};

/// How to carry out a change.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Run `relay up` afterwards.
    #[arg(long, conflicts_with = "dry_run")]
    apply: bool,
    /// Show what would change in the files, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The configuration, locked against other changes.
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
    pub(super) fn new(site: Site<'_>) -> Result<Self> {
        let options = Options { allow_empty: true };
        // First, since its errors about a missing file say more than those of the lock.
        Draft::read(site.place.config).load(options)?;
        let lock = Lock::files(site.place.config, output::notice)?;
        let draft = Draft::read(site.place.config);
        Ok(Self { loaded: draft.load(options)?, draft, warned: Cell::new(0), _lock: lock })
    }

    /// Checks what `edit` makes, as `relay check` does, and prints its new warnings.
    pub(super) fn check(&self, edit: &Edit, options: Options) -> Result<Checked> {
        let loaded = self.draft.load_with(edit, options)?;
        let secrets = Secrets::read(&loaded)?;
        engine::judge(&loaded)?;
        engine::compile(&loaded)?;
        let before: HashSet<_> =
            self.loaded.warnings.iter().map(|warning| (&warning.key, &warning.problem)).collect();
        let is_new = |key, problem| !before.contains(&(key, problem));
        let warnings = loaded.warnings.iter();
        let new: Vec<_> =
            warnings.filter(|warning| is_new(&warning.key, &warning.problem)).collect();
        output::warn(&new);
        self.warned.set(new.len());
        Ok(Checked { loaded, secrets })
    }
}

impl Change {
    /// Checks that the host can apply the change, before anything is changed.
    pub(super) fn require_host(&self) -> Result<()> {
        if self.apply {
            engine::require_kernel()?;
            engine::require_capabilities("up")?;
        }
        Ok(())
    }

    /// Delivers the client's configuration if there is one, then writes the change, prints `done` and
    /// applies.
    pub(super) fn carry_out(
        &self,
        site: Site<'_>,
        open: Open,
        edit: &Edit,
        done: &str,
        client: Option<(Client<'_>, &Show)>,
    ) -> Result<()> {
        if self.dry_run {
            let mut out = output::stdout();
            edit.render_into(&mut out)?;
            let another = if client.is_some() { "; each run generates a new key pair" } else { "" };
            writeln!(out, "nothing changed{another}")?;
            return Ok(());
        }
        let prepared = client.map(|(client, show)| show.prepare(client)).transpose()?;
        // Standard output has only the client's configuration, so that it can be piped.
        let mut report: Box<dyn Write> = match prepared.as_ref().is_some_and(Prepared::is_printed) {
            true => Box::new(output::Stderr),
            false => Box::new(output::stdout()),
        };
        let staged = if edit.is_empty() { None } else { Some(edit.stage()?) };
        // Before the change: an undelivered private key is lost.
        let delivered = prepared.map(Prepared::deliver).transpose()?;
        if let Some(staged) = staged {
            staged.commit().context(match delivered {
                Some(_) => "nothing was changed; discard the client's configuration",
                None => "nothing was changed",
            })?;
        }
        if let Some(delivered) = delivered {
            delivered.note(site.state);
        }
        match edit.is_empty() {
            true => writeln!(report, "{done}")?,
            false => {
                let paths: Vec<_> = edit.paths().map(|path| path.display().to_string()).collect();
                writeln!(report, "{done}: {}", paths.join(", "))?;
            }
        }
        let warned = open.warned.get();
        drop(open);
        if self.apply {
            return Up::after_edit(warned).bring_up(site.place, false, &mut report);
        }
        writeln!(report, "run `relay up` to apply")?;
        Ok(())
    }
}
