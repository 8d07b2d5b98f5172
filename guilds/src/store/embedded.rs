//! The rows in the embedded storage engine.
//!
//! Reads are plain calls (memtable, block cache, or one block of the disk); pages are bounded by their callers. Writes
//! become one batch with the outbox row, and share an fsync with whatever else is written at that moment.

use async_trait::async_trait;
use model::{ApplicationId, Channel, ChannelId, Guild, GuildId, Invite, Member, Pair, Role, User, UserId};
use prost::Message;
use proto::{Malformed, v1};
use std::ops::Bound;
use std::sync::Arc;
use storage::{
    Batch, CommitError, Engine, Epoch, IdFloor, Lease, Outbox, OutboxStore, Pass, Republish, Scope, Slot,
    SlotSet, SweepError, Table, Watermark,
};

use super::keys::{self, account, guild, member, private};
use super::rows::decode;
use super::{Commit, DirectoryStore, GuildRows, PrivatePlace, StoreError, TokenHash, TokenRow};

mod write;

/// Outbox rows that one call of `prune` removes at most.
const PRUNE_ROWS_MAX: usize = 1_000;

/// The directory's rows in an [`Engine`].
pub struct EmbeddedStore {
    engine: Engine,
    outbox: Outbox,
    floor: Arc<IdFloor>,
    accounts: Table,
    guilds: Table,
    members: Table,
    privates: Table,
}

// === impl EmbeddedStore ===

impl EmbeddedStore {
    /// Opens the tables, making them when they are not there. The time of the newest id is recorded in `floor`.
    pub fn open(engine: &Engine, floor: Arc<IdFloor>) -> Result<Self, storage::OpenError> {
        Ok(Self {
            engine: engine.clone(),
            outbox: Outbox::open(engine)?,
            floor,
            accounts: engine.table(keys::ACCOUNTS_TABLE)?,
            guilds: engine.table(keys::GUILDS_TABLE)?,
            members: engine.table(keys::MEMBERS_TABLE)?,
            privates: engine.table(keys::PRIVATES_TABLE)?,
        })
    }

    fn invite_row(&self, code: &str) -> Result<Option<Invite>, StoreError> {
        get::<v1::Invite, _>(&self.guilds, &keys::bytes(guild::INVITE, code.as_bytes()))
    }
}

/// The message under a key, converted.
fn get<M, T>(table: &Table, key: &[u8]) -> Result<Option<T>, StoreError>
where
    M: Message + Default,
    T: TryFrom<M, Error = Malformed>,
{
    table.get(key)?.map(|value| decode::<M, T>(&value)).transpose()
}

fn by_prefix<M, T>(table: &Table, prefix: &[u8]) -> Result<Vec<T>, StoreError>
where
    M: Message + Default,
    T: TryFrom<M, Error = Malformed>,
{
    table.prefix(prefix).map(|row| decode::<M, T>(&row?.1)).collect()
}

fn number(bytes: &[u8]) -> Result<u64, StoreError> {
    keys::last_number(bytes).ok_or_else(|| StoreError::Corrupt("a row without its number".into()))
}

fn id<T>(bytes: &[u8]) -> Result<model::Id<T>, StoreError> {
    model::Id::new(number(bytes)?).ok_or_else(|| StoreError::Corrupt("a row with the id 0".into()))
}

/// The keys with this prefix whose last number lies above `after`.
fn after(prefix: Vec<u8>, after: Option<u64>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let end = [prefix.as_slice(), &[0xff; 9]].concat();
    let start = match after {
        Some(number) => Bound::Excluded([prefix.as_slice(), &number.to_be_bytes()].concat()),
        None => Bound::Included(prefix),
    };
    (start, Bound::Excluded(end))
}

/// The ids at the end of these keys that lie in a slot. There are few others.
fn ids_in<T>(
    slot: Slot,
    rows: impl Iterator<Item = Result<storage::Row, storage::ReadError>>,
    limit: usize,
) -> Result<Vec<model::Id<T>>, StoreError> {
    let ids = rows.map(|row| id::<T>(&row?.0));
    ids.filter(|id| !matches!(id, Ok(id) if Slot::of(id.get()) != slot)).take(limit).collect()
}

fn token_row(hash: &[u8], value: &[u8]) -> Result<TokenRow, StoreError> {
    let corrupt = || StoreError::Corrupt("a token row of the wrong size".into());
    if value.len() != 24 {
        return Err(corrupt());
    }
    Ok(TokenRow {
        hash: hash.try_into().map_err(|_| corrupt())?,
        token_id: number(&value[..8])?,
        user_id: id(&value[..16])?,
        created_at_ms: number(value)?,
    })
}

fn place(user: UserId, channel: ChannelId, value: &[u8]) -> Result<PrivatePlace, StoreError> {
    let (other, closed_at) = value.split_at_checked(8).ok_or_else(wrong_size)?;
    let closed_at = model::Id::new(number(closed_at)?);
    Ok(PrivatePlace { user, channel, other: id(other)?, closed_at })
}

