//! What the page shows, against what the kernel has counted.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::deadline;
use serde_json::{Value, json};

use crate::{
    driver::key,
    page::{Page, View},
    stage::Stage,
};

/// Time limit for two readings of the same to agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an update may take.
const BOUND: Duration = Duration::from_secs(2);

/// Updates that are timed.
const UPDATES: usize = 5;

/// The table of peers: the text of each cell, with the columns of `peer-table.js`.
const ROWS: &str = "return [...document.querySelectorAll('#peers tbody tr')]\
                    .map((row) => [...row.cells].map((cell) => cell.innerText))";

pub(crate) fn who_has_no_token_sees_nothing(stage: &Stage) -> Result<()> {
    for path in ["/", "/page/main.js", "/metrics", "/api/v1/stats", "/api/v1/openapi.json"] {
        for token in [None, Some("0".repeat(64).as_str())] {
            let (status, text) = stage.ask(path, token)?;
            ensure!(status == 401 && text.contains("the token is missing"), "{path}: {text}");
        }
        let (status, text) = stage.ask(path, Some(&stage.token))?;
        ensure!(status == 200, "{path}: {status}: {text}");
    }
    Ok(())
}

pub(crate) fn what_is_shown_is_what_the_kernel_counts(stage: &Stage) -> Result<()> {
    stage.tell("busy")?;
    deadline::within(PATIENCE, "dropped packets", || {
        let dropped = stage.counters()?["totals"]["dropped"].clone();
        let dropped: BTreeMap<String, u64> = serde_json::from_value(dropped)?;
        Ok(dropped.values().any(|count| *count > 0).then_some(()))
    })?;
    stage.tell("rest")?;
    let page = Page::open(stage)?;
    for count in [3, 40] {
        stage.tell(&format!("send {count}"))?;
        // IPv6 has packets of its own now and then, so both are read until they agree.
        let mut last = String::new();
        deadline::within(PATIENCE, "the counters on the page", || {
            let counters = stage.counters()?;
            let rows: Vec<Vec<String>> = serde_json::from_value(page.browser.run(ROWS, &[])?)?;
            last = differences(&counters, &rows)?.join("\n");
            Ok(last.is_empty().then_some(()))
        })
        .with_context(|| last.clone())?;
    }
    require_api(stage)?;

    page.show(&View { address: "/peer/node-b", shows: ".facts dd" })?;
    deadline::within(PATIENCE, "the counters of node-b", || {
        let counters = stage.counters()?;
        let relayed = &peer(&counters, "node-b")?["relayed"];
        let shown = fact(&page, "relayed")?;
        Ok(is_traffic(&shown, relayed).then_some(()))
    })
    .with_context(|| fact(&page, "relayed").unwrap_or_default())?;

    page.show(&View { address: "/dropped", shows: ".reason .label" })?;
    deadline::within(PATIENCE, "the dropped packets", || {
        let counters = stage.counters()?;
        let labels = page.texts(".reason .label")?;
        let counts = page.texts(".reason .count")?;
        let shown: BTreeMap<String, String> = labels.into_iter().zip(counts).collect();
        let dropped: BTreeMap<String, u64> =
            serde_json::from_value(counters["totals"]["dropped"].clone())?;
        let counted: BTreeMap<String, String> = dropped
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(label, count)| (label, packets(count)))
            .collect();
        Ok((shown == counted).then_some(()))
    })
    .with_context(|| format!("{:?}", page.texts(".reason summary")))
}

/// The bound is checked from before the datagrams are sent until the page has changed, by the
/// clock of this host, on which the page runs too. A busy host delays single updates by seconds,
/// and never most of several by chance: the median counts.
pub(crate) fn an_update_arrives_within_two_seconds(stage: &Stage) -> Result<()> {
    stage.tell("rest")?;
    let page = Page::open(stage)?;
    time_updates(&page)
}

/// Times updates of the table of peers, which `page` shows.
pub(crate) fn time_updates(page: &Page<'_>) -> Result<()> {
    const COUNT: u64 = 100;
    page.until_there("#peers tbody tr:nth-child(2) .state")?;
    let watch = "window.changes = []; \
        const row = [...document.querySelectorAll('#peers tbody tr')] \
            .find((row) => row.cells[0].innerText === 'node-b'); \
        const note = () => changes.push([Date.now(), row.cells[6].innerText]); \
        new MutationObserver(note).observe(row.cells[6], \
            { childList: true, characterData: true, subtree: true });";
    page.browser.run(watch, &[])?;
    let mut delays = Vec::new();
    for _ in 0..UPDATES {
        page.browser.run("changes.length = 0", &[])?;
        let began = unix_ms()?;
        page.stage.tell(&format!("send {COUNT}"))?;
        let counters = page.stage.counters()?;
        let total = bytes_of(peer(&counters, "node-b")?)?;
        let changed = deadline::within(PATIENCE, "an update of node-b", || {
            let changes = page.browser.run("return changes", &[])?;
            let changes: Vec<(u64, String)> = serde_json::from_value(changes)?;
            Ok(changes.iter().find(|(_, shown)| is_bytes(shown, total)).map(|(at, _)| *at))
        })?;
        delays.push(Duration::from_millis(changed.saturating_sub(began)));
    }
    delays.sort();
    eprintln!("updates took {delays:?}");
    let median = delays[UPDATES / 2];
    ensure!(median <= BOUND, "most updates took longer than {BOUND:?}: {delays:?}");
    Ok(())
}

