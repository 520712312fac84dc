/// Direction of packets, seen from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From peers.
    Ingress,
    /// To peers.
    Egress,
}

/// A BPF filter on a clsact qdisc. Netlink lists filters in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classifier {
    /// Side of the qdisc.
    pub direction: Direction,
    /// Priority; lower ones run first.
    pub priority: u16,
    /// Handle.
    pub handle: u32,
    /// The kernel's id of its program.
    pub program_id: u32,
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before there is a socket buffer.
    Driver,
    /// In the stack, for drivers without XDP.
    Generic,
    /// In the device. The guard never does.
    Hardware,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XdpProgram {
    /// Name of the interface.
    pub interface: String,
    /// Where it runs.
    pub mode: XdpMode,
    /// The kernel's id of it.
    pub program_id: u32,
}

impl Direction {
    /// Spelling in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl XdpMode {
    /// Spelling in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
            Self::Hardware => "hardware",
        }
    }
}
