//! `docs/reference/configuration.md`, from the tables that the reader of the files uses.

use relay::config::{Absent, TABLES};

use crate::page;

#[test]
fn the_page_of_the_configuration_is_current() {
    let mut text = String::new();
    for table in TABLES {
        text.push_str(&format!("## `{}`\n\n{}\n\n", table.header, table.doc));
        for key in table.keys {
            text.push_str(&format!(
                "### `{table}.{key}`\n\n{doc}\n\n- Type: {kind}\n- {absent}\n\n\
                 ```toml\n{key} = {example}\n```\n\n",
                table = table.name,
                key = key.name,
                doc = key.doc,
                kind = key.kind,
                absent = absent(key.name, key.absent),
                example = key.example,
            ));
        }
    }
    page::check("configuration", &text);
}

fn absent(name: &str, absent: Absent) -> String {
    match absent {
        Absent::Error => "Required".to_owned(),
        Absent::Nothing => "Default: none".to_owned(),
        Absent::Value(value) => format!("Default: `{value}`"),
        Absent::Inherits(table) => format!("Default: `{name}` of `[{table}]`"),
    }
}
