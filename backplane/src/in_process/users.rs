//! A stream of user events and its one consumer.
//!
//! What the consumer gets starts always behind what was acknowledged, so what was not comes again: after a failure, and
//! to the consumer that takes over. Each consumer has a number, and only the newest may take and acknowledge.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::log::Log;
use crate::port::{Ack, Unavailable, UserConsumer, UserEvent};
use crate::subject::Subject;

pub(super) struct UserStream {
    state: Mutex<State>,
    /// Wakes the consumer: something was published, or another one took over.
    changed: Notify,
}

struct State {
    log: Log,
    acknowledged: u64,
    consumer: u64,
}

impl UserStream {
    pub(super) fn new(log: Log) -> Self {
        Self { state: Mutex::new(State { log, acknowledged: 0, consumer: 0 }), changed: Notify::new() }
    }

    pub(super) fn with_log<T>(&self, use_log: impl FnOnce(&mut Log) -> T) -> T {
        use_log(&mut self.state.lock().log)
    }

    pub(super) fn publish(&self, append: impl FnOnce(&mut Log) -> Ack) -> Ack {
        let ack = self.with_log(append);
        self.changed.notify_waiters();
        ack
    }

    pub(super) fn consume(stream: &Arc<Self>) -> Consumer {
        let number = {
            let mut state = stream.state.lock();
            state.consumer += 1;
            state.consumer
        };
        stream.changed.notify_waiters();
        Consumer { stream: Arc::clone(stream), number }
    }
}

impl State {
    fn check(&self, consumer: u64) -> Result<(), Unavailable> {
        if self.consumer == consumer {
            Ok(())
        } else {
            Err(Unavailable("another consumer has taken over: consume again, or stop".into()))
        }
    }

    fn pending(&self, max: usize) -> Vec<UserEvent> {
        let range = self.acknowledged + 1..=self.log.last();
        let stored = self.log.read(range, max).expect("a range that ends with the last sequence");
        let events = stored.into_iter().filter_map(|stored| match stored.subject {
            Subject::User(user) => {
                Some(UserEvent { user, sequence: stored.sequence, envelope: stored.envelope })
            }
            Subject::Guild(_) => None,
        });
        events.collect()
    }
}

pub(super) struct Consumer {
    stream: Arc<UserStream>,
    number: u64,
}

#[async_trait]
impl UserConsumer for Consumer {
    async fn next(&mut self, max: usize) -> Result<Vec<UserEvent>, Unavailable> {
        loop {
            let mut changed = std::pin::pin!(self.stream.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.stream.state.lock();
                state.check(self.number)?;
                let events = state.pending(max.max(1));
                if !events.is_empty() {
                    return Ok(events);
                }
            }
            changed.await;
        }
    }

    async fn acknowledge(&mut self, sequence: u64) -> Result<(), Unavailable> {
        let mut state = self.stream.state.lock();
        state.check(self.number)?;
        state.acknowledged = state.acknowledged.max(sequence.min(state.log.last()));
        Ok(())
    }
}
