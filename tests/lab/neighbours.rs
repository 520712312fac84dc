//! Other things on the relay's host: BPF programs, published ports, VRFs.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{
    LinkOrder, TcAttachType,
    tc::{NlOptions, TcAttachOptions, TcHandle},
};
use relay_bench::measure::program::{self, Program};
use relay_tests::{
    Family, Lab, Namespace, Site, deadline, scenario, schema, skip,
    traffic::{Echo, Udp},
};

use crate::siege::Siege;

const PUBLISHED: u16 = 8080;
const INSIDE: u16 = 80;
/// The published service, as behind Docker's bridge.
const SERVICE: [&str; 2] = ["172.17.0.2", "fd17::2"];
const DATAGRAMS: u64 = 5;

#[test]
fn programs_of_others_behind_ours_see_what_passes_and_nothing_else() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        lab.widen(a)?;
        let on_tcx = lab.relay().stats()?.attached == "tcx";
        let relay = lab.relay_address(Family::V4)?;
        for side in [TcAttachType::Ingress, TcAttachType::Egress] {
            let mut sink = Program::sink().classifier()?;
            let behind = match on_tcx {
                true => TcAttachOptions::TcxOrder(LinkOrder::last()),
                false => TcAttachOptions::Netlink(NlOptions {
                    priority: 9,
                    handle: TcHandle::new(0, 1),
                    classid: None,
                }),
            };
            let host = lab.relay().namespace();
            let link = host.enter(|| {
                program::only(&mut sink)?
                    .attach_with_options("relay0", side, behind)
                    .context("attach")
            })??;
            let seen = |before: u64| {
                deadline::until("a packet at a program behind ours", || {
                    let now = program::count(&sink)?;
                    Ok((now > before).then_some(now))
                })
                .with_context(|| format!("{side:?}"))
            };
            let mut relayed = Echo::between(a, b, Family::V4)?;
            relayed.send(1)?;
            let before = match side {
                // A relayed packet is redirected on ingress, before the program behind ours.
                TcAttachType::Ingress => {
                    ensure!(relayed.answers(1, deadline::PATIENCE)? == 1, "{side:?}: no answer");
                    ensure!(program::count(&sink)? == 0, "{side:?}: it saw relayed packets");
                    0
                }
                TcAttachType::Egress | TcAttachType::Custom(_) => seen(0)?,
            };
            let mut to_relay = Echo::open(a.namespace(), a.address(Family::V4), relay)?;
            to_relay.send(1)?;
            seen(before)?;
            for echo in [&mut relayed, &mut to_relay] {
                let answers = echo.answers(1, Duration::ZERO)?;
                ensure!(answers == 0, "{side:?}: {answers} got past its verdict");
            }
            // A filter of clsact is only found in the interface's namespace.
            host.enter(|| program::only(&mut sink)?.detach(link).context("detach"))??;
        }
        let mut echo = Echo::open(a.namespace(), a.address(Family::V4), relay)?;
        echo.send(1)?;
        ensure!(echo.answers(1, deadline::PATIENCE)? == 1, "they are gone");
        lab.relay().require_sound()
    });
}

#[test]
fn programs_of_others_in_front_of_ours_open_nothing() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let host = siege.lab.relay().namespace();
        let on_tcx = siege.on_tcx()?;
        for (what, other) in [("drops all", Program::sink()), ("passes all", Program::pass())] {
            let mut other = other.classifier()?;
            let in_front = match on_tcx {
                true => TcAttachOptions::TcxOrder(LinkOrder::first()),
                // The latest filter of a priority is the first.
                false => TcAttachOptions::Netlink(NlOptions {
                    priority: 1,
                    handle: TcHandle::new(0, 2),
                    classid: None,
                }),
            };
            let link = host.enter(|| {
                program::only(&mut other)?
                    .attach_with_options("relay0", TcAttachType::Ingress, in_front)
                    .context("attach")
            })??;
            siege.holds().context(what)?;
            let status = siege.lab.relay().relay(&["status"])?.success("status")?;
            ensure!(status.contains("programs of others ahead"), "{what}: {status}");
            host.enter(|| program::only(&mut other)?.detach(link).context("detach"))??;
            siege.is_sound().context(what)?;
        }
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn published_ports_answer_peers_and_start_no_flows() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [a, _] = site.first()?;
        site.allow(&a, &["10.3.2.1".parse()?, "fd00::3:2:1".parse()?])?;
        let relay = site.relay_mut()?;
        relay.insert("host_access".to_owned(), vec![format!("udp/{PUBLISHED}")].into());
        let lab = Lab::start(site)?;
        let peer = lab.peer(&a)?;
        lab.widen(peer)?;
        let service = publish(&lab)?;
        for (family, address) in Family::ALL.into_iter().zip(SERVICE) {
            let address: IpAddr = address.parse()?;
            let inside = SocketAddr::new(address, INSIDE);
            let listener = service.enter(|| UdpSocket::bind(inside))??;
            listener.set_read_timeout(Some(deadline::PATIENCE))?;
            let from = peer.any_port(family);
            let asking = peer.namespace().enter(|| UdpSocket::bind(from))??;
            asking.set_read_timeout(Some(deadline::PATIENCE))?;
            let published = SocketAddr::new(lab.relay_address(family)?, PUBLISHED);
            asking.send_to(b"question", published)?;
            let mut buffer = [0; 16];
            let (_, asker) = listener.recv_from(&mut buffer).context("the question")?;
            listener.send_to(b"answer", asker)?;
            let (len, answered) = asking.recv_from(&mut buffer).context("the answer")?;
            ensure!(&buffer[..len] == b"answer" && answered == published, "{answered}");

            // Flows that the service starts are dropped and counted.
            let before = to_peers(&lab)?;
            let target = peer.address(family);
            Udp::blind(&service, address, SocketAddr::new(target, 9))?.send(DATAGRAMS, 100)?;
            deadline::until("dropped packets", || {
                Ok((to_peers(&lab)? >= before + DATAGRAMS).then_some(()))
            })?;
        }
        lab.relay().require_sound()
    });
}

