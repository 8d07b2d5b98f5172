//! A directory in memory: what the message service asks `guilds` for, and the events of its changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use backplane::{Backplane, Subject};
use model::limits::MEMBERS_LIST_MAX;
use model::message::TYPE_DEFAULT;
use model::view::{ChannelView, MemberView, ViewChange};
use model::{Channel, ChannelId, ChannelKind, EventKind, Guild, GuildId, Member, Permissions, Role, RoleId};
use model::{Message, MessageId, Timestamp, User, UserId};
use parking_lot::Mutex;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;
use proto::{Envelope, Failure, Writer, v1};
use tonic::{Request, Response, Status};

pub const GUILD: u64 = 1 << 30;
pub const OWNER: u64 = 100;
pub const GENERAL: u64 = 2001;
pub const STAFF: u64 = 2002;
pub const SLOW: u64 = 2003;
pub const CATEGORY: u64 = 2004;
/// Voice, and only the owner may connect.
pub const VOICE: u64 = 2005;
/// Members have ids from here on.
pub const FIRST: u64 = 1000;
/// A user who is no member.
pub const STRANGER: u64 = 77;
pub const MODERATORS: u64 = 500;
/// A role that everybody may mention.
pub const LOUD: u64 = 502;
/// A private channel of the first member and the stranger.
pub const PRIVATE: u64 = 2010;
/// A member that is a bot.
pub const BOT: u64 = 101;

pub fn guild() -> GuildId {
    GuildId::new(GUILD).unwrap()
}

pub fn channel(id: u64) -> ChannelId {
    ChannelId::new(id).unwrap()
}

pub fn user(id: u64) -> UserId {
    UserId::new(id).unwrap()
}

/// A message of the first user's, as it is stored.
pub fn stored(channel_id: u64, id: u64, content: &str) -> Message {
    Message {
        id: MessageId::new(id).unwrap(),
        channel_id: channel(channel_id),
        guild_id: Some(guild()),
        author_id: user(FIRST),
        kind: TYPE_DEFAULT,
        content: content.into(),
        edited_at: None,
        tts: false,
        mention_everyone: false,
        mentions: vec![],
        mention_roles: vec![],
        embeds_json: String::new(),
        components_json: String::new(),
        flags: 0,
        pinned: false,
        nonce: None,
        reference: None,
        reactions: vec![],
    }
}

pub struct World {
    state: Mutex<State>,
    is_down: AtomicBool,
    is_gone: AtomicBool,
    event_ids: AtomicU64,
}

struct State {
    revision: u64,
    roles: BTreeMap<RoleId, Role>,
    channels: BTreeMap<ChannelId, Channel>,
    members: BTreeMap<UserId, Member>,
}

