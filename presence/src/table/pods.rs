//! Pods, their leases and which sessions are theirs.
//!
//! A pod keeps its lease by calling. That it does not call proves nothing: the link between may be broken. So a lease ends
//! only when the roster, where pods write themselves, has been read after the lease's end and does not name the pod. That
//! proves little by itself, for a roster that was lost is empty until every pod has written itself again; so it must not
//! have named the pod for longer than that takes. While the roster can't be read, no lease ends, and the count begins anew.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::batch::{Bounds, Claim, Full, PodKey, SessionKey};

/// Releases are made in portions, this often.
const RELEASE_TICK_MS: u64 = 100;

#[derive(Debug, Default)]
pub(super) struct Pods {
    pods: FxHashMap<PodKey, Pod>,
    /// Sessions of pods whose lease has ended, in the order of their release. One that has moved or whose pod is back when
    /// its turn comes is passed over.
    releases: VecDeque<(PodKey, SessionKey)>,
    release_at_ms: u64,
    roster: Roster,
}

#[derive(Debug, Default)]
struct Pod {
    lease_end_ms: u64,
    is_ended: bool,
    /// When the roster was read first without its name, since it was named last.
    unnamed_from_ms: Option<u64>,
    /// Each with its digest.
    sessions: FxHashMap<SessionKey, u64>,
    /// The XOR of those.
    digest: u64,
    /// Those that the last list did not name.
    missing: FxHashSet<SessionKey>,
    /// It is in the middle of a list, whose beginning came here.
    is_listing: bool,
    /// It has sent the list of all its sessions.
    is_heard: bool,
    /// Its claim was another one than ours, the last time.
    has_differed: bool,
}

#[derive(Debug, Default)]
struct Roster {
    read_at_ms: Option<u64>,
    /// Pods that live, of whose sessions we know nothing or not all.
    unheard: FxHashSet<PodKey>,
}

/// What a claim comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    /// It is the same without those that the last list did not name: they have ended.
    SameWithout(FxHashSet<SessionKey>),
    /// It is something else: the pod shall send all.
    Different,
}

impl Pods {
    /// Opens or renews a lease. Answers whether the pod was unknown.
    pub(super) fn renew(&mut self, now_ms: u64, pod: &PodKey, bounds: &Bounds) -> Result<bool, Full> {
        let is_new = !self.pods.contains_key(pod);
        if is_new && self.pods.len() >= bounds.pods {
            return Err(Full::Pods(bounds.pods));
        }
        let pod = self.pods.entry(pod.clone()).or_default();
        pod.lease_end_ms = now_ms + bounds.lease_ms;
        pod.is_ended = false;
        Ok(is_new)
    }

    /// Takes what the roster says of who lives, and for how long.
    pub(super) fn read_roster(&mut self, now_ms: u64, living: impl IntoIterator<Item = (PodKey, u64)>) {
        self.roster.read_at_ms = Some(now_ms);
        self.roster.unheard.clear();
        let mut named = FxHashSet::default();
        for (name, left_ms) in living {
            named.insert(name.clone());
            let known = self.pods.get_mut(&name);
            if known.as_ref().is_none_or(|pod| !pod.is_heard) {
                self.roster.unheard.insert(name);
            }
            if let Some(pod) = known {
                pod.lease_end_ms = pod.lease_end_ms.max(now_ms + left_ms);
                pod.is_ended = false;
                pod.unnamed_from_ms = None;
            }
        }
        for (_, pod) in self.pods.iter_mut().filter(|(name, _)| !named.contains(*name)) {
            pod.unnamed_from_ms.get_or_insert(now_ms);
        }
    }

    /// The roster could not be read: it may have been lost meanwhile.
    pub(super) fn roster_failed(&mut self) {
        self.pods.values_mut().for_each(|pod| pod.unnamed_from_ms = None);
    }

    /// When the roster was read last.
    pub(super) fn roster_read_at_ms(&self) -> Option<u64> {
        self.roster.read_at_ms
    }

    /// Pods whose lease is over, as far as their calls go.
    pub(super) fn held(&self, now_ms: u64) -> usize {
        self.pods.values().filter(|pod| !pod.is_ended && pod.lease_end_ms <= now_ms).count()
    }

    /// Pods that live and have not told all of their sessions.
    pub(super) fn unheard(&self) -> usize {
        self.roster.unheard.len()
    }

