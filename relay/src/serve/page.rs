//! The page, which is part of the binary. It asks for nothing that this server does not have.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use blake2::{Blake2s256, Digest as _};

use super::{Served, failure};

/// A file: its path below page/, and its content.
type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_bytes!(concat!("page/", $path)))),+]
    };
}

/// What / answers.
const INDEX: &str = "index.html";

const FILES: &[File] = files![
    "answer.js",
    "answers.css",
    "api.js",
    "chart.js",
    "dom.js",
    "drawing.js",
    "events.js",
    "graph-model.js",
    "history-panel.js",
    "icon.svg",
    "index.html",
    "live.js",
    "main.js",
    "meter.js",
    "parts.css",
    "peer-table.js",
    "peers.css",
    "pictures.css",
    "presence.js",
    "problems.js",
    "reasons.js",
    "relations.js",
    "sparkline.js",
    "store.js",
    "style.css",
    "summary.js",
    "theme.js",
    "units.js",
    "vendor/uPlot.LICENSE",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
    "views/dropped.js",
    "views/events.js",
    "views/explain.js",
    "views/graph.js",
    "views/history.js",
    "views/peer.js",
    "views/peers.js",
];

pub(super) fn routes() -> Router<Served> {
    Router::new().route("/", get(index)).route("/page/{*path}", get(file))
}

async fn index(headers: HeaderMap) -> Response {
    answer(INDEX, &headers).await
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&path, &headers).await
}

async fn answer(path: &str, headers: &HeaderMap) -> Response {
    let Some((path, content)) = FILES.iter().find(|(known, _)| *known == path) else {
        return failure::not_found().await.into_response();
    };
    let tag = tag(content);
    // A browser asks again each time, and takes what it has if that is the same.
    let own = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type(path))),
        (header::ETAG, tag.clone()),
    ];
    match headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        true => (StatusCode::NOT_MODIFIED, own).into_response(),
        false => (own, *content).into_response(),
    }
}

/// The entity tag of a content (RFC 9110, section 8.8.3).
fn tag(content: &[u8]) -> HeaderValue {
    let hash = Blake2s256::digest(content);
    let digits: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{digits}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/page");
        let mut found = BTreeSet::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("a file").path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => {
                        let below = path.strip_prefix(&root).expect("below it");
                        found.insert(below.to_str().expect("text").to_owned());
                    }
                }
            }
        }
        let served: BTreeSet<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(served, found);
    }

    #[test]
    fn the_page_knows_every_reason() {
        let (_, content) = FILES.iter().find(|(path, _)| *path == "reasons.js").expect("the file");
        let text = std::str::from_utf8(content).expect("text");
        for reason in relay_common::Reason::ALL {
            for known in [reason.label(), reason.describe()] {
                assert!(text.contains(known), "reasons.js does not have {known:?}");
            }
        }
    }

    /// The policy of its own header forbids both, and the network may not have any.
    #[test]
    fn nothing_of_the_page_is_inline_or_from_elsewhere() {
        let ours = FILES.iter().filter(|(path, _)| !path.starts_with("vendor/"));
        for (path, content) in ours {
            let text = std::str::from_utf8(content).expect("text");
            for outside in ["http://", "https://", "//cdn", "@import"] {
                let text = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(outside), "{path}: {outside}");
            }
            for inline in [" style=\"", "<style", "<script>", " onclick=", "innerHTML", "eval("] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
    }
}
