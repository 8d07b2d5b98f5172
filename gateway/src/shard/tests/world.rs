//! What is true in a simulation: guilds with all their revisions, and the events that each change makes.

use std::collections::BTreeMap;

use model::guild::GuildObject;
use model::presence::Presence;
use model::view::{ChannelView, GuildView, MemberView, ViewChange};
use model::voice::VoiceState;
use model::{
    Channel, ChannelId, ChannelKind, EventKind, GuildId, Member, Overwrite, OverwriteKind, Permissions, Role,
    RoleId, Timestamp, User, UserId,
};
use proto::{Envelope, Writer, convert, v1};
use serde_json::{Value, json};

use super::attendance::{Attendance, VoiceTold};

pub fn guild_id(id: u64) -> GuildId {
    GuildId::new(id).unwrap()
}

pub fn user_id(id: u64) -> UserId {
    UserId::new(id).unwrap()
}

pub fn channel_id(id: u64) -> ChannelId {
    ChannelId::new(id).unwrap()
}

pub fn role_id(id: u64) -> RoleId {
    RoleId::new(id).unwrap()
}

/// A guild at one revision.
#[derive(Debug, Clone)]
pub struct Guild {
    pub guild: model::Guild,
    pub roles: BTreeMap<RoleId, Role>,
    pub channels: BTreeMap<ChannelId, Channel>,
    pub members: BTreeMap<UserId, Member>,
    pub is_deleted: bool,
}

impl Guild {
    fn new(id: GuildId, owner: &User) -> Self {
        let everyone = Role::new(id.cast(), "@everyone", Permissions::DEFAULT);
        let guild = model::Guild {
            revision: 1,
            member_count: 1,
            ..model::Guild::new(id, format!("guild {id}"), owner.id)
        };
        let member = Member::new(id, owner.clone(), Timestamp::default());
        Self {
            guild,
            roles: [(everyone.id, everyone)].into(),
            channels: BTreeMap::new(),
            members: [(owner.id, member)].into(),
            is_deleted: false,
        }
    }

    pub fn view(&self) -> GuildView {
        let roles: Vec<Role> = self.roles.values().cloned().collect();
        let channels: Vec<Channel> = self.channels.values().cloned().collect();
        GuildView::new(self.guild.id, self.guild.owner_id, self.guild.revision, &roles, &channels)
    }

    pub fn permissions(&self, user: UserId, channel: ChannelId) -> Permissions {
        self.members.get(&user).filter(|_| !self.is_deleted).map_or(Permissions::NONE, |member| {
            self.view().in_channel(user, &MemberView::from(member), channel, Timestamp::default())
        })
    }

    pub fn sees(&self, user: UserId, channel: ChannelId) -> bool {
        self.permissions(user, channel).contains(Permissions::VIEW_CHANNEL)
    }

    pub fn is_member(&self, user: UserId) -> bool {
        !self.is_deleted && self.members.contains_key(&user)
    }

    pub fn snapshot(&self, user: UserId, members_max: u32) -> v1::GuildSnapshot {
        let channels: Vec<Channel> = self.channels.values().cloned().collect();
        let roles: Vec<Role> = self.roles.values().cloned().collect();
        let details = v1::GuildDetails {
            guild: Some((&self.guild).into()),
            roles: convert::wire(&roles),
            channels: convert::wire(&channels),
        };
        let member: Option<v1::Member> = self.members.get(&user).map(Into::into);
        let members = match &member {
            Some(_) if self.members.len() <= members_max as usize => {
                self.members.values().map(Into::into).collect()
            }
            Some(member) => vec![member.clone()],
            None => Vec::new(),
        };
        v1::GuildSnapshot { details: Some(details), member, members }
    }
}

/// A change of a guild.
#[derive(Debug, Clone)]
pub enum Change {
    Join(UserId),
    Leave(UserId),
    Roles(UserId, Vec<RoleId>),
    RolePermissions(RoleId, Permissions),
    Overwrites(ChannelId, Vec<Overwrite>),
    Rename(ChannelId, String),
    NewChannel(ChannelId, ChannelKind, Vec<Overwrite>),
    DropChannel(ChannelId),
    Invite(ChannelId),
    Owner(UserId),
    Delete,
}

/// The events of a change, or one event, before anybody was told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub guild: Vec<Envelope>,
    pub users: Vec<(UserId, Envelope)>,
}

