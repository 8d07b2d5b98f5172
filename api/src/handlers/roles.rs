//! Roles.

use model::limits::{COLOR_MAX, EMOJI_BYTES_MAX, GUILD_ROLES_MAX, POSITION_MAX, ROLE_NAME_CHARS_MAX};
use model::{Permissions, Role};
use proto::failure::{Failure, code};
use proto::v1;

use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::handlers::guilds;
use crate::json::Fields;
use crate::reply::Reply;

pub(crate) async fn list(call: Call) -> ApiResult<Reply> {
    Reply::json(&guilds::details(&call).await?.roles)
}

pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let role_id = call.id("role_id")?;
    let roles = guilds::details(&call).await?.roles;
    let role = roles.iter().find(|role| role.id.get() == role_id);
    Reply::json(role.ok_or_else(|| Failure::unknown(code::UNKNOWN_ROLE, "Role"))?)
}

pub(crate) async fn create(call: Call) -> ApiResult<Reply> {
    let (guild_id, actor_id) = (call.id("guild_id")?, call.user_id()?);
    let fields = Some(call.form(read_fields)?);
    let request = v1::CreateRoleRequest { guild_id, actor_id, fields };
    shown(call.guilds().create_role(request).await?.into_inner())
}

pub(crate) async fn edit(call: Call) -> ApiResult<Reply> {
    let (guild_id, role_id, actor_id) = (call.id("guild_id")?, call.id("role_id")?, call.user_id()?);
    let fields = Some(call.form(read_fields)?);
    let request = v1::EditRoleRequest { guild_id, role_id, actor_id, fields };
    shown(call.guilds().edit_role(request).await?.into_inner())
}

/// Moves roles; a role without a position stays where it is.
pub(crate) async fn arrange(call: Call) -> ApiResult<Reply> {
    let (guild_id, actor_id) = (call.id("guild_id")?, call.user_id()?);
    let moves = call.forms(GUILD_ROLES_MAX, |fields| {
        let role_id = fields.required_id("id");
        let position = fields.number("position", 0..=POSITION_MAX.into())?;
        Some(v1::RoleMove { role_id, position })
    })?;
    let moves = moves.into_iter().flatten().collect();
    let reply = call.guilds().move_roles(v1::MoveRolesRequest { guild_id, actor_id, moves }).await?;
    let roles = reply.into_inner().roles.into_iter().map(|role| Role::try_from(role).map_err(ApiError::from));
    Reply::json(&roles.collect::<ApiResult<Vec<_>>>()?)
}

pub(crate) async fn delete(call: Call) -> ApiResult<Reply> {
    let (guild_id, role_id, actor_id) = (call.id("guild_id")?, call.id("role_id")?, call.user_id()?);
    call.guilds().delete_role(v1::DeleteRoleRequest { guild_id, role_id, actor_id }).await?;
    Ok(Reply::empty())
}

fn shown(role: v1::Role) -> ApiResult<Reply> {
    Reply::json(&Role::try_from(role)?)
}

fn read_fields(fields: &Fields<'_>) -> v1::RoleFields {
    fields.unsupported("icon", "Role icons are not supported by this server.");
    let colors = fields.fields("colors");
    let primary = colors.and_then(|colors| colors.number("primary_color", 0..=COLOR_MAX.into()));
    v1::RoleFields {
        name: fields.text("name", 0..=ROLE_NAME_CHARS_MAX).filter(|name| !name.is_empty()),
        permissions: fields.bits("permissions").map(|bits| Permissions::from_bits(bits).bits()),
        color: fields.number("color", 0..=COLOR_MAX.into()).or(primary),
        hoist: fields.boolean("hoist"),
        mentionable: fields.boolean("mentionable"),
        unicode_emoji: fields.clearable_text("unicode_emoji", EMOJI_BYTES_MAX),
    }
}