    /// Ends leases, and answers which sessions are released now.
    pub(super) fn advance(&mut self, now_ms: u64, bounds: &Bounds) -> Vec<SessionKey> {
        let read_at_ms = self.roster.read_at_ms;
        for (name, pod) in &mut self.pods {
            let is_gone =
                pod.unnamed_from_ms.is_some_and(|from_ms| read_at_ms >= Some(from_ms + bounds.absence_ms));
            let is_over = is_gone && pod.lease_end_ms <= now_ms && read_at_ms >= Some(pod.lease_end_ms);
            if is_over && !pod.is_ended {
                (pod.is_ended, pod.is_heard) = (true, false);
                self.releases.extend(pod.sessions.keys().map(|session| (name.clone(), session.clone())));
            }
        }
        self.pods.retain(|_, pod| !pod.is_ended || !pod.sessions.is_empty());
        if self.releases.is_empty() || now_ms < self.release_at_ms {
            return Vec::new();
        }
        self.release_at_ms = now_ms + RELEASE_TICK_MS;
        let portion = (bounds.releases_per_sec * RELEASE_TICK_MS as usize / 1000).max(1);
        let mut released = Vec::new();
        while released.len() < portion {
            let Some((pod, session)) = self.releases.pop_front() else { break };
            if self.pods.get(&pod).is_some_and(|pod| pod.is_ended && pod.sessions.contains_key(&session)) {
                released.push(session);
            }
        }
        released
    }

    /// When a release is due, or a lease ends as far as calls go.
    pub(super) fn next_deadline(&self, now_ms: u64) -> Option<u64> {
        let release = (!self.releases.is_empty()).then_some(self.release_at_ms);
        let leases = self.pods.values().filter(|pod| !pod.is_ended && pod.lease_end_ms > now_ms);
        leases.map(|pod| pod.lease_end_ms).chain(release).min()
    }

    /// The session is this pod's, with this digest.
    pub(super) fn add(
        &mut self,
        pod: &PodKey,
        session: &SessionKey,
        digest: u64,
        max: usize,
    ) -> Result<(), Full> {
        let pod = self.pods.get_mut(pod).expect("every call renews the lease of its pod first");
        if let Some(before) = pod.sessions.get_mut(session) {
            pod.digest ^= std::mem::replace(before, digest) ^ digest;
            return Ok(());
        }
        if pod.sessions.len() >= max {
            return Err(Full::PodSessions(max));
        }
        pod.sessions.insert(session.clone(), digest);
        pod.digest ^= digest;
        Ok(())
    }

    pub(super) fn remove(&mut self, pod: &PodKey, session: &SessionKey) {
        let Some(entry) = self.pods.get_mut(pod) else { return };
        entry.digest ^= entry.sessions.remove(session).unwrap_or_default();
        entry.missing.remove(session);
        if entry.is_ended && entry.sessions.is_empty() {
            self.pods.remove(pod);
        }
    }

    /// A part of the list of all of the pod's sessions comes. False when its beginning did not come here.
    pub(super) fn list(&mut self, pod: &PodKey, is_first: bool) -> bool {
        let Some(pod) = self.pods.get_mut(pod) else { return false };
        if is_first {
            pod.missing = pod.sessions.keys().cloned().collect();
            pod.is_listing = true;
        }
        pod.is_listing
    }

    /// The session is in the list, or has said something since it began.
    pub(super) fn unmark_missing(&mut self, pod: &PodKey, session: &SessionKey) {
        if let Some(pod) = self.pods.get_mut(pod).filter(|pod| !pod.missing.is_empty()) {
            pod.missing.remove(session);
        }
    }

    /// The list is at its end.
    pub(super) fn end_list(&mut self, name: &PodKey) {
        if let Some(pod) = self.pods.get_mut(name) {
            (pod.is_listing, pod.is_heard, pod.has_differed) = (false, true, false);
            self.roster.unheard.remove(name);
        }
    }

    /// Compares what the pod believes with what is known. A difference counts when it is there twice in a row, for one may
    /// be on its way; of a pod that has not sent its list at once.
    pub(super) fn judge(&mut self, pod: &PodKey, claim: Claim) -> Verdict {
        let Some(pod) = self.pods.get_mut(pod) else { return Verdict::Different };
        let ours = Claim { session_count: pod.sessions.len() as u64, digest: pod.digest };
        let missing = pod.missing.iter().filter_map(|session| pod.sessions.get(session));
        let without = missing.fold(ours, |claim, digest| Claim {
            session_count: claim.session_count - 1,
            digest: claim.digest ^ digest,
        });
        let has_differed = std::mem::take(&mut pod.has_differed);
        if pod.is_heard && !pod.missing.is_empty() && claim == without {
            return Verdict::SameWithout(std::mem::take(&mut pod.missing));
        }
        if pod.is_heard && claim == ours {
            pod.missing.clear();
            return Verdict::Same;
        }
        pod.has_differed = true;
        if pod.is_heard && !has_differed { Verdict::Same } else { Verdict::Different }
    }

    pub(super) fn releases_pending(&self) -> usize {
        self.releases.len()
    }

    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }
}
