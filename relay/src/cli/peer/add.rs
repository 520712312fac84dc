use std::{net::IpAddr, path::PathBuf};

use anyhow::Result;
use clap::Args;
use ipnet::IpNet;

use super::{
    Site,
    change::{Change, Open},
    client::{Client, Show},
};
use crate::{
    cli::exit::UsageError,
    config::{
        NewPeer, Options, free_addresses, parse_address, parse_network, parse_peer_name,
        parse_public_key,
    },
    model::{PeerName, PrivateKey},
};

/// `relay peer add`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    relay peer add node-c --public-key K= --allow 10.3.2.2\n                              \
    with the next free address, as relay.d/node-c.toml\n  \
    relay peer add phone --generate --qr --allow 10.3.2.0/24 --apply\n                              \
    with a key made here, shown once, in force at once\n  \
    relay peer add node-c --public-key K= --file /etc/relay/relay.toml --dry-run\n                              \
    what would be written there")]
pub(super) struct Add {
    /// Its name: 1 to 63 of a-z 0-9 _ . -
    #[arg(value_parser = parse_peer_name)]
    name: PeerName,
    /// An address it owns; without any, the next free one of each network of the overlay.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = parse_address)]
    address: Vec<IpAddr>,
    /// Networks behind it.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = parse_network)]
    routes: Vec<IpNet>,
    /// Whom it may talk to, instead of what [defaults] says.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = parse_network)]
    allow: Vec<IpNet>,
    // Not parsed by clap, which would show what may be a private key taken for the public one.
    /// Its public key, as `wg pubkey` prints it there.
    #[arg(long, value_name = "KEY", conflicts_with = "generate")]
    public_key: Option<String>,
    /// Make its key pair here; the private key is shown once, in its client's configuration, and
    /// kept nowhere.
    #[arg(long)]
    generate: bool,
    /// Add it to this file of the configuration instead of a fragment of its own.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    change: Change,
}

impl Add {
    pub(super) fn run(&self, site: Site<'_>) -> Result<()> {
        if self.show.is_code() && !self.generate {
            let text = "--qr and --png need --generate; later, `relay peer config` draws them";
            return Err(UsageError::Request(text.to_owned()).into());
        }
        self.change.require_host()?;
        let open = Open::new(site)?;
        let private_key = if self.generate { Some(PrivateKey::generate()?) } else { None };
        let public_key = match (&private_key, &self.public_key) {
            (Some(key), _) => key.public_key(),
            (None, Some(text)) => parse_public_key(text)
                .map_err(|fault| UsageError::Request(format!("--public-key: {fault}")))?,
            (None, None) => {
                return Err(UsageError::Request(format!(
                    "{} needs a key; write --public-key with what `wg pubkey` prints there, or \
                     --generate to make its key pair here",
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
        };
        let edit = open.draft.add(&peer, self.file.as_deref())?;
        let checked = open.check(&edit, Options::default())?;
        let added = checked.loaded.relay.peers.iter().find(|added| added.name == self.name);
        let client = match (&private_key, added) {
            (Some(key), Some(added)) => {
                let client = Client::render(&checked.loaded, &checked.secrets, added, Some(key))?;
                Some((client.with_new_key(), &self.show))
            }
            (_, _) => None,
        };
        let addresses: Vec<String> = peer.addresses.iter().map(ToString::to_string).collect();
        let done = format!("added {} with {}", self.name, addresses.join(" and "));
        self.change.carry_out(site, open, &edit, &done, client)
    }
}
