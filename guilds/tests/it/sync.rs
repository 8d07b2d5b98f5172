//! Categories and their channels: what a new channel takes over, what follows, who may move what where.

use crate::rig::Rig;
use crate::{ask, refused};
use model::{EventKind, Permissions, UserId};
use proto::failure::code;
use proto::v1;
use proto::v1::guilds_server::Guilds;

const VIEW: u64 = Permissions::VIEW_CHANNEL.bits();
const SEND: u64 = Permissions::SEND_MESSAGES.bits();
const MANAGE: u64 = Permissions::MANAGE_CHANNELS.bits();
const ROLES: u64 = Permissions::MANAGE_ROLES.bits();

/// alice owns the guild; bob is in it, with one role that the tests give what they need.
struct House {
    rig: Rig,
    guild: u64,
    alice: UserId,
    bob: UserId,
    role: u64,
}

impl House {
    async fn with(bits: u64) -> Self {
        let rig = Rig::new().await;
        let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
        let guild = rig.guild(alice).await.guild.unwrap().id;
        rig.add(guild, bob, alice).await;
        let role = rig.role(guild, alice, "helpers", bits).await.id;
        rig.give(guild, bob, alice, &[role]).await;
        Self { rig, guild, alice, bob, role }
    }

    fn closed(&self) -> v1::Overwrite {
        v1::Overwrite { id: self.guild, kind: 0, allow: 0, deny: VIEW }
    }

    async fn create(&self, actor: UserId, fields: v1::ChannelFields) -> Result<v1::Channel, proto::Failure> {
        let fields = Some(v1::ChannelFields { name: Some("new".into()), ..fields });
        let request = v1::CreateChannelRequest { guild_id: self.guild, actor_id: actor.get(), fields };
        ask!(self.rig, create_channel, request)
    }

    async fn category(&self, overwrites: &[v1::Overwrite]) -> u64 {
        let overwrites = Some(list(overwrites));
        let fields = v1::ChannelFields { kind: Some(4), overwrites, ..Default::default() };
        self.create(self.alice, fields).await.unwrap().id
    }

    async fn child(&self, category: u64, overwrites: Option<&[v1::Overwrite]>) -> u64 {
        let overwrites = overwrites.map(list);
        let fields = v1::ChannelFields { parent_id: Some(category), overwrites, ..Default::default() };
        self.create(self.alice, fields).await.unwrap().id
    }

    async fn overwrites(&self, channel: u64) -> Vec<v1::Overwrite> {
        let get = v1::GetChannelRequest { channel_id: channel, reader_id: None };
        ask!(self.rig, get_channel, get).unwrap().overwrites
    }

    async fn set(&self, actor: UserId, channel: u64, overwrite: v1::Overwrite) -> Result<(), proto::Failure> {
        let overwrite = Some(overwrite);
        let request = v1::SetOverwriteRequest { channel_id: channel, actor_id: actor.get(), overwrite };
        ask!(self.rig, set_overwrite, request).map(|_| ())
    }

    async fn arrange(&self, actor: UserId, moves: &[v1::ChannelMove]) -> Result<(), proto::Failure> {
        let (guild_id, actor_id) = (self.guild, actor.get());
        let request = v1::MoveChannelsRequest { guild_id, actor_id, moves: moves.to_vec() };
        ask!(self.rig, move_channels, request).map(|_| ())
    }

    async fn edit(
        &self,
        actor: UserId,
        channel: u64,
        fields: v1::ChannelFields,
    ) -> Result<(), proto::Failure> {
        let (channel_id, actor_id) = (channel, actor.get());
        let request = v1::EditChannelRequest { channel_id, actor_id, fields: Some(fields) };
        ask!(self.rig, edit_channel, request).map(|_| ())
    }
}

fn list(overwrites: &[v1::Overwrite]) -> v1::OverwriteList {
    v1::OverwriteList { overwrites: overwrites.to_vec() }
}

fn into(channel_id: u64, parent: u64) -> v1::ChannelMove {
    v1::ChannelMove { channel_id, parent_id: Some(parent), ..Default::default() }
}

fn to(channel_id: u64, position: u32) -> v1::ChannelMove {
    v1::ChannelMove { channel_id, position: Some(position), ..Default::default() }
}

