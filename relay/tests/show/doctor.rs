use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{example, relay, stderr, stdout};

#[test]
fn its_json_has_the_keys_of_the_schema_and_every_check() {
    let output = relay(&example("one-to-many.toml"), &["doctor", "--json"]);
    let schema = schema();
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(keys(&report), keys(&schema["properties"]));
    let finding = &schema["$defs"]["finding"]["properties"];
    let findings = report["findings"].as_array().expect("findings");
    for found in findings {
        assert_eq!(keys(found), keys(finding));
        for key in ["check", "level"] {
            let allowed = finding[key]["enum"].as_array().expect("an enumeration");
            assert!(allowed.contains(&found[key]), "{found}");
        }
        assert!(found["found"].as_str().is_some_and(|text| !text.is_empty()), "{found}");
    }
    let names = |values: &[Value]| -> BTreeSet<String> {
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let found: Vec<Value> = findings.iter().map(|finding| finding["check"].clone()).collect();
    assert_eq!(names(&found), names(finding["check"]["enum"].as_array().expect("it")));
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
    assert!(stdout(&output).contains("→ mount -t bpf bpf /nowhere"), "{}", stdout(&output));
}

#[test]
fn a_broken_configuration_is_one_finding_and_the_host_is_judged_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("relay.toml");
    fs::write(&config, "[relay]\naddress = [\"10.3.2.1/24\"]\nendpiont = 1\n").expect("a file");
    let output = relay(&config, &["doctor"]);
    let text = stdout(&output);
    assert!(text.contains("the nearest is endpoint"), "{text}");
    assert!(text.contains("kernel") && !text.contains("overlay  "), "{text}");
    // 3 where this host lacks something besides.
    assert!(matches!(output.status.code(), Some(2 | 3)), "{}", stderr(&output));
}

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.schema.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the schema")).expect("JSON")
}

fn keys(value: &Value) -> BTreeSet<&String> {
    value.as_object().expect("an object").keys().collect()
}
