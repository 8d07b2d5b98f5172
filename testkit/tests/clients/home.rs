//! What stands behind the addresses that clients are given: one process, or a cluster in which what they send goes to one
//! API and what they receive comes from another gateway.

use std::path::PathBuf;

use tempfile::TempDir;
use testkit::cluster::{Cluster, Options as ClusterOptions};
use testkit::proxy::Proxy;
use testkit::rest::Rest;
use testkit::server::{self, Demo, DemoUser, Options, Server};

pub struct Home {
    pub demo: Demo,
    body: Body,
}

/// What a library is pointed at. The API names the same gateway.
pub struct Place {
    pub api: String,
    pub gateway: String,
}

impl Place {
    /// `host:port` of the API.
    pub fn api_host(&self) -> &str {
        let rest = self.api.strip_prefix("http://").unwrap();
        rest.split_once('/').unwrap().0
    }
}

enum Body {
    One(Box<Server>),
    Many { cluster: Box<Cluster>, _folder: TempDir },
}

impl Home {
    /// One process; its clients are told to go through the proxy.
    pub async fn one(mut options: Options, proxy: &Proxy) -> Self {
        options.flags = vec!["--public-gateway-url".into(), proxy.ws_url()];
        let server = Server::with(options).await;
        proxy.lead_to(&server.listens.gateway);
        Self { demo: server.demo.clone(), body: Body::One(Box::new(server)) }
    }

    /// A cluster, whose first gateway lies behind the proxy. `None` where Redis is not installed.
    pub async fn many(settings: String, proxy: &Proxy) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let size = size(folder.path().to_owned());
        let options = ClusterOptions { settings, public_gateway: Some(proxy.ws_url()), ..size };
        let cluster = Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"))?;
        proxy.lead_to(cluster.gateway_address(0));
        // What tests send themselves goes through the other API.
        let demo = Demo { api: cluster.demo.apis[1].clone(), ..cluster.demo.demo.clone() };
        Some(Self { demo, body: Body::Many { cluster: Box::new(cluster), _folder: folder } })
    }

    /// Where most clients are, behind the proxy.
    pub fn here(&self, proxy: &Proxy) -> Place {
        let api = match &self.body {
            Body::One(_) => &self.demo.api,
            Body::Many { cluster, .. } => &cluster.demo.apis[0],
        };
        Place { api: api.clone(), gateway: proxy.ws_url() }
    }

    /// Where the other end is: elsewhere, if there is more than one place.
    pub fn there(&self, proxy: &Proxy) -> Place {
        let gateway = match &self.body {
            Body::One(_) => proxy.ws_url(),
            Body::Many { cluster, .. } => format!("ws://{}", cluster.gateway_address(1)),
        };
        Place { api: self.demo.api.clone(), gateway }
    }

    pub fn rest(&self, token: &str) -> Rest {
        Rest::new(&self.demo.api, Some(token))
    }

    pub fn user(&self, name: &str) -> &DemoUser {
        self.demo.users.iter().find(|user| user.name == name).unwrap()
    }

    pub fn alice(&self) -> Rest {
        self.rest(&self.user("alice").token)
    }

    /// `starling admin` with these arguments; what it printed.
    pub fn admin(&self, arguments: &[&str]) -> String {
        match &self.body {
            Body::One(server) => server.admin(arguments),
            Body::Many { cluster, .. } => server::admin(&cluster.folder().join("guilds-1"), arguments),
        }
    }

    /// Ends what holds the clients' sockets in order, and starts it again at the same addresses.
    pub async fn restart(&mut self) {
        match &mut self.body {
            Body::One(server) => {
                server.terminate();
                assert!(server.wait().await.success());
                server.restart().await;
                self.demo = server.demo.clone();
            }
            Body::Many { cluster, .. } => cluster.member("gateway-1").end_and_wait().await.unwrap(),
        }
    }
}

/// Each client test has a cluster of its own, and the tables of so many are slow to make: only `CLUSTER_ON=cassandra` makes
/// them.
fn size(folder: PathBuf) -> ClusterOptions {
    match std::env::var("CLUSTER_ON").is_ok_and(|name| name == "cassandra") {
        true => ClusterOptions::small(folder),
        false => ClusterOptions::embedded(folder),
    }
}
