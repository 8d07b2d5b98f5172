//! What the adapter is told: where NATS is, how to prove who we are, and how large the streams are.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ConnectOptions;
use model::limits;

use crate::subject::Layout;

/// How to reach NATS and what lies there. All pods, and whoever migrates, are given the same.
#[derive(Debug, Clone)]
pub struct Config {
    /// `nats://host:port` or `tls://host:port`; the others of a cluster are found by these.
    pub servers: Vec<String>,
    /// How this process is called in the server's list of connections.
    pub name: String,
    /// The first token of every subject, and of the names of streams; empty for none. Letters, digits, `-` and `_`.
    pub prefix: String,
    pub layout: Layout,
    /// Copies of each stream: 1, 3 or 5.
    pub replicas: usize,
    pub stream_age_ms: u64,
    /// What each stream keeps at most, whatever its age. NATS reserves it.
    pub guild_stream_bytes: u64,
    pub user_stream_bytes: u64,
    /// Deliveries that wait for one listener.
    pub subscription_queue_max: usize,
    pub pod_take_ms: u64,
    pub credentials: Option<Credentials>,
    pub tls: Option<Tls>,
}

/// Proves to NATS who this is.
#[derive(Clone)]
pub enum Credentials {
    Token(String),
    User { name: String, password: String },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(…)"),
            Self::User { name, .. } => write!(f, "User({name}, …)"),
        }
    }
}

/// Encrypted connections only.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Who may sign the servers' certificates, besides those whom the system trusts.
    pub authorities: Option<PathBuf>,
    /// Our certificate and its key, where the servers ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// The defaults, on these servers.
    pub fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            name: "starling".into(),
            prefix: String::new(),
            layout: Layout::default(),
            replicas: 1,
            stream_age_ms: limits::STREAM_AGE_MS,
            guild_stream_bytes: limits::NATS_GUILD_STREAM_BYTES,
            user_stream_bytes: limits::NATS_USER_STREAM_BYTES,
            subscription_queue_max: limits::SUBSCRIPTION_QUEUE_MAX,
            pod_take_ms: limits::POD_TAKE_MS,
            credentials: None,
            tls: None,
        }
    }

    /// The options of the client, which connects again for ever.
    pub(super) fn connect_options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .name(&self.name)
            .connection_timeout(Duration::from_millis(limits::NATS_CONNECT_MS))
            .ping_interval(Duration::from_millis(limits::NATS_PING_MS))
            .request_timeout(Some(Duration::from_millis(limits::NATS_QUESTION_MS)))
            .subscription_capacity(limits::SUBSCRIPTION_QUEUE_MAX)
            .client_capacity(limits::NATS_COMMANDS_MAX)
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_delay);
        options = match &self.credentials {
            Some(Credentials::Token(token)) => options.token(token.clone()),
            Some(Credentials::User { name, password }) => {
                options.user_and_password(name.clone(), password.clone())
            }
            None => options,
        };
        let Some(tls) = &self.tls else { return options };
        options = options.require_tls(true);
        if let Some(authorities) = &tls.authorities {
            options = options.add_root_certificates(authorities.clone());
        }
        if let Some((certificate, key)) = &tls.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options
    }
}

/// Twice as long each time, with jitter: a restarted server is not met by all pods at once.
fn reconnect_delay(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let doubled = limits::NATS_RECONNECT_MS_MIN << attempts.min(16);
    let most = doubled.min(limits::NATS_RECONNECT_MS_MAX);
    Duration::from_millis(most / 2 + model::entropy::below(most / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut config = Config::new(vec!["nats://127.0.0.1:4222".into()]);
        for credentials in [
            Credentials::Token("hush".into()),
            Credentials::User { name: "starling".into(), password: "hush".into() },
        ] {
            config.credentials = Some(credentials);
            assert!(!format!("{config:?}").contains("hush"));
        }
    }

    #[test]
    fn delays_grow_up_to_a_bound() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        let most = Duration::from_millis(limits::NATS_RECONNECT_MS_MAX);
        assert!(reconnect_delay(2) < reconnect_delay(60) && reconnect_delay(usize::MAX) <= most);
    }
}
