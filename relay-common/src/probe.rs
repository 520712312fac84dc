//! Probes: packets for which the running program tells its verdict and does nothing else.
//!
//! A run by `BPF_PROG_TEST_RUN` can set `skb->mark`. WireGuard clears the mark of every packet that
//! comes from a peer (wg_reset_packet(), drivers/net/wireguard/queueing.h, 6.12), so no packet
//! of a peer has this one; only root on the host can set it. The program returns its verdict
//! in the mark and drops the packet.

use crate::{Reason, verdict::Verdict};

/// `skb->mark` of a probe.
pub const PROBE: u32 = 0x7265_6c3f;

const RELAY: u32 = 1;
const TO_HOST: u32 = 2;
const TO_STACK: u32 = 3;
const DROPPED: u32 = 0x100;

/// The mark that stands for a verdict.
#[inline(always)]
pub const fn encode(verdict: Result<Verdict, Reason>) -> u32 {
    match verdict {
        Ok(Verdict::Relay | Verdict::ByRule) => RELAY,
        Ok(Verdict::ToHost) => TO_HOST,
        Ok(Verdict::ToStack) => TO_STACK,
        Err(reason) => DROPPED + reason.index(),
    }
}

/// Whether a mark stands for a dropped packet.
#[inline(always)]
pub const fn is_dropped(mark: u32) -> bool {
    mark >= DROPPED
}

/// The verdict that a mark stands for; `None` if it stands for none.
#[inline(always)]
pub fn decode(mark: u32) -> Option<Result<Verdict, Reason>> {
    match mark {
        RELAY => Some(Ok(Verdict::Relay)),
        TO_HOST => Some(Ok(Verdict::ToHost)),
        TO_STACK => Some(Ok(Verdict::ToStack)),
        _ => Reason::from_index(mark.checked_sub(DROPPED)?).map(Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_is_decoded_and_no_other_mark() {
        let verdicts = [Ok(Verdict::Relay), Ok(Verdict::ToHost), Ok(Verdict::ToStack)];
        let reasons = Reason::ALL.iter().map(|&reason| Err(reason));
        for verdict in verdicts.into_iter().chain(reasons) {
            assert_eq!(decode(encode(verdict)), Some(verdict));
            assert_eq!(is_dropped(encode(verdict)), verdict.is_err());
        }
        for mark in [0, 4, 0xff, DROPPED + 0xff, PROBE, u32::MAX] {
            assert_eq!(decode(mark), None, "{mark:#x}");
        }
    }
}
