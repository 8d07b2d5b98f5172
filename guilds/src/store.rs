//! The port to the directory's rows.
//!
//! Tables are laid out by query: what a call needs it finds by key or by a range of one partition, so nothing here ever
//! scans. Names for search are rows of their own, members lie by guild and by user. Not found is `Ok(None)`.
//!
//! All writes go through [`DirectoryStore::commit`]: one change, all or nothing, together with its outbox row. A write
//! names what it replaces where index rows depend on it, so an adapter never reads before it writes, and repeating a
//! commit changes nothing. Of several writes to one row in a commit the last counts.
//!
//! To add an adapter: implement [`DirectoryStore`], and run the suite of `testkit` (`conformance/directory.rs`) on it.

use async_trait::async_trait;
use model::{
    ApplicationId, Channel, ChannelId, Guild, GuildId, Invite, Member, MessageId, Pair, Role, RoleId, User,
    UserId,
};
use proto::v1;
use storage::{Lease, OutboxRow, OutboxStore, Pass, Republish, Slot};

pub mod cassandra;
pub mod embedded;
pub mod keys;
mod rows;

pub use cassandra::CassandraStore;
pub use embedded::EmbeddedStore;

/// The SHA-256 hash of a token: what is stored in its place.
pub type TokenHash = [u8; 32];

/// A token as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRow {
    pub hash: TokenHash,
    pub token_id: u64,
    pub user_id: UserId,
    pub created_at_ms: u64,
}

/// What a guild's actor holds in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuildRows {
    pub guild: Guild,
    pub roles: Vec<Role>,
    pub channels: Vec<Channel>,
}

/// A private channel as one of its users has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivatePlace {
    pub user: UserId,
    pub channel: ChannelId,
    pub other: UserId,
    /// The channel is open only if it has a newer message.
    pub closed_at: Option<MessageId>,
}

/// One row that a change writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    PutUser(User),
    /// The name in lower case, for people only: it is unique.
    PutUsername(String, UserId),
    DeleteUsername(String, UserId),
    /// In PHC form.
    PutPassword(UserId, String),
    PutToken(TokenRow),
    DeleteToken(TokenRow),
    PutApplication(v1::Application),
    /// The user's member rows have to be written again; the number is the edit that asks for it.
    PutRefresh(UserId, u64),
    DeleteRefresh(UserId),
    PutGuild(Guild),
    /// Guild, roles and channels go at once; what is left of it is removed page by page, see [`Write::EndDeletion`].
    DeleteGuild(Box<GuildRows>),
    EndDeletion(GuildId),
    PutRole(GuildId, Role),
    DeleteRole(GuildId, RoleId),
    PutChannel(Channel),
    DeleteChannel(GuildId, ChannelId),
    /// With the row that it replaces.
    PutMember(Box<Member>, Option<Box<Member>>),
    DeleteMember(Box<Member>),
    PutInvite(Invite),
    DeleteInvite(Invite),
    /// Which users the channel is of, and that it is theirs.
    PutPrivateChannel(ChannelId, Pair),
    PutPrivatePlace(PrivatePlace),
}

/// Rows and the events that tell of them: all of it or nothing is stored.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    pub writes: Vec<Write>,
    pub outbox: Option<OutboxRow>,
    /// The time of the newest id in it.
    pub newest_id_ms: u64,
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("store is unavailable and wrote nothing: {0}")]
    Unavailable(String),
    #[error("outcome of a write is unknown: {0}")]
    Unknown(String),
    #[error("store refuses the change: {0}")]
    Refused(String),
    #[error("store holds what cannot be read: {0}")]
    Corrupt(String),
    /// Somebody else has the name of a [`Write::PutUsername`]. Nothing was written.
    #[error("the name is taken")]
    NameTaken,
}

/// The rows of the directory, and the outbox of their changes.
#[async_trait]
pub trait DirectoryStore: OutboxStore<Error = StoreError> + 'static {
    // --- Accounts
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;
    /// By name in lower case.
    async fn user_named(&self, lower: &str) -> Result<Option<UserId>, StoreError>;
    async fn password(&self, user: UserId) -> Result<Option<String>, StoreError>;
    async fn token(&self, hash: &TokenHash) -> Result<Option<TokenRow>, StoreError>;
    /// The user's tokens, oldest first.
    async fn tokens_of(&self, user: UserId) -> Result<Vec<TokenRow>, StoreError>;
    /// The token's row by its id, which does not say whose it is.
    async fn token_by_id(&self, token_id: u64) -> Result<Option<TokenRow>, StoreError>;
    async fn application(&self, id: ApplicationId) -> Result<Option<v1::Application>, StoreError>;
    async fn applications_of(&self, owner: UserId) -> Result<Vec<v1::Application>, StoreError>;
    async fn refresh_of(&self, user: UserId) -> Result<Option<u64>, StoreError>;
    /// Users of a slot whose member rows have to be written again, in order of id, after a user.
    async fn refreshes(
        &self,
        slot: Slot,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;

    // --- Guilds
    async fn guild(&self, id: GuildId) -> Result<Option<GuildRows>, StoreError>;
    async fn guild_exists(&self, id: GuildId) -> Result<bool, StoreError>;
    async fn guild_of_channel(&self, channel: ChannelId) -> Result<Option<GuildId>, StoreError>;
    /// Guilds of a slot that are gone and of which rows are left, in order of id, after a guild.
    async fn deletions(
        &self,
        slot: Slot,
        after: Option<GuildId>,
        limit: usize,
    ) -> Result<Vec<GuildId>, StoreError>;
    async fn invite(&self, code: &str) -> Result<Option<Invite>, StoreError>;
    async fn invites_of(&self, guild: GuildId) -> Result<Vec<Invite>, StoreError>;

    // --- Members
    async fn member(&self, guild: GuildId, user: UserId) -> Result<Option<Member>, StoreError>;
    /// In order of user id, after a user.
    async fn members_after(
        &self,
        guild: GuildId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError>;
    /// Users of whom a name begins with this text in lower case, in order of the name.
    async fn search_members(
        &self,
        guild: GuildId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;
    /// In order of guild id, after a guild. A guild that is being deleted may still be among them.
    async fn guilds_after(
        &self,
        user: UserId,
        after: Option<GuildId>,
        limit: usize,
    ) -> Result<Vec<GuildId>, StoreError>;

    // --- Private channels
    async fn private_channel(&self, id: ChannelId) -> Result<Option<Pair>, StoreError>;
    async fn private_channel_of(&self, pair: Pair) -> Result<Option<ChannelId>, StoreError>;
    async fn private_place(
        &self,
        user: UserId,
        channel: ChannelId,
    ) -> Result<Option<PrivatePlace>, StoreError>;
    /// The user's, in descending order of channel id.
    async fn private_places(&self, user: UserId, limit: usize) -> Result<Vec<PrivatePlace>, StoreError>;

    // --- Writing
    /// Under the lease of the guild or user that it is about.
    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError>;
    /// Gives what epochs before these leases', all of one set, stored in their slots, and perhaps did not publish, to
    /// `republish`: in the late pass as what may have come too late. A store of which only one process writes has nothing
    /// late.
    async fn sweep(
        &self,
        leases: &[Lease],
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), StoreError>;
}
