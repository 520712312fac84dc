//! Matches and targets of xtables, which iptables-nft uses where nf_tables has no expression.

use super::matching::Match;

/// NF_CT_STATE_BIT(IP_CT_NEW) of linux/netfilter/nf_conntrack_common.h; the same in xt_conntrack.
pub(super) const STATE_NEW: u32 = 8;

/// Targets of xtables without a verdict.
pub(super) const GOES_ON: [&str; 12] = [
    "LOG", "NFLOG", "MARK", "CONNMARK", "SET", "AUDIT", "TRACE", "CT", "TCPMSS", "DSCP",
    "CLASSIFY", "SECMARK",
];

/// A match of xtables, which iptables-nft uses where nf_tables has no expression. Layouts are in
/// linux/netfilter/xt_tcpudp.h, xt_multiport.h and xt_conntrack.h.
pub(super) fn matches(name: &str, info: &[u8], port: u16) -> Match {
    let short = |at: usize| {
        let bytes = info.get(at..at + 2)?;
        Some(u16::from_ne_bytes(bytes.try_into().ok()?))
    };
    let flag = |at: usize, bit: u16| short(at).is_some_and(|flags| flags & bit != 0);
    match name {
        "comment" => Match::Yes,
        "udp" => match (short(0), short(2), short(4), short(6), info.get(8)) {
            (Some(from), Some(to), Some(first), Some(last), Some(inverted)) => {
                // The source port may be any.
                let is_any = (from, to) == (0, u16::MAX) && inverted & 1 == 0;
                let source = if is_any { Match::Yes } else { Match::Maybe };
                let is_in = (first..=last).contains(&port);
                source.and(Match::of(is_in != (inverted & 2 != 0)))
            }
            _ => Match::Maybe,
        },
        "multiport" => multiport(info, port),
        "conntrack" => match (short(146), short(148), short(150)) {
            // XT_CONNTRACK_STATE alone.
            (Some(1), Some(inverted), Some(states)) => {
                let is_in = u32::from(states) & STATE_NEW != 0;
                Match::of(is_in != (inverted & 1 != 0))
            }
            _ => Match::Maybe,
        },
        "state" => Match::of(flag(0, 8)),
        _ => Match::Maybe,
    }
}

fn multiport(info: &[u8], wanted: u16) -> Match {
    const DESTINATION: u8 = 1;
    let [flags, count, ports @ ..] = info else { return Match::Maybe };
    let (Some(is_first), Some(inverted)) = (ports.get(30..45), ports.get(45)) else {
        return Match::Maybe;
    };
    if *flags != DESTINATION {
        return Match::Maybe;
    }
    let ports: Vec<u16> = ports
        .chunks_exact(2)
        .take(usize::from(*count))
        .map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]))
        .collect();
    let mut is_in = false;
    let mut first = None;
    for (port, begins) in ports.iter().zip(is_first) {
        match (first.take(), begins) {
            (Some(first), _) => is_in |= (first..=*port).contains(&wanted),
            (None, 0) => is_in |= *port == wanted,
            (None, _) => first = Some(*port),
        }
    }
    Match::of(is_in != (*inverted != 0))
}
