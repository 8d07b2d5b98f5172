//! Why there is no adapter, or why the streams could not be made.

use crate::port::Unavailable;

/// Why the adapter does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("NATS can't be reached at {servers}: {reason}")]
    Refused { servers: String, reason: String },
    #[error("prefix {0:?} has characters that a subject may not have: use letters, digits, - and _")]
    Prefix(String),
    #[error("NATS server has version {0}: use {least} or later", least = super::VERSION_LEAST)]
    TooOld(String),
    #[error("NATS server has no JetStream: enable it, events are stored there")]
    NoJetStream,
    #[error("stream {0} is missing: run `starling migrate`")]
    Missing(String),
    #[error("stream {stream} has {field} {found}, not {wanted}: run `starling migrate`")]
    Differs { stream: String, field: &'static str, found: String, wanted: String },
    #[error("streams are of different incarnations: `starling migrate` was interrupted, run it again")]
    Mixed,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why the streams are not as they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(
        "stream {stream} was made for {found} partitions, not {wanted}: keep the number, or delete the streams of the prefix once nothing publishes"
    )]
    Layout { stream: String, found: String, wanted: String },
    #[error("stream {stream} can't be made or changed: {reason}")]
    Stream { stream: String, reason: String },
    #[error("somebody else changes the streams at the same time: run it again when he is done")]
    Concurrent,
}
