//! What the driver is told: where Cassandra is, how to prove who we are, and how a keyspace is to be replicated.

use model::limits;
use std::{fmt, path::PathBuf};

/// How to reach Cassandra and what lies there. All processes of a cluster, and whoever migrates, are given the same.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` of some nodes; the others are found by these.
    pub nodes: Vec<String>,
    /// Letters, digits and `_`, at most 48, a letter first.
    pub keyspace: String,
    /// What `starling migrate` gives the keyspace.
    pub replication: Replication,
    /// The datacenter whose nodes are asked, and whose quorum counts. Needed where there are several.
    pub datacenter: Option<String>,
    /// To each node.
    pub connections_per_node: usize,
    /// Without them nothing is proved.
    pub credentials: Option<Credentials>,
    /// Without it connections are in the clear.
    pub tls: Option<Tls>,
}

/// How many copies there are of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// In a cluster of one datacenter that nothing is known of: for development.
    Simple(u32),
    /// In each of these datacenters.
    Datacenters(Vec<(String, u32)>),
}

/// Name and password of a role.
#[derive(Clone)]
pub struct Credentials {
    /// The role.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// Encrypted connections only.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file of who may sign the nodes' certificates; without it those whom the system trusts.
    pub authorities: Option<PathBuf>,
    /// PEM files of our certificate and its key, where the nodes ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether a node's certificate must name its address: the driver knows nodes by address, not by host name. Where
    /// addresses change, as those of pods do, the authority's signature alone can be taken for proof.
    pub names_addresses: bool,
}

/// A keyspace's name that Cassandra would not take, or would take for something else.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("keyspace {0:?} is no name: use 1 to 48 lower-case letters, digits and _, beginning with a letter")]
pub struct KeyspaceName(pub String);

// === impl Config ===

impl Config {
    /// The defaults, on these nodes.
    pub fn new(nodes: Vec<String>) -> Self {
        Self {
            nodes,
            keyspace: "starling".into(),
            replication: Replication::Simple(1),
            datacenter: None,
            connections_per_node: limits::CASSANDRA_CONNECTIONS_PER_NODE,
            credentials: None,
            tls: None,
        }
    }

    /// The keyspace, if it is one: names stand in statements as they are, so nothing else may be in them.
    pub fn keyspace(&self) -> Result<&str, KeyspaceName> {
        let name = self.keyspace.as_str();
        let is_legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let begins_well = name.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
        if begins_well && name.len() <= KEYSPACE_CHARS_MAX && name.bytes().all(is_legal) {
            Ok(name)
        } else {
            Err(KeyspaceName(self.keyspace.clone()))
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.name)
    }
}

/// Cassandra's own limit.
const KEYSPACE_CHARS_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyspace_is_a_plain_word() {
        let named = |name: &str| Config { keyspace: name.into(), ..Config::new(vec![]) };
        for good in ["a", "starling", "t_1f", &"k".repeat(48)] {
            assert_eq!(named(good).keyspace(), Ok(good));
        }
        for bad in ["", "1a", "_a", "A", "a b", "a;", "a\"", "ä", &"k".repeat(49)] {
            assert_eq!(named(bad).keyspace(), Err(KeyspaceName(bad.into())));
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Some(Credentials { name: "starling".into(), password: "hush".into() });
        let config = Config { credentials, ..Config::new(vec!["127.0.0.1:9042".into()]) };
        let text = format!("{config:?}");
        assert!(text.contains("starling, …") && !text.contains("hush"), "{text}");
    }
}
