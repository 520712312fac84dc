use std::{io, path::Path};

use anyhow::Result;
use clap::Args;

use super::up::Up;

/// `relay reload`.
#[derive(Debug, Args)]
pub(super) struct Reload {
    #[command(flatten)]
    up: Up,
}

impl Reload {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        self.up.bring_about(config, bpffs, true, &mut io::stdout())
    }
}
