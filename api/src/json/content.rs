//! What a message is made of: creation and edit.

use model::limits;
use proto::v1::{self, nonce};
use serde_json::Value;

use super::{Fields, Item, embeds};

/// A message that is to be made.
#[derive(Debug, Default)]
pub(crate) struct Creation {
    pub(crate) content: v1::MessageContent,
    pub(crate) nonce: Option<v1::Nonce>,
    pub(crate) enforce_nonce: bool,
    pub(crate) tts: bool,
    pub(crate) flags: u32,
    pub(crate) reference: Option<v1::MessageReference>,
    pub(crate) fail_if_not_exists: bool,
}

impl Creation {
    pub(crate) fn is_empty(&self) -> bool {
        self.content.content.trim().is_empty()
            && self.content.embeds_json.is_empty()
            && self.content.components_json.is_empty()
    }
}

/// What of a message is to be changed.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    pub(crate) content: Option<String>,
    pub(crate) embeds_json: Option<String>,
    pub(crate) components_json: Option<String>,
    pub(crate) flags: Option<u32>,
    pub(crate) allowed_mentions: Option<v1::AllowedMentions>,
}

pub(crate) fn read_creation(fields: &Fields<'_>, channel_id: u64) -> Creation {
    refuse_unsupported(fields);
    let reference = fields.fields("message_reference");
    Creation {
        content: v1::MessageContent {
            content: fields.text("content", 0..=limits::MESSAGE_CONTENT_CHARS_MAX).unwrap_or_default(),
            embeds_json: fields.item("embeds").map(|item| embeds::read(&item)).unwrap_or_default(),
            components_json: fields.item("components").map(|item| components(&item)).unwrap_or_default(),
            allowed_mentions: fields.fields("allowed_mentions").map(|fields| allowed_mentions(&fields)),
        },
        nonce: fields.item("nonce").and_then(|item| nonce(&item)),
        enforce_nonce: fields.boolean("enforce_nonce").unwrap_or(false),
        tts: fields.boolean("tts").unwrap_or(false),
        flags: fields.number("flags", 0..=i64::from(u32::MAX)).unwrap_or(0),
        fail_if_not_exists: reference
            .as_ref()
            .and_then(|fields| fields.boolean("fail_if_not_exists"))
            .unwrap_or(true),
        reference: reference.map(|fields| message_reference(&fields, channel_id)),
    }
}

pub(crate) fn read_edit(fields: &Fields<'_>) -> Edit {
    refuse_unsupported(fields);
    let cleared = |name: &str, read: fn(&Item<'_>) -> String| {
        let item = fields.nullable(name)?;
        Some(if item.value.is_null() { String::new() } else { read(&item) })
    };
    Edit {
        content: fields.clearable_text("content", limits::MESSAGE_CONTENT_CHARS_MAX),
        embeds_json: cleared("embeds", embeds::read),
        components_json: cleared("components", components),
        flags: fields.number("flags", 0..=i64::from(u32::MAX)),
        allowed_mentions: fields.fields("allowed_mentions").map(|fields| allowed_mentions(&fields)),
    }
}

fn refuse_unsupported(fields: &Fields<'_>) {
    fields.unsupported("sticker_ids", "Stickers are not supported by this server.");
    fields.unsupported("attachments", "Attachments are not supported by this server.");
    fields.unsupported("poll", "Polls are not supported by this server.");
}

/// A text of 25 characters, or an integer.
fn nonce(item: &Item<'_>) -> Option<v1::Nonce> {
    let value = match item.value {
        Value::Number(_) => nonce::Value::Number(item.number(i64::MIN..=i64::MAX)?),
        _ => nonce::Value::Text(item.text(0..=limits::NONCE_CHARS_MAX)?),
    };
    Some(v1::Nonce { value: Some(value) })
}

/// Components are passed on as they came: clients draw them, the server has no use for them.
fn components(item: &Item<'_>) -> String {
    const ROWS_MAX: usize = 40;
    let rows = item.list(ROWS_MAX);
    if rows.is_empty() || !rows.iter().all(|row| row.fields().is_some()) {
        return String::new();
    }
    let text = item.value.to_string();
    if text.len() > limits::COMPONENTS_BYTES_MAX {
        let message = format!("Must be {} or fewer bytes as JSON.", limits::COMPONENTS_BYTES_MAX);
        item.wrong("BASE_TYPE_MAX_LENGTH", message);
    }
    text
}

fn allowed_mentions(fields: &Fields<'_>) -> v1::AllowedMentions {
    let mut allowed = v1::AllowedMentions {
        user_ids: fields.ids("users", limits::MESSAGE_MENTIONS_MAX).unwrap_or_default(),
        role_ids: fields.ids("roles", limits::MESSAGE_MENTIONS_MAX).unwrap_or_default(),
        replied_user: fields.boolean("replied_user").unwrap_or(false),
        ..v1::AllowedMentions::default()
    };
    for item in fields.list("parse", limits::MESSAGE_MENTIONS_MAX).unwrap_or_default() {
        match item.value.as_str() {
            Some("everyone") => allowed.everyone = true,
            Some("users") => allowed.users = true,
            Some("roles") => allowed.roles = true,
            _ => item.wrong("BASE_TYPE_CHOICES", "Value must be one of ('users', 'roles', 'everyone')."),
        }
    }
    for (name, all, some) in
        [("users", allowed.users, &allowed.user_ids), ("roles", allowed.roles, &allowed.role_ids)]
    {
        if all && !some.is_empty() {
            let message = format!("parse:[\"{name}\"] and {name}: [ids...] are mutually exclusive.");
            fields.wrong(name, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message);
        }
    }
    allowed
}

fn message_reference(fields: &Fields<'_>, channel_id: u64) -> v1::MessageReference {
    if fields.number::<u8>("type", 0..=255).is_some_and(|kind| kind != 0) {
        fields.wrong("type", "NOT_SUPPORTED", "Forwarded messages are not supported by this server.");
    }
    v1::MessageReference {
        message_id: fields.required_id("message_id"),
        channel_id: fields.id("channel_id").unwrap_or(channel_id),
        guild_id: fields.id("guild_id"),
    }
}
