//! Proxies on the way of some processes to NATS, so that a test can cut one of them off while all others go on.

use std::collections::BTreeMap;
use std::io;

use super::plan::Planned;
use crate::proxy::Proxy;

/// The proxies of each process that has some, by its name.
#[derive(Default)]
pub(super) struct NatsLinks(BTreeMap<String, Vec<Proxy>>);

impl NatsLinks {
    /// Puts one proxy before each server for each of these processes, and tells the process of no other way.
    pub(super) async fn start(
        names: &[String],
        roles: &mut [Planned],
        servers: &[Planned],
    ) -> io::Result<Self> {
        let mut links = BTreeMap::new();
        for role in roles.iter_mut().filter(|role| names.contains(&role.name)) {
            let mut proxies = Vec::new();
            for server in servers.iter().filter(|server| server.role == "nats") {
                let proxy = Proxy::start().await?;
                proxy.lead_to(&server.address);
                proxies.push(proxy);
            }
            let urls: Vec<String> = proxies.iter().map(|proxy| format!("nats://{}", proxy.addr())).collect();
            role.command.extend(["--nats-urls".to_owned(), urls.join(",")]);
            links.insert(role.name.clone(), proxies);
        }
        Ok(Self(links))
    }

    /// Resets what the process has open and lets nothing through, or lets it through again.
    ///
    /// # Panics
    /// When the process has no proxies.
    pub(super) fn cut(&self, name: &str, is_cut: bool) {
        let proxies = self.0.get(name).unwrap_or_else(|| panic!("{name} has no proxies"));
        for proxy in proxies {
            proxy.hold_new(is_cut);
            if is_cut {
                proxy.reset();
            }
        }
    }
}
