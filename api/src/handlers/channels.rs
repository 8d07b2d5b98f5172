//! Channels and their permission overwrites.

use std::collections::HashMap;

use model::limits::{
    BITRATE_MAX, BITRATE_MIN, CHANNEL_NAME_CHARS_MAX, CHANNEL_TOPIC_CHARS_MAX, OVERWRITES_MAX, POSITION_MAX,
    RTC_REGION_CHARS_MAX, SLOWMODE_SECS_MAX, VOICE_USERS_MAX,
};
use model::{Channel, Id, Permissions};
use proto::v1;

use crate::call::Call;
use crate::error::ApiResult;
use crate::handlers::{directs, guilds};
use crate::json::{Fields, Item};
use crate::reply::Reply;

pub(crate) async fn list(call: Call) -> ApiResult<Reply> {
    let mut channels = guilds::details(&call).await?.channels;
    add_last_messages(&call, &mut channels).await?;
    Reply::json(&channels)
}

pub(crate) async fn create(call: Call) -> ApiResult<Reply> {
    let (guild_id, actor_id) = (call.id("guild_id")?, call.user_id()?);
    let fields = call.form(|fields| {
        fields.required("name");
        read_fields(fields)
    })?;
    let request = v1::CreateChannelRequest { guild_id, actor_id, fields: Some(fields) };
    Ok(shown(call.guilds().create_channel(request).await?.into_inner())?.created())
}

/// Moves channels within their guild.
pub(crate) async fn arrange(call: Call) -> ApiResult<Reply> {
    let (guild_id, actor_id) = (call.id("guild_id")?, call.user_id()?);
    let moves = call.forms(model::limits::GUILD_CHANNELS_MAX, |fields| v1::ChannelMove {
        channel_id: fields.required_id("id"),
        position: fields.number("position", 0..=POSITION_MAX.into()),
        parent_id: fields.clearable_id("parent_id"),
        lock_permissions: fields.boolean("lock_permissions").unwrap_or(false),
    })?;
    call.guilds().move_channels(v1::MoveChannelsRequest { guild_id, actor_id, moves }).await?;
    Ok(Reply::empty())
}

pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let request =
        v1::GetChannelRequest { channel_id: call.id("channel_id")?, reader_id: Some(call.user_id()?) };
    let channel = call.guilds().get_channel(request).await?.into_inner();
    let mut channel = [Channel::try_from(channel)?];
    add_last_messages(&call, &mut channel).await?;
    Reply::json(&channel[0])
}

pub(crate) async fn edit(call: Call) -> ApiResult<Reply> {
    let (channel_id, actor_id) = (call.id("channel_id")?, call.user_id()?);
    let fields = Some(call.form(read_fields)?);
    let request = v1::EditChannelRequest { channel_id, actor_id, fields };
    shown(call.guilds().edit_channel(request).await?.into_inner())
}

/// A private channel is only closed.
pub(crate) async fn delete(call: Call) -> ApiResult<Reply> {
    let (channel_id, actor_id) = (call.id("channel_id")?, call.user_id()?);
    let request = v1::GetChannelRequest { channel_id, reader_id: Some(actor_id) };
    let channel = call.guilds().get_channel(request).await?.into_inner();
    if channel.guild_id.is_none() {
        return directs::close(&call, &channel).await;
    }
    let request = v1::DeleteChannelRequest { channel_id, actor_id };
    shown(call.guilds().delete_channel(request).await?.into_inner())
}

pub(crate) async fn set_overwrite(call: Call) -> ApiResult<Reply> {
    let (channel_id, actor_id, id) = (call.id("channel_id")?, call.user_id()?, call.id("overwrite_id")?);
    let overwrite = Some(call.form(|fields| read_overwrite(fields, id))?);
    call.guilds().set_overwrite(v1::SetOverwriteRequest { channel_id, actor_id, overwrite }).await?;
    Ok(Reply::empty())
}

pub(crate) async fn delete_overwrite(call: Call) -> ApiResult<Reply> {
    let request = v1::DeleteOverwriteRequest {
        channel_id: call.id("channel_id")?,
        actor_id: call.user_id()?,
        overwrite_id: call.id("overwrite_id")?,
    };
    call.guilds().delete_overwrite(request).await?;
    Ok(Reply::empty())
}

/// The message service knows what the newest messages are.
pub(crate) async fn add_last_messages(call: &Call, channels: &mut [Channel]) -> ApiResult<()> {
    let with_messages = channels.iter().filter(|channel| channel.kind.has_messages());
    let channel_ids: Vec<u64> = with_messages.map(|channel| channel.id.get()).collect();
    let newest = newest_messages(call, channel_ids).await?;
    for channel in channels {
        let message_id = newest.get(&channel.id.get()).copied().and_then(Id::new);
        channel.last_message_id = message_id.or(channel.last_message_id);
    }
    Ok(())
}

/// The newest message of each channel that has any.
pub(crate) async fn newest_messages(call: &Call, channel_ids: Vec<u64>) -> ApiResult<HashMap<u64, u64>> {
    if channel_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let request = v1::LastMessageIdsRequest { channel_ids };
    Ok(call.messages().last_message_ids(request).await?.into_inner().message_ids)
}

fn shown(channel: v1::Channel) -> ApiResult<Reply> {
    Reply::json(&Channel::try_from(channel)?)
}

fn read_fields(fields: &Fields<'_>) -> v1::ChannelFields {
    v1::ChannelFields {
        name: fields.text("name", 1..=CHANNEL_NAME_CHARS_MAX),
        kind: read_kind(fields),
        position: fields.number("position", 0..=POSITION_MAX.into()),
        parent_id: fields.clearable_id("parent_id"),
        topic: fields.clearable_text("topic", CHANNEL_TOPIC_CHARS_MAX),
        nsfw: fields.boolean("nsfw"),
        rate_limit_per_user: fields.number("rate_limit_per_user", 0..=SLOWMODE_SECS_MAX.into()),
        bitrate: fields.number("bitrate", BITRATE_MIN.into()..=BITRATE_MAX.into()),
        user_limit: fields.number("user_limit", 0..=VOICE_USERS_MAX.into()),
        rtc_region: fields.clearable_text("rtc_region", RTC_REGION_CHARS_MAX),
        overwrites: fields.list("permission_overwrites", OVERWRITES_MAX).map(|items| v1::OverwriteList {
            overwrites: items
                .iter()
                .filter_map(Item::fields)
                .map(|fields| read_overwrite(&fields, fields.required_id("id")))
                .collect(),
        }),
    }
}

fn read_kind(fields: &Fields<'_>) -> Option<u32> {
    let kind = fields.number("type", 0..=255)?;
    if !matches!(kind, 0 | 2 | 4 | 5) {
        fields.wrong("type", "BASE_TYPE_CHOICES", "Value must be one of (0, 2, 4, 5).");
    }
    Some(kind)
}

/// The kind is a number, or its name as older libraries send it; without one it is a role's.
fn read_overwrite(fields: &Fields<'_>, id: u64) -> v1::Overwrite {
    let kind = match fields.item("type") {
        Some(item) if item.value == "role" => 0,
        Some(item) if item.value == "member" => 1,
        Some(item) => item.number(0..=1).unwrap_or_default(),
        None => 0,
    };
    let bits = |name| Permissions::from_bits(fields.bits(name).unwrap_or(0)).bits();
    v1::Overwrite { id, kind, allow: bits("allow"), deny: bits("deny") }
}
