//! What one replica has been told, what it has taken, and what it has yet to be told.
//!
//! Of each session the digest of what was taken last is kept beside it (`told`): [`NEVER`] before it was sent at all,
//! [`UNKNOWN`] while it was sent and not answered for the first time. A session that ends before it was ever sent is not
//! spoken of.

use model::limits::PRESENCE_BATCH_MAX;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Page;
use super::load::Load;
use crate::session::SessionId;

/// The session was never sent.
pub(super) const NEVER: u64 = 0;
/// It was sent, and no answer came so far.
const UNKNOWN: u64 = 1;

/// What a replica has of this pod: how many sessions, and the XOR of their digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::presence) struct Claim {
    pub(in crate::presence) session_count: u64,
    pub(in crate::presence) digest: u64,
}

/// Sessions and ends under way to a replica.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::presence) struct Sent {
    /// Each with the digest of what is said.
    pub(super) sessions: Vec<(SessionId, u64)>,
    pub(super) gone: Vec<(SessionId, Gone)>,
}

/// A session that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::presence) struct Gone {
    told: u64,
    pub(super) owner_epoch: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    dirty: FxHashSet<SessionId>,
    gone: FxHashMap<SessionId, Gone>,
    claim: Claim,
    /// Sessions of which something was sent and not answered, and that have not been spoken of since.
    doubts: FxHashSet<SessionId>,
}

/// What is told of a session that is sent now.
pub(super) fn begun(told: u64) -> u64 {
    told.max(UNKNOWN)
}

impl Ledger {
    pub(super) fn change(&mut self, id: SessionId) {
        self.dirty.insert(id);
    }

    pub(super) fn remove(&mut self, id: SessionId, page: &Page) {
        self.dirty.remove(&id);
        if page.told != NEVER {
            self.gone.insert(id, Gone { told: page.told, owner_epoch: page.owner_epoch });
        }
    }

    /// Another pod says what there is to say of the session. The replica counts it as that pod's as soon as it hears of it;
    /// until then the claim differs, which is borne once.
    pub(super) fn hand_over(&mut self, id: SessionId, page: &Page) {
        self.dirty.remove(&id);
        self.doubts.remove(&id);
        self.claim = self.claim.without(page.told);
    }

    /// What to send next, as much as goes into a batch.
    pub(super) fn take(&mut self, pages: &FxHashMap<SessionId, Page>) -> Option<Sent> {
        if self.dirty.is_empty() && self.gone.is_empty() {
            return None;
        }
        let mut load = Load::default();
        let goes = |id: &SessionId| pages.get(id).is_none_or(|page| load.takes(page));
        let taken: Vec<SessionId> = self.dirty.iter().copied().take_while(goes).collect();
        for id in &taken {
            self.dirty.remove(id);
        }
        if self.dirty.is_empty() {
            self.dirty = FxHashSet::default();
        }
        let gone: Vec<_> = self.gone.iter().take(PRESENCE_BATCH_MAX).map(|(id, gone)| (*id, *gone)).collect();
        for (id, _) in &gone {
            self.gone.remove(id);
        }
        Some(Sent { sessions: taken.into_iter().map(|id| (id, NEVER)).collect(), gone })
    }

    /// These are sent in a list, whether they have changed or not.
    pub(super) fn take_listed(&mut self, ids: &[SessionId]) -> Sent {
        for id in ids {
            self.dirty.remove(id);
        }
        Sent { sessions: ids.iter().map(|id| (*id, NEVER)).collect(), gone: Vec::new() }
    }

    /// It was answered; some of the sessions were refused.
    pub(super) fn taken(
        &mut self,
        sent: Sent,
        refused: &FxHashSet<SessionId>,
        pages: &mut FxHashMap<SessionId, Page>,
    ) {
        for (id, digest) in sent.sessions {
            self.doubts.remove(&id);
            // A session that has ended meanwhile is among those that are gone.
            let told = pages.get_mut(&id).map(|page| &mut page.told);
            let Some(kept) = told.or_else(|| self.gone.get_mut(&id).map(|gone| &mut gone.told)) else {
                continue;
            };
            let before = std::mem::replace(kept, if refused.contains(&id) { UNKNOWN } else { digest });
            self.claim = self.claim.without(before).with(*kept);
        }
        for (id, gone) in sent.gone {
            self.doubts.remove(&id);
            self.claim = self.claim.without(gone.told);
        }
    }

    /// It was not answered.
    pub(super) fn put_back(&mut self, sent: Sent, pages: &FxHashMap<SessionId, Page>) {
        self.doubts.extend(sent.sessions.iter().map(|(id, _)| *id));
        self.doubts.extend(sent.gone.iter().map(|(id, _)| *id));
        self.dirty.extend(sent.sessions.into_iter().map(|(id, _)| id).filter(|id| pages.contains_key(id)));
        for (id, gone) in sent.gone {
            self.gone.entry(id).or_insert(gone);
        }
    }

    pub(super) fn claim(&self) -> Option<Claim> {
        self.doubts.is_empty().then_some(self.claim)
    }
}

impl Claim {
    fn with(self, told: u64) -> Self {
        if told <= UNKNOWN {
            return self;
        }
        Self { session_count: self.session_count + 1, digest: self.digest ^ told }
    }

    fn without(self, told: u64) -> Self {
        if told <= UNKNOWN {
            return self;
        }
        Self { session_count: self.session_count - 1, digest: self.digest ^ told }
    }
}
