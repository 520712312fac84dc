//! What `WG_CMD_GET_DEVICE` answers (include/uapi/linux/wireguard.h), decoded.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ipnet::IpNet;

use super::device::{Device, DevicePeer};
use crate::{
    model::{PresharedKey, PublicKey},
    net::attributes,
};

/// `WGDEVICE_A_*`, as far as they are read: not the private key.
mod device {
    pub(super) const PUBLIC_KEY: u16 = 4;
    pub(super) const LISTEN_PORT: u16 = 6;
    pub(super) const FWMARK: u16 = 7;
    pub(super) const PEERS: u16 = 8;
}

/// `WGPEER_A_*`, as far as they are read.
mod peer {
    pub(super) const PUBLIC_KEY: u16 = 1;
    pub(super) const PRESHARED_KEY: u16 = 2;
    pub(super) const ENDPOINT: u16 = 4;
    pub(super) const PERSISTENT_KEEPALIVE: u16 = 5;
    pub(super) const LAST_HANDSHAKE: u16 = 6;
    pub(super) const RX_BYTES: u16 = 7;
    pub(super) const TX_BYTES: u16 = 8;
    pub(super) const ALLOWED_IPS: u16 = 9;
}

/// `WGALLOWEDIP_A_*`, as far as they are read: the address's length tells its family.
mod allowed_ip {
    pub(super) const ADDRESS: u16 = 2;
    pub(super) const PREFIX_LEN: u16 = 3;
}

impl Device {
    /// Adds what one message of the answer has. `None` if it is malformed.
    pub(super) fn add(&mut self, message: &[u8]) -> Option<()> {
        for (kind, value) in attributes(message) {
            match kind {
                device::PUBLIC_KEY => {
                    self.public_key = Some(PublicKey::from_bytes(value.try_into().ok()?));
                }
                device::LISTEN_PORT => {
                    self.listen_port = u16::from_ne_bytes(value.try_into().ok()?);
                }
                device::FWMARK => self.fwmark = u32::from_ne_bytes(value.try_into().ok()?),
                device::PEERS => {
                    attributes(value).try_for_each(|(_, value)| self.add_peer(value))?;
                }
                _ => {}
            }
        }
        Some(())
    }

    /// Adds a peer, or more allowed IPs of the one before it: what does not fit into a message comes in
    /// the next, with the key alone.
    fn add_peer(&mut self, value: &[u8]) -> Option<()> {
        let mut found = attributes(value);
        let (_, key) = found.find(|(kind, _)| *kind == peer::PUBLIC_KEY)?;
        let key = PublicKey::from_bytes(key.try_into().ok()?);
        if self.peers.last().is_none_or(|last| last.public_key != key) {
            self.peers.push(DevicePeer::new(key));
        }
        let peer = self.peers.last_mut()?;
        attributes(value).try_for_each(|(kind, value)| peer.add(kind, value))
    }
}

impl DevicePeer {
    fn add(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        match kind {
            peer::PRESHARED_KEY => {
                self.preshared_key = PresharedKey::from_bytes(value.try_into().ok()?);
            }
            peer::ENDPOINT => self.endpoint = Some(endpoint(value)?),
            peer::PERSISTENT_KEEPALIVE => {
                let seconds = u16::from_ne_bytes(value.try_into().ok()?);
                self.persistent_keepalive = (seconds != 0).then_some(seconds);
            }
            peer::LAST_HANDSHAKE => self.latest_handshake = time(value)?,
            peer::RX_BYTES => self.rx_bytes = u64::from_ne_bytes(value.try_into().ok()?),
            peer::TX_BYTES => self.tx_bytes = u64::from_ne_bytes(value.try_into().ok()?),
            peer::ALLOWED_IPS => {
                for (_, entry) in attributes(value) {
                    self.allowed_ips.push(allowed_ip(entry)?);
                }
            }
            _ => {}
        }
        Some(())
    }
}

/// `struct sockaddr_in` or `struct sockaddr_in6`.
fn endpoint(value: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(field(value, 2)?);
    Some(match i32::from(u16::from_ne_bytes(field(value, 0)?)) {
        libc::AF_INET => (Ipv4Addr::from(field(value, 4)?), port).into(),
        libc::AF_INET6 => {
            let flow = u32::from_ne_bytes(field(value, 4)?);
            let scope = u32::from_ne_bytes(field(value, 24)?);
            let address: [u8; 16] = field(value, 8)?;
            SocketAddrV6::new(Ipv6Addr::from(address), port, flow, scope).into()
        }
        _ => return None,
    })
}

/// `struct __kernel_timespec` of the wall clock; zeros are never.
fn time(value: &[u8]) -> Option<Option<SystemTime>> {
    let seconds = u64::try_from(i64::from_ne_bytes(field(value, 0)?)).ok()?;
    let nanoseconds = u64::try_from(i64::from_ne_bytes(field(value, 8)?)).ok()?;
    let since_epoch = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
    Some((!since_epoch.is_zero()).then(|| UNIX_EPOCH + since_epoch))
}

fn allowed_ip(entry: &[u8]) -> Option<IpNet> {
    let (mut address, mut prefix_len) = (None, None);
    for (kind, value) in attributes(entry) {
        match kind {
            allowed_ip::ADDRESS => address = ip(value),
            allowed_ip::PREFIX_LEN => prefix_len = value.first().copied(),
            _ => {}
        }
    }
    IpNet::new(address?, prefix_len?).ok().map(|net| net.trunc())
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(field::<4>(value, 0)?).into()),
        16 => Some(Ipv6Addr::from(field::<16>(value, 0)?).into()),
        _ => None,
    }
}

