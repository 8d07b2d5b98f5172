//! Pods, their leases and which sessions are theirs.

use std::collections::{HashMap, HashSet, VecDeque};

use model::limits::PRESENCE_LEASE_MS;

use super::{Full, PodKey, SessionKey};

/// Releases are made in portions, this often.
const RELEASE_TICK_MS: u64 = 100;

#[derive(Debug, Default)]
pub(super) struct Pods {
    pods: HashMap<PodKey, Pod>,
    /// Sessions of pods whose lease has ended, in the order of their release. One that has moved or whose pod is back when
    /// its turn comes is passed over.
    releases: VecDeque<(PodKey, SessionKey)>,
    release_at_ms: u64,
}

#[derive(Debug, Default)]
struct Pod {
    lease_end_ms: u64,
    is_ended: bool,
    sessions: HashSet<SessionKey>,
    /// Those that the last complete list did not name.
    missing: HashSet<SessionKey>,
}

impl Pods {
    /// Opens or renews a lease.
    pub(super) fn renew(&mut self, now_ms: u64, pod: &PodKey, pods_max: usize) -> Result<(), Full> {
        if !self.pods.contains_key(pod) && self.pods.len() >= pods_max {
            return Err(Full::Pods(pods_max));
        }
        let pod = self.pods.entry(pod.clone()).or_default();
        pod.lease_end_ms = now_ms + PRESENCE_LEASE_MS;
        pod.is_ended = false;
        Ok(())
    }

    /// Ends leases, and answers which sessions are released now.
    pub(super) fn advance(&mut self, now_ms: u64, releases_per_sec: usize) -> Vec<SessionKey> {
        for (name, pod) in &mut self.pods {
            if !pod.is_ended && pod.lease_end_ms <= now_ms {
                pod.is_ended = true;
                self.releases.extend(pod.sessions.iter().map(|session| (name.clone(), session.clone())));
            }
        }
        self.pods.retain(|_, pod| !pod.is_ended || !pod.sessions.is_empty());
        if self.releases.is_empty() || now_ms < self.release_at_ms {
            return Vec::new();
        }
        self.release_at_ms = now_ms + RELEASE_TICK_MS;
        let portion = (releases_per_sec * RELEASE_TICK_MS as usize / 1000).max(1);
        let mut released = Vec::new();
        while released.len() < portion {
            let Some((pod, session)) = self.releases.pop_front() else { break };
            if self.pods.get(&pod).is_some_and(|pod| pod.is_ended && pod.sessions.contains(&session)) {
                released.push(session);
            }
        }
        released
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let release = (!self.releases.is_empty()).then_some(self.release_at_ms);
        let leases = self.pods.values().filter(|pod| !pod.is_ended).map(|pod| pod.lease_end_ms);
        leases.chain(release).min()
    }

    /// The session is this pod's.
    pub(super) fn add(&mut self, pod: &PodKey, session: &SessionKey, max: usize) -> Result<(), Full> {
        let pod = self.pods.get_mut(pod).expect("every call renews the lease of its pod first");
        if !pod.sessions.contains(session) && pod.sessions.len() >= max {
            return Err(Full::PodSessions(max));
        }
        pod.sessions.insert(session.clone());
        Ok(())
    }

    pub(super) fn remove(&mut self, pod: &PodKey, session: &SessionKey) {
        let Some(entry) = self.pods.get_mut(pod) else { return };
        entry.sessions.remove(session);
        entry.missing.remove(session);
        if entry.is_ended && entry.sessions.is_empty() {
            self.pods.remove(pod);
        }
    }

    pub(super) fn mark_all_missing(&mut self, pod: &PodKey) {
        if let Some(pod) = self.pods.get_mut(pod) {
            pod.missing = pod.sessions.clone();
        }
    }

    pub(super) fn unmark_missing(&mut self, pod: &PodKey, session: &SessionKey) {
        if let Some(pod) = self.pods.get_mut(pod) {
            pod.missing.remove(session);
        }
    }

    pub(super) fn take_missing(&mut self, pod: &PodKey) -> HashSet<SessionKey> {
        self.pods.get_mut(pod).map(|pod| std::mem::take(&mut pod.missing)).unwrap_or_default()
    }

    pub(super) fn missing(&self, pod: &PodKey) -> usize {
        self.pods.get(pod).map_or(0, |pod| pod.missing.len())
    }

    pub(super) fn sessions(&self, pod: &PodKey) -> usize {
        self.pods.get(pod).map_or(0, |pod| pod.sessions.len())
    }

    pub(super) fn releases_pending(&self) -> usize {
        self.releases.len()
    }

    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }
}
