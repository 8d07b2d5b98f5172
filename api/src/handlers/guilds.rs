//! Guilds.

use model::limits::{GUILD_DESCRIPTION_CHARS_MAX, GUILD_NAME_CHARS_MAX, GUILD_NAME_CHARS_MIN};
use proto::v1;

use crate::call::Call;
use crate::error::ApiResult;
use crate::json::Fields;
use crate::reply::Reply;
use crate::shape::Details;

const LOCALE_CHARS_MAX: usize = 16;
const NO_ICONS: &str = "Guild icons can't be uploaded to this server.";

pub(crate) async fn create(call: Call) -> ApiResult<Reply> {
    let owner_id = call.user_id()?;
    let request = call.form(|fields| {
        fields.unsupported("icon", NO_ICONS);
        let name = fields.required_text("name", GUILD_NAME_CHARS_MIN..=GUILD_NAME_CHARS_MAX);
        v1::CreateGuildRequest { owner_id, name, icon: None }
    })?;
    let details = call.guilds().create_guild(request).await?.into_inner();
    Ok(Reply::json(&Details::try_from(details)?)?.created())
}

pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let details = details(&call).await?;
    Reply::json(&Details { with_counts: call.query.flag("with_counts"), ..details })
}

pub(crate) async fn edit(call: Call) -> ApiResult<Reply> {
    let (guild_id, actor_id) = (call.id("guild_id")?, call.user_id()?);
    let request = call.form(|fields| read_edit(fields, guild_id, actor_id))?;
    let details = call.guilds().edit_guild(request).await?.into_inner();
    Reply::json(&Details::try_from(details)?)
}

pub(crate) async fn delete(call: Call) -> ApiResult<Reply> {
    let request = v1::DeleteGuildRequest { guild_id: call.id("guild_id")?, actor_id: call.user_id()? };
    call.guilds().delete_guild(request).await?;
    Ok(Reply::empty())
}

/// The guild of the path, as the caller may see it.
pub(super) async fn details(call: &Call) -> ApiResult<Details> {
    let request = v1::GetGuildRequest { guild_id: call.id("guild_id")?, reader_id: Some(call.user_id()?) };
    Ok(call.guilds().get_guild(request).await?.into_inner().try_into()?)
}

fn read_edit(fields: &Fields<'_>, guild_id: u64, actor_id: u64) -> v1::EditGuildRequest {
    fields.unsupported("icon", NO_ICONS);
    v1::EditGuildRequest {
        guild_id,
        actor_id,
        name: fields.text("name", GUILD_NAME_CHARS_MIN..=GUILD_NAME_CHARS_MAX),
        icon: fields.nullable("icon").map(|_| String::new()),
        description: fields.clearable_text("description", GUILD_DESCRIPTION_CHARS_MAX),
        owner_id: fields.id("owner_id"),
        afk_channel_id: fields.clearable_id("afk_channel_id"),
        afk_timeout: afk_timeout(fields),
        verification_level: fields.number("verification_level", 0..=4),
        default_message_notifications: fields.number("default_message_notifications", 0..=1),
        explicit_content_filter: fields.number("explicit_content_filter", 0..=2),
        system_channel_id: fields.clearable_id("system_channel_id"),
        system_channel_flags: fields.number("system_channel_flags", 0..=i64::from(u32::MAX)),
        rules_channel_id: fields.clearable_id("rules_channel_id"),
        preferred_locale: fields.text("preferred_locale", 2..=LOCALE_CHARS_MAX),
    }
}

/// JDA knows no other values.
fn afk_timeout(fields: &Fields<'_>) -> Option<u32> {
    let seconds = fields.number("afk_timeout", 0..=3600)?;
    if !matches!(seconds, 60 | 300 | 900 | 1800 | 3600) {
        let message = "Value must be one of (60, 300, 900, 1800, 3600).";
        fields.wrong("afk_timeout", "BASE_TYPE_CHOICES", message);
    }
    Some(seconds)
}
