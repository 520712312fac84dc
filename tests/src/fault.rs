//! `relay` whose system calls fail, or are its last, one after the other: by strace, so that the program
//! is the one that others run.

use std::{collections::BTreeSet, fmt, fs, os::unix::process::ExitStatusExt as _};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::{RelayHost, relay_host::Outcome, setting};

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing is done.
    Fails,
    /// The process is killed before it.
    Kills,
}

/// One system call of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    call: &'static Call,
    /// Which of the command's calls of this name, from 1.
    number: u32,
    /// As strace shows it.
    shown: String,
}

/// What became of a command with a fault.
#[derive(Debug)]
pub enum Ended {
    /// It did not come to the call.
    Whole,
    /// It was killed.
    Killed,
    /// The call failed, and the command ended.
    Failed(Outcome),
}

/// A system call that relay makes to read or change the kernel, or files that outlive it.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    name: &'static str,
    /// With what it fails: nothing is there, and nothing was done.
    error: &'static str,
    /// Whether it can change anything.
    changes: bool,
}

const CALLS: [Call; 12] = [
    Call::changing("bpf", "ENOMEM"),
    Call::changing("sendto", "ENOBUFS"),
    Call::changing("sendmsg", "ENOBUFS"),
    Call::changing("mkdir", "ENOSPC"),
    Call::changing("unlink", "EIO"),
    Call::changing("rmdir", "EIO"),
    Call::changing("renameat", "ENOSPC"),
    Call::changing("linkat", "ENOSPC"),
    Call::changing("ftruncate", "EIO"),
    Call::changing("fsync", "EIO"),
    Call::changing("chmod", "EPERM"),
    Call { name: "socket", error: "EMFILE", changes: false },
];

/// Commands of bpf(2) that change nothing that outlives the process.
const READING: [&str; 16] = [
    "BPF_OBJ_GET",
    "BPF_OBJ_GET_INFO_BY_FD",
    "BPF_MAP_CREATE",
    "BPF_MAP_FREEZE",
    "BPF_MAP_LOOKUP_ELEM",
    "BPF_MAP_LOOKUP_BATCH",
    "BPF_MAP_GET_NEXT_KEY",
    "BPF_BTF_LOAD",
    "BPF_PROG_LOAD",
    "BPF_PROG_QUERY",
    "BPF_PROG_TEST_RUN",
    "BPF_PROG_GET_NEXT_ID",
    "BPF_PROG_GET_FD_BY_ID",
    "BPF_MAP_GET_FD_BY_ID",
    "BPF_LINK_GET_NEXT_ID",
    "BPF_LINK_GET_FD_BY_ID",
];

impl Call {
    const fn changing(name: &'static str, error: &'static str) -> Self {
        Self { name, error, changes: true }
    }
}

impl Point {
    /// Runs a command that succeeds, and returns the calls that this fault is worth in: all that change
    /// something, and for a failure one of each that reads; with [`setting::FAULTS_EVERY`], each one of
    /// so many.
    pub fn record(host: &RelayHost, arguments: &[&str], fault: Fault) -> Result<Vec<Self>> {
        let names: Vec<_> = CALLS.iter().map(|call| call.name).collect();
        let trace = format!("trace={}", names.join(","));
        let (ended, log) = strace(host, arguments, &[SECCOMP, "-e", &trace])?;
        let Ended::Failed(outcome) = ended else {
            anyhow::bail!("relay {arguments:?} under strace was killed")
        };
        outcome.success("relay under strace")?;
        let points = points(&log, fault);
        ensure!(!points.is_empty(), "relay {arguments:?} makes no system call:\n{log}");
        let every = usize::try_from(setting::number(setting::FAULTS_EVERY, 1)?)?.max(1);
        println!("faults: {} calls of relay {arguments:?}, one of {every}", points.len());
        Ok(points.into_iter().step_by(every).collect())
    }

    /// Runs a command with a fault in this call.
    pub fn run(&self, host: &RelayHost, arguments: &[&str], fault: Fault) -> Result<Ended> {
        let Call { name, error, .. } = self.call;
        let what = match fault {
            Fault::Fails => format!("error={error}"),
            Fault::Kills => "signal=KILL".to_owned(),
        };
        let inject = format!("inject={name}:{what}:when={}", self.number);
        let trace = format!("trace={name}");
        let mut options = vec!["-e", &trace, "-e", &inject];
        if fault == Fault::Fails {
            options.push(SECCOMP);
        }
        let (ended, log) = strace(host, arguments, &options)?;
        match ended {
            // What was killed may not have written anything.
            Ended::Killed => Ok(Ended::Killed),
            Ended::Whole | Ended::Failed(_) if log.contains("(INJECTED)") => Ok(ended),
            Ended::Whole => Ok(Ended::Whole),
            Ended::Failed(outcome) => {
                outcome.success("relay without a fault").map(|_said| Ended::Whole)
            }
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.call.name, self.number, self.shown)
    }
}

