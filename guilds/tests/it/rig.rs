//! A directory in a temporary folder, with what tests ask of it and look at.

use std::sync::Arc;

use backplane::in_process::Options;
use backplane::{Backplane, InProcess, Layout, Subject};
use doubles::{Disk, Flaky};
use guilds::store::EmbeddedStore;
use guilds::{Config, Directory, PasswordCost};
use model::clock::ManualClock;
use model::{EventKind, GuildId, UserId};
use parking_lot::Mutex;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;
use proto::{Envelope, v1};
use storage::{
    EmbeddedLeases, Engine, EngineOptions, Epoch, IdFloor, Lease, Slot, SlotSet, Snowflakes, WorkerId,
};
use tempfile::TempDir;

pub const NOW_MS: u64 = 1_800_000_000_000;

/// Some lease: the embedded store needs none.
pub const LEASE: Lease = match Slot::new(1) {
    Some(slot) => Lease { set: SlotSet::Guilds, slot, epoch: Epoch(1) },
    None => unreachable!(),
};

/// Asks a service: `ask!(rig, create_role, v1::CreateRoleRequest { .. })` is the answer or the failure.
#[macro_export]
macro_rules! ask {
    ($rig:expr, $method:ident, $request:expr) => {
        $rig.directory
            .$method(tonic::Request::new($request))
            .await
            .map(tonic::Response::into_inner)
            .map_err(proto::Failure::from)
    };
}

/// Asserts that a call is refused with this code of the public API.
#[macro_export]
macro_rules! refused {
    ($outcome:expr, $code:expr) => {{
        let failure = $outcome.expect_err("it was allowed");
        assert_eq!(failure.code, $code, "{failure}");
        failure
    }};
}

pub struct Rig {
    disk: Option<Disk>,
    dir: Option<TempDir>,
    engine: Engine,
    pub directory: Directory,
    pub backplane: Arc<Flaky>,
    pub clock: ManualClock,
}

impl Rig {
    pub async fn new() -> Self {
        let clock = ManualClock::at(NOW_MS);
        let layout = Layout { guild_partitions: 1, user_partitions: 1 };
        let inner = InProcess::new(layout, Arc::new(clock.clone()), Options::default());
        let dir = tempfile::tempdir().unwrap();
        Self::open(dir, Flaky::new(inner), clock, Disk::default()).await
    }

    async fn open(dir: TempDir, backplane: Arc<Flaky>, clock: ManualClock, disk: Disk) -> Self {
        let options = EngineOptions { sync_hook: Some(disk.hook()), ..EngineOptions::default() };
        let engine = Engine::open(dir.path(), options).unwrap();
        let leases = EmbeddedLeases::start(&engine).await.unwrap();
        let floor = Arc::new(IdFloor::open(&engine).unwrap());
        let ids = Snowflakes::new(WorkerId::of_epoch(leases.epoch()), floor.recorded_ms());
        let config = Config {
            store: Arc::new(EmbeddedStore::open(&engine, floor).unwrap()),
            leases: Arc::new(leases),
            backplane: backplane.clone(),
            replicas: None,
            clock: Arc::new(clock.clone()),
            ids: Arc::new(Mutex::new(ids)),
            password_cost: PasswordCost::CHEAP,
            actor_idle_ms: Some(50),
        };
        let directory = Directory::open(config).await.unwrap();
        Self { disk: Some(disk), dir: Some(dir), engine, directory, backplane, clock }
    }

    /// Ends this process and starts the next on the same folder and the same backplane.
    pub async fn restart(self) -> Self {
        self.restart_after(async |_| {}).await
    }

    /// The same; in between the rows are changed, as a process that died would have left them.
    pub async fn restart_after(mut self, change: impl AsyncFnOnce(&EmbeddedStore)) -> Self {
        self.directory.shutdown().await;
        self.engine.close().await.unwrap();
        let (dir, backplane, clock) = (self.dir.take().unwrap(), self.backplane.clone(), self.clock.clone());
        let disk = self.disk.take().unwrap();
        drop(self);
        {
            let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
            let floor = Arc::new(IdFloor::open(&engine).unwrap());
            change(&EmbeddedStore::open(&engine, floor).unwrap()).await;
            engine.close().await.unwrap();
        }
        backplane.come_back();
        Self::open(dir, backplane, clock, disk).await
    }

