//! What the crate's own tests stand on: a store of which they say what becomes of a commit and what a sweep finds, leases
//! that can be taken away, and a directory's insides on both.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use backplane::in_process::Options;
use backplane::{Backplane as _, InProcess, Layout};
use doubles::Flaky;
use model::clock::ManualClock;
use model::{ApplicationId, ChannelId, GuildId, Invite, Member, Pair, Subject, User, UserId};
use parking_lot::Mutex;
use proto::{Envelope, v1};
use storage::{
    Engine, EngineOptions, Epoch, IdFloor, Lease, Leases, Ledger, NotOwner, OutboxRow, OutboxStore, Pass,
    Republish, Scope, Seen, Slot, SlotSet, Snowflakes, Unpublished, Watermark, WorkerId,
};
use tasks::Tasks;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::accounts::passwords::PasswordCost;
use crate::actor::Actors;
use crate::changes::Changes;
use crate::slots::Slots;
use crate::store::{
    Commit, DirectoryStore, EmbeddedStore, GuildRows, PrivatePlace, StoreError, TokenHash, TokenRow, Write,
};

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;
/// Ours.
pub(crate) const EPOCH: Epoch = Epoch(2);

/// The embedded store, with what a store of slots may do.
pub(crate) struct TestStore {
    inner: EmbeddedStore,
    /// What becomes of the next commits; then all are made.
    pub(crate) outcomes: Mutex<VecDeque<Result<(), StoreError>>>,
    /// What a sweep finds.
    pub(crate) left: Mutex<Vec<OutboxRow>>,
}

macro_rules! directory_store {
    ($(fn $name:ident($($argument:ident: $of:ty),*) -> $found:ty;)*) => {
        #[async_trait]
        impl DirectoryStore for TestStore {
            $(async fn $name(&self, $($argument: $of),*) -> Result<$found, StoreError> {
                self.inner.$name($($argument),*).await
            })*

            async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
                let outcome = self.outcomes.lock().pop_front();
                outcome.unwrap_or(Ok(()))?;
                self.inner.commit(lease, commit).await
            }

            async fn sweep(
                &self,
                _: &[Lease],
                pass: Pass,
                republish: &mut dyn Republish,
            ) -> Result<(), StoreError> {
                let left = self.left.lock().clone();
                for row in left.into_iter().map(Unpublished::Row) {
                    let taken = match pass {
                        Pass::First => republish.republish(row).await,
                        Pass::Late => republish.too_late(row).await,
                    };
                    taken.map_err(|error| StoreError::Unavailable(error.to_string()))?;
                }
                Ok(())
            }
        }
    };
}

directory_store! {
    fn user(id: UserId) -> Option<User>;
    fn user_named(lower: &str) -> Option<UserId>;
    fn password(user: UserId) -> Option<String>;
    fn token(hash: &TokenHash) -> Option<TokenRow>;
    fn tokens_of(user: UserId) -> Vec<TokenRow>;
    fn token_by_id(token_id: u64) -> Option<TokenRow>;
    fn application(id: ApplicationId) -> Option<v1::Application>;
    fn applications_of(owner: UserId) -> Vec<v1::Application>;
    fn refresh_of(user: UserId) -> Option<u64>;
    fn refreshes(slot: Slot, after: Option<UserId>, limit: usize) -> Vec<UserId>;
    fn guild(id: GuildId) -> Option<GuildRows>;
    fn guild_exists(id: GuildId) -> bool;
    fn guild_of_channel(channel: ChannelId) -> Option<GuildId>;
    fn deletions(slot: Slot, after: Option<GuildId>, limit: usize) -> Vec<GuildId>;
    fn invite(code: &str) -> Option<Invite>;
    fn invites_of(guild: GuildId) -> Vec<Invite>;
    fn member(guild: GuildId, user: UserId) -> Option<Member>;
    fn members_after(guild: GuildId, after: Option<UserId>, limit: usize) -> Vec<Member>;
    fn search_members(guild: GuildId, prefix: &str, limit: usize) -> Vec<UserId>;
    fn guilds_after(user: UserId, after: Option<GuildId>, limit: usize) -> Vec<GuildId>;
    fn private_channel(id: ChannelId) -> Option<Pair>;
    fn private_channel_of(pair: Pair) -> Option<ChannelId>;
    fn private_place(user: UserId, channel: ChannelId) -> Option<PrivatePlace>;
    fn private_places(user: UserId, limit: usize) -> Vec<PrivatePlace>;
}

