//! A file system without room: what could not be written is named, and nothing is left half done.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    scenario,
    skip::{self, Need},
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::siege::Siege;

/// Where relay keeps locks and what it last brought up.
const RUN: &str = "/run/relay";

/// A public key that nobody has.
const KEY: &str = "1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI=";

/// A small file system in a directory. Dropping it unmounts it.
struct Small(PathBuf);

#[test]
fn a_configuration_that_cannot_be_written_stays_as_it_was() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let directory = siege.lab.directory().join("full");
        fs::create_dir(&directory)?;
        let small = Small::mount(&directory)?;
        let config = directory.join("relay.toml");
        fs::write(&config, siege.lab.site().text()?)?;
        small.fill()?;
        let before = (listed(&directory)?, fs::read(&config)?);
        let file = config.to_str().context("a path in UTF-8")?;
        let [_, b, c] = siege.lab.site().first()?;
        let add = ["--config", file, "peer", "add", "guest", "--public-key", KEY, "--apply"];
        let lend = ["--config", file, "lend", &b, &c, "tcp/22", "--for", "1h"];
        for command in [&add[..], &lend] {
            let outcome = siege.lab.relay().relay(command)?;
            ensure!(outcome.code == 1, "{command:?}: {outcome:?}");
            let said = &outcome.stderr;
            let is_named = said.contains("No space left on device")
                && said.contains(directory.to_str().context("a path in UTF-8")?);
            ensure!(is_named, "{command:?}: {outcome:?}");
            let after = (listed(&directory)?, fs::read(&config)?);
            ensure!(after == before, "{command:?} left {:?}", after.0);
            siege.is_sound().with_context(|| format!("after {command:?}"))?;
        }
        small.empty()?;
        for command in [&add[..], &lend] {
            siege.lab.relay().relay(command)?.success("with room")?;
        }
        siege.flows()?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn a_policy_comes_into_force_although_its_record_cannot_be_kept() {
    scenario(&[skip::LAB, &[Need::OwnMachine]].concat(), || {
        let mut siege = Siege::lay()?;
        let small = Small::mount(Path::new(RUN))?;
        small.fill()?;
        let [_, b, c] = siege.lab.site().first()?;
        let of_c = siege.lab.site().addresses(&c)?;
        siege.lab.site_mut().allow(&b, &of_c[..1])?;
        siege.lab.write_config()?;
        let outcome = siege.lab.relay().relay(&["up"])?;
        ensure!(outcome.code == 0, "up: {outcome:?}");
        let is_named = outcome.stderr.contains(RUN) && outcome.stderr.contains("No space left");
        ensure!(is_named, "no warning: {outcome:?}");
        siege.is_sound()?;
        let status = siege.lab.relay().relay(&["status"])?;
        ensure!(status.code == 0, "{status:?}");
        small.empty()?;
        let again = siege.lab.relay().relay(&["up"])?;
        ensure!(again.code == 0 && !again.stderr.contains(RUN), "with room: {again:?}");
        drop(small);
        siege.lab.relay().up()?;
        siege.is_sound()?;
        siege.raise()?;
        Ok(())
    });
}

impl Small {
    fn mount(directory: &Path) -> Result<Self> {
        mount("tmpfs", directory, "tmpfs", MountFlags::empty(), c"size=64k,mode=0755")
            .with_context(|| format!("mount a small file system on {}", directory.display()))?;
        Ok(Self(directory.to_owned()))
    }

    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler())?;
        loop {
            match file.write(&[0; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("fill a file system"),
            }
        }
    }

    fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _unmounted = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// The names in a directory.
fn listed(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}
