use std::io::Write;

use clap::Args;

use super::{Place, ended, output};
use crate::engine::{self, Changes, Result, UpOptions};

/// `relay up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay up --dry-run          show what would change\n  \
    relay up                    apply the configuration\n  \
    relay up --json             the same as JSON; `changed` is whether anything changed")]
pub(super) struct Up {
    /// Print the plan and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object with `changed`, `changes` and `warnings`.
    #[arg(long)]
    json: bool,
    /// Allow an empty peer list.
    #[arg(long)]
    allow_empty: bool,
    /// Take over a WireGuard interface that relay did not create: replace its key and peers with
    /// those of the configuration.
    #[arg(long)]
    adopt: bool,
    /// Number of warnings that the edit before it has shown; the others are only counted.
    #[arg(skip)]
    shown: Option<usize>,
}

impl Up {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        self.remove_ended(place);
        self.bring_up(place, false, &mut output::stdout())
    }

    /// Removes what was lent and has ended.
    pub(super) fn remove_ended(&self, place: Place<'_>) {
        if !self.dry_run {
            ended::lock_and_remove(place.config);
        }
    }

    /// After an edit that has shown this many warnings.
    pub(super) const fn after_edit(shown: usize) -> Self {
        Self { dry_run: false, json: false, allow_empty: true, adopt: false, shown: Some(shown) }
    }

    /// Applies the configuration; with `must_run` only if the interface exists. Prints plan and
    /// outcome to `out`.
    pub(super) fn bring_up(
        &self,
        place: Place<'_>,
        must_run: bool,
        out: &mut dyn Write,
    ) -> Result<()> {
        let Self { dry_run, allow_empty, adopt, .. } = *self;
        let site = place.site(if must_run { "reload" } else { "up" });
        let options = UpOptions { dry_run, allow_empty, adopt, must_run };
        engine::block_on(async {
            let up = engine::Up::prepare(site, options).await?;
            let mut changes = up.lines();
            let mut warnings = up.warnings().to_vec();
            let printed =
                if self.json { Ok(()) } else { self.print(&warnings, &changes, &mut *out) };
            if dry_run || changes.is_empty() {
                printed?;
            } else {
                // Also if standard output is closed.
                let failures = up.apply().await?;
                let why: Vec<_> = failures.iter().map(|failure| failure.why.clone()).collect();
                changes.retain(|line| !failures.iter().any(|it| it.changes.contains(line)));
                if !self.json {
                    output::warn(&why);
                }
                warnings.extend(why);
            }
            self.close(&up, changes, warnings, out)
        })
    }

    /// Prints the warnings, of which some may have been shown before, and the plan.
    fn print(&self, warnings: &[String], changes: &[String], out: &mut dyn Write) -> Result<()> {
        match self.shown.map(|shown| warnings.len().saturating_sub(shown)) {
            None => output::warn(warnings),
            Some(0) => {}
            Some(1) => output::say("1 other warning; `relay status` shows it"),
            Some(others) => {
                output::say(format_args!("{others} other warnings; `relay status` shows them"));
            }
        }
        // With one call: there may be thousands.
        let lines: String = changes.iter().flat_map(|change| [change.as_str(), "\n"]).collect();
        Ok(out.write_all(lines.as_bytes())?)
    }

    fn close(
        &self,
        up: &engine::Up,
        changes: Vec<String>,
        warnings: Vec<String>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let relay = up.relay();
        let interface = &relay.interface;
        match (changes.len(), self.dry_run) {
            _ if self.json => {
                let changes = Changes::new(interface, self.dry_run, changes, warnings);
                return output::json(out, &changes);
            }
            (0, _) => writeln!(out, "{interface}: no changes")?,
            (count, true) => writeln!(out, "{interface}: {count} changes planned, none applied")?,
            (_, false) => writeln!(
                out,
                "{interface}: relaying between {} peers on UDP port {}; no process needs to run",
                relay.enabled().count(),
                relay.listen_port
            )?,
        }
        Ok(())
    }
}
