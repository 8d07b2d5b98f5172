//! Where Cassandra is, and what lies there.

use storage::cassandra::{Config, Replication};

use super::list::{is_endpoint, list};
use super::{Toml, Value, not_text, text};

/// Some nodes, as `host:port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CassandraHosts(pub Vec<String>);

impl Value for CassandraHosts {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "HOST[:PORT] separated by commas, in the file also an array of texts";
        let with_port = |host: String| {
            let address = match host.rsplit_once(':') {
                None => format!("{host}:{PORT}"),
                // The colons of a bare IPv6 address are no port's.
                Some((head, _)) if head.contains(':') && !head.ends_with(']') => format!("[{host}]:{PORT}"),
                Some(_) => host.clone(),
            };
            if is_endpoint(&address) { Ok(address) } else { Err(not_text(&host, ALLOWED)) }
        };
        Ok(Self(list(value, ',', ALLOWED)?.into_iter().map(with_port).collect::<Result<_, _>>()?))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.join(","))
    }
}

/// The keyspace of everything that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace(pub String);

impl Value for Keyspace {
    fn read(value: Toml) -> Result<Self, String> {
        let keyspace = text(value, "1 to 48 lower-case letters, digits and _, beginning with a letter")?;
        let config = Config { keyspace, ..Config::new(Vec::new()) };
        config.keyspace().map_err(|error| error.to_string())?;
        Ok(Self(config.keyspace))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone())
    }
}

/// What a node's certificate has to prove, where TLS is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CassandraTls {
    /// TLS is not asked for here.
    #[default]
    Unsaid,
    /// That the authority has signed it for the node's address.
    Address,
    /// That the authority has signed it.
    Authority,
}

impl Value for CassandraTls {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "address, authority, or nothing";
        match text(value, ALLOWED)?.as_str() {
            "" => Ok(Self::Unsaid),
            "address" => Ok(Self::Address),
            "authority" => Ok(Self::Authority),
            other => Err(not_text(other, ALLOWED)),
        }
    }

    fn show(&self) -> Toml {
        let text = match self {
            Self::Unsaid => "",
            Self::Address => "address",
            Self::Authority => "authority",
        };
        Toml::String(text.to_owned())
    }
}

/// How many copies there are of each row, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CassandraReplication(pub Replication);

impl Value for CassandraReplication {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "COUNT, or DATACENTER:COUNT separated by commas";
        let text = match value {
            Toml::Integer(count) => count.to_string(),
            other => text(other, ALLOWED)?,
        };
        let count =
            |text: &str| text.trim().parse::<u32>().ok().filter(|count| (1..=COPIES_MAX).contains(count));
        if let Some(copies) = count(&text) {
            return Ok(Self(Replication::Simple(copies)));
        }
        let datacenter = |part: &str| {
            let (name, copies) = part.rsplit_once(':')?;
            let (name, copies) = (name.trim(), count(copies)?);
            (!name.is_empty() && name.bytes().all(is_legal)).then(|| (name.to_owned(), copies))
        };
        let datacenters: Option<Vec<_>> = text.split(',').map(datacenter).collect();
        let datacenters = datacenters.ok_or_else(|| not_text(&text, ALLOWED))?;
        Ok(Self(Replication::Datacenters(datacenters)))
    }

    fn show(&self) -> Toml {
        Toml::String(match &self.0 {
            Replication::Simple(copies) => copies.to_string(),
            Replication::Datacenters(datacenters) => {
                let parts = datacenters.iter().map(|(name, copies)| format!("{name}:{copies}"));
                parts.collect::<Vec<_>>().join(",")
            }
        })
    }
}

/// What stands in the name of a datacenter.
fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._- ".contains(&byte)
}

const COPIES_MAX: u32 = 9;
const PORT: u16 = 9042;

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Result<T, String> {
        T::read(Toml::String(text.to_owned()))
    }

    #[test]
    fn a_host_has_a_port() {
        let hosts = read::<CassandraHosts>("a, b:1,[::1]:2,::1").unwrap();
        assert_eq!(hosts.0, ["a:9042", "b:1", "[::1]:2", "[::1]:9042"]);
        assert_eq!(hosts.show(), Toml::String("a:9042,b:1,[::1]:2,[::1]:9042".to_owned()));
        assert_eq!(read::<CassandraHosts>("").unwrap().0, [""; 0]);
        for bad in ["a:x", "a b", "a:0", "cassandra://a"] {
            assert!(read::<CassandraHosts>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replication_is_a_number_or_one_for_each_datacenter() {
        for (text, replication) in [
            ("3", Replication::Simple(3)),
            ("a:3,b-1:2", Replication::Datacenters(vec![("a".into(), 3), ("b-1".into(), 2)])),
        ] {
            let found = read::<CassandraReplication>(text).unwrap();
            assert_eq!((&found.0, found.show()), (&replication, Toml::String(text.to_owned())));
        }
        for bad in ["", "0", "10", "a", "a:0", "a:1,", "a':1"] {
            assert!(read::<CassandraReplication>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_certificate_proves_one_of_two_things() {
        for text in ["", "address", "authority"] {
            assert_eq!(read::<CassandraTls>(text).unwrap().show(), Toml::String(text.to_owned()));
        }
        assert!(read::<CassandraTls>("on").is_err());
    }

    #[test]
    fn a_keyspace_is_a_plain_word() {
        assert_eq!(read::<Keyspace>("blue").unwrap().0, "blue");
        assert!(read::<Keyspace>("Blue").is_err());
    }
}
