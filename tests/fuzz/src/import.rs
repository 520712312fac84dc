//! `relay import`: a hub's wg-quick file becomes a configuration that loads, or an error; and its keys
//! are nowhere but in their files.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use relay::{
    config::{Import, ImportError},
    engine,
};

use crate::{run::Run, terminal};

const OUTPUT: &str = "/nonexistent/relay.toml";

pub(crate) fn start() -> Run {
    Box::new(|input| {
        let shown = String::from_utf8_lossy(input);
        let interface = "wg0".parse().expect("a name");
        let import = match Import::parse(input, Some(&interface), Path::new(OUTPUT)) {
            Ok(import) => import,
            Err(ImportError::Lines(lines)) => {
                assert!(!lines.is_empty(), "an error without a line");
                for line in lines {
                    terminal::check(line, &shown);
                }
                return;
            }
            Err(ImportError::Problems(problems)) => panic!("parsed, and then: {problems}"),
        };
        for remark in import.remarks() {
            terminal::check(remark, &shown);
        }
        let loaded = match import.load(Path::new(OUTPUT)) {
            Ok(loaded) => loaded,
            Err(error) => panic!("{error}\n{}", import.text()),
        };
        if let Err(error) = engine::compile(&loaded) {
            panic!("{}\n{}", error.chain(), import.text());
        }
        let said: Vec<&str> = import.remarks().iter().map(|remark| remark.text.as_str()).collect();
        for secret in secrets(&shown) {
            assert!(!import.text().contains(secret), "a key in the configuration");
            assert!(said.iter().all(|said| !said.contains(secret)), "a key in a remark");
        }
    })
}

/// Values of private and preshared keys that are not also written as something else.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    let lines = || text.lines().filter_map(|line| line.split_once('='));
    let is_secret = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        name == "privatekey" || name == "presharedkey"
    };
    let elsewhere: String =
        lines().filter(|(name, _)| !is_secret(name)).map(|(_, value)| value).collect();
    lines()
        .filter(move |(name, _)| is_secret(name))
        .map(|(_, value)| value.trim())
        .filter(|value| STANDARD.decode(value).is_ok_and(|key| key.len() == 32))
        .filter(move |value| !elsewhere.contains(value))
}
