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
    /// Taken, and the registry was not told by whom: nobody finds who has it.
    hidden: BTreeSet<String>,
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
        let mut marked = self.0.lock();
        let why = marked.inexact.remove(session);
        if marked.hidden.contains(session) {
            marked.inexact.insert(session.to_owned(), "the registry does not know who has it");
        }
        why
    }

    /// The session is about to be taken.
    pub fn hides(&self, session: &str) {
        let mut marked = self.0.lock();
        marked.hidden.insert(session.to_owned());
        marked.inexact.entry(session.to_owned()).or_insert("the registry may not know who has it");
    }

    /// The registry knows who has it.
    pub fn is_known(&self, session: &str) {
        let mut marked = self.0.lock();
        if marked.hidden.remove(session)
            && marked.inexact.get(session).is_some_and(|why| why.starts_with("the registry"))
        {
            marked.inexact.remove(session);
        }
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
