//! This pod and the presence service: what it tells of its sessions, what it knows of everybody else.
//!
//! - [`book`] has what this pod says of its own sessions. It is the queue of changes while the service can't be reached:
//!   the last word of each session counts, so it is bounded by the number of sessions.
//! - [`keeper`] keeps one replica informed and the pod's lease alive, and sends everything again when that is asked for.
//! - [`copies`] has what others are seen as in the guilds that are open here. [`reader`] shows them where the service can't
//!   be asked.
//! - [`reconcile`] finds out, by digests, where the copies differ from what the service says, and tells the sessions.
//!
//! A user's presence belongs to one replica, by the user's id ([`replicas`]).

pub(crate) mod book;
pub(crate) mod copies;
mod events;
mod keeper;
pub(crate) mod lease;
mod reader;
mod reconcile;
mod replicas;
mod standing;

use proto::clients::PresenceClient;
use tokio::sync::Notify;

use copies::Copies;
pub(crate) use keeper::keep;
pub(crate) use reconcile::Reconciler;
use replicas::Replicas;
use standing::Contact;

/// Everything that shards ask of presence, and that keepers and the reconciler share.
pub(crate) struct Presences {
    replicas: Replicas,
    contacts: Vec<Contact>,
    pub(crate) copies: Copies,
    /// The reconciler has something to do.
    suspicion: Notify,
}

impl Presences {
    /// At least one replica.
    pub(crate) fn new(replicas: Vec<PresenceClient>) -> Self {
        let contacts = replicas.iter().map(|_| Contact::default()).collect();
        Self {
            replicas: Replicas::new(replicas),
            contacts,
            copies: Copies::default(),
            suspicion: Notify::new(),
        }
    }

    pub(crate) fn replica_count(&self) -> usize {
        self.contacts.len()
    }

    /// Events were lost: the copies of all guilds may be wrong.
    pub(crate) fn suspect_all(&self) {
        self.contacts.iter().for_each(Contact::suspect);
        self.suspicion.notify_one();
    }
}
