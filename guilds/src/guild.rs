//! Guilds themselves: made, changed, deleted.

use async_trait::async_trait;
use model::limits::{
    GUILD_DESCRIPTION_CHARS_MAX, GUILD_NAME_CHARS_MAX, GUILD_NAME_CHARS_MIN, ICON_CHARS_MAX,
};
use model::{Channel, ChannelId, ChannelKind, Guild, GuildId, Member, Permissions, Role, User, UserId};
use proto::convert::id;
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};
use storage::SlotSet;

use crate::changes::{Changes, Draft, Stored};
use crate::command::{Change, Command};
use crate::events::Event;
use crate::rules::Actor;
use crate::state::GuildState;
use crate::store::{GuildRows, Write};
use crate::validate::Fields;

/// The times after which an idle member is moved; clients take no other.
const AFK_TIMEOUTS_SECS: [u32; 5] = [60, 300, 900, 1800, 3600];

/// A new guild as Discord makes one: `@everyone`, a text and a voice channel, and the owner as its member.
pub(crate) fn new_guild(
    changes: &Changes,
    name: &str,
    icon: Option<String>,
    owner: User,
) -> (GuildRows, Member) {
    let guild_id: GuildId = changes.next_id_in(SlotSet::Guilds);
    let mut guild = Guild::new(guild_id, name, owner.id);
    guild.icon = icon;
    guild.revision = 1;
    guild.member_count = 1;
    let channel = |kind, name: &str| {
        let mut channel = Channel::new(changes.ledger.next_id(), guild_id, kind, name);
        channel.revision = 1;
        channel
    };
    let channels = vec![channel(ChannelKind::Text, "general"), channel(ChannelKind::Voice, "General")];
    guild.system_channel_id = Some(channels[0].id);
    let everyone = Role::new(guild_id.cast(), "@everyone", Permissions::DEFAULT);
    let mut member = Member::new(guild_id, owner, changes.now());
    member.revision = 1;
    (GuildRows { guild, roles: vec![everyone], channels }, member)
}

/// Stores a new guild with its first member.
pub(crate) async fn store_new_guild(
    changes: &Changes,
    rows: &GuildRows,
    owner: Member,
    mut draft: Draft,
) -> Result<Stored, Failure> {
    let guild_id = rows.guild.id;
    draft.events.push(Event::guild_joined(&rows.guild, owner.user.id));
    draft.writes.push(Write::PutGuild(rows.guild.clone()));
    draft.writes.extend(rows.roles.iter().map(|role| Write::PutRole(guild_id, role.clone())));
    draft.writes.extend(rows.channels.iter().cloned().map(Write::PutChannel));
    draft.writes.push(Write::PutMember(Box::new(owner), None));
    let lease = changes.lease(SlotSet::Guilds, guild_id.get())?;
    changes.store(&lease, draft).await
}

/// Refuses a name or an icon that a guild cannot have.
pub(crate) fn check_name(fields: &mut Fields, name: &str, icon: Option<&str>) {
    fields.length("name", name.trim(), GUILD_NAME_CHARS_MIN, GUILD_NAME_CHARS_MAX);
    if let Some(icon) = icon {
        fields.max_length("icon", icon, ICON_CHARS_MAX);
    }
}

#[async_trait]
impl Command for v1::EditGuildRequest {
    type Reply = GuildState;

    async fn run(self, at: &mut Change<'_>) -> Result<GuildState, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        actor.needs(Permissions::MANAGE_GUILD)?;
        self.check(at.state)?;
        self.transfer(at, &actor).await?;
        self.apply(&mut at.guild);
        at.put_guild();
        Ok(GuildState { guild: at.guild.clone(), ..at.state.clone() })
    }
}

trait EditGuild {
    fn check(&self, state: &GuildState) -> Result<(), Failure>;
    async fn transfer(&self, at: &mut Change<'_>, actor: &Actor<'_>) -> Result<(), Failure>;
    fn apply(self, guild: &mut Guild);
}

