//! Senders: an address and a port, and what the guard knows about them.

use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_boot_ns};
use relay_common::{
    bucket::Bucket,
    guard::{Attempt, Flow, FlowKey, OWN, Suspicion, WRONG, is_confirmed},
};

use crate::{maps, network::Datagram, settings, word::MapWord};

/// The sender of a message.
pub struct Source {
    /// Key of its bucket in the table of sources.
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

    /// Records data that updates its flow.
    #[inline(always)]
    pub fn sent_data(&self) {
        let now = now();
        if let Some(attempt) = maps::attempt(&self.flow) {
            // SAFETY: a map value; at worst another flow has taken its place, whose attempts then count
            // as answered.
            unsafe { (&raw mut (*attempt).data_ns).write(now) };
            if maps::flow(&self.flow).is_none()
                && takes(&settings::confirmed(), maps::confirmations(), now)
            {
                maps::add_flow(&self.flow, &Flow { data_ns: now, full_at: 0 });
            }
        }
        let Some(flow) = maps::flow(&self.flow) else { return };
        maps::forget_attempts(&self.flow);
        // SAFETY: a map value; at worst another confirmed flow has taken its place.
        unsafe { (&raw mut (*flow).data_ns).write(now) };
        if let Some(suspicion) = self.suspicion() {
            // SAFETY: a value of an array.
            unsafe { (&raw mut (*suspicion).data_ns).write(now) };
        }
    }

    /// Records an initiation that passed.
    #[inline(always)]
    pub fn passed(&self, now: u64) {
        match maps::attempt(&self.flow) {
            // SAFETY: a map value; at worst another flow has taken its place, which then counts one more
            // attempt.
            Some(known) => unsafe { known.write((*known).again(now)) },
            None => maps::add_attempt(&self.flow, &Attempt::default().again(now)),
        }
    }

    /// Whether its MAC1 is checked.
    #[inline(always)]
    pub fn is_checked(&self, now: u64) -> bool {
        // SAFETY: a map value.
        self.suspicion().is_none_or(|held| unsafe { *held }.checks(now, random))
    }

    /// Records an invalid MAC1.
    #[inline(always)]
    pub fn forged(&self, now: u64) {
        // SAFETY: a word of a map value.
        let word =
            self.suspicion().map(|held| MapWord::new(unsafe { &raw mut (*held).wrong_full_at }));
        takes(&WRONG, word, now);
    }

    /// Takes a token from its own bucket, if it is confirmed.
    #[inline(always)]
    pub fn takes_own(&self, now: u64) -> bool {
        let Some(flow) = maps::flow(&self.flow) else { return false };
        // SAFETY: a map value; at worst another flow has taken its place, which then loses a token.
        let (data_ns, word) = unsafe { ((*flow).data_ns, MapWord::new(&raw mut (*flow).full_at)) };
        is_confirmed(data_ns, now) && OWN.take(&word, now)
    }

    /// Whether it is confirmed.
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

/// Takes a token from a bucket; `false` if its state is not there.
#[inline(always)]
pub fn takes(bucket: &Bucket, word: Option<MapWord>, now: u64) -> bool {
    word.is_some_and(|word| bucket.take(&word, now))
}

/// Nanoseconds of the boot clock.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// A random number.
#[inline(always)]
pub fn random() -> u32 {
    // SAFETY: as above.
    unsafe { bpf_get_prandom_u32() }
}
