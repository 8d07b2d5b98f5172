//! TLS of gRPC, from the files that the settings name.

use std::path::Path;

use anyhow::Context as _;
use proto::tls::{ClientTls, Identity, ServerTls};

use crate::settings::Settings;

/// For calls to this process: where it has a certificate.
pub(super) fn of_server(settings: &Settings) -> anyhow::Result<Option<ServerTls>> {
    let files = Files::read(settings)?;
    let Some(identity) = files.identity() else { return Ok(None) };
    ServerTls::new(identity, files.authority.as_deref()).map(Some).context("set up TLS of the gRPC server")
}

/// For calls of this process to others: where it knows who signs their certificates.
pub(super) fn of_callers(settings: &Settings) -> anyhow::Result<Option<ClientTls>> {
    let files = Files::read(settings)?;
    let Some(authority) = &files.authority else { return Ok(None) };
    let tls = ClientTls::new(authority, &settings.grpc_tls_name.0, files.identity());
    tls.map(Some).context("set up TLS of gRPC calls")
}

struct Files {
    identity: Option<(Vec<u8>, Vec<u8>)>,
    authority: Option<Vec<u8>>,
}

impl Files {
    fn read(settings: &Settings) -> anyhow::Result<Self> {
        let identity = match (&settings.grpc_tls_cert.0, &settings.grpc_tls_key.0) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            (None, None) => None,
            (Some(_), None) => anyhow::bail!("grpc_tls_cert needs grpc_tls_key: the key of the certificate"),
            (None, Some(_)) => anyhow::bail!("grpc_tls_key needs grpc_tls_cert: the certificate of the key"),
        };
        let authority = settings.grpc_tls_authority.0.as_deref().map(read).transpose()?;
        Ok(Self { identity, authority })
    }

    fn identity(&self) -> Option<Identity<'_>> {
        self.identity.as_ref().map(|(chain, key)| Identity { chain, key })
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::value::PemFile;

    #[test]
    fn half_of_an_identity_is_an_error_and_nothing_is_no_tls() {
        let file = |path: &str| PemFile(Some(path.into()));
        assert!(of_server(&Settings::default()).unwrap().is_none());
        assert!(of_callers(&Settings::default()).unwrap().is_none());
        let half = Settings { grpc_tls_cert: file("/x.pem"), ..Settings::default() };
        assert!(of_server(&half).err().unwrap().to_string().contains("needs grpc_tls_key"));
        let away = Settings { grpc_tls_authority: file("/no/such.pem"), ..Settings::default() };
        assert!(of_callers(&away).err().unwrap().to_string().contains("read /no/such.pem"));
    }
}
