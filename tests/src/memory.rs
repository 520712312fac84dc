//! Memory, as /proc says it.

use std::fs;

use anyhow::{Context as _, Result};

/// What the kernel has allocated for itself and cannot give back, KiB: of packets, sockets and maps.
pub fn slab() -> Result<u64> {
    field("/proc/meminfo", "SUnreclaim")
}

/// A field of a file such as `/proc/meminfo`, in the unit that it has there: mostly KiB.
pub fn field(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("read {file}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = value.and_then(|value| value.split_whitespace().next());
    Ok(value.with_context(|| format!("{name} in {file}"))?.parse()?)
}
