//! What the calls of `starling admin` do: each is one or two calls of a service.

use model::{GuildId, Id, Intents, Timestamp, UserId};
use proto::convert::id;
use proto::failure::code;
use proto::{Failure, FailureKind, v1};
use serde::Serialize;
use serde_json::Value;

use super::calls::{
    BotReply, Call, ChannelReply, DoneReply, GuildReply, SeedMember, SeedReply, TokenReply, TokensReply,
    UserReply,
};
use crate::server::DirectoryClients;

/// Letters and digits that nobody confuses; 32 of them, so that a random byte gives one without a bias.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const PASSWORD_CHARS: usize = 16;

/// Answers calls.
pub(super) struct Handlers {
    pub(super) clients: DirectoryClients,
}

type Reply = Result<Value, Failure>;

impl Handlers {
    pub(super) async fn answer(&self, call: Call) -> Reply {
        match call {
            Call::CreateUser { name, password } => self.create_user(name, password).await,
            Call::ShowUser { user } => self.show_user(&user).await,
            Call::ListTokens { user } => self.list_tokens(&user).await,
            Call::CreateBot { name, owner, privileged } => self.create_bot(name, &owner, privileged).await,
            Call::CreateGuild { name, owner } => self.create_guild(name, &owner).await,
            Call::AddMember { guild, user, permissions } => self.add_member(guild, &user, permissions).await,
            Call::IssueToken { user } => self.issue_token(&user).await,
            Call::RevokeToken { token_id } => self.revoke_token(token_id).await,
            Call::Seed { name, prefix, members, guild } => {
                let guild_id = guild.map(Id::get);
                self.seed(v1::SeedGuildRequest { name, prefix, members, guild_id, user_ids: Vec::new() })
                    .await
            }
            Call::SeedGuild { name, users } => {
                let user_ids = users.into_iter().map(Id::get).collect();
                self.seed(v1::SeedGuildRequest { name, user_ids, ..v1::SeedGuildRequest::default() }).await
            }
        }
    }

    async fn create_user(&self, name: String, password: Option<String>) -> Reply {
        let made = password.is_none().then(new_password);
        let password = password.or_else(|| made.clone()).unwrap_or_default();
        let request = v1::RegisterRequest { username: name, password, global_name: None };
        let reply = self.clients.accounts.clone().register(request).await?.into_inner();
        let user = user_reply(reply.user.ok_or_else(incomplete)?)?;
        let (token, token_id) = (Some(reply.token), Some(reply.token_id.to_string()));
        json(&UserReply { password: made, token, token_id, ..user })
    }

    async fn show_user(&self, user: &str) -> Reply {
        json(&user_reply(self.user(user).await?)?)
    }

    async fn list_tokens(&self, user: &str) -> Reply {
        let user_id = self.user(user).await?.id;
        let request = v1::ListTokensRequest { user_id };
        let tokens = self.clients.accounts.clone().list_tokens(request).await?.into_inner().tokens;
        let tokens = tokens.into_iter().map(|token| TokenReply {
            token_id: token.token_id.to_string(),
            created_at: Timestamp::from_ms(token.created_at_ms).to_string(),
        });
        json(&TokensReply { tokens: tokens.collect() })
    }

    async fn create_bot(&self, name: String, owner: &str, privileged: bool) -> Reply {
        let request = v1::CreateApplicationRequest {
            owner_id: self.user(owner).await?.id,
            name,
            description: String::new(),
            privileged_intents: if privileged { Intents::PRIVILEGED.bits() } else { 0 },
        };
        let reply = self.clients.accounts.clone().create_application(request).await?.into_inner();
        let application = reply.application.ok_or_else(incomplete)?;
        json(&BotReply {
            name: application.name,
            id: id("bot_id", application.bot_id)?,
            application_id: id("id", application.id)?,
            token: reply.bot_token,
            privileged_intents: application.privileged_intents,
        })
    }

