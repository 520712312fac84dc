use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Place, subject::Which};
use crate::{
    engine::Result,
    serve::{self, Credentials, Metrics, Options},
    stats::MOST_PAIRS,
};

/// `relay serve`.
#[derive(Debug, Args)]
#[command(after_help = "Packets pass and are counted without it. It changes nothing of the relay \
                  and may be stopped at any time.\n\n\
                  /metrics is for Prometheus; /api/v1/openapi.json describes the API. What \
                  happens goes to each [[webhook]] of the configuration.\n\n\
                  On a loopback address it serves whoever can connect, for requests to localhost. \
                  Any other address needs --certificate, --key and --token-file.\n\nExamples:\n  \
    relay serve                 on http://127.0.0.1:9586\n  \
    curl -s localhost:9586/metrics\n  \
    curl -s 'localhost:9586/api/v1/explain?from=ann&to=db&service=tcp/22'\n  \
    relay serve --listen 192.0.2.1:9586 --certificate relay.crt --key relay.key \\\n      \
        --token-file token      to other hosts")]
pub(super) struct Serve {
    /// Address and TCP port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9586")]
    listen: SocketAddr,
    /// Also answer requests for this name on a loopback address, such as those that a proxy passes
    /// on; may be repeated.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// TLS certificate with its intermediates, PEM.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// File with the token that requests have to carry, at least 32 characters: `Authorization:
    /// Bearer TOKEN`, or as the password of any user.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Give the N pairs of peers with most bytes series of their own in /metrics, with `pair_stats =
    /// true`.
    #[arg(long, value_name = "N", default_value_t = MOST_PAIRS)]
    most_pairs: usize,
    /// Also give /metrics the names that wireguard_exporter and prometheus_wireguard_exporter use.
    #[arg(long)]
    compat: bool,
    /// Do not record the history that `relay usage` and `relay stats --since` read.
    #[arg(long)]
    no_history: bool,
    #[command(flatten)]
    which: Which,
}

impl Serve {
    pub(super) fn run(&self, place: Place<'_>) -> Result<()> {
        let options = Options {
            listen: self.listen,
            hosts: self.host.clone(),
            credentials: Credentials {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                token: self.token_file.clone(),
            },
            metrics: Metrics { most_pairs: self.most_pairs, compat: self.compat },
            records: !self.no_history,
            source: place.source("serve", &self.which),
        };
        let ready = |address, is_tls| {
            let scheme = if is_tls { "https" } else { "http" };
            let mut out = io::stdout().lock();
            writeln!(out, "serving on {scheme}://{address}")?;
            out.flush()
        };
        serve::run(options, ready, async || {
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                ended = tokio::signal::ctrl_c() => ended,
                _ = terminate.recv() => Ok(()),
            }
        })
    }
}
