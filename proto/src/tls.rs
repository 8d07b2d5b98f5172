//! TLS between services, for clusters whose network is not trusted. Optional, and mutual where the server is given the
//! authority that signs its callers' certificates.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};

/// A certificate chain and its key, both as PEM.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub chain: &'a [u8],
    pub key: &'a [u8],
}

/// How a server shows who it is, and whom it lets in.
#[derive(Clone)]
pub struct ServerTls(pub(crate) TlsAcceptor);

/// How a caller knows a server, and shows who it is.
#[derive(Clone)]
pub struct ClientTls {
    pub(crate) connector: TlsConnector,
    pub(crate) server_name: ServerName<'static>,
}

/// Certificates or keys that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read the {what}: {source}")]
    Pem { what: &'static str, source: rustls::pki_types::pem::Error },
    #[error("read the {0}: there is no certificate in it")]
    Empty(&'static str),
    #[error("use the certificate and its key: {0}")]
    Identity(#[source] rustls::Error),
    #[error("trust the authority: {0}")]
    Authority(#[source] rustls::Error),
    #[error("trust the authority of the callers: {0}")]
    Callers(#[from] VerifierBuilderError),
    #[error("the server's name is no host name: {0}")]
    ServerName(#[from] InvalidDnsNameError),
}

impl ServerTls {
    /// With `callers`, the PEM of an authority, only callers with a certificate of it are let in.
    pub fn new(identity: Identity<'_>, callers: Option<&[u8]>) -> Result<Self, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Identity)?;
        let builder = match callers {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let roots = Arc::new(roots(authority)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (chain, key) = identity.parse()?;
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Identity)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

impl ClientTls {
    /// Trusts servers with a certificate of `authority` (PEM) for `server_name`, whatever address they are reached at.
    pub fn new(
        authority: &[u8],
        server_name: &str,
        identity: Option<Identity<'_>>,
    ) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Identity)?
            .with_root_certificates(roots(authority)?);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.parse()?;
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Identity)?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        let server_name = ServerName::try_from(server_name.to_owned())?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }
}

impl Identity<'_> {
    fn parse(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = PrivateKeyDer::from_pem_slice(self.key)
            .map_err(|source| TlsError::Pem { what: "key", source })?;
        Ok((certificates(self.chain, "certificate")?, key))
    }
}

fn roots(authority: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority, "authority")? {
        roots.add(certificate).map_err(TlsError::Authority)?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { what, source })?;
    if all.is_empty() { Err(TlsError::Empty(what)) } else { Ok(all) }
}

/// Named, so that it does not matter what else in the program brings a provider along.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// HTTP/2 and nothing else.
const ALPN: &[u8] = b"h2";
