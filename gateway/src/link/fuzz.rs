//! Entries for fuzzing: they take any bytes, and panic when a promise of this module is broken.

use model::{Timestamp, limits};
use serde_json::Value;

use super::activity;
use super::command::{Command, PresenceUpdate, Wanted};
use crate::wire::CloseCode;

/// Parses `data` as a client's payload. What is understood lies within the limits, what is not has its close code.
pub fn fuzz_command(data: &[u8]) {
    match Command::parse(data) {
        Err(code) => assert!(
            matches!(
                code,
                CloseCode::UnknownOpcode
                    | CloseCode::DecodeError
                    | CloseCode::InvalidShard
                    | CloseCode::InvalidIntents
            ),
            "{code:?}"
        ),
        Ok(Command::Identify(identify)) => {
            assert!(identify.shard.index < identify.shard.count);
            let threshold = limits::LARGE_THRESHOLD_MIN..=limits::LARGE_THRESHOLD_MAX;
            assert!(threshold.contains(&identify.large_threshold));
            identify.presence.iter().for_each(check_presence);
        }
        Ok(Command::Presence(presence)) => check_presence(&presence),
        Ok(Command::Members(request)) => {
            assert!(request.nonce.is_none_or(|nonce| nonce.len() <= limits::MEMBERS_NONCE_BYTES_MAX));
            match request.wanted {
                Wanted::All => {}
                Wanted::Prefix { limit, .. } => {
                    assert!((1..=limits::MEMBERS_QUERY_MAX as u32).contains(&limit));
                }
                Wanted::Users(users) => assert!(users.len() <= limits::MEMBERS_QUERY_MAX),
            }
        }
        Ok(
            Command::Heartbeat(_)
            | Command::Resume(_)
            | Command::Voice(_)
            | Command::Typing(_)
            | Command::Ignored,
        ) => {}
    }
}

/// What others see of it is a list in JSON, or nothing.
fn check_presence(presence: &PresenceUpdate) {
    let shown = activity::to_json(&presence.activities, Timestamp::from_ms(0));
    assert!(shown.len() <= limits::ACTIVITIES_BYTES_MAX);
    assert!(shown.is_empty() || serde_json::from_str::<Vec<Value>>(&shown).is_ok(), "{shown}");
}
