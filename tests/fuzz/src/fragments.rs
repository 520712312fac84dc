//! A configuration in several files means what it means in one, if it means something in both.

use crate::{config::judged, run::Run};

/// Ends a file of the input; never part of a text in UTF-8.
const END: u8 = 0xff;

const PATHS: [&str; 4] = [
    "/nonexistent/relay.toml",
    "/nonexistent/relay.d/1.toml",
    "/nonexistent/relay.d/2.toml",
    "/nonexistent/relay.d/3.toml",
];

pub(crate) fn start() -> Run {
    Box::new(|input| {
        let texts = input.splitn(PATHS.len(), |byte| *byte == END).map(str::from_utf8);
        let Ok(texts) = texts.collect::<Result<Vec<_>, _>>() else { return };
        let files: Vec<_> = PATHS.into_iter().zip(texts.iter().copied()).collect();
        let Some(apart) = judged(&files) else { return };
        let whole = texts.join("\n");
        if let Some(joined) = judged(&[(PATHS[0], &whole)]) {
            assert_eq!(apart.relay, joined.relay);
        }
    })
}
