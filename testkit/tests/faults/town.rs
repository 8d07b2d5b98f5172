//! A cluster with its people, who talk all the time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cluster::{Cluster, Database, Member, Options};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::rest::{Answer, Rest};
use testkit::traffic::judge::Id;
use testkit::traffic::{Person, Plan, Traffic};
use tokio::time::{self, Instant};

/// See the module.
pub struct Town {
    pub cluster: Cluster,
    pub traffic: Traffic,
    people: Vec<Person>,
    _folder: TempDir,
}

impl Town {
    /// `None` where a server is not installed.
    pub async fn open(nats_nodes: usize, database: Database) -> Option<Self> {
        Self::open_as(|folder| Options {
            nats_nodes,
            severable: vec![SEVERABLE.to_owned()],
            clocks_ahead_ms: vec![("messages-2".to_owned(), CLOCKS_APART_MS)],
            has_fail_points: cfg!(debug_assertions),
            database,
            ..Options::small(folder)
        })
        .await
    }

    /// The same on another cluster.
    pub async fn open_as(options: impl FnOnce(PathBuf) -> Options) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let started = Cluster::start(options(folder.path().to_owned())).await;
        let cluster = started.unwrap_or_else(|error| panic!("{error}"))?;
        let plan = plan(&cluster).await;
        let people = plan.people.clone();
        let traffic = Traffic::start(plan).await;
        Some(Self { cluster, traffic, people, _folder: folder })
    }

    /// Ends the traffic and the cluster; nothing may have gone wrong.
    pub async fn close(self) {
        let report = self.traffic.finish().await;
        println!("{} messages", report.sent.len());
        report.assert_clean();
        self.cluster.stop().await;
    }

    /// Somebody who talks here, by name.
    pub fn person(&self, name: &str) -> &Person {
        self.people.iter().find(|person| person.name == name).unwrap()
    }

    /// All processes of a role.
    pub fn members(&self, role: &str) -> Vec<&Member> {
        self.cluster.members().filter(|member| member.role() == role).collect()
    }

    /// A user at the first API.
    pub fn rest(&self, name: &str) -> Rest {
        let users = &self.cluster.demo.demo.users;
        self.cluster.rest(0, &users.iter().find(|user| user.name == name).unwrap().token)
    }

    /// A user's session on one of the gateways.
    pub async fn login(&self, gateway: usize, name: &str) -> GatewayClient {
        let users = &self.cluster.demo.demo.users;
        let token = &users.iter().find(|user| user.name == name).unwrap().token;
        GatewayClient::login(&self.cluster.demo.gateways[gateway], token, ALL_INTENTS).await
    }
}

/// Everybody talks in the channels of the demo's guild and in some more, so that each replica owns some.
async fn plan(cluster: &Cluster) -> Plan {
    let demo = &cluster.demo.demo;
    let [alice, bob] = &demo.users[..] else { panic!("alice and bob are in demo.json") };
    let id = |text: &str| text.parse::<Id>().unwrap();
    let mut open = BTreeSet::from([id(&demo.channels.general), id(&demo.channels.random)]);
    let maker = cluster.rest(0, &alice.token);
    for number in 0..TALKS {
        let channel = make_channel(&maker, &demo.guild_id, &format!("talk-{number}"), &[]).await;
        open.insert(id(&channel));
    }
    let channels = open.iter().copied().chain([id(&demo.channels.staff)]).collect::<BTreeSet<Id>>();
    let user = |user: &testkit::server::DemoUser, sees: &BTreeSet<Id>| Person {
        name: user.name.clone(),
        id: id(&user.id),
        authorization: user.token.clone(),
        token: user.token.clone(),
        sees: sees.clone(),
    };
    let bot = Person {
        name: "bot".to_owned(),
        id: id(&demo.bot.id),
        authorization: format!("Bot {}", demo.bot.token),
        token: demo.bot.token.clone(),
        sees: channels.clone(),
    };
    Plan {
        apis: cluster.demo.apis.clone(),
        gateways: cluster.demo.gateways.clone(),
        people: vec![user(alice, &channels), user(bob, &open), bot],
        channels,
        pace: PACE,
    }
}

/// Makes a text channel, hidden from these roles.
pub async fn make_channel(rest: &Rest, guild: &str, name: &str, hidden_from: &[&str]) -> String {
    let overwrites: Value = hidden_from
        .iter()
        .map(|role| json!({ "id": role, "type": 0, "allow": "0", "deny": "1024" }))
        .collect();
    let body = json!({ "name": name, "type": 0, "permission_overwrites": overwrites });
    let made = until_taken(rest, Method::POST, &format!("/guilds/{guild}/channels"), Some(&body)).await;
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Asks as a client does: again after what a 503 says, until it is done.
pub async fn until_taken(rest: &Rest, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let answer = rest.call(method.clone(), path, body).await.unwrap();
        if answer.status.is_success() {
            return answer;
        }
        time::sleep(retry_after(&answer)).await;
    }
    panic!("{method} {path} was not taken in {PATIENCE:?}");
}

/// How long a 503 asks to wait. Nothing else is expected.
pub fn retry_after(answer: &Answer) -> Duration {
    assert_eq!(answer.status.as_u16(), 503, "{answer:?}");
    let secs = answer.header("retry-after").and_then(|secs| secs.parse().ok());
    Duration::from_secs(secs.unwrap_or_else(|| panic!("a 503 without Retry-After: {answer:?}")))
}

/// The gateway that can be cut from NATS.
pub const SEVERABLE: &str = "gateway-1";
const CLOCKS_APART_MS: i64 = 3_000;
const PACE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(90);
const TALKS: usize = 6;
