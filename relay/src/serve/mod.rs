//! A relay to look at over HTTP: metrics, the JSON of the verbs that look, and what changes, live.
//!
//! It reads the kernel and the configuration, and changes neither: packets pass and are counted
//! without it. Beside that it answers names of peers (`names/`).

mod access;
mod answer;
mod api;
mod configuration;
mod endpoints;
mod events;
mod failure;
mod gate;
mod listener;
mod live;
mod metrics;
mod names;
mod openapi;
mod page;
mod reader;
mod recording;
mod stream;
mod token;
mod webhooks;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, middleware, routing::get};
use tokio::{net::TcpListener, sync::Semaphore};

use access::Access;
pub use access::{AccessError, Credentials};
use answer::Room;
use gate::Gate;
use listener::Limits;
use names::Answering;
use reader::Reader;
pub use webhooks::{PostError, Tried, TrustError, UnknownWebhook, try_webhook};
use webhooks::{Tallies, Webhooks};

use crate::engine::{self, ErrorContext as _, Result, Sight, Source, require_capabilities};

/// What is served, and to whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address and TCP port to listen on.
    pub listen: SocketAddr,
    /// Names besides `localhost` that requests to a loopback address may be for.
    pub hosts: Vec<String>,
    /// Certificate and token, which any other address needs.
    pub credentials: Credentials,
    /// What to look at.
    pub source: Source,
    /// What /metrics has.
    pub metrics: Metrics,
    /// Whether to record the history.
    pub records: bool,
}

/// What /metrics has beside what it always has.
#[derive(Debug, Clone, Copy)]
pub struct Metrics {
    /// How many pairs of peers have series of their own, those with most bytes.
    pub most_pairs: usize,
    /// Whether it also has the names of other exporters for WireGuard.
    pub compat: bool,
}

/// What every request is answered from.
#[derive(Clone)]
struct Served {
    reader: Reader,
    webhooks: Tallies,
    names: Answering,
    room: Room,
    /// For answers without an end.
    streams: Arc<Semaphore>,
    metrics: Metrics,
}

/// Clients that watch at once.
const STREAMS: usize = 32;

/// Serves until `end`. Calls `ready` with the address, and whether it speaks TLS, once connections
/// are accepted.
///
/// # Errors
/// The address needs credentials that are missing or cannot be read, it cannot be listened on, or the
/// process lacks a capability.
pub fn run(
    options: Options,
    ready: impl FnOnce(SocketAddr, bool) -> io::Result<()>,
    end: impl AsyncFnOnce() -> io::Result<()>,
) -> Result<()> {
    let Options { listen, hosts, credentials, source, metrics, records } = options;
    let access = Access::new(listen, &credentials)?;
    require_capabilities(source.verb)?;
    let notice = source.notice;
    let reader =
        Reader::start(Sight::new(source), records).context("start the thread that reads")?;
    let webhooks = Webhooks::start(reader.events().clone(), reader.configured(), notice);
    let webhooks = webhooks.context("start the thread that delivers to webhooks")?;
    let tallies = webhooks.tallies();
    let names = Answering::new();
    let is_tls = access.tls.is_some();
    let ended = engine::block_on(async {
        let listening = TcpListener::bind(listen).await;
        let listener = listening.with_context(|| format!("listen on {listen}"))?;
        let address = listener.local_addr().with_context(|| format!("listen on {listen}"))?;
        let gate = Gate::new(address, hosts, access.token);
        ready(address, is_tls)?;
        let app = gated(Served::new(reader.clone(), tallies, names.clone(), metrics), gate);
        tokio::select! {
            never = listener::accept(listener, access.tls, app, Limits::DEFAULT) => match never {},
            never = names::serve(names, reader.configured(), notice) => match never {},
            () = reader.ended() => Err(io::Error::other("the thread that reads has ended").into()),
            ended = end() => {
                reader.finish().await;
                Ok(ended?)
            }
        }
    });
    webhooks.finish();
    ended
}

impl Served {
    fn new(reader: Reader, webhooks: Tallies, names: Answering, metrics: Metrics) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS));
        Self { reader, webhooks, names, room: Room::new(), streams, metrics }
    }
}

/// Everything that is served, behind the gate.
fn gated(served: Served, gate: Gate) -> Router {
    let routes = Router::new()
        .route("/metrics", get(metrics::metrics))
        .nest("/api/v1", endpoints::routes())
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .merge(page::routes())
        .fallback(failure::not_found)
        .method_not_allowed_fallback(failure::not_allowed)
        .with_state(served);
    routes.layer(middleware::from_fn_with_state(Arc::new(gate), gate::check))
}

#[cfg(test)]
mod tests;
