use std::io::{self, Read as _, Write as _};

use clap::Args;
use zeroize::Zeroizing;

use super::{exit::UsageError, output};
use crate::{
    engine::{ErrorContext as _, Result},
    model::{PresharedKey, PrivateKey},
};

/// Bytes read from standard input; a key has 44.
const INPUT_MAX: u64 = 4096;

/// `relay genkey`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    (umask 077; relay genkey > private.key)\n  \
    relay genkey --public < private.key\n  \
    (umask 077; relay genkey --psk > /etc/relay/psk/node-c)")]
pub(super) struct Genkey {
    /// Read a private key from standard input and print its public key, like `wg pubkey`.
    #[arg(long)]
    public: bool,
    /// Generate a preshared key, like `wg genpsk`.
    #[arg(long, conflicts_with = "public")]
    psk: bool,
}

impl Genkey {
    pub(super) fn run(&self) -> Result<()> {
        if self.public {
            writeln!(output::stdout(), "{}", private_key()?.public_key())?;
            return Ok(());
        }
        output::warn_if_open();
        let key = match self.psk {
            true => PresharedKey::generate()?.to_base64(),
            false => PrivateKey::generate()?.to_base64(),
        };
        // In one write, so that a file has the whole line or nothing.
        let mut line = Zeroizing::new(Vec::with_capacity(key.len() + 1));
        line.extend_from_slice(key.as_bytes());
        line.push(b'\n');
        output::deliver(&line).context("cannot write the key to standard output")?;
        Ok(())
    }
}

fn private_key() -> Result<PrivateKey> {
    // With room for all of it, the buffer never moves and leaves no copy of the key.
    let mut text = Zeroizing::new(String::with_capacity(2 * 4096));
    let input = io::stdin().lock();
    input.take(INPUT_MAX).read_to_string(&mut text).context("cannot read standard input")?;
    text.trim().parse().map_err(|error| {
        let remedy = "expected one private key, as `relay genkey` prints it";
        UsageError::Request(format!("standard input {error}; {remedy}")).into()
    })
}
