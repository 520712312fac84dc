use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{example, relay, schema, stderr, stdout};

#[test]
fn its_json_is_as_the_schema_says_and_has_every_check() {
    let output = relay(&example("one-to-many.toml"), &["doctor", "--json"]);
    let report = schema::parse("doctor", &stdout(&output));
    let findings = report["findings"].as_array().expect("findings");
    let found: BTreeSet<_> =
        findings.iter().filter_map(|finding| finding["check"].as_str()).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.schema.json");
    let text = fs::read_to_string(path).expect("the schema");
    let known: Value = serde_json::from_str(&text).expect("JSON");
    let known = &known["$defs"]["finding"]["properties"]["check"]["enum"];
    let known = known.as_array().expect("an enumeration").iter().filter_map(Value::as_str);
    assert_eq!(found, known.collect());
}

#[test]
fn it_exits_with_0_when_there_is_no_problem_and_3_when_the_host_lacks_something() {
    let output = relay(&example("one-to-many.toml"), &["doctor", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let expected = if report["ok"] == Value::Bool(true) { 0 } else { 3 };
    assert_eq!(output.status.code(), Some(expected), "{}", stderr(&output));

    let absent = ["doctor", "--bpffs", "/nowhere"];
    let output = relay(&example("one-to-many.toml"), &absent);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stdout(&output).contains("→ mount -t bpf -o mode=0700 bpf /nowhere"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_guard_is_looked_at_where_it_is_wanted() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("relay.toml");
    let text = fs::read_to_string(example("one-to-many.toml")).expect("the example");
    let guard = "[guard]\ninterfaces = [\"nowhere0\", \"lo\"]\n";
    fs::write(&config, format!("{text}\n{guard}")).expect("a file");
    let output = relay(&config, &["doctor", "--json"]);
    let report = schema::parse("doctor", &stdout(&output));
    let findings = report["findings"].as_array().expect("findings").iter();
    let of_guard: Vec<_> = findings.filter(|finding| finding["check"] == "guard").collect();
    // Without access to bpffs, the guard's state is unknown.
    if let [unknown] = of_guard[..] {
        assert_eq!(unknown["level"], "warning", "{unknown}");
        return;
    }
    let found: Vec<_> = of_guard.iter().filter_map(|finding| finding["found"].as_str()).collect();
    assert!(found[0].contains("found no interface nowhere0, expected one of lo"), "{found:?}");
    assert!(found[1].contains("lo has no Ethernet frames"), "{found:?}");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn a_broken_configuration_is_one_finding_and_the_host_is_judged_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("relay.toml");
    fs::write(&config, "[relay]\naddress = [\"10.3.2.1/24\"]\nendpiont = 1\n").expect("a file");
    let output = relay(&config, &["doctor"]);
    let text = stdout(&output);
    assert!(text.contains("did you mean endpoint?"), "{text}");
    assert!(text.contains("kernel") && !text.contains("overlay  "), "{text}");
    // 3 if this host lacks something else.
    assert!(matches!(output.status.code(), Some(2 | 3)), "{}", stderr(&output));
}
