//! Invites.

use model::limits::{INVITE_AGE_SECS_DEFAULT, INVITE_AGE_SECS_MAX, INVITE_USES_MAX};
use proto::v1::{self, list_invites_request::Of};

use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::reply::Reply;
use crate::shape::{Detail, InviteObject};

pub(crate) async fn of_guild(call: Call) -> ApiResult<Reply> {
    let of = Of::GuildId(call.id("guild_id")?);
    list(call, of).await
}

pub(crate) async fn of_channel(call: Call) -> ApiResult<Reply> {
    let of = Of::ChannelId(call.id("channel_id")?);
    list(call, of).await
}

async fn list(call: Call, of: Of) -> ApiResult<Reply> {
    let request = v1::ListInvitesRequest { actor_id: call.user_id()?, of: Some(of) };
    let invites = call.guilds().list_invites(request).await?.into_inner().invites;
    let objects = invites
        .into_iter()
        .map(|invite| InviteObject::new(invite, Detail::Metadata).map_err(ApiError::from))
        .collect::<ApiResult<Vec<_>>>()?;
    Reply::json(&objects)
}

pub(crate) async fn create(call: Call) -> ApiResult<Reply> {
    let (channel_id, actor_id) = (call.id("channel_id")?, call.user_id()?);
    let request = call.form(|fields| v1::CreateInviteRequest {
        channel_id,
        actor_id,
        max_age_secs: Some(
            fields.number("max_age", 0..=INVITE_AGE_SECS_MAX.into()).unwrap_or(INVITE_AGE_SECS_DEFAULT),
        ),
        max_uses: fields.number("max_uses", 0..=INVITE_USES_MAX.into()).unwrap_or(0),
        temporary: fields.boolean("temporary").unwrap_or(false),
        unique: fields.boolean("unique").unwrap_or(false),
    })?;
    let invite = call.guilds().create_invite(request).await?.into_inner();
    let details = call.guilds().get_invite(v1::GetInviteRequest { code: invite.code }).await?.into_inner();
    Reply::json(&InviteObject::new(details, Detail::Metadata)?)
}

pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let code = call.param("code").to_owned();
    let details = call.guilds().get_invite(v1::GetInviteRequest { code }).await?.into_inner();
    let with_counts = call.query.flag("with_counts");
    Reply::json(&InviteObject::new(details, Detail::Public { with_counts })?)
}

/// Joins the guild.
pub(crate) async fn accept(call: Call) -> ApiResult<Reply> {
    let user_id = call.person_id()?;
    let code = call.param("code").to_owned();
    let details = call.guilds().use_invite(v1::UseInviteRequest { code, user_id }).await?.into_inner();
    Reply::json(&InviteObject::new(details, Detail::Public { with_counts: false })?)
}

pub(crate) async fn delete(call: Call) -> ApiResult<Reply> {
    let request = v1::DeleteInviteRequest { code: call.param("code").to_owned(), actor_id: call.user_id()? };
    let details = call.guilds().delete_invite(request).await?.into_inner();
    Reply::json(&InviteObject::new(details, Detail::Public { with_counts: false })?)
}
