//! Reads of values from a packet.

pub use bytemuck::Pod;

/// Bytes of a packet, counted from its IP header.
pub trait Bytes {
    /// The value at an offset, in memory order; `None` if the packet is shorter.
    fn read<T: Pod>(&self, at: u32) -> Option<T>;
}

impl Bytes for [u8] {
    fn read<T: Pod>(&self, at: u32) -> Option<T> {
        let at = at as usize;
        self.get(at..at + size_of::<T>()).map(bytemuck::pod_read_unaligned)
    }
}