#[test]
fn the_fence_holds_in_a_vrf() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let host = siege.lab.relay().namespace();
        host.ip_batch(
            "link add vrf0 type vrf table 100\nlink set vrf0 up\nlink set relay0 master vrf0\n",
        )?;
        // The kernel takes the interface down and up, which removes its IPv6 addresses.
        siege.lab.relay().up()?;
        siege.flows().context("in the VRF")?;
        siege.holds()?;
        if siege.on_tcx()? {
            for side in ["ingress", "egress"] {
                let link = siege.lab.relay().bpffs().join("relay/relay0");
                let version = std::fs::read_dir(link)?.next().context("a version")??;
                std::fs::remove_file(version.path().join(format!("{side}_link")))?;
            }
        } else {
            host.run("tc", &["qdisc", "del", "dev", "relay0", "clsact"])?;
        }
        siege.is_fenced().context("without programs")?;
        // Without the fence, the host forwards in the VRF.
        host.run("nft", &["delete", "table", "inet", "relay_relay0"])?;
        siege.flows().context("the host forwards")?;
        Ok(())
    });
}

/// A namespace with the service, and the rule that publishes it, as in Docker.
fn publish(lab: &Lab) -> Result<Namespace> {
    let service = Namespace::create("service")?;
    let host = lab.relay().namespace();
    host.forward()?;
    let arguments = ["link", "add", "bridge0", "type", "veth", "peer", "name", "eth0", "netns"];
    host.run("ip", &[&arguments[..], &[service.name()]].concat())?;
    let [v4, v6] = SERVICE;
    service.ip_batch(&format!(
        "link set eth0 up\naddress add {v4}/16 dev eth0\naddress add {v6}/64 dev eth0 nodad\n"
    ))?;
    host.ip_batch(
        "link set bridge0 up\naddress add 172.17.0.1/16 dev bridge0\n\
         address add fd17::1/64 dev bridge0 nodad\n",
    )?;
    service.ip_batch("route add default via 172.17.0.1\nroute add default via fd17::1\n")?;
    host.feed(
        "nft",
        &["-f", "-"],
        &format!(
            "table inet published {{
                chain into {{
                    type nat hook prerouting priority dstnat;
                    meta nfproto ipv4 udp dport {PUBLISHED} dnat ip to {v4}:{INSIDE}
                    meta nfproto ipv6 udp dport {PUBLISHED} dnat ip6 to [{v6}]:{INSIDE}
                }}
                chain out {{
                    type nat hook postrouting priority srcnat;
                    ip saddr 172.17.0.0/16 oifname != \"bridge0\" masquerade
                    ip6 saddr fd17::/64 oifname != \"bridge0\" masquerade
                }}
            }}\n"
        ),
    )?;
    // Neighbour discovery could lose the first datagram.
    for target in [v4, v6] {
        deadline::until("the service's host", || {
            let ping = ["-c", "1", "-W", "1", target];
            let output = host.output(Command::new("ping").args(ping))?;
            Ok(output.status.success().then_some(()))
        })?;
    }
    // Includes the host's new addresses in the policy.
    lab.relay().up()?;
    Ok(service)
}

fn to_peers(lab: &Lab) -> Result<u64> {
    let text = lab.relay().relay(&["stats", "--json"])?.success("relay stats")?;
    schema::parse("stats", &text)?["fenceDropped"]["to_peers"].as_u64().context("a count")
}