#[tokio::test]
async fn a_new_channel_takes_its_categorys_overwrites_unless_it_is_given_its_own() {
    let house = House::with(MANAGE).await;
    let (closed, own) = (house.closed(), v1::Overwrite { id: house.role, kind: 0, allow: 0, deny: SEND });
    let category = house.category(&[closed]).await;
    for none in [None, Some(&[][..])] {
        let channel = house.child(category, none).await;
        assert_eq!(house.overwrites(channel).await, [closed], "{none:?}");
        let read = v1::GetChannelRequest { channel_id: channel, reader_id: Some(house.bob.get()) };
        refused!(ask!(house.rig, get_channel, read), code::MISSING_ACCESS);
        let created = house.rig.of_guild(house.guild).await.pop().unwrap();
        let Some(model::view::ViewChange::Channel { after: Some(view), .. }) = created.view else {
            panic!("{created:?}")
        };
        assert_eq!((created.kind, view.overwrites.len()), (EventKind::ChannelCreate, 1));
    }
    let channel = house.child(category, Some(&[own])).await;
    assert_eq!(house.overwrites(channel).await, [own]);
    let top = house.create(house.alice, v1::ChannelFields::default()).await.unwrap();
    assert!(top.overwrites.is_empty());
}

#[tokio::test]
async fn what_a_category_becomes_its_synced_channels_become() {
    let house = House::with(0).await;
    let (closed, own) = (house.closed(), v1::Overwrite { id: house.role, kind: 0, allow: SEND, deny: 0 });
    let category = house.category(&[]).await;
    let synced = [house.child(category, None).await, house.child(category, None).await];
    let (apart, top) = (house.child(category, Some(&[own])).await, house.category(&[]).await);
    let before = house.rig.of_guild(house.guild).await.len();

    house.set(house.alice, category, closed).await.unwrap();
    for channel in [category, synced[0], synced[1]] {
        assert_eq!(house.overwrites(channel).await, [closed]);
    }
    assert_eq!((house.overwrites(apart).await, house.overwrites(top).await), (vec![own], vec![]));
    let told = house.rig.of_guild(house.guild).await.split_off(before);
    let told: Vec<_> = told.iter().map(|event| (event.kind, event.channel_id.unwrap().get())).collect();
    let update = EventKind::ChannelUpdate;
    assert_eq!(
        told,
        [(update, category), (update, synced[0]), (update, synced[1])],
        "one change tells of all"
    );

    // The order of a list says nothing.
    let fields =
        |overwrites: &[_]| v1::ChannelFields { overwrites: Some(list(overwrites)), ..Default::default() };
    house.edit(house.alice, category, fields(&[closed, own])).await.unwrap();
    house.edit(house.alice, synced[1], fields(&[own, closed])).await.unwrap();
    house.edit(house.alice, synced[0], fields(&[closed])).await.unwrap();
    let delete = v1::DeleteOverwriteRequest {
        channel_id: category,
        actor_id: house.alice.get(),
        overwrite_id: house.guild,
    };
    ask!(house.rig, delete_overwrite, delete).unwrap();
    assert_eq!(house.overwrites(category).await, [own]);
    assert_eq!(house.overwrites(synced[1]).await, [own]);
    assert_eq!(house.overwrites(synced[0]).await, [closed], "it had left the category's");
}

#[tokio::test]
async fn a_channel_that_moves_keeps_its_overwrites_unless_they_are_to_be_the_categorys() {
    let house = House::with(MANAGE).await;
    let (closed, denies) = (house.closed(), v1::Overwrite { id: house.guild, kind: 0, allow: 0, deny: SEND });
    let category = house.category(&[denies]).await;
    let channel = house.create(house.alice, v1::ChannelFields::default()).await.unwrap().id;
    house.set(house.alice, channel, v1::Overwrite { allow: VIEW, deny: 0, ..closed }).await.unwrap();
    let before = house.overwrites(channel).await;
    house.arrange(house.alice, &[into(channel, category)]).await.unwrap();
    assert_eq!(house.overwrites(channel).await, before);
    let locked = |parent| v1::ChannelMove { lock_permissions: true, ..into(channel, parent) };
    house.arrange(house.alice, &[locked(category)]).await.unwrap();
    assert_eq!(house.overwrites(channel).await, before, "it is there already");
    house.arrange(house.alice, &[locked(0)]).await.unwrap();
    assert_eq!(house.overwrites(channel).await, before, "there is no category to take them from");

    refused!(house.arrange(house.bob, &[locked(category)]).await, code::MISSING_PERMISSIONS);
    let grant = |bits| v1::EditRoleRequest {
        guild_id: house.guild,
        role_id: house.role,
        actor_id: house.alice.get(),
        fields: Some(v1::RoleFields { permissions: Some(bits), ..Default::default() }),
    };
    ask!(house.rig, edit_role, grant(MANAGE | ROLES)).unwrap();
    house.arrange(house.bob, &[locked(category)]).await.unwrap();
    assert_eq!(house.overwrites(channel).await, [denies]);

    // Bits that bob does not have come from no category.
    let kick = Permissions::KICK_MEMBERS.bits();
    let category = house.category(&[v1::Overwrite { id: house.role, kind: 0, allow: kick, deny: 0 }]).await;
    refused!(house.arrange(house.bob, &[locked(category)]).await, code::MISSING_PERMISSIONS);
    house.arrange(house.bob, &[into(channel, category)]).await.unwrap();
}

