use std::{io::Write as _, path::PathBuf};

use clap::Args;

use super::{
    Place,
    client::{Client, Show},
};
use crate::{
    cli::{
        exit::{Unreadable, UsageError},
        output,
    },
    config::{
        Draft, Fault, Options, Rendered, Secrets, Standing, parse_peer_name, read_private_key,
    },
    engine::{Error, Result, StaleClients},
    model::{PeerName, PrivateKey},
    policy::Effective,
};

/// `relay peer config`.
#[derive(Debug, Args)]
#[command(after_help = "Without --private-key-file a comment takes the place of the private key, \
    which only the peer has.\n\nExamples:\n  \
    relay peer config node-c                                     print the client's configuration\n  \
    relay peer config phone --private-key-file phone.key --qr    for the WireGuard app\n  \
    relay peer config --stale                                    list outdated clients")]
pub(super) struct Config {
    /// Name of the peer.
    #[arg(required_unless_present = "stale", value_parser = parse_peer_name)]
    name: Option<PeerName>,
    #[command(flatten)]
    show: Show,
    /// File with the peer's private key, to include in its configuration.
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// List the peers whose configuration has changed since it was last shown.
    #[arg(long, conflicts_with_all = ["name", "qr", "png", "private_key_file"])]
    stale: bool,
    /// Print the list as one JSON object.
    #[arg(long, requires = "stale")]
    json: bool,
}

impl Config {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        match &self.name {
            Some(name) => self.one(place, name),
            None => self.stale(place),
        }
    }

    fn one(&self, place: Place<'_>, name: &PeerName) -> Result<()> {
        let draft = Draft::read(place.config);
        let loaded = draft.load(Options::default())?;
        let secrets = Secrets::read(&loaded)?;
        let Some((index, peer)) = loaded.relay.named(name.as_str()) else {
            return Err(draft.no_peer(name).into());
        };
        let private_key = match &self.private_key_file {
            Some(file) => {
                let key: PrivateKey = read_private_key(file).map_err(unread)?;
                if key.public_key() != peer.public_key {
                    return Err(UsageError::Request(format!(
                        "{}: the public key of this private key is {}, expected {} of {name}; name the \
                         file of {name}, or correct public_key",
                        file.display(),
                        key.public_key(),
                        peer.public_key
                    ))
                    .into());
                }
                Some(key)
            }
            None if self.show.is_code() => {
                let text = "a QR code needs the private key; name its file with --private-key-file, \
                            or generate a new key with `relay peer rotate`";
                return Err(UsageError::Request(text.to_owned()).into());
            }
            None => None,
        };
        let effective = &mut Effective::of(&loaded.relay);
        let client = Client::render(effective, &secrets, index, private_key.as_ref())?;
        self.show.prepare(client)?.deliver()?.note(place.state);
        Ok(())
    }

    fn stale(&self, place: Place<'_>) -> Result<()> {
        let loaded = Draft::read(place.config).load(Options { allow_empty: true })?;
        let secrets = Secrets::read(&loaded)?;
        let relay = &loaded.relay;
        let rendered = Rendered::read(place.state, &relay.interface)?;
        let (mut stale, mut never) = (Vec::new(), Vec::new());
        let mut effective = Effective::of(relay);
        for (place, peer) in relay.peers.iter().enumerate() {
            let client = Client::render(&mut effective, &secrets, place, None)?;
            match rendered.standing(&peer.public_key, client.known()) {
                Standing::Current => {}
                Standing::Stale => stale.push(peer.name.to_string()),
                Standing::Never => never.push(peer.name.to_string()),
            }
        }
        let mut out = output::stdout();
        if self.json {
            return output::json(&mut out, &StaleClients::new(&relay.interface, stale, never));
        }
        for name in &stale {
            writeln!(out, "{name}: changed since it was shown")?;
        }
        for name in &never {
            writeln!(out, "{name}: never shown")?;
        }
        if stale.is_empty() && never.is_empty() {
            writeln!(out, "{}: every client was shown its current configuration", relay.interface)?;
        }
        Ok(())
    }
}

fn unread(fault: Fault) -> Error {
    match fault.is_denied() {
        true => Unreadable(fault).into(),
        false => UsageError::Request(fault.to_string()).into(),
    }
}
