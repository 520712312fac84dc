//! A peer whose messages briefly come from an overlay address: the relay's answers must not enter the
//! tunnel that they belong to.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Namespace, Site, deadline, relay_host::UNDERLAY, scenario, schema, skip,
};
use serde_json::Value;

const PORT: u16 = 51820;
/// The interface of the roaming peer, in addition to the lab's own peers.
const STRAY: &str = "stray";
/// Its UDP port.
const FROM: &str = "40010";
const UNDERLAY_V6: &str = "2001:db8::1";

const OUTSIDE_V6: &str = "2001:db8::fe";

/// Time limit for the relay to learn the endpoint again: the peer sends every second, and an emulated
/// machine is slow.
const HEARD_AGAIN: Duration = Duration::from_secs(8);
/// Packets that the relay sends without a loop: initiations every five seconds, and pings.
const FEW: u64 = 40;

#[test]
fn the_fence_drops_messages_whose_answers_would_enter_the_tunnel() {
    scenario(skip::LAB, || {
        let lab = wander(|_| Ok(()))?;
        let stray = Stray::new(&lab, lab.internet())?;
        for family in Family::ALL {
            stray.dial(stray.relays_underlay(family)?)?;
            stray.connects()?;
            let before = stray.endpoint()?;
            let dropped = fence_dropped(&lab, "overlay_source")?;
            stray.disguise(family)?;
            deadline::until("dropped messages", || {
                Ok((fence_dropped(&lab, "overlay_source")? >= dropped + 3).then_some(()))
            })?;
            ensure!(stray.endpoint()? == before, "{} is not {before}", stray.endpoint()?);
            ensure!(own_tunnel(&lab)? == 0 && fence_dropped(&lab, "own_tunnel")? == 0);
            stray.show()?;
            stray.is_heard_again()?;
        }
        lab.relay().require_sound()
    });
}

