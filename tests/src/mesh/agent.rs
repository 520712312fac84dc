use std::{
    fs::{self, File},
    path::PathBuf,
    process::Child,
};

use anyhow::{Context as _, Result, bail};

use crate::RelayHost;

/// A running `relay mesh agent`. Dropping it kills it, which it survives as any process does.
#[derive(Debug)]
pub struct Agent {
    process: Child,
    log: PathBuf,
}

impl Agent {
    /// Starts it.
    pub(super) fn start(relay: &RelayHost) -> Result<Self> {
        let log = relay.config().with_file_name("agent.log");
        let file = File::options().append(true).create(true).open(&log)?;
        let mut command = relay.command(&["mesh", "agent"]);
        command.stdout(file.try_clone()?).stderr(file);
        command.env("RELAY_LOG", "relay=debug");
        let process = relay.namespace().enter(|| command.spawn())?.context("start the agent")?;
        Ok(Self { process, log })
    }

    /// Ends it without warning, as `kill -9` does.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the agent ended by itself, {status}:\n{}", self.log()?);
        }
        self.process.kill().context("kill the agent")
    }

    /// What it has written.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("read {}", self.log.display()))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.process.try_wait() {
            eprintln!("the agent ended by itself, {status}:\n{}", self.log().unwrap_or_default());
        }
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}
