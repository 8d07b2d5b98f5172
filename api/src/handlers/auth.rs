//! Accounts of people: making one, signing in and out.

use model::limits::{
    GLOBAL_NAME_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, USERNAME_CHARS_MAX, USERNAME_CHARS_MIN,
};
use proto::Malformed;
use proto::v1;
use serde_json::json;

use crate::call::Call;
use crate::error::ApiResult;
use crate::reply::Reply;

pub(crate) async fn register(call: Call) -> ApiResult<Reply> {
    let request = call.form(|fields| v1::RegisterRequest {
        username: fields.required_text("username", USERNAME_CHARS_MIN..=USERNAME_CHARS_MAX),
        password: fields.required_text("password", PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX),
        global_name: fields.text("global_name", 0..=GLOBAL_NAME_CHARS_MAX).filter(|name| !name.is_empty()),
    })?;
    let reply = call.accounts().register(request).await?.into_inner();
    Ok(token_reply(reply)?.created())
}

pub(crate) async fn login(call: Call) -> ApiResult<Reply> {
    let request = call.form(|fields| {
        // Discord's own clients call the name "login".
        let name = if fields.item("login").is_some() { "login" } else { "username" };
        v1::LoginRequest {
            username: fields.required_text(name, 1..=USERNAME_CHARS_MAX),
            password: fields.required_text("password", 1..=PASSWORD_CHARS_MAX),
        }
    })?;
    let reply = call.accounts().login(request).await?.into_inner();
    token_reply(reply)
}

pub(crate) async fn logout(call: Call) -> ApiResult<Reply> {
    let token_id = call.caller()?.token_id;
    let which = Some(v1::revoke_token_request::Which::TokenId(token_id));
    call.accounts().revoke_token(v1::RevokeTokenRequest { which }).await?;
    Ok(Reply::empty())
}

fn token_reply(reply: v1::TokenReply) -> ApiResult<Reply> {
    let user = reply.user.ok_or(Malformed::new("reply.user", "it is missing"))?;
    let user = model::User::try_from(user)?;
    Reply::json(&json!({"token": reply.token, "user_id": user.id, "user": user}))
}