#[tokio::test]
async fn positions_need_the_right_where_the_channel_stands_and_moves_at_both_ends() {
    let house = House::with(MANAGE).await;
    let bob = house.bob;
    let hidden = house.category(&[house.closed()]).await;
    let (secret, open) = (house.child(hidden, None).await, house.category(&[]).await);
    let channel = house.child(open, None).await;
    house.arrange(bob, &[to(secret, 3), to(channel, 2)]).await.unwrap();
    for (from, into_) in [(secret, open), (channel, hidden), (secret, 0)] {
        refused!(house.arrange(bob, &[into(from, into_)]).await, code::MISSING_ACCESS);
    }
    let fields = |parent| v1::ChannelFields { parent_id: Some(parent), ..Default::default() };
    refused!(house.edit(bob, channel, fields(hidden)).await, code::MISSING_ACCESS);
    refused!(house.create(bob, fields(hidden)).await, code::MISSING_ACCESS);
    house.create(bob, fields(open)).await.unwrap();
    let other = house.child(open, None).await;
    let failure = house.arrange(bob, &[into(channel, 0), into(other, 0)]).await;
    refused!(failure, code::ONE_PARENT_AT_A_TIME);
    house.arrange(bob, &[into(channel, 0), into(other, open), to(other, 1)]).await.unwrap();

    // Who manages one category alone is at home there and nowhere else.
    let own = v1::Overwrite { id: house.guild, kind: 0, allow: MANAGE, deny: 0 };
    let taken = v1::EditRoleRequest {
        guild_id: house.guild,
        role_id: house.role,
        actor_id: house.alice.get(),
        fields: Some(v1::RoleFields { permissions: Some(0), ..Default::default() }),
    };
    ask!(house.rig, edit_role, taken).unwrap();
    house.set(house.alice, open, own).await.unwrap();
    house.arrange(bob, &[to(other, 7)]).await.unwrap();
    house.create(bob, fields(open)).await.unwrap();
    refused!(house.create(bob, v1::ChannelFields::default()).await, code::MISSING_PERMISSIONS);
    refused!(house.arrange(bob, &[to(channel, 7)]).await, code::MISSING_PERMISSIONS);
    refused!(house.arrange(bob, &[into(other, 0)]).await, code::MISSING_ACCESS);
    refused!(house.edit(bob, other, fields(0)).await, code::MISSING_PERMISSIONS);
}

#[tokio::test]
async fn a_category_takes_fifty_channels() {
    let house = House::with(0).await;
    let category = house.category(&[]).await;
    for _ in 0..50 {
        house.child(category, None).await;
    }
    let fields = || v1::ChannelFields { parent_id: Some(category), ..Default::default() };
    let failure = house.create(house.alice, fields()).await.unwrap_err();
    assert_eq!(failure.fields[0].code, "CHANNEL_PARENT_MAX_CHANNELS");
    let top = house.create(house.alice, v1::ChannelFields::default()).await.unwrap().id;
    let failure = house.arrange(house.alice, &[to(top, 1), into(top, category)]).await.unwrap_err();
    assert_eq!(failure.fields[0].path, "1.parent_id");
    assert_eq!(failure.fields[0].code, "CHANNEL_PARENT_MAX_CHANNELS");
    let failure = house.edit(house.alice, top, fields()).await.unwrap_err();
    assert_eq!(failure.fields[0].code, "CHANNEL_PARENT_MAX_CHANNELS");
}

#[tokio::test]
async fn who_closes_a_channel_can_open_it_again() {
    let house = House::with(ROLES | SEND).await;
    let channel = house.create(house.alice, v1::ChannelFields::default()).await.unwrap().id;
    let shut = v1::Overwrite { id: house.guild, kind: 0, allow: 0, deny: SEND };
    house.set(house.bob, channel, shut).await.unwrap();
    house.set(house.bob, channel, v1::Overwrite { deny: 0, ..shut }).await.unwrap();

    // Where an administrator gave MANAGE_ROLES by an overwrite its holder hands out everything, that included.
    let kick =
        v1::Overwrite { id: house.guild, kind: 0, allow: Permissions::KICK_MEMBERS.bits() | ROLES, deny: 0 };
    refused!(house.set(house.bob, channel, kick).await, code::MISSING_PERMISSIONS);
    let trusted = v1::Overwrite { id: house.bob.get(), kind: 1, allow: ROLES, deny: 0 };
    refused!(house.set(house.bob, channel, trusted).await, code::MISSING_PERMISSIONS);
    house.set(house.alice, channel, trusted).await.unwrap();
    house.set(house.bob, channel, kick).await.unwrap();
}
