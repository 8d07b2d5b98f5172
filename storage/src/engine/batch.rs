//! What one caller wants written: puts and deletes over any tables, all or nothing.

use super::Table;
use model::limits::{STORE_BATCH_BYTES_MAX, STORE_KEY_BYTES_MAX};

/// Changes to any number of tables, in order; of two changes to one key the later holds.
#[derive(Default)]
pub struct Batch {
    pub(super) changes: Vec<Change>,
    bytes: usize,
    bad_key_len: Option<usize>,
}

pub(super) struct Change {
    pub(super) keyspace: fjall::Keyspace,
    pub(super) key: fjall::UserKey,
    /// `None` deletes the key.
    pub(super) value: Option<fjall::UserValue>,
}

/// Why a batch is refused before anything is written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Too large.
    #[error("commit: the batch has {bytes} bytes, at most {STORE_BATCH_BYTES_MAX} are allowed; split it")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// An empty or too long key.
    #[error("commit: the batch has a key of {len} bytes, 1 to {STORE_KEY_BYTES_MAX} are allowed")]
    KeyLength {
        /// Length of the first such key.
        len: usize,
    },
}

// === impl Batch ===

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(&mut self, table: &Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(table, key.as_ref(), Some(value.as_ref()));
    }

    /// Deletes a key; one that is not there is left so.
    pub fn delete(&mut self, table: &Table, key: impl AsRef<[u8]>) {
        self.push(table, key.as_ref(), None);
    }

    /// Adds all changes of another batch after these.
    pub fn append(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.bytes += other.bytes;
        self.bad_key_len = self.bad_key_len.or(other.bad_key_len);
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Keys and values together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn check(&self) -> Result<(), BatchError> {
        if let Some(len) = self.bad_key_len {
            return Err(BatchError::KeyLength { len });
        }
        if self.bytes > STORE_BATCH_BYTES_MAX {
            return Err(BatchError::TooLarge { bytes: self.bytes });
        }
        Ok(())
    }

    fn push(&mut self, table: &Table, key: &[u8], value: Option<&[u8]>) {
        if key.is_empty() || key.len() > STORE_KEY_BYTES_MAX {
            self.bad_key_len.get_or_insert(key.len());
            return;
        }
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        let keyspace = table.keyspace().clone();
        self.changes.push(Change { keyspace, key: key.into(), value: value.map(Into::into) });
    }
}
