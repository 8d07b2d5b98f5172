//! Users, and what is the caller's own.

use model::limits::{GLOBAL_NAME_CHARS_MAX, USER_GUILDS_MAX, USERNAME_CHARS_MAX};
use model::user::CurrentUser;
use proto::failure::{Failure, code};
use proto::v1;

use crate::call::Call;
use crate::error::ApiResult;
use crate::reply::Reply;
use crate::shape::UserGuildObject;

const GUILDS_LIST_MAX: u32 = USER_GUILDS_MAX as u32;

pub(crate) async fn me(call: Call) -> ApiResult<Reply> {
    Reply::json(&CurrentUser::new(call.user()?))
}

pub(crate) async fn edit_me(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    let request = call.form(|fields| {
        fields.unsupported("avatar", "Avatars can't be uploaded to this server.");
        fields.unsupported("banner", "Banners are not supported by this server.");
        v1::EditUserRequest {
            user_id,
            username: fields.text("username", 1..=USERNAME_CHARS_MAX),
            global_name: fields.clearable_text("global_name", GLOBAL_NAME_CHARS_MAX),
            avatar: fields.nullable("avatar").map(|_| String::new()),
        }
    })?;
    let user = call.accounts().edit_user(request).await?.into_inner().try_into()?;
    Reply::json(&CurrentUser::new(&user))
}

pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let user = call.find_user(call.id("user_id")?).await?;
    Reply::json(&user.ok_or_else(|| Failure::unknown(code::UNKNOWN_USER, "User"))?)
}

pub(crate) async fn guilds(call: Call) -> ApiResult<Reply> {
    let request = v1::ListUserGuildsRequest {
        user_id: call.user_id()?,
        before: call.query.bound("before")?,
        after: call.query.bound("after")?,
        limit: call.query.number("limit", 1..=i64::from(GUILDS_LIST_MAX), GUILDS_LIST_MAX)?,
        details: true,
    };
    let with_counts = call.query.flag("with_counts");
    let guilds = call.guilds().list_user_guilds(request).await?.into_inner().guilds;
    let objects: Vec<_> = guilds.into_iter().map(|guild| UserGuildObject { guild, with_counts }).collect();
    Reply::json(&objects)
}

pub(crate) async fn leave(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    let guild_id = call.id("guild_id")?;
    let request = v1::RemoveMemberRequest { guild_id, user_id, actor_id: user_id };
    call.guilds().remove_member(request).await?;
    Ok(Reply::empty())
}
