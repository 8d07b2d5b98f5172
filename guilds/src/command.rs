//! A command is one change of a guild: it reads the state, checks, and drafts rows and events. It never writes.
//!
//! The requests of `proto` that change a guild are commands themselves; see `channels`, `roles`, `members` and their
//! neighbours. [`Change`] is what a command works with.

use async_trait::async_trait;
use model::{Channel, Guild, Invite, Member, Permissions, Role, Timestamp, User, UserId};
use proto::Failure;

use crate::changes::{Changes, Draft};
use crate::events::Event;
use crate::rules::Actor;
use crate::state::{GuildState, unknown_guild, unknown_member};
use crate::store::Write;

/// One change of a guild.
#[async_trait]
pub(crate) trait Command: Send + Sized + 'static {
    type Reply: Send + 'static;

    async fn run(self, at: &mut Change<'_>) -> Result<Self::Reply, Failure>;
}

/// A change in the making.
pub(crate) struct Change<'a> {
    /// As it is committed.
    pub(crate) state: &'a GuildState,
    pub(crate) changes: &'a Changes,
    pub(crate) now: Timestamp,
    /// As it will be; its revision is the next one.
    pub(crate) guild: Guild,
    draft: Draft,
    deletes_guild: bool,
}

// === impl Change ===

impl<'a> Change<'a> {
    pub(crate) fn new(state: &'a GuildState, changes: &'a Changes) -> Self {
        let mut guild = state.guild.clone();
        guild.revision += 1;
        let now = changes.now();
        Self { state, changes, now, guild, draft: Draft::default(), deletes_guild: false }
    }

    /// What is to be stored; the guild's row is always part of a change.
    pub(crate) fn into_draft(mut self) -> Draft {
        if !self.draft.is_empty() && !self.deletes_guild {
            self.draft.writes.push(Write::PutGuild(self.guild));
        }
        self.draft
    }

    // --- Reading

    pub(crate) async fn user(&self, id: UserId) -> Result<Option<User>, Failure> {
        Ok(self.changes.store.user(id).await?)
    }

    pub(crate) async fn member(&self, id: UserId) -> Result<Option<Member>, Failure> {
        let member = self.changes.store.member(self.state.guild.id, id).await?;
        Ok(member.map(|member| self.state.clean(member)))
    }

    pub(crate) async fn existing_member(&self, id: UserId) -> Result<Member, Failure> {
        self.member(id).await?.ok_or_else(unknown_member)
    }

    /// The member who asks. Whoever is none does not learn that there is such a guild.
    pub(crate) async fn actor(&self, id: UserId) -> Result<Actor<'a>, Failure> {
        self.member_who_asks(id).await?.ok_or_else(unknown_guild)
    }

    /// The member who asks for something of a channel, which they know; whoever is none has no access.
    pub(crate) async fn actor_in_channel(&self, id: UserId) -> Result<Actor<'a>, Failure> {
        self.member_who_asks(id).await?.ok_or_else(Failure::missing_access)
    }

    async fn member_who_asks(&self, id: UserId) -> Result<Option<Actor<'a>>, Failure> {
        let member = self.changes.store.member(self.state.guild.id, id).await?;
        Ok(member.map(|member| Actor::new(self.state, member, self.now)))
    }

    // --- Drafting

    pub(crate) fn write(&mut self, write: Write) {
        self.draft.writes.push(write);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.draft.events.push(event);
    }

    /// The guild's own fields have changed.
    pub(crate) fn put_guild(&mut self) {
        self.put_guild_of(self.state.guild.owner_id);
    }

    /// The same where this user owned it before.
    pub(crate) fn put_guild_of(&mut self, owner: UserId) {
        let roles: Vec<Role> = self.state.roles.values().cloned().collect();
        self.event(Event::guild_update(owner, &self.guild, &roles));
    }

    pub(crate) fn delete_guild(&mut self) {
        self.deletes_guild = true;
        self.event(Event::guild_delete(&self.guild));
        self.write(Write::DeleteGuild(Box::new(self.state.rows())));
    }

    /// Makes or changes a channel.
    pub(crate) fn put_channel(&mut self, channel: Channel) -> Channel {
        let before = self.state.channels.get(&channel.id);
        self.put_channel_over(before, channel)
    }

    /// The same where this stood there before.
    pub(crate) fn put_channel_over(&mut self, before: Option<&Channel>, mut channel: Channel) -> Channel {
        channel.revision = self.guild.revision;
        self.event(Event::channel(&self.guild, before, Some(&channel)));
        self.write(Write::PutChannel(channel.clone()));
        channel
    }

    pub(crate) fn delete_channel(&mut self, channel: &Channel) {
        self.event(Event::channel(&self.guild, Some(channel), None));
        self.write(Write::DeleteChannel(self.guild.id, channel.id));
    }

    /// Makes or changes a role.
    pub(crate) fn put_role(&mut self, role: Role) -> Role {
        let before = self.state.permissions_of(role.id);
        self.put_role_over(before, role)
    }

    /// The same where it had these permissions before.
    pub(crate) fn put_role_over(&mut self, before: Option<Permissions>, role: Role) -> Role {
        self.event(Event::role(&self.guild, before, &role));
        self.write(Write::PutRole(self.guild.id, role.clone()));
        role
    }

    pub(crate) fn delete_role(&mut self, role: &Role) {
        self.event(Event::role_delete(&self.guild, role.id, role.permissions));
        self.write(Write::DeleteRole(self.guild.id, role.id));
    }

    /// Makes or changes a member.
    pub(crate) fn put_member(&mut self, before: Option<Member>, mut member: Member) -> Member {
        member.revision = self.guild.revision;
        self.event(Event::member(&self.guild, before.as_ref(), &member));
        self.write(Write::PutMember(Box::new(member.clone()), before.map(Box::new)));
        member
    }

    /// Removes a member, and tells their gateways.
    pub(crate) fn delete_member(&mut self, member: &Member) {
        self.guild.member_count = self.guild.member_count.saturating_sub(1);
        self.event(Event::member_remove(&self.guild, member));
        self.event(Event::guild_left(&self.guild, member.user.id));
        self.write(Write::DeleteMember(Box::new(member.clone())));
    }

    pub(crate) fn delete_invite(&mut self, invite: &Invite) {
        self.event(Event::invite_delete(&self.guild, invite));
        self.write(Write::DeleteInvite(invite.clone()));
    }
}
