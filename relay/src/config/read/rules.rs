//! Errors of groups, rules and tests: names that nobody has, and values that contradict each other.

use super::{
    fault::Fault,
    findings::Findings,
    names::Names,
    place::{Files, Located},
    selector::{Member, Named, NamedEnd},
    tables::{Tables, TestTable},
};
use crate::model::{GroupName, MAX_RULES, PeerName};

pub(super) fn check(
    tables: &Tables,
    names: &Names<'_>,
    files: &Files<'_>,
    findings: &mut Findings,
) {
    // A file that cannot be read may have the name.
    if !findings.any_unreadable() {
        check_names(tables, names, findings);
    }
    check_cycles(tables, names, findings);
    check_unique(tables, files, findings);
    if let Some(rule) = tables.rules.get(MAX_RULES) {
        let problem = format!("is one more than the {MAX_RULES} that a relay can have");
        let remedy = "join rules: one can have many groups, networks and ports";
        findings.present(rule.place, rule.label.as_str(), Fault::new(problem, remedy));
    }
    for test in &tables.tests {
        check_test(test, files, findings);
    }
}

fn check_names(tables: &Tables, names: &Names<'_>, findings: &mut Findings) {
    for group in &tables.groups {
        let key = || format!("groups.{}", group.name.value);
        for Located { value, place } in &group.members.items {
            let fault = match value {
                Member::Peer(name) => no_peer(name, names),
                Member::Group(name) => no_group(name, names),
            };
            if let Some(fault) = fault {
                findings.present(*place, key(), fault);
            }
        }
    }
    for rule in &tables.rules {
        for (key, list) in rule.sides() {
            for Located { value, place } in &list.items {
                let fault = match value {
                    Named::Peer(name) => no_peer(name, names),
                    Named::Group(name) => no_group(name, names),
                    Named::Any | Named::Prefix(_) => None,
                };
                if let Some(fault) = fault {
                    findings.present(*place, format!("{}.{key}", rule.label), fault);
                }
            }
        }
    }
    for test in &tables.tests {
        for (key, Located { value, place }) in test.ends() {
            if let NamedEnd::Peer(name) = value
                && let Some(fault) = no_peer(name, names)
            {
                findings.present(*place, format!("test.{key}"), fault);
            }
        }
    }
}

fn no_peer(name: &PeerName, names: &Names<'_>) -> Option<Fault> {
    if names.peer(name).is_some() {
        return None;
    }
    let name = name.as_str();
    let is_group = name.parse::<GroupName>().is_ok_and(|group| names.group(&group).is_some());
    let is_address = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let remedy = match names.nearest_peer(name) {
        _ if is_address => {
            "write an address such as \"10.3.2.3\", or the name of a [[peer]]".to_owned()
        }
        _ if is_group => format!("write \"group:{name}\" for the group"),
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => "write the name of a [[peer]]".to_owned(),
    };
    Some(Fault::new(format!("no peer is named \"{name}\""), remedy))
}

fn no_group(name: &GroupName, names: &Names<'_>) -> Option<Fault> {
    if names.group(name).is_some() {
        return None;
    }
    let name = name.as_str();
    let is_peer = name.parse::<PeerName>().is_ok_and(|peer| names.peer(&peer).is_some());
    let remedy = match names.nearest_group(name) {
        Some(nearest) => format!("did you mean \"group:{nearest}\"?"),
        None if is_peer => format!("write \"{name}\" for the peer"),
        None => "add it to [groups], or to groups of its peers".to_owned(),
    };
    Some(Fault::new(format!("no group is named \"{name}\""), remedy))
}

fn check_cycles(tables: &Tables, names: &Names<'_>, findings: &mut Findings) {
    for cycle in &names.cycles {
        let [first, rest @ ..] = cycle.as_slice() else { continue };
        let name = |group: &usize| names.resolved[*group].name;
        let inner = name(rest.first().unwrap_or(first));
        let entry = tables.groups.iter().find(|entry| entry.name.value == *name(first));
        let member = entry.and_then(|entry| {
            let mut members = entry.members.items.iter();
            members.find(|it| matches!(&it.value, Member::Group(group) if group == inner))
        });
        let Some(member) = member else { continue };
        let path: Vec<String> =
            cycle.iter().chain([first]).map(|it| name(it).to_string()).collect();
        let problem = match rest {
            [] => "contains itself".to_owned(),
            _ => format!("contains itself ({})", path.join(", ")),
        };
        let fault = Fault::new(problem, format!("remove \"group:{inner}\" here, or a later step"));
        let fault = match rest {
            [] => Fault::new(fault.problem, format!("remove \"group:{inner}\"")),
            _ => fault,
        };
        findings.present(member.place, format!("groups.{}", name(first)), fault);
    }
}

fn check_unique(tables: &Tables, files: &Files<'_>, findings: &mut Findings) {
    for (name, at) in files.repeated(tables.rules.iter().filter_map(|rule| rule.name.as_ref())) {
        let problem = format!("is already that of another rule ({at})");
        let fault = Fault::new(problem, "give each rule its own name");
        findings.present(name.place, format!("rule.{}.name", name.value), fault);
    }
    for (name, at) in files.repeated(tables.groups.iter().map(|group| &group.name)) {
        let fault = Fault::new(format!("is already a group ({at})"), "join both lists in one");
        findings.present(name.place, format!("groups.{}", name.value), fault);
    }
}

fn check_test(test: &TestTable, files: &Files<'_>, findings: &mut Findings) {
    for denied in &test.deny.items {
        let allowed = test.allow.items.iter().find(|allowed| allowed.value == denied.value);
        if let Some(allowed) = allowed {
            let at = files.file_and_line(allowed.place);
            let problem = format!("{} is also in allow ({at})", denied.value);
            findings.present(denied.place, "test.deny", Fault::new(problem, "remove one"));
        }
    }
    if let (Some(from), Some(to)) = (&test.from, &test.to) {
        let fault = match (&from.value, &to.value) {
            (from, to) if from == to => {
                let problem = "is the same as from, and nothing passes from a peer to itself";
                Fault::new(problem, "name another peer")
            }
            (NamedEnd::Address(from), NamedEnd::Address(to)) if from.is_ipv4() != to.is_ipv4() => {
                let problem = format!("{to} is of another address family than {from}");
                Fault::new(problem, "write two addresses of one family")
            }
            _ => return,
        };
        findings.present(to.place, "test.to", fault);
    }
}
