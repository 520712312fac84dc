use std::path::Path;

/// Where the files and pins of a relay are, and who works on it.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The main configuration file.
    pub config: &'a Path,
    /// The BPF file system.
    pub bpffs: &'a Path,
    /// The directory of what outlives a reboot and decides nothing about packets by itself.
    pub state: &'a Path,
    /// The verb, which other commands read while they wait for its lock.
    pub verb: &'static str,
    /// Prints that another command holds a lock.
    pub notice: Notice,
}

/// Prints a line for whoever waits.
pub type Notice = fn(&str);
