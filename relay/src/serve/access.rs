use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    },
};
use zeroize::Zeroizing;

use super::token::{Token, TokenError};
use crate::{
    config::read_regular,
    engine::{Classified, Kind},
};

/// Files that let others than this host connect.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The certificate and its intermediates, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The token that requests have to carry.
    pub token: Option<PathBuf>,
}

/// How connections are accepted.
pub(super) struct Access {
    /// `None`: plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    /// `None`: whoever can connect may look.
    pub(super) token: Option<Token>,
}

/// Nothing is served, because it would be to whom it should not.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Others than this host could connect without TLS or without a token.
    #[error(
        "{listen} can be reached from other hosts, which needs TLS and a token; give {missing}, or \
         listen on 127.0.0.1 or [::1]"
    )]
    Exposed {
        /// The address to listen on.
        listen: SocketAddr,
        /// Options that are missing.
        missing: String,
    },
    /// A certificate without its key, or the reverse.
    #[error("found {found} without {missing}; TLS needs both")]
    Half {
        /// The option that was given.
        found: &'static str,
        /// The one that was not.
        missing: &'static str,
    },
    /// A file that others could change or read.
    #[error(
        "{path}: found mode {found:04o}, expected a file that only its owner can write, and only its \
         owner and group can read; run `chmod g-wx,o= {path}`"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        found: u32,
    },
    /// A file that cannot be read.
    #[error("{path}: cannot read {what}")]
    Unread {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file without a usable certificate or key.
    #[error("{path}: found no {what} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// A certificate and a key that do not go together.
    #[error("{certificate} and {key}: TLS does not accept them")]
    Tls {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A token that is none.
    #[error("{path}: {source}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TokenError,
    },
}

impl Classified for AccessError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl Access {
    /// Decides how to listen on an address, and reads what that needs.
    ///
    /// # Errors
    /// Something is missing, or cannot be read.
    pub(super) fn new(listen: SocketAddr, credentials: &Credentials) -> Result<Self, AccessError> {
        let Credentials { certificate, key, token } = credentials;
        let options = [(certificate, "--certificate"), (key, "--key"), (token, "--token-file")];
        let missing: Vec<_> =
            options.iter().filter_map(|(file, option)| file.is_none().then_some(*option)).collect();
        if !listen.ip().is_loopback() && !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(AccessError::Exposed { listen, missing });
        }
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
            (None, None) => None,
            (Some(_), None) => {
                return Err(AccessError::Half { found: "--certificate", missing: "--key" });
            }
            (None, Some(_)) => {
                return Err(AccessError::Half { found: "--key", missing: "--certificate" });
            }
        };
        let token = token.as_deref().map(read_token).transpose()?;
        Ok(Self { tls, token })
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, AccessError> {
    let chain = parse(certificate, "certificate", |text| {
        let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
    })?;
    require_private(key, "private key")?;
    let private = parse(key, "private key", PrivateKeyDer::from_pem_slice)?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let config = config.map_err(|source| AccessError::Tls {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read_token(path: &Path) -> Result<Token, AccessError> {
    require_private(path, "token")?;
    let text = read(path, "token")?;
    Token::parse(&text).map_err(|source| AccessError::Token { path: path.to_owned(), source })
}

fn parse<T>(
    path: &Path,
    what: &'static str,
    of: impl FnOnce(&[u8]) -> Result<T, pem::Error>,
) -> Result<T, AccessError> {
    let text = read(path, what)?;
    of(&text).map_err(|source| AccessError::Pem { path: path.to_owned(), what, source })
}

fn require_private(path: &Path, what: &'static str) -> Result<(), AccessError> {
    let found = fs::metadata(path).map_err(unread(path, what))?.permissions().mode() & 0o7777;
    match found & 0o037 {
        0 => Ok(()),
        _ => Err(AccessError::Readable { path: path.to_owned(), found }),
    }
}

fn read(path: &Path, what: &'static str) -> Result<Zeroizing<Vec<u8>>, AccessError> {
    read_regular(path).map(Zeroizing::new).map_err(unread(path, what))
}

fn unread(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> AccessError {
    let path = path.to_owned();
    move |source| AccessError::Unread { path, what, source }
}
