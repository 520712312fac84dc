//! The side that may only answer.

use relay_common::{Reason, flow::tcp};
use relay_tests::inner::Inner;

use super::{back, connect, drops, families, one_way_programs, passes};

const FLAGS: [u8; 6] = [
    tcp::SYN,
    tcp::ACK,
    tcp::RST,
    tcp::FIN | tcp::ACK,
    tcp::SYN | tcp::ACK,
    tcp::SYN | tcp::FIN | tcp::RST,
];

#[test]
fn outside_its_flow_no_flag_and_no_port_passes() {
    let Some(mut programs) = one_way_programs("rules::answers_outside") else { return };
    for ends in families() {
        let there = back(ends);
        for flags in FLAGS {
            drops(&mut programs, &Inner::segment(there, [22, 40_000], flags), 2, Reason::NoRule);
        }
        connect(&mut programs, ends, 40_000);
        passes(&mut programs, &Inner::datagram(ends, [40_000, 53], 8), 1, 2);
        for flags in FLAGS {
            for ports in [[23, 40_000], [22, 40_001], [22, 39_999], [40_000, 22], [0, 0]] {
                drops(&mut programs, &Inner::segment(there, ports, flags), 2, Reason::NoRule);
            }
        }
        for ports in [[54, 40_000], [53, 40_001], [22, 40_000], [40_000, 53]] {
            drops(&mut programs, &Inner::datagram(there, ports, 8), 2, Reason::NoRule);
        }
        // A flow of another peer answers nobody else.
        let to_third = super::ends_of(3, ends[0].is_ipv4());
        let inner = Inner::segment(back(to_third), [22, 40_000], tcp::ACK);
        drops(&mut programs, &inner, 2, Reason::NoRule);
    }
}

#[test]
fn a_syn_never_passes_in_its_flow() {
    let Some(mut programs) = one_way_programs("rules::answers_syn") else { return };
    for ends in families() {
        connect(&mut programs, ends, 40_000);
        for flags in [tcp::SYN, tcp::SYN | tcp::FIN, tcp::SYN | tcp::RST, tcp::SYN | 0xe8] {
            let syn = Inner::segment(back(ends), [22, 40_000], flags);
            drops(&mut programs, &syn, 2, Reason::NoRule);
        }
        passes(&mut programs, &Inner::segment(back(ends), [22, 40_000], tcp::ACK), 2, 1);
    }
}

#[test]
fn its_rst_and_fin_end_no_flow_that_goes_on() {
    let Some(mut programs) = one_way_programs("rules::answers_close") else { return };
    for ends in families() {
        for (port, flags) in [(40_000, tcp::RST), (40_001, tcp::RST | tcp::ACK), (40_002, 17)] {
            connect(&mut programs, ends, port);
            passes(&mut programs, &Inner::segment(back(ends), [22, port], flags), 2, 1);
            passes(&mut programs, &Inner::segment(ends, [port, 22], tcp::ACK), 1, 2);
            passes(&mut programs, &Inner::segment(back(ends), [22, port], tcp::ACK), 2, 1);
        }
    }
    let flows = programs.loaded().flows().expect("the table");
    assert_eq!(flows.len(), 6);
    for flow in flows {
        assert_eq!(flow.state.label(), "open", "{flow:?}");
        assert!(flow.expires_in.as_secs() > 400_000, "{flow:?}");
    }
}

#[test]
fn an_echo_reply_passes_with_the_identifier_of_a_request() {
    let Some(mut programs) = one_way_programs("rules::answers_echo") else { return };
    for ends in families() {
        let reply = Inner::echo(back(ends), false, 7);
        drops(&mut programs, &reply, 2, Reason::NoRule);
        passes(&mut programs, &Inner::echo(ends, true, 7), 1, 2);
        passes(&mut programs, &reply, 2, 1);
        drops(&mut programs, &Inner::echo(back(ends), false, 8), 2, Reason::NoRule);
        drops(&mut programs, &Inner::echo(back(ends), true, 7), 2, Reason::NoRule);
        drops(&mut programs, &Inner::echo(ends, false, 7), 1, Reason::NoRule);
    }
}
