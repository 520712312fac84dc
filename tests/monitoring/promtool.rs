//! What `promtool` says of metrics, rules and their tests.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use relay::stats::Exposition;
use relay_tests::{scenario, skip::Need};
use relay_vm::{process, prometheus};

use crate::{exposition, path};

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    scenario(&[Need::Prometheus], || {
        for compat in [false, true] {
            let text = exposition::rendered(Exposition::Text, compat, exposition::some_time());
            let said = check_metrics(&text)?;
            ensure!(said.is_empty(), "{said}");
        }
        Ok(())
    });
}

#[test]
fn promtool_finds_fault_with_what_is_no_metric() {
    scenario(&[Need::Prometheus], || {
        let said = check_metrics("# TYPE a_bits gauge\na_bits 1\n")?;
        ensure!(said.contains("a_bits"), "{said}");
        Ok(())
    });
}

#[test]
fn every_alert_fires_and_stays_silent_as_its_cases_say() {
    scenario(&[Need::Prometheus], || {
        process::read(
            tool()?.args(["check", "rules"]).arg(path("deploy/prometheus/relay.rules.yml")),
        )?;
        let cases = path("deploy/prometheus/relay.rules.test.yml");
        process::read(tool()?.args(["test", "rules"]).arg(cases)).map(drop)
    });
}

fn tool() -> Result<Command> {
    Ok(Command::new(prometheus::program("promtool").context("promtool")?))
}

/// What it says of a text.
fn check_metrics(text: &str) -> Result<String> {
    let mut command = tool()?;
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("its input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success() || !said.is_empty(), "{}", output.status);
    Ok(said)
}
