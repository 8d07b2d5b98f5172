//! A server whose clients reach the gateway through a proxy. In `clients_on_faulty` its backplane misbehaves.

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
        if module_path!().starts_with("clients_on_faulty") {
            let seed = model::entropy::number();
            println!("FAULTS_SEED={seed}");
            options.wrapper = vec!["env".into(), format!("FAULTS_SEED={seed}")];
            options.program = Some(env!("CARGO_BIN_EXE_starling-faulty").into());
        }
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
