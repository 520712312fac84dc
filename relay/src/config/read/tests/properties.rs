use proptest::prelude::*;

use super::*;

const VALID: &str = include_str!("../../../../../examples/full.toml");

fn parse_any(texts: &[&str]) -> Result<Loaded, Problems> {
    parse(&sources(texts), Options::default())
}

/// Pieces of which configurations are made, so that chance gets past the syntax.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "[relay]\n",
        "[defaults]\n",
        "[[peer]]\n",
        "[groups]\n",
        "[[rule]]\n",
        "[[test]]\n",
        "groups = [\"g\"]\n",
        "g = [\"a\", \"group:h\"]\n",
        "h = [\"group:g\"]\n",
        "from = [\"any\"]\n",
        "to = [\"group:g\", \"10.3.2.0/28\"]\n",
        "except = [\"a\"]\n",
        "from = \"a\"\n",
        "to = \"10.3.2.3\"\n",
        "ports = [\"tcp/22-80\", \"icmp\"]\n",
        "deny = [\"tcp/22\"]\n",
        "until = 2030-01-01T00:00:00Z\n",
        "peer = [{}]\n",
        "address = [\"10.3.2.1/24\"]\n",
        "address = [\"10.3.2.2\", \"fd00::3:2:2\"]\n",
        "address = [\"fd00::3:2:1/120\"]\n",
        "name = \"a\"\n",
        "name = \"b\"\n",
        "public_key = \"{KEY_A}\"\n",
        "public_key = \"{KEY_B}\"\n",
        "allowed_ips = [\"0.0.0.0/0\", \"::/0\"]\n",
        "allowed_ips = [\"10.3.2.0/24\"]\n",
        "routes = [\"10.0.0.0/8\"]\n",
        "mtu = 1280\n",
        "host_access = [\"tcp/22\"]\n",
        "egress = \"stack\"\n",
        "endpoint = \"a:1\"\n",
        "\"",
        "[",
        "'''",
        "\u{feff}",
        "\r\n",
        "ä",
        "\0",
        "= ",
        "{",
        "}",
        "]",
        "# ",
    ]);
    prop_oneof![
        4 => fixed.prop_map(str::to_owned),
        1 => "[a-z_]{1,12} = (\"[^\"]{0,20}\"|-?[0-9]{1,30}|\\[\"[0-9a-f:./]{0,20}\"\\])\n",
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = parse_any(&[&text]);
    }

    #[test]
    fn pieces_of_configurations_never_panic(
        main in prop::collection::vec(piece(), 0..20),
        fragment in prop::collection::vec(piece(), 0..10),
    ) {
        if let Err(problems) = parse_any(&[&main.concat(), &fragment.concat()]) {
            prop_assert!(problems.iter().count() > 0, "an error without a problem");
        }
    }

    #[test]
    fn mutations_of_a_valid_file_never_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, piece()), 1..4),
    ) {
        let mut text: Vec<char> = VALID.chars().collect();
        for (at, len, put) in cuts {
            let start = at.index(text.len() + 1);
            let end = (start + len).min(text.len());
            text.splice(start..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = parse_any(&[&text]) {
            prop_assert!(problems.iter().count() > 0, "an error without a problem");
        }
    }

    #[test]
    fn every_problem_lies_in_its_file(main in prop::collection::vec(piece(), 0..20)) {
        let text = filled(&main.concat());
        if let Err(problems) = parse_any(&[&text]) {
            for problem in &problems {
                let line = text.split('\n').nth(problem.line - 1);
                prop_assert!(line.is_some_and(|line| problem.column <= line.chars().count() + 1));
            }
        }
    }

    #[test]
    fn an_address_that_parses_reads_back(text in "[0-9a-f:./]{1,20}") {
        if let Ok(network) = prefix::network(&text) {
            prop_assert_eq!(prefix::network(&network.to_string()), Ok(network));
            prop_assert_eq!(network.trunc(), network);
        }
    }
}
