//! What clients send: payloads parsed into commands, or the close code that a bad one deserves.

use model::presence::{Platform, Status};
use model::{ChannelId, GuildId, Intents, UserId, limits};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::activity::activities;
use super::fields::{field, flag, id, ids, object, text};
use crate::wire::CloseCode;

/// A payload, understood.
#[derive(Debug, PartialEq)]
pub enum Command {
    Heartbeat(Option<u64>),
    Identify(Box<Identify>),
    Resume(Resume),
    Presence(Box<PresenceUpdate>),
    Voice(VoiceUpdate),
    Members(Box<MembersRequest>),
    Typing(ChannelId),
    /// An opcode of people's clients that needs no answer.
    Ignored,
}

/// Op 2.
#[derive(Debug, PartialEq)]
pub struct Identify {
    pub token: String,
    /// `None` when it was left out, as people's clients do.
    pub intents: Option<Intents>,
    pub large_threshold: u32,
    pub shard: Shard,
    /// Whether READY echoes the shard.
    pub shard_given: bool,
    pub presence: Option<PresenceUpdate>,
    pub platform: Platform,
    /// Whether large payloads may come compressed.
    pub compress: bool,
}

/// Which part of a bot's guilds a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub index: u32,
    pub count: u32,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Whether the guild's events belong to this shard.
    pub fn has(self, guild: GuildId) -> bool {
        (guild.get() >> 22) % u64::from(self.count) == u64::from(self.index)
    }
}

/// Op 6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    pub token: String,
    pub session_id: String,
    pub seq: u64,
}

/// Op 3, and `presence` of op 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceUpdate {
    pub status: Status,
    pub activities: Vec<Map<String, Value>>,
}

/// Op 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoiceUpdate {
    pub guild_id: GuildId,
    pub channel_id: Option<ChannelId>,
    pub self_mute: bool,
    pub self_deaf: bool,
    pub self_video: bool,
}

/// Op 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersRequest {
    pub guild_id: GuildId,
    pub wanted: Wanted,
    pub presences: bool,
    pub nonce: Option<String>,
}

/// Which members op 8 asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    All,
    Prefix { query: String, limit: u32 },
    Users(Vec<UserId>),
}

#[derive(Deserialize)]
struct Payload<'a> {
    op: u64,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
}

impl Command {
    /// Parses a payload, which may have its keys in any order and keys that nobody knows.
    pub fn parse(payload: &[u8]) -> Result<Self, CloseCode> {
        let Payload { op, d } = serde_json::from_slice(payload).map_err(|_| CloseCode::DecodeError)?;
        let value = d.map_or("null", RawValue::get);
        let value: Value = serde_json::from_str(value).map_err(|_| CloseCode::DecodeError)?;
        let command = match op {
            1 | 40 => Some(Self::Heartbeat(heartbeat(&value))),
            2 => return object(&value).ok_or(CloseCode::UnknownOpcode).and_then(identify),
            3 => object(&value).map(|d| Self::Presence(Box::new(presence(d)))),
            4 => object(&value).and_then(voice).map(Self::Voice),
            6 => object(&value).and_then(resume).map(Self::Resume),
            8 => object(&value).and_then(members).map(|request| Self::Members(Box::new(request))),
            100 => object(&value).and_then(|d| id(field(d, "channel_id")?)).map(Self::Typing),
            5 | 13 | 14 | 31 | 34 | 37 | 38 | 39 | 41 | 43 => Some(Self::Ignored),
            _ => None,
        };
        command.ok_or(CloseCode::UnknownOpcode)
    }
}

/// The sequence in a heartbeat; op 40 wraps it in an object. What is no number is no confirmation.
fn heartbeat(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| object(value)?.get("seq")?.as_u64())
}

