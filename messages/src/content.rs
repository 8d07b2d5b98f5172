//! The rules for what a message may contain.

use model::limits::{EMBED_CHARS_MAX, EMBEDS_MAX, MESSAGE_CONTENT_CHARS_MAX, NONCE_CHARS_MAX};
use model::message::Nonce;
use proto::failure::code;
use proto::{Failure, FailureKind};
use serde_json::Value;

use crate::filter::Filter;
use crate::limits::{COMPONENTS_MAX, RICH_BYTES_MAX};

const SUPPRESS_EMBEDS: u32 = 1 << 2;
const SUPPRESS_NOTIFICATIONS: u32 = 1 << 12;
/// The message is made of components alone.
const IS_COMPONENTS_V2: u32 = 1 << 15;
/// The type of a component that is a text.
const TEXT_DISPLAY: u64 = 10;

/// The flags of a new message, of those that its sender asks for.
pub(crate) fn new_flags(asked: u32) -> u32 {
    asked & (SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | IS_COMPONENTS_V2)
}

/// The flags of an edited message. One that has become components stays so.
pub(crate) fn edited_flags(before: u32, asked: u32) -> u32 {
    before & !SUPPRESS_EMBEDS | asked & (SUPPRESS_EMBEDS | IS_COMPONENTS_V2)
}

/// Refuses what a message of components alone cannot have.
pub(crate) fn check_flags(flags: u32, text: &str, embeds: &str) -> Result<(), Failure> {
    if !is_of_components(flags) {
        return Ok(());
    }
    for (field, is_used) in [("content", !text.is_empty()), ("embeds", !is_empty(embeds))] {
        if is_used {
            let message =
                format!("The '{field}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2");
            let code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2";
            return Err(Failure::invalid_field(field, code, message));
        }
    }
    Ok(())
}

/// Whether the message is made of components alone: mentions are looked for in their texts then.
pub(crate) fn is_of_components(flags: u32) -> bool {
    flags & IS_COMPONENTS_V2 != 0
}

/// The texts among components.
pub(crate) fn texts(components: &str) -> String {
    let mut texts = Vec::new();
    collect_texts(&serde_json::from_str(components).unwrap_or_default(), &mut texts);
    texts.join("\n")
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_texts(value, texts)),
        Value::Object(fields) => {
            if value["type"] == TEXT_DISPLAY
                && let Some(text) = value["content"].as_str()
            {
                texts.push(text.to_owned());
            }
            fields.values().for_each(|value| collect_texts(value, texts));
        }
        _ => {}
    }
}

/// Checks text, embeds and components of a message as it would be stored. `None` of the parts has changed if it is not
/// given; the whole must not be empty.
pub(crate) fn check(filter: &Filter, text: &str, embeds: &str, components: &str) -> Result<(), Failure> {
    if text.chars().count() > MESSAGE_CONTENT_CHARS_MAX {
        let message = format!("Must be {MESSAGE_CONTENT_CHARS_MAX} or fewer in length.");
        return Err(Failure::invalid_field("content", "BASE_TYPE_MAX_LENGTH", message));
    }
    let embeds = array("embeds", embeds, EMBEDS_MAX)?;
    let components = array("components", components, COMPONENTS_MAX)?;
    if text.trim().is_empty() && embeds.is_empty() && components.is_empty() {
        return Err(Failure::new(FailureKind::Invalid, code::EMPTY_MESSAGE, "Cannot send an empty message"));
    }
    if embeds.iter().map(embed_chars).sum::<usize>() > EMBED_CHARS_MAX {
        let message = format!("Embed size exceeds maximum size of {EMBED_CHARS_MAX}");
        return Err(Failure::invalid_field("embeds", "MAX_EMBED_SIZE_EXCEEDED", message));
    }
    filter.check(text)?;
    embeds.iter().chain(&components).try_for_each(|value| check_texts(filter, value))
}

