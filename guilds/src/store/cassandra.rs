//! The directory's rows in Cassandra.
//!
//! A change is one logged batch under the lease of its guild's or user's slot (see [`LeasedWrites`]), with its outbox row:
//! all of it or nothing, and of what two owners wrote the later one's stays. Every row belongs to the slot of the guild or
//! user that it speaks of. Names are the exception: they are unique over all slots, so they are claimed by conditional
//! writes before the batch, and freed after it (see `names`).

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use model::clock::SharedClock;
use model::{ApplicationId, ChannelId, GuildId, Invite, Member, Pair, User, UserId};
use prost::Message;
use proto::v1;
use storage::cassandra::{
    Cassandra, CassandraOutbox, CassandraSweepError, ConnectError, LeasedWriteError, LeasedWrites, ReadError,
    WriteError,
};
use storage::{Epoch, Lease, OutboxStore, Pass, Republish, Scope, Slot, SlotSet, Watermark};

use self::read::{id, limit, number, slot_number, year};
use self::statements::{Conditional, Reads, Serial, Writes};
use super::rows::decode;
use super::{Commit, DirectoryStore, GuildRows, PrivatePlace, StoreError, TokenHash, TokenRow, Write};

mod names;
mod read;
mod statements;
mod tables;
mod write;

pub use tables::SCHEMA;

/// The directory's rows on [`Cassandra`].
pub struct CassandraStore {
    cassandra: Arc<Cassandra>,
    leased: Arc<LeasedWrites>,
    outbox: CassandraOutbox,
    clock: SharedClock,
    reads: Reads,
    writes: Writes,
    conditional: Conditional,
    serial: Serial,
}

impl CassandraStore {
    /// On this session, whose tables have to be there; with the process's one way to write.
    pub async fn prepare(
        cassandra: &Arc<Cassandra>,
        leased: Arc<LeasedWrites>,
        clock: SharedClock,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            outbox: CassandraOutbox::prepare(cassandra).await?,
            reads: Reads::prepare(cassandra).await?,
            writes: Writes::prepare(cassandra).await?,
            conditional: Conditional::prepare(cassandra).await?,
            serial: Serial::prepare(cassandra).await?,
            cassandra: cassandra.clone(),
            leased,
            clock,
        })
    }
}

