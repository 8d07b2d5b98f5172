//! What the link is told: where Redis is, how to prove who we are, and how long an answer may take.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::limits;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, TlsCertificates,
};

/// How to reach Redis. All pods that share something are given the same prefix.
#[derive(Debug, Clone)]
pub struct Config {
    pub host: String,
    pub port: u16,
    /// The first part of every key; keeps several systems on one server apart.
    pub prefix: String,
    pub credentials: Option<Credentials>,
    pub tls: Option<Tls>,
    /// Within this time a call is answered, or Redis counts as away.
    pub answer_ms: u64,
}

/// Proves to Redis who this is.
#[derive(Clone)]
pub struct Credentials {
    /// `None` for the user `default`, with servers that know only `requirepass`.
    pub user: Option<String>,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, …)", self.user.as_deref().unwrap_or("default"))
    }
}

/// An encrypted connection.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Who may sign the server's certificate; `None` for those whom the system trusts.
    pub authorities: Option<PathBuf>,
    /// Our certificate and its key, where the server asks for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("file {path} of the connection to Redis could not be read: {error}")]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("connection to Redis can't be made as configured: {0}")]
    Refused(#[from] RedisError),
}

impl Config {
    /// The defaults, on this server.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            prefix: "starling".into(),
            credentials: None,
            tls: None,
            answer_ms: limits::REDIS_ANSWER_MS,
        }
    }

    pub(crate) fn client(&self) -> Result<Client, ConfigError> {
        let Some(tls) = &self.tls else {
            return Ok(Client::open(self.info(ConnectionAddr::Tcp(self.host.clone(), self.port))?)?);
        };
        let address = ConnectionAddr::TcpTls {
            host: self.host.clone(),
            port: self.port,
            insecure: false,
            tls_params: None,
        };
        let client_tls = match &tls.certificate {
            Some((certificate, key)) => {
                Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
            }
            None => None,
        };
        let root_cert = tls.authorities.as_deref().map(read).transpose()?;
        Ok(Client::build_with_tls(self.info(address)?, TlsCertificates { client_tls, root_cert })?)
    }

    fn info(&self, address: ConnectionAddr) -> Result<ConnectionInfo, RedisError> {
        // RESP3, because with it the client learns of a broken connection while nothing is asked.
        let mut login = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("starling", env!("CARGO_PKG_VERSION"));
        if let Some(Credentials { user, password }) = &self.credentials {
            login = login.set_password(password);
            if let Some(user) = user {
                login = login.set_username(user);
            }
        }
        Ok(address.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp()))
    }
}

/// A network that drops everything ends the connection, too.
fn tcp() -> TcpSettings {
    let dead = Duration::from_millis(limits::REDIS_DEAD_MS);
    let keepalive = TcpKeepalive::new().with_time(dead).with_interval(dead / 4);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(dead);
    settings
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials { user: Some("starling".into()), password: "hush".into() };
        let config = Config { credentials: Some(credentials), ..Config::new("127.0.0.1", 6379) };
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn a_certificate_that_is_not_there_is_named() {
        let tls = Tls { authorities: Some("nowhere/ca.pem".into()), ..Tls::default() };
        let error = Config { tls: Some(tls), ..Config::new("127.0.0.1", 6379) }.client().unwrap_err();
        assert!(error.to_string().contains("nowhere/ca.pem"), "{error}");
    }
}
