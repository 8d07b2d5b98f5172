//! Reactions.

use http::StatusCode;
use model::User;
use model::emoji::Emoji;
use proto::failure::{Failure, FailureKind, code};
use proto::v1;

use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::reply::Reply;

const LIST_DEFAULT: u32 = 25;
const LIST_MAX: i64 = 100;

pub(crate) async fn add(call: Call) -> ApiResult<Reply> {
    if call.param("user_id") != "@me" {
        return Err(ApiError::plain(StatusCode::METHOD_NOT_ALLOWED));
    }
    let request = v1::ReactionRequest {
        channel_id: call.id("channel_id")?,
        message_id: call.id("message_id")?,
        user_id: call.user_id()?,
        emoji: Some(emoji(&call)?),
    };
    call.messages().add_reaction(request).await?;
    Ok(Reply::empty())
}

pub(crate) async fn list(call: Call) -> ApiResult<Reply> {
    let request = v1::ListReactionsRequest {
        channel_id: call.id("channel_id")?,
        message_id: call.id("message_id")?,
        reader_id: call.user_id()?,
        emoji: Some(emoji(&call)?),
        after: call.query.bound("after")?,
        limit: call.query.number("limit", 1..=LIST_MAX, LIST_DEFAULT)?,
    };
    let is_of_bursts = call.query.number("type", 0..=1, 0)? == 1;
    let mut users = call.messages().list_reactions(request).await?.into_inner().users;
    if is_of_bursts {
        // There are none.
        users.clear();
    }
    let users = users.into_iter().map(|user| User::try_from(user).map_err(ApiError::from));
    Reply::json(&users.collect::<ApiResult<Vec<_>>>()?)
}

/// One user's reaction with one emoji.
pub(crate) async fn remove(call: Call) -> ApiResult<Reply> {
    let (emoji, user_id) = (emoji(&call)?, call.user_param("user_id")?);
    remove_those(&call, Some(emoji), Some(user_id)).await
}

pub(crate) async fn remove_emoji(call: Call) -> ApiResult<Reply> {
    let emoji = emoji(&call)?;
    remove_those(&call, Some(emoji), None).await
}

pub(crate) async fn remove_all(call: Call) -> ApiResult<Reply> {
    remove_those(&call, None, None).await
}

async fn remove_those(call: &Call, emoji: Option<v1::Emoji>, user_id: Option<u64>) -> ApiResult<Reply> {
    let request = v1::RemoveReactionsRequest {
        channel_id: call.id("channel_id")?,
        message_id: call.id("message_id")?,
        actor_id: call.user_id()?,
        emoji,
        user_id,
    };
    call.messages().remove_reactions(request).await?;
    Ok(Reply::empty())
}

fn emoji(call: &Call) -> ApiResult<v1::Emoji> {
    let unknown = |_| Failure::new(FailureKind::Invalid, code::UNKNOWN_EMOJI, "Unknown Emoji");
    let emoji: Emoji = call.param("emoji").parse().map_err(unknown)?;
    Ok(v1::Emoji { id: emoji.id, name: emoji.name })
}
