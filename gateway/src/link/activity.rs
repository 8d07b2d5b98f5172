//! What a client says that its user does, reduced to what other clients can read.
//!
//! Libraries read activities strictly: one field of the wrong type makes some of them drop the whole GUILD_CREATE that
//! shows it. So only known fields of their proper type pass, and the rest is left out.

use model::{Timestamp, limits};
use serde_json::{Map, Value, json};

use super::fields::{field, object, text};

enum Kind {
    /// Not empty.
    Text,
    /// Of a host with a name, which every URL parser takes.
    Url,
    Count,
    Flag,
    /// A snowflake, or none.
    Id,
    /// `[current, largest]`.
    Pair,
    Object(&'static [(&'static str, Kind)]),
}

const FIELDS: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("url", Kind::Url),
    ("state", Kind::Text),
    ("details", Kind::Text),
    ("application_id", Kind::Id),
    ("emoji", Kind::Object(EMOJI)),
    ("timestamps", Kind::Object(&[("start", Kind::Count), ("end", Kind::Count)])),
    ("party", Kind::Object(&[("id", Kind::Text), ("size", Kind::Pair)])),
    ("assets", Kind::Object(ASSETS)),
    ("instance", Kind::Flag),
    ("flags", Kind::Count),
];
const EMOJI: &[(&str, Kind)] = &[("name", Kind::Text), ("id", Kind::Id), ("animated", Kind::Flag)];
const ASSETS: &[(&str, Kind)] = &[
    ("large_image", Kind::Text),
    ("large_text", Kind::Text),
    ("small_image", Kind::Text),
    ("small_text", Kind::Text),
];

/// The activities of op 3 or of op 2's `presence`; some libraries have one as `game` in op 2.
pub(super) fn activities(d: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let listed = field(d, "activities").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let listed =
        if listed.is_empty() { field(d, "game").map_or(&[][..], std::slice::from_ref) } else { listed };
    listed.iter().filter_map(object).filter_map(activity).collect()
}

/// Their JSON as others see it; empty when there are none, or too much.
pub(crate) fn to_json(activities: &[Map<String, Value>], now: Timestamp) -> String {
    let dated = |activity: &Map<String, Value>| {
        let mut activity = activity.clone();
        activity.insert("created_at".into(), json!(now.ms()));
        Value::Object(activity)
    };
    let list: Vec<Value> = activities.iter().map(dated).collect();
    let json = if list.is_empty() { String::new() } else { Value::Array(list).to_string() };
    if json.len() <= limits::ACTIVITIES_BYTES_MAX { json } else { String::new() }
}

/// `None` without a name.
fn activity(d: &Map<String, Value>) -> Option<Map<String, Value>> {
    text(d, "name").filter(|name| !name.is_empty())?;
    let mut clean = known(d, FIELDS);
    if clean.get("emoji").is_some_and(|emoji| emoji.get("name").is_none()) {
        clean.remove("emoji");
    }
    let kind = field(d, "type").and_then(Value::as_u64).filter(|kind| *kind <= 5).unwrap_or(0);
    clean.insert("type".into(), json!(kind));
    Some(clean)
}

fn known(d: &Map<String, Value>, fields: &[(&str, Kind)]) -> Map<String, Value> {
    let pair = |(name, kind): &(&str, Kind)| Some(((*name).to_owned(), proper(field(d, name)?, kind)?));
    fields.iter().filter_map(pair).collect()
}

fn proper(value: &Value, kind: &Kind) -> Option<Value> {
    match kind {
        Kind::Text => value.as_str().filter(|text| !text.is_empty()).map(Value::from),
        Kind::Url => value.as_str().filter(|text| is_url(text)).map(Value::from),
        // Some libraries send times as floats.
        Kind::Count => {
            let count = value.as_u64().or_else(|| value.as_f64().map(|float| float as u64))?;
            (1..=i64::MAX as u64).contains(&count).then(|| count.into())
        }
        Kind::Flag => value.as_bool().map(Value::from),
        Kind::Id => super::fields::id::<u64>(value).map(|id| id.to_string().into()),
        Kind::Pair => {
            let [current, largest] = value.as_array()?.as_slice() else { return None };
            let small = |value: &Value| value.as_u64().and_then(|number| i32::try_from(number).ok());
            Some(json!([small(current)?, small(largest)?]))
        }
        Kind::Object(fields) => {
            Some(known(value.as_object()?, fields)).filter(|clean| !clean.is_empty()).map(Value::Object)
        }
    }
}

fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with("xn--")
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let top = host.rsplit('.').next().unwrap_or_default();
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && host.split('.').all(is_label)
        && top.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(presence: Value) -> String {
        let json = to_json(&activities(presence.as_object().unwrap()), Timestamp::from_ms(7));
        if json.is_empty() { json } else { json[1..json.len() - 1].to_owned() }
    }

    #[test]
    fn only_what_every_library_reads_is_shown() {
        let from_discordgo = json!({"activities": [{"name": "chess", "type": 0, "url": "",
            "created_at": "0001-01-01T00:00:00Z", "application_id": "", "emoji": {"id": "", "name": ""},
            "timestamps": {}, "party": {}, "assets": {}, "platform": null}]});
        assert_eq!(shown(from_discordgo), r#"{"created_at":7,"name":"chess","type":0}"#);
        let hostile = json!({"activities": [{"name": "x", "type": "1", "url": "https://1.2.3.999/", "state": 5,
            "emoji": {"id": 3}, "timestamps": {"start": "soon", "end": 8.0}, "party": {"size": [1, -2]},
            "created_at": -1, "secrets": {"join": "s"}}, {"name": 5}, 7, {"type": 1}]});
        let expected = r#"{"created_at":7,"name":"x","timestamps":{"end":8},"type":0}"#;
        assert_eq!(shown(hostile), expected);
        let streaming = json!({"activities": [{"name": "x", "type": 1, "url": "https://twitch.tv/x"}]});
        assert!(shown(streaming).contains(r#""url":"https://twitch.tv/x""#));
    }

    #[test]
    fn one_may_come_as_game() {
        let from_discord_py = json!({"status": "idle", "game": {"name": "chess", "type": 0}, "since": 0});
        assert_eq!(shown(from_discord_py), r#"{"created_at":7,"name":"chess","type":0}"#);
        assert_eq!(shown(json!({"game": null, "activities": null})), "");
        let long = json!({"activities": [{"name": "x".repeat(limits::ACTIVITIES_BYTES_MAX)}]});
        assert_eq!(shown(long), "");
    }
}
