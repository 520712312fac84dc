use std::time::SystemTime;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};

use super::{Metrics, Served, failure::Failure};
use crate::{
    engine::{self, Sight},
    stats::{Exposition, Scrape, ScrapeStyle, render_scrape_into},
};

/// What Prometheus reads.
pub(super) async fn metrics(
    State(served): State<Served>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let format = wanted(&headers);
    let Metrics { most_pairs, compat } = served.metrics;
    let place = served.room.take().await?;
    let (webhooks, name_questions) = (served.webhooks.read(), served.names.questions());
    let scrape = served.reader.ask(async move |sight: &mut Sight| {
        engine::scrape(sight.context().await?, most_pairs).await
    });
    let scrape = Scrape { webhooks, name_questions, ..scrape.await? };
    let style = ScrapeStyle { format, compat, now: SystemTime::now() };
    Ok(place.stream(format.content_type(), move |text| render_scrape_into(text, &scrape, &style)))
}

/// The format that an `Accept` header prefers (RFC 9110, section 12.5.1); text if it is as good.
fn wanted(headers: &HeaderMap) -> Exposition {
    let mut best = [0.0_f32; 2];
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/openmetrics-text") => 0,
                Some("text/plain" | "text/*" | "*/*") => 1,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(Ok(1.0), str::parse).unwrap_or(0.0);
            best[format] = best[format].max(quality);
        }
    }
    if best[0] > best[1] { Exposition::OpenMetrics } else { Exposition::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        let of = |accept: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            }
            wanted(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;\
                          q=0.3,*/*;q=0.2";
        assert!(matches!(of(Some(prometheus)), Exposition::OpenMetrics));
        for accept in [
            None,
            Some("*/*"),
            Some("text/html,application/xhtml+xml,*/*;q=0.8"),
            Some("application/openmetrics-text;q=0.3, text/plain;q=0.5"),
            Some("application/openmetrics-text;q=none"),
        ] {
            assert!(matches!(of(accept), Exposition::Text), "{accept:?}");
        }
    }
}