fn identify(d: &Map<String, Value>) -> Result<Command, CloseCode> {
    let token = text(d, "token").ok_or(CloseCode::UnknownOpcode)?.to_owned();
    let intents = match field(d, "intents") {
        None => None,
        Some(bits) => {
            let bits = bits.as_u64().ok_or(CloseCode::InvalidIntents)?;
            Some(Intents::from_bits(bits).ok_or(CloseCode::InvalidIntents)?)
        }
    };
    let shard = match field(d, "shard") {
        None => None,
        Some(value) => Some(shard(value).ok_or(CloseCode::InvalidShard)?),
    };
    let threshold =
        field(d, "large_threshold").and_then(Value::as_u64).map_or(limits::LARGE_THRESHOLD_DEFAULT, |n| {
            n.clamp(limits::LARGE_THRESHOLD_MIN.into(), limits::LARGE_THRESHOLD_MAX.into()) as u32
        });
    let presence = field(d, "presence").and_then(object).map(presence);
    Ok(Command::Identify(Box::new(Identify {
        token,
        intents,
        large_threshold: threshold,
        shard: shard.unwrap_or(Shard::WHOLE),
        shard_given: shard.is_some(),
        presence,
        platform: platform(d),
        compress: flag(d, "compress"),
    })))
}

fn shard(value: &Value) -> Option<Shard> {
    let [index, count] = value.as_array()?.as_slice() else { return None };
    let shard =
        Shard { index: u32::try_from(index.as_u64()?).ok()?, count: u32::try_from(count.as_u64()?).ok()? };
    (shard.index < shard.count).then_some(shard)
}

/// By the properties, with or without the `$` of old libraries.
fn platform(d: &Map<String, Value>) -> Platform {
    let Some(properties) = field(d, "properties").and_then(object) else { return Platform::Desktop };
    let property =
        |name: &str| text(properties, name).or_else(|| text(properties, &format!("${name}"))).unwrap_or("");
    let mobile =
        |value: &str| ["android", "ios"].iter().any(|mobile| value.to_ascii_lowercase().contains(mobile));
    if mobile(property("os")) || mobile(property("browser")) { Platform::Mobile } else { Platform::Desktop }
}

fn presence(d: &Map<String, Value>) -> PresenceUpdate {
    let status = text(d, "status").and_then(Status::from_name).unwrap_or(Status::Online);
    PresenceUpdate { status, activities: activities(d) }
}

fn voice(d: &Map<String, Value>) -> Option<VoiceUpdate> {
    let channel_id = match field(d, "channel_id") {
        None => None,
        Some(value) => Some(id(value)?),
    };
    Some(VoiceUpdate {
        guild_id: id(field(d, "guild_id")?)?,
        channel_id,
        self_mute: flag(d, "self_mute"),
        self_deaf: flag(d, "self_deaf"),
        self_video: flag(d, "self_video"),
    })
}

fn resume(d: &Map<String, Value>) -> Option<Resume> {
    Some(Resume {
        token: text(d, "token")?.to_owned(),
        session_id: text(d, "session_id")?.to_owned(),
        seq: field(d, "seq").map_or(Some(0), Value::as_u64)?,
    })
}

