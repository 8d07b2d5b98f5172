//! A backplane that stores the first events, and says that it could not.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use backplane::port::{DeliverError, PodBatch, UserConsumer};
use backplane::{
    Ack, Backplane, Ephemeral, InProcess, Layout, Listener, Partition, PodName, ReadError, Stored, Stream,
    StreamState, Subject, Unavailable, UserEvent,
};
use bytes::Bytes;
use tokio::sync::mpsc;

pub struct Away {
    pub backplane: Arc<InProcess>,
    /// So many publishes fail, of which every second one is stored.
    pub failures: AtomicU64,
}

#[async_trait]
impl Backplane for Away {
    fn layout(&self) -> Layout {
        self.backplane.layout()
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(left) if left % 2 == 0 => Err(Unavailable("away".into())),
            Ok(_) => {
                self.backplane.publish(subject, event_id, envelope).await?;
                Err(Unavailable("the answer is lost".into()))
            }
            Err(_) => self.backplane.publish(subject, event_id, envelope).await,
        }
    }

    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes) {
        self.backplane.publish_ephemeral(subject, envelope);
    }

    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.backplane.listen(partition).await
    }

    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.backplane.listen_ephemeral(partition).await
    }

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable> {
        self.backplane.state(stream).await
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        self.backplane.last(subject).await
    }

    fn tail(&self, partition: Partition) -> u64 {
        self.backplane.tail(partition)
    }

    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.backplane.read(stream, range, max).await
    }

    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable> {
        self.backplane.contains(subject, event_id).await
    }

    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable> {
        self.backplane.consume_users(partition).await
    }

    async fn serve_pod(&self, pod: &PodName) -> Result<mpsc::Receiver<PodBatch>, Unavailable> {
        self.backplane.serve_pod(pod).await
    }

    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        self.backplane.deliver(pod, events).await
    }
}
