//! A plain reading of the guard's rules.

use relay_common::guard::Outcome;

use super::{GuardRun, PORT, key, message};

/// What the rules say of a frame, and what the program makes of it, without limits.
pub fn compared(guard: &mut GuardRun, frame: &[u8]) -> (Option<Outcome>, Option<Outcome>) {
    let expected = expected(frame);
    let (passed, found) = guard.run(frame);
    assert_eq!(passed, !found.is_some_and(Outcome::drops), "{frame:02x?}");
    let found = match found {
        Some(Outcome::InitiationOfFlow) => Some(Outcome::Initiation),
        Some(Outcome::CookieReplyLimited) => Some(Outcome::CookieReply),
        // By chance, after many wrong ones from one address and port.
        Some(Outcome::Unverified) if expected == Some(Outcome::BadMac1) => expected,
        found => found,
    };
    (expected, found)
}

/// The expected outcome of a frame without limits and without earlier data of its flow.
fn expected(frame: &[u8]) -> Option<Outcome> {
    let (ip, is_v4) = match behind_tags(frame) {
        Ok(ip) => ip,
        Err(outcome) => return outcome,
    };
    let carried = if is_v4 { behind_v4(ip) } else { behind_v6(ip, frame.len() - ip.len()) };
    let (udp, room, is_first_fragment) = match carried {
        Ok(carried) => carried,
        Err(outcome) => return outcome,
    };
    if room < 8 {
        return is_first_fragment.then_some(Outcome::Fragmented);
    }
    let header = udp.get(..8)?;
    if number(&header[2..4]) != usize::from(PORT) {
        return None;
    }
    let kind = udp.get(8..12).filter(|_| room >= 12);
    let kind = kind.map(|bytes| (bytes[0], bytes[1..] == [0, 0, 0]));
    if is_first_fragment {
        return (kind != Some((4, true))).then_some(Outcome::Fragmented);
    }
    if kind == Some((4, true)) {
        let is_data = (8 + 32..=udp.len()).contains(&room);
        return Some(if is_data { Outcome::Data } else { Outcome::Malformed });
    }
    let len = number(&header[4..6]);
    if len < 8 || len > room || len > udp.len() {
        return Some(Outcome::Malformed);
    }
    let payload = &udp[8..len];
    Some(match (kind, payload.len()) {
        (Some((3, true)), 64) => Outcome::CookieReply,
        (Some((2, true)), 92) if is_signed(payload) => Outcome::Response,
        (Some((1, true)), 148) if is_signed(payload) => {
            let has_mac2 = payload[132..].iter().any(|&byte| byte != 0);
            if has_mac2 { Outcome::InitiationWithMac2 } else { Outcome::Initiation }
        }
        (Some((1, true)), 148) | (Some((2, true)), 92) => Outcome::BadMac1,
        _ => Outcome::Malformed,
    })
}

fn is_signed(payload: &[u8]) -> bool {
    let macs = payload.len() - 32;
    message::signed(&key(), payload.to_vec())[macs..macs + 16] == payload[macs..macs + 16]
}

/// The IP packet with all that follows, and whether it is IPv4; otherwise the outcome of the frame.
fn behind_tags(frame: &[u8]) -> Result<(&[u8], bool), Option<Outcome>> {
    let mut at = 12;
    for tags in 0.. {
        match number(frame.get(at..at + 2).ok_or(None)?) {
            0x8100 | 0x88a8 if tags < 4 => at += 4,
            0x8100 | 0x88a8 => return Err(Some(Outcome::Hidden)),
            0x0800 => return Ok((&frame[at + 2..], true)),
            0x86dd => return Ok((&frame[at + 2..], false)),
            _ => return Err(None),
        }
    }
    Err(None)
}

/// The payload of IP with all that follows; its length; whether it is a first fragment.
type Carried<'a> = (&'a [u8], usize, bool);

fn behind_v4(ip: &[u8]) -> Result<Carried<'_>, Option<Outcome>> {
    let header = ip.get(..20).ok_or(None)?;
    let len = usize::from(header[0] & 15) * 4;
    let fragment = number(&header[6..8]);
    if header[0] >> 4 != 4 || len < 20 || header[9] != 17 || fragment & 0x1fff != 0 {
        return Err(None);
    }
    let room = number(&header[2..4]).checked_sub(len).ok_or(None)?;
    Ok((ip.get(len..).unwrap_or_default(), room, fragment & 0x2000 != 0))
}

/// The stack follows any number of headers. The guard gives up at the ninth, and after 800 bytes of
/// the frame, of which `in_front` precede IP.
fn behind_v6(ip: &[u8], in_front: usize) -> Result<Carried<'_>, Option<Outcome>> {
    let header = ip.get(..40).ok_or(None)?;
    if header[0] >> 4 != 6 {
        return Err(None);
    }
    let (mut next, mut at, mut is_first_fragment) = (header[6], 40, false);
    let end = match number(&header[4..6]) {
        0 if next == 0 => ip.len(),
        len => 40 + len,
    };
    for count in 0.. {
        let is_extension = [0, 43, 44, 51, 60].contains(&next);
        if next == 17 {
            let udp = ip.get(at..).unwrap_or_default();
            return Ok((udp, end.saturating_sub(at), is_first_fragment));
        }
        if !is_extension {
            return Err(None);
        }
        if count == 8 {
            return Err(Some(Outcome::Hidden));
        }
        let first = ip.get(at..at + 4).ok_or(None)?;
        let len = usize::from(first[1]);
        at += match next {
            44 => 8,
            51 => (len + 2) * 4,
            _ => (len + 1) * 8,
        };
        if next == 44 {
            let field = number(&first[2..4]);
            if field & 0xfff8 != 0 {
                return Err(None);
            }
            is_first_fragment |= field & 1 != 0;
        }
        if in_front + at > 800 {
            return Err(Some(Outcome::Hidden));
        }
        next = first[0];
    }
    Err(None)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}
