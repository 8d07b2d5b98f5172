//! What a process does: everything, one role of a cluster, or one of the commands that look after a cluster.
//!
//! Each says which settings it needs and which it takes beside those. One that is missing, or given to who does nothing
//! with it, ends the start: a flag that is ignored is a mistake that nobody sees. A configuration file and variables may
//! be shared by all roles, so what only they hold is no mistake.

use std::net::SocketAddr;

use crate::settings::load::{ConfigError, Loaded, Place};
use crate::settings::{Setting, Settings, setting};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The whole system.
    All,
    /// The WebSocket edge alone.
    Gateway,
    /// The HTTP edge alone.
    Api,
    /// The directory.
    Guilds,
    /// The message service.
    Messages,
    /// The presence service.
    Presence,
    /// Delivery of users' events.
    Fanout,
    /// Brings what the cluster stands on to the configured state.
    Migrate,
    /// Says whether everything is there that the cluster stands on.
    Check,
}

/// What every role takes.
const COMMON: &[&str] = &["admin_listen", "log", "log_format", "otlp_endpoint", "trace_every"];
/// What a role takes that calls others, or is called.
const GRPC: &[&str] =
    &["grpc_secret", "grpc_tls_cert", "grpc_tls_key", "grpc_tls_authority", "grpc_tls_name"];
/// Where others are: nothing for a process that has everything.
const PEERS: &[&str] = &["guilds_grpc", "messages_grpc", "presence_grpc"];
/// Likewise.
const NATS: &[&str] = &[
    "nats_urls",
    "nats_user",
    "nats_password",
    "nats_token",
    "nats_tls_authority",
    "nats_tls_cert",
    "nats_tls_key",
    "nats_prefix",
    "nats_replicas",
    "nats_guild_partitions",
    "nats_user_partitions",
    "nats_guild_stream_bytes",
    "nats_user_stream_bytes",
];
/// Likewise, for who follows some guilds only.
const GUILD_MODE: &[&str] = &["guild_subjects_max"];
/// Likewise.
const CASSANDRA: &[&str] = &[
    "cassandra_hosts",
    "cassandra_keyspace",
    "cassandra_datacenter",
    "cassandra_user",
    "cassandra_password",
    "cassandra_tls",
    "cassandra_tls_authority",
    "cassandra_tls_cert",
    "cassandra_tls_key",
    "cassandra_replication",
];
/// Likewise.
const REPLICA: &[&str] = &["grpc_advertise"];
/// Likewise.
const REDIS: &[&str] = &[
    "redis_url",
    "redis_user",
    "redis_password",
    "redis_tls_authority",
    "redis_tls_cert",
    "redis_tls_key",
    "redis_prefix",
];
/// What makes a shared secret unnecessary: callers and servers show certificates to each other.
const MUTUAL_TLS: &[&str] = &["grpc_tls_cert", "grpc_tls_key", "grpc_tls_authority"];

