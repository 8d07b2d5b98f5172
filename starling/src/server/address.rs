//! What clients are told to connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::settings::Settings;

/// Where clients find the server, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    /// `http://host:port`.
    pub api_origin: String,
    /// `ws://host:port`, or `wss://host:port`.
    pub gateway: String,
}

impl Urls {
    pub fn new(settings: &Settings, api: SocketAddr, gateway: SocketAddr) -> Self {
        let or = |url: &Option<String>, scheme: &str, address| {
            url.clone().unwrap_or_else(|| format!("{scheme}://{}", reachable(address)))
        };
        Self {
            api_origin: or(&settings.public_api_url.0, "http", api),
            gateway: or(&settings.public_gateway_url.0, settings.gateway_scheme(), gateway),
        }
    }

    /// The base of REST routes.
    pub fn api(&self) -> String {
        format!("{}/api/v10", self.api_origin)
    }

    /// The API's host and port as libraries want it that ask for no scheme.
    pub fn api_host(&self) -> &str {
        self.api_origin.split_once("://").map_or(&self.api_origin, |(_, host)| host)
    }

    pub fn is_plain(&self) -> bool {
        self.api_origin.starts_with("http://")
    }
}

/// "All addresses" is nothing to connect to; this machine's own is one of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::value::HttpUrl;

    #[test]
    fn urls_follow_from_the_addresses_unless_they_are_given() {
        let settings =
            Settings { public_api_url: HttpUrl(Some("https://chat.example".into())), ..Settings::default() };
        let address = |text: &str| text.parse().unwrap();
        let own = Urls::new(&Settings::default(), address("0.0.0.0:80"), address("[::]:81"));
        assert_eq!(
            (own.api().as_str(), own.gateway.as_str()),
            ("http://127.0.0.1:80/api/v10", "ws://[::1]:81")
        );
        let given = Urls::new(&settings, address("127.0.0.1:80"), address("127.0.0.1:81"));
        assert_eq!((given.api_host(), given.is_plain()), ("chat.example", false));
    }
}