#[test]
fn without_a_fence_the_relays_messages_are_dropped_on_their_way_into_the_tunnel() {
    scenario(skip::LAB, || {
        for guard in [false, true] {
            let lab = wander(|site| {
                site.relay_mut()?.insert("fence".to_owned(), false.into());
                if guard {
                    site.guard_mut()?;
                }
                Ok(())
            })?;
            let stray = Stray::new(&lab, lab.internet())?;
            for family in Family::ALL {
                loop_dies(&lab, &stray, family).with_context(|| format!("guard: {guard}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_relay_reached_through_itself_does_not_answer_into_the_tunnel() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [_, b] = site.first()?;
        site.relay_mut()?.insert("host_access".to_owned(), "all".into());
        let mut lab = Lab::start_with(site, std::slice::from_ref(&b))?;
        lab.widen(lab.peer(&b)?)?;
        for fence in [true, false] {
            lab.site_mut().relay_mut()?.insert("fence".to_owned(), fence.into());
            lab.up()?;
            for family in Family::ALL {
                let stray = Stray::new(&lab, lab.peer(&b)?.namespace())?;
                let before = (own_tunnel(&lab)?, fence_dropped(&lab, "overlay_source")?);
                stray.dial(lab.relay_address(family)?)?;
                deadline::until("initiations through the tunnel", || {
                    let now = match fence {
                        true => fence_dropped(&lab, "overlay_source")? > before.1,
                        false => own_tunnel(&lab)? > before.0,
                    };
                    Ok(now.then_some(()))
                })
                .with_context(|| format!("fence: {fence}, {}", family.name()))?;
                ensure!(stray.handshake()? == 0, "a handshake through the tunnel itself");
            }
        }
        Ok(())
    });
}

/// One round without a fence: the endpoint moves into the overlay unless a guard prevents it, and no
/// packet loops.
fn loop_dies(lab: &Lab, stray: &Stray<'_>, family: Family) -> Result<()> {
    stray.dial(stray.relays_underlay(family)?)?;
    stray.connects()?;
    let (before, moved) = (stray.endpoint()?, own_tunnel(lab)?);
    let sent = transmitted(lab)?;
    stray.disguise(family)?;
    let address = lab.site().addresses(&stray.name)?[usize::from(family == Family::V6)];
    let is_inside = |endpoint: SocketAddr| endpoint.ip() == address;
    let guarded = lab.model()?.guard.is_some();
    if !guarded {
        deadline::until("the endpoint to move", || Ok(is_inside(stray.endpoint()?).then_some(())))?;
        let checked = lab.relay().relay(&["status", "--check"])?;
        ensure!(checked.stderr.contains("inside the overlay"), "{checked:?}");
    }
    // Traffic of the host to the peer, which would loop.
    let target = address.to_string();
    let ping = ["-c", "3", "-i", "0.3", "-W", "1", &target];
    lab.relay().namespace().output(Command::new("ping").args(ping))?;
    if is_inside(stray.endpoint()?) {
        deadline::until("own messages to be dropped", || {
            Ok((own_tunnel(lab)? >= moved + 3).then_some(()))
        })?;
    }
    // The peer stops sending.
    stray.namespace.run("ip", &["link", "set", STRAY, "down"])?;
    let silent = transmitted(lab)?;
    deadline::pass(Duration::from_secs(6));
    let circled = transmitted(lab)? - silent;
    ensure!(circled < FEW && silent - sent < 2 * FEW, "{} then {circled} packets", silent - sent);
    stray.show()?;
    stray.namespace.run("ip", &["link", "set", STRAY, "up"])?;
    deadline::within(HEARD_AGAIN, "an endpoint outside", || {
        Ok((stray.endpoint()? == before).then_some(()))
    })
}

/// A lab with an IPv6 underlay, without its first peer.
fn wander(change: impl FnOnce(&mut Site) -> Result<()>) -> Result<Lab> {
    let mut site = Site::node_to_node()?;
    let [_, b] = site.first()?;
    change(&mut site)?;
    let lab = Lab::build(site)?;
    let host = lab.relay().namespace();
    host.run("ip", &["address", "add", &format!("{UNDERLAY_V6}/64"), "dev", "eth0", "nodad"])?;
    let outside = format!("{OUTSIDE_V6}/64");
    lab.internet().run("ip", &["address", "add", &outside, "dev", "relay", "nodad"])?;
    for name in ["all", "eth0"] {
        host.set_sysctl(&format!("ipv4/conf/{name}/rp_filter"), 0)?;
    }
    lab.relay().up()?;
    lab.connect([lab.peer(&b)?])?;
    Ok(lab)
}

/// The first peer's WireGuard in another namespace, sending every second.
struct Stray<'a> {
    lab: &'a Lab,
    namespace: &'a Namespace,
    name: String,
    key: String,
    relay: String,
}

impl<'a> Stray<'a> {
    fn new(lab: &'a Lab, namespace: &'a Namespace) -> Result<Self> {
        let name = lab.site().names()?.into_iter().next().context("a peer")?;
        let key = lab.site().private_key(&name)?;
        let _gone = namespace.run("ip", &["link", "del", STRAY]);
        namespace.run("ip", &["link", "add", STRAY, "type", "wireguard"])?;
        let arguments = ["set", STRAY, "private-key", "/proc/self/fd/0"];
        namespace.feed("wg", &arguments, &key.to_base64())?;
        namespace.run("wg", &["set", STRAY, "listen-port", FROM])?;
        namespace.run("ip", &["link", "set", STRAY, "up"])?;
        let relay = lab.relay().namespace().run("wg", &["show", "relay0", "public-key"])?;
        Ok(Self {
            lab,
            namespace,
            name,
            key: key.public_key().to_string(),
            relay: relay.trim().to_owned(),
        })
    }

    fn relays_underlay(&self, family: Family) -> Result<IpAddr> {
        Ok(match family {
            Family::V4 => UNDERLAY.parse()?,
            Family::V6 => UNDERLAY_V6.parse()?,
        })
    }

    /// Reconnects to the relay at this address.
    fn dial(&self, relay: IpAddr) -> Result<()> {
        let endpoint = SocketAddr::new(relay, PORT).to_string();
        let set = |more: &[&str]| {
            let arguments = [&["set", STRAY, "peer", &self.relay][..], more].concat();
            self.namespace.run("wg", &arguments)
        };
        set(&["remove"])?;
        let keepalive = ["persistent-keepalive", "1", "allowed-ips", "10.99.0.0/24"];
        set(&[&["endpoint", &endpoint][..], &keepalive].concat()).map(drop)
    }

    /// Time of its handshake, seconds since 1970; 0 is never.
    fn handshake(&self) -> Result<u64> {
        let text = self.namespace.run("wg", &["show", STRAY, "latest-handshakes"])?;
        Ok(text.split_whitespace().last().context("a handshake")?.parse()?)
    }

    fn connects(&self) -> Result<()> {
        deadline::until("a handshake", || Ok((self.handshake()? != 0).then_some(())))
    }

    /// Its endpoint at the relay.
    fn endpoint(&self) -> Result<SocketAddr> {
        let endpoints = self.lab.relay().wg("relay0", "endpoints")?;
        Ok(endpoints.get(&self.key).context("its endpoint")?.parse()?)
    }

    /// Translates the source of its messages to its overlay address.
    fn disguise(&self, family: Family) -> Result<()> {
        let address = self.lab.site().addresses(&self.name)?[usize::from(family == Family::V6)];
        let field = match family {
            Family::V4 => "ip saddr",
            Family::V6 => "ip6 saddr",
        };
        let table = format!(
            "table inet disguise {{ chain out {{ type filter hook output priority 0; udp sport {FROM} \
             {field} set {address}; }}; }}\n"
        );
        self.namespace.feed("nft", &["-f", "-"], &table)
    }

    fn show(&self) -> Result<()> {
        self.namespace.run("nft", &["delete", "table", "inet", "disguise"]).map(drop)
    }

    /// Waits until the relay receives its packets.
    fn is_heard_again(&self) -> Result<()> {
        let received = || -> Result<u64> {
            let transfer =
                self.lab.relay().namespace().run("wg", &["show", "relay0", "transfer"])?;
            let line = transfer.lines().find(|line| line.starts_with(&self.key));
            let bytes = line.and_then(|line| line.split_whitespace().nth(1));
            Ok(bytes.context("its transfer")?.parse()?)
        };
        let before = received()?;
        deadline::within(HEARD_AGAIN, "a message", || Ok((received()? > before).then_some(())))
    }
}

fn stats(lab: &Lab) -> Result<Value> {
    schema::parse("stats", &lab.relay().relay(&["stats", "--json"])?.success("relay stats")?)
}

fn fence_dropped(lab: &Lab, reason: &str) -> Result<u64> {
    stats(lab)?["fenceDropped"][reason].as_u64().context("a count")
}

fn own_tunnel(lab: &Lab) -> Result<u64> {
    stats(lab)?["totals"]["dropped"]["own_tunnel"].as_u64().context("a count")
}

/// Packets sent by the relay's interface.
fn transmitted(lab: &Lab) -> Result<u64> {
    let text = lab.relay().namespace().run("ip", &["-j", "-s", "link", "show", "dev", "relay0"])?;
    let links: Value = serde_json::from_str(&text)?;
    links[0]["stats64"]["tx"]["packets"].as_u64().context("a count")
}
