//! A server whose clients reach the gateway through a proxy. In `clients_on_faulty` its backplane misbehaves, and in
//! `clients_on_cluster` it is a cluster.

use serde::Deserialize;
use serde_json::json;
use testkit::proxy::Proxy;
use testkit::server::Options;

use super::home::Home;

pub struct House {
    pub server: Home,
    pub proxy: Proxy,
}

/// What `starling admin bot create --json` prints.
#[derive(Deserialize)]
pub struct Bot {
    pub id: String,
    pub application_id: String,
    pub token: String,
}

impl House {
    /// `None` where something is not installed that it needs, which is said.
    pub async fn open() -> Option<Self> {
        Self::with(Options::unlimited()).await
    }

    /// With the limits that a server has of itself.
    pub async fn open_limited() -> Option<Self> {
        Self::with(Options::default()).await
    }

    async fn with(mut options: Options) -> Option<Self> {
        let proxy = Proxy::start().await.unwrap();
        if module_path!().starts_with("clients_on_faulty") {
            let seed = model::entropy::number();
            println!("FAULTS_SEED={seed}");
            options.wrapper = vec!["env".into(), format!("FAULTS_SEED={seed}")];
            options.program = Some(env!("CARGO_BIN_EXE_starling-faulty").into());
        }
        let server = match module_path!().starts_with("clients_on_cluster") {
            true => Home::many(options.config, &proxy).await?,
            false => Home::one(options, &proxy).await,
        };
        Some(Self { server, proxy })
    }

    pub fn guild(&self) -> &str {
        &self.server.demo.guild_id
    }

    pub fn general(&self) -> &str {
        &self.server.demo.channels.general
    }

    /// Gives the demo bot every permission; of itself it may neither kick nor invite.
    pub async fn make_bot_administrator(&self) {
        let alice = self.server.alice();
        let me = alice.get(&format!("/guilds/{}/members/{}", self.guild(), self.server.demo.bot.id)).await;
        let role = me["roles"][0].as_str().unwrap();
        alice.patch(&format!("/guilds/{}/roles/{role}", self.guild()), &json!({ "permissions": "8" })).await;
    }

    /// Another bot in the guild, without permissions of its own: it can't view `staff`.
    pub async fn second_bot(&self) -> Bot {
        let make = ["bot", "create", "robin", "--owner", "alice", "--privileged", "all", "--json"];
        let bot: Bot = serde_json::from_str(&self.server.admin(&make)).unwrap();
        self.add_bot(&bot.application_id, self.guild()).await;
        bot
    }

    pub async fn add_bot(&self, application_id: &str, guild: &str) {
        let path = format!("/oauth2/authorize?client_id={application_id}&scope=bot");
        let body = json!({ "guild_id": guild, "permissions": "0", "authorize": true });
        self.server.alice().post(&path, &body).await;
    }
}
