//! Reading: get, and scans in both directions.

use std::{fmt, ops::RangeBounds};

/// One table of the database. Clones are cheap and share it. All calls are synchronous (see the module above).
#[derive(Clone)]
pub struct Table {
    keyspace: fjall::Keyspace,
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Rows in key order, a consistent view as of the call that made it. `rev()` reads backward, `take(n)` bounds.
/// It keeps old versions of rows alive: do not hold one for longer than a request.
pub struct Rows {
    iter: fjall::Iter,
    table: String,
}

/// A read that failed: the disk, or a block that does not match its checksum.
#[derive(Debug, thiserror::Error)]
#[error("read table {table}: {source}; check the disk, or restore the data directory from a backup")]
pub struct ReadError {
    table: String,
    source: fjall::Error,
}

// === impl Table ===

impl Table {
    pub(super) fn new(keyspace: fjall::Keyspace) -> Self {
        Self { keyspace }
    }

    pub(super) fn keyspace(&self) -> &fjall::Keyspace {
        &self.keyspace
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        self.keyspace.name()
    }

    /// The value of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, ReadError> {
        let value = self.keyspace.get(key).map_err(|source| self.error(source))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Whether a key is there.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, ReadError> {
        self.keyspace.contains_key(key).map_err(|source| self.error(source))
    }

    /// All rows.
    pub fn all(&self) -> Rows {
        self.rows(self.keyspace.iter())
    }

    /// The rows whose keys begin with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Rows {
        self.rows(self.keyspace.prefix(prefix))
    }

    /// The rows whose keys lie in `range`, by the order of their bytes.
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Rows {
        self.rows(self.keyspace.range(range))
    }

    /// Up to `limit` rows whose keys begin with `prefix`, first key first.
    pub fn first_by_prefix(&self, prefix: impl AsRef<[u8]>, limit: usize) -> Result<Vec<Row>, ReadError> {
        self.prefix(prefix).take(limit).collect()
    }

    /// Up to `limit` rows whose keys begin with `prefix`, last key first.
    pub fn last_by_prefix(&self, prefix: impl AsRef<[u8]>, limit: usize) -> Result<Vec<Row>, ReadError> {
        self.prefix(prefix).rev().take(limit).collect()
    }

    /// Up to `limit` rows in `range`, first key first.
    pub fn first_in_range<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.range(range).take(limit).collect()
    }

    /// Up to `limit` rows in `range`, last key first.
    pub fn last_in_range<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        self.range(range).rev().take(limit).collect()
    }

    fn rows(&self, iter: fjall::Iter) -> Rows {
        Rows { iter, table: self.name().to_owned() }
    }

    fn error(&self, source: fjall::Error) -> ReadError {
        ReadError { table: self.name().to_owned(), source }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name()).finish_non_exhaustive()
    }
}

// === impl Rows ===

impl Rows {
    fn open(&self, guard: fjall::Guard) -> Result<Row, ReadError> {
        match guard.into_inner() {
            Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
            Err(source) => Err(ReadError { table: self.table.clone(), source }),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.iter.next().map(|guard| self.open(guard))
    }
}

impl DoubleEndedIterator for Rows {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.iter.next_back().map(|guard| self.open(guard))
    }
}
