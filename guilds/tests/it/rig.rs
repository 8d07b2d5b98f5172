//! A directory in a temporary folder, with what tests ask of it and look at.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backplane::in_process::Options;
use backplane::port::{DeliverError, PodBatch, UserConsumer};
use backplane::{
    Ack, Backplane, Ephemeral, InProcess, Layout, Listener, Partition, PodName, ReadError, Stored, Stream,
    StreamState, Subject, Unavailable, UserEvent,
};
use bytes::Bytes;
use guilds::store::EmbeddedStore;
use guilds::{Config, Directory, PasswordCost};
use model::clock::ManualClock;
use model::{EventKind, GuildId, UserId};
use parking_lot::Mutex;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;
use proto::{Envelope, v1};
use storage::{EmbeddedLeases, Engine, EngineOptions, IdFloor, Snowflakes, SyncHook, WorkerId};
use tempfile::TempDir;
use tokio::sync::mpsc;

pub const NOW_MS: u64 = 1_800_000_000_000;

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

/// A disk that can be held up. Dropped, it is not.
struct Disk(Arc<AtomicBool>);

impl Disk {
    fn hook(&self) -> SyncHook {
        let is_stuck = self.0.clone();
        Arc::new(move || {
            while is_stuck.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
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
        let backplane =
            Arc::new(Flaky { inner, left: AtomicUsize::new(usize::MAX), panics: AtomicBool::new(false) });
        let dir = tempfile::tempdir().unwrap();
        let disk_is_stuck = Arc::new(AtomicBool::new(false));
        Self::open(dir, backplane, clock, Disk(disk_is_stuck)).await
    }

    async fn open(dir: TempDir, backplane: Arc<Flaky>, clock: ManualClock, disk: Disk) -> Self {
        let options = EngineOptions { sync_hook: Some(disk.hook()), ..EngineOptions::default() };
        let engine = Engine::open(dir.path(), options).unwrap();
        let leases = EmbeddedLeases::start(&engine).await.unwrap();
        let floor = Arc::new(IdFloor::open(&engine).unwrap());
        let ids = Snowflakes::new(WorkerId::of_epoch(leases.epoch()), floor.recorded_ms());
        let config = Config {
            engine: engine.clone(),
            leases: Arc::new(leases),
            backplane: backplane.clone(),
            clock: Arc::new(clock.clone()),
            ids: Arc::new(Mutex::new(ids)),
            floor,
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

    /// Holds every fsync back, or no longer.
    pub fn set_disk_stuck(&self, is_stuck: bool) {
        self.disk.as_ref().unwrap().0.store(is_stuck, Ordering::SeqCst);
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
        let last = self.backplane.inner.state(stream).await.unwrap().last;
        let stored = if last == 0 {
            vec![]
        } else {
            self.backplane.inner.read(stream, 1..=last, usize::MAX).await.unwrap()
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

pub fn json(envelope: &Envelope) -> serde_json::Value {
    serde_json::from_slice(&envelope.data).unwrap()
}

/// The in-process backplane, whose publishes can be made to fail.
pub struct Flaky {
    pub inner: Arc<InProcess>,
    /// Publishes until it goes away.
    left: AtomicUsize,
    panics: AtomicBool,
}

impl Flaky {
    /// The next publishes panic.
    pub fn panic(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    /// Goes away after this many publishes.
    pub fn fail_after(&self, publishes: usize) {
        self.left.store(publishes, Ordering::SeqCst);
    }

    pub fn come_back(&self) {
        self.left.store(usize::MAX, Ordering::SeqCst);
    }
}

#[async_trait]
impl Backplane for Flaky {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        assert!(!self.panics.load(Ordering::SeqCst), "told to panic");
        let take = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
            return Err(Unavailable("the test took it away".into()));
        }
        self.inner.publish(subject, event_id, envelope).await
    }

    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes) {
        self.inner.publish_ephemeral(subject, envelope);
    }

    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.inner.listen(partition).await
    }

    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.inner.listen_ephemeral(partition).await
    }

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable> {
        self.inner.state(stream).await
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        self.inner.last(subject).await
    }

    fn tail(&self, partition: Partition) -> u64 {
        self.inner.tail(partition)
    }

    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.inner.read(stream, range, max).await
    }

    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable> {
        self.inner.contains(subject, event_id).await
    }

    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable> {
        self.inner.consume_users(partition).await
    }

    async fn serve_pod(&self, pod: &PodName) -> Result<mpsc::Receiver<PodBatch>, Unavailable> {
        self.inner.serve_pod(pod).await
    }

    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        self.inner.deliver(pod, events).await
    }
}
