//! What is asked of the stream in guild mode.

use std::sync::Arc;

use bytes::Bytes;
use model::{GuildId, limits};

use super::repair;
use crate::chains::{About, Question};
use crate::port::{Backplane, GuildSubscriptions, Listener, ReadError, StreamState, Unavailable};
use crate::subject::{Partition, Stream, Subject};

/// What an answer holds.
pub(super) enum Answer {
    /// Nothing has come since the last check.
    Quiet,
    Ends {
        question: Question,
        state: StreamState,
        ends: Vec<u64>,
        first: u64,
    },
    Range {
        question: Question,
        read: Vec<(u64, Bytes)>,
        is_full: bool,
        state: StreamState,
    },
    /// The stream is another one: a new subscription to all of it, and a state that is younger.
    Anew(Listener, StreamState),
}

pub(super) async fn ask(
    backplane: Arc<dyn Backplane>,
    partition: Partition,
    question: Question,
) -> Result<Answer, Unavailable> {
    match question.about.clone() {
        About::Ends(guilds) => ask_ends(&*backplane, partition, question, &guilds).await,
        About::Range(guild, range) => {
            let (mut read, mut is_full) = (Vec::new(), true);
            match backplane.read_subject(Subject::Guild(guild), range, limits::REPAIR_EVENTS_MAX).await {
                Ok(stored) => {
                    is_full = stored.len() >= limits::REPAIR_EVENTS_MAX;
                    read = stored.into_iter().map(|stored| (stored.sequence, stored.envelope)).collect();
                }
                Err(ReadError::Unavailable(error)) => return Err(error),
                // The state will tell which of the two is wrong.
                Err(ReadError::BeyondEnd(..)) => {}
            }
            let state = backplane.state(Stream::Guilds(partition)).await?;
            if question.is_foreign(&state) {
                return begin_anew(&*backplane, partition).await;
            }
            Ok(Answer::Range { question, read, is_full, state })
        }
    }
}

async fn ask_ends(
    backplane: &dyn Backplane,
    partition: Partition,
    question: Question,
    guilds: &[GuildId],
) -> Result<Answer, Unavailable> {
    let state = backplane.state(Stream::Guilds(partition)).await?;
    if question.is_foreign(&state) {
        return begin_anew(backplane, partition).await;
    }
    if question.is_quiet(&state) {
        return Ok(Answer::Quiet);
    }
    let ends = backplane.ends(partition, guilds, state.last).await?;
    let mut first = state.first;
    if question.needs_first(&ends) {
        let after = backplane.state(Stream::Guilds(partition)).await?;
        if question.is_foreign(&after) {
            return begin_anew(backplane, partition).await;
        }
        first = after.first;
    }
    Ok(Answer::Ends { question, state, ends, first })
}

async fn begin_anew(backplane: &dyn Backplane, partition: Partition) -> Result<Answer, Unavailable> {
    let (listener, state) = repair::subscribe(backplane, partition).await?;
    Ok(Answer::Anew(listener, state))
}

/// Guilds that are listened to from now on: up to where nothing of each is missing.
pub(super) struct Opened {
    pub(super) state: StreamState,
    pub(super) guilds: Vec<(GuildId, u64)>,
}

/// Subscribes to guilds, then asks where they end.
pub(super) async fn open(
    backplane: Arc<dyn Backplane>,
    partition: Partition,
    subscriptions: Arc<dyn GuildSubscriptions>,
    guilds: Vec<GuildId>,
) -> Result<Opened, Unavailable> {
    subscriptions.add(&guilds).await?;
    let state = backplane.state(Stream::Guilds(partition)).await?;
    let ends = backplane.ends(partition, &guilds, state.last).await?;
    let guilds = guilds.into_iter().zip(ends).map(|(guild, end)| (guild, end.max(state.last)));
    Ok(Opened { state, guilds: guilds.collect() })
}
