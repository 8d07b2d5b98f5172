//! Whose address a request came from, and what of it is counted.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::Subject;

/// The address of the client. Behind a proxy it is the one that the proxy has added to `X-Forwarded-For`, the last: what
/// stands before it anybody can write.
pub(crate) fn of_client(behind_proxy: bool, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    if !behind_proxy {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()).and_then(|list| list.rsplit(',').next());
    last.and_then(|text| parse(text.trim())).unwrap_or(peer)
}

/// `1.2.3.4`, `::1`, and what some proxies write: `[::1]`, `1.2.3.4:5678`, `[::1]:5678`.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The subject of an address: a whole /64 in IPv6, which is what one customer gets.
pub(crate) fn subject(ip: IpAddr) -> Subject {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Subject::Address(u64::from(u32::from(ip))),
        IpAddr::V6(ip) => Subject::Network((u128::from(ip) >> 64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_the_last_header_is_the_clients() {
        let peer: IpAddr = "10.0.0.9".parse().unwrap();
        for (values, expected) in [
            (vec!["1.2.3.4"], "1.2.3.4"),
            (vec!["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (vec!["6.6.6.6", "7.7.7.7,1.2.3.4 "], "1.2.3.4"),
            (vec!["1.2.3.4:5678"], "1.2.3.4"),
            (vec!["2001:db8::1"], "2001:db8::1"),
            (vec!["[2001:db8::1]"], "2001:db8::1"),
            (vec!["[2001:db8::1]:443"], "2001:db8::1"),
            (vec!["unknown"], "10.0.0.9"),
            (vec![], "10.0.0.9"),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            assert_eq!(of_client(true, &headers, peer), expected.parse::<IpAddr>().unwrap(), "{values:?}");
            assert_eq!(of_client(false, &headers, peer), peer, "nobody may choose their address");
        }
    }

    #[test]
    fn a_customers_addresses_are_one_subject() {
        let of = |text: &str| subject(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
    }
}
