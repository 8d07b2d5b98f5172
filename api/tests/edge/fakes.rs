//! Services that answer everything, remember what they were asked, and fail when told to.

use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::failure::{Failure, FailureKind, code};
use proto::v1::{self, accounts_server::Accounts, guilds_server::Guilds, messages_server::Messages};
use tonic::{Request, Response, Status};

pub const ALICE: u64 = 1_573_868_970_921_033_728;
pub const BOB: u64 = ALICE + 1;
pub const BOT: u64 = ALICE + 2;
pub const GUILD: u64 = ALICE + 3;
pub const CHANNEL: u64 = ALICE + 4;
/// A channel of Alice and somebody else.
pub const PRIVATE: u64 = ALICE + 5;

/// The three services. `Default` answers well.
#[derive(Clone, Default)]
pub struct Fakes {
    /// What every call but `Authenticate` fails with.
    pub failure: Arc<Mutex<Option<Failure>>>,
    /// The last request but `Authenticate`, as `Debug` shows it.
    pub asked: Arc<Mutex<String>>,
    /// Those before it.
    pub before: Arc<Mutex<Vec<String>>>,
}

impl Fakes {
    pub fn fail(&self, failure: Failure) {
        *self.failure.lock() = Some(failure);
    }

    pub fn asked(&self) -> String {
        self.asked.lock().clone()
    }

    pub fn all_asked(&self) -> Vec<String> {
        let before = self.before.lock();
        before.iter().cloned().chain([self.asked()]).collect()
    }

    fn identify(&self, request: Request<v1::AuthenticateRequest>) -> Result<Response<v1::Identity>, Status> {
        let token = request.into_inner().token;
        let token = token.strip_prefix("Bot ").or(token.strip_prefix("Bearer ")).unwrap_or(&token);
        let (id, application) = match token {
            "alice-token" => (ALICE, None),
            "bob-token" => (BOB, None),
            "bot-token" => (BOT, Some(application())),
            _ => return Err(Failure::unauthenticated().into()),
        };
        Ok(Response::new(v1::Identity { user: Some(user(id)), token_id: 1, application, places: None }))
    }

    fn known_users(
        &self,
        request: Request<v1::GetUsersRequest>,
    ) -> Result<Response<v1::GetUsersReply>, Status> {
        let known = |id: &&u64| [ALICE, BOB, BOT].contains(id);
        let users = request.get_ref().user_ids.iter().filter(known).map(|id| user(*id)).collect();
        self.answer(request, v1::GetUsersReply { users })
    }

    fn open_private(
        &self,
        request: Request<v1::OpenPrivateChannelRequest>,
    ) -> Result<Response<v1::Channel>, Status> {
        let asked = request.get_ref();
        let other = if asked.lower_id == asked.user_id { asked.higher_id } else { asked.lower_id };
        self.answer(request, private_channel(other))
    }

    fn channel(&self, request: Request<v1::GetChannelRequest>) -> Result<Response<v1::Channel>, Status> {
        let is_private = request.get_ref().channel_id == PRIVATE;
        self.answer(request, if is_private { private_channel(BOB) } else { channel() })
    }

    fn newest(
        &self,
        request: Request<v1::LastMessageIdsRequest>,
    ) -> Result<Response<v1::LastMessageIdsReply>, Status> {
        let message_ids = request.get_ref().channel_ids.iter().map(|id| (*id, 99)).collect();
        self.answer(request, v1::LastMessageIdsReply { message_ids })
    }

    fn answer<T, R>(&self, request: Request<T>, reply: R) -> Result<Response<R>, Status>
    where
        T: Debug,
    {
        let asked = format!("{:?}", request.into_inner());
        self.before.lock().push(std::mem::replace(&mut *self.asked.lock(), asked));
        match self.failure.lock().clone() {
            Some(failure) => Err(failure.into()),
            None => Ok(Response::new(reply)),
        }
    }
}

pub fn user(id: u64) -> v1::User {
    let username = match id {
        ALICE => "alice",
        BOB => "bob",
        _ => "helper",
    };
    v1::User { id, username: username.into(), bot: id == BOT, ..v1::User::default() }
}

pub fn application() -> v1::Application {
    v1::Application {
        id: BOT,
        name: "helper".into(),
        owner_id: ALICE,
        bot_id: BOT,
        bot_public: true,
        privileged_intents: 1 << 1,
        verify_key: 7,
        ..v1::Application::default()
    }
}

