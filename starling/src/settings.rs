//! The settings of the process: one table, from which come the flags, the variables, the keys of the file, the
//! defaults, the help and `docs/configuration.md`.
//!
//! Where a setting is given more than once, a flag wins over a `STARLING_*` variable, that over the file, and that over
//! the default ([`load`]). How a text becomes a value, and what is allowed, is a matter of the value's type ([`value`]).

mod cluster;
pub mod load;
pub mod show;
pub mod value;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use gateway::Compressing;
use model::limits;
use storage::cassandra::Replication;
use value::{
    CassandraHosts, CassandraReplication, CassandraTls, CollectorUrl, Copies, Endpoint, Endpoints, HttpUrl,
    Keyspace, Listen, LogFilter, LogFormat, Name, NatsUrls, Number, Password, Patterns, PemFile, Prefix,
    RedisUrl, Replicas, Secret, ServerName, SharedSecret, Value, Words, WsUrl,
};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The key in the file; with `-` for `_` the flag.
    pub name: &'static str,
    pub variable: &'static str,
    /// What stands for the value in the help.
    pub placeholder: &'static str,
    pub help: &'static str,
    pub heading: &'static str,
    pub default: fn() -> toml::Value,
}

impl Setting {
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }
}

macro_rules! settings {
    ($( $heading:literal { $(
        $name:ident: $type:ty = $default:expr, $variable:literal, $placeholder:literal, $help:literal
        $(, [$($arg:tt)*])?;
    )* } )*) => {
        /// Every setting with its value.
        #[derive(Debug, Clone)]
        pub struct Settings { $($( #[doc = $help] pub $name: $type, )*)* }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($( $name: $default, )*)* }
            }
        }

        impl Settings {
            /// Sets one by its name; the text says what is wrong with the value and what is allowed.
            fn set(&mut self, name: &str, value: toml::Value) -> Result<(), String> {
                match name {
                    $($( stringify!($name) => self.$name = <$type>::read(value)?, )*)*
                    _ => return Err(format!("there is no setting `{name}`")),
                }
                Ok(())
            }

            /// The values in the order of the table, with secrets masked.
            pub fn shown(&self) -> Vec<(&'static Setting, toml::Value)> {
                let values = [$($( self.$name.show(), )*)*];
                SETTINGS.iter().zip(values).collect()
            }
        }

        /// The settings that are given as flags.
        #[derive(Debug, Default, Clone, clap::Args)]
        pub struct Flags { $($(
            #[arg(
                long, value_name = $placeholder, help_heading = $heading,
                value_parser = value::read_text::<$type>, $($($arg)*)?
            )]
            $name: Option<$type>,
        )*)* }

        impl Flags {
            /// Puts the given ones into the settings; answers which.
            fn apply(self, settings: &mut Settings) -> Vec<&'static str> {
                let mut given = Vec::new();
                $($( if let Some(value) = self.$name {
                    settings.$name = value;
                    given.push(stringify!($name));
                } )*)*
                given
            }
        }

        /// The table.
        pub const SETTINGS: &[Setting] = &[ $($( Setting {
            name: stringify!($name),
            variable: $variable,
            placeholder: $placeholder,
            help: $help,
            heading: $heading,
            default: || { let value: $type = $default; value.show() },
        }, )*)* ];
    };
}

