//! Asking the running program what it would do with a packet, without anything being done.
//!
//! A run by `BPF_PROG_TEST_RUN` can set `skb->mark`. WireGuard has cleared the mark of every packet
//! that comes from a peer (wg_reset_packet(), drivers/net/wireguard/queueing.h, 6.12), so this one is
//! no packet's, and whoever could set it otherwise rules the host. The answer comes back in the mark,
//! and the packet is dropped.

use crate::{Reason, verdict::Verdict};

/// `skb->mark` of a packet that is a question.
pub const QUESTION: u32 = 0x7265_6c3f;

const RELAY: u32 = 1;
const TO_HOST: u32 = 2;
const TO_STACK: u32 = 3;
const REFUSED: u32 = 0x100;

/// The mark that tells a verdict.
#[inline(always)]
pub const fn encode(verdict: Result<Verdict, Reason>) -> u32 {
    match verdict {
        Ok(Verdict::Relay) => RELAY,
        Ok(Verdict::ToHost) => TO_HOST,
        Ok(Verdict::ToStack) => TO_STACK,
        Err(reason) => REFUSED + reason.index(),
    }
}

/// The verdict that a mark tells; `None` is none.
pub fn decode(mark: u32) -> Option<Result<Verdict, Reason>> {
    match mark {
        RELAY => Some(Ok(Verdict::Relay)),
        TO_HOST => Some(Ok(Verdict::ToHost)),
        TO_STACK => Some(Ok(Verdict::ToStack)),
        _ => {
            let index = mark.checked_sub(REFUSED)?;
            Reason::ALL.iter().find(|reason| reason.index() == index).map(|&reason| Err(reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_understood_and_nothing_else_is_one() {
        let verdicts = [Ok(Verdict::Relay), Ok(Verdict::ToHost), Ok(Verdict::ToStack)];
        let refusals = Reason::ALL.iter().map(|&reason| Err(reason));
        for verdict in verdicts.into_iter().chain(refusals) {
            assert_eq!(decode(encode(verdict)), Some(verdict));
        }
        for mark in [0, 4, 0xff, REFUSED + 0xff, QUESTION, u32::MAX] {
            assert_eq!(decode(mark), None, "{mark:#x}");
        }
    }
}