/// Only the calls that are traced stop, which saves time. The kernel ignores signals at such a stop
/// (ptrace(2), `PTRACE_EVENT` stops), so nothing is killed there.
const SECCOMP: &str = "--seccomp-bpf";

/// Runs a command under strace with these options, and returns what strace wrote.
fn strace(host: &RelayHost, arguments: &[&str], options: &[&str]) -> Result<(Ended, String)> {
    let log = host.config().with_file_name("strace.log");
    let mut command = host.program("strace");
    command.args(["--follow-forks", "--quiet=attach,personality", "--output"]);
    command.arg(&log).args(options).arg(host.binary()).args(arguments);
    let output = host.namespace().output(&mut command)?;
    let ended = match output.status.signal() {
        Some(signal) if signal == Signal::KILL.as_raw() => Ended::Killed,
        _ => Ended::Failed(Outcome::of(&output)?),
    };
    let text = fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
    Ok((ended, text))
}

/// The calls in what strace wrote.
fn points(log: &str, fault: Fault) -> Vec<Point> {
    let mut numbers = [0; CALLS.len()];
    let mut read = BTreeSet::new();
    let mut points = Vec::new();
    for line in log.lines() {
        // After the process.
        let Some((_process, text)) = line.split_once(' ') else { continue };
        let Some((name, said)) = text.trim_start().split_once('(') else { continue };
        let Some(place) = CALLS.iter().position(|call| call.name == name) else { continue };
        let (call, number) = (&CALLS[place], &mut numbers[place]);
        *number += 1;
        let command = said.split([',', ')']).next().unwrap_or_default();
        let changes = call.changes && !READING.contains(&command);
        let is_worth = changes || (fault == Fault::Fails && read.insert(kind(said).to_owned()));
        if is_worth {
            let shown = said.chars().take(100).collect();
            points.push(Point { call, number: *number, shown });
        }
    }
    points
}

/// A call without what differs from one run to the next: a command of bpf(2) and the path or name in
/// it.
fn kind(said: &str) -> &str {
    let end = ["pathname=\"", "map_name=\"", "prog_name=\""].into_iter().find_map(|field| {
        let from = said.find(field)? + field.len();
        Some(from + said[from..].find('"')?)
    });
    let command = said.find([',', ')']).unwrap_or(said.len());
    &said[..end.unwrap_or(command)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
252   bpf(BPF_OBJ_GET, {pathname=\"/sys/fs/bpf/a\", bpf_fd=0}, 152) = 11
252   bpf(BPF_OBJ_GET_INFO_BY_FD, {info={bpf_fd=11, info_len=88}}, 152) = 0
252   bpf(BPF_OBJ_GET, {pathname=\"/sys/fs/bpf/b\", bpf_fd=0}, 152) = -1 ENOENT (No such file)
252   bpf(BPF_OBJ_GET, {pathname=\"/sys/fs/bpf/a\", bpf_fd=0}, 152) = 11
252   bpf(BPF_MAP_UPDATE_ELEM, {map_fd=12, key=0x7ff, value=0x7ff, flags=BPF_ANY}, 32) = 0
252   sendto(9, [{nlmsg_len=32, nlmsg_type=RTM_GETLINK}], 32, 0, NULL, 0) = 32
252   <... bpf resumed>) = 0
252   +++ exited with 0 +++
";

    #[test]
    fn what_reads_is_of_interest_once_and_only_to_fail() {
        let seen = |fault| {
            let points = points(LOG, fault);
            let names = points.iter().map(|point| (point.call.name, point.number));
            names.collect::<Vec<_>>()
        };
        let all = [("bpf", 1), ("bpf", 2), ("bpf", 3), ("bpf", 5), ("sendto", 1)];
        assert_eq!(seen(Fault::Fails), all);
        assert_eq!(seen(Fault::Kills), [("bpf", 5), ("sendto", 1)]);
    }
}