pub(crate) fn a_question_gets_the_answer_of_explain(stage: &Stage) -> Result<()> {
    let page = Page::open(stage)?;
    let asked =
        [("node-a", "node-b", ""), ("node-b", "node-d", "tcp/22"), ("node-b", "node-c", "udp/53")];
    page.show(&View { address: "/explain", shows: "#from" })?;
    for (from, to, service) in asked {
        for (field, text) in [("from", from), ("to", to), ("service", service)] {
            let empty = "const field = document.getElementById(arguments[0]); \
                         field.value = ''; field.focus()";
            page.browser.run(empty, &[json!(field)])?;
            page.write(text)?;
        }
        page.browser.press(&[key::ENTER])?;
        let on = if service.is_empty() { String::new() } else { format!("&service={service}") };
        let path = format!("/api/v1/explain?from={from}&to={to}{on}");
        let (status, text) = stage.ask(&path, Some(&stage.token))?;
        ensure!(status == 200, "{text}");
        let explained: Value = serde_json::from_str(&text)?;
        let answer = if explained["allowed"] == true { "Yes" } else { "No" };
        let script = format!(
            "const shown = document.querySelector('.overall')?.innerText; \
             const heads = [...document.querySelectorAll('.direction h3')].map((n) => n.innerText); \
             return shown === {} && heads[0]?.startsWith({}) && heads[0].includes({})",
            json!(answer),
            json!(from),
            json!(to)
        );
        page.until(&format!("the answer to {from}, {to}, {service}"), &script)?;
    }
    page.require_quiet()
}

/// The API says of the peers what the kernel has counted.
fn require_api(stage: &Stage) -> Result<()> {
    let counts = |stats: &Value| -> Vec<Value> {
        let peers = stats["peers"].as_array().into_iter().flatten();
        peers.map(|peer| json!([peer["name"], peer["relayed"], peer["dropped"]])).collect()
    };
    deadline::within(PATIENCE, "the same counters by the API", || {
        let (status, text) = stage.ask("/api/v1/stats", Some(&stage.token))?;
        ensure!(status == 200, "{text}");
        let served = counts(&serde_json::from_str(&text)?);
        Ok((!served.is_empty() && served == counts(&stage.counters()?)).then_some(()))
    })
}

/// How the table differs from the counters.
fn differences(counters: &Value, rows: &[Vec<String>]) -> Result<Vec<String>> {
    let peers = counters["peers"].as_array().context("peers")?;
    let mut found = Vec::new();
    if peers.len() != rows.len() {
        found.push(format!("{} peers, {} rows", peers.len(), rows.len()));
    }
    for (peer, row) in peers.iter().zip(rows) {
        let [name, state, .., total, dropped] = row.as_slice() else { continue };
        let dropped_now = dropped.split(' ').next().unwrap_or_default();
        let is_same = peer["name"] == name.as_str()
            && state == state_of(peer)
            && is_bytes(total, bytes_of(peer)?)
            && dropped_now == dropped_of(peer)?.to_string();
        if !is_same {
            found.push(format!("{row:?} for {peer}"));
        }
    }
    Ok(found)
}

fn state_of(peer: &Value) -> &'static str {
    match (peer["enabled"] == true, peer["latestHandshake"] == 0) {
        (false, _) => "disabled",
        (true, true) => "never seen",
        (true, false) => "online",
    }
}

/// All bytes from and to a peer.
fn bytes_of(peer: &Value) -> Result<u64> {
    let count = |part: &str, key: &str| peer[part][key].as_u64().context(key.to_owned());
    let mut sum = 0;
    for part in ["relayed", "host"] {
        sum += count(part, "rxBytes")? + count(part, "txBytes")?;
    }
    Ok(sum)
}

fn dropped_of(peer: &Value) -> Result<u64> {
    let dropped = peer["dropped"].as_object().context("dropped")?;
    Ok(dropped.values().filter_map(Value::as_u64).sum())
}

fn peer<'v>(counters: &'v Value, name: &str) -> Result<&'v Value> {
    let mut peers = counters["peers"].as_array().context("peers")?.iter();
    peers.find(|peer| peer["name"] == name).with_context(|| format!("no peer {name}"))
}

/// The text of one of the facts of a peer.
fn fact(page: &Page<'_>, name: &str) -> Result<String> {
    let script = "const terms = [...document.querySelectorAll('.facts dt')]; \
                  const term = terms.find((term) => term.innerText === arguments[0]); \
                  return term?.nextElementSibling.innerText ?? ''";
    Ok(serde_json::from_value(page.browser.run(script, &[json!(name)])?)?)
}

/// Whether a text is `N packets, BYTES from it; N packets, BYTES to it` of these counts.
fn is_traffic(shown: &str, counts: &Value) -> bool {
    let way = |text: &str, packets_of: &str, bytes: &str| {
        let Some((count, amount)) = text.split_once(", ") else { return false };
        count == packets(counts[packets_of].as_u64().unwrap_or_default())
            && is_bytes(amount, counts[bytes].as_u64().unwrap_or_default())
    };
    shown.strip_suffix(" to it").and_then(|both| both.split_once(" from it; ")).is_some_and(
        |(from, to)| way(from, "rxPackets", "rxBytes") && way(to, "txPackets", "txBytes"),
    )
}

fn packets(count: u64) -> String {
    format!("{count} packet{}", if count == 1 { "" } else { "s" })
}

/// Whether a text such as `1.52 KiB` is this count, cut after its second decimal.
fn is_bytes(shown: &str, count: u64) -> bool {
    let Some((number, unit)) = shown.split_once(' ') else { return false };
    let powers = ["B", "KiB", "MiB", "GiB"].iter().zip([1, 1 << 10, 1 << 20, 1_u64 << 30]);
    let Some((_, size)) = powers.into_iter().find(|(name, _)| **name == unit) else { return false };
    if size == 1 {
        return number == count.to_string();
    }
    let hundredths = count * 100 / size;
    hundredths >= 100 && number == format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn unix_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
