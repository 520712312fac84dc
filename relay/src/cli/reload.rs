use clap::Args;

use super::{Place, output, up::Up};
use crate::engine::Result;

/// `relay reload`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay reload --dry-run      show what would change\n  \
    relay reload                apply edited files, for service managers")]
pub(super) struct Reload {
    #[command(flatten)]
    up: Up,
}

impl Reload {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        self.up.remove_ended(place);
        self.up.bring_up(place, true, &mut output::stdout())
    }
}