impl Role {
    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Gateway => "gateway",
            Self::Api => "api",
            Self::Guilds => "guilds",
            Self::Messages => "messages",
            Self::Presence => "presence",
            Self::Fanout => "fanout",
            Self::Migrate => "migrate",
            Self::Check => "check",
        }
    }

    /// Checks that the settings are this role's.
    pub fn check(self, loaded: &Loaded) -> Result<(), ConfigError> {
        for name in self.needed(&loaded.settings) {
            if is_empty(&loaded.settings, name) {
                return Err(self.missing(name));
            }
        }
        for (setting, _) in loaded.settings.shown() {
            let place = loaded.place(setting.name);
            let is_given_here =
                matches!(place, Place::Flag(_)) || (self == Self::All && place != Place::Default);
            if is_given_here && !self.takes(setting.name) {
                return Err(ConfigError::Foreign { place, name: setting.name, role: self.name() });
            }
        }
        self.check_own_replicas(loaded)
    }

    /// Whether it is one of several that share their data. Who calls them can't know.
    fn check_own_replicas(self, loaded: &Loaded) -> Result<(), ConfigError> {
        let settings = &loaded.settings;
        let (name, replicas) = match self {
            Self::Guilds => ("guilds_grpc", &settings.guilds_grpc),
            Self::Messages => ("messages_grpc", &settings.messages_grpc),
            _ => return Ok(()),
        };
        let place = loaded.place(name);
        settings.divided(replicas).map_or(Ok(()), |problem| Err(ConfigError::Alone { place, name, problem }))
    }

    /// Whether it does nothing without this setting.
    pub(crate) fn needs(self, name: &str) -> bool {
        self.always_needed().contains(&name)
    }

    /// Whether it does something with this setting.
    pub(crate) fn takes(self, name: &str) -> bool {
        let has = |groups: &[&[&str]]| groups.iter().any(|names| names.contains(&name));
        match self {
            Self::All => !has(&[PEERS, NATS, GUILD_MODE, REDIS, CASSANDRA, REPLICA]),
            Self::Migrate => has(&[NATS, CASSANDRA, &["log", "log_format"]]),
            Self::Check => has(&[NATS, REDIS, CASSANDRA, PEERS, GRPC, &["log", "log_format"]]),
            Self::Gateway => {
                has(&[COMMON, GRPC, NATS, GUILD_MODE, REDIS, REPLICA, self.always_needed(), self.own()])
            }
            Self::Api => has(&[COMMON, GRPC, REDIS, self.always_needed(), self.own()]),
            Self::Fanout => has(&[COMMON, NATS, REDIS]),
            Self::Presence => has(&[COMMON, GRPC, NATS, REDIS, CASSANDRA, self.always_needed(), self.own()]),
            Self::Guilds | Self::Messages => {
                has(&[COMMON, GRPC, NATS, CASSANDRA, REPLICA, self.always_needed(), self.own()])
            }
        }
    }

    fn always_needed(self) -> &'static [&'static str] {
        match self {
            Self::All | Self::Check => &[],
            Self::Gateway => {
                &["nats_urls", "redis_url", "grpc_secret", "guilds_grpc", "messages_grpc", "presence_grpc"]
            }
            Self::Api => &["grpc_secret", "guilds_grpc", "messages_grpc", "public_gateway_url"],
            Self::Messages => &["nats_urls", "grpc_listen", "grpc_secret", "guilds_grpc"],
            Self::Guilds => &["nats_urls", "grpc_listen", "grpc_secret"],
            Self::Presence => &["nats_urls", "redis_url", "grpc_listen", "grpc_secret"],
            Self::Fanout => &["nats_urls", "redis_url"],
            Self::Migrate => &["nats_urls"],
        }
    }

    /// With these settings.
    fn needed(self, settings: &Settings) -> Vec<&'static str> {
        let has_mutual_tls = MUTUAL_TLS.iter().all(|name| !is_empty(settings, name));
        let mut needed = self.always_needed().to_vec();
        needed.retain(|name| *name != "grpc_secret" || !has_mutual_tls);
        if self == Self::Guilds && settings.demo {
            // The demo data say where clients connect to, which this process does not know by itself.
            needed.extend(["public_api_url", "public_gateway_url"]);
        }
        if matches!(self, Self::Guilds | Self::Messages) && settings.cassandra().is_some() {
            // Others own a part of the directory, also what `starling admin` asks this one for.
            needed.extend((self == Self::Guilds).then_some("guilds_grpc"));
            needed.extend((!is_reachable(settings)).then_some("grpc_advertise"));
        }
        if self == Self::Gateway && settings.grpc_listen.0.is_some() && !is_reachable(settings) {
            // Other gateways ask for sessions there.
            needed.push("grpc_advertise");
        }
        needed
    }

    /// What nobody else takes, or few.
    fn own(self) -> &'static [&'static str] {
        match self {
            Self::Gateway => &[
                "gateway_listen",
                "grpc_listen",
                "public_gateway_url",
                "gateway_shards",
                "gateway_connections_max",
                "gateway_connections_per_sec",
                "gateway_starts_per_sec",
                "gateway_burst_ms",
                "gateway_tls_cert",
                "gateway_tls_key",
                "heartbeat_interval_ms",
                "max_concurrency",
                "compression",
                "drain_window_ms",
                "drain_sessions_per_sec",
            ],
            Self::Api => &[
                "api_listen",
                "public_api_url",
                "behind_proxy",
                "max_concurrency",
                "requests_per_sec",
                "route_limits",
            ],
            Self::Guilds => &["data_dir", "demo", "public_api_url", "public_gateway_url", "guilds_grpc"],
            Self::Messages => {
                &["data_dir", "sends_per_window", "sends_window_ms", "filter_words", "filter_patterns"]
            }
            Self::Presence => &["voice_endpoint", "voice_endpoints", "voice_key"],
            Self::All | Self::Fanout | Self::Migrate | Self::Check => &[],
        }
    }

    fn missing(self, name: &str) -> ConfigError {
        let setting = setting(name).expect("the tables here name settings");
        let Setting { name, variable, help, .. } = *setting;
        ConfigError::Missing { role: self.name(), name, flag: setting.flag(), variable, help }
    }
}

/// Whether others can call the process where it listens.
fn is_reachable(settings: &Settings) -> bool {
    let is_one = |address: SocketAddr| !address.ip().is_unspecified() && address.port() != 0;
    settings.grpc_listen.0.is_some_and(is_one)
}

fn is_empty(settings: &Settings, name: &str) -> bool {
    settings.shown().iter().any(|(setting, value)| setting.name == name && value.as_str() == Some(""))
}

#[cfg(test)]
mod tests;
