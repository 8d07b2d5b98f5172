//! How tables of connections and sessions grow: by an eighth, where they would double. For each entry that doubles
//! a table leaves up to one unused.

use slab::Slab;

/// Makes room for more when there is none.
pub(crate) fn reserve_some<T>(table: &mut Slab<T>) {
    if table.len() == table.capacity() {
        table.reserve_exact((table.len() / 8).max(4));
    }
}
