//! Notifications of the kernel that nf_tables, a link or a default route changed. They do not say what
//! changed: the waiting caller observes again.

use std::io::{self, ErrorKind};

use rtnetlink::sys::{
    AsyncSocket as _, AsyncSocketExt as _, TokioSocket,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};

use super::NetError;

/// RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE and RTNLGRP_IPV6_ROUTE of linux/rtnetlink.h.
const ROUTE_GROUPS: [u32; 3] = [1, 7, 11];
/// NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h.
const NFTABLES_GROUP: u32 = 7;

/// struct nlmsghdr: length, type, flags, sequence, port.
const HEADER_LEN: usize = 16;
/// RTM_NEWLINK, RTM_DELLINK, RTM_NEWROUTE and RTM_DELROUTE.
const LINKS: [u16; 2] = [16, 17];
const ROUTES: [u16; 2] = [24, 25];
/// Offset of the destination's prefix length in struct rtmsg.
const DESTINATION_LEN_AT: usize = 1;
/// NLMSG_ALIGNTO.
const ALIGNMENT: usize = 4;
/// NFT_MSG_NEWTABLE to NFT_MSG_DELRULE. Set elements have higher numbers; a fence has none.
const TABLES_CHAINS_RULES: std::ops::RangeInclusive<u16> = 0..=8;

/// More than the kernel puts into one notification (NLMSG_GOODSIZE), except for links with hundreds of
/// virtual functions, of which the beginning suffices.
const DATAGRAM_MAX: usize = 32 * 1024;

/// Sockets subscribed to changes in the network namespace in which they were opened.
pub struct News {
    route: TokioSocket,
    /// `None` if the kernel has no nf_tables.
    nftables: Option<TokioSocket>,
}

impl News {
    /// Subscribes. Must be called within a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// A socket cannot be opened or subscribed.
    pub fn listen() -> Result<Self, NetError> {
        let failed = |protocol| move |source| NetError::Connect { protocol, source };
        let route = open(NETLINK_ROUTE, &ROUTE_GROUPS).map_err(failed("NETLINK_ROUTE"))?;
        let nftables = match open(NETLINK_NETFILTER, &[NFTABLES_GROUP]) {
            Ok(socket) => Some(socket),
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::EINVAL)) =>
            {
                None
            }
            Err(error) => return Err(failed("NETLINK_NETFILTER")(error)),
        };
        Ok(Self { route, nftables })
    }

    /// Waits for a change that may concern a fence or a guard.
    ///
    /// # Errors
    /// A socket cannot be read.
    pub async fn wait(&self) -> Result<(), NetError> {
        loop {
            let (protocol, news) = tokio::select! {
                news = read(&self.route, is_of_links) => ("NETLINK_ROUTE", news),
                news = async {
                    match &self.nftables {
                        Some(socket) => read(socket, is_of_tables).await,
                        None => std::future::pending().await,
                    }
                } => ("NETLINK_NETFILTER", news),
            };
            if news.map_err(|source| NetError::Connect { protocol, source })? {
                return Ok(());
            }
        }
    }

    /// Discards pending notifications.
    ///
    /// # Errors
    /// A socket cannot be read.
    pub fn drain(&self) -> Result<(), NetError> {
        let sockets =
            [("NETLINK_ROUTE", Some(&self.route)), ("NETLINK_NETFILTER", self.nftables.as_ref())];
        for (protocol, socket) in sockets {
            let Some(socket) = socket else { continue };
            empty(socket).map_err(|source| NetError::Connect { protocol, source })?;
        }
        Ok(())
    }
}

fn open(protocol: isize, groups: &[u32]) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind_auto()?;
    groups.iter().try_for_each(|group| socket.socket_ref().add_membership(*group))?;
    Ok(socket)
}

/// Waits for a datagram; whether it is `wanted`.
async fn read(socket: &TokioSocket, wanted: fn(&[u8]) -> bool) -> io::Result<bool> {
    let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
    match socket.recv(&mut datagram).await {
        Ok(()) => Ok(wanted(&datagram)),
        // The socket's buffer overflowed: anything may have changed.
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(true),
        Err(error) => Err(error),
    }
}

fn empty(socket: &TokioSocket) -> io::Result<()> {
    let mut datagram = [0; 16];
    loop {
        match socket.socket_ref().recv(&mut datagram.as_mut_slice(), libc::MSG_DONTWAIT) {
            Ok(_length) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a notification concerns a link or a default route. Other routes may change all the time.
fn is_of_links(datagram: &[u8]) -> bool {
    any(datagram, |kind, body| {
        LINKS.contains(&kind)
            || (ROUTES.contains(&kind) && body.get(DESTINATION_LEN_AT) == Some(&0))
    })
}

fn is_of_tables(datagram: &[u8]) -> bool {
    // The high byte is the subsystem, always the same in this group.
    any(datagram, |kind, _body| TABLES_CHAINS_RULES.contains(&(kind & 0xff)))
}

/// Whether any message of a datagram is `wanted`, by its type and body. nf_tables sends a transaction
/// as datagrams of many messages. A malformed message counts as wanted.
fn any(datagram: &[u8], wanted: impl Fn(u16, &[u8]) -> bool) -> bool {
    let mut rest = datagram;
    while let Some((header, behind)) = rest.split_at_checked(HEADER_LEN) {
        let [l0, l1, l2, l3, k0, k1, ..] = *header else { return true };
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(body) = length.checked_sub(HEADER_LEN).and_then(|length| behind.get(..length))
        else {
            return true;
        };
        if wanted(u16::from_ne_bytes([k0, k1]), body) {
            return true;
        }
        rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    !rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_default_routes_are_reported_and_other_routes_are_not() {
        let route = |prefix_len| message(24, &[2, prefix_len, 0, 0]);
        assert!(is_of_links(&message(16, &[0; 16])));
        assert!(is_of_links(&message(25, &[10, 0, 0, 0])), "a deleted IPv6 default route");
        assert!(!is_of_links(&route(24)));
        assert!(is_of_links(&[route(24), route(0)].concat()));
        assert!(!is_of_links(&message(20, &[2, 0, 0, 0])), "an address");
    }

    #[test]
    fn tables_chains_and_rules_are_reported_anywhere_in_a_transaction() {
        let of = |kind: u16| message(10 << 8 | kind, &[1, 0, 0, 0]);
        for kind in [0, 2, 3, 5, 6, 8] {
            assert!(is_of_tables(&of(kind)), "{kind}");
        }
        // NFT_MSG_NEWSETELEM and NFT_MSG_NEWGEN, which each transaction ends with.
        assert!(!is_of_tables(&[of(12), of(15)].concat()));
        assert!(is_of_tables(&[of(12), of(2), of(15)].concat()));
    }

    #[test]
    fn malformed_messages_are_reported() {
        let mut cut = message(20, &[0; 8]);
        cut.truncate(20);
        assert!(is_of_links(&cut) && is_of_links(&[0; 4]) && is_of_links(&[0; 20]));
        assert!(!is_of_links(&[]));
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_LEN + body.len()).expect("a short one");
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER_LEN, 0);
        bytes.extend(body);
        bytes
    }
}