/// Checks the length of a nonce.
pub(crate) fn check_nonce(nonce: Option<&Nonce>) -> Result<(), Failure> {
    match nonce {
        Some(Nonce::Text(text)) if text.chars().count() > NONCE_CHARS_MAX => {
            let message = format!("Must be {NONCE_CHARS_MAX} or fewer in length.");
            Err(Failure::invalid_field("nonce", "BASE_TYPE_MAX_LENGTH", message))
        }
        _ => Ok(()),
    }
}

/// The JSON array as it is stored: nothing for an empty one.
pub(crate) fn stored(json: String) -> String {
    if is_empty(&json) { String::new() } else { json }
}

/// Whether the JSON array has no elements.
pub(crate) fn is_empty(json: &str) -> bool {
    json.is_empty() || json.trim().strip_prefix('[').is_some_and(|rest| rest.trim() == "]")
}

fn array(field: &str, json: &str, count_max: usize) -> Result<Vec<Value>, Failure> {
    if json.is_empty() {
        return Ok(Vec::new());
    }
    if json.len() > RICH_BYTES_MAX {
        let message = format!("Must be {RICH_BYTES_MAX} or fewer bytes of JSON.");
        return Err(Failure::invalid_field(field, "BASE_TYPE_MAX_LENGTH", message));
    }
    let values: Vec<Value> = serde_json::from_str(json)
        .map_err(|_| Failure::invalid_field(field, "BASE_TYPE_LIST", "Must be a list of objects."))?;
    if values.iter().any(|value| !value.is_object()) {
        return Err(Failure::invalid_field(field, "BASE_TYPE_LIST", "Must be a list of objects."));
    }
    if values.len() > count_max {
        let message = format!("Must be {count_max} or fewer in length.");
        return Err(Failure::invalid_field(field, "BASE_TYPE_MAX_LENGTH", message));
    }
    Ok(values)
}

fn embed_chars(embed: &Value) -> usize {
    let chars = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let fields = embed["fields"]
        .as_array()
        .map_or(0, |fields| fields.iter().map(|field| chars(&field["name"]) + chars(&field["value"])).sum());
    let texts = [&embed["title"], &embed["description"], &embed["footer"]["text"], &embed["author"]["name"]];
    fields + texts.into_iter().map(chars).sum::<usize>()
}

fn check_texts(filter: &Filter, value: &Value) -> Result<(), Failure> {
    match value {
        Value::String(text) => filter.check(text),
        Value::Array(values) => values.iter().try_for_each(|value| check_texts(filter, value)),
        Value::Object(fields) => fields.values().try_for_each(|value| check_texts(filter, value)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::FilterConfig;

    fn verdict(text: &str, embeds: &str, components: &str) -> Result<(), (u32, String)> {
        let config = FilterConfig { words: vec!["spam".into()], patterns: vec![] };
        let filter = Filter::new(&config).unwrap();
        check(&filter, text, embeds, components).map_err(|failure| {
            (failure.code, failure.fields.first().map(|field| field.path.clone()).unwrap_or_default())
        })
    }

    #[test]
    fn what_may_be_sent() {
        let long = "ä".repeat(2000);
        let embeds = |count| format!("[{}]", vec!["{}"; count].join(","));
        let large = format!(r#"[{{"title":"{}"}}]"#, "x".repeat(6001));
        let field = |path: &str| Err((code::INVALID_FORM, path.to_owned()));
        assert_eq!(verdict(&long, "", ""), Ok(()));
        assert_eq!(verdict(&(long + "ä"), "", ""), field("content"));
        assert_eq!(verdict(" \n", "", "[]"), Err((code::EMPTY_MESSAGE, String::new())));
        assert_eq!(verdict("", &embeds(10), ""), Ok(()));
        assert_eq!(verdict("", &embeds(11), ""), field("embeds"));
        assert_eq!(verdict("", &large, ""), field("embeds"));
        assert_eq!(verdict("", "[1]", ""), field("embeds"));
        assert_eq!(verdict("", "", "nonsense"), field("components"));
        assert_eq!(verdict("", r#"[{"fields":[{"name":"sp\u0061m"}]}]"#, "").unwrap_err().0, code::FILTERED);
    }
}
