//! What the settings say of the servers of a cluster, as the adapters want to be told.

use std::path::PathBuf;

use backplane::{Layout, nats};
use gateway::TlsFiles;
use redis_link as redis;
use storage::cassandra;

use super::Settings;
use super::value::{CassandraTls, PemFile, RedisServer, Replicas};

impl Settings {
    /// The streams, for a process that NATS knows by this name.
    pub fn nats(&self, name: &str) -> nats::Config {
        let credentials = match (&self.nats_token.0, &self.nats_user.0, &self.nats_password.0) {
            (Some(token), ..) => Some(nats::Credentials::Token(token.clone())),
            (None, Some(name), Some(password)) => {
                Some(nats::Credentials::User { name: name.clone(), password: password.clone() })
            }
            _ => None,
        };
        let (authorities, certificate) =
            (self.nats_tls_authority.0.clone(), pair(&self.nats_tls_cert, &self.nats_tls_key));
        let is_tls = authorities.is_some()
            || certificate.is_some()
            || self.nats_urls.0.iter().any(|url| url.starts_with("tls:"));
        nats::Config {
            name: name.to_owned(),
            prefix: self.nats_prefix.0.clone(),
            layout: Layout {
                guild_partitions: self.nats_guild_partitions.get_u16(),
                user_partitions: self.nats_user_partitions.get_u16(),
            },
            replicas: usize::from(self.nats_replicas.0),
            guild_stream_bytes: self.nats_guild_stream_bytes.get(),
            user_stream_bytes: self.nats_user_stream_bytes.get(),
            credentials,
            tls: is_tls.then_some(nats::Tls { authorities, certificate }),
            ..nats::Config::new(self.nats_urls.0.clone())
        }
    }

    /// TLS of the gateway's listener, if the settings name a certificate.
    pub fn gateway_tls(&self) -> Option<TlsFiles> {
        let files = pair(&self.gateway_tls_cert, &self.gateway_tls_key);
        files.map(|(certificate, key)| TlsFiles { certificate, key })
    }

    /// How an address of the gateway's listener begins.
    pub fn gateway_scheme(&self) -> &'static str {
        if self.gateway_tls().is_some() { "wss" } else { "ws" }
    }

    /// Cassandra, if the settings name one.
    pub fn cassandra(&self) -> Option<cassandra::Config> {
        let nodes = self.cassandra_hosts.0.clone();
        let (authorities, certificate) =
            (self.cassandra_tls_authority.0.clone(), pair(&self.cassandra_tls_cert, &self.cassandra_tls_key));
        let is_tls =
            authorities.is_some() || certificate.is_some() || self.cassandra_tls != CassandraTls::Unsaid;
        let names_addresses = self.cassandra_tls != CassandraTls::Authority;
        let user = self.cassandra_user.0.clone().zip(self.cassandra_password.0.clone());
        (!nodes.is_empty()).then(|| cassandra::Config {
            keyspace: self.cassandra_keyspace.0.clone(),
            replication: self.cassandra_replication.0.clone(),
            datacenter: self.cassandra_datacenter.0.clone(),
            credentials: user.map(|(name, password)| cassandra::Credentials { name, password }),
            tls: is_tls.then_some(cassandra::Tls { authorities, certificate, names_addresses }),
            ..cassandra::Config::new(nodes)
        })
    }

    /// Where callers reach this replica.
    pub fn grpc_address(&self) -> Option<String> {
        let listen = || self.grpc_listen.0.map(|address| address.to_string());
        self.grpc_advertise.0.clone().or_else(listen)
    }

    /// What is wrong where several replicas of `guilds`, or of `messages`, keep their data each for itself.
    pub fn divided(&self, replicas: &Replicas) -> Option<String> {
        let count = replicas.listed();
        (count > 1 && self.cassandra().is_none()).then(|| {
            format!(
                "without cassandra_hosts each of these {count} replicas has a store of its own and knows nothing of \
                 what another was told, tokens included (401); give all of them the same cassandra_hosts, or run and \
                 name only one"
            )
        })
    }

    /// Redis, if the settings name one.
    pub fn redis(&self) -> Option<redis::Config> {
        let RedisServer { host, port, is_tls } = self.redis_url.0.clone()?;
        let (user, password) = (self.redis_user.0.clone(), self.redis_password.0.clone());
        let tls = redis::Tls {
            authorities: self.redis_tls_authority.0.clone(),
            certificate: pair(&self.redis_tls_cert, &self.redis_tls_key),
        };
        Some(redis::Config {
            prefix: self.redis_prefix.0.clone(),
            credentials: password.map(|password| redis::Credentials { user, password }),
            tls: is_tls.then_some(tls),
            ..redis::Config::new(host, port)
        })
    }
}

