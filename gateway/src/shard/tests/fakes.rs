//! Services that answer from the [`World`], when a test lets them, and a [`Gates`] that says when.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::{GuildId, UserId};
use parking_lot::Mutex;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;
use proto::v1::messages_server::Messages;
use proto::v1::presence_service_server::PresenceService;
use proto::{Failure, v1};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::gated::Gated;
use super::world::World;

mod presence;

/// Where a call can be made to wait or fail. Each is told apart by a number: the user's, or the guild's where the call is
/// about no one user, or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Authenticate,
    ListGuilds,
    /// OpenGuild before the guild is looked at.
    OpenAsked,
    /// OpenGuild with its answer made.
    OpenAnswered,
    /// A user's private channels, and the last messages of channels, with the answer made.
    ListPrivate,
    LastMessages,
    /// The last sequence of a guild's subject, with its answer made.
    Last,
    /// Events of users from their stream.
    ReadUsers,
    /// Members by their ids, with the answer made.
    GetMembers,
    /// Changes of sessions' presence, before they are looked at.
    UpdateSessions,
    /// A user's voice state, before it is changed.
    SetVoice,
    /// Its events, before they are published.
    PublishVoice,
    /// Its change, with the answer made.
    VoiceSet,
    /// Presences, or voice states, of a guild with the answer made.
    ListPresences,
    ListVoices,
    /// The pod's lease of presence, before it is renewed.
    RenewLease,
    /// A session that another pod asks for, before it is looked for, and with the answer made.
    TakeAsked,
    TakeAnswered,
}

/// Holds calls, fails them, or makes them take some time.
#[derive(Default)]
pub struct Gates {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many of the next calls are to wait.
    holding: HashMap<(Call, u64), usize>,
    /// How many of the next calls are to fail.
    failing: HashMap<(Call, u64), usize>,
    waiting: Vec<(Call, u64, oneshot::Sender<()>)>,
    counts: HashMap<(Call, u64), u64>,
    /// A seed, and how long a call takes at most.
    delays: Option<(u64, u64)>,
}

impl Gates {
    /// The next calls wait until [`Self::let_go`].
    pub fn hold(&self, call: Call, id: u64, count: usize) {
        self.state.lock().holding.insert((call, id), count);
    }

    pub fn fail(&self, call: Call, id: u64, count: usize) {
        self.state.lock().failing.insert((call, id), count);
    }

    /// Every call takes up to `ms_max`, by the seed.
    pub fn delay(&self, seed: u64, ms_max: u64) {
        self.state.lock().delays = Some((seed, ms_max));
    }

    pub fn waiting(&self, call: Call, id: u64) -> usize {
        self.state.lock().waiting.iter().filter(|(of, whose, _)| (*of, *whose) == (call, id)).count()
    }

    /// Lets the oldest call that waits go on.
    pub fn let_go(&self, call: Call, id: u64) {
        let mut state = self.state.lock();
        let place = state.waiting.iter().position(|(of, whose, _)| (*of, *whose) == (call, id));
        let (_, _, sender) = state.waiting.remove(place.expect("a call waits"));
        let _ = sender.send(());
    }