fn wrong_size() -> StoreError {
    StoreError::Corrupt("a row of a private channel of the wrong size".into())
}

#[async_trait]
impl DirectoryStore for EmbeddedStore {
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        get::<v1::User, _>(&self.accounts, &keys::one(account::USER, id.get()))
    }

    async fn user_named(&self, lower: &str) -> Result<Option<UserId>, StoreError> {
        let key = keys::bytes(account::USERNAME, lower.as_bytes());
        self.accounts.get(key)?.map(|value| id(&value)).transpose()
    }

    async fn password(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let value = self.accounts.get(keys::one(account::PASSWORD, user.get()))?;
        let text = value.map(String::from_utf8).transpose();
        text.map_err(|_| StoreError::Corrupt("a password row that is no text".into()))
    }

    async fn token(&self, hash: &TokenHash) -> Result<Option<TokenRow>, StoreError> {
        let value = self.accounts.get(keys::bytes(account::TOKEN, hash))?;
        value.map(|value| token_row(hash, &value)).transpose()
    }

    async fn tokens_of(&self, user: UserId) -> Result<Vec<TokenRow>, StoreError> {
        let mut tokens = Vec::new();
        for row in self.accounts.prefix(keys::one(account::TOKEN_OF_USER, user.get())) {
            let hash = row?.1;
            let value = self.accounts.get(keys::bytes(account::TOKEN, &hash))?;
            tokens.extend(value.map(|value| token_row(&hash, &value)).transpose()?);
        }
        Ok(tokens)
    }

    async fn token_by_id(&self, token_id: u64) -> Result<Option<TokenRow>, StoreError> {
        let Some(hash) = self.accounts.get(keys::one(account::TOKEN_BY_ID, token_id))? else {
            return Ok(None);
        };
        let value = self.accounts.get(keys::bytes(account::TOKEN, &hash))?;
        value.map(|value| token_row(&hash, &value)).transpose()
    }

    async fn application(&self, id: ApplicationId) -> Result<Option<v1::Application>, StoreError> {
        let value = self.accounts.get(keys::one(account::APPLICATION, id.get()))?;
        let application = value.map(|value| v1::Application::decode(value.as_slice())).transpose();
        application.map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    async fn applications_of(&self, owner: UserId) -> Result<Vec<v1::Application>, StoreError> {
        let mut applications = Vec::new();
        for row in self.accounts.prefix(keys::one(account::APPLICATION_OF_OWNER, owner.get())) {
            applications.extend(self.application(id(&row?.0)?).await?);
        }
        Ok(applications)
    }

    async fn refresh_of(&self, user: UserId) -> Result<Option<u64>, StoreError> {
        let value = self.accounts.get(keys::one(account::REFRESH, user.get()))?;
        value.map(|value| number(&value)).transpose()
    }

    async fn refreshes(
        &self,
        slot: Slot,
        last: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let range = after(vec![account::REFRESH], last.map(UserId::get));
        ids_in(slot, self.accounts.range(range), limit)
    }

    async fn guild(&self, id: GuildId) -> Result<Option<GuildRows>, StoreError> {
        let Some(guild) = get::<v1::Guild, Guild>(&self.guilds, &keys::one(guild::GUILD, id.get()))? else {
            return Ok(None);
        };
        let roles = by_prefix::<v1::Role, Role>(&self.guilds, &keys::one(guild::ROLE, id.get()))?;
        let channels = by_prefix::<v1::Channel, Channel>(&self.guilds, &keys::one(guild::CHANNEL, id.get()))?;
        Ok(Some(GuildRows { guild, roles, channels }))
    }

    async fn guild_exists(&self, id: GuildId) -> Result<bool, StoreError> {
        Ok(self.guilds.contains(keys::one(guild::GUILD, id.get()))?)
    }

    async fn guild_of_channel(&self, channel: ChannelId) -> Result<Option<GuildId>, StoreError> {
        let value = self.guilds.get(keys::one(guild::GUILD_OF_CHANNEL, channel.get()))?;
        value.map(|value| id(&value)).transpose()
    }

    async fn deletions(
        &self,
        slot: Slot,
        last: Option<GuildId>,
        limit: usize,
    ) -> Result<Vec<GuildId>, StoreError> {
        let range = after(vec![guild::DELETION], last.map(GuildId::get));
        ids_in(slot, self.guilds.range(range), limit)
    }

    async fn invite(&self, code: &str) -> Result<Option<Invite>, StoreError> {
        self.invite_row(code)
    }

    async fn invites_of(&self, guild: GuildId) -> Result<Vec<Invite>, StoreError> {
        let prefix = keys::one(guild::INVITE_OF_GUILD, guild.get());
        let mut invites = Vec::new();
        for row in self.guilds.prefix(&prefix) {
            let key = row?.0;
            let code = std::str::from_utf8(&key[prefix.len()..]);
            let code = code.map_err(|_| StoreError::Corrupt("an invite whose code is no text".into()))?;
            invites.extend(self.invite_row(code)?);
        }
        Ok(invites)
    }

    async fn member(&self, guild: GuildId, user: UserId) -> Result<Option<Member>, StoreError> {
        get::<v1::Member, _>(&self.members, &keys::two(member::MEMBER, guild.get(), user.get()))
    }

    async fn members_after(
        &self,
        guild: GuildId,
        last: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let range = after(keys::one(member::MEMBER, guild.get()), last.map(UserId::get));
        self.members.range(range).take(limit).map(|row| decode::<v1::Member, _>(&row?.1)).collect()
    }

    async fn search_members(
        &self,
        guild: GuildId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut users: Vec<UserId> = Vec::new();
        for row in self.members.prefix(keys::one_and_bytes(member::NAME, guild.get(), prefix.as_bytes())) {
            if users.len() == limit {
                break;
            }
            let user = id(&row?.0)?;
            if !users.contains(&user) {
                users.push(user);
            }
        }
        Ok(users)
    }

    async fn guilds_after(
        &self,
        user: UserId,
        last: Option<GuildId>,
        limit: usize,
    ) -> Result<Vec<GuildId>, StoreError> {
        let range = after(keys::one(member::GUILD_OF_USER, user.get()), last.map(GuildId::get));
        self.members.range(range).take(limit).map(|row| id(&row?.0)).collect()
    }

    async fn private_channel(&self, channel: ChannelId) -> Result<Option<Pair>, StoreError> {
        let value = self.privates.get(keys::one(private::USERS_OF_CHANNEL, channel.get()))?;
        let Some(value) = value else { return Ok(None) };
        let (lower, higher) = value.split_at_checked(8).ok_or_else(wrong_size)?;
        Ok(Pair::new(id(lower)?, id(higher)?))
    }

    async fn private_channel_of(&self, pair: Pair) -> Result<Option<ChannelId>, StoreError> {
        let [lower, higher] = pair.users();
        let key = keys::two(private::CHANNEL_OF_USERS, lower.get(), higher.get());
        self.privates.get(key)?.map(|value| id(&value)).transpose()
    }

    async fn private_place(
        &self,
        user: UserId,
        channel: ChannelId,
    ) -> Result<Option<PrivatePlace>, StoreError> {
        let value = self.privates.get(keys::two(private::PLACE, user.get(), channel.get()))?;
        value.map(|value| place(user, channel, &value)).transpose()
    }

    async fn private_places(&self, user: UserId, limit: usize) -> Result<Vec<PrivatePlace>, StoreError> {
        let (start, end) =
            (keys::two(private::PLACE, user.get(), 0), keys::two(private::PLACE, user.get(), u64::MAX));
        let rows = self.privates.last_in_range(start..end, limit)?;
        rows.iter().map(|(key, value)| place(user, id(key)?, value)).collect()
    }

    async fn commit(&self, _: &Lease, commit: Commit) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for write in &commit.writes {
            self.write(&mut batch, write);
        }
        if let Some(row) = &commit.outbox {
            self.outbox.put_row(&mut batch, row);
        }
        if commit.newest_id_ms > 0 {
            self.floor.record_if_due(&mut batch, commit.newest_id_ms);
        }
        Ok(self.engine.commit(batch).await?)
    }

    async fn sweep(
        &self,
        leases: &[Lease],
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), StoreError> {
        // All slots have one epoch, and are swept together.
        let (Some(lease), Pass::First) = (leases.first(), pass) else { return Ok(()) };
        match self.outbox.sweep(lease.set, lease.epoch, republish).await {
            Ok(_) => Ok(()),
            Err(SweepError::Commit(error)) => Err(error.into()),
            Err(SweepError::Outbox(error)) => Err(StoreError::Corrupt(error.to_string())),
            Err(error @ SweepError::Republish { .. }) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}

#[async_trait]
impl OutboxStore for EmbeddedStore {
    type Error = StoreError;

    fn scope(&self) -> Scope {
        Scope::Set
    }

    async fn put_watermark(&self, watermark: Watermark) -> Result<(), StoreError> {
        let Watermark { set, epoch, published_ms, .. } = watermark;
        let mut batch = Batch::new();
        self.outbox.put_watermark(&mut batch, set, epoch, published_ms);
        Ok(self.engine.commit(batch).await?)
    }

    async fn prune(&self, set: SlotSet, mine: Epoch, now_ms: u64) -> Result<bool, StoreError> {
        let report = self.outbox.prune(set, mine, now_ms, PRUNE_ROWS_MAX).await;
        Ok(report.map_err(|error| StoreError::Unavailable(error.to_string()))?.more)
    }
}

impl From<storage::ReadError> for StoreError {
    fn from(error: storage::ReadError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Batch(error) => Self::Refused(error.to_string()),
            CommitError::Closed | CommitError::Overloaded => Self::Unavailable(error.to_string()),
            CommitError::Unknown => Self::Unknown(error.to_string()),
        }
    }
}
