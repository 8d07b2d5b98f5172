use std::time::Duration;

use backplane::{Backplane, Followed, Follower, Partition};
use model::{Permissions, Role, User};
use proto::{Writer, v1};
use storage::{Bucket, Epoch, Lease, Leases as _, OutboxRow, Pass, Slot, SlotService as _};
use tokio::time::timeout;

use super::*;
use crate::guild::{new_guild, store_new_guild};
use crate::state::GuildState;
use crate::store::{DirectoryStore as _, StoreError};
use crate::testing::{EPOCH, World};

/// Far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(30);
const FEW: Permissions = Permissions::VIEW_CHANNEL;

/// A guild of ours, and what comes of it.
struct House {
    world: World,
    guild: GuildId,
    alice: User,
}

impl House {
    async fn new() -> Self {
        let world = World::new();
        let alice = User::new(world.changes.ledger.next_id(), "alice", false);
        world.write(vec![Write::PutUser(alice.clone())]).await;
        let (rows, owner) = new_guild(&world.changes, "Demo", None, alice.clone());
        let guild = rows.guild.id;
        let stored = store_new_guild(&world.changes, &rows, owner, Draft::default()).await.expect("a guild");
        world.changes.publish(stored).await.expect("it is told");
        let house = Self { world, guild, alice };
        // From now on it is held in memory.
        house.state().await;
        house
    }

    async fn state(&self) -> Arc<GuildState> {
        self.world.accounts.actors.state(self.guild).await.expect("the guild")
    }

