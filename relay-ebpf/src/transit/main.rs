//! The program on the interfaces of the tunnels to other relays: `relay_transit` passes up what is for
//! the relay itself, and hands everything else to `relay_ingress`, as if it had come by the relay's own
//! WireGuard interface. So one program decides about a packet, wherever it comes from.
//!
//! These interfaces have no link-layer header: the IP header is at offset 0. Kernel 6.1 or newer.
#![no_std]
#![no_main]

mod maps;
mod packet;
mod settings;

use aya_ebpf::{
    bindings::{BPF_F_INGRESS, TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::generated::bpf_redirect,
    macros::classifier,
    programs::TcContext,
};
use relay_common::{
    mesh::{arrived_on, is_for_relay},
    names::PASSED,
};

use crate::packet::Packet;

/// Decides about a packet from another relay.
#[classifier]
pub fn relay_transit(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    let transit_high = settings::transit_high();
    if packet.may_be_from(transit_high) && is_for_relay(&packet, transit_high) {
        // Read here, so that the program holds a reference to the map, by which the loader finds what
        // it was loaded with.
        if maps::identity().is_none() {
            return TC_ACT_SHOT;
        }
        ctx.set_mark(packet.mark() | PASSED);
        return TC_ACT_UNSPEC;
    }
    let own_interface = settings::own_interface();
    let Some(mark) = arrived_on(packet.interface()) else { return TC_ACT_SHOT };
    // Redirected to its own ingress it would loop in the kernel without end.
    if packet.interface() == own_interface {
        return TC_ACT_SHOT;
    }
    ctx.set_mark(mark);
    // SAFETY: bpf_redirect takes two numbers and no memory of the program.
    unsafe { bpf_redirect(own_interface, BPF_F_INGRESS.into()) as i32 }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
