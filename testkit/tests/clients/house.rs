//! A server whose clients reach the gateway through a proxy.

use testkit::proxy::Proxy;
use testkit::server::{Options, Server};

pub struct House {
    pub server: Server,
    pub proxy: Proxy,
}

impl House {
    pub async fn open() -> Self {
        let proxy = Proxy::start().await.unwrap();
        let mut options = Options::unlimited();
        options.flags = vec!["--public-gateway-url".into(), proxy.ws_url()];
        let server = Server::with(options).await;
        proxy.lead_to(&server.listens.gateway);
        Self { server, proxy }
    }

    pub fn guild(&self) -> &str {
        &self.server.demo.guild_id
    }

    pub fn general(&self) -> &str {
        &self.server.demo.channels.general
    }
}