/// Every guild with its history.
pub struct World {
    guilds: BTreeMap<GuildId, Vec<Guild>>,
    pub users: BTreeMap<UserId, User>,
    pub attendance: Attendance,
    /// Whether changes of presence are published. Most tests are not about them.
    pub publishes_presence: bool,
    /// Changes are made, and their events are lost.
    pub loses_presence: bool,
    /// Users who have a private channel, and for whom it is closed up to a message.
    pub private: Vec<(ChannelId, [UserId; 2], Option<u64>)>,
    /// Users whose tokens are revoked.
    pub revoked: Vec<UserId>,
    /// The directory is of the version before.
    pub is_old: bool,
    /// The directory's next answers for these users are of this revision.
    pub stale: Vec<(UserId, u64)>,
    next_event: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            guilds: BTreeMap::new(),
            users: BTreeMap::new(),
            attendance: Attendance::default(),
            publishes_presence: false,
            loses_presence: false,
            private: Vec::new(),
            revoked: Vec::new(),
            is_old: false,
            stale: Vec::new(),
            next_event: 1,
        }
    }

    pub fn add_user(&mut self, id: UserId, name: &str) {
        self.users.insert(id, User::new(id, name, false));
    }

    /// Makes a guild that nobody has been told of.
    pub fn add_guild(&mut self, id: GuildId, owner: UserId) {
        self.guilds.insert(id, vec![Guild::new(id, &self.users[&owner])]);
    }

    pub fn now(&self, guild: GuildId) -> &Guild {
        self.guilds[&guild].last().expect("a guild has its first revision")
    }

    pub fn at(&self, guild: GuildId, revision: u64) -> &Guild {
        &self.guilds[&guild][revision as usize - 1]
    }

    pub fn get(&self, guild: GuildId) -> Option<&Guild> {
        self.guilds.get(&guild)?.last().filter(|guild| !guild.is_deleted)
    }

    /// What the directory answers to who opens the guild.
    pub fn snapshot(&mut self, guild: GuildId, user: UserId, members_max: u32) -> Option<v1::GuildSnapshot> {
        match self.stale.iter().position(|(other, _)| *other == user) {
            Some(place) => {
                let (_, revision) = self.stale.remove(place);
                Some(self.at(guild, revision).snapshot(user, members_max))
            }
            None => self.get(guild).map(|guild| guild.snapshot(user, members_max)),
        }
    }

    pub fn guild_ids(&self) -> impl Iterator<Item = GuildId> + '_ {
        self.guilds.keys().copied()
    }

    pub fn guilds_of(&self, user: UserId) -> Vec<GuildId> {
        self.guild_ids().filter(|guild| self.now(*guild).is_member(user)).collect()
    }

    fn envelope(&mut self, kind: EventKind, data: Value) -> Envelope {
        self.next_event += 1;
        let writer = Writer { set: 2, slot: 0, epoch: 1 };
        Envelope::new(self.next_event, kind, writer, data.to_string())
    }

    /// A message, which changes nothing.
    pub fn message(&mut self, guild: GuildId, channel: ChannelId, content: &str) -> Told {
        let id = self.next_event + 1;
        let data =
            json!({"id": id.to_string(), "guild_id": guild, "channel_id": channel, "content": content});
        let envelope = self.envelope(EventKind::MessageCreate, data);
        let envelope = Envelope { guild_id: Some(guild), channel_id: Some(channel), ..envelope };
        Told { guild: vec![envelope], users: Vec::new() }
    }

    /// What the directory knows of the user's private channels.
    pub fn private_channels_of(&self, user: UserId) -> Vec<v1::PrivateChannel> {
        let of_user = self.private.iter().filter(|(_, users, _)| users.contains(&user));
        let shown = of_user.map(|(id, users, closed_at)| {
            let other = users.iter().find(|other| **other != user).expect("there are two");
            let channel = Channel::private(*id, vec![self.users[other].clone()]);
            v1::PrivateChannel { channel: Some((&channel).into()), closed_at: *closed_at }
        });
        shown.collect()
    }

    /// A message from one user to another, as both are told of it.
    pub fn private_message(&mut self, channel: ChannelId, users: [UserId; 2], content: &str) -> Told {
        let id = self.next_event + 1;
        let author = self.users[&users[0]].clone();
        let data = json!({"id": id.to_string(), "channel_id": channel, "content": content, "author": author});
        self.private_event(EventKind::MessageCreate, channel, users, data)
    }

    /// An event of a private channel that the first of its users causes.
    pub fn private_event(
        &mut self,
        kind: EventKind,
        channel: ChannelId,
        users: [UserId; 2],
        data: Value,
    ) -> Told {
        let envelope = self.envelope(kind, data);
        let writer = Writer { set: 1, ..envelope.writer };
        let envelope = Envelope { channel_id: Some(channel), user_id: Some(users[0]), writer, ..envelope };
        Told { guild: Vec::new(), users: users.map(|user| (user, envelope.clone())).into() }
    }

    pub fn token_revoked(&mut self, user: UserId) -> Told {
        self.revoked.push(user);
        let envelope = self.envelope(EventKind::TokenRevoked, json!({}));
        let envelope = Envelope { user_id: Some(user), token_id: Some(user.get()), ..envelope };
        Told { guild: Vec::new(), users: vec![(user, envelope)] }
    }

    /// The user has another name or picture.
    pub fn user_update(&mut self, user: UserId) -> Told {
        let envelope = self.envelope(EventKind::UserUpdate, json!({"id": user}));
        Told { guild: Vec::new(), users: vec![(user, Envelope { user_id: Some(user), ..envelope })] }
    }

    /// Typing, which is never stored.
    pub fn typing(&mut self, guild: GuildId, channel: ChannelId) -> Envelope {
        let envelope = self.envelope(EventKind::TypingStart, json!({"channel_id": channel}));
        Envelope { guild_id: Some(guild), channel_id: Some(channel), ..envelope }
    }

    /// A voice state as it is shown to those who see `shown_in`.
    pub fn voice(&mut self, state: &VoiceState, shown_in: ChannelId, moved_to: Option<ChannelId>) -> Told {
        let data = serde_json::to_value(state.object(None)).unwrap();
        let envelope = self.envelope(EventKind::VoiceStateUpdate, data);
        let envelope = Envelope {
            guild_id: Some(state.guild_id),
            channel_id: Some(shown_in),
            user_id: Some(state.user_id),
            moved_to,
            ..envelope
        };
        Told { guild: vec![envelope], users: Vec::new() }
    }

    /// The next change of a voice state that is to be published.
    pub fn next_voice_event(&mut self) -> Option<(VoiceTold, Envelope)> {
        let told = self.attendance.untold.pop_front()?;
        let member = self.now(told.state.guild_id).members.get(&told.state.user_id).cloned();
        let mut data = serde_json::to_value(told.state.object(member.as_ref())).unwrap();
        data["number"] = told.number.into();
        let envelope = self.envelope(EventKind::VoiceStateUpdate, data);
        let envelope = Envelope {
            guild_id: Some(told.state.guild_id),
            channel_id: Some(told.shown_in),
            user_id: Some(told.state.user_id),
            moved_to: told.moved_to,
            ..envelope
        };
        Some((told, envelope))
    }

    /// Who shows in the guild, where that is published at all.
    pub fn presences_in(&self, guild: GuildId) -> Vec<Presence> {
        let shown = self.attendance.presences(guild).into_iter().filter(|_| self.publishes_presence);
        shown.map(|(user, status)| Presence { status, ..Presence::offline(user) }).collect()
    }

    pub fn presence_event(&mut self, guild: GuildId, presence: &Presence) -> Envelope {
        let data = serde_json::to_value(presence.object(Some(guild))).unwrap();
        let envelope = self.envelope(EventKind::PresenceUpdate, data);
        Envelope { guild_id: Some(guild), user_id: Some(presence.user_id), ..envelope }
    }

    /// Makes the next revision, and the events that tell of it.
    pub fn apply(&mut self, guild: GuildId, change: Change) -> Told {
        let mut next = self.now(guild).clone();
        next.guild.revision += 1;
        let told = self.events(&mut next, change);
        self.guilds.get_mut(&guild).expect("a guild of this world").push(next);
        told
    }

    fn events(&mut self, next: &mut Guild, change: Change) -> Told {
        let mut users = Vec::new();
        let event = match change {
            Change::Join(user) => {
                let member = Member::new(next.guild.id, self.users[&user].clone(), Timestamp::default());
                let member = Member { revision: next.guild.revision, ..member };
                next.members.insert(user, member);
                users.push((user, EventKind::GuildJoined));
                self.member_event(next, user, None, EventKind::GuildMemberAdd)
            }
            Change::Leave(user) => {
                let member = next.members.remove(&user).expect("who leaves is a member");
                users.push((user, EventKind::GuildLeft));
                let view = ViewChange::Member { id: user, before: Some((&member).into()), after: None };
                let data = json!({"guild_id": next.guild.id, "user": member.user});
                let event = self.view_event(next, EventKind::GuildMemberRemove, data, view);
                Envelope { user_id: Some(user), ..event }
            }
            Change::Roles(user, roles) => {
                let member = next.members.get_mut(&user).expect("who has roles is a member");
                let before = MemberView::from(&*member);
                (member.roles, member.revision) = (roles, next.guild.revision);
                self.member_event(next, user, Some(before), EventKind::GuildMemberUpdate)
            }
            Change::RolePermissions(id, permissions) => self.role_event(next, id, permissions),
            Change::Delete => {
                next.is_deleted = true;
                users.extend(next.members.keys().map(|user| (*user, EventKind::GuildLeft)));
                let data = json!({"id": next.guild.id});
                self.view_event(next, EventKind::GuildDelete, data, ViewChange::Deleted)
            }
            Change::Owner(after) => {
                let view = ViewChange::Owner { before: next.guild.owner_id, after };
                next.guild.owner_id = after;
                let roles: Vec<Role> = next.roles.values().cloned().collect();
                let data = serde_json::to_value(GuildObject { guild: &next.guild, roles: &roles }).unwrap();
                self.view_event(next, EventKind::GuildUpdate, data, view)
            }
            Change::Invite(channel) => {
                let data = json!({"guild_id": next.guild.id, "channel_id": channel, "code": "abc"});
                let event = self.envelope(EventKind::InviteCreate, data);
                Envelope {
                    guild_id: Some(next.guild.id),
                    revision: Some(next.guild.revision),
                    channel_id: Some(channel),
                    ..event
                }
            }
            change => self.channel_event(next, change),
        };
        let users = users.into_iter().map(|(user, kind)| (user, self.user_event(next, user, kind))).collect();
        Told { guild: vec![event], users }
    }

    fn channel_event(&mut self, next: &mut Guild, change: Change) -> Envelope {
        let id = match &change {
            Change::Overwrites(id, _)
            | Change::Rename(id, _)
            | Change::NewChannel(id, ..)
            | Change::DropChannel(id) => *id,
            other => panic!("{other:?} is no change of a channel"),
        };
        let before = next.channels.get(&id).cloned();
        let mut after = before.clone();
        match (change, &mut after) {
            (Change::Overwrites(_, overwrites), Some(channel)) => channel.overwrites = overwrites,
            (Change::Rename(_, name), Some(channel)) => channel.name = name,
            (Change::NewChannel(_, kind, overwrites), after) => {
                let channel = Channel::new(id, next.guild.id, kind, format!("c{id}"));
                *after = Some(Channel { overwrites, ..channel });
            }
            (_, after) => *after = None,
        }
        let kind = match (&before, &after) {
            (None, _) => EventKind::ChannelCreate,
            (Some(_), Some(_)) => EventKind::ChannelUpdate,
            (Some(_), None) => EventKind::ChannelDelete,
        };
        match &after {
            Some(channel) => next.channels.insert(id, channel.clone()),
            None => next.channels.remove(&id),
        };
        let data = serde_json::to_value(after.as_ref().or(before.as_ref()).expect("one of the two")).unwrap();
        let view = ViewChange::Channel {
            id,
            before: before.as_ref().map(ChannelView::from),
            after: after.as_ref().map(ChannelView::from),
        };
        Envelope { channel_id: Some(id), ..self.view_event(next, kind, data, view) }
    }

    fn role_event(&mut self, next: &mut Guild, id: RoleId, permissions: Permissions) -> Envelope {
        let before = next.roles.get(&id).map(|role| role.permissions);
        let role = Role::new(id, format!("r{id}"), permissions);
        let data = json!({"guild_id": next.guild.id, "role": role});
        next.roles.insert(id, role);
        let kind = if before.is_some() { EventKind::GuildRoleUpdate } else { EventKind::GuildRoleCreate };
        let view = ViewChange::Role { id, before, after: Some(permissions), mentionable: false };
        self.view_event(next, kind, data, view)
    }

    fn member_event(
        &mut self,
        next: &Guild,
        user: UserId,
        before: Option<MemberView>,
        kind: EventKind,
    ) -> Envelope {
        let member = &next.members[&user];
        let view = ViewChange::Member { id: user, before, after: Some(member.into()) };
        let data = serde_json::to_value(member.in_event()).unwrap();
        Envelope { user_id: Some(user), ..self.view_event(next, kind, data, view) }
    }

    fn view_event(&mut self, next: &Guild, kind: EventKind, data: Value, view: ViewChange) -> Envelope {
        let event = self.envelope(kind, data);
        Envelope {
            guild_id: Some(next.guild.id),
            revision: Some(next.guild.revision),
            view: Some(view),
            ..event
        }
    }

    fn user_event(&mut self, next: &Guild, user: UserId, kind: EventKind) -> Envelope {
        let event = self.envelope(kind, json!({}));
        Envelope {
            guild_id: Some(next.guild.id),
            revision: Some(next.guild.revision),
            user_id: Some(user),
            ..event
        }
    }
}

/// An overwrite that hides a channel from everybody whom no other lets in.
pub fn hidden(guild: GuildId) -> Overwrite {
    deny(OverwriteKind::Role(guild.cast()))
}

pub fn deny(target: OverwriteKind) -> Overwrite {
    Overwrite { target, allow: Permissions::NONE, deny: Permissions::VIEW_CHANNEL }
}

pub fn allow(target: OverwriteKind) -> Overwrite {
    Overwrite { target, allow: Permissions::VIEW_CHANNEL, deny: Permissions::NONE }
}
