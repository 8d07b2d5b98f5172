//! The certificate that clients are shown. It is renewed every few months, or weeks, while connections live on; so the files
//! are looked at again and again, and whoever shakes hands then gets the new one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::limits::CERTIFICATE_CHECK_MS;
use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{TlsError, provider};
use crate::config::TlsFiles;

/// See the module.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    current: RwLock<Current>,
}

struct Current {
    /// What stood in the files.
    pem: Pem,
    key: Arc<CertifiedKey>,
}

#[derive(PartialEq, Eq)]
struct Pem {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = RwLock::new(Current::of(Pem::read(&files)?, &files)?);
        Ok(Self { files, current })
    }

    /// Takes what stands in the files now, if that is something else; answers whether it is. What can't be used changes
    /// nothing, as when only one of the two has been replaced yet.
    pub(crate) fn refresh(&self) -> Result<bool, TlsError> {
        let pem = Pem::read(&self.files)?;
        if pem == self.current.read().pem {
            return Ok(false);
        }
        let new = Current::of(pem, &self.files)?;
        *self.current.write() = new;
        Ok(true)
    }

    /// Keeps it true to its files until it is stopped.
    pub(crate) async fn keep(&self, stop: &CancellationToken) {
        let pause = Duration::from_millis(CERTIFICATE_CHECK_MS);
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            match self.refresh() {
                Ok(true) => info!(file = %self.files.certificate.display(), "the certificate was replaced"),
                Ok(false) => {}
                Err(error) => warn!(%error, "the certificate stays as it is"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().key.clone())
    }
}

impl Current {
    fn of(pem: Pem, files: &TlsFiles) -> Result<Self, TlsError> {
        let shown = |path: &Path| path.display().to_string();
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem.chain)
            .collect::<Result<_, _>>()
            .map_err(|source| TlsError::Pem { path: shown(&files.certificate), source })?;
        if chain.is_empty() {
            return Err(TlsError::Empty(shown(&files.certificate)));
        }
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|source| TlsError::Pem { path: shown(&files.key), source })?;
        let key = CertifiedKey::from_der(chain, key, &provider())?;
        Ok(Self { pem, key: Arc::new(key) })
    }
}

impl Pem {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|source| TlsError::Unreadable { path: path.display().to_string(), source })
        };
        Ok(Self { chain: read(&files.certificate)?, key: read(&files.key)? })
    }
}

/// Nothing of the key.
impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}
