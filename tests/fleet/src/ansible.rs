//! Plays of the role by `ansible-playbook`, and their outcome on each host.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relay_vm::{process, workspace};
use serde_json::{Value, json};

use crate::machine::Machine;

/// Time limit of a play on two hosts, one after the other, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(1800);

/// Numbers of tasks on one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Recap {
    pub(super) changed: u32,
    /// Failed and not rescued.
    pub(super) failed: u32,
    /// Failed and rescued.
    pub(super) rescued: u32,
}

/// The result of a play.
#[derive(Debug)]
pub(super) struct Play {
    /// Its output.
    pub(super) text: String,
    /// The hosts that it ran on.
    pub(super) hosts: BTreeMap<String, Recap>,
}

/// An inventory of machines to run plays on.
pub(super) struct Ansible {
    /// The directory of Ansible's programs.
    programs: PathBuf,
    directory: PathBuf,
    plays: u32,
}

impl Ansible {
    /// Writes the inventory into `directory`: the machines in this order, with their variables.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn new(programs: &Path, directory: &Path, machines: &[&Machine]) -> Result<Self> {
        let hosts: serde_json::Map<String, Value> = machines
            .iter()
            .map(|machine| {
                let host = json!({
                    "ansible_host": "127.0.0.1",
                    "ansible_port": machine.port,
                    "ansible_user": "root",
                    "ansible_ssh_common_args": machine.ssh_options().join(" "),
                });
                (machine.name.to_owned(), host)
            })
            .collect();
        let inventory = json!({ "relays": { "hosts": hosts } });
        let this =
            Self { programs: programs.to_owned(), directory: directory.to_owned(), plays: 0 };
        // JSON is YAML.
        this.write("inventory/hosts.yml", &serde_json::to_string_pretty(&inventory)?)?;
        Ok(this)
    }

    /// Writes variables of one host into an encrypted file.
    ///
    /// # Errors
    /// They cannot be written or encrypted.
    pub(super) fn put_into_vault(&self, host: &str, variables: &Value) -> Result<()> {
        let file = format!("inventory/host_vars/{host}/vault.yml");
        self.write("password", "correct horse battery staple\n")?;
        self.write(&file, &serde_json::to_string(variables)?)?;
        let mut command = Command::new(self.programs.join("ansible-vault"));
        command.arg("encrypt").arg(self.directory.join(&file)).env("ANSIBLE_HOME", self.home());
        command.arg("--vault-password-file").arg(self.directory.join("password"));
        process::read(&mut command).map(drop)
    }

    /// Runs `site.yml` with these variables for all hosts and these arguments.
    ///
    /// # Errors
    /// Ansible does not start, misses its deadline, or ends without a recap.
    pub(super) fn play(&mut self, variables: &Value, arguments: &[&str]) -> Result<Play> {
        self.plays += 1;
        let deploy = workspace::root().join("deploy/ansible");
        self.write("variables.json", &serde_json::to_string_pretty(variables)?)?;
        let mut command = Command::new(self.programs.join("ansible-playbook"));
        command.arg("--inventory").arg(self.directory.join("inventory"));
        command.arg("--extra-vars").arg(format!("@{}/variables.json", self.directory.display()));
        command.arg("--vault-password-file").arg(self.directory.join("password"));
        command.args(arguments).arg(deploy.join("site.yml"));
        command.env("ANSIBLE_CONFIG", deploy.join("ansible.cfg"));
        command.env("ANSIBLE_HOME", self.home()).env("ANSIBLE_NOCOLOR", "1");
        // In some build directories, the default would be too long for a Unix socket.
        command.env("ANSIBLE_SSH_CONTROL_PATH_DIR", format!("/tmp/relay-{}", std::process::id()));
        command.env("ANSIBLE_PIPELINING", "True");
        let log = self.directory.join(format!("play-{:02}.log", self.plays));
        let mut log =
            fs::File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut text = String::new();
        let mut written = Ok(());
        process::follow(&mut command, DEADLINE, |line| {
            text += line;
            text.push('\n');
            if written.is_ok() {
                written = writeln!(log, "{line}");
            }
        })?;
        written.context("cannot write the log of a play")?;
        let hosts = recap(&text);
        if hosts.is_empty() {
            bail!("`{}` ended without a recap:\n{}", process::describe(&command), text.trim_end());
        }
        Ok(Play { text, hosts })
    }

    fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        let above = path.parent().context("a file is in a directory")?;
        fs::create_dir_all(above)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Play {
    /// Returns the number of changes on each host.
    ///
    /// # Errors
    /// The play ran on other hosts than these, or a task failed; quotes the play's output.
    pub(super) fn went_well_on(&self, names: &[&str]) -> Result<Vec<u32>> {
        let came_to: Vec<_> = self.hosts.keys().map(String::as_str).collect();
        let bad = self.hosts.values().any(|recap| recap.failed + recap.rescued > 0);
        if came_to != names || bad {
            bail!(
                "expected a play without failures on {names:?}, found:\n{}",
                self.text.trim_end()
            );
        }
        Ok(self.hosts.values().map(|recap| recap.changed).collect())
    }

    /// Tasks that changed something, and the host, in their order.
    pub(super) fn changes(&self) -> Vec<(&str, &str)> {
        let mut task = "";
        let mut changes = Vec::new();
        for line in self.text.lines() {
            if let Some((name, _)) =
                line.strip_prefix("TASK [").and_then(|line| line.split_once(']'))
            {
                task = name;
            } else if let Some((host, _)) =
                line.strip_prefix("changed: [").and_then(|line| line.split_once(']'))
            {
                changes.push((task, host));
            }
        }
        changes
    }

    /// # Errors
    /// The play did not fail on this host with `reason`, or ran on another host; quotes its output.
    pub(super) fn stopped_on(&self, name: &str, reason: &str) -> Result<()> {
        let recap = self.hosts.get(name).copied().unwrap_or_default();
        if self.hosts.len() != 1 || recap.failed == 0 || !self.text.contains(reason) {
            bail!(
                "expected a play that stops on {name} with {reason:?}, found:\n{}",
                self.text.trim_end()
            );
        }
        Ok(())
    }
}

