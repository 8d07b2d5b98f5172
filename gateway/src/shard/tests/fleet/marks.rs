//! What the faults of a run have done to sessions: of which the next taking may repeat, and what of a drain is safe.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

/// See the module. By the ids of sessions.
#[derive(Default)]
pub struct Marks(Mutex<Marked>);

#[derive(Default)]
struct Marked {
    /// Each with what has happened to it.
    inexact: BTreeMap<String, &'static str>,
    /// Left in the registry by a pod that was draining, and acknowledged.
    recorded: BTreeSet<String>,
}

impl Marks {
    /// Whoever takes the session next may have to take it from a checkpoint.
    pub fn inexact(&self, session: &str, why: &'static str) {
        self.0.lock().inexact.insert(session.to_owned(), why);
    }

    /// The session has been taken: what has happened before is over.
    pub fn take_inexact(&self, session: &str) -> Option<&'static str> {
        self.0.lock().inexact.remove(session)
    }

    pub fn recorded(&self, session: &str) {
        self.0.lock().recorded.insert(session.to_owned());
    }

    pub fn is_recorded(&self, session: &str) -> bool {
        self.0.lock().recorded.contains(session)
    }

    /// The session goes on: its record is an old one.
    pub fn forget_record(&self, session: &str) {
        self.0.lock().recorded.remove(session);
    }
}