impl EditGuild for v1::EditGuildRequest {
    fn check(&self, state: &GuildState) -> Result<(), Failure> {
        let mut fields = Fields::default();
        check_name(&mut fields, self.name.as_deref().unwrap_or(&state.guild.name), self.icon.as_deref());
        if let Some(description) = &self.description {
            fields.max_length("description", description, GUILD_DESCRIPTION_CHARS_MAX);
        }
        if let Some(locale) = &self.preferred_locale {
            fields.length("preferred_locale", locale, 2, 10);
        }
        let choices: [(&str, Option<u32>, &[u32]); 4] = [
            ("afk_timeout", self.afk_timeout, &AFK_TIMEOUTS_SECS),
            ("verification_level", self.verification_level, &[0, 1, 2, 3, 4]),
            ("default_message_notifications", self.default_message_notifications, &[0, 1]),
            ("explicit_content_filter", self.explicit_content_filter, &[0, 1, 2]),
        ];
        for (path, value, choices) in choices {
            if let Some(value) = value {
                fields.choice(path, value, choices);
            }
        }
        let channels = [
            ("afk_channel_id", self.afk_channel_id, ChannelKind::Voice),
            ("system_channel_id", self.system_channel_id, ChannelKind::Text),
            ("rules_channel_id", self.rules_channel_id, ChannelKind::Text),
        ];
        for (path, channel, kind) in channels {
            let channel = channel.and_then(ChannelId::new);
            if channel.is_some_and(|id| state.channels.get(&id).is_none_or(|channel| channel.kind != kind)) {
                fields.error(path, "CHANNEL_INVALID", "Must be a channel of this guild of the right type.");
            }
        }
        fields.finish()
    }

    /// Only the owner gives the guild away, and only to a member.
    async fn transfer(&self, at: &mut Change<'_>, actor: &Actor<'_>) -> Result<(), Failure> {
        let Some(owner_id) = self.owner_id else { return Ok(()) };
        let owner: UserId = id("owner_id", owner_id)?;
        if owner == at.guild.owner_id {
            return Ok(());
        }
        actor.needs_ownership()?;
        if at.existing_member(owner).await?.user.bot {
            let message = "Ownership cannot be transferred to a bot user";
            return Err(Failure::new(FailureKind::Invalid, code::OWNER_IS_BOT, message));
        }
        at.guild.owner_id = owner;
        Ok(())
    }

    fn apply(self, guild: &mut Guild) {
        let text = |text: String| (!text.is_empty()).then_some(text);
        if let Some(name) = self.name {
            guild.name = name.trim().to_owned();
        }
        if let Some(icon) = self.icon {
            guild.icon = text(icon);
        }
        if let Some(description) = self.description {
            guild.description = text(description);
        }
        if let Some(channel) = self.afk_channel_id {
            guild.afk_channel_id = ChannelId::new(channel);
        }
        if let Some(channel) = self.system_channel_id {
            guild.system_channel_id = ChannelId::new(channel);
        }
        if let Some(channel) = self.rules_channel_id {
            guild.rules_channel_id = ChannelId::new(channel);
        }
        guild.afk_timeout = self.afk_timeout.unwrap_or(guild.afk_timeout);
        guild.system_channel_flags = self.system_channel_flags.unwrap_or(guild.system_channel_flags);
        let small =
            |value: Option<u32>, old: u8| value.and_then(|value| u8::try_from(value).ok()).unwrap_or(old);
        guild.verification_level = small(self.verification_level, guild.verification_level);
        guild.default_message_notifications =
            small(self.default_message_notifications, guild.default_message_notifications);
        guild.explicit_content_filter = small(self.explicit_content_filter, guild.explicit_content_filter);
        if let Some(locale) = self.preferred_locale {
            guild.preferred_locale = locale;
        }
    }
}

#[async_trait]
impl Command for v1::DeleteGuildRequest {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        at.actor(id("actor_id", self.actor_id)?).await?.needs_ownership()?;
        at.delete_guild();
        Ok(())
    }
}