fn pair(certificate: &PemFile, key: &PemFile) -> Option<(PathBuf, PathBuf)> {
    certificate.0.clone().zip(key.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::value::{
        CassandraHosts, Copies, Endpoint, Listen, Name, NatsUrls, Password, Prefix, RedisUrl,
    };

    #[test]
    fn what_is_set_reaches_the_adapters() {
        let settings = Settings {
            nats_urls: NatsUrls(vec!["tls://n:1".to_owned()]),
            nats_user: Name(Some("u".to_owned())),
            nats_password: Password(Some("p".to_owned())),
            nats_prefix: Prefix("blue".to_owned()),
            nats_replicas: Copies(3),
            redis_url: RedisUrl(Some(RedisServer { host: "r".to_owned(), port: 2, is_tls: true })),
            redis_password: Password(Some("q".to_owned())),
            cassandra_hosts: CassandraHosts(vec!["c:3".to_owned()]),
            cassandra_user: Name(Some("v".to_owned())),
            cassandra_password: Password(Some("r".to_owned())),
            grpc_listen: Listen(Some("127.0.0.1:4".parse().unwrap())),
            ..Settings::default()
        };
        let nats = settings.nats("starling-test");
        assert_eq!((nats.prefix.as_str(), nats.replicas, nats.layout), ("blue", 3, Layout::default()));
        assert!(nats.tls.is_some() && matches!(nats.credentials, Some(nats::Credentials::User { .. })));
        let redis = settings.redis().unwrap();
        assert_eq!((redis.host.as_str(), redis.port, redis.prefix.as_str()), ("r", 2, "starling"));
        assert!(redis.tls.is_some() && redis.credentials.is_some_and(|own| own.user.is_none()));
        let cassandra = settings.cassandra().unwrap();
        assert_eq!(
            (&cassandra.nodes[..], cassandra.keyspace.as_str()),
            (&["c:3".to_owned()][..], "starling")
        );
        assert!(cassandra.credentials.is_some() && cassandra.tls.is_none());
        let tls = |cassandra_tls, authority: Option<&str>| {
            let cassandra_tls_authority = PemFile(authority.map(Into::into));
            Settings { cassandra_tls, cassandra_tls_authority, ..settings.clone() }.cassandra().unwrap().tls
        };
        assert!(tls(CassandraTls::Address, None).unwrap().names_addresses);
        assert!(tls(CassandraTls::Unsaid, Some("/a.pem")).unwrap().names_addresses);
        assert!(!tls(CassandraTls::Authority, Some("/a.pem")).unwrap().names_addresses);
        assert!(Settings::default().cassandra().is_none());
        assert_eq!(settings.grpc_address().unwrap(), "127.0.0.1:4");
        let advertise = Endpoint(Some("pod:5".to_owned()));
        assert_eq!(Settings { grpc_advertise: advertise, ..settings }.grpc_address().unwrap(), "pod:5");
        assert!(Settings::default().redis().is_none() && Settings::default().nats("x").tls.is_none());
    }
}
