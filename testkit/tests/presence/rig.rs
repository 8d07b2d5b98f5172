//! Two gateways and two replicas of presence, with a link for each pair that can be cut, and the roster on a Redis that
//! can be lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backplane::{PodName, RedisRoster, Roster};
use gateway::Gateway;
use model::slots::VOICE_WRITERS;
use parking_lot::Mutex;
use presence::Presence;
use presence::table::Bounds;
use presence::voice::VoiceConfig;
use proto::clients::{PresenceClient, presence_over, presence_server};
use proto::transport::Transport;
use proto::v1::presence_service_server::PresenceServiceServer;
use proto::{Writer, v1};
use redis_link::{Config, Link};
use serde_json::{Value, json};
use starling::Settings;
use starling::admin::Admin;
use starling::server::Services;
use tempfile::TempDir;
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::proxy::Proxy;
use testkit::redis::{self, RedisServer};
use testkit::switch::Switch;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

type Wire = Switch<PresenceServiceServer<Presence>>;

pub const GATEWAYS: usize = 2;
pub const REPLICAS: usize = 2;
/// A pod that does not call for so long is dead, unless the roster knows better.
pub const LEASE_MS: u64 = 2_000;
const SETTLES_AFTER_MS: u64 = 1_000;

/// See the module.
pub struct Rig {
    services: Services,
    links: Vec<Vec<Wire>>,
    replicas: Vec<Option<Presence>>,
    gateways: Vec<Gateway>,
    roster: Arc<dyn Roster>,
    /// Between presence and Redis; gateways have their own way.
    _redis: Proxy,
    /// The same without it.
    pub living: Arc<dyn Roster>,
    pub server: RedisServer,
    pub guild: u64,
    pub members: Vec<Member>,
    ids: Arc<Mutex<u64>>,
    absence_ms: u64,
    _folder: TempDir,
}

/// A user of the guild.
pub struct Member {
    pub id: String,
    token: String,
}

impl Rig {
    /// `None` where there is no Redis.
    pub async fn start(members: u32) -> Option<Self> {
        Self::start_with(members, Bounds::default().absence_ms).await
    }

    /// The same where the roster's silence about a pod counts sooner or later.
    pub async fn start_with(members: u32, absence_ms: u64) -> Option<Self> {
        let server = RedisServer::start()?;
        let folder = TempDir::new().unwrap();
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let admin = Admin::start(TcpListener::bind(("127.0.0.1", 0)).await.unwrap()).unwrap();
        let services = Services::open(&settings, &admin.readiness, |streams| streams).await.unwrap();
        let (guild, members) = seed(&services, members).await;
        let redis = Proxy::start().await.unwrap();
        redis.lead_to(&server.address());
        let config = Config { answer_ms: 2_000, ..redis::config(&server) };
        let behind = Config { port: redis.addr().port(), ..config.clone() };
        let roster = |config| Arc::new(RedisRoster::new(Link::start(config).unwrap())) as Arc<dyn Roster>;
        let mut rig = Self {
            services,
            links: Vec::new(),
            replicas: Vec::new(),
            gateways: Vec::new(),
            roster: roster(behind),
            living: roster(config.clone()),
            _redis: redis,
            server,
            guild,
            members,
            ids: Arc::new(Mutex::new(u64::MAX / 2)),
            absence_ms,
            _folder: folder,
        };
        rig.replicas = (0..REPLICAS).map(|_| Some(rig.replica(None))).collect();
        for _ in 0..GATEWAYS {
            rig.add_gateway(roster(config.clone())).await;
        }
        Some(rig)
    }

    fn replica(&self, settles_after_ms: Option<u64>) -> Presence {
        let ids = self.ids.clone();
        Presence::start(presence::Config {
            backplane: self.services.backplane.clone(),
            clock: self.services.clock.clone(),
            event_ids: Arc::new(move || {
                let mut next = ids.lock();
                *next += 1;
                *next
            }),
            writer: Writer { set: VOICE_WRITERS, slot: 0, epoch: 1 },
            voice: VoiceConfig::new([1; 32]),
            roster: self.roster.clone(),
            settles_after_ms,
            bounds: Bounds { lease_ms: LEASE_MS, absence_ms: self.absence_ms, ..Bounds::default() },
        })
    }

