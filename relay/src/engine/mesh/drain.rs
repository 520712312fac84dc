//! A relay hands its peers over, before it is taken down.

use std::time::Duration;

use relay_common::mesh::Home;
use tokio::time::{Instant, sleep};

use super::{
    super::{Classified, Context, Result, lock::DIRECTORY, record},
    homes::of_peers,
    site::Site,
};
use crate::model::InterfaceName;

/// How often it is seen whether peers are still at home here.
const LOOK: Duration = Duration::from_millis(100);

/// Nobody took all peers over.
#[derive(Debug, thiserror::Error)]
#[error(
    "{peers} peers of {interface} are still at home here after {seconds} seconds: expected another \
     relay to take them over, which keepalived does if it tracks {file} (docs/guides/mesh.md); \
     `relay mesh status` shows the relays, `relay drain --undo` ends the wait"
)]
struct StillHome {
    peers: usize,
    interface: InterfaceName,
    seconds: u64,
    file: String,
}

impl Classified for StillHome {}

/// Asks for the peers of this relay to be taken over, in the file that keepalived tracks, and waits
/// until no peer is at home here. `progress` is told how many are.
///
/// # Errors
/// The relay has no mesh, the file cannot be written, or peers are left after the time.
pub async fn drain(
    context: &mut Context,
    timeout: Duration,
    mut progress: impl FnMut(usize),
) -> Result<()> {
    let homes = Site::of(context)?.homes(context.datapath())?;
    let slots = context.datapath().slots()?;
    let interface = context.relay().interface.clone();
    ask(&interface, true)?;
    // It waits for others, and nothing is left to change.
    context.unlock();
    let end = Instant::now() + timeout;
    loop {
        let here = of_peers(&context.relay().peers, &slots, &homes);
        let peers = here.filter(|home| *home == Home::HERE).count();
        progress(peers);
        if peers == 0 {
            return Ok(());
        }
        if Instant::now() >= end {
            let file = file(&interface);
            return Err(StillHome { peers, interface, seconds: timeout.as_secs(), file }.into());
        }
        sleep(LOOK).await;
    }
}

/// Lets this relay have peers again.
///
/// # Errors
/// The relay has no mesh, or the file cannot be written.
pub fn undrain(context: &Context) -> Result<()> {
    ask(Site::of(context)?.interface, false)
}

/// Whether this relay asks for its peers to be taken over.
pub(super) fn is_drained(interface: &InterfaceName) -> bool {
    std::fs::read_to_string(file(interface)).is_ok_and(|text| text.trim() == "1")
}

fn ask(interface: &InterfaceName, is_drained: bool) -> Result<()> {
    let text: &[u8] = if is_drained { b"1\n" } else { b"0\n" };
    record::store(&name(interface), text)
}

fn name(interface: &InterfaceName) -> String {
    format!("{interface}.drain")
}

fn file(interface: &InterfaceName) -> String {
    format!("{DIRECTORY}/{}", name(interface))
}
