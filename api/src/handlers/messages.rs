//! Messages. Their JSON is made by the message service and passed on as it is.

use std::collections::HashSet;

use model::limits::{MESSAGE_LIST_DEFAULT, MESSAGE_LIST_MAX};
use proto::failure::{Failure, FailureKind, code};
use proto::v1;

use crate::call::Call;
use crate::error::ApiResult;
use crate::json;
use crate::reply::Reply;

const BULK_MAX: usize = 100;
const BULK_MIN: usize = 2;

pub(crate) async fn create(call: Call) -> ApiResult<Reply> {
    let (channel_id, author_id) = (call.id("channel_id")?, call.user_id()?);
    let creation = call.form(|fields| json::read_creation(fields, channel_id))?;
    if creation.is_empty() {
        let message = "Cannot send an empty message";
        return Err(Failure::new(FailureKind::Invalid, code::EMPTY_MESSAGE, message).into());
    }
    let request = v1::CreateMessageRequest {
        channel_id,
        author_id,
        content: Some(creation.content),
        nonce: creation.nonce,
        enforce_nonce: creation.enforce_nonce,
        tts: creation.tts,
        flags: creation.flags,
        reference: creation.reference,
        fail_if_not_exists: creation.fail_if_not_exists,
    };
    let reply = call.messages().create_message(request).await?.into_inner();
    Ok(Reply { rate_limit: reply.rate_limit, ..Reply::raw(reply.message_json) })
}

pub(crate) async fn list(call: Call) -> ApiResult<Reply> {
    let request = v1::ListMessagesRequest {
        channel_id: call.id("channel_id")?,
        reader_id: call.user_id()?,
        before: call.query.bound("before")?,
        after: call.query.bound("after")?,
        around: call.query.bound("around")?,
        limit: call.query.number("limit", 1..=i64::from(MESSAGE_LIST_MAX), MESSAGE_LIST_DEFAULT)?,
    };
    if [request.before, request.after, request.around].iter().flatten().count() > 1 {
        let message = "Only one of around, before and after may be given.";
        return Err(Failure::invalid_field("before", "MUTUALLY_EXCLUSIVE", message).into());
    }
    Ok(Reply::raw(call.messages().list_messages(request).await?.into_inner().messages_json))
}

pub(crate) async fn get(call: Call) -> ApiResult<Reply> {
    let request = v1::GetMessageRequest {
        channel_id: call.id("channel_id")?,
        message_id: call.id("message_id")?,
        reader_id: call.user_id()?,
    };
    Ok(Reply::raw(call.messages().get_message(request).await?.into_inner().message_json))
}

pub(crate) async fn edit(call: Call) -> ApiResult<Reply> {
    let (channel_id, message_id) = (call.id("channel_id")?, call.id("message_id")?);
    let edit = call.form(json::read_edit)?;
    let request = v1::EditMessageRequest {
        channel_id,
        message_id,
        editor_id: call.user_id()?,
        content: edit.content,
        embeds_json: edit.embeds_json,
        components_json: edit.components_json,
        flags: edit.flags,
        allowed_mentions: edit.allowed_mentions,
    };
    Ok(Reply::raw(call.messages().edit_message(request).await?.into_inner().message_json))
}

pub(crate) async fn delete(call: Call) -> ApiResult<Reply> {
    let message_ids = vec![call.id("message_id")?];
    remove(&call, message_ids, false).await
}

pub(crate) async fn bulk_delete(call: Call) -> ApiResult<Reply> {
    let message_ids = call.form(|fields| {
        fields.required("messages");
        let items = fields.list("messages", 10 * BULK_MAX).unwrap_or_default();
        let mut known = HashSet::new();
        for item in &items {
            if item.id().is_some_and(|id| !known.insert(id)) {
                item.wrong("SET_TYPE_ALREADY_CONTAINS_VALUE", "The Set already contains this value");
            }
        }
        known.into_iter().collect::<Vec<u64>>()
    })?;
    if !(BULK_MIN..=BULK_MAX).contains(&message_ids.len()) {
        let message = "You can only bulk delete between 2 and 100 messages";
        return Err(Failure::new(FailureKind::Invalid, code::BULK_DELETE_COUNT, message).into());
    }
    remove(&call, message_ids, true).await
}

async fn remove(call: &Call, message_ids: Vec<u64>, bulk: bool) -> ApiResult<Reply> {
    let (channel_id, actor_id) = (call.id("channel_id")?, call.user_id()?);
    let request = v1::DeleteMessagesRequest { channel_id, message_ids, actor_id, bulk };
    call.messages().delete_messages(request).await?;
    Ok(Reply::empty())
}

/// Whatever body and content type come with it, they say nothing.
pub(crate) async fn typing(call: Call) -> ApiResult<Reply> {
    let request = v1::StartTypingRequest { channel_id: call.id("channel_id")?, user_id: call.user_id()? };
    call.messages().start_typing(request).await?;
    Ok(Reply::empty())
}
