//! Makes the demo data. Each step takes what is there already, so a run that was cut off is continued by the next.

use anyhow::{Context as _, bail};
use model::{
    ApplicationId, ChannelId, ChannelKind, GuildId, Intents, Overwrite, OverwriteKind, Permissions, RoleId,
    UserId,
};
use proto::convert::id;
use proto::{Failure, FailureKind, v1};

use super::{Bot, Channels, DemoFile, Passwords, Person};
use crate::server::DirectoryClients;

const ALICE: &str = "alice";
const BOB: &str = "bob";
const BOT: &str = "Demo Bot";
const GUILD: &str = "Demo";

/// Refuses a store in which somebody else has our names.
pub async fn check_names_are_free(clients: &DirectoryClients) -> anyhow::Result<()> {
    for name in [ALICE, BOB] {
        let request = v1::FindUserRequest { username: name.to_owned() };
        match clients.accounts.clone().find_user(request).await.map_err(Failure::from) {
            Err(failure) if failure.kind == FailureKind::NotFound => {}
            Err(failure) => return Err(failure).context("look for the demo's users"),
            Ok(_) => bail!(
                "make the demo data: there is a user `{name}` who is not from a demo; start without --demo, or \
                 with another --data-dir"
            ),
        }
    }
    Ok(())
}

/// Makes everything that is missing.
pub async fn make(clients: &DirectoryClients, passwords: &Passwords) -> Result<DemoFile, Failure> {
    let maker = Maker { clients };
    let alice = maker.person(ALICE, &passwords.alice).await?;
    let bob = maker.person(BOB, &passwords.bob).await?;
    let bot = maker.bot(alice.id).await?;
    let guild = maker.guild(alice.id).await?;
    let guild_id: GuildId = id("guild.id", guild)?;
    maker.add(guild, bob.id, alice.id, Permissions::NONE).await?;
    let bot_permissions = Permissions::DEFAULT
        | Permissions::MANAGE_CHANNELS
        | Permissions::MANAGE_ROLES
        | Permissions::MANAGE_MESSAGES;
    maker.add(guild, bot.id, alice.id, bot_permissions).await?;
    let channels = maker.channels(guild, alice.id, bot.id).await?;
    Ok(DemoFile {
        api: String::new(),
        gateway: String::new(),
        web: String::new(),
        guild_id,
        channels,
        users: vec![alice, bob],
        bot,
    })
}

struct Maker<'a> {
    clients: &'a DirectoryClients,
}