#[async_trait]
impl DirectoryStore for CassandraStore {
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.value::<v1::User, _>(&self.reads.user, (number(id),)).await
    }

    async fn user_named(&self, lower: &str) -> Result<Option<UserId>, StoreError> {
        let Some((user,)) = self.cassandra.first::<(i64,)>(&self.reads.username, (lower,)).await? else {
            return Ok(None);
        };
        if self.bears(user, lower).await? { id(user).map(Some) } else { Ok(None) }
    }

    async fn password(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let row = self.cassandra.first::<(String,)>(&self.reads.password, (number(user),)).await?;
        Ok(row.map(|(phc,)| phc))
    }

    async fn token(&self, hash: &TokenHash) -> Result<Option<TokenRow>, StoreError> {
        let row = self.cassandra.first::<(i64, i64, i64)>(&self.reads.token, (&hash[..],)).await?;
        row.map(|(token_id, user, created)| read::token(hash, token_id, user, created)).transpose()
    }

    async fn tokens_of(&self, user: UserId) -> Result<Vec<TokenRow>, StoreError> {
        let rows =
            self.cassandra.all::<(i64, Vec<u8>, i64)>(&self.reads.tokens_of_user, (number(user),)).await?;
        let token = |(id, hash, created): (i64, Vec<u8>, i64)| read::token(&hash, id, number(user), created);
        rows.into_iter().map(token).collect()
    }

    async fn token_by_id(&self, token_id: u64) -> Result<Option<TokenRow>, StoreError> {
        let token_id = token_id.cast_signed();
        let row = self.cassandra.first::<(Vec<u8>, i64, i64)>(&self.reads.token_by_id, (token_id,)).await?;
        row.map(|(hash, user, created)| read::token(&hash, token_id, user, created)).transpose()
    }

    async fn application(&self, id: ApplicationId) -> Result<Option<v1::Application>, StoreError> {
        let row = self.cassandra.first::<(Vec<u8>,)>(&self.reads.application, (number(id),)).await?;
        let application = row.map(|(value,)| v1::Application::decode(value.as_slice())).transpose();
        application.map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    async fn applications_of(&self, owner: UserId) -> Result<Vec<v1::Application>, StoreError> {
        let mut applications = Vec::new();
        for (found,) in
            self.cassandra.all::<(i64,)>(&self.reads.applications_of_owner, (number(owner),)).await?
        {
            applications.extend(self.application(id(found)?).await?);
        }
        Ok(applications)
    }

    async fn refresh_of(&self, user: UserId) -> Result<Option<u64>, StoreError> {
        let place = (slot_number(Slot::of(user.get())), number(user));
        let row = self.cassandra.first::<(i64,)>(&self.reads.refresh, place).await?;
        Ok(row.map(|(edit,)| edit.cast_unsigned()))
    }

    async fn refreshes(
        &self,
        slot: Slot,
        after: Option<UserId>,
        rows_max: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let place = (slot_number(slot), after.map_or(0, number), limit(rows_max));
        self.ids(&self.reads.refreshes, place).await
    }

    async fn guild(&self, id: GuildId) -> Result<Option<GuildRows>, StoreError> {
        let parts = self.cassandra.all::<(i8, Vec<u8>)>(&self.reads.guild, (number(id),)).await?;
        read::guild(&parts)
    }

    async fn guild_exists(&self, id: GuildId) -> Result<bool, StoreError> {
        Ok(self.cassandra.first::<(i64,)>(&self.reads.guild_exists, (number(id),)).await?.is_some())
    }

    async fn guild_of_channel(&self, channel: ChannelId) -> Result<Option<GuildId>, StoreError> {
        let row = self.cassandra.first::<(i64,)>(&self.reads.guild_of_channel, (number(channel),)).await?;
        row.map(|(guild,)| id(guild)).transpose()
    }

    async fn deletions(
        &self,
        slot: Slot,
        after: Option<GuildId>,
        rows_max: usize,
    ) -> Result<Vec<GuildId>, StoreError> {
        let place = (slot_number(slot), after.map_or(0, number), limit(rows_max));
        self.ids(&self.reads.deletions, place).await
    }

    async fn invite(&self, code: &str) -> Result<Option<Invite>, StoreError> {
        self.value::<v1::Invite, _>(&self.reads.invite, (code,)).await
    }

    async fn invites_of(&self, guild: GuildId) -> Result<Vec<Invite>, StoreError> {
        let codes = self.cassandra.all::<(String,)>(&self.reads.invites_of_guild, (number(guild),)).await?;
        let invites: Vec<_> = codes.iter().map(|(code,)| self.invite(code)).collect();
        let found: Vec<Option<Invite>> = stream::iter(invites).buffered(READS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn member(&self, guild: GuildId, user: UserId) -> Result<Option<Member>, StoreError> {
        let place = (number(guild), year(user.get()), number(user));
        self.value::<v1::Member, _>(&self.reads.member, place).await
    }

    async fn members_after(
        &self,
        guild: GuildId,
        after: Option<UserId>,
        rows_max: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let first = after.map_or(0, |user| year(user.get()));
        let years = self.cassandra.all::<(i16,)>(&self.reads.member_years, (number(guild), first)).await?;
        let mut members = Vec::new();
        for years in years.chunks(YEARS_AT_ONCE) {
            let from = after.map_or(0, number);
            let places = years.iter().map(|(year,)| (number(guild), *year, from, limit(rows_max)));
            let reads: Vec<_> =
                places.map(|place| self.cassandra.all::<(Vec<u8>,)>(&self.reads.members, place)).collect();
            let found: Vec<_> = stream::iter(reads).buffered(YEARS_AT_ONCE).try_collect().await?;
            for (value,) in found.into_iter().flatten().take(rows_max - members.len()) {
                members.push(decode::<v1::Member, _>(&value)?);
            }
            if members.len() >= rows_max {
                break;
            }
        }
        Ok(members)
    }

    async fn search_members(
        &self,
        guild: GuildId,
        prefix: &str,
        rows_max: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let end = format!("{prefix}{}", char::MAX);
        let names_max = limit(rows_max.saturating_mul(NAMES_PER_MEMBER));
        let place = (number(guild), read::initial(prefix), prefix, end, names_max);
        let mut users: Vec<UserId> = Vec::new();
        for user in self.ids(&self.reads.names, place).await? {
            if users.len() < rows_max && !users.contains(&user) {
                users.push(user);
            }
        }
        Ok(users)
    }

    async fn guilds_after(
        &self,
        user: UserId,
        after: Option<GuildId>,
        rows_max: usize,
    ) -> Result<Vec<GuildId>, StoreError> {
        let place = (number(user), after.map_or(0, number), limit(rows_max));
        self.ids(&self.reads.guilds_of_user, place).await
    }

    async fn private_channel(&self, channel: ChannelId) -> Result<Option<Pair>, StoreError> {
        let row = self.cassandra.first::<(i64, i64)>(&self.reads.private_channel, (number(channel),)).await?;
        let Some((lower, higher)) = row else { return Ok(None) };
        Ok(Pair::new(id(lower)?, id(higher)?))
    }

    async fn private_channel_of(&self, pair: Pair) -> Result<Option<ChannelId>, StoreError> {
        let [lower, higher] = pair.users().map(number);
        let row = self.cassandra.first::<(i64,)>(&self.reads.private_channel_of, (lower, higher)).await?;
        row.map(|(channel,)| id(channel)).transpose()
    }

    async fn private_place(
        &self,
        user: UserId,
        channel: ChannelId,
    ) -> Result<Option<PrivatePlace>, StoreError> {
        let key = (number(user), number(channel));
        let row = self.cassandra.first::<(i64, i64)>(&self.reads.private_place, key).await?;
        row.map(|(other, closed_at)| read::place(user, number(channel), other, closed_at)).transpose()
    }

    async fn private_places(&self, user: UserId, rows_max: usize) -> Result<Vec<PrivatePlace>, StoreError> {
        let place = (number(user), limit(rows_max));
        let rows = self.cassandra.all::<(i64, i64, i64)>(&self.reads.private_places, place).await?;
        let place = |(channel, other, closed_at)| read::place(user, channel, other, closed_at);
        rows.into_iter().map(place).collect()
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        let mut given_up = Vec::new();
        for write in &commit.writes {
            match write {
                Write::PutUsername(name, user) => self.claim(name, *user).await?,
                Write::DeleteUsername(name, user) => {
                    let claimed_ms = self.claimed(name, *user).await?;
                    given_up.extend(claimed_ms.map(|claimed_ms| (name, *user, claimed_ms)));
                }
                _ => {}
            }
        }
        self.leased.write(lease, &self.batch(&commit)).await?;
        for (name, user, claimed_ms) in given_up {
            self.release(name, user, claimed_ms).await;
        }
        Ok(())
    }

    async fn sweep(
        &self,
        leases: &[Lease],
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), StoreError> {
        for lease in leases {
            self.outbox.sweep(lease, pass, self.clock.now_ms(), &mut *republish).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl OutboxStore for CassandraStore {
    type Error = StoreError;

    fn scope(&self) -> Scope {
        Scope::Slot
    }

    async fn put_watermark(&self, watermark: Watermark) -> Result<(), StoreError> {
        Ok(self.outbox.put_watermark(watermark).await?)
    }

    async fn prune(&self, _: SlotSet, _: Epoch, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(_) => Self::Corrupt(error.to_string()),
            ReadError::Unavailable(_) | ReadError::Page(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable(_) => Self::Unavailable(error.to_string()),
            WriteError::Refused(_) => Self::Refused(error.to_string()),
            WriteError::Unknown(_) => Self::Unknown(error.to_string()),
        }
    }
}

impl From<LeasedWriteError> for StoreError {
    fn from(error: LeasedWriteError) -> Self {
        match error {
            LeasedWriteError::NotOwner(error) => Self::Unavailable(error.to_string()),
            LeasedWriteError::Write(error) => error.into(),
        }
    }
}

impl From<CassandraSweepError> for StoreError {
    fn from(error: CassandraSweepError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A nick, a global name and a username.
const NAMES_PER_MEMBER: usize = 3;
/// Rows of one answer that are read at one time.
const READS_AT_ONCE: usize = 16;
/// Partitions of a guild's members that are read at one time.
const YEARS_AT_ONCE: usize = 4;
