//! `Guilds`.

use model::limits::{GUILD_CHANNELS_MAX, UNAVAILABLE_RETRY_MS};
use model::{GuildId, UserId};
use proto::convert::{id, wire};
use proto::v1::guilds_server::Guilds;
use proto::{Failure, v1};
use tonic::{Request, Response, Status};

use super::answer;
use crate::changes::Draft;
use crate::command::Command;
use crate::directory::Directory;
use crate::guild::{check_name, new_guild, store_new_guild};
use crate::members::RefreshMember;
use crate::membership::check_room;
use crate::roles::Piece;
use crate::seed;
use crate::validate::Fields;

type Answer<T> = Result<Response<T>, Status>;

impl Directory {
    /// A change of the guild with this number.
    async fn in_guild<C: Command>(&self, guild: u64, command: C) -> Result<C::Reply, Failure> {
        let guild: GuildId = id("guild_id", guild)?;
        self.actors.change(guild, command).await
    }

    /// A change that may need several pieces, each a change of its own, until one of them answers that it was the last.
    async fn in_pieces<C: Command<Reply = Piece> + Clone>(
        &self,
        guild: u64,
        command: C,
    ) -> Result<v1::Empty, Failure> {
        // Every piece takes at least one channel, so more are needed only where overwrites are being made meanwhile.
        for _ in 0..=GUILD_CHANNELS_MAX {
            if self.in_guild(guild, command.clone()).await? == Piece::Last {
                return Ok(v1::Empty {});
            }
        }
        let message = "overwrites of the role are made faster than they are removed: try again";
        Err(Failure::unavailable(message, UNAVAILABLE_RETRY_MS))
    }

    /// A change that somebody makes in the guild of this channel.
    async fn in_guild_of<C: Command>(
        &self,
        channel: u64,
        actor: u64,
        command: C,
    ) -> Result<C::Reply, Failure> {
        let guild = self.guild_of(id("channel_id", channel)?, id("actor_id", actor)?).await?;
        self.actors.change(guild, command).await
    }

    async fn create_guild(&self, request: v1::CreateGuildRequest) -> Result<v1::GuildDetails, Failure> {
        let mut fields = Fields::default();
        check_name(&mut fields, &request.name, request.icon.as_deref());
        fields.finish()?;
        let owner_id: UserId = id("owner_id", request.owner_id)?;
        let (accounts, changes) = (self.accounts.clone(), self.changes.clone());
        self.accounts
            .run(async move {
                let _owner = accounts.users.lock(&[owner_id.get()]).await;
                let owner = accounts.user(owner_id).await?;
                check_room(&changes, &owner).await?;
                let icon = request.icon.filter(|icon| !icon.is_empty());
                let (rows, member) = new_guild(&changes, request.name.trim(), icon, owner);
                let stored = store_new_guild(&changes, &rows, member, Draft::default()).await?;
                changes.publish(stored).await?;
                Ok(crate::state::GuildState::from(rows).details(|_| true))
            })
            .await
    }
}

#[tonic::async_trait]
impl Guilds for Directory {
    async fn create_guild(&self, request: Request<v1::CreateGuildRequest>) -> Answer<v1::GuildDetails> {
        let request = request.into_inner();
        answer(Self::create_guild(self, request).await)
    }

    async fn get_guild(&self, request: Request<v1::GetGuildRequest>) -> Answer<v1::GuildDetails> {
        let request = request.into_inner();
        answer(Self::get_guild(self, request).await)
    }

    async fn open_guild(&self, request: Request<v1::OpenGuildRequest>) -> Answer<v1::GuildSnapshot> {
        let request = request.into_inner();
        answer(Self::open_guild(self, request).await)
    }

    async fn edit_guild(&self, request: Request<v1::EditGuildRequest>) -> Answer<v1::GuildDetails> {
        let request = request.into_inner();
        let state = self.in_guild(request.guild_id, request).await;
        answer(state.map(|state| state.details(|_| true)))
    }

    async fn delete_guild(&self, request: Request<v1::DeleteGuildRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(self.in_guild(request.guild_id, request).await.map(|()| v1::Empty {}))
    }

    async fn list_user_guilds(
        &self,
        request: Request<v1::ListUserGuildsRequest>,
    ) -> Answer<v1::ListUserGuildsReply> {
        let request = request.into_inner();
        answer(Self::list_user_guilds(self, request).await)
    }

    async fn get_channel(&self, request: Request<v1::GetChannelRequest>) -> Answer<v1::Channel> {
        let request = request.into_inner();
        answer(Self::get_channel(self, request).await.map(|channel| (&channel).into()))
    }

    async fn create_channel(&self, request: Request<v1::CreateChannelRequest>) -> Answer<v1::Channel> {
        let request = request.into_inner();
        answer(self.in_guild(request.guild_id, request).await.map(|channel| (&channel).into()))
    }

    async fn edit_channel(&self, request: Request<v1::EditChannelRequest>) -> Answer<v1::Channel> {
        let request = request.into_inner();
        answer(
            self.in_guild_of(request.channel_id, request.actor_id, request)
                .await
                .map(|channel| (&channel).into()),
        )
    }

    async fn move_channels(&self, request: Request<v1::MoveChannelsRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(self.in_guild(request.guild_id, request).await.map(|()| v1::Empty {}))
    }

    async fn delete_channel(&self, request: Request<v1::DeleteChannelRequest>) -> Answer<v1::Channel> {
        let request = request.into_inner();
        answer(
            self.in_guild_of(request.channel_id, request.actor_id, request)
                .await
                .map(|channel| (&channel).into()),
        )
    }

