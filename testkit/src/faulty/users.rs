//! A consumer of user events whose calls fail now and then.

use std::sync::Arc;

use async_trait::async_trait;
use backplane::port::UserConsumer;
use backplane::{Partition, Stream, Unavailable, UserEvent};

use super::Shared;
use super::dice::{self, Fault};

pub(super) struct FaultyConsumer {
    inner: Box<dyn UserConsumer>,
    shared: Arc<Shared>,
    partition: Partition,
}

impl FaultyConsumer {
    pub(super) fn new(inner: Box<dyn UserConsumer>, shared: Arc<Shared>, partition: Partition) -> Self {
        Self { inner, shared, partition }
    }

    fn stream(&self) -> Stream {
        Stream::Users(self.partition)
    }

    fn call(&self) -> Result<(), Unavailable> {
        let partition = u64::from(self.partition.0);
        let call = self.shared.user_calls.next(partition);
        let faults = self.shared.faults;
        if dice::strikes(faults.seed, Fault::Question, faults.question, partition, call) {
            return Err(Unavailable("injected: the call was lost".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl UserConsumer for FaultyConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<UserEvent>, Unavailable> {
        self.call()?;
        loop {
            let events = self.inner.next(max).await?;
            let cut = self.shared.view.cut(self.stream());
            let last = events.last().map_or(0, |event| event.sequence);
            let shown: Vec<_> = events
                .into_iter()
                .filter_map(|event| Some(UserEvent { sequence: cut.outer(event.sequence)?, ..event }))
                .collect();
            if !shown.is_empty() {
                return Ok(shown);
            }
            self.inner.acknowledge(last).await?;
        }
    }

    async fn acknowledge(&mut self, sequence: u64) -> Result<(), Unavailable> {
        self.call()?;
        let inner = self.shared.view.cut(self.stream()).inner(sequence);
        self.inner.acknowledge(inner).await
    }
}