    pub async fn pass(&self, call: Call, id: u64) -> Result<(), Status> {
        let (held, pause) = {
            let mut state = self.state.lock();
            let count = state.counts.entry((call, id)).or_default();
            *count += 1;
            let count = *count;
            if take_one(&mut state.failing, call, id) {
                return Err(Failure::unavailable("the test says so", 1000).into());
            }
            let held = take_one(&mut state.holding, call, id).then(|| {
                let (sender, receiver) = oneshot::channel();
                state.waiting.push((call, id, sender));
                receiver
            });
            let pause = state
                .delays
                .map(|(seed, ms_max)| mix(seed ^ mix(id ^ mix(call as u64 ^ mix(count)))) % (ms_max + 1));
            (held, pause)
        };
        if let Some(held) = held {
            let _ = held.await;
        }
        if let Some(ms) = pause.filter(|ms| *ms > 0) {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        Ok(())
    }
}

fn take_one(counts: &mut HashMap<(Call, u64), usize>, call: Call, id: u64) -> bool {
    let left = counts.entry((call, id)).or_default();
    let takes = *left > 0;
    *left -= usize::from(takes);
    takes
}

/// The finalizer of SplitMix64.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// All services in one.
#[derive(Clone)]
pub struct Fakes {
    pub world: Arc<Mutex<World>>,
    pub gates: Arc<Gates>,
    pub backplane: Arc<Gated>,
    /// Held while voice states are published, so that they are in their order.
    pub publishing: Arc<tokio::sync::Mutex<()>>,
}

impl Fakes {
    async fn authenticate(self, request: v1::AuthenticateRequest) -> Result<v1::Identity, Status> {
        let user = request.token.parse().ok().and_then(UserId::new);
        let user = user.ok_or_else(|| {
            Status::from(Failure::new(proto::FailureKind::Unauthenticated, 0, "no such token"))
        })?;
        self.gates.pass(Call::Authenticate, user.get()).await?;
        let user =
            self.world.lock().users.get(&user).cloned().expect("tests identify as users that are there");
        Ok(v1::Identity { user: Some((&user).into()), token_id: user.id.get(), application: None })
    }

    async fn open_guild(self, request: v1::OpenGuildRequest) -> Result<v1::GuildSnapshot, Status> {
        self.gates.pass(Call::OpenAsked, request.user_id).await?;
        let (guild, user) = (GuildId::new(request.guild_id).unwrap(), UserId::new(request.user_id).unwrap());
        let snapshot = self.world.lock().snapshot(guild, user, request.members_max);
        self.gates.pass(Call::OpenAnswered, request.user_id).await?;
        snapshot.ok_or_else(|| Failure::unknown(proto::failure::code::UNKNOWN_GUILD, "Guild").into())
    }

    async fn list_user_guilds(
        self,
        request: v1::ListUserGuildsRequest,
    ) -> Result<v1::ListUserGuildsReply, Status> {
        let guilds = self.world.lock().guilds_of(UserId::new(request.user_id).unwrap());
        self.gates.pass(Call::ListGuilds, request.user_id).await?;
        let guilds =
            guilds.iter().map(|guild| v1::UserGuild { id: guild.get(), ..Default::default() }).collect();
        Ok(v1::ListUserGuildsReply { guilds })
    }

    async fn get_members(self, request: v1::GetMembersRequest) -> Result<v1::MembersReply, Status> {
        let members = {
            let world = self.world.lock();
            let guild = world.now(GuildId::new(request.guild_id).unwrap());
            let ids = request.user_ids.iter().filter_map(|user| UserId::new(*user));
            ids.filter_map(|user| guild.members.get(&user)).map(Into::into).collect()
        };
        self.gates.pass(Call::GetMembers, request.guild_id).await?;
        Ok(v1::MembersReply { members })
    }
}

impl Fakes {
    async fn list_private_channels(
        self,
        request: v1::ListPrivateChannelsRequest,
    ) -> Result<v1::ListPrivateChannelsReply, Status> {
        let channels = self.world.lock().private_channels_of(UserId::new(request.user_id).unwrap());
        self.gates.pass(Call::ListPrivate, request.user_id).await?;
        Ok(v1::ListPrivateChannelsReply { channels })
    }

