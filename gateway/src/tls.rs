//! TLS at the gateway itself, for who has no proxy before it.
//!
//! An idle connection is what a gateway has most of, so rustls is used without its buffers (its *unbuffered* API): the shard's
//! own are used for records as they are for frames, and a connection holds keys and nothing else while nothing is on its way
//! ([`session`]). Between a shard and its sockets nothing changes; in particular a socket that is quiet has nothing left to
//! read, and one that has taken all has nothing left to send.
//!
//! Clients come back far more often than they come for the first time, so sessions are resumed by tickets, which cost the
//! server nothing to remember. Their keys are this process's own: at another pod a client shakes hands in full.

mod certificate;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, pki_types};

pub(crate) use certificate::Certificate;
pub(crate) use session::{RECORD_BYTES_MAX, Raw, Session};

use crate::config::TlsFiles;

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
}

/// Certificate and key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("read {path}: {source}")]
    Pem { path: String, source: pki_types::pem::Error },
    #[error("read {0}: there is no certificate in it")]
    Empty(String),
    #[error("use the certificate and its key: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate::load(files)?);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new()?;
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// A connection that has not begun to shake hands.
    pub(crate) fn session(&self) -> Result<Session, rustls::Error> {
        Session::new(self.config.clone())
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// Named, so that it does not matter what else in the program brings a provider along.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// WebSocket begins with HTTP/1.1. Who offers nothing is taken for that; who offers only others is told so by an alert.
const ALPN: &[u8] = b"http/1.1";
