use std::path::Path;

use toml::de::DeTable;

use super::{
    build::build,
    check::{check, warn},
    covered::Covered,
    fault::Fault,
    findings::Findings,
    loaded::{Loaded, Options, PeerLocations, RuleLocations, TestLocations},
    names::Names,
    needless,
    place::{Files, Location, Place},
    problem::Problems,
    reach, rules,
    source::Source,
    table::List,
    tables::{PeerTable, RuleTable, Tables, TestTable, WebhookTable},
    zone,
};
use crate::model::Service;

/// Parses the sources, the main file first. Pure.
pub(super) fn parse(sources: &[Source], options: Options) -> Result<Loaded, Problems> {
    let files = Files::new(sources);
    let mut findings = Findings::default();
    let mut tables = Tables::default();
    for (file, source) in sources.iter().enumerate() {
        match &source.text {
            Ok(text) => parse_file(file, text, &mut tables, &mut findings),
            Err(fault) => {
                findings.unreadable(Place { file, offset: 0 }, "file", fault.clone());
            }
        }
    }
    let names = Names::of(&tables);
    check(&tables, &files, &mut findings);
    rules::check(&tables, &names, &files, &mut findings);
    let empty = tables.peers.is_empty() && !tables.peer_invalid;
    if empty && !options.allow_empty && !findings.any_unreadable() {
        let remedy = "add a [[peer]], or pass --allow-empty";
        let fault = Fault::new("none found", remedy);
        findings.misplaced(Place { file: 0, offset: 0 }, "peer", fault);
    }
    let base = sources.first().and_then(|source| source.path.parent()).unwrap_or(Path::new(""));
    match build(&tables, &names, base) {
        Some(relay) if findings.is_empty() => {
            let mut warnings = Findings::default();
            let covered = Covered::of(&relay, &tables);
            covered.check(&mut findings, &mut warnings);
            if !findings.is_empty() {
                return Err(Problems::new(findings.into_problems(&files)));
            }
            reach::warn(&relay, &tables, &covered.sides, &mut warnings);
            covered.warn(&mut warnings);
            needless::warn(&covered, &files, &mut warnings);
            warn(&tables, relay.listen_port, &mut warnings);
            zone::warn(&relay, &tables, &mut warnings);
            let private_key_file =
                tables.relay.as_ref().and_then(|relay| relay.private_key_file.as_ref());
            let private_key_file =
                private_key_file.map_or(Place { file: 0, offset: 0 }, |path| path.place);
            Ok(Loaded {
                warnings: warnings.into_problems(&files),
                texts: sources.iter().filter_map(Source::read_text).collect(),
                private_key_file: files.locate(private_key_file),
                mesh: tables.mesh.as_ref().map(|mesh| {
                    let place =
                        mesh.private_key_file.as_ref().map_or(mesh.place, |path| path.place);
                    files.locate(place)
                }),
                peers: tables.peers.iter().map(|peer| locations(peer, &files)).collect(),
                rules: tables.rules.iter().map(|rule| rule_locations(rule, &files)).collect(),
                tests: tables.tests.iter().map(|test| test_locations(test, &files)).collect(),
                webhooks: tables.webhooks.iter().map(|it| webhook_location(it, &files)).collect(),
                relay,
            })
        }
        _ => Err(Problems::new(findings.into_problems(&files))),
    }
}

fn parse_file(file: usize, text: &str, tables: &mut Tables, findings: &mut Findings) {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let offset = error.span().map_or(text.len(), |span| span.start);
        let place = Place { file, offset };
        findings.unreadable(place, "syntax", Fault::new(error.message(), "correct the TOML"));
    }
    tables.read_file(file, root.get_ref(), findings);
}

fn locations(peer: &PeerTable, files: &Files<'_>) -> PeerLocations {
    let public_key = peer.public_key.as_ref().map_or(peer.place, |key| key.place);
    PeerLocations {
        public_key: files.locate(public_key),
        preshared_key_file: peer.preshared_key_file.as_ref().map(|path| files.locate(path.place)),
    }
}

fn rule_locations(rule: &RuleTable, files: &Files<'_>) -> RuleLocations {
    let name = rule.name.as_ref().map_or(rule.place, |name| name.place);
    RuleLocations {
        name: files.locate(name),
        until: rule.until.as_ref().map(|until| files.locate(until.place)),
    }
}

fn test_locations(test: &TestTable, files: &Files<'_>) -> TestLocations {
    let locate = |list: &List<Service>| {
        list.items.iter().map(|service| files.locate(service.place)).collect()
    };
    TestLocations { allow: locate(&test.allow), deny: locate(&test.deny) }
}

fn webhook_location(webhook: &WebhookTable, files: &Files<'_>) -> Location {
    files.locate(webhook.secret_file.as_ref().map_or(webhook.place, |path| path.place))
}
