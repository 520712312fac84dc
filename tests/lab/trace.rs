//! `relay trace` beside other commands: it shows packets and never changes the policy.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Site, deadline, relay_host::Outcome, scenario, skip, traffic::Echo,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::watch::Watch;

#[test]
fn a_pair_that_is_revoked_while_a_trace_runs_stays_revoked_when_it_ends() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.site().first()?;
        let before = lab.relay().stats()?;

        let trace = Trace::start(&lab, &[])?;
        let listed = lab.site().addresses(&a)?;
        lab.site_mut().disallow(&b, &listed)?;
        lab.up()?;
        let revoked = lab.relay().stats()?;
        // It ends by itself when its generation is replaced.
        let outcome = trace.ended()?;
        ensure!(outcome.code == 0 && outcome.stderr.contains("another command"), "{outcome:?}");
        let after = lab.relay().stats()?;
        ensure!(after.generation == revoked.generation, "{before:?}, {revoked:?}, {after:?}");
        Watch::start(&lab)?
            .drops(lab.peer(&a)?, lab.peer(&b)?, Family::V4, "not_in_destination_list")
            .context("after the trace")?;
        lab.relay().require_sound()
    });
}

#[test]
fn a_file_that_was_not_applied_is_not_put_in_force_by_a_trace() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.site().first()?;
        let before = lab.relay().stats()?;
        let listed = lab.site().addresses(&a)?;
        lab.site_mut().disallow(&b, &listed)?;
        lab.write_config()?;
        let outcome = lab.relay().relay(&["trace", "--seconds", "1"])?;
        ensure!(outcome.failure(1)?.contains("run `relay up` first"), "{outcome:?}");

        // A running trace restores the policy of before, whatever the file says by then.
        lab.site_mut().allow(&b, &listed)?;
        lab.write_config()?;
        let trace = Trace::start(&lab, &[])?;
        lab.site_mut().disallow(&b, &listed)?;
        lab.write_config()?;
        ensure!(trace.end(Signal::TERM)?.code == 0, "it did not end well");
        let after = lab.relay().stats()?;
        ensure!(after.policy_hash == before.policy_hash, "{before:?} became {after:?}");
        Watch::start(&lab)?.delivers(lab.peer(&a)?, lab.peer(&b)?, Family::V4)
    });
}

#[test]
fn a_trace_shows_each_packet_and_ends_on_a_signal_or_a_closed_pipe() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let before = lab.relay().stats()?;
        for end in [Some(Signal::INT), Some(Signal::TERM), Some(Signal::HUP), None] {
            let mut trace = Trace::start(&lab, &[])?;
            let during = lab.relay().stats()?;
            ensure!(during.policy_hash != before.policy_hash, "nothing logs");
            let second = lab.relay().relay(&["trace", "--seconds", "1"])?;
            ensure!(second.failure(1)?.contains("another `relay trace`"), "{second:?}");
            for family in Family::ALL {
                let (from, to) = (a.address(family), b.address(family));
                let mut echo = Echo::open(a.namespace(), from, to)?;
                echo.send(1)?;
                ensure!(echo.answers(1, deadline::PATIENCE)? == 1, "{to} does not answer");
                trace.shows(&format!("{from} → {to}"))?;
                trace.shows(&format!("{to} → {from}"))?;
            }
            let outcome = match end {
                Some(signal) => trace.end(signal)?,
                None => {
                    // The next line meets a closed pipe.
                    trace.lines = None;
                    let (from, to) = (a.address(Family::V4), b.address(Family::V4));
                    Echo::open(a.namespace(), from, to)?.send(1)?;
                    trace.ended()?
                }
            };
            ensure!(outcome.code == 0 && outcome.stderr.is_empty(), "{end:?}: {outcome:?}");
            let after = lab.relay().stats()?;
            ensure!(after.policy_hash == before.policy_hash, "{end:?}: {after:?}");
            ensure!(after.generation > during.generation, "{end:?}: {after:?}");
        }
        lab.relay().require_sound()
    });
}

#[test]
fn a_trace_that_was_killed_is_ended_by_up() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let before = lab.relay().stats()?;
        let mut trace = Trace::start(&lab, &[])?;
        trace.child.kill()?;
        trace.child.wait()?;
        let failed = lab.relay().relay(&["trace", "--seconds", "1"])?;
        ensure!(failed.failure(1)?.contains("`relay up`"), "{failed:?}");
        lab.relay().up()?;
        let after = lab.relay().stats()?;
        ensure!(after.policy_hash == before.policy_hash, "{before:?} became {after:?}");
        Ok(())
    });
}

/// A running `relay trace`.
struct Trace {
    child: Child,
    lines: Option<Receiver<String>>,
}

impl Trace {
    fn start(lab: &Lab, arguments: &[&str]) -> Result<Self> {
        let before = lab.relay().stats()?.generation;
        let mut command = lab.relay().command(&[&["trace"], arguments].concat());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = lab.relay().namespace().enter(|| command.spawn())??;
        let output = child.stdout.take().context("its output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let trace = Self { child, lines: Some(lines) };
        deadline::until("a generation that logs", || {
            Ok((lab.relay().stats()?.generation > before).then_some(()))
        })?;
        Ok(trace)
    }

    fn shows(&mut self, text: &str) -> Result<()> {
        let lines = self.lines.as_ref().context("its lines")?;
        deadline::until(text, || {
            let line =
                lines.try_iter().find(|line| line.contains(text) && line.contains("relayed"));
            Ok(line.map(drop))
        })
    }

    fn end(self, signal: Signal) -> Result<Outcome> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("its process")?, signal)?;
        self.ended()
    }

    fn ended(mut self) -> Result<Outcome> {
        let status = deadline::until("the end of the trace", || Ok(self.child.try_wait()?))?;
        let mut stderr = String::new();
        let error = self.child.stderr.as_mut().context("its errors")?;
        error.read_to_string(&mut stderr)?;
        let code = status.code().with_context(|| format!("killed: {status}"))?;
        Ok(Outcome { code, stdout: String::new(), stderr })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It is still running only if a test failed.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