#[async_trait]
impl OutboxStore for TestStore {
    type Error = StoreError;

    fn scope(&self) -> Scope {
        Scope::Slot
    }

    async fn put_watermark(&self, _: Watermark) -> Result<(), StoreError> {
        Ok(())
    }

    async fn prune(&self, _: SlotSet, _: Epoch, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// All leases, until they are taken away together.
#[derive(Default)]
pub(crate) struct Held {
    are_gone: AtomicBool,
}

impl Held {
    pub(crate) fn take_away(&self) {
        self.are_gone.store(true, SeqCst);
    }
}

impl Leases for Held {
    fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
        let lease = Lease { set, slot, epoch: EPOCH };
        self.check(&lease).map(|()| lease)
    }

    fn check(&self, lease: &Lease) -> Result<(), NotOwner> {
        match self.are_gone.load(SeqCst) {
            true => Err(NotOwner { set: lease.set, slot: lease.slot, owner: None }),
            false => Ok(()),
        }
    }

    fn end_of(&self, _: &Lease) -> CancellationToken {
        CancellationToken::new()
    }

    fn write_until(&self) -> Option<Instant> {
        None
    }
}

/// A directory without its doors.
pub(crate) struct World {
    pub(crate) store: Arc<TestStore>,
    pub(crate) leases: Arc<Held>,
    pub(crate) backplane: Arc<Flaky>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) slots: Slots,
    _tasks: Tasks,
    _folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let engine = Engine::open(folder.path(), EngineOptions::default()).expect("an engine");
        let floor = Arc::new(IdFloor::open(&engine).expect("a floor"));
        let inner = EmbeddedStore::open(&engine, floor).expect("tables");
        let store = Arc::new(TestStore { inner, outcomes: Mutex::default(), left: Mutex::default() });
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let layout = Layout { guild_partitions: 1, user_partitions: 1 };
        let backplane = Flaky::new(InProcess::new(layout, clock.clone(), Options::default()));
        let (leases, tasks) = (Arc::new(Held::default()), Tasks::new("test"));
        let ids = Arc::new(Mutex::new(Snowflakes::new(WorkerId::of_epoch(EPOCH), 0)));
        let changes = Arc::new(Changes {
            store: store.clone(),
            backplane: backplane.clone(),
            leases: leases.clone(),
            ledger: Ledger::new(ids, clock.clone()),
            clock,
            tasks: tasks.spawner().clone(),
        });
        let actors = Actors::new(changes.clone(), None);
        let accounts = Accounts::new(changes.clone(), actors, None, PasswordCost::CHEAP);
        let (keepers, seen) = (Vec::new(), Seen::default());
        let slots = Slots { changes: changes.clone(), accounts: accounts.clone(), keepers, seen };
        Self { store, leases, backplane, changes, accounts, slots, _tasks: tasks, _folder: folder }
    }

    /// Rows as somebody else has written them.
    pub(crate) async fn write(&self, writes: Vec<Write>) {
        let lease = Lease { set: SlotSet::Guilds, slot: Slot::of(0), epoch: Epoch(1) };
        let commit = Commit { writes, ..Commit::default() };
        self.store.inner.commit(&lease, commit).await.expect("the engine writes");
    }

    /// Everything that was published on a subject, in order.
    pub(crate) async fn events(&self, subject: Subject) -> Vec<Envelope> {
        let (backplane, stream) = (self.backplane.inner(), self.backplane.layout().stream(subject));
        let last = backplane.state(stream).await.expect("the stream").last;
        if last == 0 {
            return Vec::new();
        }
        let stored = backplane.read(stream, 1..=last, usize::MAX).await.expect("its events");
        let mine = stored.into_iter().filter(|stored| stored.subject == subject);
        mine.map(|stored| Envelope::decode(stored.envelope).expect("an envelope")).collect()
    }
}
