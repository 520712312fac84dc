//! The range of addresses in an array.

/// Widest range: 2^20 leaves of 16 bytes.
const MAX_HOST_BITS: u32 = 20;

/// An aligned block of addresses of one family, as 128-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    base: u128,
    host_bits: u32,
}

impl Range {
    /// The smallest aligned block that contains all addresses; if that is too wide, the block of the
    /// widest size that contains the most. Without addresses, address 0.
    pub(super) fn around(addresses: impl IntoIterator<Item = u128>) -> Self {
        let mut addresses: Vec<u128> = addresses.into_iter().collect();
        addresses.sort_unstable();
        let crowded = addresses
            .chunk_by(|a, b| a >> MAX_HOST_BITS == b >> MAX_HOST_BITS)
            .max_by_key(|block| block.len());
        let (Some(&first), Some(&last)) =
            (crowded.and_then(|c| c.first()), crowded.and_then(|c| c.last()))
        else {
            return Self { base: 0, host_bits: 0 };
        };
        let host_bits = u128::BITS - (first ^ last).leading_zeros();
        Self { base: first >> host_bits << host_bits, host_bits }
    }

    /// First address.
    pub const fn base(&self) -> u128 {
        self.base
    }

    /// Number of addresses.
    pub const fn size(&self) -> u32 {
        1 << self.host_bits
    }

    /// Position of an address in the array.
    pub fn index(&self, address: u128) -> Option<usize> {
        (address >> self.host_bits == self.base >> self.host_bits)
            .then(|| usize::try_from(address - self.base).ok())
            .flatten()
    }

    /// Positions of the block at `base` with `size_bits` host bits: first and count.
    pub(super) fn overlap(&self, base: u128, size_bits: u32) -> Option<(usize, usize)> {
        if size_bits >= self.host_bits {
            let covers = size_bits >= u128::BITS || base >> size_bits == self.base >> size_bits;
            return covers.then_some((0, self.size() as usize));
        }
        self.index(base).map(|first| (first, 1 << size_bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_the_smallest_that_is_aligned() {
        let range = Range::around([0x0a03_0203, 0x0a03_0201, 0x0a03_0206]);
        assert_eq!((range.base(), range.size()), (0x0a03_0200, 8));
        assert_eq!(range.index(0x0a03_0207), Some(7));
        assert_eq!(range.index(0x0a03_0208), None);
    }

    #[test]
    fn far_addresses_leave_the_array_to_the_crowd() {
        let range = Range::around([1 << 100, (1 << 40) + 1, (1 << 40) + 2, 7]);
        assert_eq!((range.base(), range.size()), (1 << 40, 4));
    }

    #[test]
    fn nobody_makes_an_array_of_address_zero() {
        let range = Range::around([]);
        assert_eq!((range.index(0), range.index(1), range.size()), (Some(0), None, 1));
    }

    #[test]
    fn overlap_is_cut_at_the_range() {
        let range = Range::around([0x10, 0x1f]);
        assert_eq!(range.overlap(0, 8), Some((0, 16)));
        assert_eq!(range.overlap(0x100, 8), None);
        assert_eq!(range.overlap(0x18, 2), Some((8, 4)));
        assert_eq!(range.overlap(0, 128), Some((0, 16)));
    }
}
