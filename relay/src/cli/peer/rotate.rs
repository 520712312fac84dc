use clap::Args;

use super::{
    Place,
    change::Change,
    client::{Client, Show},
};
use crate::{
    config::{Options, parse_peer_name},
    engine::Result,
    model::{PeerName, PrivateKey},
    policy::Effective,
};

/// `relay peer rotate`.
#[derive(Debug, Args)]
#[command(after_help = "The private key is generated here, shown once in the client's \
    configuration, and stored nowhere. Once applied, the client is disconnected until it uses its new \
    configuration.\n\nExamples:\n  \
    relay peer rotate node-c --apply > node-c.conf   a new key, applied now\n  \
    relay peer rotate phone --qr                     a new key, applied by the next `relay up`")]
pub(super) struct Rotate {
    /// Name of the peer.
    #[arg(value_parser = parse_peer_name)]
    name: PeerName,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    change: Change,
}

impl Rotate {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let open = self.change.open(place)?;
        let private_key = PrivateKey::generate()?;
        let edit = open.draft.rekey(&self.name, &private_key.public_key())?;
        let checked = open.check(&edit, Options::default())?;
        let relay = &checked.loaded.relay;
        let Some((peer, _)) = relay.named(self.name.as_str()) else {
            return Err(open.draft.no_peer(&self.name).into());
        };
        let effective = &mut Effective::of(relay);
        let client = Client::render(effective, &checked.secrets, peer, Some(&private_key))?;
        let done = format!("gave {} a new key", self.name);
        self.change.carry_out(place, open, &edit, &done, Some((client.with_new_key(), &self.show)))
    }
}