impl World {
    /// One guild with `members` members beside its owner; the last of them is a moderator.
    pub fn new(members: u64) -> Arc<Self> {
        let everyone = Role::new(guild().cast(), "@everyone", Permissions::DEFAULT);
        let moderators = Role::new(RoleId::new(MODERATORS).unwrap(), "mods", Permissions::MANAGE_MESSAGES);
        let mut slow = Channel::new(channel(SLOW), guild(), ChannelKind::Text, "slow");
        slow.rate_limit_per_user = 60;
        let mut staff = Channel::new(channel(STAFF), guild(), ChannelKind::Text, "staff");
        staff.overwrites = vec![model::Overwrite {
            target: model::OverwriteKind::Role(guild().cast()),
            allow: Permissions::NONE,
            deny: Permissions::VIEW_CHANNEL,
        }];
        let mut loud = Role::new(RoleId::new(LOUD).unwrap(), "loud", Permissions::NONE);
        loud.mentionable = true;
        let mut voice = Channel::new(channel(VOICE), guild(), ChannelKind::Voice, "voice");
        voice.overwrites = vec![model::Overwrite {
            target: model::OverwriteKind::Role(guild().cast()),
            allow: Permissions::NONE,
            deny: Permissions::CONNECT,
        }];
        let channels = [
            Channel::new(channel(GENERAL), guild(), ChannelKind::Text, "general"),
            Channel::new(channel(CATEGORY), guild(), ChannelKind::Category, "category"),
            slow,
            staff,
            voice,
        ];
        let mut all: BTreeMap<_, _> = (FIRST..FIRST + members)
            .chain([OWNER, BOT])
            .map(|id| {
                let user = User::new(user(id), format!("user{id}"), id == BOT);
                (user.id, Member::new(guild(), user, Timestamp::from_ms(1)))
            })
            .collect();
        if let Some(last) = all.get_mut(&user(FIRST + members - 1)) {
            last.roles = vec![moderators.id];
        }
        let state = State {
            revision: 1,
            roles: [everyone, moderators, loud].into_iter().map(|role| (role.id, role)).collect(),
            channels: channels.into_iter().map(|channel| (channel.id, channel)).collect(),
            members: all,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            is_down: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            event_ids: AtomicU64::new(1),
        })
    }

    /// Every call fails from now on, or works again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, SeqCst);
    }

    /// The guild is deleted.
    pub fn set_gone(&self) {
        self.is_gone.store(true, SeqCst);
    }

    /// Gives everybody these permissions, and publishes that if there is somebody to tell.
    pub async fn set_everyone(&self, permissions: Permissions, tell: Option<&dyn Backplane>) {
        let (revision, change) = {
            let mut state = self.state.lock();
            state.revision += 1;
            let revision = state.revision;
            let role = state.roles.get_mut(&guild().cast()).unwrap();
            let before = std::mem::replace(&mut role.permissions, permissions);
            let id = role.id;
            (
                revision,
                ViewChange::Role { id, before: Some(before), after: Some(permissions), mentionable: false },
            )
        };
        self.tell(EventKind::GuildRoleUpdate, revision, None, change, tell).await;
    }

    /// Lets everybody mention a role, or no longer.
    pub async fn set_mentionable(&self, id: u64, mentionable: bool, tell: &dyn Backplane) {
        let (revision, change) = {
            let mut state = self.state.lock();
            state.revision += 1;
            let revision = state.revision;
            let role = state.roles.get_mut(&RoleId::new(id).unwrap()).unwrap();
            role.mentionable = mentionable;
            let permissions = Some(role.permissions);
            (revision, ViewChange::Role { id: role.id, before: permissions, after: permissions, mentionable })
        };
        self.tell(EventKind::GuildRoleUpdate, revision, None, change, Some(tell)).await;
    }

    /// Times a member out, or ends it.
    pub async fn time_out(&self, id: u64, until: Option<Timestamp>, tell: Option<&dyn Backplane>) {
        let (revision, change) = {
            let mut state = self.state.lock();
            state.revision += 1;
            let revision = state.revision;
            let member = state.members.get_mut(&user(id)).unwrap();
            let before = Some(MemberView::from(&*member));
            member.communication_disabled_until = until;
            let after = Some(MemberView::from(&*member));
            (revision, ViewChange::Member { id: user(id), before, after })
        };
        self.tell(EventKind::GuildMemberUpdate, revision, Some(user(id)), change, tell).await;
    }

    pub async fn delete_channel(&self, id: u64, tell: Option<&dyn Backplane>) {
        let (revision, change) = {
            let mut state = self.state.lock();
            state.revision += 1;
            let before = state.channels.remove(&channel(id)).map(|channel| ChannelView::from(&channel));
            (state.revision, ViewChange::Channel { id: channel(id), before, after: None })
        };
        self.tell(EventKind::ChannelDelete, revision, None, change, tell).await;
    }

    async fn tell(
        &self,
        kind: EventKind,
        revision: u64,
        user: Option<UserId>,
        change: ViewChange,
        tell: Option<&dyn Backplane>,
    ) {
        let Some(backplane) = tell else { return };
        let writer = Writer { set: 2, slot: 0, epoch: 1 };
        let event_id = self.event_ids.fetch_add(1, SeqCst);
        let mut envelope = Envelope::new(event_id, kind, writer, "{}");
        envelope.guild_id = Some(guild());
        envelope.revision = Some(revision);
        envelope.user_id = user;
        envelope.view = Some(change);
        backplane.publish(Subject::Guild(guild()), event_id, envelope.encode()).await.unwrap();
    }

    fn check_guild(&self, guild: u64) -> Result<(), Status> {
        self.check()?;
        if guild != GUILD || self.is_gone.load(SeqCst) {
            return Err(Failure::unknown(proto::failure::code::UNKNOWN_GUILD, "Guild").into());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Status> {
        if self.is_down.load(SeqCst) { Err(Status::unavailable("the directory is down")) } else { Ok(()) }
    }
}

type Reply<T> = Result<Response<T>, Status>;

fn unused<T>() -> Reply<T> {
    Err(Status::unimplemented("the message service does not ask this"))
}

/// The directory's two services.
#[derive(Clone)]
pub struct Directory(pub Arc<World>);

#[async_trait]
impl Guilds for Directory {
    async fn get_guild(&self, request: Request<v1::GetGuildRequest>) -> Reply<v1::GuildDetails> {
        self.0.check_guild(request.into_inner().guild_id)?;
        let state = self.0.state.lock();
        let guild = Guild { revision: state.revision, ..new_guild() };
        Ok(Response::new(v1::GuildDetails {
            guild: Some((&guild).into()),
            roles: state.roles.values().map(Into::into).collect(),
            channels: state.channels.values().map(Into::into).collect(),
        }))
    }

    async fn get_channel(&self, request: Request<v1::GetChannelRequest>) -> Reply<v1::Channel> {
        self.0.check()?;
        let id = request.into_inner().channel_id;
        if id == PRIVATE {
            let users = [STRANGER, FIRST].map(|id| User::new(user(id), format!("user{id}"), false));
            return Ok(Response::new((&Channel::private(channel(PRIVATE), users.into())).into()));
        }
        let found = ChannelId::new(id).and_then(|id| self.0.state.lock().channels.get(&id).map(Into::into));
        let unknown = || Failure::unknown(proto::failure::code::UNKNOWN_CHANNEL, "Channel").into();
        found.map(Response::new).ok_or_else(unknown)
    }

    async fn get_members(&self, request: Request<v1::GetMembersRequest>) -> Reply<v1::MembersReply> {
        let request = request.into_inner();
        self.0.check_guild(request.guild_id)?;
        if request.user_ids.len() > MEMBERS_LIST_MAX {
            return Err(Status::invalid_argument("more members than one call may ask for"));
        }
        let state = self.0.state.lock();
        let ids = request.user_ids.into_iter().filter_map(UserId::new);
        let members = ids.filter_map(|id| state.members.get(&id)).map(Into::into).collect();
        Ok(Response::new(v1::MembersReply { members }))
    }

    async fn create_guild(&self, _: Request<v1::CreateGuildRequest>) -> Reply<v1::GuildDetails> {
        unused()
    }

    async fn open_guild(&self, _: Request<v1::OpenGuildRequest>) -> Reply<v1::GuildSnapshot> {
        unused()
    }

    async fn edit_guild(&self, _: Request<v1::EditGuildRequest>) -> Reply<v1::GuildDetails> {
        unused()
    }

    async fn delete_guild(&self, _: Request<v1::DeleteGuildRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn list_user_guilds(
        &self,
        _: Request<v1::ListUserGuildsRequest>,
    ) -> Reply<v1::ListUserGuildsReply> {
        unused()
    }

    async fn create_channel(&self, _: Request<v1::CreateChannelRequest>) -> Reply<v1::Channel> {
        unused()
    }

    async fn edit_channel(&self, _: Request<v1::EditChannelRequest>) -> Reply<v1::Channel> {
        unused()
    }

    async fn move_channels(&self, _: Request<v1::MoveChannelsRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn delete_channel(&self, _: Request<v1::DeleteChannelRequest>) -> Reply<v1::Channel> {
        unused()
    }

    async fn set_overwrite(&self, _: Request<v1::SetOverwriteRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn delete_overwrite(&self, _: Request<v1::DeleteOverwriteRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn open_private_channel(&self, _: Request<v1::OpenPrivateChannelRequest>) -> Reply<v1::Channel> {
        unused()
    }

    async fn close_private_channel(&self, _: Request<v1::ClosePrivateChannelRequest>) -> Reply<v1::Channel> {
        unused()
    }

    async fn list_private_channels(
        &self,
        _: Request<v1::ListPrivateChannelsRequest>,
    ) -> Reply<v1::ListPrivateChannelsReply> {
        unused()
    }

    async fn create_role(&self, _: Request<v1::CreateRoleRequest>) -> Reply<v1::Role> {
        unused()
    }

    async fn edit_role(&self, _: Request<v1::EditRoleRequest>) -> Reply<v1::Role> {
        unused()
    }

    async fn move_roles(&self, _: Request<v1::MoveRolesRequest>) -> Reply<v1::RolesReply> {
        unused()
    }

    async fn delete_role(&self, _: Request<v1::DeleteRoleRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn list_members(&self, _: Request<v1::ListMembersRequest>) -> Reply<v1::MembersReply> {
        unused()
    }

    async fn search_members(&self, _: Request<v1::SearchMembersRequest>) -> Reply<v1::MembersReply> {
        unused()
    }

    async fn add_member(&self, _: Request<v1::AddMemberRequest>) -> Reply<v1::Member> {
        unused()
    }

    async fn edit_member(&self, _: Request<v1::EditMemberRequest>) -> Reply<v1::Member> {
        unused()
    }

    async fn remove_member(&self, _: Request<v1::RemoveMemberRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn refresh_member(&self, _: Request<v1::RefreshMemberRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn seed_guild(&self, _: Request<v1::SeedGuildRequest>) -> Reply<v1::SeedGuildReply> {
        unused()
    }

    async fn create_invite(&self, _: Request<v1::CreateInviteRequest>) -> Reply<v1::Invite> {
        unused()
    }

    async fn get_invite(&self, _: Request<v1::GetInviteRequest>) -> Reply<v1::InviteDetails> {
        unused()
    }

    async fn list_invites(&self, _: Request<v1::ListInvitesRequest>) -> Reply<v1::ListInvitesReply> {
        unused()
    }

    async fn use_invite(&self, _: Request<v1::UseInviteRequest>) -> Reply<v1::InviteDetails> {
        unused()
    }

    async fn delete_invite(&self, _: Request<v1::DeleteInviteRequest>) -> Reply<v1::InviteDetails> {
        unused()
    }
}

#[async_trait]
impl Accounts for Directory {
    async fn get_users(&self, request: Request<v1::GetUsersRequest>) -> Reply<v1::GetUsersReply> {
        self.0.check()?;
        let ids = request.into_inner().user_ids;
        let is_stranger = ids.contains(&STRANGER);
        let stranger = is_stranger.then(|| User::new(user(STRANGER), "stranger", false));
        let state = self.0.state.lock();
        let members = ids.into_iter().filter_map(UserId::new).filter_map(|id| state.members.get(&id));
        let users = members.map(|member| &member.user).chain(&stranger).map(Into::into);
        Ok(Response::new(v1::GetUsersReply { users: users.collect() }))
    }

    async fn register(&self, _: Request<v1::RegisterRequest>) -> Reply<v1::TokenReply> {
        unused()
    }

    async fn login(&self, _: Request<v1::LoginRequest>) -> Reply<v1::TokenReply> {
        unused()
    }

    async fn revoke_token(&self, _: Request<v1::RevokeTokenRequest>) -> Reply<v1::Empty> {
        unused()
    }

    async fn list_tokens(&self, _: Request<v1::ListTokensRequest>) -> Reply<v1::ListTokensReply> {
        unused()
    }

    async fn issue_token(&self, _: Request<v1::IssueTokenRequest>) -> Reply<v1::TokenReply> {
        unused()
    }

    async fn authenticate(&self, _: Request<v1::AuthenticateRequest>) -> Reply<v1::Identity> {
        unused()
    }

    async fn find_user(&self, _: Request<v1::FindUserRequest>) -> Reply<v1::User> {
        unused()
    }

    async fn edit_user(&self, _: Request<v1::EditUserRequest>) -> Reply<v1::User> {
        unused()
    }

    async fn create_application(
        &self,
        _: Request<v1::CreateApplicationRequest>,
    ) -> Reply<v1::CreateApplicationReply> {
        unused()
    }

    async fn get_application(&self, _: Request<v1::GetApplicationRequest>) -> Reply<v1::Application> {
        unused()
    }

    async fn list_applications(
        &self,
        _: Request<v1::ListApplicationsRequest>,
    ) -> Reply<v1::ListApplicationsReply> {
        unused()
    }

    async fn reset_bot_token(&self, _: Request<v1::ResetBotTokenRequest>) -> Reply<v1::TokenReply> {
        unused()
    }
}

fn new_guild() -> Guild {
    let wire = v1::Guild {
        id: GUILD,
        name: "Demo".into(),
        owner_id: OWNER,
        preferred_locale: "en-US".into(),
        ..v1::Guild::default()
    };
    wire.try_into().unwrap()
}
