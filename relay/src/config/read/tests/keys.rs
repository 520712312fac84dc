use super::{super::keys::ANY, *};

const PEER: &str = "[[peer]]\nname = \"b\"\npublic_key = \"{KEY_B}\"\naddress = [\"10.3.2.3\"]\n";

/// A configuration in which `line` is the only one of its table that is not required.
fn with(table: &Table, line: &str) -> String {
    let key = line.split(' ').next().expect("a key");
    let without = |text: &str| -> String {
        let keep = |text: &&str| text.split(' ').next() != Some(key);
        text.split_inclusive('\n').filter(keep).collect()
    };
    match table.name {
        "groups" => format!("{}[groups]\n{}\n", peers(), line.replace("NAME", "ops")),
        "rule" | "test" | "webhook" | "mesh.relay" => {
            let required: String = table
                .keys
                .iter()
                .filter(|row| row.name != key)
                .filter(|row| row.absent == Absent::Error || row.name == "allow")
                .map(|row| format!("{} = {}\n", row.name, row.example))
                .collect();
            format!("{}{}\n{required}{line}\n", peers(), table.header)
        }
        "relay" => format!("{}{line}\n{PEER}", without(&filled("{RELAY}\n"))),
        "names" if key != "zone" => {
            format!("{{RELAY}}\n[names]\nzone = \"relay.internal\"\n{line}\n{PEER}")
        }
        "mesh" if key != "relay" => {
            let relay = table.key("relay").expect("a key").example;
            format!("{{RELAY}}\n[mesh]\n{line}\nrelay = {relay}\n{PEER}")
        }
        "peer" => format!("{{RELAY}}\n{}{line}\n", without(PEER)),
        _ => format!("{{RELAY}}\n{}\n{line}\n{PEER}", table.header),
    }
}

/// A relay with the groups and peers that the examples of rules name.
fn peers() -> String {
    let mut text = filled("{RELAY}\n");
    for (index, (name, group)) in
        [("ann", "admins"), ("bob", "interns"), ("web-1", "servers"), ("db", "servers")]
            .iter()
            .enumerate()
    {
        let key = crate::model::PublicKey::from_bytes([u8::try_from(index).expect("few") + 1; 32]);
        let address = index + 2;
        text.push_str(&format!(
            "[[peer]]\nname = \"{name}\"\npublic_key = \"{key}\"\naddress = [\"10.3.2.{address}\"]\n\
             groups = [\"{group}\"]\n"
        ));
    }
    text
}

fn rows() -> impl Iterator<Item = (&'static Table, &'static Key)> {
    TABLES.into_iter().flat_map(|table| table.keys.iter().map(move |key| (table, key)))
}

#[test]
fn each_example_is_taken() {
    for (table, key) in rows().filter(|(_, key)| key.name != "public_key") {
        let text = with(table, &format!("{} = {}", key.name, key.example));
        assert!(parsed(&text).is_ok(), "{}: {}", table.header, problems(&[&text]));
    }
}

#[test]
fn each_default_is_what_holds_without_the_key() {
    for (table, key) in rows() {
        let Absent::Value(value) = key.absent else { continue };
        // Any other line makes the table, so that only the key itself is left out.
        let without = match table.name {
            "guard" => {
                with(table, if key.name == "mode" { "burst = 200" } else { "mode = \"auto\"" })
            }
            "rule" => with(table, "ports = [\"tcp/22\"]"),
            "webhook" => with(table, "name = \"ops\""),
            "mesh" => {
                with(table, &format!("relay = {}", table.key("relay").expect("a key").example))
            }
            _ => format!("{{RELAY}}\n{PEER}"),
        };
        let relay = |text: &str| parsed(text).expect("no problems").relay;
        let line = match table.name {
            "rule" => format!("ports = [\"tcp/22\"]\n{} = {value}", key.name),
            _ => format!("{} = {value}", key.name),
        };
        assert_eq!(relay(&with(table, &line)), relay(&without), "{}: {line}", table.header);
    }
}

#[test]
fn what_is_inherited_is_there() {
    for (table, key) in rows() {
        let Absent::Inherits(from) = key.absent else { continue };
        let from = TABLES.into_iter().find(|table| table.name == from).expect("a table");
        assert!(from.key(key.name).is_some(), "{}: {}", table.header, key.name);
    }
}

#[test]
fn the_full_example_has_each_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/full.toml");
    let text = std::fs::read_to_string(path).expect("an example");
    for table in TABLES {
        let start = text.find(&format!("\n{}\n", table.header)).expect("a table");
        let body = &text[start + 2..];
        let body = &body[..body.find("\n[").unwrap_or(body.len())];
        for key in
            table.keys.iter().filter(|key| key.name != ANY && !matches!(key.kind, Kind::Tables(_)))
        {
            let written = |line: &str| line.split([' ', '=']).next() == Some(key.name);
            assert!(body.lines().any(written), "{}: {}", table.header, key.name);
        }
    }
}
