use std::net::IpAddr;

use ipnet::IpNet;

/// Choices that an input makes, byte by byte. Once it is at its end, it chooses the first of everything.
pub(crate) struct Choices<'i>(&'i [u8]);

/// First addresses of networks: the overlay, a network behind peers, and the Internet.
const BASES_V4: [u32; 3] = [0x0a03_0200, 0xc0a8_0000, 0x0808_0800];
const BASES_V6: [u128; 3] = [(0xfd00 << 112) + 0x3_0002_0000, 0xfd01 << 112, 0x2001_0db8 << 96];

impl<'i> Choices<'i> {
    pub(crate) const fn of(input: &'i [u8]) -> Self {
        Self(input)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Below a limit, which is not 0 and at most 256.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// Once in as many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// The next bytes, as many as the byte in front of them says and there are.
    pub(crate) fn bytes(&mut self) -> &'i [u8] {
        let len = usize::from(self.word());
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn rest(&mut self) -> &'i [u8] {
        std::mem::take(&mut self.0)
    }

    /// Mostly in the overlay or behind a peer.
    pub(crate) fn address(&mut self) -> IpAddr {
        let is_v4 = self.below(2) == 0;
        let base = self.below(8);
        let host = self.word();
        match (is_v4, base) {
            (true, 7) => {
                let [high, low] = host.to_be_bytes();
                IpAddr::from([high, low, self.byte(), self.byte()])
            }
            (true, base) => IpAddr::V4((BASES_V4[base % 3] + u32::from(host % 512)).into()),
            (false, 7) => IpAddr::V6((u128::from(self.word()) << 112 | u128::from(host)).into()),
            (false, base) => IpAddr::V6((BASES_V6[base % 3] + u128::from(host % 512)).into()),
        }
    }

    /// A network around such an address.
    pub(crate) fn prefix(&mut self) -> IpNet {
        let address = self.address();
        let most: u8 = if address.is_ipv4() { 32 } else { 128 };
        let len = match self.byte() {
            0 => 0,
            byte => most - byte % 13,
        };
        IpNet::new(address, len).expect("no longer than an address").trunc()
    }
}
