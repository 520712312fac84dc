//! Names of peers, answered by DNS on the relay's overlay addresses.

mod answering;
mod forward;
mod framing;
mod seats;
mod tally;
mod tcp;
mod udp;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

pub(super) use answering::Answering;

use super::configuration::Configured;
use crate::{engine::Notice, model::DNS_PORT, names::Zone};

/// Between two attempts to listen on addresses that are not there.
const BETWEEN: Duration = Duration::from_secs(2);

/// Answers for as long as it is polled, if the configuration has names.
pub(super) async fn serve(
    answering: Answering,
    mut configured: Configured,
    notice: Notice,
) -> Infallible {
    let mut listening = Listening { notice, tasks: BTreeMap::new(), told: None };
    let mut ticks = interval(BETWEEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Ok(()) = configured.changed() => {
                let relay = configured.borrow_and_update().clone();
                answering.set(relay.and_then(Zone::of).map(Arc::new));
            }
            _ = ticks.tick() => {}
        }
        listening.follow(&answering).await;
    }
}

/// The addresses that are listened on.
struct Listening {
    notice: Notice,
    /// The tasks of each; they end with it.
    tasks: BTreeMap<IpAddr, JoinSet<Infallible>>,
    /// What was said last about those that cannot be listened on.
    told: Option<String>,
}

impl Listening {
    /// Listens on the relay's addresses, and no longer on others. An address that goes and comes again,
    /// as with `relay down` and `relay up`, keeps its sockets.
    async fn follow(&mut self, answering: &Answering) {
        let zone = answering.zone();
        let networks = zone.iter().flat_map(|zone| &zone.relay().addresses);
        let wanted: Vec<IpAddr> = networks.map(ipnet::IpNet::addr).collect();
        self.tasks.retain(|address, _| wanted.contains(address));
        let mut failed = None;
        for address in wanted {
            if self.tasks.contains_key(&address) {
                continue;
            }
            let at = SocketAddr::new(address, DNS_PORT);
            match bind(at).await {
                Ok((udp, tcp)) => {
                    let mut tasks = JoinSet::new();
                    tasks.spawn(udp::answer(Arc::new(udp), answering.clone()));
                    tasks.spawn(tcp::answer(tcp, answering.clone()));
                    self.tasks.insert(address, tasks);
                    (self.notice)(&format!("names: answering on {at}"));
                }
                Err(error) => failed = failed.or(Some(format!("cannot listen on {at}: {error}"))),
            }
        }
        if let Some(why) = failed.as_ref().filter(|why| self.told.as_ref() != Some(*why)) {
            (self.notice)(&format!("names: {why}; it is tried again"));
        }
        self.told = failed;
    }
}

async fn bind(at: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    Ok((UdpSocket::bind(at).await?, TcpListener::bind(at).await?))
}

#[cfg(test)]
mod tests;
