//! The pods' inboxes: a bounded queue of batches each, answered when the pod has taken a batch.

use std::time::Duration;

use model::limits;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};

use crate::port::{DeliverError, PodBatch, UserEvent};
use crate::registry::PodName;

pub(super) struct Inboxes {
    take: Duration,
    pods: Mutex<FxHashMap<PodName, mpsc::Sender<PodBatch>>>,
}

impl Inboxes {
    pub(super) fn new(take_ms: u64) -> Self {
        Self { take: Duration::from_millis(take_ms), pods: Mutex::default() }
    }

    pub(super) fn serve(&self, pod: &PodName) -> mpsc::Receiver<PodBatch> {
        let (sender, receiver) = mpsc::channel(limits::POD_INBOX_BATCHES_MAX);
        let mut pods = self.pods.lock();
        pods.retain(|_, inbox| !inbox.is_closed());
        pods.insert(pod.clone(), sender);
        receiver
    }

    pub(super) async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        let inbox = self.pods.lock().get(pod).cloned();
        let inbox = inbox.ok_or_else(|| DeliverError::NoPod(pod.clone()))?;
        let (taken, answer) = oneshot::channel();
        let given = async {
            inbox.send(PodBatch { events, taken }).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(self.take, given).await {
            Ok(Some(())) => Ok(()),
            Ok(None) if inbox.is_closed() => Err(DeliverError::NoPod(pod.clone())),
            Ok(None) | Err(_) => Err(DeliverError::Timeout(pod.clone())),
        }
    }
}
