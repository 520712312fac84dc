use std::io::Write as _;

use clap::Args;
use clap_complete::Shell;

use super::{command, output};
use crate::engine::Result;

/// `relay completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay completions bash > /usr/share/bash-completion/completions/relay\n  \
    relay completions zsh > /usr/share/zsh/vendor-completions/_relay")]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<()> {
        // Into a buffer first: the generator panics when a pipe closes.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "relay", &mut script);
        output::stdout().write_all(&script)?;
        Ok(())
    }
}
