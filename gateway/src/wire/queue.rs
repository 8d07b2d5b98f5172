//! The queue inside an outbox.
//!
//! Nearly always a connection has nothing pending or one frame, so the first item lives in the outbox itself and
//! only a second one allocates. When the queue runs empty the allocation goes back: an idle connection has none.

use std::collections::VecDeque;

use super::body::SharedBody;

/// One frame that waits to be written.
pub(super) struct Item {
    pub(super) body: SharedBody,
    pub(super) seq: u32,
    pub(super) kind: Kind,
}

/// What an outbox may do with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Durable,
    Ephemeral,
    Pong,
    Close,
}

/// A queue of items. `front` is empty only when `rest` is.
#[derive(Default)]
pub(super) struct Queue {
    front: Option<Item>,
    rest: VecDeque<Item>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.front.is_some()) + self.rest.len()
    }

    pub(super) fn front(&self) -> Option<&Item> {
        self.front.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Item> {
        match index {
            0 => self.front.as_mut(),
            _ => self.rest.get_mut(index - 1),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.front.iter().chain(&self.rest)
    }

    pub(super) fn push_back(&mut self, item: Item) {
        match self.front {
            None => self.front = Some(item),
            Some(_) => self.rest.push_back(item),
        }
    }

    /// Puts `item` first, or second when `behind_front` is set and there is a first.
    pub(super) fn push_ahead(&mut self, item: Item, behind_front: bool) {
        if behind_front && self.front.is_some() {
            self.rest.push_front(item);
        } else if let Some(old) = self.front.replace(item) {
            self.rest.push_front(old);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Item> {
        let next = self.rest.pop_front();
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
        std::mem::replace(&mut self.front, next)
    }

    /// Drops everything, the first item too unless `keep_front`.
    pub(super) fn clear(&mut self, keep_front: bool) {
        self.rest = VecDeque::new();
        if !keep_front {
            self.front = None;
        }
    }

    /// Keeps the items for which `keep` says so, asking oldest first; the first is not asked when `keep_front`.
    pub(super) fn retain(&mut self, keep_front: bool, mut keep: impl FnMut(&Item) -> bool) {
        let drop_front = !keep_front && self.front.as_ref().is_some_and(|item| !keep(item));
        self.rest.retain(keep);
        if drop_front {
            self.pop_front();
        }
    }

    /// Heap memory that is held, in items.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.rest.capacity()
    }
}
