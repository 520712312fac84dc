use super::Result;
use crate::{
    config::{Loaded, Problems},
    policy::{self, Compiled, Sources, first_beyond},
};

/// Compiles the policy of a configuration, without the host's addresses.
///
/// # Errors
/// The policy is too large: at the first rule that goes past what a generation holds, or because of
/// the lists.
pub fn compile(loaded: &Loaded) -> Result<Compiled> {
    let relay = &loaded.relay;
    let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
    let rules: Vec<u32> = (1..).take(relay.rules.len()).collect();
    let sources = Sources { relay, host_addresses: &[], slots: &slots };
    policy::compile(&sources, &rules).map_err(|error| {
        let beyond = first_beyond(&sources)
            .and_then(|rule| loaded.beyond(rule, error.problem(), error.remedy()));
        match beyond {
            Some(problem) => Problems::from_iter([problem]).into(),
            None => error.into(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, path::Path};

    use super::*;
    use crate::{
        config::{Draft, Options},
        datapath::policy_hash,
        model::PublicKey,
        policy::CompileError,
    };

    fn loaded(text: String) -> Loaded {
        let path = Path::new("/nowhere/relay.toml");
        let mut draft = Draft::read(path);
        draft.put(path, text).expect("the main file");
        draft.load(Options::default()).expect("a configuration")
    }

    fn said(text: String) -> String {
        compile(&loaded(text)).expect_err("too much").chain()
    }

    fn peers(count: u16) -> String {
        let mut text = "[relay]\naddress = [\"10.3.0.1/16\"]\n".to_owned();
        for peer in 0..count {
            let [high, low] = (peer + 2).to_be_bytes();
            let mut key = [high; 32];
            key[0] = low;
            let key = PublicKey::from_bytes(key);
            writeln!(
                text,
                "[[peer]]\nname = \"p{peer}\"\npublic_key = \"{key}\"\naddress = [\"10.3.{high}.{low}\"]"
            )
            .expect("text");
        }
        text
    }

    #[test]
    fn webhooks_are_no_part_of_the_policy() {
        let webhook = "[[webhook]]\nname = \"ops\"\nurl = \"https://hooks.example.org\"\n\
                       secret_file = \"ops.secret\"\n";
        let hash = |text| policy_hash(&compile(&loaded(text)).expect("a policy"));
        assert_eq!(hash(peers(2)), hash(peers(2) + webhook));
        assert_ne!(hash(peers(2)), hash(peers(3)));
    }

    #[test]
    fn the_rule_that_needs_more_than_there_is_has_its_place() {
        let ports = |transport: &str, count: u16| {
            let ports: Vec<_> = (1..=count).map(|port| format!("\"{transport}/{port}\"")).collect();
            ports.join(", ")
        };
        let mut many_ports = peers(2);
        for (name, ports) in [
            ("web", "\"tcp\"".to_owned()),
            ("all", ports("tcp", u16::MAX)),
            ("dns", "\"udp/53\"".to_owned()),
            ("games", ports("udp", 40)),
        ] {
            writeln!(
                many_ports,
                "[[rule]]\nname = \"{name}\"\nfrom = [\"p0\"]\nto = [\"p1\"]\nports = [{ports}]"
            )
            .expect("text");
        }
        // Each pair of peers has rules of its own.
        let mut many_sets = peers(260);
        for peer in 0..260 {
            writeln!(
                many_sets,
                "[[rule]]\nname = \"from-{peer}\"\nfrom = [\"p{peer}\"]\nto = [\"any\"]\n\
                 ports = [\"tcp/22\"]\n\
                 [[rule]]\nname = \"to-{peer}\"\nfrom = [\"any\"]\nto = [\"p{peer}\"]\n\
                 ports = [\"udp/53\"]"
            )
            .expect("text");
        }
        let others = [
            CompileError::TooManyCells { found: 1 << 26 },
            CompileError::TooManyGrants { found: 1 << 23 },
        ];
        let said = [said(many_ports), said(many_sets)].into_iter();
        let said = said.chain(others.map(|error| error.to_string())).collect::<Vec<_>>();
        insta::assert_snapshot!(said.join("\n").replace("\n\n", "\n"));
    }
}