    async fn create_guild(&self, name: String, owner: &str) -> Reply {
        let owner_id = self.user(owner).await?.id;
        let request = v1::CreateGuildRequest { owner_id, name, icon: None };
        let reply = self.clients.guilds.clone().create_guild(request).await?.into_inner();
        let guild = reply.guild.ok_or_else(incomplete)?;
        let channels = reply
            .channels
            .into_iter()
            .map(|channel| Ok(ChannelReply { name: channel.name, id: id("channel.id", channel.id)? }));
        let channels = channels.collect::<Result<_, Failure>>()?;
        json(&GuildReply { name: guild.name, guild_id: id("guild.id", guild.id)?, channels })
    }

    /// The guild's owner lets them in.
    async fn add_member(&self, guild: GuildId, user: &str, permissions: u64) -> Reply {
        let user_id = self.user(user).await?.id;
        let request = v1::GetGuildRequest { guild_id: guild.get(), reader_id: None };
        let details = self.clients.guilds.clone().get_guild(request).await?.into_inner();
        let request = v1::AddMemberRequest {
            guild_id: guild.get(),
            user_id,
            actor_id: details.guild.ok_or_else(incomplete)?.owner_id,
            bot_permissions: permissions,
        };
        self.clients.guilds.clone().add_member(request).await?;
        json(&DoneReply { done: true })
    }

    async fn issue_token(&self, user: &str) -> Reply {
        let user = self.user(user).await?;
        let request = v1::IssueTokenRequest { user_id: user.id };
        let reply = self.clients.accounts.clone().issue_token(request).await?.into_inner();
        let (token, token_id) = (Some(reply.token), Some(reply.token_id.to_string()));
        json(&UserReply { token, token_id, ..user_reply(user)? })
    }

    async fn revoke_token(&self, token_id: u64) -> Reply {
        let which = Some(v1::revoke_token_request::Which::TokenId(token_id));
        self.clients.accounts.clone().revoke_token(v1::RevokeTokenRequest { which }).await?;
        json(&DoneReply { done: true })
    }

    async fn seed(&self, request: v1::SeedGuildRequest) -> Reply {
        let reply = self.clients.guilds.clone().seed_guild(request).await?.into_inner();
        let members = reply
            .members
            .into_iter()
            .map(|member| Ok(SeedMember { id: id("member.id", member.id)?, token: member.token }))
            .collect::<Result<_, Failure>>()?;
        let (guild_id, channel_id) = (id("guild_id", reply.guild_id)?, id("channel_id", reply.channel_id)?);
        json(&SeedReply { guild_id, channel_id, members })
    }

    /// By name, or by id when nobody has that name.
    async fn user(&self, text: &str) -> Result<v1::User, Failure> {
        let mut accounts = self.clients.accounts.clone();
        let request = v1::FindUserRequest { username: text.to_owned() };
        match accounts.find_user(request).await.map_err(Failure::from) {
            Err(failure) if failure.kind == FailureKind::NotFound => {}
            found => return found.map(|reply| reply.into_inner()),
        }
        let unknown = || {
            let message = format!("there is no user `{text}`; give a name or an id");
            Failure::new(FailureKind::NotFound, code::UNKNOWN_USER, message)
        };
        let user_id: UserId = text.parse().map_err(|_| unknown())?;
        let request = v1::GetUsersRequest { user_ids: vec![user_id.get()] };
        accounts.get_users(request).await?.into_inner().users.pop().ok_or_else(unknown)
    }
}

/// A password that nobody guesses.
pub fn new_password() -> String {
    let bytes = model::entropy::bytes::<PASSWORD_CHARS>();
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

fn user_reply(user: v1::User) -> Result<UserReply, Failure> {
    let id = id("user.id", user.id)?;
    Ok(UserReply { name: user.username, id, bot: user.bot, password: None, token: None, token_id: None })
}

fn json(reply: &impl Serialize) -> Reply {
    serde_json::to_value(reply).map_err(|error| Failure::internal(error.to_string()))
}

fn incomplete() -> Failure {
    Failure::internal("the service left out what it was asked for")
}
