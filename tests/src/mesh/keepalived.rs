use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::Child,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{NAMES, address};
use crate::{RelayHost, deadline};

/// What is recommended, written for the first relay.
const EXAMPLE: &str = include_str!("../../../deploy/keepalived/relay.conf");

/// Priorities by place.
const PRIORITIES: [u8; NAMES.len()] = [200, 150, 100];

/// A running keepalived.
#[derive(Debug)]
pub struct Keepalived {
    process: Child,
    log: PathBuf,
}

impl Keepalived {
    /// Starts it with deploy/keepalived/relay.conf.
    pub(super) fn start(relay: &RelayHost, place: usize) -> Result<Self> {
        let file = |name: &str| relay.config().with_file_name(name);
        let script = file("relay");
        let mut opened =
            File::options().write(true).create(true).truncate(true).mode(0o755).open(&script)?;
        writeln!(opened, "#!/bin/sh\nexec {} \"$@\"", relay.binary().display())?;
        drop(opened);
        let script = script.to_str().context("a path in UTF-8")?;
        let config = file("keepalived.conf");
        fs::write(&config, edited(place, script)?)?;
        let log = file("keepalived.log");
        let output = File::options().append(true).create(true).open(&log)?;
        let mut command = relay.program("keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--log-detail"]);
        command.arg("--use-file").arg(&config);
        command.arg("--pid").arg(file("keepalived.pid"));
        command.arg("--vrrp_pid").arg(file("vrrp.pid"));
        command.stdout(output.try_clone()?).stderr(output);
        let process = relay.namespace().enter(|| command.spawn())?.context("start keepalived")?;
        Ok(Self { process, log })
    }

    /// What it has written.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("read {}", self.log.display()))
    }

    /// Ends it as its unit does: it gives the address up.
    pub fn stop(&mut self) -> Result<()> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).context("stop keepalived")?;
        deadline::until("keepalived to end", || Ok(self.process.try_wait()?.map(drop)))
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // So that its child ends, too.
        if self.stop().is_err() {
            let _killed = self.process.kill();
            let _reaped = self.process.wait();
        }
    }
}

/// The example for the relay of this place.
fn edited(place: usize, relay: &str) -> Result<String> {
    let others: Vec<_> = (0..NAMES.len()).filter(|&other| other != place).collect();
    let mut peers = others.iter().map(|&other| address(other).to_string());
    let own = format!("unicast_src_ip {}", address(0));
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let is_own = line.ends_with("# own");
        let line = line.trim_end_matches("# own").trim_end();
        text += &match line.trim() {
            "router_id r1" if is_own => format!("router_id {}", NAMES[place]),
            "priority 200" if is_own => format!("priority {}", PRIORITIES[place]),
            source if is_own && source == own => format!("unicast_src_ip {}", address(place)),
            _ if is_own => peers.next().context("more lines of others than others")?,
            "notify_master \"/usr/bin/relay takeover\"" => {
                format!("notify_master \"{relay} takeover\"")
            }
            _ => line.to_owned(),
        };
        text.push('\n');
    }
    ensure!(peers.next().is_none() && text.contains(relay), "relay.conf is another:\n{text}");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_of_the_first_relay() {
        let path = "/usr/bin/relay";
        let ours = edited(0, path).expect("the example's lines");
        let bare = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.trim_end_matches("# own").trim().to_owned()).collect()
        };
        assert_eq!(bare(&ours), bare(EXAMPLE));
    }

    #[test]
    fn the_other_relays_have_the_first_among_their_others() {
        for (place, name) in NAMES.iter().enumerate().skip(1) {
            let theirs = edited(place, "/x/relay").expect("the example's lines");
            assert!(theirs.contains(&format!("router_id {name}\n")), "{theirs}");
            assert!(theirs.contains("\n192.0.2.11\n"), "{theirs}");
            assert!(!theirs.contains("unicast_src_ip 192.0.2.11"), "{theirs}");
            assert!(theirs.contains("\"/x/relay takeover\""), "{theirs}");
        }
    }
}
