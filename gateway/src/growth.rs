//! How tables grow: by an eighth, where they would double. For each entry that doubles a table leaves up to one unused, and
//! most tables of a guild have one or two entries, where a list would begin with four.

use slab::Slab;

/// Makes room for more when there is none.
pub(crate) fn reserve_some<T>(table: &mut Slab<T>) {
    if table.len() == table.capacity() {
        table.reserve_exact(some(table.len()));
    }
}

/// The same for a list.
pub(crate) fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(some(list.len()));
    }
}

fn some(len: usize) -> usize {
    (len / 8).max(1)
}
