//! What goes wrong in a run.

use backplane::Partition;

use super::super::super::gated::Flow;
use super::super::super::rig::PARTITIONS;
use super::{PODS, Schedule};

impl Schedule {
    fn draw_living(&mut self) -> Option<usize> {
        let living: Vec<usize> = self.cluster.living().map(|(place, _)| place).collect();
        if living.is_empty() { None } else { Some(self.draw_of(&living)) }
    }

    pub(super) fn set_flow(&mut self) {
        let Some(place) = self.draw_living() else { return };
        let flow = match self.draw(4) {
            0 | 1 => Flow::Open,
            2 if self.faults.losses => Flow::Dropped,
            _ => Flow::Held,
        };
        let partition = self.draw(PARTITIONS.guild_partitions.into()) as u16;
        self.note(&format!("partition {partition} to place {place} is {flow:?}"));
        let running = self.cluster.pods[place].as_ref().expect("it lives");
        running.backplane.set_flow(Partition(partition), flow);
    }

    pub(super) async fn crash(&mut self) {
        let Some(place) = self.draw_living() else { return };
        self.note(&format!("the pod in place {place} dies"));
        self.cluster.crash(place).await;
    }

    pub(super) fn drain(&mut self) {
        let Some(place) = self.draw_living() else { return };
        self.note(&format!("the pod in place {place} drains"));
        self.cluster.pods[place].as_mut().expect("it lives").drain();
    }

    /// A new pod in an empty place.
    pub(super) async fn replace(&mut self) {
        let empty = self.cluster.pods.iter().position(Option::is_none);
        let Some(place) = empty else { return };
        let is_at_address = self.draw(2) == 0;
        self.cluster.replace(place, is_at_address).await;
        self.note(&format!("a new pod in place {place}"));
    }

    pub(super) fn step_clock(&mut self) {
        let Some(place) = self.draw_living() else { return };
        let ms = self.draw_of(&[-180_000, -30_000, -1_000, 1_000, 30_000, 180_000]);
        self.note(&format!("the clock in place {place} steps by {ms} ms"));
        self.cluster.pods[place].as_ref().expect("it lives").step_clock(ms);
    }

    pub(super) fn disturb_links(&mut self) {
        if !self.faults.links {
            return;
        }
        match self.draw(3) {
            0 => self.cluster.links.heal(),
            1 => {
                let of_100 = self.draw_of(&[20, 60]);
                self.cluster.links.set_faults(of_100);
            }
            _ => {
                let (from, Some(to)) = (self.draw(PODS as u64) as usize, self.draw_living()) else { return };
                let address = self.cluster.pods[to].as_ref().expect("it lives").address.clone();
                self.note(&format!("from place {from} nothing arrives at {address}"));
                self.cluster.links.cut(from, address);
            }
        }
    }

    pub(super) fn disturb_registry(&mut self) {
        let Some(place) = self.draw_living() else { return };
        let (kind, is_away) = (self.draw(4), self.draw(2) == 0);
        let delay_ms = self.draw_of(&[3, 100, 700]);
        let is_allowed = self.faults.registry;
        let running = self.cluster.pods[place].as_ref().expect("it lives");
        match kind {
            0 if is_allowed => running.registry.set(is_away),
            1 if is_allowed => running.owners.set_away(is_away),
            2 if is_allowed => running.owners.lose_answers(1),
            3 if is_allowed => running.owners.set_delay(delay_ms),
            _ => {}
        }
    }

    /// All faults end, and every place has a pod.
    pub(super) async fn heal(&mut self) {
        self.cluster.links.heal();
        for place in 0..PODS {
            if self.cluster.pods[place].is_none() {
                self.cluster.replace(place, true).await;
            }
        }
        for (_, running) in self.cluster.living() {
            running.registry.set(false);
            running.owners.set_away(false);
            running.owners.lose_answers(0);
            running.owners.set_delay(3);
            for partition in PARTITIONS.guild_partitions() {
                running.backplane.set_flow(partition, Flow::Open);
            }
        }
        self.note("everything heals");
    }
}
