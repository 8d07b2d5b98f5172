//! Carries deliveries from the wrapped backplane to one listener, and does to them what the dice say.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Delivery, Listener, Partition, Stream};
use tokio::sync::{mpsc, watch};

use super::Shared;
use super::dice::{self, Fault};

pub(super) struct Pump {
    shared: Arc<Shared>,
    partition: Partition,
    out: mpsc::Sender<Delivery>,
    generation: u64,
    generations: watch::Receiver<u64>,
    /// The connection is away up to this sequence.
    away_until: Option<u64>,
    /// What comes behind the next delivery.
    held: Option<Delivery>,
}

/// The listener has gone.
struct Gone;

impl Pump {
    pub(super) fn new(shared: Arc<Shared>, partition: Partition) -> (Self, Listener) {
        let (out, receiver) = mpsc::channel(QUEUE_MAX);
        let generations = shared.view.generations();
        let generation = *generations.borrow();
        let pump = Self { shared, partition, out, generation, generations, away_until: None, held: None };
        (pump, Listener::new(receiver))
    }

    pub(super) async fn run(mut self, mut inner: Listener) {
        while self.step(&mut inner).await.is_ok() {}
    }

    async fn step(&mut self, inner: &mut Listener) -> Result<(), Gone> {
        let is_waiting = self.held.is_some() || self.away_until.is_some();
        let out = self.out.clone();
        tokio::select! {
            biased;
            () = out.closed() => Err(Gone),
            delivery = inner.next() => self.take(delivery.ok_or(Gone)?).await,
            changed = self.generations.changed() => {
                changed.map_err(|_| Gone)?;
                self.catch_up().await
            }
            () = tokio::time::sleep(QUIET), if is_waiting => self.release().await,
        }
    }

    async fn take(&mut self, delivery: Delivery) -> Result<(), Gone> {
        let Delivery::Event { guild, sequence, previous, envelope } = delivery else {
            return self.send(delivery).await;
        };
        self.catch_up().await?;
        let cut = self.shared.view.cut(Stream::Guilds(self.partition));
        let Some(sequence) = cut.outer(sequence) else { return Ok(()) };
        let previous = cut.outer(previous).unwrap_or(0);
        let event = Delivery::Event { guild, sequence, previous, envelope };
        self.mistreat(sequence, event).await
    }

    async fn mistreat(&mut self, sequence: u64, event: Delivery) -> Result<(), Gone> {
        let faults = self.shared.faults;
        if self.away_until.is_none() && self.strikes(Fault::Reconnect, faults.reconnect, sequence) {
            self.away_until = Some(sequence + self.roll(Fault::Reconnect, sequence) % AWAY_EVENTS_MAX);
        }
        if let Some(until) = self.away_until {
            if sequence <= until {
                return Ok(());
            }
            self.away_until = None;
            self.send(Delivery::Reconnected).await?;
        }
        if self.strikes(Fault::DropSilently, faults.drop_silently, sequence) {
            return Ok(());
        }
        if self.strikes(Fault::DropWithGap, faults.drop_with_gap, sequence) {
            return self.send(Delivery::Gap).await;
        }
        if self.strikes(Fault::Delay, faults.delay, sequence) && faults.delay_ms_max > 0 {
            let ms = self.roll(Fault::Delay, sequence) % u64::from(faults.delay_ms_max) + 1;
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        if self.held.is_none() && self.strikes(Fault::Swap, faults.swap, sequence) {
            self.held = Some(event);
            return Ok(());
        }
        if self.strikes(Fault::Repeat, faults.repeat, sequence) {
            self.send(event.clone()).await?;
        }
        self.send(event).await?;
        match self.held.take() {
            Some(held) => self.send(held).await,
            None => Ok(()),
        }
    }

    /// Nothing has come for a while: what waits for the next delivery waits no longer.
    async fn release(&mut self) -> Result<(), Gone> {
        if let Some(held) = self.held.take() {
            self.send(held).await?;
        }
        if self.away_until.take().is_some() {
            self.send(Delivery::Reconnected).await?;
        }
        Ok(())
    }

    /// Tells of a new incarnation before anything of it is delivered.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        let generation = *self.generations.borrow_and_update();
        if generation == self.generation {
            return Ok(());
        }
        self.generation = generation;
        self.held = None;
        self.away_until = None;
        self.send(Delivery::Reconnected).await
    }

    async fn send(&self, delivery: Delivery) -> Result<(), Gone> {
        self.out.send(delivery).await.map_err(|_| Gone)
    }

    fn strikes(&self, fault: Fault, rate: u32, sequence: u64) -> bool {
        dice::strikes(self.shared.faults.seed, fault, rate, sequence, self.partition.0.into())
    }

    fn roll(&self, fault: Fault, sequence: u64) -> u64 {
        // Apart from the number that decided whether the fault strikes.
        dice::mix(dice::roll(self.shared.faults.seed, fault, sequence, self.partition.0.into()))
    }
}

const AWAY_EVENTS_MAX: u64 = 6;
const QUEUE_MAX: usize = 64;
const QUIET: Duration = Duration::from_millis(20);
