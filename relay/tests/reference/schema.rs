//! The parts of the JSON schemas that list every reason, and every outcome of the guard.

use relay_common::{Reason, guard::Outcome};

/// In the description of an object of counts, and how its fields are shown in a table.
pub(crate) const LISTS: [(&str, &str); 2] =
    [("One field for each reason", "<reason>"), ("One field for each outcome", "<outcome>")];

/// The schema with a field for every reason and outcome where it has fields for them.
pub(crate) fn filled(schema: &str) -> String {
    let reasons: Vec<_> = Reason::ALL.iter().map(|r| (r.label(), r.describe())).collect();
    let outcomes: Vec<_> = Outcome::ALL.iter().map(|o| (o.label(), o.describe())).collect();
    let [(of_reasons, _), (of_outcomes, _)] = LISTS;
    with_fields(&with_fields(schema, of_reasons, &reasons), of_outcomes, &outcomes)
}

/// Replaces `required` and `properties` of the object whose description holds `mark`.
fn with_fields(schema: &str, mark: &str, fields: &[(&str, &str)]) -> String {
    let mut lines = schema.lines();
    let mut text = String::new();
    while let Some(line) = lines.next() {
        text.push_str(&format!("{line}\n"));
        if !line.contains(mark) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        for (begin, end) in [("\"required\": [", "]"), ("\"properties\": {", "}")] {
            for line in lines.by_ref() {
                text.push_str(&format!("{line}\n"));
                if line.trim_start() == begin {
                    break;
                }
            }
            let fields: Vec<_> = fields
                .iter()
                .map(|(label, meaning)| match end {
                    "]" => format!("{indent}  \"{label}\""),
                    _ => format!(
                        "{indent}  \"{label}\": {{\n\
                         {indent}    \"description\": \"{meaning}\",\n\
                         {indent}    \"$ref\": \"#/$defs/count\"\n{indent}  }}"
                    ),
                })
                .collect();
            text.push_str(&fields.join(",\n"));
            let last = [format!("{indent}{end}"), format!("{indent}{end},")];
            let last = lines.by_ref().find(|line| last.iter().any(|last| last == line));
            text.push_str(&format!("\n{}\n", last.expect("the end of the list")));
        }
    }
    text
}
