//! Members of a guild. Only members see them.

use model::limits::{GUILD_ROLES_MAX, MEMBERS_LIST_MAX, NICK_CHARS_MAX};
use model::{Intents, Member};
use proto::failure::{Failure, code};
use proto::v1;
use serde_json::json;

use crate::call::{Call, is_user};
use crate::error::{ApiError, ApiResult};
use crate::json::Fields;
use crate::reply::Reply;

const LIST_MAX: i64 = MEMBERS_LIST_MAX as i64;
const QUERY_CHARS_MAX: usize = 100;

pub(crate) async fn me(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    one(&call, user_id).await
}

pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_param("user_id")?;
    one(&call, user_id).await
}

async fn one(call: &Call, user_id: u64) -> ApiResult<Reply> {
    let members = call.fellow_members(call.id("guild_id")?, &[user_id]).await?;
    let member = members.into_iter().find(|member| is_user(member, user_id));
    shown(member.ok_or_else(|| Failure::unknown(code::UNKNOWN_MEMBER, "Member"))?)
}

pub(crate) async fn list(call: Call) -> ApiResult<Reply> {
    let guild_id = call.id("guild_id")?;
    let granted = call.caller()?.application.as_ref().map(|application| application.privileged_intents);
    if granted.is_some_and(|intents| intents & Intents::GUILD_MEMBERS.bits() == 0) {
        return Err(Failure::missing_access().into());
    }
    let request = v1::ListMembersRequest {
        guild_id,
        after: call.query.bound("after")?,
        limit: call.query.number("limit", 1..=LIST_MAX, 1)?,
    };
    call.fellow_members(guild_id, &[]).await?;
    all_shown(call.guilds().list_members(request).await?.into_inner())
}

pub(crate) async fn search(call: Call) -> ApiResult<Reply> {
    let guild_id = call.id("guild_id")?;
    let query = call.query.get("query").unwrap_or_default().to_owned();
    if query.is_empty() || query.chars().count() > QUERY_CHARS_MAX {
        let message = format!("Must be between 1 and {QUERY_CHARS_MAX} in length.");
        return Err(Failure::invalid_field("query", "BASE_TYPE_BAD_LENGTH", message).into());
    }
    let limit = call.query.number("limit", 1..=LIST_MAX, 1)?;
    call.fellow_members(guild_id, &[]).await?;
    let request = v1::SearchMembersRequest { guild_id, query, limit };
    all_shown(call.guilds().search_members(request).await?.into_inner())
}

pub(crate) async fn edit(call: Call) -> ApiResult<Reply> {
    let request = target(&call)?;
    let request = call.form(|fields| read_edit(fields, request))?;
    shown(call.guilds().edit_member(request).await?.into_inner())
}

/// The older way to change one's own nick.
pub(crate) async fn edit_nick(call: Call) -> ApiResult<Reply> {
    let (guild_id, user_id) = (call.id("guild_id")?, call.user_id()?);
    let nick = call.form(|fields| fields.clearable_text("nick", NICK_CHARS_MAX))?;
    let request = v1::EditMemberRequest {
        guild_id,
        user_id,
        actor_id: user_id,
        nick,
        ..v1::EditMemberRequest::default()
    };
    let member = call.guilds().edit_member(request).await?.into_inner();
    Reply::json(&json!({"nick": member.nick}))
}

pub(crate) async fn add_role(call: Call) -> ApiResult<Reply> {
    let request = v1::EditMemberRequest { add_roles: vec![call.id("role_id")?], ..target(&call)? };
    call.guilds().edit_member(request).await?;
    Ok(Reply::empty())
}

pub(crate) async fn remove_role(call: Call) -> ApiResult<Reply> {
    let request = v1::EditMemberRequest { remove_roles: vec![call.id("role_id")?], ..target(&call)? };
    call.guilds().edit_member(request).await?;
    Ok(Reply::empty())
}

/// Kicks.
pub(crate) async fn remove(call: Call) -> ApiResult<Reply> {
    let v1::EditMemberRequest { guild_id, user_id, actor_id, .. } = target(&call)?;
    call.guilds().remove_member(v1::RemoveMemberRequest { guild_id, user_id, actor_id }).await?;
    Ok(Reply::empty())
}

/// A change of nothing, of the member in the path.
fn target(call: &Call) -> ApiResult<v1::EditMemberRequest> {
    Ok(v1::EditMemberRequest {
        guild_id: call.id("guild_id")?,
        user_id: call.user_param("user_id")?,
        actor_id: call.user_id()?,
        ..v1::EditMemberRequest::default()
    })
}

fn read_edit(fields: &Fields<'_>, target: v1::EditMemberRequest) -> v1::EditMemberRequest {
    fields.unsupported("channel_id", "Members can't be moved between voice channels on this server.");
    let timeout = fields.nullable("communication_disabled_until").and_then(|item| {
        if item.value.is_null() { Some(0) } else { item.timestamp().map(model::Timestamp::ms) }
    });
    v1::EditMemberRequest {
        nick: fields.clearable_text("nick", NICK_CHARS_MAX),
        roles: fields.ids("roles", GUILD_ROLES_MAX).map(|roles| v1::RoleList { roles }),
        mute: fields.boolean("mute"),
        deaf: fields.boolean("deaf"),
        communication_disabled_until_ms: timeout,
        ..target
    }
}

fn shown(member: v1::Member) -> ApiResult<Reply> {
    Reply::json(&Member::try_from(member)?)
}

fn all_shown(reply: v1::MembersReply) -> ApiResult<Reply> {
    let members = reply.members.into_iter().map(|member| Member::try_from(member).map_err(ApiError::from));
    Reply::json(&members.collect::<ApiResult<Vec<_>>>()?)
}
