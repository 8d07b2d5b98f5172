//! Who has a session: never two pods for longer than a heartbeat, and who has lost it is silent.
//!
//! A pod that can't ask the registry can't learn that another has taken a session from a checkpoint. That time does not
//! count: it is known, and the price of serving while the registry is away.

use std::collections::{BTreeMap, BTreeSet};

use model::limits;

use super::cluster::Cluster;
use super::peer::Fed;

/// See the module.
#[derive(Default)]
pub struct Ownership {
    /// By session: the pods that have it, and since when there are two.
    owned: BTreeMap<String, Owned>,
    /// The longest that two had one.
    pub longest_ms: u64,
}

#[derive(Default, Clone)]
struct Owned {
    pods: BTreeSet<u64>,
    two_since_ms: Option<u64>,
}

impl Ownership {
    /// Looks who has what, and who was fed what since the look before.
    pub fn look(&mut self, cluster: &Cluster, fed: &[Fed], now_ms: u64) -> Result<(), String> {
        let before = std::mem::take(&mut self.owned);
        let mut is_cut_off = BTreeSet::new();
        for (_, running) in cluster.living() {
            if running.owners.is_away() {
                is_cut_off.insert(running.number);
            }
            for session in running.served() {
                self.owned.entry(session).or_default().pods.insert(running.number);
            }
        }
        for (session, owned) in self.owned.iter_mut().filter(|(_, owned)| owned.pods.len() > 1) {
            let since = before.get(session).and_then(|before| before.two_since_ms);
            let can_learn = owned.pods.is_disjoint(&is_cut_off);
            let since = since.filter(|_| can_learn).unwrap_or(now_ms);
            owned.two_since_ms = Some(since);
            self.longest_ms = self.longest_ms.max(now_ms - since);
            if now_ms - since > limits::HEARTBEAT_INTERVAL_MS {
                return Err(format!("{:?} have session {session} since {since}", owned.pods));
            }
        }
        for Fed { session, pod, is_old } in fed {
            // What the pod has given away since the look before it had then.
            let had = |owned: Option<&Owned>| owned.is_some_and(|owned| owned.pods.contains(pod));
            let lives = cluster.living().any(|(_, running)| running.number == *pod);
            if *is_old && lives && !had(before.get(session)) && !had(self.owned.get(session)) {
                return Err(format!("pod {pod} has fed session {session}, which it does not have"));
            }
        }
        Ok(())
    }
}