    /// What an owner before us would write and tell, on what is stored.
    async fn draft(&self, change: impl FnOnce(&mut Change<'_>)) -> Draft {
        let rows = self.world.store.guild(self.guild).await.expect("the rows").expect("the guild");
        let state = GuildState::from(rows);
        let mut at = Change::new(&state, &self.world.changes);
        change(&mut at);
        at.into_draft()
    }

    /// It lands after we have begun: all of it, or what we have not written since.
    async fn lands(&self, set: SlotSet, draft: Draft, holds: fn(&Write) -> bool) -> Vec<OutboxEvent> {
        self.world.write(draft.writes.into_iter().filter(holds).collect()).await;
        let slot = self.slot(set);
        let writer = Writer { set: set.code(), slot: slot.get(), epoch: 1 };
        let id = self.world.changes.ledger.next();
        let with_id = |event: Event| event.with_id(self.world.changes.ledger.next(), writer);
        let events: Vec<_> = draft.events.into_iter().map(with_id).collect();
        let bucket = Bucket::of_snowflake(id);
        let row = OutboxRow { set, slot, epoch: Epoch(1), bucket, id, events: events.clone() };
        self.world.store.left.lock().push(row);
        events
    }

    fn slot(&self, set: SlotSet) -> Slot {
        Slot::of(if set == SlotSet::Users { self.alice.id.get() } else { self.guild.get() })
    }

    fn lease(&self, set: SlotSet) -> Lease {
        self.world.leases.lease(set, self.slot(set)).expect("ours")
    }

    async fn sweep(&self, set: SlotSet, pass: Pass) {
        self.world.slots.sweep(&[self.lease(set)], pass).await.expect("swept");
    }

    async fn told(&self) -> Vec<Envelope> {
        self.world.events(Subject::Guild(self.guild)).await
    }

    async fn told_to(&self, user: UserId) -> Vec<Envelope> {
        self.world.events(Subject::User(user)).await
    }

    async fn rename(&self) {
        let request = v1::EditGuildRequest {
            guild_id: self.guild.get(),
            actor_id: self.alice.id.get(),
            name: Some("Ours".into()),
            ..Default::default()
        };
        self.world.accounts.actors.change(self.guild, request).await.expect("a change of ours");
    }

    fn everyone(&self, permissions: Permissions) -> Role {
        Role::new(self.guild.cast(), "@everyone", permissions)
    }
}

fn all(_: &Write) -> bool {
    true
}

/// The guild's row was written by us since.
fn all_but_guild(write: &Write) -> bool {
    !matches!(write, Write::PutGuild(_))
}

fn is_ours(event: &Envelope) -> bool {
    event.writer.epoch == EPOCH.0
}

#[tokio::test]
async fn a_change_that_only_the_late_pass_finds_is_told_anew_by_us() {
    let house = House::new().await;
    let draft = house.draft(|at| drop(at.put_role(house.everyone(FEW)))).await;
    house.lands(SlotSet::Guilds, draft, all).await;
    assert_eq!(house.state().await.permissions_of(house.guild.cast()), Some(Permissions::DEFAULT));
    house.sweep(SlotSet::Guilds, Pass::Late).await;
    assert_eq!(house.state().await.permissions_of(house.guild.cast()), Some(FEW));
    let told = house.told().await;
    assert_eq!(told.len(), 1);
    assert!(is_ours(&told[0]));
    assert_eq!((told[0].kind, told[0].revision), (EventKind::GuildRoleUpdate, Some(3)), "late was 2");
    let (before, after) = (Some(Permissions::DEFAULT), Some(FEW));
    let view = ViewChange::Role { id: house.guild.cast(), before, after, mentionable: false };
    assert_eq!(told[0].view, Some(view));
}

#[tokio::test]
async fn a_pass_that_failed_goes_on_where_it_was() {
    let house = House::new().await;
    for permissions in [FEW, Permissions::NONE] {
        let draft = house.draft(|at| drop(at.put_role(house.everyone(permissions)))).await;
        house.lands(SlotSet::Guilds, draft, all).await;
    }
    *house.world.store.outcomes.lock() = [Ok(()), Err(StoreError::Unavailable("away".into()))].into();
    let lease = house.lease(SlotSet::Guilds);
    house.world.slots.sweep(&[lease], Pass::Late).await.unwrap_err();
    house.sweep(SlotSet::Guilds, Pass::Late).await;
    assert_eq!(house.told().await.len(), 2, "each once");
}

/// It is in the stream, but behind an event of ours: readers have dropped it.
#[tokio::test]
async fn a_change_that_readers_took_for_a_replaced_owners_is_told_anew() {
    let house = House::new().await;
    let backplane: Arc<dyn Backplane> = house.world.backplane.inner().clone();
    let mut reader = Follower::start(backplane.clone(), Partition(0)).await.unwrap();
    let draft = house.draft(|at| drop(at.put_role(house.everyone(FEW)))).await;
    house.rename().await;
    for event in house.lands(SlotSet::Guilds, draft, all_but_guild).await {
        backplane.publish(event.subject, event.event_id, event.envelope).await.unwrap();
    }
    house.sweep(SlotSet::Guilds, Pass::Late).await;
    let mut received = Vec::new();
    while received.last() != Some(&(EventKind::GuildRoleUpdate, EPOCH.0)) {
        let next = timeout(PATIENCE, reader.next()).await.expect("it is told");
        let Some(Followed::Event(event)) = next else { panic!("{next:?}") };
        received.push((event.envelope.kind, event.envelope.writer.epoch));
    }
    assert_eq!(received[0], (EventKind::GuildUpdate, EPOCH.0));
    assert_eq!(received.len(), 2, "{received:?}");
    assert_eq!(house.told().await.len(), 3, "the dropped one is there, too");
    let state = house.state().await;
    assert_eq!((state.permissions_of(house.guild.cast()), &*state.guild.name), (Some(FEW), "Ours"));
}

#[tokio::test]
async fn what_the_first_pass_has_published_is_not_told_again() {
    let house = House::new().await;
    let draft = house.draft(|at| drop(at.put_role(house.everyone(FEW)))).await;
    house.lands(SlotSet::Guilds, draft, all).await;
    house.sweep(SlotSet::Guilds, Pass::First).await;
    house.sweep(SlotSet::Guilds, Pass::Late).await;
    let told = house.told().await;
    assert_eq!((told.len(), is_ours(&told[0])), (1, true));
}

#[tokio::test]
async fn what_we_have_written_over_a_late_change_stays() {
    let house = House::new().await;
    let draft = house.draft(|at| drop(at.put_role(house.everyone(FEW)))).await;
    house.lands(SlotSet::Guilds, draft, |_| false).await;
    house.rename().await;
    house.sweep(SlotSet::Guilds, Pass::Late).await;
    let told = house.told().await;
    let Some(ViewChange::Role { after, .. }) = &told.last().unwrap().view else { panic!("{told:?}") };
    assert_eq!(*after, Some(Permissions::DEFAULT));
    assert_eq!(told.last().unwrap().revision, Some(3));
}

#[tokio::test]
async fn what_was_deleted_late_is_told_to_be_gone() {
    let house = House::new().await;
    let bob = User::new(house.world.changes.ledger.next_id(), "bob", false);
    house.world.write(vec![Write::PutUser(bob.clone())]).await;
    let joins = v1::AddMemberRequest {
        guild_id: house.guild.get(),
        user_id: bob.id.get(),
        actor_id: house.alice.id.get(),
        bot_permissions: 0,
    };
    let member = house.world.accounts.actors.change(house.guild, joins).await.unwrap();
    let channel = house.state().await.channels.values().next().unwrap().clone();
    let deletes = |at: &mut Change<'_>| {
        at.delete_channel(&channel);
        at.delete_member(&member);
    };
    let draft = house.draft(deletes).await;
    house.lands(SlotSet::Guilds, draft, all).await;
    house.sweep(SlotSet::Guilds, Pass::Late).await;
    assert!(!house.state().await.channels.contains_key(&channel.id));
    let told: Vec<_> =
        house.told().await.into_iter().skip(1).map(|event| (event.kind, event.revision)).collect();
    assert_eq!(told, [(EventKind::ChannelDelete, Some(4)), (EventKind::GuildMemberRemove, Some(4))]);
    assert_eq!(house.told_to(bob.id).await.last().map(|event| event.kind), Some(EventKind::GuildLeft));
}

