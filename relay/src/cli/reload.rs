use std::path::Path;

use anyhow::Result;
use clap::Args;

use super::{output, up::Up};

/// `relay reload`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  relay reload --dry-run      what would be done\n  relay reload                \
                  after a change of the files, for service managers"
)]
pub(super) struct Reload {
    #[command(flatten)]
    up: Up,
}

impl Reload {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        self.up.bring_about(config, bpffs, true, &mut output::stdout())
    }
}
