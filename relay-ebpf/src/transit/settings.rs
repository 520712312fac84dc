//! Constants of the program, set when it is loaded. The verifier knows their values.

use core::ptr::read_volatile;

#[unsafe(no_mangle)]
static OWN_INTERFACE: u32 = 0;
#[unsafe(no_mangle)]
static TRANSIT_HIGH: u64 = 0;

/// Index of the relay's WireGuard interface.
#[inline(always)]
pub fn own_interface() -> u32 {
    read(&OWN_INTERFACE)
}

/// Upper half of the addresses of relays on transit interfaces, host order.
#[inline(always)]
pub fn transit_high() -> u64 {
    read(&TRANSIT_HIGH)
}

#[inline(always)]
fn read<T: Copy>(setting: &'static T) -> T {
    // SAFETY: the static is initialised, and no program writes it. The volatile read keeps the
    // compiler from using the zero above.
    unsafe { read_volatile(setting) }
}