#[tokio::test]
async fn a_guild_that_was_deleted_late_is_gone_as_a_whole() {
    // Also where we have written the guild's row since, but none of its roles and channels.
    for is_written_since in [false, true] {
        let house = House::new().await;
        let rows = house.state().await.rows();
        let draft = house.draft(|at| at.delete_guild()).await;
        if is_written_since {
            house.rename().await;
        }
        let (ours, told) = (house.world.store.guild(house.guild).await.unwrap(), house.told().await.len());
        house.lands(SlotSet::Guilds, draft, all).await;
        if is_written_since {
            house.world.write(vec![Write::PutGuild(ours.unwrap().guild)]).await;
        }
        house.sweep(SlotSet::Guilds, Pass::Late).await;
        let failure = house.world.accounts.actors.state(house.guild).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
        assert_eq!(house.world.store.guild(house.guild).await, Ok(None));
        assert_eq!(house.world.store.guild_of_channel(rows.channels[0].id).await, Ok(None));
        let events = house.told().await;
        assert_eq!((events.len(), events[told].kind), (told + 1, EventKind::GuildDelete));
        assert!(is_ours(&events[told]) && events[told].revision > Some(1));
        let gone = async || house.world.store.member(house.guild, house.alice.id).await.unwrap().is_none();
        doubles::until("its members are gone", async || gone().await.then_some(())).await;
    }
}

#[tokio::test]
async fn a_users_late_change_is_told_anew() {
    let house = House::new().await;
    let (id, hash) = (house.alice.id, [7; 32]);
    let look = house.world.accounts.cache.get(Some(id), &hash).unwrap_err();
    house.world.accounts.cache.keep(look, hash, id, &v1::Identity::default());
    let told = house.told_to(id).await.len();
    let renamed = User { global_name: Some("Al".into()), ..house.alice.clone() };
    let events = vec![Event::user_update(&renamed), Event::token_revoked(id, 9)];
    let draft = Draft { writes: vec![Write::PutUser(renamed)], events };
    house.lands(SlotSet::Users, draft, all).await;
    house.sweep(SlotSet::Users, Pass::Late).await;
    let events = house.told_to(id).await;
    let kinds: Vec<_> = events[told..].iter().map(|event| (event.kind, is_ours(event))).collect();
    assert_eq!(kinds, [(EventKind::UserUpdate, true), (EventKind::TokenRevoked, true)]);
    let data: serde_json::Value = serde_json::from_slice(&events[told].data).unwrap();
    assert_eq!(data["global_name"], "Al");
    assert!(house.world.accounts.cache.get(Some(id), &hash).is_err(), "a revoked token was valid");
}
