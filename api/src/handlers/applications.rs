//! Applications and their bots.

use model::limits::{APPLICATION_DESCRIPTION_CHARS_MAX, USERNAME_CHARS_MAX};
use model::{Permissions, User};
use proto::Malformed;
use proto::failure::{Failure, code};
use proto::v1;
use serde_json::json;

use crate::call::Call;
use crate::error::ApiResult;
use crate::reply::Reply;
use crate::shape::{ApplicationObject, bits_of_flags};

pub(crate) async fn create(call: Call) -> ApiResult<Reply> {
    let owner_id = call.person_id()?;
    let request = call.form(|fields| v1::CreateApplicationRequest {
        owner_id,
        name: fields.required_text("name", 1..=USERNAME_CHARS_MAX),
        description: fields.text("description", 0..=APPLICATION_DESCRIPTION_CHARS_MAX).unwrap_or_default(),
        privileged_intents: bits_of_flags(fields.bits("flags").unwrap_or(0)),
    })?;
    let reply = call.accounts().create_application(request).await?.into_inner();
    let application = reply.application.ok_or(Malformed::new("reply.application", "it is missing"))?;
    Ok(shown(&call, &application, Some(&reply.bot_token)).await?.created())
}

pub(crate) async fn list(call: Call) -> ApiResult<Reply> {
    let owner_id = call.person_id()?;
    let request = v1::ListApplicationsRequest { owner_id };
    let applications = call.accounts().list_applications(request).await?.into_inner().applications;
    let bots = call.users(applications.iter().map(|application| application.bot_id).collect()).await?;
    let owner = call.user()?;
    let object = |application| ApplicationObject {
        application,
        owner: Some(owner),
        bot: find(&bots, application.bot_id),
        bot_token: None,
    };
    Reply::json(&applications.iter().map(object).collect::<Vec<_>>())
}

pub(crate) async fn me(call: Call) -> ApiResult<Reply> {
    let application = call.application()?.clone();
    shown(&call, &application, None).await
}

/// An application as its owner or its bot sees it.
pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    let application_id = call.id("application_id")?;
    let application = call.accounts().get_application(v1::GetApplicationRequest { application_id }).await?;
    let application = application.into_inner();
    if application.owner_id != user_id && application.bot_id != user_id {
        return Err(Failure::unknown(code::UNKNOWN_APPLICATION, "Application").into());
    }
    shown(&call, &application, None).await
}

pub(crate) async fn reset_bot(call: Call) -> ApiResult<Reply> {
    let request =
        v1::ResetBotTokenRequest { application_id: call.id("application_id")?, actor_id: call.person_id()? };
    let reply = call.accounts().reset_bot_token(request).await?.into_inner();
    Reply::json(&json!({"token": reply.token}))
}

/// Adds an application's bot to a guild.
pub(crate) async fn authorize(call: Call) -> ApiResult<Reply> {
    let actor_id = call.person_id()?;
    let client_id = call.query.id("client_id")?;
    let (application_id, guild_id, permissions, agreed) = call.form(|fields| {
        let application_id = client_id.unwrap_or_else(|| fields.required_id("client_id"));
        let permissions = fields.bits("permissions").unwrap_or(0);
        (
            application_id,
            fields.required_id("guild_id"),
            permissions,
            fields.boolean("authorize").unwrap_or(true),
        )
    })?;
    if !agreed {
        return Reply::json(&json!({"location": redirect(&call, "?error=access_denied")}));
    }
    let application = call.accounts().get_application(v1::GetApplicationRequest { application_id }).await?;
    let application = application.into_inner();
    if !application.bot_public && application.owner_id != actor_id {
        return Err(Failure::unknown(code::UNKNOWN_APPLICATION, "Application").into());
    }
    let request = v1::AddMemberRequest {
        guild_id,
        user_id: application.bot_id,
        actor_id,
        bot_permissions: Permissions::from_bits(permissions).bits(),
    };
    call.guilds().add_member(request).await?;
    Reply::json(&json!({"location": redirect(&call, "")}))
}

fn redirect(call: &Call, query: &str) -> String {
    format!("{}/oauth2/authorized{query}", call.shared.config.public_api_url.trim_end_matches('/'))
}

async fn shown(call: &Call, application: &v1::Application, bot_token: Option<&str>) -> ApiResult<Reply> {
    let users = call.users(vec![application.owner_id, application.bot_id]).await?;
    let (owner, bot) = (find(&users, application.owner_id), find(&users, application.bot_id));
    Reply::json(&ApplicationObject { application, owner, bot, bot_token })
}

fn find(users: &[User], user_id: u64) -> Option<&User> {
    users.iter().find(|user| user.id.get() == user_id)
}