/// Parses `one : ok=20 changed=3 unreachable=0 failed=0 skipped=4 rescued=0 ignored=0`.
fn recap(text: &str) -> BTreeMap<String, Recap> {
    let lines = text.lines().skip_while(|line| !line.starts_with("PLAY RECAP"));
    lines
        .filter_map(|line| {
            let (name, counts) = line.split_once(" : ")?;
            let count = |name: &str| {
                let mut words = counts.split_whitespace();
                words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            };
            let recap = Recap {
                changed: count("changed")?,
                failed: count("failed")? + count("unreachable")?,
                rescued: count("rescued")?,
            };
            Some((name.trim().to_owned(), recap))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_changed_is_known_by_task_and_host() {
        let text = "TASK [relay : Drain the relay] ***\nchanged: [one]\n\nTASK [relay : x] ***\nok: [one]\n\n\
            TASK [relay : y] ***\nchanged: [two] => (item=z)\n"
            .to_owned();
        let play = Play { text, hosts: BTreeMap::new() };
        assert_eq!(play.changes(), [("relay : Drain the relay", "one"), ("relay : y", "two")]);
    }

    #[test]
    fn a_recap_has_a_line_for_each_host() {
        let text = "TASK [x] ***\nok: [one] : ok=9 changed=9 unreachable=0\n\nPLAY RECAP ****\n\
            one                        : ok=20   changed=3    unreachable=1    failed=0    skipped=4    rescued=1    ignored=0\n\
            two : ok=1 changed=0 unreachable=0 failed=0 skipped=0 rescued=0 ignored=0\n\n";
        let expected = [
            ("one".to_owned(), Recap { changed: 3, failed: 1, rescued: 1 }),
            ("two".to_owned(), Recap::default()),
        ];
        assert_eq!(recap(text), BTreeMap::from(expected));
        assert!(recap("ERROR! no hosts\n").is_empty());
    }
}
