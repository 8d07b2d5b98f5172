//! TLS to the nodes, by rustls.

use super::config::Tls;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why there is no TLS as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be read, or has not what it should have.
    #[error("read {what} from {}: {source}", file.display())]
    File {
        /// What is looked for in it.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// Nobody whose signature counts.
    #[error("no certificate authority is known; name a file with the one that signs the nodes' certificates")]
    NoAuthority,
    /// Certificates that rustls does not take.
    #[error("use the certificates: {0}")]
    Certificates(#[from] Error),
    /// Authorities that no verifier can be made of.
    #[error("use the certificate authorities: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// Checks who signed a certificate, and not for which address.
#[derive(Debug)]
struct AnyAddress(Arc<WebPkiServerVerifier>);

/// Makes `ring` the provider of cryptography of the whole process. The driver links another one, and of two rustls chooses
/// none by itself.
pub fn choose_ring() {
    // An error says that the process has one already.
    let _ = ring::default_provider().install_default();
}

pub(super) fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let authorities = Arc::new(authorities(tls.authorities.as_deref())?);
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier(tls, authorities, provider)?);
    let config = match &tls.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?)?
        }
    };
    Ok(Arc::new(config))
}

fn verifier(
    tls: &Tls,
    authorities: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(authorities, provider).build()?;
    Ok(if tls.names_addresses { verifier } else { Arc::new(AnyAddress(verifier)) })
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = match file {
        Some(file) => certificates(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(found);
    if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |source| TlsError::File { what: "certificates", file: file.to_owned(), source };
    CertificateDer::pem_file_iter(file).map_err(error)?.collect::<Result<_, _>>().map_err(error)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let error = |source| TlsError::File { what: "a private key", file: file.to_owned(), source };
    PrivateKeyDer::from_pem_file(file).map_err(error)
}

impl ServerCertVerifier for AnyAddress {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last, when everything else has been found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
