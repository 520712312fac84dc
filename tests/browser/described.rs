//! The API against its description, tried by schemathesis.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use relay_vm::{browser, process};

use crate::stage::Stage;

/// Time limit of one run.
const DEADLINE: Duration = Duration::from_secs(300);

/// Paths whose answers do not end. Their first events are read in the lab (`serve::`).
const ENDLESS: [&str; 2] = ["/live", "/events"];

/// What exists, of which the description can say nothing.
const KNOWN: &str = r#"
[[operations]]
include-path = "/explain"
parameters = { from = "node-b", to = "node-d", service = "tcp/22" }

[[operations]]
include-path = "/flows"
parameters = { peer = "node-b", rule = "dns", service = "udp/53" }

[[operations]]
include-path = "/quotas"
parameters = { peer = "node-c" }

[[operations]]
include-path = "/dropped"
parameters = { from = "node-b", to = "node-d" }
"#;

pub(crate) fn the_api_is_as_it_is_described(stage: &Stage) -> Result<()> {
    stage.tell("busy")?;
    // Whatever is asked, right or wrong. What names nobody is refused, however right it looks.
    let any = ["--exclude-checks", "positive_data_acceptance", "--max-examples", "12"];
    run(stage, "", &[&any[..], &["--phases", "coverage,fuzzing"]].concat())?;
    // What is right about what exists. A history is of one thing, which the description cannot say.
    let known = ["--mode", "positive", "--exclude-path", "/history", "--max-examples", "3"];
    run(stage, KNOWN, &[&known[..], &["--phases", "fuzzing"]].concat())?;
    stage.tell("rest").map(drop)
}

fn run(stage: &Stage, settings: &str, arguments: &[&str]) -> Result<()> {
    let directory = tempfile::tempdir()?;
    // The token is none of the arguments, which every user of this host can read.
    let headers = format!("headers = {{ Authorization = \"Bearer {}\" }}\n", stage.token);
    fs::write(directory.path().join("schemathesis.toml"), headers + settings)?;
    let mut command = Command::new(browser::schemathesis().context("no schemathesis")?);
    command.current_dir(directory.path()).env("NO_PROXY", "127.0.0.1");
    command.args(["run", "--no-color", "--checks", "all", "--generation-database", "none"]);
    command.arg("--tls-verify").arg(stage.certificate()).args(arguments);
    for path in ENDLESS {
        command.args(["--exclude-path", path]);
    }
    command.arg(format!("{}/api/v1/openapi.json", stage.origin));
    let mut text = String::new();
    let code = process::follow(&mut command, DEADLINE, |line| {
        text += line;
        text.push('\n');
    })
    .with_context(|| text.clone())?;
    ensure!(code == 0, "schemathesis ended with {code}:\n{text}");
    Ok(())
}
