//! Limits of one peer, as the programs read them: how fast its traffic may be, and how much.

use bytemuck::{Pod, Zeroable};

use crate::period::Period;

/// Unit of time of buckets: 2^-4 nanoseconds of the boot clock. A time of 64 bits lasts 36 years.
pub const TIME_BITS: u32 = 4;

/// What comes out of the bucket at once, at least: the largest aggregate, bytes.
pub const LEAST_DEPTH: u64 = 1 << 16;

/// What comes out of the bucket at once, unless that is less: the bytes of this time, milliseconds.
/// While a TCP connection waits for its retransmission timer, 200 ms at least, the bucket fills up.
pub const DEPTH_MS: u64 = 250;

/// The lowest rate, bits a second.
pub const LOWEST_RATE: u64 = 8_000;
/// The highest rate, bits a second.
pub const HIGHEST_RATE: u64 = 1_000_000_000_000;

/// A quota of none.
pub const UNLIMITED: u64 = u64::MAX;

/// A rate as a bucket of bytes.
///
/// The state of the bucket is one number, as in [`crate::bucket`]: the time at which it is full
/// again. A packet passes while the bucket is not empty, and then takes all its bytes; so an
/// aggregate may leave a debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Rate {
    /// Time in which one byte comes back, 2^-[`PRICE_BITS`] of the unit; 0 for no limit.
    price: u64,
    /// How far from full the bucket may be and still let a packet pass.
    tolerance: u64,
}

/// Limits of one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Limits {
    /// Of what comes from the peer.
    pub from: Rate,
    /// Of what goes to it.
    pub to: Rate,
    /// Most bytes from it in a period; [`UNLIMITED`] for no limit.
    pub quota_from: u64,
    /// The same for bytes to it.
    pub quota_to: u64,
    /// All bits set if both directions count together, else 0.
    pub together: u64,
    /// [`Period::index`] of both quotas, that of bytes to the peer in the upper half; 0 for none.
    periods: u64,
}

const _: () = assert!(size_of::<Limits>() == 64);

const PRICE_BITS: u32 = 16;

/// How far a bucket may be beyond empty before its state counts as that of a slower rate: what several
/// processors take at once, bytes, and how far their clocks differ, nanoseconds.
const MOST_DEBT: u64 = 1 << 18;
const DISORDER_NS: u64 = 1_000_000_000;

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { price: 0, tolerance: 1 << 62 };

    /// Of bits a second, from [`LOWEST_RATE`] to [`HIGHEST_RATE`].
    #[expect(clippy::cast_possible_truncation, reason = "within these bounds both fit")]
    pub const fn of(bits_per_second: u64) -> Self {
        let second = 1_000_000_000u64 << (TIME_BITS + PRICE_BITS);
        let price = (second as u128 * 8 / bits_per_second as u128) as u64;
        let bytes = bits_per_second / 8 * DEPTH_MS / 1_000;
        let depth = if bytes > LEAST_DEPTH { bytes } else { LEAST_DEPTH };
        Self { price, tolerance: ((price as u128 * depth as u128) >> PRICE_BITS) as u64 }
    }

    /// The time in which that many bytes come back, at most 2^20.
    #[inline(always)]
    pub const fn cost(&self, bytes: u64) -> u64 {
        (bytes * self.price) >> PRICE_BITS
    }

    /// Whether a packet may pass.
    #[inline(always)]
    pub const fn has(&self, full_at: u64, now: u64) -> bool {
        full_at <= now + self.tolerance
    }

    /// The state from which the next packet is charged. One that a slower rate has left behind counts
    /// as just not empty.
    #[inline(always)]
    pub const fn mended(&self, full_at: u64, now: u64) -> u64 {
        let most = self.tolerance + self.cost(MOST_DEBT) + (DISORDER_NS << TIME_BITS);
        if full_at.saturating_sub(now) > most { now + self.tolerance } else { full_at }
    }
}

impl Limits {
    /// None.
    pub const NONE: Self = Self::of_rates(Rate::UNLIMITED, Rate::UNLIMITED);

    /// Rates alone.
    pub const fn of_rates(from: Rate, to: Rate) -> Self {
        Self { from, to, quota_from: UNLIMITED, quota_to: UNLIMITED, together: 0, periods: 0 }
    }

    /// The same with a quota of both directions together.
    pub const fn with_quota(self, bytes: u64, period: Period) -> Self {
        let both = self.with_quota_from(bytes, period).with_quota_to(bytes, period);
        Self { together: u64::MAX, ..both }
    }

    /// The same with a quota of what comes from the peer.
    pub const fn with_quota_from(self, bytes: u64, period: Period) -> Self {
        Self { quota_from: bytes, periods: self.periods | period.index() as u64, ..self }
    }

    /// The same with a quota of what goes to it.
    pub const fn with_quota_to(self, bytes: u64, period: Period) -> Self {
        Self { quota_to: bytes, periods: self.periods | (period.index() as u64) << 32, ..self }
    }

    /// Whether there is a quota.
    #[inline(always)]
    pub const fn has_quota(&self) -> bool {
        self.periods != 0
    }

    /// [`Period::index`] of the quotas of bytes from the peer and to it; 0 for none.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub const fn periods(&self) -> [u32; 2] {
        [self.periods as u32, (self.periods >> 32) as u32]
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::NONE
    }
}
