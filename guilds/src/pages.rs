//! What callers read: committed state and rows, beside the guilds' tasks.

use model::limits::{MEMBERS_LIST_MAX, MEMBERS_QUERY_MAX, USER_GUILDS_MAX};
use model::{Channel, ChannelId, GuildId, Member, Permissions, UserId};
use proto::convert::{id, ids, numbers, wire};
use proto::{Failure, FailureKind, v1};
use std::sync::Arc;

use crate::directory::Directory;
use crate::invites::{Shown, unknown_invite};
use crate::rules::Actor;
use crate::state::{GuildState, members_reply, unknown_guild};
use crate::store::keys::lower;

impl Directory {
    /// The member who reads, if they are one.
    async fn reader<'a>(&self, state: &'a GuildState, user: UserId) -> Result<Option<Actor<'a>>, Failure> {
        let member = self.changes.store.member(state.guild.id, user).await?;
        Ok(member.map(|member| Actor::new(state, member, self.changes.now())))
    }

    /// The guild of a channel in which somebody wants to do something.
    pub(crate) async fn guild_of(&self, channel: ChannelId, actor: UserId) -> Result<GuildId, Failure> {
        match self.changes.store.guild_of_channel(channel).await? {
            Some(guild) => Ok(guild),
            None => Err(self.refuse_private(channel, actor).await),
        }
    }

    pub(crate) async fn get_guild(&self, request: v1::GetGuildRequest) -> Result<v1::GuildDetails, Failure> {
        let state = self.actors.state(id("guild_id", request.guild_id)?).await?;
        let Some(reader) = request.reader_id else { return Ok(state.details(|_| true)) };
        let reader = self.reader(&state, id("reader_id", reader)?).await?.ok_or_else(unknown_guild)?;
        Ok(state.details(|channel| reader.sees(channel)))
    }

    /// State before members: rows are then as new as the state or newer, and a newer one is repeated by its event.
    pub(crate) async fn open_guild(
        &self,
        request: v1::OpenGuildRequest,
    ) -> Result<v1::GuildSnapshot, Failure> {
        let guild_id: GuildId = id("guild_id", request.guild_id)?;
        let state = self.actors.state(guild_id).await?;
        let store = &self.changes.store;
        let details = Some(state.details(|_| true));
        let Some(member) = store.member(guild_id, id("user_id", request.user_id)?).await? else {
            return Ok(v1::GuildSnapshot { details, member: None, members: Vec::new() });
        };
        let member = state.clean(member);
        let members = if state.guild.member_count <= u64::from(request.members_max) {
            let max = request.members_max as usize;
            let rows = store.members_after(guild_id, None, max).await?;
            rows.into_iter().map(|member| state.clean(member)).collect()
        } else {
            vec![member.clone()]
        };
        Ok(v1::GuildSnapshot { details, member: Some((&member).into()), members: wire(&members) })
    }

    /// Whose token it is, and then where they are: a token that was revoked before is refused.
    pub(crate) async fn identify(&self, token: &str, with_places: bool) -> Result<v1::Identity, Failure> {
        let mut identity = self.accounts.authenticate(token).await?;
        if let Some(user) = identity.user.as_ref().filter(|_| with_places) {
            identity.places = Some(self.places(user.id, user.bot).await?);
        }
        Ok(identity)
    }

    async fn places(&self, user_id: u64, is_bot: bool) -> Result<v1::Places, Failure> {
        let all = v1::ListUserGuildsRequest { user_id, ..v1::ListUserGuildsRequest::default() };
        let guilds = self.guild_ids(id("user_id", user_id)?, &all).await?;
        let private_channels = match is_bot {
            true => Vec::new(),
            false => self.list_private_channels(v1::ListPrivateChannelsRequest { user_id }).await?.channels,
        };
        Ok(v1::Places { guild_ids: numbers(&guilds), private_channels })
    }

    pub(crate) async fn list_user_guilds(
        &self,
        request: v1::ListUserGuildsRequest,
    ) -> Result<v1::ListUserGuildsReply, Failure> {
        let user_id: UserId = id("user_id", request.user_id)?;
        let ids = self.guild_ids(user_id, &request).await?;
        let mut guilds = Vec::with_capacity(ids.len());
        for guild_id in ids {
            if request.details {
                match self.user_guild(guild_id, user_id).await {
                    Ok(guild) => guilds.push(guild),
                    Err(failure) if failure.kind == FailureKind::NotFound => {}
                    Err(failure) => return Err(failure),
                }
            } else {
                guilds.push(v1::UserGuild { id: guild_id.get(), ..v1::UserGuild::default() });
            }
        }
        Ok(v1::ListUserGuildsReply { guilds })
    }

    /// The user's guilds that exist, in order of id, between the bounds.
    async fn guild_ids(
        &self,
        user: UserId,
        request: &v1::ListUserGuildsRequest,
    ) -> Result<Vec<GuildId>, Failure> {
        let limit = if request.limit == 0 { usize::MAX } else { request.limit as usize };
        let before = request.before.unwrap_or(u64::MAX);
        let is_backward = request.before.is_some() && request.after.is_none();
        let mut last = request.after.and_then(GuildId::new);
        let mut found = Vec::new();
        loop {
            let page = self.changes.store.guilds_after(user, last, USER_GUILDS_MAX).await?;
            last = page.last().copied();
            let is_last = page.len() < USER_GUILDS_MAX || last.is_some_and(|last| last.get() >= before);
            for guild in page.into_iter().filter(|guild| guild.get() < before) {
                if self.changes.store.guild_exists(guild).await? {
                    found.push(guild);
                }
            }
            if is_last || (!is_backward && found.len() >= limit) {
                break;
            }
        }
        if is_backward {
            found.drain(..found.len().saturating_sub(limit));
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn user_guild(&self, guild_id: GuildId, user: UserId) -> Result<v1::UserGuild, Failure> {
        let state = self.actors.view(guild_id).await?;
        let member = self.reader(&state, user).await?.ok_or_else(unknown_guild)?;
        let guild = &state.guild;
        Ok(v1::UserGuild {
            id: guild_id.get(),
            name: guild.name.clone(),
            icon: guild.icon.clone(),
            owner: guild.owner_id == user,
            permissions: member.base.bits(),
            member_count: guild.member_count,
        })
    }

    pub(crate) async fn get_channel(&self, request: v1::GetChannelRequest) -> Result<Channel, Failure> {
        let channel_id: ChannelId = id("channel_id", request.channel_id)?;
        let reader = request.reader_id.map(|reader| id("reader_id", reader)).transpose()?;
        let Some(guild) = self.changes.store.guild_of_channel(channel_id).await? else {
            return self.private_channel(channel_id, reader).await;
        };
        let state = self.actors.state(guild).await?;
        let channel = state.channel(channel_id)?;
        if let Some(reader) = reader {
            let reader = self.reader(&state, reader).await?;
            if !reader.is_some_and(|reader| reader.sees(channel)) {
                return Err(Failure::missing_access());
            }
        }
        Ok(channel.clone())
    }

    pub(crate) async fn get_members(
        &self,
        request: v1::GetMembersRequest,
    ) -> Result<v1::MembersReply, Failure> {
        // An answer with some of them would look as if the others were no members.
        if request.user_ids.len() > MEMBERS_LIST_MAX {
            let message = format!("Must be {MEMBERS_LIST_MAX} or fewer; ask in several calls.");
            return Err(Failure::invalid_field("user_ids", "BASE_TYPE_MAX_LENGTH", message));
        }
        let state = self.actors.state(id("guild_id", request.guild_id)?).await?;
        let users = ids("user_ids", &request.user_ids)?;
        Ok(members_reply(&self.members(&state, &users).await?))
    }

    async fn members(&self, state: &GuildState, users: &[UserId]) -> Result<Vec<Member>, Failure> {
        let mut members = Vec::with_capacity(users.len());
        for user in users {
            let member = self.changes.store.member(state.guild.id, *user).await?;
            members.extend(member.map(|member| state.clean(member)));
        }
        Ok(members)
    }

    pub(crate) async fn list_members(
        &self,
        request: v1::ListMembersRequest,
    ) -> Result<v1::MembersReply, Failure> {
        let state = self.actors.state(id("guild_id", request.guild_id)?).await?;
        let after = request.after.and_then(UserId::new);
        let limit = (request.limit.max(1) as usize).min(MEMBERS_LIST_MAX);
        let members = self.changes.store.members_after(state.guild.id, after, limit).await?;
        Ok(members_reply(&members.into_iter().map(|member| state.clean(member)).collect::<Vec<_>>()))
    }

    pub(crate) async fn search_members(
        &self,
        request: v1::SearchMembersRequest,
    ) -> Result<v1::MembersReply, Failure> {
        let state = self.actors.state(id("guild_id", request.guild_id)?).await?;
        let limit = (request.limit.max(1) as usize).min(MEMBERS_LIST_MAX);
        let prefix = lower(&request.query);
        if prefix.is_empty() {
            let limit = limit.min(MEMBERS_QUERY_MAX);
            let members = self.changes.store.members_after(state.guild.id, None, limit).await?;
            return Ok(members_reply(
                &members.into_iter().map(|member| state.clean(member)).collect::<Vec<_>>(),
            ));
        }
        let users = self.changes.store.search_members(state.guild.id, &prefix, limit).await?;
        Ok(members_reply(&self.members(&state, &users).await?))
    }

    // --- Invites

    pub(crate) async fn get_invite(&self, code: &str) -> Result<v1::InviteDetails, Failure> {
        let invite = self.changes.store.invite(code).await?;
        let invite =
            invite.filter(|invite| invite.is_usable(self.changes.now())).ok_or_else(unknown_invite)?;
        let state = self.actors.state(invite.guild_id).await.map_err(|failure| {
            if failure.kind == FailureKind::NotFound { unknown_invite() } else { failure }
        })?;
        self.show(Shown::new(&state, invite).ok_or_else(unknown_invite)?).await
    }

    pub(crate) async fn guild_of_invite(&self, code: &str) -> Result<GuildId, Failure> {
        Ok(self.changes.store.invite(code).await?.ok_or_else(unknown_invite)?.guild_id)
    }

    pub(crate) async fn show(&self, shown: Shown) -> Result<v1::InviteDetails, Failure> {
        let inviter = self.changes.store.user(shown.invite.inviter_id).await?;
        Ok(v1::InviteDetails {
            invite: Some((&shown.invite).into()),
            guild: Some((&shown.guild).into()),
            channel: Some((&shown.channel).into()),
            inviter: inviter.as_ref().map(Into::into),
        })
    }

    pub(crate) async fn list_invites(
        &self,
        request: v1::ListInvitesRequest,
    ) -> Result<v1::ListInvitesReply, Failure> {
        use v1::list_invites_request::Of;
        let actor_id: UserId = id("actor_id", request.actor_id)?;
        let of = request.of.ok_or_else(|| Failure::from(proto::Malformed::new("of", "it is missing")))?;
        let (state, channel): (Arc<GuildState>, Option<ChannelId>) = match of {
            Of::GuildId(number) => (self.actors.state(id("guild_id", number)?).await?, None),
            Of::ChannelId(number) => {
                let channel: ChannelId = id("channel_id", number)?;
                (self.actors.state(self.guild_of(channel, actor_id).await?).await?, Some(channel))
            }
        };
        let actor = self.reader(&state, actor_id).await?;
        match channel {
            None => actor.ok_or_else(unknown_guild)?.needs(Permissions::MANAGE_GUILD)?,
            Some(channel) => {
                let actor = actor.ok_or_else(Failure::missing_access)?;
                actor.needs_in(state.channel(channel)?, Permissions::MANAGE_CHANNELS)?;
            }
        }
        let mut invites = Vec::new();
        for invite in self.changes.store.invites_of(state.guild.id).await? {
            let is_asked = channel.is_none_or(|channel| invite.channel_id == channel);
            if !is_asked || !invite.is_usable(self.changes.now()) {
                continue;
            }
            if let Some(shown) = Shown::new(&state, invite) {
                invites.push(self.show(shown).await?);
            }
        }
        Ok(v1::ListInvitesReply { invites })
    }
}