    async fn add_gateway(&mut self, roster: Arc<dyn Roster>) {
        let of = |presence: &Option<Presence>| Switch::to(served(presence.as_ref().unwrap()));
        let links: Vec<Wire> = self.replicas.iter().map(of).collect();
        let presence = links.iter().map(client).collect();
        let clients = self.services.clients.clone();
        let config = gateway::Config {
            listener: TcpListener::bind(("127.0.0.1", 0)).await.unwrap(),
            tls: None,
            public_url: "ws://unused".into(),
            pod: PodName::new(format!("pod-{}-{:x}", self.gateways.len(), model::entropy::number())),
            shards: 1,
            backplane: self.services.backplane.clone(),
            registry: self.services.registry.clone(),
            roster,
            sessions: self.services.sessions.clone(),
            neighbours: None,
            starts: self.services.starts.clone(),
            accounts: clients.directory.accounts,
            guilds: clients.directory.guilds,
            messages: clients.messages,
            presence,
            clock: self.services.clock.clone(),
            settings: gateway::Settings::default(),
        };
        self.gateways.push(Gateway::start(config).await.unwrap());
        self.links.push(links);
    }

    /// Cuts one gateway from all replicas, or joins them again.
    pub fn cut(&self, gateway: usize, is_cut: bool) {
        self.links[gateway].iter().for_each(|link| link.cut(is_cut));
    }

    /// Kills a replica: what it knew is gone.
    pub async fn kill(&mut self, replica: usize) {
        self.links.iter().for_each(|links| links[replica].lead_to(None));
        self.replicas[replica].take().unwrap().shutdown().await;
    }

    /// Starts another one in its place.
    pub fn revive(&mut self, replica: usize) {
        let presence = self.replica(Some(SETTLES_AFTER_MS));
        self.links.iter().for_each(|links| links[replica].lead_to(Some(served(&presence))));
        self.replicas[replica] = Some(presence);
    }

    pub fn presence(&self, replica: usize) -> presence::Stats {
        self.replicas[replica].as_ref().unwrap().stats()
    }

    /// A counter of a gateway.
    pub fn count(&self, gateway: usize, name: &str) -> u64 {
        let all = self.gateways[gateway].stats().all();
        all.into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    pub async fn login(&self, gateway: usize, member: usize) -> GatewayClient {
        let url = format!("ws://{}", self.gateways[gateway].local_addr());
        GatewayClient::login(&url, &self.members[member].token, ALL_INTENTS).await
    }
}

/// Sends op 3.
pub async fn say(client: &mut GatewayClient, status: &str) {
    client.send(3, json!({"status": status, "activities": [], "since": null, "afk": false})).await;
}

/// What a client sees of everybody in the guild: GUILD_CREATE, and each PRESENCE_UPDATE since.
pub struct Watcher {
    pub client: GatewayClient,
    guild: String,
    seen: BTreeMap<String, String>,
    /// All updates, in order: user and status.
    pub updates: Vec<(String, String)>,
}

impl Watcher {
    pub fn new(client: GatewayClient, guild: u64) -> Self {
        let guild = guild.to_string();
        let created = client.guilds.iter().find(|created| created["id"] == *guild).unwrap();
        let seen = created["presences"].as_array().unwrap().iter().map(pair).collect();
        Self { client, guild, seen, updates: Vec::new() }
    }

    pub fn status(&self, member: &Member) -> &str {
        self.seen.get(&member.id).map_or("offline", String::as_str)
    }

    /// Takes what comes until it sees the member so.
    pub async fn until(&mut self, member: &Member, status: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.status(member) != status {
            assert!(tokio::time::Instant::now() < deadline, "{} is still {}", member.id, self.status(member));
            self.take(Duration::from_millis(100)).await;
        }
    }

    /// Takes what comes within this time.
    pub async fn take(&mut self, time: Duration) {
        for (name, data) in self.client.drain(time).await {
            if name == "PRESENCE_UPDATE" && data["guild_id"] == *self.guild {
                let (user, status) = pair(&data);
                self.updates.push((user.clone(), status.clone()));
                self.seen.insert(user, status);
            }
        }
    }

    /// What came of the member.
    pub fn updates_of(&self, member: &Member) -> Vec<&str> {
        let own = self.updates.iter().filter(|(user, _)| *user == member.id);
        own.map(|(_, status)| status.as_str()).collect()
    }
}

fn pair(presence: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&presence["user"]["id"]), text(&presence["status"]))
}

fn served(presence: &Presence) -> PresenceServiceServer<Presence> {
    presence_server(presence.clone())
}

fn client(link: &Wire) -> PresenceClient {
    presence_over(Transport::local(link.clone(), Handle::current()))
}

async fn seed(services: &Services, members: u32) -> (u64, Vec<Member>) {
    let request =
        v1::SeedGuildRequest { name: "seen".into(), prefix: "member".into(), members, guild_id: None };
    let reply = services.clients.directory.guilds.clone().seed_guild(request).await.unwrap().into_inner();
    let member = |member: v1::SeededMember| Member { id: member.id.to_string(), token: member.token };
    (reply.guild_id, reply.members.into_iter().map(member).collect())
}