settings! {
    "Data" {
        data_dir: PathBuf = PathBuf::from("./starling-data"), "STARLING_DATA_DIR", "DIR",
            "Folder of everything that is kept; made when it is not there";
        demo: bool = false, "STARLING_DEMO", "BOOL",
            "Make the demo data: users alice and bob, a bot, and a guild with all three", [num_args = 0..=1, require_equals = true, default_missing_value = "true"];
    }
    "Addresses" {
        api_listen: SocketAddr = local(8080), "STARLING_API_LISTEN", "IP:PORT",
            "Where the REST API listens; port 0 takes a free one";
        gateway_listen: SocketAddr = local(8081), "STARLING_GATEWAY_LISTEN", "IP:PORT",
            "Where the gateway (WebSocket) listens; port 0 takes a free one";
        admin_listen: SocketAddr = local(9090), "STARLING_ADMIN_LISTEN", "IP:PORT",
            "Where /livez, /readyz, /metrics and `starling admin` are answered; not for the public";
        public_api_url: HttpUrl = HttpUrl::default(), "STARLING_PUBLIC_API_URL", "URL",
            "How clients reach the API, such as https://chat.example; empty: its address";
        public_gateway_url: WsUrl = WsUrl::default(), "STARLING_PUBLIC_GATEWAY_URL", "URL",
            "How clients reach the gateway, such as wss://gateway.chat.example; empty: its address";
        behind_proxy: bool = false, "STARLING_BEHIND_PROXY", "BOOL",
            "Believe the last address of X-Forwarded-For; only behind a proxy that sets it", [num_args = 0..=1, require_equals = true, default_missing_value = "true"];
    }
    "Cluster" {
        grpc_listen: Listen = Listen::default(), "STARLING_GRPC_LISTEN", "IP:PORT",
            "Where the services answer other programs over gRPC, such as 127.0.0.1:9091; empty: nowhere";
        grpc_advertise: Endpoint = Endpoint::default(), "STARLING_GRPC_ADVERTISE", "HOST:PORT",
            "Of a gateway, and with Cassandra: where callers reach this process over gRPC; empty: where it listens";
        grpc_secret: SharedSecret = SharedSecret::default(), "STARLING_GRPC_SECRET", "TEXT",
            "What is sent with calls over gRPC to be let in, 16 to 256 characters; empty: what is in grpc.secret in the data directory";
        grpc_tls_cert: PemFile = PemFile::default(), "STARLING_GRPC_TLS_CERT", "FILE",
            "Certificate of this process for gRPC (PEM), shown by servers, and by callers that have one; empty: no TLS to this process";
        grpc_tls_key: PemFile = PemFile::default(), "STARLING_GRPC_TLS_KEY", "FILE",
            "Key of that certificate (PEM)";
        grpc_tls_authority: PemFile = PemFile::default(), "STARLING_GRPC_TLS_AUTHORITY", "FILE",
            "Who signs the certificates of the cluster (PEM): callers use TLS then, and servers want a certificate of theirs";
        grpc_tls_name: ServerName = ServerName("starling".to_owned()), "STARLING_GRPC_TLS_NAME", "NAME",
            "Name that the certificates of servers are for, whatever address they have";
        guilds_grpc: Replicas = Replicas::default(), "STARLING_GUILDS_GRPC", "TARGETS",
            "For a role that calls them: the replicas of the directory, dns:///HOST:PORT or HOST:PORT separated by commas";
        messages_grpc: Replicas = Replicas::default(), "STARLING_MESSAGES_GRPC", "TARGETS",
            "Likewise the replicas of the message service";
        presence_grpc: Replicas = Replicas::default(), "STARLING_PRESENCE_GRPC", "TARGETS",
            "Likewise the replicas of the presence service";
    }
    "NATS" {
        nats_urls: NatsUrls = NatsUrls::default(), "STARLING_NATS_URLS", "URLS",
            "Servers of NATS, nats://HOST[:PORT] or tls://HOST[:PORT] separated by commas; the others of a cluster are found by these";
        nats_user: Name = Name::default(), "STARLING_NATS_USER", "NAME",
            "Who we are to NATS, where it asks for a name and a password";
        nats_password: Password = Password::default(), "STARLING_NATS_PASSWORD", "TEXT",
            "The password of that user";
        nats_token: Password = Password::default(), "STARLING_NATS_TOKEN", "TEXT",
            "Who we are to NATS, where it asks for a token";
        nats_tls_authority: PemFile = PemFile::default(), "STARLING_NATS_TLS_AUTHORITY", "FILE",
            "Who signs the certificates of NATS (PEM), besides those whom the system trusts; turns TLS on";
        nats_tls_cert: PemFile = PemFile::default(), "STARLING_NATS_TLS_CERT", "FILE",
            "Our certificate, where NATS asks for one (PEM)";
        nats_tls_key: PemFile = PemFile::default(), "STARLING_NATS_TLS_KEY", "FILE",
            "Key of that certificate (PEM)";
        nats_prefix: Prefix = Prefix::default(), "STARLING_NATS_PREFIX", "TEXT",
            "What names of streams and subjects begin with: keeps several systems on the same NATS apart";
        nats_replicas: Copies = Copies(1), "STARLING_NATS_REPLICAS", "COUNT",
            "Copies of each stream, on as many servers: 1, 3 or 5";
        nats_guild_partitions: Number<1, 1024> = Number::new(64), "STARLING_NATS_GUILD_PARTITIONS", "COUNT",
            "Streams of guilds' events; the same for every process, and for ever";
        nats_user_partitions: Number<1, 1024> = Number::new(16), "STARLING_NATS_USER_PARTITIONS", "COUNT",
            "Streams of users' events; likewise";
        nats_guild_stream_bytes: Number<1_048_576, 1_099_511_627_776> = Number::new(limits::NATS_GUILD_STREAM_BYTES), "STARLING_NATS_GUILD_STREAM_BYTES", "BYTES",
            "What each stream of guilds keeps at most; NATS reserves it";
        nats_user_stream_bytes: Number<1_048_576, 1_099_511_627_776> = Number::new(limits::NATS_USER_STREAM_BYTES), "STARLING_NATS_USER_STREAM_BYTES", "BYTES",
            "What each stream of users keeps at most; NATS reserves it";
    }
    "Cassandra" {
        cassandra_hosts: CassandraHosts = CassandraHosts::default(), "STARLING_CASSANDRA_HOSTS", "HOSTS",
            "Some nodes of Cassandra, HOST[:PORT] separated by commas; empty: `guilds` and `messages` keep their data in data_dir";
        cassandra_keyspace: Keyspace = Keyspace("starling".to_owned()), "STARLING_CASSANDRA_KEYSPACE", "NAME",
            "The keyspace: keeps several systems on the same Cassandra apart";
        cassandra_datacenter: Name = Name::default(), "STARLING_CASSANDRA_DATACENTER", "NAME",
            "The datacenter whose nodes are asked; needed where there are several";
        cassandra_user: Name = Name::default(), "STARLING_CASSANDRA_USER", "NAME",
            "Who we are to Cassandra, where it asks for a name and a password";
        cassandra_password: Password = Password::default(), "STARLING_CASSANDRA_PASSWORD", "TEXT",
            "The password of that user";
        cassandra_tls: CassandraTls = CassandraTls::default(), "STARLING_CASSANDRA_TLS", "PROOF",
            "Encrypted connections, and what a node's certificate has to prove: `address`, or `authority` where it names no address; empty: in the clear, unless a file below is given";
        cassandra_tls_authority: PemFile = PemFile::default(), "STARLING_CASSANDRA_TLS_AUTHORITY", "FILE",
            "Who signs the certificates of Cassandra's nodes (PEM); empty: those whom the system trusts";
        cassandra_tls_cert: PemFile = PemFile::default(), "STARLING_CASSANDRA_TLS_CERT", "FILE",
            "Our certificate, where Cassandra asks for one (PEM)";
        cassandra_tls_key: PemFile = PemFile::default(), "STARLING_CASSANDRA_TLS_KEY", "FILE",
            "Key of that certificate (PEM)";
        cassandra_replication: CassandraReplication = CassandraReplication(Replication::Simple(1)), "STARLING_CASSANDRA_REPLICATION", "COPIES",
            "Copies of each row, as `starling migrate` makes it: COUNT for one datacenter, or DATACENTER:COUNT separated by commas";
    }
    "Redis" {
        redis_url: RedisUrl = RedisUrl::default(), "STARLING_REDIS_URL", "URL",
            "Redis, redis://HOST[:PORT] or, with TLS, rediss://HOST[:PORT]";
        redis_user: Name = Name::default(), "STARLING_REDIS_USER", "NAME",
            "Who we are to Redis; empty: its user `default`";
        redis_password: Password = Password::default(), "STARLING_REDIS_PASSWORD", "TEXT",
            "The password for Redis, where it asks for one";
        redis_tls_authority: PemFile = PemFile::default(), "STARLING_REDIS_TLS_AUTHORITY", "FILE",
            "Who signs the certificate of Redis (PEM); empty: those whom the system trusts";
        redis_tls_cert: PemFile = PemFile::default(), "STARLING_REDIS_TLS_CERT", "FILE",
            "Our certificate, where Redis asks for one (PEM)";
        redis_tls_key: PemFile = PemFile::default(), "STARLING_REDIS_TLS_KEY", "FILE",
            "Key of that certificate (PEM)";
        redis_prefix: Prefix = Prefix("starling".to_owned()), "STARLING_REDIS_PREFIX", "TEXT",
            "What keys begin with: keeps several systems on the same Redis apart";
    }
    "Gateway" {
        gateway_shards: Number<0, 64> = Number::new(0), "STARLING_GATEWAY_SHARDS", "COUNT",
            "Threads of the gateway; 0: one for each core";
        gateway_connections_max: Number<1, 1_000_000> = Number::new(limits::CONNECTIONS_MAX as u64), "STARLING_GATEWAY_CONNECTIONS_MAX", "COUNT",
            "Open sockets at one time";
        gateway_connections_per_sec: Number<0, 1_000_000> = Number::new(0), "STARLING_GATEWAY_CONNECTIONS_PER_SEC", "COUNT",
            "New connections in a second; more are told to come back later. 0: 1000 for each thread of the gateway";
        gateway_starts_per_sec: Number<0, 1_000_000> = Number::new(0), "STARLING_GATEWAY_STARTS_PER_SEC", "COUNT",
            "Sessions that are begun in a second, or twice as many that are resumed; more wait up to 5 seconds for it. 0: 500 for each thread of the gateway";
        gateway_burst_ms: Number<0, 60_000> = Number::new(limits::ADMISSION_BURST_MS), "STARLING_GATEWAY_BURST_MS", "MS",
            "What may come at once, of both: as many as in so much time";
        gateway_tls_cert: PemFile = PemFile::default(), "STARLING_GATEWAY_TLS_CERT", "FILE",
            "Certificate of the gateway with those who signed it (PEM): clients speak TLS to it, wss://. Looked at again every minute; empty: no TLS";
        gateway_tls_key: PemFile = PemFile::default(), "STARLING_GATEWAY_TLS_KEY", "FILE",
            "Key of that certificate (PEM)";
        heartbeat_interval_ms: Number<1_000, { limits::HEARTBEAT_INTERVAL_MS }> = Number::new(limits::HEARTBEAT_INTERVAL_MS), "STARLING_HEARTBEAT_INTERVAL_MS", "MS",
            "How often clients are told to give a sign of life";
        max_concurrency: Number<1, 10_000> = Number::new(limits::MAX_CONCURRENCY_DEFAULT as u64), "STARLING_MAX_CONCURRENCY", "COUNT",
            "IDENTIFYs of one bot that may come at once, in 5 seconds";
        guild_subjects_max: Number<0, { limits::GUILD_SUBJECTS_CEILING as u64 }> = Number::new(0), "STARLING_GUILD_SUBJECTS_MAX", "COUNT",
            "Open guilds of one stream that are subscribed to one by one on NATS; with more of them, the whole stream is. 0: always the whole stream";
        compression: Compressing = Compressing::Shared, "STARLING_COMPRESSION", "HOW",
            "How zlib-stream and zstd-stream are made: `shared`, each event once for all connections; or `stream`, by each connection, for less traffic and far more memory and time";
        drain_window_ms: Number<0, { limits::DRAIN_MS }> = Number::new(limits::DRAIN_MS), "STARLING_DRAIN_WINDOW_MS", "MS",
            "When the gateway ends: over how long its clients are told to connect to another one, at most";
        drain_sessions_per_sec: Number<1, 1_000_000> = Number::new(limits::DRAIN_SESSIONS_PER_SEC), "STARLING_DRAIN_SESSIONS_PER_SEC", "COUNT",
            "Likewise: how many of them each other gateway takes in a second; without another gateway all are told at once";
    }
    "Limits" {
        sends_per_window: Number<1, 1_000_000> = Number::new(limits::SENDS_PER_WINDOW as u64), "STARLING_SENDS_PER_WINDOW", "COUNT",
            "Messages that a user may send to a channel in a window";
        sends_window_ms: Number<100, 3_600_000> = Number::new(limits::SENDS_WINDOW_MS), "STARLING_SENDS_WINDOW_MS", "MS",
            "Length of that window";
        requests_per_sec: Number<0, 1_000_000> = Number::new(limits::GLOBAL_REQUESTS_PER_SEC as u64), "STARLING_REQUESTS_PER_SEC", "COUNT",
            "REST requests of one user in a second, over all routes; 0: no limit";
        route_limits: bool = true, "STARLING_ROUTE_LIMITS", "BOOL",
            "Limit requests per route, logins and invalid requests too; off for load tests only", [require_equals = false];
    }
    "Content" {
        filter_words: Words = Words::default(), "STARLING_FILTER_WORDS", "WORDS",
            "Words that no message may hold, whole and without regard to case; separated by commas";
        filter_patterns: Patterns = Patterns::default(), "STARLING_FILTER_PATTERNS", "REGEX",
            "Regular expressions that no message may match; one on each line";
    }
    "Voice" {
        voice_endpoint: Endpoint = Endpoint::default(), "STARLING_VOICE_ENDPOINT", "HOST:PORT",
            "Voice server of channels without a region of their own; empty: clients are told to wait";
        voice_endpoints: Endpoints = Endpoints::default(), "STARLING_VOICE_ENDPOINTS", "REGION=HOST:PORT",
            "Voice servers by region, separated by commas; in the file a table";
        voice_key: Secret = Secret::default(), "STARLING_VOICE_KEY", "HEX",
            "Key that voice tokens are signed with, 64 hex digits; empty: a new one at each start";
    }
    "Logging" {
        log: LogFilter = LogFilter::default(), "STARLING_LOG", "FILTER",
            "What is logged, such as `info` or `warn,gateway=debug`";
        log_format: LogFormat = LogFormat::Text, "STARLING_LOG_FORMAT", "FORMAT",
            "How it is logged, on stderr: text or json";
    }
    "Tracing" {
        otlp_endpoint: CollectorUrl = CollectorUrl::default(), "STARLING_OTLP_ENDPOINT", "URL",
            "Collector that traces are sent to, OTLP over gRPC, such as http://127.0.0.1:4317; empty: none";
        trace_every: Number<1, 1_000_000> = Number::new(1), "STARLING_TRACE_EVERY", "COUNT",
            "Of so many requests one is traced, by chance";
    }
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The row of a setting.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_after_their_settings() {
        for setting in SETTINGS {
            assert_eq!(setting.variable, format!("STARLING_{}", setting.name.to_uppercase()));
        }
    }

    #[test]
    fn every_default_is_allowed() {
        let mut settings = Settings::default();
        for setting in SETTINGS {
            settings.set(setting.name, (setting.default)()).unwrap();
        }
        let defaults: Vec<_> = SETTINGS.iter().map(|setting| (setting.default)()).collect();
        assert_eq!(settings.shown().into_iter().map(|(_, value)| value).collect::<Vec<_>>(), defaults);
    }
}