fn guild() -> v1::Guild {
    v1::Guild {
        id: GUILD,
        name: "Demo".into(),
        owner_id: ALICE,
        afk_timeout: 300,
        preferred_locale: "en-US".into(),
        member_count: 3,
        ..v1::Guild::default()
    }
}

fn role() -> v1::Role {
    v1::Role { id: GUILD, name: "@everyone".into(), permissions: 1024, ..v1::Role::default() }
}

fn channel() -> v1::Channel {
    v1::Channel { id: CHANNEL, guild_id: Some(GUILD), name: "general".into(), ..v1::Channel::default() }
}

fn private_channel(other: u64) -> v1::Channel {
    v1::Channel { id: PRIVATE, kind: 1, recipients: vec![user(other)], ..v1::Channel::default() }
}

/// One that is open, and one that was closed after its last message.
fn private_channels() -> v1::ListPrivateChannelsReply {
    let closed = v1::Channel { id: PRIVATE + 1, ..private_channel(BOT) };
    let channels = [(private_channel(BOB), None), (closed, Some(99))];
    let channels =
        channels.map(|(channel, closed_at)| v1::PrivateChannel { channel: Some(channel), closed_at });
    v1::ListPrivateChannelsReply { channels: channels.into() }
}

fn details() -> v1::GuildDetails {
    v1::GuildDetails { guild: Some(guild()), roles: vec![role()], channels: vec![channel()] }
}

fn member(id: u64) -> v1::Member {
    v1::Member { guild_id: GUILD, user: Some(user(id)), ..v1::Member::default() }
}

fn members() -> v1::MembersReply {
    v1::MembersReply { members: [ALICE, BOB, BOT].map(member).into() }
}

fn invite() -> v1::Invite {
    v1::Invite {
        code: "abc".into(),
        guild_id: GUILD,
        channel_id: CHANNEL,
        inviter_id: ALICE,
        max_age_secs: 60,
        ..v1::Invite::default()
    }
}

fn invite_details() -> v1::InviteDetails {
    v1::InviteDetails {
        invite: Some(invite()),
        guild: Some(guild()),
        channel: Some(channel()),
        inviter: Some(user(ALICE)),
    }
}

fn token_reply() -> v1::TokenReply {
    v1::TokenReply { token: "alice-token".into(), user: Some(user(ALICE)), token_id: 1 }
}

fn user_guilds() -> v1::ListUserGuildsReply {
    let guild = v1::UserGuild {
        id: GUILD,
        name: "Demo".into(),
        owner: true,
        permissions: 8,
        member_count: 3,
        ..v1::UserGuild::default()
    };
    v1::ListUserGuildsReply { guilds: vec![guild] }
}

fn created() -> v1::CreateMessageReply {
    let rate_limit = v1::RateLimit { limit: 5, remaining: 4, reset_after_ms: 5_000, bucket: "sends".into() };
    v1::CreateMessageReply {
        message_json: br#"{"id":"9","content":"as the service wrote it"}"#.to_vec().into(),
        message_id: 9,
        rate_limit: Some(rate_limit),
        repeated: false,
    }
}

