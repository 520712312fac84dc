//! Private and preshared keys are only where they must be.

use std::{
    fs,
    io::Write as _,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::site::{OTHERS, PRESHARED, PRIVATE, Run, Site};

/// The output of a run, and all files after it except key files.
fn traces(site: &Site, run: &Run) -> Vec<String> {
    let mut traces = vec![run.out.clone(), run.err.clone()];
    let keys = ["private.key", "a.key", "psk", "wg0.conf"].map(|name| site.path(name));
    for (path, (_, content)) in site.tree() {
        let is_key = keys.contains(&path) || path.to_string_lossy().contains("/new/p");
        if !is_key {
            traces.push(String::from_utf8_lossy(&content).into_owned());
        }
    }
    traces
}

#[test]
fn keys_of_the_configuration_are_in_no_output_but_the_clients_own() {
    let site = Site::new();
    let hub = format!(
        "[Interface]\nAddress = 10.8.0.1/24\nPrivateKey = {}\n# {}\nPostUp = wg set {}\n# {}\n[Peer]\n\
         PublicKey = {}\nPresharedKey = {PRESHARED}\nAllowedIPs = 10.8.0.2\n",
        PRIVATE[0], PRIVATE[1], PRIVATE[0], PRESHARED, OTHERS[1]
    );
    site.write("wg0.conf", &hub, 0o600);
    let key = OTHERS[1];
    let runs = [
        "--help".to_owned(),
        "peer list".to_owned(),
        "peer list --json".to_owned(),
        format!("peer add c --public-key {key} --dry-run"),
        format!("peer add c --public-key {key}"),
        format!("peer add c --public-key {key}"),
        format!("peer add d --public-key {}", PRIVATE[0].trim_end_matches('=')),
        "peer rename c d --dry-run".to_owned(),
        "peer rename c d".to_owned(),
        "peer config d".to_owned(),
        "peer config b --private-key-file a.key".to_owned(),
        "peer config d --private-key-file psk".to_owned(),
        "peer config --stale".to_owned(),
        "peer config --stale --json".to_owned(),
        "peer remove d".to_owned(),
        "import wg0.conf".to_owned(),
        "import wg0.conf --output new/relay.toml".to_owned(),
        "import wg0.conf --output new/relay.toml".to_owned(),
        "check".to_owned(),
        "graph".to_owned(),
        "graph --format svg".to_owned(),
        "explain --config-only a b".to_owned(),
        "explain --config-only --json b a".to_owned(),
        // The endpoint is missing, which is reported without printing a key.
        "up --dry-run --bpffs nowhere".to_owned(),
        "status --bpffs nowhere".to_owned(),
        "stats --json --bpffs nowhere".to_owned(),
        "observe --bpffs nowhere".to_owned(),
        "doctor --bpffs nowhere".to_owned(),
        "completions bash".to_owned(),
        "man".to_owned(),
        "genkey --public".to_owned(),
    ];
    for words in runs {
        let run = site.relay_with(&words, PRIVATE[0]);
        for trace in traces(&site, &run) {
            for secret in [PRIVATE[0], PRIVATE[1], PRESHARED] {
                let cut = &secret[..40];
                assert!(!trace.contains(cut), "relay {words}: a key is in:\n{trace}");
            }
        }
    }
    let own = site.relay("peer config a --private-key-file a.key").ended(0);
    for (secret, times) in [(PRIVATE[0], 0), (PRIVATE[1], 1), (PRESHARED, 1)] {
        assert_eq!(own.out.matches(secret).count(), times, "the client has its own");
        assert!(!own.err.contains(secret));
    }
    for trace in &traces(&site, &own)[2..] {
        assert!(!trace.contains(PRIVATE[1]) && !trace.contains(PRESHARED), "{trace}");
    }
}

#[test]
fn a_key_that_was_made_is_shown_once_and_stored_nowhere() {
    let site = Site::new();
    for words in ["peer add c --generate", "peer rotate c", "peer rotate a"] {
        let run = site.relay(words).ended(0);
        let secret = run.out.lines().find_map(|line| line.strip_prefix("PrivateKey = "));
        let secret = secret.expect("a key");
        let traces = traces(&site, &run);
        let times = traces.iter().map(|trace| trace.matches(secret).count());
        assert_eq!(times.sum::<usize>(), 1, "relay {words}");
    }
}

#[test]
fn a_key_that_was_made_is_not_lost_when_its_picture_cannot_be_written() {
    let site = Site::new();
    let before = site.tree();
    site.relay("peer rotate a --png no/such/directory/a.png").ended(1);
    site.relay("peer add c --generate --png no/such/directory/c.png").ended(1);
    assert_eq!(site.tree(), before, "the peers keep their keys");
}

#[test]
fn a_process_that_has_a_key_leaves_no_core() {
    const PATIENCE: Duration = Duration::from_secs(30);
    let site = Site::new();
    let mut command = site.command("genkey --public");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("relay runs");
    // It waits for the rest of the key.
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&PRIVATE[0].as_bytes()[..20]).expect("written");
    let limits = format!("/proc/{}/limits", child.id());
    let started = Instant::now();
    let soft_and_hard = || {
        let text = fs::read_to_string(&limits).expect("its limits");
        let line = text.lines().find_map(|line| line.strip_prefix("Max core file size"));
        let words = line.expect("a limit").split_whitespace().take(2).map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    while soft_and_hard() != ["0", "0"] {
        assert!(started.elapsed() < PATIENCE, "found {:?}", soft_and_hard());
        thread::yield_now();
    }
    drop(input);
    child.wait().expect("relay ends");
}
