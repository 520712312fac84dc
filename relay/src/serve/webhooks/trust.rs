use std::sync::Arc;

use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto::ring};

/// Whose certificates are accepted: those that a root certificate of this host is behind.
#[derive(Default)]
pub(super) struct Trust {
    config: Option<Arc<ClientConfig>>,
}

/// Nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No root certificate can be read.
    #[error("no root certificate was found in /etc/ssl/certs{why}; install ca-certificates")]
    NoRoots {
        /// Why, if it is known.
        why: String,
    },
    /// The library offers no version of TLS.
    #[error("TLS cannot be used")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// For TLS connections. Root certificates are read at the first time, and anew after
    /// [`Self::forget`].
    ///
    /// # Errors
    /// There are none.
    pub(super) fn config(&mut self) -> Result<Arc<ClientConfig>, TrustError> {
        let config = match self.config.take() {
            Some(config) => config,
            None => Arc::new(trusting(roots()?)?),
        };
        Ok(Arc::clone(self.config.insert(config)))
    }

    /// Reads the root certificates anew: somebody may have added one meanwhile.
    pub(super) fn forget(&mut self) {
        self.config = None;
    }
}

/// For connections to whom these roots are behind.
pub(super) fn trusting(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Bundles hold some that are of no use here.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})"));
        return Err(TrustError::NoRoots { why: why.unwrap_or_default() });
    }
    Ok(roots)
}
