use std::io::{self, Read as _, Write as _};

use anyhow::{Context as _, Result};
use clap::Args;
use zeroize::Zeroizing;

use super::{exit::UsageError, output};
use crate::model::{PresharedKey, PrivateKey};

/// What is read of standard input, bytes: a key takes 44.
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
    /// Make a preshared key, like `wg genpsk`.
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
        // In one piece, so that a file has all of it or nothing.
        let mut line = Zeroizing::new(Vec::with_capacity(key.len() + 1));
        line.extend_from_slice(key.as_bytes());
        line.push(b'\n');
        output::deliver(&line).context("cannot write the key to standard output")?;
        Ok(())
    }
}

fn private_key() -> Result<PrivateKey> {
    // Room for all of it leaves no copy behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(2 * 4096));
    let input = io::stdin().lock();
    input.take(INPUT_MAX).read_to_string(&mut text).context("cannot read standard input")?;
    text.trim().parse().map_err(|error| {
        let remedy = "write one private key into it, as `relay genkey` prints it";
        UsageError::Request(format!("standard input {error}; {remedy}")).into()
    })
}