    async fn last_message_ids(
        self,
        request: v1::LastMessageIdsRequest,
    ) -> Result<v1::LastMessageIdsReply, Status> {
        self.gates.pass(Call::LastMessages, 0).await?;
        let message_ids = request.channel_ids.iter().map(|channel| (*channel, channel + 1)).collect();
        Ok(v1::LastMessageIdsReply { message_ids })
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;

/// A service of which some calls are answered, and the others refused.
macro_rules! fake {
    ($service:ident { $($call:ident: $request:ident => $reply:ident,)* } refused { $($other:ident: $input:ident => $output:ident,)* }) => {
        impl $service for Fakes {
            $(fn $call<'s, 'a>(&'s self, request: Request<v1::$request>) -> Answer<'a, v1::$reply>
            where
                's: 'a,
                Self: 'a,
            {
                let answer = Fakes::$call(self.clone(), request.into_inner());
                Box::pin(async move { answer.await.map(Response::new) })
            })*
            $(fn $other<'s, 'a>(&'s self, _: Request<v1::$input>) -> Answer<'a, v1::$output>
            where
                's: 'a,
                Self: 'a,
            {
                Box::pin(async { Err(Status::unimplemented(stringify!($other))) })
            })*
        }
    };
}

fake!(Accounts {
    authenticate: AuthenticateRequest => Identity,
} refused {
    register: RegisterRequest => TokenReply,
    login: LoginRequest => TokenReply,
    revoke_token: RevokeTokenRequest => Empty,
    list_tokens: ListTokensRequest => ListTokensReply,
    issue_token: IssueTokenRequest => TokenReply,
    get_users: GetUsersRequest => GetUsersReply,
    find_user: FindUserRequest => User,
    edit_user: EditUserRequest => User,
    create_application: CreateApplicationRequest => CreateApplicationReply,
    get_application: GetApplicationRequest => Application,
    list_applications: ListApplicationsRequest => ListApplicationsReply,
    reset_bot_token: ResetBotTokenRequest => TokenReply,
});

fake!(Guilds {
    open_guild: OpenGuildRequest => GuildSnapshot,
    list_user_guilds: ListUserGuildsRequest => ListUserGuildsReply,
    get_members: GetMembersRequest => MembersReply,
    list_private_channels: ListPrivateChannelsRequest => ListPrivateChannelsReply,
} refused {
    create_guild: CreateGuildRequest => GuildDetails,
    get_guild: GetGuildRequest => GuildDetails,
    edit_guild: EditGuildRequest => GuildDetails,
    delete_guild: DeleteGuildRequest => Empty,
    get_channel: GetChannelRequest => Channel,
    create_channel: CreateChannelRequest => Channel,
    edit_channel: EditChannelRequest => Channel,
    move_channels: MoveChannelsRequest => Empty,
    delete_channel: DeleteChannelRequest => Channel,
    open_private_channel: OpenPrivateChannelRequest => Channel,
    close_private_channel: ClosePrivateChannelRequest => Channel,
    set_overwrite: SetOverwriteRequest => Empty,
    delete_overwrite: DeleteOverwriteRequest => Empty,
    create_role: CreateRoleRequest => Role,
    edit_role: EditRoleRequest => Role,
    move_roles: MoveRolesRequest => RolesReply,
    delete_role: DeleteRoleRequest => Empty,
    list_members: ListMembersRequest => MembersReply,
    search_members: SearchMembersRequest => MembersReply,
    add_member: AddMemberRequest => Member,
    edit_member: EditMemberRequest => Member,
    remove_member: RemoveMemberRequest => Empty,
    refresh_member: RefreshMemberRequest => Empty,
    seed_guild: SeedGuildRequest => SeedGuildReply,
    create_invite: CreateInviteRequest => Invite,
    get_invite: GetInviteRequest => InviteDetails,
    list_invites: ListInvitesRequest => ListInvitesReply,
    use_invite: UseInviteRequest => InviteDetails,
    delete_invite: DeleteInviteRequest => InviteDetails,
});

fake!(PresenceService {
    renew_lease: RenewLeaseRequest => RenewLeaseReply,
    update_sessions: UpdateSessionsRequest => UpdateSessionsReply,
    get_presences: GetPresencesRequest => GetPresencesReply,
    compare_presences: ComparePresencesRequest => ComparePresencesReply,
    list_voice_states: ListVoiceStatesRequest => ListVoiceStatesReply,
    update_voice_state: UpdateVoiceStateRequest => UpdateVoiceStateReply,
} refused {});

fake!(Messages {
    last_message_ids: LastMessageIdsRequest => LastMessageIdsReply,
} refused {
    create_message: CreateMessageRequest => CreateMessageReply,
    get_message: GetMessageRequest => MessageReply,
    list_messages: ListMessagesRequest => ListMessagesReply,
    edit_message: EditMessageRequest => MessageReply,
    delete_messages: DeleteMessagesRequest => Empty,
    add_reaction: ReactionRequest => Empty,
    remove_reactions: RemoveReactionsRequest => Empty,
    list_reactions: ListReactionsRequest => ListReactionsReply,
    start_typing: StartTypingRequest => Empty,
});
