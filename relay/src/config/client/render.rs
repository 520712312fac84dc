use std::fmt;

use ipnet::IpNet;

use crate::model::{Peer, PresharedKey, PrivateKey, PublicKey, Relay, host_prefix};

/// Writes the `wg-quick(8)` configuration of `peer`'s client, whose AllowedIPs are `allowed_ips`.
/// Empty values are omitted; without a private key, a comment marks its place.
///
/// # Errors
/// Those of `out`.
pub fn render_client_into(
    out: &mut impl fmt::Write,
    relay: &Relay,
    relay_public_key: &PublicKey,
    peer: &Peer,
    allowed_ips: &[IpNet],
    private_key: Option<&PrivateKey>,
    preshared_key: Option<&PresharedKey>,
) -> fmt::Result {
    write!(out, "# {}", peer.name)?;
    if let Some(description) = peer.description.as_deref().filter(|text| !text.is_empty()) {
        write!(out, ": {description}")?;
    }
    writeln!(out, "\n[Interface]")?;
    match private_key {
        Some(key) => writeln!(out, "PrivateKey = {}", key.to_base64().as_str())?,
        None => writeln!(out, "# PrivateKey = (known to the peer only)")?,
    }
    list(out, "Address", peer.addresses.iter().copied().map(host_prefix))?;
    writeln!(out, "MTU = {}", peer.mtu)?;
    list(out, "DNS", &peer.dns)?;

    writeln!(out, "\n[Peer]")?;
    writeln!(out, "PublicKey = {relay_public_key}")?;
    if let Some(key) = preshared_key {
        writeln!(out, "PresharedKey = {}", key.to_base64().as_str())?;
    }
    list(out, "AllowedIPs", allowed_ips)?;
    if let Some(endpoint) = peer.endpoint.as_ref().or(relay.endpoint.as_ref()) {
        writeln!(out, "Endpoint = {endpoint}")?;
    }
    if peer.persistent_keepalive > 0 {
        writeln!(out, "PersistentKeepalive = {}", peer.persistent_keepalive)?;
    }
    Ok(())
}

/// One line of values, omitted if there are none.
fn list<T: fmt::Display>(
    out: &mut impl fmt::Write,
    key: &str,
    values: impl IntoIterator<Item = T>,
) -> fmt::Result {
    let mut values = values.into_iter();
    let Some(first) = values.next() else { return Ok(()) };
    write!(out, "{key} = {first}")?;
    for value in values {
        write!(out, ", {value}")?;
    }
    writeln!(out)
}
