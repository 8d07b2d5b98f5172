//! Slots as a test gives and takes them: all are had and swept at the start, swept late when the test says so, and lost
//! without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use storage::{
    Epoch, Lease, Leases, NotOwner, Ownership, OwnershipError, Pass, ServiceError, Slot, SlotService, SlotSet,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The owner of all channels.
pub struct Owner {
    epoch: Epoch,
    is_served: watch::Sender<bool>,
    is_lost: AtomicBool,
    end: CancellationToken,
    late: mpsc::Sender<Asked>,
    asked: tokio::sync::Mutex<mpsc::Receiver<Asked>>,
}

/// A late sweep, and who waits for it.
type Asked = oneshot::Sender<Result<(), ServiceError>>;

impl Owner {
    pub fn new(epoch: Epoch) -> Arc<Self> {
        let (late, asked) = mpsc::channel(1);
        Arc::new(Self {
            epoch,
            is_served: watch::Sender::new(false),
            is_lost: AtomicBool::new(false),
            end: CancellationToken::new(),
            late,
            asked: tokio::sync::Mutex::new(asked),
        })
    }

    /// What came late is looked for.
    pub async fn sweep_late(&self) -> Result<(), ServiceError> {
        let (reply, answer) = oneshot::channel();
        self.late.send(reply).await.unwrap();
        answer.await.unwrap()
    }

    /// Others own everything, and this process finds out when it asks.
    pub fn lose(&self) {
        self.is_lost.store(true, SeqCst);
    }

    fn leases(&self) -> Vec<Lease> {
        Slot::all().map(|slot| Lease { set: SlotSet::Channels, slot, epoch: self.epoch }).collect()
    }
}

impl Leases for Owner {
    fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
        let lease = Lease { set, slot, epoch: self.epoch };
        self.check(&lease).map(|()| lease)
    }

    fn check(&self, lease: &Lease) -> Result<(), NotOwner> {
        if self.is_lost.load(SeqCst) || !*self.is_served.borrow() {
            return Err(NotOwner { set: lease.set, slot: lease.slot, owner: None });
        }
        Ok(())
    }

    fn end_of(&self, _: &Lease) -> CancellationToken {
        self.end.clone()
    }

    fn write_until(&self) -> Option<Instant> {
        None
    }
}

#[async_trait]
impl Ownership for Owner {
    async fn run(
        &self,
        _: &[SlotSet],
        service: &dyn SlotService,
        stop: &CancellationToken,
    ) -> Result<(), OwnershipError> {
        let leases = self.leases();
        service.sweep(&leases, Pass::First).await.map_err(OwnershipError::Sweep)?;
        self.is_served.send_replace(true);
        let mut asked = self.asked.lock().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(reply) = asked.recv() => {
                    // An error means that the test has gone.
                    let _ = reply.send(service.sweep(&leases, Pass::Late).await);
                }
            }
        }
        self.end.cancel();
        service.drain(&leases).await;
        Ok(())
    }

    async fn settled(&self, _: &[SlotSet]) {
        // The sender lives as long as this.
        let _ = self.is_served.subscribe().wait_for(|is_served| *is_served).await;
    }
}
