use std::{cell::Cell, collections::HashSet, io::Write};

use anyhow::{Context as _, Result};
use clap::Args;

use super::{
    Site,
    client::{Client, Prepared, Show},
};
use crate::{
    cli::{check, host, lock::Lock, output, up::Up},
    config::{Draft, Edit, Loaded, Options, Secrets},
};

/// What becomes of a change besides its file.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Run `relay up` afterwards.
    #[arg(long, conflicts_with = "dry_run")]
    apply: bool,
    /// Show what would change in the files, and touch nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The configuration, kept from other changes for as long as this one takes.
pub(super) struct Open {
    pub(super) draft: Draft,
    pub(super) loaded: Loaded,
    /// How many warnings of the change were shown.
    warned: Cell<usize>,
    _lock: Lock,
}

/// What the configuration is after a change that passes every check.
pub(super) struct Checked {
    pub(super) loaded: Loaded,
    pub(super) secrets: Secrets,
}

impl Open {
    pub(super) fn new(site: Site<'_>) -> Result<Self> {
        let options = Options { allow_empty: true };
        // Says more of a file that is not there than the lock would.
        Draft::read(site.config).load(options)?;
        let lock = Lock::files(site.config)?;
        let draft = Draft::read(site.config);
        Ok(Self { loaded: draft.load(options)?, draft, warned: Cell::new(0), _lock: lock })
    }

    /// That what `edit` makes is right, as `relay check` says it. Warns of what is new in it.
    pub(super) fn check(&self, edit: &Edit, options: Options) -> Result<Checked> {
        let loaded = self.draft.load_with(edit, options)?;
        let secrets = Secrets::read(&loaded)?;
        check::compile(&loaded)?;
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
    /// That the host can do what is to follow, before anything is touched.
    pub(super) fn require_host(&self) -> Result<()> {
        if self.apply {
            host::require_kernel()?;
            host::require_capabilities("up")?;
        }
        Ok(())
    }

    /// Hands over the client's configuration if there is one, then puts the change in its place, says
    /// `done` and applies.
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
            let another = if client.is_some() { "; a new key pair is made each time" } else { "" };
            writeln!(out, "nothing done{another}")?;
            return Ok(());
        }
        let prepared = client.map(|(client, show)| show.prepare(client)).transpose()?;
        // What goes to a client goes to standard output alone, so that it can be piped.
        let mut report: Box<dyn Write> = match prepared.as_ref().is_some_and(Prepared::is_printed) {
            true => Box::new(output::Stderr),
            false => Box::new(output::stdout()),
        };
        let staged = if edit.is_empty() { None } else { Some(edit.stage()?) };
        // First of all: a private key that nobody was given is lost.
        let delivered = prepared.map(Prepared::deliver).transpose()?;
        if let Some(staged) = staged {
            staged.commit().context(match delivered {
                Some(_) => "the configuration of the client that was made is of no use",
                None => "nothing was changed",
            })?;
        }
        if let Some(delivered) = delivered {
            delivered.note(site.state);
        }
        match edit.is_empty() {
            true => writeln!(report, "{done}")?,
            false => writeln!(report, "{done}: {}", edit.path().display())?,
        }
        let warned = open.warned.get();
        drop(open);
        if self.apply {
            return Up::after_edit(warned).bring_about(site.config, site.bpffs, false, &mut report);
        }
        writeln!(report, "`relay up` makes it so")?;
        Ok(())
    }
}
