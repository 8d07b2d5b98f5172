//! Pages of a channel, over the ten days of which it has messages.

use model::{ChannelId, Message};
use storage::cassandra::{PreparedStatement, ReadError};

use super::statements::{limit, number};
use super::{CassandraStore, bucket};
use crate::limits::BUCKETS_PER_READ;
use crate::store::embedded::keys;
use crate::store::{Page, StoreError};

/// Where to look for messages, seen from an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl CassandraStore {
    /// What [`MessageStore::list`](crate::store::MessageStore::list) answers.
    pub(super) async fn page(
        &self,
        channel: ChannelId,
        page: Page,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        match page {
            Page::Newest => self.nearest(channel, Side::Before, None, limit).await,
            Page::Before(id) => self.nearest(channel, Side::Before, Some(id.get()), limit).await,
            Page::After(id) => {
                let mut messages = self.nearest(channel, Side::After, Some(id.get()), limit).await?;
                messages.reverse();
                Ok(messages)
            }
            Page::Around(id) => {
                let older =
                    self.nearest(channel, Side::Before, Some(id.get().saturating_add(1)), limit - limit / 2);
                let newer = self.nearest(channel, Side::After, Some(id.get()), limit / 2);
                let (older, mut messages) = futures_util::future::try_join(older, newer).await?;
                messages.reverse();
                messages.extend(older);
                Ok(messages)
            }
        }
    }

    /// At most `limit` messages on one side of an id, nearest first; without an id, the last ones on that side.
    async fn nearest(
        &self,
        channel: ChannelId,
        side: Side,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let (all_ids, all_buckets) = match side {
            Side::Before => (i64::MAX, i32::MAX),
            Side::After => (0, -1),
        };
        let mut messages = Vec::new();
        let mut passed = all_buckets;
        if let Some(id) = from {
            passed = bucket(id);
            messages = self.in_bucket(channel, passed, side, number(id), limit).await?;
        }
        while messages.len() < limit {
            let buckets = self.buckets(channel, side, passed).await?;
            for bucket in &buckets {
                let left = limit - messages.len();
                messages.extend(self.in_bucket(channel, *bucket, side, all_ids, left).await?);
                if messages.len() >= limit {
                    break;
                }
            }
            match buckets.last() {
                Some(last) if buckets.len() == BUCKETS_PER_READ => passed = *last,
                _ => break,
            }
        }
        Ok(messages)
    }

    async fn in_bucket(
        &self,
        channel: ChannelId,
        bucket: i32,
        side: Side,
        from: i64,
        rows_max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        if rows_max == 0 {
            return Ok(Vec::new());
        }
        let statement = side.choose(&self.statements.before, &self.statements.after);
        let place = (number(channel.get()), bucket, from, limit(rows_max));
        let rows = self.cassandra.rows(statement, place).await?;
        let rows = rows.rows::<(i64, &[u8])>().map_err(ReadError::corrupt)?;
        rows.map(|row| {
            let (id, value) = row.map_err(ReadError::corrupt)?;
            keys::decode_message(&id.to_be_bytes(), value)
        })
        .collect()
    }

    /// The next buckets that the channel has messages of, or had.
    async fn buckets(&self, channel: ChannelId, side: Side, from: i32) -> Result<Vec<i32>, StoreError> {
        let statement = side.choose(&self.statements.buckets_before, &self.statements.buckets_after);
        let place = (number(channel.get()), from, limit(BUCKETS_PER_READ));
        let buckets = self.cassandra.all::<(i32,)>(statement, place).await?;
        Ok(buckets.into_iter().map(|(bucket,)| bucket).collect())
    }
}

impl Side {
    fn choose<'a>(
        self,
        before: &'a PreparedStatement,
        after: &'a PreparedStatement,
    ) -> &'a PreparedStatement {
        match self {
            Self::Before => before,
            Self::After => after,
        }
    }
}
