//! WireGuard in userspace: <https://git.zx2c4.com/wireguard-go/about/>.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::{Namespace, deadline};

/// A process of wireguard-go with one interface. Dropping it ends both.
#[derive(Debug)]
pub struct WireguardGo(Child);

impl WireguardGo {
    /// Begins with an interface of this name, without key and peers. Its control socket is in a
    /// directory of the whole machine, so names of two at once differ.
    pub fn start(namespace: &Namespace, name: &str) -> Result<Self> {
        let mut command = Command::new("wireguard-go");
        command.args(["--foreground", name]).env("LOG_LEVEL", "silent");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Self(namespace.enter(|| command.spawn())?.context("start wireguard-go")?);
        deadline::until("wireguard-go's interface", || {
            Ok(namespace.run("wg", &["show", name]).ok())
        })?;
        Ok(process)
    }
}

impl Drop for WireguardGo {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
