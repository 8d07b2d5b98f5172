//! Rows as they are read.

use model::{Channel, Guild, Id, Role, UserId};
use prost::Message;
use proto::{Malformed, v1};
use storage::Slot;
use storage::cassandra::{PreparedStatement, SerializeRow};

use super::CassandraStore;
use crate::store::rows::decode;
use crate::store::{GuildRows, PrivatePlace, StoreError, TokenRow};

/// Kinds of rows in a guild's partition. They are persisted.
pub(super) const GUILD: i8 = 1;
pub(super) const ROLE: i8 = 2;
pub(super) const CHANNEL: i8 = 3;

const YEAR_MS: u64 = 365 * 86_400_000;

impl CassandraStore {
    /// The message in the only column of the only row.
    pub(super) async fn value<M, T>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<T>, StoreError>
    where
        M: Message + Default,
        T: TryFrom<M, Error = Malformed>,
    {
        let row = self.cassandra.first::<(Vec<u8>,)>(statement, values).await?;
        row.map(|(value,)| decode::<M, T>(&value)).transpose()
    }

    pub(super) async fn ids<T>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<Id<T>>, StoreError> {
        let rows = self.cassandra.all::<(i64,)>(statement, values).await?;
        rows.into_iter().map(|(number,)| id(number)).collect()
    }
}

/// A guild of the rows of its partition, which come by kind; `None` where there is no guild.
pub(super) fn guild(parts: &[(i8, Vec<u8>)]) -> Result<Option<GuildRows>, StoreError> {
    let of_kind = |kind: i8| parts.iter().filter(move |(found, _)| *found == kind).map(|(_, value)| value);
    let Some(guild) = of_kind(GUILD).next() else { return Ok(None) };
    let guild = decode::<v1::Guild, Guild>(guild)?;
    let roles = of_kind(ROLE).map(|value| decode::<v1::Role, Role>(value)).collect::<Result<_, _>>()?;
    let channels =
        of_kind(CHANNEL).map(|value| decode::<v1::Channel, Channel>(value)).collect::<Result<_, _>>()?;
    Ok(Some(GuildRows { guild, roles, channels }))
}

pub(super) fn token(
    hash: &[u8],
    token_id: i64,
    user: i64,
    created_at_ms: i64,
) -> Result<TokenRow, StoreError> {
    let hash = hash.try_into().map_err(|_| StoreError::Corrupt("a token's hash of the wrong size".into()))?;
    let (token_id, user_id): (_, UserId) = (token_id.cast_unsigned(), id(user)?);
    Ok(TokenRow { hash, token_id, user_id, created_at_ms: created_at_ms.cast_unsigned() })
}

pub(super) fn place(
    user: UserId,
    channel: i64,
    other: i64,
    closed_at: i64,
) -> Result<PrivatePlace, StoreError> {
    let closed_at = Id::new(closed_at.cast_unsigned());
    Ok(PrivatePlace { user, channel: id(channel)?, other: id(other)?, closed_at })
}

/// An id in a statement. What callers ask for may be no id that there can be; then it is the last there can be.
pub(super) fn number<T>(id: Id<T>) -> i64 {
    i64::try_from(id.get()).unwrap_or(i64::MAX)
}

pub(super) fn id<T>(number: i64) -> Result<Id<T>, StoreError> {
    Id::new(number.cast_unsigned()).ok_or_else(|| StoreError::Corrupt("a row with the id 0".into()))
}

pub(super) fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX).max(1)
}

pub(super) fn slot_number(slot: Slot) -> i16 {
    i16::try_from(slot.get()).expect("there are 1,024 slots")
}

/// The year, counted from 1970, in which what has this id was made. It follows from the id and keeps its order.
pub(super) fn year(id: u64) -> i16 {
    i16::try_from(model::snowflake::timestamp_ms(id) / YEAR_MS).expect("snowflakes end in 2154")
}

/// What a name is found by beside the guild.
pub(super) fn initial(name: &str) -> String {
    name.chars().take(1).collect()
}
