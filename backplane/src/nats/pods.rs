//! Batches for a pod: a request on the pod's own subject, answered when the pod has taken it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Request, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::batch;
use super::link::{Link, Silence};
use crate::port::{DeliverError, PodBatch, Unavailable, UserEvent};
use crate::registry::PodName;

/// What a request needs besides the events: subject, headers and what NATS adds.
const REQUEST_BYTES: usize = 4096;

pub(super) async fn deliver(
    link: &Link,
    subject: &str,
    pod: &PodName,
    events: &[UserEvent],
    take: Duration,
) -> Result<(), DeliverError> {
    let bytes_max = link.client().max_payload().saturating_sub(REQUEST_BYTES);
    for message in batch::encode(events, bytes_max) {
        let request = Request::new().payload(message);
        match link.ask_within(take, subject.to_owned(), request).await {
            Ok(_) => {}
            Err(Silence::NoResponders) => return Err(DeliverError::NoPod(pod.clone())),
            Err(Silence::TimedOut) if link.is_connected() => return Err(DeliverError::Timeout(pod.clone())),
            Err(silence) => return Err(Unavailable::from(silence).into()),
        }
    }
    Ok(())
}

/// A pod's inbox: from the subscription to the queue, and the answers back.
pub(super) struct Inbox {
    pub(super) link: Arc<Link>,
    pub(super) subscriber: Subscriber,
    pub(super) batches: mpsc::Sender<PodBatch>,
    pub(super) take: Duration,
}

impl Inbox {
    /// Runs until nobody reads the queue any more.
    pub(super) async fn run(mut self) {
        let mut answers = JoinSet::new();
        loop {
            let message = tokio::select! {
                biased;
                () = self.batches.closed() => return,
                message = self.subscriber.next() => message,
            };
            let Some(message) = message else { return };
            while answers.try_join_next().is_some() {}
            if let Some((reply, taken)) = self.pass(message).await {
                answers.spawn(answer(Arc::clone(&self.link), reply, taken, self.take));
            }
        }
    }

    /// Puts a batch into the queue; who waits for the answer, and how he learns of it.
    async fn pass(&self, message: Message) -> Option<(String, oneshot::Receiver<()>)> {
        let reply = message.reply?.to_string();
        let Some(events) = batch::decode(message.payload) else {
            tracing::warn!(subject = %message.subject, "batch of a version that is not known here left unanswered");
            return None;
        };
        let (taken, answer) = oneshot::channel();
        self.batches.send(PodBatch { events, taken }).await.ok()?;
        Some((reply, answer))
    }
}

/// Answers when the batch was taken in time. Later, nobody waits for it any more.
async fn answer(link: Arc<Link>, reply: String, taken: oneshot::Receiver<()>, take: Duration) {
    if let Ok(Ok(())) = timeout(take, taken).await
        && let Err(error) = link.tell(reply, Bytes::new()).await
    {
        tracing::debug!(%error, "answer to a batch lost");
    }
}
