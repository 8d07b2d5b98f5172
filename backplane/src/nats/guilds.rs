//! Guild mode: a subscription for each guild, all of them read by one pump, and where many guilds end at one moment.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_nats::{Message, Subscriber};
use async_trait::async_trait;
use futures_util::stream::{SelectAll, TakeUntil};
use futures_util::{Stream, StreamExt};
use model::GuildId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::link::Link;
use super::names::Names;
use super::read::{self, number};
use super::streams;
use crate::port::{GuildSubscriptions, Unavailable};
use crate::subject::{Partition, Stream as Stored, Subject};

/// Ends when its other end is dropped.
type One = TakeUntil<Subscriber, oneshot::Receiver<()>>;

/// Adds to and takes from [`Subscribers`].
pub(super) struct Subscriptions {
    link: Arc<Link>,
    names: Names,
    fresh: mpsc::Sender<Vec<One>>,
    /// Dropping one ends its subscription.
    guilds: Mutex<FxHashMap<GuildId, oneshot::Sender<()>>>,
}

/// What all subscriptions of one listener bring; ends with the [`Subscriptions`].
pub(super) struct Subscribers {
    all: SelectAll<One>,
    fresh: mpsc::Receiver<Vec<One>>,
}

pub(super) fn subscriptions(link: Arc<Link>, names: Names) -> (Subscriptions, Subscribers) {
    let (fresh, taken) = mpsc::channel(1);
    let subscriptions = Subscriptions { link, names, fresh, guilds: Mutex::default() };
    (subscriptions, Subscribers { all: SelectAll::new(), fresh: taken })
}

#[async_trait]
impl GuildSubscriptions for Subscriptions {
    async fn add(&self, guilds: &[GuildId]) -> Result<(), Unavailable> {
        let missing: Vec<GuildId> = {
            let known = self.guilds.lock();
            guilds.iter().copied().filter(|guild| !known.contains_key(guild)).collect()
        };
        let subjects = missing.iter().map(|guild| self.names.live_guild(*guild)).collect();
        let subscribers = self.link.subscribe_all(subjects, self.names.sync()).await?;
        let (ends, ones): (Vec<_>, Vec<_>) = subscribers
            .into_iter()
            .map(|subscriber| {
                let (end, ended) = oneshot::channel();
                (end, subscriber.take_until(ended))
            })
            .unzip();
        self.fresh.send(ones).await.map_err(|_| Unavailable("the listener has gone".into()))?;
        self.guilds.lock().extend(missing.into_iter().zip(ends));
        Ok(())
    }

    fn remove(&self, guild: GuildId) {
        self.guilds.lock().remove(&guild);
    }
}

impl Stream for Subscribers {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match self.fresh.poll_recv(context) {
                Poll::Ready(Some(ones)) => self.all.extend(ones),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        match self.all.poll_next_unpin(context) {
            Poll::Ready(Some(message)) => Poll::Ready(Some(message)),
            // There is none now; the next one that is added wakes.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// See [`crate::Backplane::ends`]. One replica answers for all guilds as of one moment, and says up to where it had the
/// stream; but not if it has nothing of any of them. Then it is asked for a guild as well that has an event.
pub(super) async fn ends(
    link: &Link,
    names: &Names,
    partition: Partition,
    guilds: &[GuildId],
    at_least: u64,
) -> Result<Vec<u64>, Unavailable> {
    let stream = names.stream(Stored::Guilds(partition));
    let mut subjects: Vec<String> =
        guilds.iter().map(|guild| names.subject(Subject::Guild(*guild))).collect();
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let mut last = last_of(link, &stream, &subjects).await?;
    if last.up_to.is_none() && at_least > 0 {
        match read::subject_at(link, &stream, at_least).await? {
            Some(witness) => {
                subjects.push(witness);
                last = last_of(link, &stream, &subjects).await?;
                last.up_to.ok_or_else(|| lags(&stream))?;
            }
            None if streams::state(link, &stream).await?.first > at_least => {}
            None => return Err(lags(&stream)),
        }
    }
    if last.up_to.is_some_and(|up_to| up_to < at_least) {
        return Err(lags(&stream));
    }
    let of = |subject| last.sequences.get(subject).copied().unwrap_or(0);
    Ok(subjects[..guilds.len()].iter().map(of).collect())
}

/// The last sequences of those subjects that have any.
struct Last {
    sequences: FxHashMap<String, u64>,
    /// The last sequence of the stream as the replica had it; unknown when no subject has any.
    up_to: Option<u64>,
}

async fn last_of(link: &Link, stream: &str, subjects: &[String]) -> Result<Last, Unavailable> {
    let page = read::page(link, stream, json!({ "multi_last": subjects })).await?;
    let up_to = page.end.and_then(|headers| number(&headers, UP_TO));
    if up_to.is_none() && !page.messages.is_empty() {
        return Err(Unavailable(format!("stream {stream} does not say up to where it was read")));
    }
    let sequences = page.messages.into_iter().map(|message| (message.subject, message.sequence)).collect();
    Ok(Last { sequences, up_to })
}

fn lags(stream: &str) -> Unavailable {
    Unavailable(format!("a replica of stream {stream} lags behind"))
}

const UP_TO: &str = "Nats-UpTo-Sequence";
