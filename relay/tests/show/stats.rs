use super::{example, relay, stderr};

#[test]
fn a_live_table_needs_a_terminal() {
    let output = relay(&example("one-to-many.toml"), &["stats", "--watch"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("standard output is none"), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "nothing is drawn into a pipe");
}

#[test]
fn one_form_at_a_time_and_no_setting_of_a_table_that_is_not_there() {
    for arguments in [
        &["stats", "--json", "--dump"][..],
        &["stats", "--prometheus", "--watch"],
        &["stats", "--sort", "rx"],
        &["stats", "--filter", "a"],
        &["stats", "--interval", "2"],
        &["stats", "--watch", "--interval", "0"],
        &["stats", "--watch", "--sort", "colour"],
        &["stats", "--all"],
        &["stats", "--json", "--all"],
        &["stats", "--prometheus", "--all", "--rules"],
        &["stats", "--openmetrics", "--prometheus", "--all"],
        &["stats", "--prometheus", "--compat"],
        &["stats", "--prometheus", "--most-pairs", "3"],
    ] {
        let output = relay(&example("one-to-many.toml"), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}