impl Maker<'_> {
    async fn person(&self, name: &str, password: &str) -> Result<Person, Failure> {
        let mut accounts = self.clients.accounts.clone();
        let (username, password) = (name.to_owned(), password.to_owned());
        let login = v1::LoginRequest { username: username.clone(), password: password.clone() };
        let find = v1::FindUserRequest { username: username.clone() };
        let reply = match accounts.find_user(find).await.map_err(Failure::from) {
            Ok(_) => accounts.login(login).await?,
            Err(failure) if failure.kind == FailureKind::NotFound => {
                let request = v1::RegisterRequest { username, password, global_name: None };
                accounts.register(request).await?
            }
            Err(failure) => return Err(failure),
        };
        let reply = reply.into_inner();
        let user = reply.user.ok_or_else(incomplete)?;
        Ok(Person { name: user.username, id: id("user.id", user.id)?, token: reply.token })
    }

    async fn bot(&self, owner: UserId) -> Result<Bot, Failure> {
        let mut accounts = self.clients.accounts.clone();
        let request = v1::ListApplicationsRequest { owner_id: owner.get() };
        let own = accounts.list_applications(request).await?.into_inner().applications;
        let (application, token) = match own.into_iter().find(|application| application.name == BOT) {
            Some(application) => {
                let request =
                    v1::ResetBotTokenRequest { application_id: application.id, actor_id: owner.get() };
                let token = accounts.reset_bot_token(request).await?.into_inner().token;
                (application, token)
            }
            None => {
                let request = v1::CreateApplicationRequest {
                    owner_id: owner.get(),
                    name: BOT.to_owned(),
                    description: "The bot of the demo".to_owned(),
                    privileged_intents: Intents::PRIVILEGED.bits(),
                };
                let reply = accounts.create_application(request).await?.into_inner();
                (reply.application.ok_or_else(incomplete)?, reply.bot_token)
            }
        };
        let application_id: ApplicationId = id("application.id", application.id)?;
        Ok(Bot { id: id("application.bot_id", application.bot_id)?, token, application_id })
    }

    async fn guild(&self, owner: UserId) -> Result<u64, Failure> {
        let mut guilds = self.clients.guilds.clone();
        let request = v1::ListUserGuildsRequest { user_id: owner.get(), details: true, ..Default::default() };
        let own = guilds.list_user_guilds(request).await?.into_inner().guilds;
        if let Some(guild) = own.into_iter().find(|guild| guild.owner && guild.name == GUILD) {
            return Ok(guild.id);
        }
        let request = v1::CreateGuildRequest { owner_id: owner.get(), name: GUILD.to_owned(), icon: None };
        let reply = guilds.create_guild(request).await?.into_inner();
        Ok(reply.guild.ok_or_else(incomplete)?.id)
    }

    /// A bot gets a role of its own. New roles come in below it: they start at the lowest position.
    async fn add(
        &self,
        guild_id: u64,
        user: UserId,
        owner: UserId,
        permissions: Permissions,
    ) -> Result<(), Failure> {
        let request = v1::AddMemberRequest {
            guild_id,
            user_id: user.get(),
            actor_id: owner.get(),
            bot_permissions: permissions.bits(),
        };
        self.clients.guilds.clone().add_member(request).await?;
        Ok(())
    }

    async fn channels(&self, guild_id: u64, owner: UserId, bot: UserId) -> Result<Channels, Failure> {
        let request = v1::GetGuildRequest { guild_id, reader_id: None };
        let details = self.clients.guilds.clone().get_guild(request).await?.into_inner();
        let own_role = details.roles.iter().find(|role| role.bot_id == Some(bot.get()));
        let own_role = id("role.id", own_role.ok_or_else(incomplete)?.id)?;
        let hidden = vec![
            overwrite(id("guild.id", guild_id)?, Permissions::NONE, Permissions::VIEW_CHANNEL),
            overwrite(own_role, Permissions::VIEW_CHANNEL, Permissions::NONE),
        ];
        let channel = |name, kind, overwrites| Wanted {
            guild_id,
            owner,
            existing: &details.channels,
            name,
            kind,
            overwrites,
        };
        Ok(Channels {
            general: self.channel(channel("general", ChannelKind::Text, Vec::new())).await?,
            random: self.channel(channel("random", ChannelKind::Text, Vec::new())).await?,
            staff: self.channel(channel("staff", ChannelKind::Text, hidden)).await?,
            lounge: self.channel(channel("lounge", ChannelKind::Voice, Vec::new())).await?,
        })
    }

    async fn channel(&self, wanted: Wanted<'_>) -> Result<ChannelId, Failure> {
        let mut guilds = self.clients.guilds.clone();
        let kind = u32::from(wanted.kind.number());
        let named = |channel: &&v1::Channel| channel.name == wanted.name && channel.kind == kind;
        if let Some(channel) = wanted.existing.iter().find(named) {
            return Ok(id("channel.id", channel.id)?);
        }
        let fields = v1::ChannelFields { name: Some(wanted.name.to_owned()), ..Default::default() };
        // A new guild has one voice channel, which becomes ours.
        let spare =
            wanted.existing.iter().find(|channel| channel.kind == kind && wanted.kind == ChannelKind::Voice);
        let channel = if let Some(spare) = spare {
            let request = v1::EditChannelRequest {
                channel_id: spare.id,
                actor_id: wanted.owner.get(),
                fields: Some(fields),
            };
            guilds.edit_channel(request).await?
        } else {
            let overwrites = (!wanted.overwrites.is_empty())
                .then_some(v1::OverwriteList { overwrites: wanted.overwrites });
            let request = v1::CreateChannelRequest {
                guild_id: wanted.guild_id,
                actor_id: wanted.owner.get(),
                fields: Some(v1::ChannelFields { kind: Some(kind), overwrites, ..fields }),
            };
            guilds.create_channel(request).await?
        };
        Ok(id("channel.id", channel.into_inner().id)?)
    }
}

/// A channel that there shall be.
struct Wanted<'a> {
    guild_id: u64,
    owner: UserId,
    existing: &'a [v1::Channel],
    name: &'static str,
    kind: ChannelKind,
    overwrites: Vec<v1::Overwrite>,
}

fn overwrite(role: RoleId, allow: Permissions, deny: Permissions) -> v1::Overwrite {
    v1::Overwrite::from(&Overwrite { target: OverwriteKind::Role(role), allow, deny })
}

fn incomplete() -> Failure {
    Failure::internal("the directory left out what it was asked for")
}
