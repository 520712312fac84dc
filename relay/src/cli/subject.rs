use clap::Args;

use crate::model::InterfaceName;

/// Which relay to look at.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Look at the relay on this interface. Without its configuration, peers are shown by key.
    #[arg(long, value_name = "NAME")]
    pub(super) interface: Option<InterfaceName>,
}
