//! Where messages come from: an address and a port, and what is known of it.

use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_boot_ns};
use relay_common::guard::{Attempt, Flow, FlowKey, Limit, OWN, Suspicion, WRONG, is_confirmed};

use crate::{bucket::Place, maps, network::Datagram, settings};

/// Where a message comes from.
pub struct Source {
    /// As the limit has it.
    pub key: u64,
    /// Address and port.
    pub flow: FlowKey,
}

impl Source {
    /// The sender of a datagram.
    #[inline(always)]
    pub fn new(datagram: &Datagram, port: u16) -> Self {
        Self { key: datagram.source, flow: FlowKey::new(datagram.address, port) }
    }

    /// Data came that tells of its flow.
    #[inline(always)]
    pub fn sent_data(&self) {
        let now = now();
        if let Some(attempt) = maps::attempt(&self.flow) {
            // SAFETY: a map value; at worst another flow has taken its place, whose attempts are
            // then taken for answered.
            unsafe { (&raw mut (*attempt).data_ns).write(now) };
            if maps::flow(&self.flow).is_none()
                && takes(&settings::confirmed(), maps::confirmations(), now)
            {
                maps::add_flow(&self.flow, &Flow { data_ns: now, full_at: 0 });
            }
        }
        let Some(flow) = maps::flow(&self.flow) else { return };
        maps::forget_attempts(&self.flow);
        // SAFETY: a map value; at worst another flow has taken its place, which is confirmed as
        // well.
        unsafe { (&raw mut (*flow).data_ns).write(now) };
        if let Some(suspicion) = self.suspicion() {
            // SAFETY: a map value, of a table that keeps its places.
            unsafe { (&raw mut (*suspicion).data_ns).write(now) };
        }
    }

    /// An initiation was let through.
    #[inline(always)]
    pub fn was_let_through(&self, now: u64) {
        match maps::attempt(&self.flow) {
            // SAFETY: a map value; at worst another flow has taken its place, which then has an
            // attempt more.
            Some(known) => unsafe { known.write((*known).again(now)) },
            None => maps::add_attempt(&self.flow, &Attempt::default().again(now)),
        }
    }

    /// Whether its MAC1s are looked at.
    #[inline(always)]
    pub fn is_looked_at(&self, now: u64) -> bool {
        // SAFETY: a map value.
        self.suspicion().is_none_or(|held| unsafe { *held }.looks(now, random))
    }

    /// A MAC1 was wrong.
    #[inline(always)]
    pub fn was_wrong(&self, now: u64) {
        // SAFETY: a word of a map value.
        let place =
            self.suspicion().map(|held| Place::new(unsafe { &raw mut (*held).wrong_full_at }));
        takes(&WRONG, place, now);
    }

    /// Takes from its own bucket, if data came from it lately.
    #[inline(always)]
    pub fn takes_own(&self, now: u64) -> bool {
        let Some(flow) = maps::flow(&self.flow) else { return false };
        // SAFETY: a map value; another flow may have taken its place, which then has a token less.
        let (data_ns, bucket) = unsafe { ((*flow).data_ns, Place::new(&raw mut (*flow).full_at)) };
        is_confirmed(data_ns, now) && OWN.take(&bucket, now)
    }

    /// Whether data came from it lately.
    #[inline(always)]
    pub fn is_confirmed(&self, now: u64) -> bool {
        // SAFETY: a map value.
        maps::flow(&self.flow).is_some_and(|flow| is_confirmed(unsafe { (*flow).data_ns }, now))
    }

    #[inline(always)]
    fn suspicion(&self) -> Option<*mut Suspicion> {
        maps::suspicion(Suspicion::place(&self.flow, settings::seed()))
    }
}

/// Takes from a bucket; nothing where there is none.
#[inline(always)]
pub fn takes(limit: &Limit, bucket: Option<Place>, now: u64) -> bool {
    bucket.is_some_and(|bucket| limit.take(&bucket, now))
}

/// Nanoseconds of the boot clock.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing, touches nothing.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// A random number.
#[inline(always)]
pub fn random() -> u32 {
    // SAFETY: as above.
    unsafe { bpf_get_prandom_u32() }
}
