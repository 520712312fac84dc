//! Which version of relay this is to its pins.

use relay_common::names::ABI_VERSION;

/// [`ABI_VERSION`]; of a debug build, what `RELAY_ABI_VERSION` says, for tests of two versions on one
/// host.
pub(in super::super) fn abi_version() -> u32 {
    let other = if cfg!(debug_assertions) { std::env::var("RELAY_ABI_VERSION").ok() } else { None };
    other.and_then(|other| other.parse().ok()).unwrap_or(ABI_VERSION)
}
