//! Applies what is published on one partition to the views.

use std::sync::Arc;

use backplane::{Followed, Follower, Partition};
use model::EventKind;
use model::view::ViewChange;
use proto::Envelope;

use super::Views;

/// Runs until the backplane closes. The follower's status says "seen" of an event only when the next one is asked for,
/// so everything up to there has been applied.
pub(super) async fn run(views: Arc<Views>, mut follower: Follower) {
    while let Some(followed) = follower.next().await {
        match followed {
            Followed::Event(event) => views.apply(&event.envelope),
            Followed::Lost { .. } | Followed::NewIncarnation => views.spoil(follower.partition()),
        }
    }
}

impl Views {
    fn apply(&self, envelope: &Envelope) {
        let Some(guild) = envelope.guild_id else { return };
        if let (Some(user), true) = (envelope.user_id, is_about_member(envelope.kind)) {
            self.people.drop_member(guild, user);
        }
        let Some(change) = &envelope.view else { return };
        match change {
            ViewChange::Member { id, .. } => self.people.drop_member(guild, *id),
            ViewChange::Channel { id, after: None, .. } => self.channels.lock().remove(id),
            _ => {}
        }
        let slot = self.slots.lock().get(&guild).cloned();
        if let (Some(slot), Some(revision)) = (slot, envelope.revision) {
            slot.apply(revision, change);
        }
    }

    /// Events of the partition are lost: nothing that was built from them holds any more.
    fn spoil(&self, partition: Partition) {
        let layout = self.backplane.layout();
        self.slots
            .lock()
            .iter()
            .filter(|(guild, _)| layout.guild(**guild) == partition)
            .for_each(|(_, slot)| slot.spoil());
        self.people.drop_all();
        self.channels.lock().clear();
    }
}

fn is_about_member(kind: EventKind) -> bool {
    matches!(kind, EventKind::GuildMemberAdd | EventKind::GuildMemberUpdate | EventKind::GuildMemberRemove)
}
