use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::Args;
use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::{
    cli::{
        exit::{Undelivered, UsageError},
        output, qr,
    },
    config::{Rendered, Secrets, Staged, render_client_into},
    engine::{Error, ErrorContext as _, Result},
    model::{Peer, PrivateKey, Relay},
    policy::Effective,
};

/// Capacity for a client's configuration without AllowedIPs: a buffer that grows would leave a copy
/// of the key.
const TEXT_BYTES: usize = 64 * 1024;
/// Longest entry of AllowedIPs with its comma, bytes.
const ENTRY_BYTES: usize = 48;

/// Its name in errors.
const STDOUT: &str = "standard output";

/// How to show a client's configuration.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Draw a QR code for the WireGuard app instead of printing text.
    #[arg(long)]
    qr: bool,
    /// Write the QR code to a new PNG file of mode 0600; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

/// The configuration of one peer's client.
pub(super) struct Client<'l> {
    relay: &'l Relay,
    peer: &'l Peer,
    allowed_ips: Vec<IpNet>,
    text: Zeroizing<String>,
    /// The same without the private key.
    known: Zeroizing<String>,
    has_private_key: bool,
    /// Whether the private key is new and exists nowhere else.
    is_new: bool,
}

/// A client's configuration that is ready to be delivered.
pub(super) struct Prepared<'l> {
    client: Client<'l>,
    printed: Option<Printed>,
    picture: Option<Staged>,
}

/// What goes to standard output.
enum Printed {
    Text(Zeroizing<String>),
    Bytes(Zeroizing<Vec<u8>>),
}

impl<'l> Client<'l> {
    /// Of a peer, by its place in the configuration. `effective` has the lists of all its peers.
    pub(super) fn render(
        effective: &mut Effective<'l>,
        secrets: &Secrets,
        place: usize,
        private_key: Option<&PrivateKey>,
    ) -> Result<Self> {
        let relay = effective.relay();
        let peer = &relay.peers[place];
        let allowed_ips = effective.client(place);
        let Some(own) = secrets.private_key() else {
            let file = relay.private_key_file.display();
            return Err(UsageError::Request(format!(
                "{file} does not exist, and clients need the relay's key; run `relay up`, or generate \
                 it with (umask 077; relay genkey > {file})"
            ))
            .into());
        };
        let own = own.public_key();
        let text = |private_key| -> Result<_> {
            let mut text =
                Zeroizing::new(String::with_capacity(TEXT_BYTES + allowed_ips.len() * ENTRY_BYTES));
            let preshared_key = secrets.preshared_key(peer);
            let allowed_ips = allowed_ips.as_slice();
            render_client_into(
                &mut *text,
                relay,
                &own,
                peer,
                allowed_ips,
                private_key,
                preshared_key,
            )?;
            Ok(text)
        };
        Ok(Self {
            relay,
            peer,
            text: text(private_key)?,
            known: text(None)?,
            allowed_ips,
            has_private_key: private_key.is_some(),
            is_new: false,
        })
    }

    /// With a private key that exists nowhere else: unless it is delivered, nothing is changed.
    pub(super) fn with_new_key(self) -> Self {
        Self { is_new: true, ..self }
    }

    /// Warnings about the configuration, a line each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let Peer { name, endpoint, enabled, .. } = self.peer;
        let mut warnings = Vec::new();
        if !enabled {
            warnings.push(format!(
                "{name} is disabled, so it cannot connect; run `relay peer enable {name}`"
            ));
        }
        if endpoint.is_none() && self.relay.endpoint.is_none() {
            warnings.push(format!(
                "the configuration of {name} has no endpoint of the relay; set endpoint = \"host:port\" in [relay]"
            ));
        }
        if self.allowed_ips.is_empty() {
            warnings.push(format!(
                "the allowed_ips of {name} are empty, and no rule covers it, so it can reach nobody"
            ));
        }
        warnings
    }

    /// Records below `state` that the client was given this.
    pub(super) fn note(&self, state: &Path) {
        let noted = Rendered::read(state, &self.relay.interface)
            .and_then(|rendered| rendered.note(self.relay, &self.peer.public_key, &self.known))
            .context("`relay peer config --stale` cannot take this into account");
        // The client has its configuration nevertheless.
        if let Err(error) = noted {
            output::warn(&[Error::chain(&error)]);
        }
    }

    /// The text without the private key.
    pub(super) fn known(&self) -> &str {
        &self.known
    }
}

impl Show {
    /// Whether a QR code is requested.
    pub(super) const fn is_code(&self) -> bool {
        self.qr || self.png.is_some()
    }

    /// Does everything that can fail, except the delivery.
    pub(super) fn prepare<'l>(&self, client: Client<'l>) -> Result<Prepared<'l>> {
        let to_stdout = self.png.as_ref().is_some_and(|path| path.as_os_str() == "-");
        if to_stdout && (self.qr || io::stdout().is_terminal()) {
            let text = "--png - needs a pipe or a file; name a file, or use --qr alone to draw the \
                        code here";
            return Err(UsageError::Request(text.to_owned()).into());
        }
        let code = if self.is_code() { Some(qr::encode(&client.text)?) } else { None };
        let mut picture = None;
        let printed = match (&self.png, &code) {
            (Some(_), Some(code)) if to_stdout => Some(Printed::Bytes(qr::picture(code)?)),
            (Some(path), Some(code)) => {
                picture = Some(Staged::beside(path, &qr::picture(code)?, 0o600)?);
                match self.qr {
                    true => Some(Printed::Text(qr::draw(code, output::color())?)),
                    false => None,
                }
            }
            (_, Some(code)) => Some(Printed::Text(qr::draw(code, output::color())?)),
            (_, None) => Some(Printed::Text(client.text.clone())),
        };
        if printed.is_some() && client.has_private_key {
            output::require_reader().map_err(|source| Undelivered { to: STDOUT.into(), source })?;
        }
        Ok(Prepared { client, printed, picture })
    }
}

impl<'l> Prepared<'l> {
    /// Whether it goes to standard output.
    pub(super) const fn is_printed(&self) -> bool {
        self.printed.is_some()
    }

    /// Delivers it.
    ///
    /// # Errors
    /// It was not delivered. No picture is left.
    pub(super) fn deliver(self) -> Result<Client<'l>> {
        let Self { client, printed, picture } = self;
        output::warn(&client.warnings());
        if let Some(printed) = printed {
            if client.has_private_key {
                output::warn_if_open();
            }
            let delivered = output::deliver(printed.as_bytes());
            match (delivered, client.is_new) {
                (Ok(()), _) => {}
                (Err(source), true) => {
                    return Err(Undelivered { to: STDOUT.into(), source }.into());
                }
                // The key still exists elsewhere.
                (Err(error), false) if error.kind() == io::ErrorKind::BrokenPipe => {}
                (Err(error), false) => {
                    return Err(error).context("cannot write to standard output");
                }
            }
        }
        if let Some(picture) = picture {
            let path = picture.path().to_owned();
            picture.commit()?;
            output::say(format_args!("{}: QR code, mode 0600", path.display()));
        }
        Ok(client)
    }
}

impl Printed {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}
