use std::io::Write;

use clap::Args;

use super::{
    Place,
    client::{Client, Prepared, Show},
};
use crate::{
    cli::{open::Open, output, up::Up},
    config::Edit,
    engine::{self, ErrorContext as _, Result},
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

impl Change {
    /// Locks the files for the change, and checks that the host can apply it, before anything is
    /// changed.
    pub(super) fn open(&self, place: Place<'_>) -> Result<Open> {
        if self.apply {
            engine::require_kernel()?;
            engine::require_capabilities("up")?;
        }
        Open::new(place.config, self.dry_run)
    }

    /// Delivers the client's configuration if there is one, then writes the change, prints `done` and
    /// applies.
    pub(super) fn carry_out(
        &self,
        place: Place<'_>,
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
            delivered.note(place.state);
        }
        match edit.is_empty() {
            true => writeln!(report, "{done}")?,
            false => {
                let paths: Vec<_> = edit.paths().map(|path| path.display().to_string()).collect();
                writeln!(report, "{done}: {}", paths.join(", "))?;
            }
        }
        let warned = open.warned();
        drop(open);
        if self.apply {
            return Up::after_edit(warned).bring_up(place, false, &mut report);
        }
        writeln!(report, "run `relay up` to apply")?;
        Ok(())
    }
}
