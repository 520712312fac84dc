use super::{example, relay, schema, stderr, stdout};

#[test]
fn the_configuration_alone_says_what_passes_and_what_to_write_where() {
    for (name, words, code) in [
        ("allowed", &["node-a", "node-b"][..], 0),
        ("allowed_by_address", &["10.3.2.2", "10.3.2.4"], 0),
        ("of_two_families", &["10.3.2.2", "fd00::3:2:3"], 2),
        ("denied", &["node-b", "10.3.2.4"], 1),
        ("unknown", &["node-b", "node-x"], 2),
        ("itself", &["node-b", "node-b"], 1),
    ] {
        let arguments = [&["explain", "--config-only"], words].concat();
        let output = relay(&example("one-to-many.toml"), &arguments);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        let directory = example("").display().to_string();
        insta::assert_snapshot!(name, said.replace(&directory, "/etc/relay/"));
        if !output.stdout.is_empty() {
            let arguments = [&arguments[..], &["--json"]].concat();
            let output = relay(&example("one-to-many.toml"), &arguments);
            let answer = schema::parse("explain", &stdout(&output));
            assert_eq!(answer["allowed"], code == 0, "{name}: {answer}");
        }
    }
}
