//! Where the replicas of a service are: a DNS name with an address for each, or a list.

use std::fmt;
use std::str::FromStr;

use model::limits::RPC_REPLICAS_MAX;

/// Where to look for replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Every address of the name is a replica; asked again and again, since replicas come and go.
    Dns { host: String, port: u16 },
    /// Each of these, `host:port`, is one replica, whose name stays the same when its address changes.
    List(Vec<String>),
}

/// A text that names no replicas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTargets {
    #[error("expected dns:///HOST:PORT, or HOST:PORT separated by commas")]
    Empty,
    #[error("`{0}` is not HOST:PORT, such as guilds.starling.svc:9091, 10.0.0.1:9091 or [::1]:9091")]
    Malformed(String),
    #[error("`{0}` stands there twice")]
    Twice(String),
    #[error("more than {RPC_REPLICAS_MAX} addresses")]
    Many,
}

const DNS: &str = "dns:///";

impl FromStr for Targets {
    type Err = BadTargets;

    fn from_str(text: &str) -> Result<Self, BadTargets> {
        if let Some(target) = text.trim().strip_prefix(DNS) {
            let (host, port) = split(target)?;
            return Ok(Self::Dns { host: host.to_owned(), port });
        }
        let mut list: Vec<String> = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            split(item)?;
            if list.iter().any(|other| other == item) {
                return Err(BadTargets::Twice(item.to_owned()));
            }
            list.push(item.to_owned());
        }
        match list.len() {
            0 => Err(BadTargets::Empty),
            count if count > RPC_REPLICAS_MAX => Err(BadTargets::Many),
            _ => Ok(Self::List(list)),
        }
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns { host, port } => write!(f, "{DNS}{host}:{port}"),
            Self::List(list) => f.write_str(&list.join(",")),
        }
    }
}

/// The host, without the brackets of an IPv6 address, and the port.
fn split(target: &str) -> Result<(&str, u16), BadTargets> {
    let malformed = || BadTargets::Malformed(target.to_owned());
    let (host, port) = target.rsplit_once(':').ok_or_else(malformed)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_legal = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            !host.is_empty() && host.bytes().all(legal)
        }
    };
    if is_legal { Ok((inner.unwrap_or(host), port)) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lists_are_read_and_shown_as_they_were() {
        for text in ["dns:///guilds.starling.svc:9091", "10.0.0.1:9091,[::1]:9092", "messages-0.messages:1"] {
            assert_eq!(text.parse::<Targets>().unwrap().to_string(), text);
        }
        let spaced = " a:1 , b:2, ".parse::<Targets>().unwrap();
        assert_eq!(spaced, Targets::List(vec!["a:1".into(), "b:2".into()]));
    }

    #[test]
    fn what_names_no_replica_is_an_error_that_shows_it() {
        for text in [
            "",
            " , ",
            "dns:///",
            "host",
            "host:0",
            "host:70000",
            "a b:1",
            "::1:9091",
            "[::g]:1",
            "http://a:1",
        ] {
            assert!(text.parse::<Targets>().is_err(), "{text}");
        }
        assert_eq!("a:1,b:1,a:1".parse::<Targets>(), Err(BadTargets::Twice("a:1".into())));
    }
}
