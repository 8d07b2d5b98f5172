//! The streams: how they should be, whether they are, and what they hold.
//!
//! One incarnation is written into the metadata of all streams, since a position counts in all of them: whenever one
//! stream has to be made while others exist, all get a new incarnation.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{self, DiscardPolicy, Republish, RetentionPolicy, StorageType};
use std::time::Duration;

use model::limits;

use super::config::Config;
use super::link::Link;
use super::names::Names;
use crate::kept::Kept;
use crate::port::{StreamState, Unavailable};
use crate::subject::{Layout, Stream};

const INCARNATION: &str = "starling-incarnation";
const PARTITIONS: &str = "starling-partitions";

/// A field in which a stream is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) field: &'static str,
    pub(super) found: String,
    pub(super) wanted: String,
    /// Whether the promises of the backplane depend on it, and not only how much is kept.
    pub(super) is_vital: bool,
}

/// All streams of a layout.
pub(super) fn all(layout: Layout) -> impl Iterator<Item = Stream> {
    let guilds = layout.guild_partitions().map(Stream::Guilds);
    guilds.chain(layout.user_partitions().map(Stream::Users))
}

/// How a stream should be.
pub(super) fn wanted(config: &Config, names: &Names, stream: Stream, incarnation: u64) -> stream::Config {
    let (bytes, republish) = match stream {
        Stream::Guilds(partition) => {
            let source = names.subjects(stream);
            let destination = names.live_pattern(partition);
            (config.guild_stream_bytes, Some(Republish { source, destination, headers_only: false }))
        }
        Stream::Users(_) => (config.user_stream_bytes, None),
    };
    let metadata = [
        (INCARNATION.to_owned(), format!("{incarnation:016x}")),
        (PARTITIONS.to_owned(), partitions(config.layout, stream)),
    ];
    stream::Config {
        name: names.stream(stream),
        subjects: vec![names.subjects(stream)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: config.replicas,
        max_age: Duration::from_millis(config.stream_age_ms),
        max_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        duplicate_window: Duration::from_millis(limits::DUPLICATE_WINDOW_MS.min(config.stream_age_ms)),
        republish,
        allow_direct: true,
        // A hole in the sequences is taken for a loss: nobody may make one.
        deny_delete: true,
        deny_purge: true,
        metadata: metadata.into(),
        ..stream::Config::default()
    }
}

/// In what a stream differs from what it should be, its incarnation aside.
pub(super) fn differences(found: &stream::Config, wanted: &stream::Config) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |field, found: String, wanted: String, is_vital| {
        if found != wanted {
            differences.push(Difference { field, found, wanted, is_vital });
        }
    };
    let partitions = |config: &stream::Config| config.metadata.get(PARTITIONS).cloned().unwrap_or_default();
    compare("partitions", partitions(found), partitions(wanted), true);
    compare("subjects", found.subjects.join(" "), wanted.subjects.join(" "), true);
    compare("republish", republish(found), republish(wanted), true);
    compare("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention), true);
    compare("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage), true);
    compare("discard", format!("{:?}", found.discard), format!("{:?}", wanted.discard), true);
    compare("allow_direct", found.allow_direct.to_string(), wanted.allow_direct.to_string(), true);
    compare("deny_delete", found.deny_delete.to_string(), wanted.deny_delete.to_string(), true);
    compare("deny_purge", found.deny_purge.to_string(), wanted.deny_purge.to_string(), true);
    let window = |config: &stream::Config| format!("{:?}", config.duplicate_window);
    compare("duplicate_window", window(found), window(wanted), true);
    let per_subject = |config: &stream::Config| config.max_messages_per_subject.max(-1).to_string();
    compare("max_msgs_per_subject", per_subject(found), per_subject(wanted), true);
    compare("num_replicas", found.num_replicas.to_string(), wanted.num_replicas.to_string(), false);
    compare("max_age", format!("{:?}", found.max_age), format!("{:?}", wanted.max_age), false);
    compare("max_bytes", found.max_bytes.to_string(), wanted.max_bytes.to_string(), false);
    compare("max_msgs", found.max_messages.to_string(), wanted.max_messages.to_string(), false);
    differences
}

/// The stream as it is; `None` when there is none.
pub(super) async fn find(link: &Link, name: &str) -> Result<Option<stream::Info>, Unavailable> {
    match link.context().get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason) if reason.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            _ => Err(Unavailable(format!("NATS does not tell of stream {name}: {error}"))),
        },
    }
}

/// The bounds of a stream, as its leader knows them.
pub(super) async fn state(link: &Link, name: &str) -> Result<StreamState, Unavailable> {
    let info = found(link, name).await?;
    let incarnation = incarnation(&info.config)
        .ok_or_else(|| Unavailable(format!("stream {name} has no incarnation: run `starling migrate`")))?;
    let last = info.state.last_sequence;
    let first = if info.state.messages == 0 { last + 1 } else { info.state.first_sequence };
    Ok(StreamState { incarnation, first, last })
}

