//! News of the kernel's: that nf_tables, a link or a default route changed. What changed is not
//! told; whoever waits looks again.

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
/// Where struct rtmsg has the length of the destination.
const DESTINATION_LEN_AT: usize = 1;
/// NLMSG_ALIGNTO.
const ALIGNMENT: usize = 4;
/// NFT_MSG_NEWTABLE to NFT_MSG_DELRULE. Elements of sets, which come later, are no part of a fence.
const TABLES_CHAINS_RULES: std::ops::RangeInclusive<u16> = 0..=8;

/// More than the kernel puts into one notification (NLMSG_GOODSIZE), but for links with hundreds of
/// functions; of those the beginning is enough.
const DATAGRAM_MAX: usize = 32 * 1024;

/// Sockets that hear of changes in the network namespace in which they were made.
pub struct News {
    route: TokioSocket,
    /// None where the kernel has no nf_tables.
    nftables: Option<TokioSocket>,
}

impl News {
    /// Listens from now on. Has to be called within a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// No socket, or not one that hears of links and routes.
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

    /// Waits for something that may concern a fence or a guard.
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

    /// Forgets what has come until now.
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
        // More came than the socket holds: whatever it was has to be looked for.
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

/// Whether a notification is of a link or a default route. A host may have a route for every
/// network of the Internet, which change all the time.
fn is_of_links(datagram: &[u8]) -> bool {
    any(datagram, |kind, body| {
        LINKS.contains(&kind)
            || (ROUTES.contains(&kind) && body.get(DESTINATION_LEN_AT) == Some(&0))
    })
}

fn is_of_tables(datagram: &[u8]) -> bool {
    // The high byte is the subsystem, of which the group has one.
    any(datagram, |kind, _body| TABLES_CHAINS_RULES.contains(&(kind & 0xff)))
}

/// Whether any of a datagram's messages is `wanted`, by its type and what is behind its header. A
/// transaction of nf_tables is told in datagrams of many. What cannot be read may be anything.
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
    fn links_and_default_routes_are_news_and_other_routes_are_not() {
        let route = |prefix_len| message(24, &[2, prefix_len, 0, 0]);
        assert!(is_of_links(&message(16, &[0; 16])));
        assert!(is_of_links(&message(25, &[10, 0, 0, 0])), "a default route of IPv6 that goes");
        assert!(!is_of_links(&route(24)));
        assert!(is_of_links(&[route(24), route(0)].concat()));
        assert!(!is_of_links(&message(20, &[2, 0, 0, 0])), "an address");
    }

    #[test]
    fn tables_chains_and_rules_are_news_wherever_they_stand_in_a_transaction() {
        let of = |kind: u16| message(10 << 8 | kind, &[1, 0, 0, 0]);
        for kind in [0, 2, 3, 5, 6, 8] {
            assert!(is_of_tables(&of(kind)), "{kind}");
        }
        // NFT_MSG_NEWSETELEM and NFT_MSG_NEWGEN, which each transaction ends with.
        assert!(!is_of_tables(&[of(12), of(15)].concat()));
        assert!(is_of_tables(&[of(12), of(2), of(15)].concat()));
    }

    #[test]
    fn what_cannot_be_read_is_news() {
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
