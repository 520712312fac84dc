use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;
use zeroize::Zeroizing;

use crate::{
    cli::{
        exit::{self, UsageError},
        output, qr,
    },
    config::{Loaded, Rendered, Secrets, Staged, render_client_into},
    model::{Peer, PrivateKey, Relay},
};

/// Room for a client's configuration, so that no copy of its key is left by growing.
const TEXT_BYTES: usize = 64 * 1024;

/// How a client's configuration is shown.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Draw a QR code for the WireGuard app instead of printing the text.
    #[arg(long)]
    qr: bool,
    /// Write the QR code into a PNG picture of mode 0600 instead.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

/// The configuration of one peer's client.
pub(super) struct Client<'l> {
    relay: &'l Relay,
    peer: &'l Peer,
    text: Zeroizing<String>,
    /// The same without the private key.
    known: Zeroizing<String>,
    has_private_key: bool,
}

/// A client's configuration that only needs to be handed over.
pub(super) struct Prepared<'l> {
    client: Client<'l>,
    drawing: Option<Zeroizing<String>>,
    picture: Option<Staged>,
}

impl<'l> Client<'l> {
    pub(super) fn render(
        loaded: &'l Loaded,
        secrets: &Secrets,
        peer: &'l Peer,
        private_key: Option<&PrivateKey>,
    ) -> Result<Self> {
        let relay = &loaded.relay;
        let Some(own) = secrets.private_key() else {
            let file = relay.private_key_file.display();
            return Err(UsageError::Request(format!(
                "the relay has no key yet, which its clients need: {file} does not exist; run \
                 `relay up`, or make it with (umask 077; relay genkey > {file})"
            ))
            .into());
        };
        let own = own.public_key();
        let text = |private_key| -> Result<_> {
            let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES));
            let preshared_key = secrets.preshared_key(peer);
            render_client_into(&mut *text, relay, &own, peer, private_key, preshared_key)?;
            Ok(text)
        };
        Ok(Self {
            relay,
            peer,
            text: text(private_key)?,
            known: text(None)?,
            has_private_key: private_key.is_some(),
        })
    }

    /// What the client will miss, a line each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let Peer { name, allowed_ips, endpoint, enabled, .. } = self.peer;
        let mut warnings = Vec::new();
        if !enabled {
            warnings.push(format!(
                "{name} is disabled, so it cannot connect; `relay peer enable {name}` lets it in"
            ));
        }
        if endpoint.is_none() && self.relay.endpoint.is_none() {
            warnings.push(format!(
                "{name} is not told where the relay is; write endpoint = \"host:port\" into [relay]"
            ));
        }
        if allowed_ips.is_empty() {
            warnings.push(format!("the allowed_ips of {name} are empty, so it reaches nobody"));
        }
        warnings
    }

    /// The text without the private key.
    pub(super) fn known(&self) -> &str {
        &self.known
    }
}

impl Show {
    /// Whether a QR code is asked for.
    pub(super) const fn is_code(&self) -> bool {
        self.qr || self.png.is_some()
    }

    /// Does everything that can fail.
    pub(super) fn prepare<'l>(&self, client: Client<'l>) -> Result<Prepared<'l>> {
        let code = if self.is_code() { Some(qr::encode(&client.text)?) } else { None };
        let drawing = code.as_ref().filter(|_| self.qr).map(|code| qr::draw(code, output::color()));
        let picture = match (&self.png, &code) {
            (Some(path), Some(code)) => Some(Staged::put(path, &qr::picture(code)?, 0o600)?),
            (None, _) | (_, None) => None,
        };
        Ok(Prepared { client, drawing, picture })
    }
}

impl Prepared<'_> {
    /// Whether it goes to standard output.
    pub(super) const fn is_printed(&self) -> bool {
        self.drawing.is_some() || self.picture.is_none()
    }

    /// Hands it over, and keeps below `state` what it was.
    pub(super) fn deliver(self, state: &Path) -> Result<()> {
        let is_printed = self.is_printed();
        let Self { client, drawing, picture } = self;
        output::warn(&client.warnings())?;
        if let Some(picture) = picture {
            let path = picture.path().to_owned();
            picture.commit()?;
            writeln!(io::stderr(), "{}: the QR code, with mode 0600", path.display())?;
        }
        if is_printed {
            if client.has_private_key {
                output::warn_if_open()?;
            }
            let mut out = io::stdout().lock();
            out.write_all(drawing.as_ref().unwrap_or(&client.text).as_bytes())?;
            out.flush()?;
        }
        let noted = Rendered::read(state, &client.relay.interface)
            .and_then(|rendered| {
                rendered.note(client.relay, &client.peer.public_key, &client.known)
            })
            .context("`relay peer config --stale` will not know of this");
        // The configuration is in its owner's hands all the same.
        if let Err(error) = noted {
            output::warn(&[exit::causes(&error)])?;
        }
        Ok(())
    }
}