fn members(d: &Map<String, Value>) -> Option<MembersRequest> {
    let limit = field(d, "limit").and_then(Value::as_u64).unwrap_or(0);
    let wanted = match field(d, "user_ids") {
        Some(users) => {
            let mut users = ids(users)?;
            users.truncate(limits::MEMBERS_QUERY_MAX);
            Wanted::Users(users)
        }
        None => match text(d, "query")? {
            "" if limit == 0 => Wanted::All,
            query => Wanted::Prefix {
                query: query.to_owned(),
                limit: match limit {
                    0 => limits::MEMBERS_QUERY_MAX as u32,
                    limit => limit.min(limits::MEMBERS_QUERY_MAX as u64) as u32,
                },
            },
        },
    };
    let nonce = field(d, "nonce").and_then(|nonce| match nonce {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    Some(MembersRequest {
        guild_id: id(field(d, "guild_id")?)?,
        wanted,
        presences: flag(d, "presences"),
        nonce: nonce.filter(|nonce| nonce.len() <= limits::MEMBERS_NONCE_BYTES_MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Command, CloseCode> {
        Command::parse(text.as_bytes())
    }

    #[test]
    fn bad_payloads_have_their_codes() {
        for (payload, code) in [
            ("", CloseCode::DecodeError),
            ("[]", CloseCode::DecodeError),
            (r#"{"d":1}"#, CloseCode::DecodeError),
            (r#"{"op":-1}"#, CloseCode::DecodeError),
            (r#"{"op":99}"#, CloseCode::UnknownOpcode),
            (r#"{"op":2,"d":null}"#, CloseCode::UnknownOpcode),
            (r#"{"op":2,"d":{"token":5}}"#, CloseCode::UnknownOpcode),
            (r#"{"op":2,"d":{"token":"t","intents":18446744073709551615}}"#, CloseCode::InvalidIntents),
            (r#"{"op":2,"d":{"token":"t","intents":"1"}}"#, CloseCode::InvalidIntents),
            (r#"{"op":2,"d":{"token":"t","intents":1,"shard":[1,1]}}"#, CloseCode::InvalidShard),
            (r#"{"op":2,"d":{"token":"t","intents":1,"shard":[0]}}"#, CloseCode::InvalidShard),
            (r#"{"op":6,"d":{"token":"t"}}"#, CloseCode::UnknownOpcode),
            (r#"{"op":8,"d":{"guild_id":"1"}}"#, CloseCode::UnknownOpcode),
        ] {
            assert_eq!(parse(payload).err(), Some(code), "{payload}");
        }
    }

    #[test]
    fn what_the_libraries_send_is_understood() {
        let guild_id = GuildId::new(1_100_000_000_000_000_001).unwrap();
        for payload in [
            r#"{"op":8,"d":{"guild_id":["1100000000000000001"],"query":"","limit":0}}"#,
            r#"{"op":8,"d":{"guild_id":1100000000000000001,"query":"","limit":0,"presences":false}}"#,
        ] {
            let Ok(Command::Members(request)) = parse(payload) else { panic!("{payload}") };
            assert_eq!((request.guild_id, request.wanted), (guild_id, Wanted::All));
        }
        let by_id = r#"{"op":8,"d":{"guild_id":"1","user_ids":["2",3],"nonce":"-77"}}"#;
        let Ok(Command::Members(request)) = parse(by_id) else { panic!() };
        assert_eq!(request.wanted, Wanted::Users(vec![UserId::new(2).unwrap(), UserId::new(3).unwrap()]));
        assert_eq!(request.nonce.as_deref(), Some("-77"));
        for presence in [
            r#"{"activities":null,"afk":false,"since":null,"status":"offline"}"#,
            r#"{"status":null,"game":null,"since":0.0,"afk":false}"#,
            r#"{"since":{"secs_since_epoch":1,"nanos_since_epoch":2},"status":"idle","activities":[{"name":"x"}]}"#,
        ] {
            assert!(
                matches!(parse(&format!(r#"{{"op":3,"d":{presence}}}"#)), Ok(Command::Presence(_))),
                "{presence}"
            );
        }
        let identify = r#"{"op":2,"d":{"token":"Bot t","intents":53608447,"properties":{"$os":"linux"},"compress":true,
            "large_threshold":250,"shard":[0,1],"capabilities":0,"presence":null}}"#;
        let Ok(Command::Identify(identify)) = parse(identify) else { panic!() };
        assert_eq!((identify.large_threshold, identify.shard_given, identify.compress), (250, true, true));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Command::parse(&bytes);
        }

        #[test]
        fn no_json_panics(op in 0_u64..110, d in "[\\[\\]{}\":,a-z0-9null-]{0,60}") {
            let _ = parse(&format!(r#"{{"op":{op},"d":{d}}}"#));
        }
    }
}
