//! What the verbs that look print as JSON.

use std::{io, time::SystemTime};

use axum::{
    extract::{FromRequestParts, Query, State},
    http::request::Parts,
    response::Response,
};
use relay_common::Reason;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Served, failure::Failure};
use crate::{
    config,
    engine::{
        self, Classified, Comparison, Diffed, DroppedReader, Ends, Extent, Filter, FlowFilter,
        HistorySubject, Kind, Result, Sight, Subject,
    },
    graph::{Drawing, Graph},
    model::PeerName,
};

/// Dropped packets that are listed by default, and at most: as many as the relay keeps.
pub(super) const LAST: u64 = 100;
pub(super) const LAST_MAX: u64 = 4096;

pub(super) const JSON: &str = "application/json";

/// A query whose every part is known.
pub(super) struct Asked<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(wrong) => Err(Failure::usage(wrong.body_text())),
        }
    }
}

/// A request without a query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfFlows {
    peer: Option<String>,
    rule: Option<String>,
    service: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfQuotas {
    peer: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfExplain {
    from: String,
    to: String,
    service: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfHistory {
    since: String,
    peer: Option<String>,
    from: Option<String>,
    to: Option<String>,
    rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfDropped {
    last: Option<u64>,
    from: Option<String>,
    to: Option<String>,
    reason: Option<String>,
}

pub(super) async fn status(
    State(served): State<Served>,
    _: Asked<Nothing>,
) -> Result<Response, Failure> {
    let read = async |sight: &mut Sight| {
        let now = SystemTime::now();
        encode(&engine::status(sight.context().await?, now, Extent::Site).await?)
    };
    served.json(read).await
}

pub(super) async fn stats(
    State(served): State<Served>,
    _: Asked<Nothing>,
) -> Result<Response, Failure> {
    served.json(async |sight: &mut Sight| encode(&sight.snapshot().await?)).await
}

pub(super) async fn pairs(
    State(served): State<Served>,
    _: Asked<Nothing>,
) -> Result<Response, Failure> {
    served.json(async |sight: &mut Sight| encode(&engine::pairs(sight.context().await?)?)).await
}

pub(super) async fn rules(
    State(served): State<Served>,
    _: Asked<Nothing>,
) -> Result<Response, Failure> {
    served.json(async |sight: &mut Sight| encode(&engine::rules(sight.context().await?)?)).await
}

pub(super) async fn flows(
    State(served): State<Served>,
    Asked(OfFlows { peer, rule, service }): Asked<OfFlows>,
) -> Result<Response, Failure> {
    let services = service.map(|text| config::parse_services(&text));
    let services = services.transpose().map_err(|wrong| Failure::usage(wrong.to_string()))?;
    let filter = FlowFilter { peer, rule, services: services.into_iter().collect() };
    let read = async move |sight: &mut Sight| {
        encode(&engine::flows(sight.context().await?, &filter).await?)
    };
    served.json(read).await
}

pub(super) async fn quotas(
    State(served): State<Served>,
    Asked(OfQuotas { peer }): Asked<OfQuotas>,
) -> Result<Response, Failure> {
    let peer = peer.map(|name| name.parse::<PeerName>()).transpose();
    let peer = peer.map_err(|wrong| Failure::usage(wrong.to_string()))?;
    let read = async move |sight: &mut Sight| {
        encode(&engine::quotas(sight.context().await?, peer.as_ref())?)
    };
    served.json(read).await
}

pub(super) async fn diff(
    State(served): State<Served>,
    _: Asked<Nothing>,
) -> Result<Response, Failure> {
    let read = async |sight: &mut Sight| {
        let file = &sight.source().config;
        let comparison = Comparison::with_running(sight.site(), file).await?;
        let difference = comparison.difference();
        let (concerned, lines) = (difference.concerned(), difference.lines());
        encode(&Diffed::new(&comparison, concerned, lines, None))
    };
    served.json(read).await
}

pub(super) async fn explain(
    State(served): State<Served>,
    Asked(OfExplain { from, to, service }): Asked<OfExplain>,
) -> Result<Response, Failure> {
    let service = service.map(|text| config::parse_service(&text)).transpose();
    let service = service.map_err(|wrong| Failure::usage(wrong.to_string()))?;
    let read = async move |sight: &mut Sight| {
        let ends = Ends { a: &from, b: &to, service, show_packets: false };
        let source = sight.source();
        let subject = Subject::find(&source.config, source.interface.as_ref()).await?;
        encode(&engine::explain(sight.site(), subject, ends).await?)
    };
    served.json(read).await
}

pub(super) async fn graph(
    State(served): State<Served>,
    _: Asked<Nothing>,
) -> Result<Response, Failure> {
    let read = async |sight: &mut Sight| {
        let context = sight.context().await?;
        let traffic = engine::traffic(context).await?;
        let graph = Graph::new(context.relay(), engine::now());
        encode(&Drawing::of(&graph, Some(&traffic))?)
    };
    served.json(read).await
}

pub(super) async fn dropped(
    State(served): State<Served>,
    Asked(OfDropped { last, from, to, reason }): Asked<OfDropped>,
) -> Result<Response, Failure> {
    let reason = reason.map(|label| {
        let known = Reason::from_label(&label);
        known.ok_or_else(|| Failure::usage(format!("{label:?} is no reason")))
    });
    let reasons = reason.transpose()?.into_iter().collect();
    let last = last.unwrap_or(LAST);
    if last > LAST_MAX {
        let why =
            format!("found last={last}, expected at most {LAST_MAX}: the relay keeps no more");
        return Err(Failure::usage(why));
    }
    let filter = Filter { from, to, reasons, since: None };
    let read = async move |sight: &mut Sight| {
        let (_, dropped) = DroppedReader::open(sight.context().await?, filter, last)?;
        encode(&dropped)
    };
    served.json(read).await
}

pub(super) async fn history(
    State(served): State<Served>,
    Asked(asked): Asked<OfHistory>,
) -> Result<Response, Failure> {
    let OfHistory { since, .. } = &asked;
    let span = humantime::parse_duration(since).map_err(|wrong| {
        Failure::usage(format!("since: found {since:?}, expected a time such as 1h or 7d: {wrong}"))
    })?;
    let read = async move |sight: &mut Sight| {
        let subject = asked.subject()?;
        let state = sight.site().state.to_owned();
        let relay = sight.context().await?.relay();
        encode(&engine::history(&state, relay, subject, span)?)
    };
    served.json(read).await
}

/// A history of several things at once is asked for.
#[derive(Debug, thiserror::Error)]
#[error("expected nothing beside since, or peer, or from and to, or rule")]
struct Ambiguous;

impl Classified for Ambiguous {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl OfHistory {
    fn subject(&self) -> Result<HistorySubject<'_>, Ambiguous> {
        match (&self.peer, &self.from, &self.to, &self.rule) {
            (None, None, None, None) => Ok(HistorySubject::Relay),
            (Some(peer), None, None, None) => Ok(HistorySubject::Peer(peer)),
            (None, Some(from), Some(to), None) => Ok(HistorySubject::Pair(from, to)),
            (None, None, None, Some(rule)) => Ok(HistorySubject::Rule(rule)),
            _ => Err(Ambiguous),
        }
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value).map_err(io::Error::from)?)
}

impl Served {
    /// Answers with JSON that the thread that reads makes.
    async fn json(
        self,
        read: impl AsyncFnOnce(&mut Sight) -> Result<Vec<u8>> + Send + 'static,
    ) -> Result<Response, Failure> {
        let place = self.room.take().await?;
        Ok(place.answer(JSON, self.reader.ask(read).await?))
    }
}