    pub fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    // --- Asking

    pub async fn user(&self, name: &str) -> UserId {
        let request = v1::RegisterRequest {
            username: name.into(),
            password: "correct horse".into(),
            global_name: None,
        };
        UserId::new(ask!(self, register, request).unwrap().user.unwrap().id).unwrap()
    }

    pub async fn bot(&self, owner: UserId, name: &str) -> UserId {
        let request =
            v1::CreateApplicationRequest { owner_id: owner.get(), name: name.into(), ..Default::default() };
        UserId::new(ask!(self, create_application, request).unwrap().application.unwrap().bot_id).unwrap()
    }

    pub async fn guild(&self, owner: UserId) -> v1::GuildDetails {
        let request = v1::CreateGuildRequest { owner_id: owner.get(), name: "Demo".into(), icon: None };
        ask!(self, create_guild, request).unwrap()
    }

    pub async fn add(&self, guild: u64, user: UserId, actor: UserId) -> v1::Member {
        let request = v1::AddMemberRequest {
            guild_id: guild,
            user_id: user.get(),
            actor_id: actor.get(),
            bot_permissions: 0,
        };
        ask!(self, add_member, request).unwrap()
    }

    /// What opens the private channel of two users.
    pub async fn open_private(&self, user: UserId, other: UserId) -> Result<v1::Channel, proto::Failure> {
        let request = v1::OpenPrivateChannelRequest {
            lower_id: user.min(other).get(),
            higher_id: user.max(other).get(),
            user_id: user.get(),
        };
        ask!(self, open_private_channel, request)
    }

    pub async fn role(&self, guild: u64, actor: UserId, name: &str, permissions: u64) -> v1::Role {
        let fields =
            v1::RoleFields { name: Some(name.into()), permissions: Some(permissions), ..Default::default() };
        let request = v1::CreateRoleRequest { guild_id: guild, actor_id: actor.get(), fields: Some(fields) };
        ask!(self, create_role, request).unwrap()
    }

    pub async fn give(&self, guild: u64, user: UserId, actor: UserId, roles: &[u64]) {
        let request = v1::EditMemberRequest {
            guild_id: guild,
            user_id: user.get(),
            actor_id: actor.get(),
            add_roles: roles.to_vec(),
            ..Default::default()
        };
        ask!(self, edit_member, request).unwrap();
    }

    pub async fn details(&self, guild: u64) -> v1::GuildDetails {
        ask!(self, get_guild, v1::GetGuildRequest { guild_id: guild, reader_id: None }).unwrap()
    }

    // --- Looking

    /// The rows of a table of the store.
    pub fn rows(&self, table: &str) -> Vec<storage::Row> {
        self.engine.table(table).unwrap().all().map(Result::unwrap).collect()
    }

    /// Everything that was published on a subject, in order.
    pub async fn events(&self, subject: Subject) -> Vec<Envelope> {
        let stream = self.backplane.layout().stream(subject);
        let last = self.backplane.inner().state(stream).await.unwrap().last;
        let stored = if last == 0 {
            vec![]
        } else {
            self.backplane.inner().read(stream, 1..=last, usize::MAX).await.unwrap()
        };
        let mine = stored.into_iter().filter(|stored| stored.subject == subject);
        mine.map(|stored| Envelope::decode(stored.envelope).unwrap()).collect()
    }

    pub async fn of_guild(&self, guild: u64) -> Vec<Envelope> {
        self.events(Subject::Guild(GuildId::new(guild).unwrap())).await
    }

    pub async fn of_user(&self, user: UserId) -> Vec<Envelope> {
        self.events(Subject::User(user)).await
    }

    /// Kinds and revisions of what was published for a guild.
    pub async fn kinds(&self, guild: u64) -> Vec<(EventKind, u64)> {
        let events = self.of_guild(guild).await;
        events.iter().map(|event| (event.kind, event.revision.unwrap())).collect()
    }
}

/// What gives a guild another name.
pub fn rename(guild: u64, actor: UserId, name: &str) -> v1::EditGuildRequest {
    v1::EditGuildRequest {
        guild_id: guild,
        actor_id: actor.get(),
        name: Some(name.into()),
        ..Default::default()
    }
}

pub fn json(envelope: &Envelope) -> serde_json::Value {
    serde_json::from_slice(&envelope.data).unwrap()
}
