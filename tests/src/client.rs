//! A peer's own config file.

use anyhow::{Context as _, Result};
use toml::Value;

use crate::{Site, relay_host::UNDERLAY};

/// The config of one peer.
///
/// # Errors
/// There is no such peer.
pub fn render(site: &Site, name: &str, relay_public_key: &str) -> Result<String> {
    let list = |key: &str| -> Result<String> {
        let value = site.value(name, key).and_then(Value::as_array);
        let value = value.with_context(|| format!("{name} has no {key}"))?;
        Ok(value.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
    };
    let number = |key: &str| site.value(name, key).and_then(Value::as_integer).unwrap_or(0);
    Ok(format!(
        "[Interface]\nPrivateKey = {}\nAddress = {}\nMTU = {}\n\n[Peer]\nPublicKey = {}\n\
         AllowedIPs = {}\nEndpoint = {UNDERLAY}:51820\nPersistentKeepalive = {}\n",
        site.private_key(name)?.to_base64().as_str(),
        list("address")?,
        number("mtu"),
        relay_public_key,
        list("allowed_ips")?,
        number("persistent_keepalive"),
    ))
}
