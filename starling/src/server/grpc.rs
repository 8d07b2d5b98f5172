//! The services of this process for other programs, over gRPC: the same that the gateway and the API call.

use std::net::SocketAddr;
use std::path::Path;

use ::guilds::Directory;
use anyhow::Context as _;
use proto::Secret;
use proto::clients::{accounts_server, guilds_server, messages_server, presence_server};
use proto::serving::{self, Counts, Server};
use tasks::Ended;

use super::services::Services;
use super::{bind, tls};
use crate::admin::metrics::{Reading, counter};
use crate::files;
use crate::settings::Settings;

/// Holds the secret of callers, where none is configured.
const SECRET_FILE: &str = "grpc.secret";

/// Serves them at `address`, to callers with the secret, if there is one; their health is "not serving" at first.
pub(super) async fn start(
    address: SocketAddr,
    secret: Option<Secret>,
    settings: &Settings,
    services: serving::Services,
) -> anyhow::Result<Server> {
    let listener = bind("grpc", address)?;
    let tls = tls::of_server(settings)?;
    let config = serving::Config { secret, tls, ..serving::Config::default() };
    Server::start(listener, services.with_reflection(), config).await.context("serve gRPC")
}

/// All services of a process that has everything.
pub(super) async fn start_all(
    address: SocketAddr,
    settings: &Settings,
    services: &Services,
) -> anyhow::Result<Server> {
    let secret = match &settings.grpc_secret.0 {
        Some(secret) => secret.clone(),
        None => kept_secret(&settings.data_dir.join(SECRET_FILE))?,
    };
    let served = directory_services(&services.directory)
        .with(messages_server(services.messages.clone()))
        .with(presence_server(services.presence.clone()));
    start(address, Some(secret), settings, served).await
}

/// The two services of the directory.
pub(super) fn directory_services(directory: &Directory) -> serving::Services {
    serving::Services::new().with(accounts_server(directory.clone())).with(guilds_server(directory.clone()))
}

/// What a server counts, for `/metrics`.
pub(super) fn readings(counts: impl Fn() -> Counts + Send + Sync) -> impl Fn() -> Vec<Reading> + Send + Sync {
    move || {
        let Counts { connections, calls, strangers, shed } = counts();
        vec![
            counter("starling_grpc_connections", "gRPC connections accepted", connections),
            counter("starling_grpc_calls", "gRPC calls that reached a service", calls),
            counter("starling_grpc_strangers", "gRPC calls without the secret", strangers),
            counter("starling_grpc_shed", "gRPC calls refused because there were too many", shed),
        ]
    }
}

/// The secret in the file, which is made when it is not there: callers need not read it again after a restart.
fn kept_secret(path: &Path) -> anyhow::Result<Secret> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let digits = model::entropy::bytes::<32>().map(|byte| format!("{byte:02x}"));
            let text = format!("{}\n", digits.concat());
            files::write_private_bytes(path, text.as_bytes()).with_context(|| format!("write {shown}"))?;
            text
        }
        Err(error) => return Err(error).with_context(|| format!("read {shown}")),
    };
    Secret::new(text.trim())
        .with_context(|| format!("read {shown}; remove the file, and the next start makes a new one"))
}

/// Waits for a task of the server that ends by itself; for ever where there is no server.
pub(super) async fn ended(grpc: Option<&Server>) -> Ended {
    match grpc {
        Some(grpc) => grpc.ended().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_secret_is_made_once_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SECRET_FILE);
        kept_secret(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        kept_secret(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        std::fs::write(&path, "short").unwrap();
        let error = format!("{:#}", kept_secret(&path).unwrap_err());
        assert!(error.contains("remove the file"), "{error}");
    }
}
