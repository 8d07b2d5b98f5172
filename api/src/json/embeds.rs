//! Embeds: checked as Discord checks them, and written anew with the fields that are known.

use model::limits;
use serde_json::{Map, Value, json};

use super::{Fields, Item};

const TITLE_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 4096;
const FIELDS_MAX: usize = 25;
const FIELD_NAME_CHARS_MAX: usize = 256;
const FIELD_VALUE_CHARS_MAX: usize = 1024;
const FOOTER_CHARS_MAX: usize = 2048;
const AUTHOR_CHARS_MAX: usize = 256;
const URL_CHARS_MAX: usize = 2048;
/// What there is to see of an embed: one of these at least.
const SHOWN: [&str; 9] =
    ["title", "description", "url", "timestamp", "image", "thumbnail", "footer", "author", "fields"];

/// The embeds as a JSON array; empty text when there are none.
pub(super) fn read(item: &Item<'_>) -> String {
    let mut chars = 0;
    let embeds: Vec<Value> = item
        .list(limits::EMBEDS_MAX)
        .iter()
        .filter_map(Item::fields)
        .map(|fields| embed(&fields, &mut chars))
        .collect();
    if chars > limits::EMBED_CHARS_MAX {
        let message = format!("Embed size exceeds maximum size of {}", limits::EMBED_CHARS_MAX);
        item.wrong("MAX_EMBED_SIZE_EXCEEDED", message);
    }
    if embeds.is_empty() { String::new() } else { Value::Array(embeds).to_string() }
}

fn embed(fields: &Fields<'_>, chars: &mut usize) -> Value {
    let mut embed = Map::new();
    embed.insert("type".into(), "rich".into());
    put_text(&mut embed, fields, "title", TITLE_CHARS_MAX, chars);
    put_text(&mut embed, fields, "description", DESCRIPTION_CHARS_MAX, chars);
    put_url(&mut embed, fields, "url");
    let timestamp = fields.item("timestamp").filter(|item| item.value != "");
    if let Some(timestamp) = timestamp.and_then(|item| item.timestamp()) {
        embed.insert("timestamp".into(), timestamp.to_string().into());
    }
    if let Some(color) = fields.number::<i64>("color", 0..=limits::COLOR_MAX.into()) {
        embed.insert("color".into(), color.into());
    }
    for name in ["image", "thumbnail"] {
        let mut media = Map::new();
        if let Some(inner) = fields.fields(name) {
            put_url(&mut media, &inner, "url");
        }
        put_object(&mut embed, name, media);
    }
    let mut footer = Map::new();
    if let Some(inner) = fields.fields("footer") {
        put_text(&mut footer, &inner, "text", FOOTER_CHARS_MAX, chars);
        put_url(&mut footer, &inner, "icon_url");
    }
    put_object(&mut embed, "footer", footer);
    let mut author = Map::new();
    if let Some(inner) = fields.fields("author") {
        put_text(&mut author, &inner, "name", AUTHOR_CHARS_MAX, chars);
        put_url(&mut author, &inner, "url");
        put_url(&mut author, &inner, "icon_url");
    }
    put_object(&mut embed, "author", author);
    let rows = fields.list("fields", FIELDS_MAX).unwrap_or_default();
    if !rows.is_empty() {
        let rows = rows.iter().filter_map(Item::fields).map(|row| embed_field(&row, chars)).collect();
        embed.insert("fields".into(), Value::Array(rows));
    }
    if !SHOWN.iter().any(|name| fields.is_used(name)) {
        fields.wrong("description", "BASE_TYPE_REQUIRED", "This field is required");
    }
    Value::Object(embed)
}

fn embed_field(fields: &Fields<'_>, chars: &mut usize) -> Value {
    let name = fields.required_text("name", 1..=FIELD_NAME_CHARS_MAX);
    let value = fields.required_text("value", 1..=FIELD_VALUE_CHARS_MAX);
    *chars += name.chars().count() + value.chars().count();
    json!({"name": name, "value": value, "inline": fields.boolean("inline").unwrap_or(false)})
}

fn put_text(embed: &mut Map<String, Value>, fields: &Fields<'_>, name: &str, max: usize, chars: &mut usize) {
    if let Some(text) = fields.text(name, 0..=max).filter(|text| !text.is_empty()) {
        *chars += text.chars().count();
        embed.insert(name.into(), text.into());
    }
}

fn put_url(embed: &mut Map<String, Value>, fields: &Fields<'_>, name: &str) {
    let Some(url) = fields.text(name, 0..=URL_CHARS_MAX).filter(|url| !url.is_empty()) else { return };
    let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), !rest.is_empty()));
    match scheme {
        Some((scheme, true)) if matches!(scheme.as_str(), "http" | "https") => {
            embed.insert(name.into(), url.into());
        }
        Some((_, true)) => {
            fields.wrong(name, "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https').");
        }
        _ => fields.wrong(name, "URL_TYPE_INVALID_URL", "Not a well formed URL."),
    }
}

fn put_object(embed: &mut Map<String, Value>, name: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        embed.insert(name.into(), Value::Object(object));
    }
}