/// The bytes of a field of a structure.
fn field<const LENGTH: usize>(value: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    value.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_two_messages_is_one_device() {
        let mut device = Device::default();
        let first = peer(&[
            (peer::PUBLIC_KEY, &[1; 32]),
            (peer::PRESHARED_KEY, &[0; 32]),
            (peer::LAST_HANDSHAKE, &[[0; 8], [0; 8]].concat()),
            (peer::PERSISTENT_KEEPALIVE, &25_u16.to_ne_bytes()),
            (peer::RX_BYTES, &7_u64.to_ne_bytes()),
            (peer::TX_BYTES, &9_u64.to_ne_bytes()),
            (peer::ENDPOINT, &v4_endpoint()),
            (peer::ALLOWED_IPS, &allowed(&[&[10, 0, 0, 1]], 32)),
        ]);
        let begin = [
            encoded(3, &[5; 32]),
            encoded(device::PUBLIC_KEY, &[6; 32]),
            encoded(device::LISTEN_PORT, &51820_u16.to_ne_bytes()),
            encoded(device::FWMARK, &7_u32.to_ne_bytes()),
            encoded(device::PEERS, &first),
        ];
        device.add(&begin.concat()).expect("whole");
        let more = peer(&[
            (peer::PUBLIC_KEY, &[1; 32]),
            (peer::ALLOWED_IPS, &allowed(&[&[10, 0, 9, 9]], 24)),
        ]);
        let next = peer(&[
            (peer::PUBLIC_KEY, &[2; 32]),
            (peer::PRESHARED_KEY, &[3; 32]),
            (peer::LAST_HANDSHAKE, &[1_700_000_000_i64, 5].map(i64::to_ne_bytes).concat()),
            (peer::PERSISTENT_KEEPALIVE, &[0, 0]),
            (peer::ENDPOINT, &v6_endpoint()),
        ]);
        device.add(&encoded(device::PEERS, &[more, next].concat())).expect("whole");

        assert_eq!(device.public_key, Some(PublicKey::from_bytes([6; 32])));
        assert_eq!((device.listen_port, device.fwmark, device.peers.len()), (51820, 7, 2));
        let [one, two] = &device.peers[..] else { panic!("two peers") };
        assert_eq!((one.preshared_key.is_none(), one.latest_handshake), (true, None));
        assert_eq!((one.persistent_keepalive, one.rx_bytes, one.tx_bytes), (Some(25), 7, 9));
        assert_eq!(one.endpoint, "192.0.2.1:4500".parse().ok());
        assert_eq!(
            one.allowed_ips,
            ["10.0.0.1/32", "10.0.9.0/24"].map(|net| net.parse().expect("it"))
        );
        assert_eq!((two.preshared_key.is_some(), two.persistent_keepalive), (true, None));
        assert_eq!(two.latest_handshake, Some(UNIX_EPOCH + Duration::new(1_700_000_000, 5)));
        assert_eq!(two.endpoint, "[2001:db8::2]:9".parse().ok());
        assert_eq!((two.rx_bytes, two.allowed_ips.len()), (0, 0));
    }

    #[test]
    fn a_value_of_another_length_is_malformed() {
        let add = |kind, value: &[u8]| Device::default().add(&encoded(kind, value));
        assert_eq!(add(device::PUBLIC_KEY, &[1; 31]), None);
        assert_eq!(add(device::PEERS, &peer(&[(peer::RX_BYTES, &[0; 8])])), None);
        let with = |kind, value: &[u8]| {
            add(device::PEERS, &peer(&[(peer::PUBLIC_KEY, &[1; 32]), (kind, value)]))
        };
        assert_eq!(with(peer::RX_BYTES, &[0; 8]), Some(()));
        assert_eq!(with(peer::RX_BYTES, &[0; 4]), None);
        assert_eq!(with(peer::ENDPOINT, &v6_endpoint()[..20]), None);
        assert_eq!(with(peer::ALLOWED_IPS, &allowed(&[&[10, 0, 0]], 24)), None);
        assert_eq!(with(peer::ALLOWED_IPS, &allowed(&[&[10, 0, 0, 0]], 33)), None);
    }

    fn v4_endpoint() -> Vec<u8> {
        let family = u16::try_from(libc::AF_INET).expect("small").to_ne_bytes();
        [&family[..], &4500_u16.to_be_bytes(), &[192, 0, 2, 1], &[0; 8]].concat()
    }

    fn v6_endpoint() -> Vec<u8> {
        let family = u16::try_from(libc::AF_INET6).expect("small").to_ne_bytes();
        let address = "2001:db8::2".parse::<Ipv6Addr>().expect("an address").octets();
        [&family[..], &9_u16.to_be_bytes(), &[0; 4], &address, &[0; 4]].concat()
    }

    fn allowed(addresses: &[&[u8]], prefix_len: u8) -> Vec<u8> {
        let entry = |address: &&[u8]| {
            let address = encoded(allowed_ip::ADDRESS, address);
            encoded(0x8000, &[address, encoded(allowed_ip::PREFIX_LEN, &[prefix_len])].concat())
        };
        addresses.iter().flat_map(entry).collect()
    }

    fn peer(values: &[(u16, &[u8])]) -> Vec<u8> {
        let values: Vec<u8> =
            values.iter().flat_map(|(kind, value)| encoded(*kind, value)).collect();
        encoded(0x8000, &values)
    }

    fn encoded(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).expect("short");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}
