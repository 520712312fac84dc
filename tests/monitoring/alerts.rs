//! The alert rules against the metrics, the reasons and the page that explains them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use relay_common::{Reason, guard::Outcome, reason::Disposition};

use crate::{exposition, expression, text};

const RULES: &str = "deploy/prometheus/relay.rules.yml";

/// An alert, as far as these tests read it.
struct Alert {
    name: String,
    expression: String,
    runbook: String,
}

#[test]
fn alerts_name_metrics_and_labels_that_exist() -> Result<()> {
    let known = exposition::metrics(false);
    for alert in alerts()? {
        expression::check(&alert.expression, &known).with_context(|| alert.name.clone())?;
    }
    Ok(())
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() -> Result<()> {
    let cases = text("deploy/prometheus/relay.rules.test.yml")?;
    for Alert { name, .. } in alerts()? {
        let mut found = BTreeSet::new();
        for (at, _) in cases.match_indices(&format!("alertname: {name}\n")) {
            let expected = cases[at..].lines().nth(1).context("what is expected")?;
            found.insert(expected.trim());
        }
        let both = BTreeSet::from(["exp_alerts:", "exp_alerts: []"]);
        ensure!(found == both, "{name}: {found:?}");
    }
    Ok(())
}

#[test]
fn every_alert_leads_to_its_section_of_the_guide() -> Result<()> {
    let page = text("docs/guides/alerts.md")?;
    let base = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/guides/alerts.md#");
    let named: BTreeSet<_> = alerts()?.into_iter().map(|alert| alert.name).collect();
    for alert in alerts()? {
        let anchor = alert.runbook.strip_prefix(base).context(alert.runbook.clone())?;
        ensure!(anchor == alert.name.to_lowercase(), "{}: {anchor}", alert.name);
    }
    let sections = page.lines().filter_map(|line| line.strip_prefix("## Relay"));
    let sections: BTreeSet<_> = sections.map(|rest| format!("Relay{rest}")).collect();
    ensure!(sections == named, "{sections:?} instead of {named:?}");
    Ok(())
}

#[test]
fn every_reason_raises_an_alert_of_its_kind() -> Result<()> {
    let limits = [Reason::Rate, Reason::Quota];
    for (alert, which) in [
        ("RelayPolicyDropsHigh", Disposition::Policy),
        ("RelayMalformedDropsHigh", Disposition::Packet),
        ("RelayStateInconsistent", Disposition::Relay),
        ("RelayMeshDisagrees", Disposition::Mesh),
    ] {
        let apart = |reason: &Reason| limits.contains(reason) || *reason == Reason::FlowLimit;
        let reasons = Reason::ALL.iter().filter(|reason| reason.disposition() == which);
        let labels = reasons.filter(|reason| !apart(reason)).map(|reason| reason.label());
        ensure!(selected(alert, "reason")? == owned(labels), "{alert}");
    }
    let limits = owned(limits.iter().map(|reason| reason.label()));
    ensure!(selected("RelayLimitDropsHigh", "reason")? == limits);
    let flows = owned([Reason::FlowLimit.label()]);
    ensure!(selected("RelayFlowLimit", "reason")? == flows);
    let drops = Outcome::ALL.iter().filter(|outcome| outcome.drops());
    let drops = owned(drops.map(|outcome| outcome.label()));
    ensure!(selected("RelayGuardAttacked", "outcome")? == drops);
    Ok(())
}

fn owned(labels: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
    labels.into_iter().map(str::to_owned).collect()
}

/// The values that an alert selects of a label.
fn selected(name: &str, label: &str) -> Result<BTreeSet<String>> {
    let alert = alerts()?.into_iter().find(|alert| alert.name == name).context(name.to_owned())?;
    let (_, rest) =
        alert.expression.split_once(&format!("{{{label}=")).context(label.to_owned())?;
    let values = rest.trim_start_matches('~').split('"').nth(1).context("a value")?;
    Ok(values.split('|').map(str::to_owned).collect())
}

/// The alerts of the file, which writes each key on a line and each long value on the next.
fn alerts() -> Result<Vec<Alert>> {
    let file = text(RULES)?;
    let mut alerts = Vec::new();
    for block in file.split("- alert: ").skip(1) {
        let lines: Vec<&str> = block.lines().map(str::trim).collect();
        let expression = lines.iter().position(|line| *line == "expr: >-").context("expr")?;
        let runbook = lines.iter().find_map(|line| line.strip_prefix("runbook_url: "));
        alerts.push(Alert {
            name: lines[0].to_owned(),
            expression: (*lines.get(expression + 1).context("an expression")?).to_owned(),
            runbook: runbook.context("runbook_url")?.to_owned(),
        });
    }
    ensure!(alerts.len() == file.matches("alert:").count() && !alerts.is_empty());
    Ok(alerts)
}