fn message() -> v1::MessageReply {
    v1::MessageReply { message_json: br#"{"id":"9"}"#.to_vec().into() }
}

/// A service: in braces the methods that look at their request, then those that always answer the same.
macro_rules! service {
    (
        $service:ident { $($own:ident($own_request:ident) -> $own_reply:ident = $function:path;)* }
        $($name:ident($request:ident) -> $reply:ident = $answer:expr;)*
    ) => {
        #[tonic::async_trait]
        impl $service for Fakes {
            $(async fn $own(
                &self,
                request: Request<v1::$own_request>,
            ) -> Result<Response<v1::$own_reply>, Status> {
                $function(self, request)
            })*
            $(async fn $name(&self, request: Request<v1::$request>) -> Result<Response<v1::$reply>, Status> {
                self.answer(request, $answer)
            })*
        }
    };
}

service! {
    Accounts {
        authenticate(AuthenticateRequest) -> Identity = Fakes::identify;
        get_users(GetUsersRequest) -> GetUsersReply = Fakes::known_users;
    }
        register(RegisterRequest) -> TokenReply = token_reply();
        login(LoginRequest) -> TokenReply = token_reply();
        revoke_token(RevokeTokenRequest) -> Empty = v1::Empty {};
        list_tokens(ListTokensRequest) -> ListTokensReply = v1::ListTokensReply::default();
        issue_token(IssueTokenRequest) -> TokenReply = token_reply();
        find_user(FindUserRequest) -> User = user(ALICE);
        edit_user(EditUserRequest) -> User = user(ALICE);
        create_application(CreateApplicationRequest) -> CreateApplicationReply = v1::CreateApplicationReply {
            application: Some(application()), bot_token: "bot-token".into()
        };
        get_application(GetApplicationRequest) -> Application = application();
        list_applications(ListApplicationsRequest) -> ListApplicationsReply = v1::ListApplicationsReply {
            applications: vec![application()]
        };
        reset_bot_token(ResetBotTokenRequest) -> TokenReply = token_reply();
}

service! {
    Guilds {
        open_private_channel(OpenPrivateChannelRequest) -> Channel = Fakes::open_private;
        get_channel(GetChannelRequest) -> Channel = Fakes::channel;
    }
        create_guild(CreateGuildRequest) -> GuildDetails = details();
        get_guild(GetGuildRequest) -> GuildDetails = details();
        open_guild(OpenGuildRequest) -> GuildSnapshot = v1::GuildSnapshot::default();
        edit_guild(EditGuildRequest) -> GuildDetails = details();
        delete_guild(DeleteGuildRequest) -> Empty = v1::Empty {};
        list_user_guilds(ListUserGuildsRequest) -> ListUserGuildsReply = user_guilds();
        create_channel(CreateChannelRequest) -> Channel = channel();
        edit_channel(EditChannelRequest) -> Channel = channel();
        move_channels(MoveChannelsRequest) -> Empty = v1::Empty {};
        delete_channel(DeleteChannelRequest) -> Channel = channel();
        set_overwrite(SetOverwriteRequest) -> Empty = v1::Empty {};
        delete_overwrite(DeleteOverwriteRequest) -> Empty = v1::Empty {};
        close_private_channel(ClosePrivateChannelRequest) -> Channel = private_channel(BOB);
        list_private_channels(ListPrivateChannelsRequest) -> ListPrivateChannelsReply = private_channels();
        create_role(CreateRoleRequest) -> Role = role();
        edit_role(EditRoleRequest) -> Role = role();
        move_roles(MoveRolesRequest) -> RolesReply = v1::RolesReply { roles: vec![role()] };
        delete_role(DeleteRoleRequest) -> Empty = v1::Empty {};
        get_members(GetMembersRequest) -> MembersReply = members();
        list_members(ListMembersRequest) -> MembersReply = members();
        search_members(SearchMembersRequest) -> MembersReply = members();
        add_member(AddMemberRequest) -> Member = member(BOT);
        edit_member(EditMemberRequest) -> Member = member(BOB);
        remove_member(RemoveMemberRequest) -> Empty = v1::Empty {};
        refresh_member(RefreshMemberRequest) -> Empty = v1::Empty {};
        seed_guild(SeedGuildRequest) -> SeedGuildReply = v1::SeedGuildReply::default();
        create_invite(CreateInviteRequest) -> Invite = invite();
        get_invite(GetInviteRequest) -> InviteDetails = invite_details();
        list_invites(ListInvitesRequest) -> ListInvitesReply = v1::ListInvitesReply {
            invites: vec![invite_details()]
        };
        use_invite(UseInviteRequest) -> InviteDetails = invite_details();
        delete_invite(DeleteInviteRequest) -> InviteDetails = invite_details();
}

service! {
    Messages {
        last_message_ids(LastMessageIdsRequest) -> LastMessageIdsReply = Fakes::newest;
    }
        create_message(CreateMessageRequest) -> CreateMessageReply = created();
        get_message(GetMessageRequest) -> MessageReply = message();
        list_messages(ListMessagesRequest) -> ListMessagesReply = v1::ListMessagesReply {
            messages_json: b"[]".to_vec().into()
        };
        edit_message(EditMessageRequest) -> MessageReply = message();
        delete_messages(DeleteMessagesRequest) -> Empty = v1::Empty {};
        add_reaction(ReactionRequest) -> Empty = v1::Empty {};
        remove_reactions(RemoveReactionsRequest) -> Empty = v1::Empty {};
        list_reactions(ListReactionsRequest) -> ListReactionsReply = v1::ListReactionsReply {
            users: vec![user(ALICE)]
        };
        start_typing(StartTypingRequest) -> Empty = v1::Empty {};
}

/// A failure that names a channel nobody may know of.
pub fn unknown_channel() -> Failure {
    Failure::new(FailureKind::NotFound, code::UNKNOWN_CHANNEL, "Unknown Channel")
}
