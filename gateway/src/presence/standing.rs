//! How things are between this pod and one replica.

use parking_lot::Mutex;
use proto::v1;

/// See the module. Written by the replica's keeper, read by everybody.
#[derive(Default)]
pub(super) struct Contact(Mutex<State>);

#[derive(Default)]
struct State {
    /// The last call failed: until one succeeds, readers don't ask.
    is_lost: bool,
    incarnation: Option<u64>,
    is_stale: bool,
    /// Our copies of its users may be wrong.
    is_suspect: bool,
}

impl Contact {
    /// A call failed. Answers whether that is news.
    pub(super) fn lose(&self) -> bool {
        let mut state = self.0.lock();
        state.is_suspect = true;
        !std::mem::replace(&mut state.is_lost, true)
    }

    /// A call was answered. Answers whether it was by another replica than before, which knows nothing of us.
    pub(super) fn hear(&self, standing: Option<v1::PresenceStanding>) -> bool {
        let mut state = self.0.lock();
        state.is_lost = false;
        let Some(standing) = standing else { return false };
        // What it said while it did not know everything may have been copied.
        state.is_suspect |= state.is_stale && !standing.stale;
        state.is_stale = standing.stale;
        let before = state.incarnation.replace(standing.incarnation);
        let is_another = before.is_some_and(|before| before != standing.incarnation);
        state.is_suspect |= is_another;
        is_another
    }

    /// Our copies of its users may be wrong.
    pub(super) fn suspect(&self) {
        self.0.lock().is_suspect = true;
    }

    /// Whether copies can be compared now, and have to be. Then they count as compared.
    pub(super) fn take_suspicion(&self) -> bool {
        let mut state = self.0.lock();
        let may_compare = !state.is_lost && !state.is_stale;
        may_compare && std::mem::take(&mut state.is_suspect)
    }

    /// The same without taking it.
    pub(super) fn needs_comparison(&self) -> bool {
        let state = self.0.lock();
        state.is_suspect && !state.is_lost && !state.is_stale
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.lock().is_lost
    }

    /// Whether it may know more before long than it does now.
    pub(super) fn is_unsettled(&self) -> bool {
        let state = self.0.lock();
        state.is_lost || state.is_stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(incarnation: u64, stale: bool) -> Option<v1::PresenceStanding> {
        Some(v1::PresenceStanding { incarnation, stale })
    }

    #[test]
    fn copies_are_compared_after_a_loss_once_the_replica_knows_everything() {
        let contact = Contact::default();
        assert!(!contact.hear(standing(1, false)) && !contact.take_suspicion(), "the first word");
        assert!(contact.lose() && !contact.lose());
        assert!(!contact.take_suspicion(), "it can't be asked");
        assert!(!contact.hear(standing(1, true)) && !contact.take_suspicion(), "it does not know");
        assert!(!contact.hear(standing(1, false)) && contact.needs_comparison());
        assert!(contact.take_suspicion() && !contact.take_suspicion());
        assert!(contact.hear(standing(2, false)) && contact.take_suspicion(), "another one");
    }
}