/// What a stream has surely kept, as its leader knows it.
pub(super) async fn kept(link: &Link, name: &str) -> Result<Kept, Unavailable> {
    let stream::Info { config, state, created, .. } = found(link, name).await?;
    let age_ms = match u64::try_from(config.max_age.as_millis()) {
        Ok(0) | Err(_) => u64::MAX,
        Ok(age_ms) => age_ms,
    };
    let has_lost = state.messages > 0 && state.first_sequence > 1;
    // What has gone went before the first that is there.
    let pushed_out_ms = (has_lost && is_crowded(&config, state.bytes, state.messages))
        .then(|| unix_ms(state.first_timestamp.unix_timestamp_nanos()));
    Ok(Kept { made_ms: unix_ms(created.unix_timestamp_nanos()), age_ms, pushed_out_ms })
}

/// Whether something may have gone for want of room that is not too old by now. If it has, the stream was full then, of
/// what came after it, so that nothing of that is too old either: it is full still, but for the largest of them. It counts
/// as full from one half, for streams whose bounds were raised meanwhile.
fn is_crowded(config: &stream::Config, bytes: u64, events: u64) -> bool {
    let bytes_max = u64::try_from(config.max_bytes).ok().filter(|max| *max > 0);
    let events_max = u64::try_from(config.max_messages).ok().filter(|max| *max > 0);
    let full_at = |max: u64| (max / 2).min(max.saturating_sub(limits::NATS_EVENT_BYTES_MAX));
    bytes_max.is_some_and(|max| bytes >= full_at(max)) || events_max.is_some_and(|max| events >= max / 2)
}

fn unix_ms(nanos: i128) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or(0)
}

async fn found(link: &Link, name: &str) -> Result<stream::Info, Unavailable> {
    let missing = || Unavailable(format!("stream {name} is missing: run `starling migrate`"));
    find(link, name).await?.ok_or_else(missing)
}

/// The incarnation that is written on a stream.
pub(super) fn incarnation(config: &stream::Config) -> Option<u64> {
    config.metadata.get(INCARNATION).and_then(|text| u64::from_str_radix(text, 16).ok())
}

/// The number of partitions that a stream was made for, where it is another one.
pub(super) fn other_partitions(found: &stream::Config, wanted: &stream::Config) -> Option<(String, String)> {
    let (found, wanted) = (found.metadata.get(PARTITIONS)?, wanted.metadata.get(PARTITIONS)?);
    (found != wanted).then(|| (found.clone(), wanted.clone()))
}

fn partitions(layout: Layout, stream: Stream) -> String {
    match stream {
        Stream::Guilds(_) => layout.guild_partitions.to_string(),
        Stream::Users(_) => layout.user_partitions.to_string(),
    }
}

fn republish(config: &stream::Config) -> String {
    config.republish.as_ref().map_or("none".into(), |republish| {
        let headers = if republish.headers_only { " (headers only)" } else { "" };
        format!("{} to {}{headers}", republish.source, republish.destination)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::Partition;

    #[test]
    fn every_difference_is_named_and_the_incarnation_is_none() {
        let config = Config::new(vec![]);
        let names = Names::new("", config.layout).unwrap();
        let guilds = Stream::Guilds(Partition(3));
        let right = wanted(&config, &names, guilds, 1);
        assert_eq!(differences(&wanted(&config, &names, guilds, 2), &right), []);
        let wrong = stream::Config { republish: None, max_bytes: 5, allow_direct: false, ..right.clone() };
        let differences = differences(&wrong, &right);
        let fields: Vec<_> =
            differences.iter().map(|difference| (difference.field, difference.is_vital)).collect();
        assert_eq!(fields, [("republish", true), ("allow_direct", true), ("max_bytes", false)]);
        assert_eq!(differences[0].wanted, "ev.3.* to live.3.{{wildcard(1)}}");
    }

    #[test]
    fn a_stream_that_may_have_pushed_something_out_is_crowded() {
        let config = Config::new(vec![]);
        let names = Names::new("", config.layout).unwrap();
        let config = wanted(&config, &names, Stream::Guilds(Partition(3)), 1);
        const SMALL: i64 = limits::NATS_EVENT_BYTES_MAX as i64;
        let rows = [
            (64 * SMALL, -1, 32 * limits::NATS_EVENT_BYTES_MAX - 1, 9, false),
            (64 * SMALL, -1, 32 * limits::NATS_EVENT_BYTES_MAX, 9, true),
            // One event may be all of it.
            (SMALL, -1, 1, 1, true),
            (-1, -1, u64::MAX, 9, false),
            (-1, 100, 1, 49, false),
            (-1, 100, 1, 50, true),
        ];
        for (max_bytes, max_messages, bytes, messages, expected) in rows {
            let config = stream::Config { max_bytes, max_messages, ..config.clone() };
            let is_crowded = is_crowded(&config, bytes, messages);
            assert_eq!(is_crowded, expected, "{max_bytes} {max_messages} {bytes} {messages}");
        }
    }

    #[test]
    fn the_metadata_tell_incarnation_and_partitions() {
        let mut config = Config::new(vec![]);
        let names = Names::new("", config.layout).unwrap();
        let users = Stream::Users(Partition(0));
        let before = wanted(&config, &names, users, u64::MAX);
        assert_eq!(incarnation(&before), Some(u64::MAX));
        config.layout.user_partitions = 8;
        let after = wanted(&config, &names, users, 1);
        assert_eq!(other_partitions(&before, &after), Some(("16".into(), "8".into())));
        assert_eq!(other_partitions(&before, &before), None);
    }
}