    async fn set_overwrite(&self, request: Request<v1::SetOverwriteRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(self.in_guild_of(request.channel_id, request.actor_id, request).await.map(|()| v1::Empty {}))
    }

    async fn delete_overwrite(&self, request: Request<v1::DeleteOverwriteRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(self.in_guild_of(request.channel_id, request.actor_id, request).await.map(|()| v1::Empty {}))
    }

    async fn open_private_channel(
        &self,
        request: Request<v1::OpenPrivateChannelRequest>,
    ) -> Answer<v1::Channel> {
        let opened = self.accounts.open_private(request.into_inner()).await;
        answer(opened.map(|channel| (&channel).into()))
    }

    async fn close_private_channel(
        &self,
        request: Request<v1::ClosePrivateChannelRequest>,
    ) -> Answer<v1::Channel> {
        let closed = self.accounts.close_private(request.into_inner()).await;
        answer(closed.map(|channel| (&channel).into()))
    }

    async fn list_private_channels(
        &self,
        request: Request<v1::ListPrivateChannelsRequest>,
    ) -> Answer<v1::ListPrivateChannelsReply> {
        answer(Self::list_private_channels(self, request.into_inner()).await)
    }

    async fn create_role(&self, request: Request<v1::CreateRoleRequest>) -> Answer<v1::Role> {
        let request = request.into_inner();
        answer(self.in_guild(request.guild_id, request).await.map(|role| (&role).into()))
    }

    async fn edit_role(&self, request: Request<v1::EditRoleRequest>) -> Answer<v1::Role> {
        let request = request.into_inner();
        answer(self.in_guild(request.guild_id, request).await.map(|role| (&role).into()))
    }

    async fn move_roles(&self, request: Request<v1::MoveRolesRequest>) -> Answer<v1::RolesReply> {
        let request = request.into_inner();
        let roles = self.in_guild(request.guild_id, request).await;
        answer(roles.map(|roles| v1::RolesReply { roles: wire(&roles) }))
    }

    async fn delete_role(&self, request: Request<v1::DeleteRoleRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(self.in_pieces(request.guild_id, request).await)
    }

    async fn get_members(&self, request: Request<v1::GetMembersRequest>) -> Answer<v1::MembersReply> {
        let request = request.into_inner();
        answer(Self::get_members(self, request).await)
    }

    async fn list_members(&self, request: Request<v1::ListMembersRequest>) -> Answer<v1::MembersReply> {
        let request = request.into_inner();
        answer(Self::list_members(self, request).await)
    }

    async fn search_members(&self, request: Request<v1::SearchMembersRequest>) -> Answer<v1::MembersReply> {
        let request = request.into_inner();
        answer(Self::search_members(self, request).await)
    }

    async fn add_member(&self, request: Request<v1::AddMemberRequest>) -> Answer<v1::Member> {
        let request = request.into_inner();
        answer(self.in_guild(request.guild_id, request).await.map(|member| (&member).into()))
    }

    async fn edit_member(&self, request: Request<v1::EditMemberRequest>) -> Answer<v1::Member> {
        let request = request.into_inner();
        answer(self.in_guild(request.guild_id, request).await.map(|member| (&member).into()))
    }

    async fn remove_member(&self, request: Request<v1::RemoveMemberRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(self.in_pieces(request.guild_id, request).await)
    }

    async fn refresh_member(&self, request: Request<v1::RefreshMemberRequest>) -> Answer<v1::Empty> {
        let v1::RefreshMemberRequest { guild_id, user_id } = request.into_inner();
        let user = id("user_id", user_id).map_err(Failure::from)?;
        answer(self.in_guild(guild_id, RefreshMember(user)).await.map(|()| v1::Empty {}))
    }

    async fn seed_guild(&self, request: Request<v1::SeedGuildRequest>) -> Answer<v1::SeedGuildReply> {
        let request = request.into_inner();
        let (changes, accounts, actors) = (self.changes.clone(), self.accounts.clone(), self.actors.clone());
        let work = async move { seed::seed(&changes, &accounts, &actors, request).await };
        answer(self.accounts.run(work).await)
    }

    async fn create_invite(&self, request: Request<v1::CreateInviteRequest>) -> Answer<v1::Invite> {
        let request = request.into_inner();
        answer(
            self.in_guild_of(request.channel_id, request.actor_id, request)
                .await
                .map(|invite| (&invite).into()),
        )
    }

    async fn get_invite(&self, request: Request<v1::GetInviteRequest>) -> Answer<v1::InviteDetails> {
        let request = request.into_inner();
        answer(Self::get_invite(self, &request.code).await)
    }

    async fn list_invites(&self, request: Request<v1::ListInvitesRequest>) -> Answer<v1::ListInvitesReply> {
        let request = request.into_inner();
        answer(Self::list_invites(self, request).await)
    }

    async fn use_invite(&self, request: Request<v1::UseInviteRequest>) -> Answer<v1::InviteDetails> {
        let request = request.into_inner();
        let guild = self.guild_of_invite(&request.code).await?;
        let shown = self.actors.change(guild, request).await?;
        answer(self.show(shown).await)
    }

    async fn delete_invite(&self, request: Request<v1::DeleteInviteRequest>) -> Answer<v1::InviteDetails> {
        let request = request.into_inner();
        let guild = self.guild_of_invite(&request.code).await?;
        let shown = self.actors.change(guild, request).await?;
        answer(self.show(shown).await)
    }
}
