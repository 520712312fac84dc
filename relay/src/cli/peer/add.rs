use std::{net::IpAddr, path::PathBuf};

use clap::Args;
use ipnet::IpNet;

use super::{
    Place,
    change::Change,
    client::{Client, Show},
};
use crate::{
    cli::exit::UsageError,
    config::{
        NewPeer, Options, free_addresses, parse_address, parse_group_name, parse_network,
        parse_peer_name, parse_public_key,
    },
    engine::Result,
    model::{GroupName, PeerName, PrivateKey},
    policy::Effective,
};

/// `relay peer add`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay peer add node-c --public-key K= --allow 10.3.2.2\n                              \
    with the next free address, into relay.d/node-c.toml\n  \
    relay peer add phone --generate --qr --allow 10.3.2.0/24 --apply\n                              \
    with a key generated here, shown once, applied now\n  \
    relay peer add node-c --public-key K= --file /etc/relay/relay.toml --dry-run\n                              \
    show what would be written")]
pub(super) struct Add {
    /// Name of the peer: 1 to 63 characters of a-z 0-9 _ . -
    #[arg(value_parser = parse_peer_name)]
    name: PeerName,
    /// Address of the peer [default: the next free one of each overlay network].
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = parse_address)]
    address: Vec<IpAddr>,
    /// Network behind the peer.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = parse_network)]
    routes: Vec<IpNet>,
    /// Network it may talk to, instead of those in [defaults].
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = parse_network)]
    allow: Vec<IpNet>,
    /// Group that it is in; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_group_name)]
    group: Vec<GroupName>,
    // Not parsed by clap, which would print it: it may be a private key by mistake.
    /// Public key, as `wg pubkey` prints it on the peer.
    #[arg(long, value_name = "KEY", conflicts_with = "generate")]
    public_key: Option<String>,
    /// Generate the key pair here; the private key is shown once, in the client's configuration, and
    /// stored nowhere.
    #[arg(long)]
    generate: bool,
    /// Add the peer to this configuration file instead of a new fragment.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    change: Change,
}

impl Add {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        if self.show.is_code() && !self.generate {
            let text = "--qr and --png need --generate; later, `relay peer config` draws them";
            return Err(UsageError::Request(text.to_owned()).into());
        }
        let open = self.change.open(place)?;
        let private_key = if self.generate { Some(PrivateKey::generate()?) } else { None };
        let public_key = match (&private_key, &self.public_key) {
            (Some(key), _) => key.public_key(),
            (None, Some(text)) => parse_public_key(text)
                .map_err(|fault| UsageError::Request(format!("--public-key: {fault}")))?,
            (None, None) => {
                return Err(UsageError::Request(format!(
                    "{} needs a key; use --public-key with what `wg pubkey` prints on the peer, or \
                     --generate for a new key pair",
                    self.name
                ))
                .into());
            }
        };
        let addresses = match self.address.as_slice() {
            [] => free_addresses(&open.loaded.relay)?,
            given => given.to_vec(),
        };
        let peer = NewPeer {
            name: self.name.clone(),
            public_key,
            addresses,
            routes: self.routes.clone(),
            allowed_ips: (!self.allow.is_empty()).then(|| self.allow.clone()),
            groups: self.group.clone(),
        };
        let edit = open.draft.add(&peer, self.file.as_deref())?;
        let checked = open.check(&edit, Options::default())?;
        let relay = &checked.loaded.relay;
        let client = match (&private_key, relay.named(self.name.as_str())) {
            (Some(key), Some((added, _))) => {
                let effective = &mut Effective::of(relay);
                let client = Client::render(effective, &checked.secrets, added, Some(key))?;
                Some((client.with_new_key(), &self.show))
            }
            (_, _) => None,
        };
        let addresses: Vec<String> = peer.addresses.iter().map(ToString::to_string).collect();
        let done = format!("added {} with {}", self.name, addresses.join(" and "));
        self.change.carry_out(place, open, &edit, &done, client)
    }
}
