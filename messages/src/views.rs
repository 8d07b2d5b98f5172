//! What this replica knows of guilds: who may do what where, as of the moment when a request came. [`private`] says it of
//! channels that are in none.
//!
//! One follower per partition applies every change of permissions to the views that are loaded. Before a request is
//! judged it waits until the follower has dealt with everything that was published when the request came
//! (`backplane.tail`), so whoever saw a permission taken away finds it taken away here. While something of the partition
//! is missing, `guilds` is asked instead of the view; if it does not answer either, nobody is let through.
//!
//! *Opening a guild*: the follower is there already; from now on changes of the guild are buffered; then the guild is
//! loaded; then what the buffer has of the guild's revision or above is applied. Store precedes publish in `guilds`, so
//! what was loaded has everything that was published before the loading began.

mod feed;
mod guild;
mod private;

use std::collections::HashMap;
use std::sync::Arc;

use backplane::{Backplane, FollowStatus, Follower, Unavailable};
use model::view::{ChannelView, GuildView, MemberView};
use model::{Channel, ChannelId, GuildId, Member, Permissions, Role, RoleId, Timestamp, UserId};
use parking_lot::Mutex;
use proto::clients::GuildsClient;
use proto::failure::code;
use proto::{Failure, FailureKind, v1};
use tasks::Spawner;
use tokio::sync::watch;

use crate::cache::Cache;
use crate::limits::{CHANNELS_CACHED_MAX, FRESH_WAIT, GUILD_VIEWS_MAX, RETRY_MS};
use crate::people::People;
use crate::place::{Person, Place};
use crate::stats::Stats;
use guild::{GuildSlot, Loaded};

pub(crate) struct Views {
    backplane: Arc<dyn Backplane>,
    guilds: GuildsClient,
    pub(crate) people: People,
    slots: Mutex<HashMap<GuildId, Arc<GuildSlot>>>,
    channels: Mutex<Cache<ChannelId, Place>>,
    /// By number of partition.
    feeds: Vec<watch::Receiver<FollowStatus>>,
    stats: Arc<Stats>,
}

/// What somebody may do in a channel of which they are allowed to know.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) place: Place,
    pub(crate) channel: ChannelView,
    pub(crate) permissions: Permissions,
    pub(crate) person: Person,
    /// Those of the roles asked for that the user may mention.
    pub(crate) roles: Vec<RoleId>,
}

impl Access {
    pub(crate) fn may(&self, permissions: Permissions) -> bool {
        self.permissions.contains(permissions)
    }

    pub(crate) fn require(&self, permissions: Permissions) -> Result<(), Failure> {
        if self.may(permissions) { Ok(()) } else { Err(self.place.forbidden()) }
    }
}

impl Views {
    /// Starts following every partition.
    pub(crate) async fn open(
        backplane: Arc<dyn Backplane>,
        guilds: GuildsClient,
        people: People,
        stats: Arc<Stats>,
        feeds: &Spawner,
    ) -> Result<Arc<Self>, Unavailable> {
        let mut followers = Vec::new();
        for partition in backplane.layout().guild_partitions() {
            followers.push(Follower::start(Arc::clone(&backplane), partition).await?);
        }
        let views = Arc::new(Self {
            backplane,
            guilds,
            people,
            slots: Mutex::default(),
            channels: Mutex::new(Cache::new(CHANNELS_CACHED_MAX)),
            feeds: followers.iter().map(Follower::status).collect(),
            stats,
        });
        for follower in followers {
            let name = format!("the feed of permissions of partition {}", follower.partition().0);
            feeds.spawn_lasting(name, feed::run(Arc::clone(&views), follower));
        }
        Ok(views)
    }

    /// What the user may do in the channel; refused to whoever may not view it. `roles` are those that
    /// the user would mention.
    pub(crate) async fn access(
        &self,
        channel: ChannelId,
        user: UserId,
        roles: &[RoleId],
        now: Timestamp,
    ) -> Result<Access, Failure> {
        let guild = match self.place_of(channel).await? {
            Place::Guild(guild) => guild,
            Place::Private(pair) => return self.private_access(pair, user).await,
        };
        if !self.is_fresh(guild).await {
            self.stats.direct_checks.add(1);
            return self.ask(guild, channel, user, roles, now).await;
        }
        let member = self.people.member(guild, user).await?;
        for _ in 0..LOAD_TRIES {
            let slot = self.loaded(guild).await?;
            if let Some(access) =
                slot.with_view(|view| judge(view, channel, user, member.clone(), roles, now))
            {
                return access;
            }
        }
        Err(Failure::unavailable("the guild changes too fast to be read: try again", RETRY_MS))
    }

    /// What the channel belongs to, which never changes.
    async fn place_of(&self, channel: ChannelId) -> Result<Place, Failure> {
        if let Some(place) = self.channels.lock().get(&channel) {
            return Ok(*place);
        }
        let place = self.people.place(channel).await?;
        self.channels.lock().insert(channel, place);
        Ok(place)
    }

    /// Whether the views of the guild's partition have everything that was published up to now.
    async fn is_fresh(&self, guild: GuildId) -> bool {
        let partition = self.backplane.layout().guild(guild);
        let tail = self.backplane.tail(partition);
        let is_current = |status: &FollowStatus| status.seen >= tail && !status.gap_open;
        let Some(feed) = self.feeds.get(usize::from(partition.0)) else { return false };
        if is_current(&feed.borrow()) {
            return feed.has_changed().is_ok();
        }
        let mut feed = feed.clone();
        let waited = tokio::time::timeout(FRESH_WAIT, feed.wait_for(is_current)).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// Judges by what `guilds` says at this moment.
    async fn ask(
        &self,
        guild: GuildId,
        channel: ChannelId,
        user: UserId,
        roles: &[RoleId],
        now: Timestamp,
    ) -> Result<Access, Failure> {
        let unavailable = |failure: Failure| match failure.kind {
            FailureKind::NotFound => failure,
            _ => Failure::unavailable(
                "permissions can't be checked now, nothing was done: try again",
                RETRY_MS,
            ),
        };
        let view = self.load(guild).await.map_err(unavailable)?;
        let mut members = self.people.fetch_members(guild, &[user]).await.map_err(unavailable)?;
        judge(&view, channel, user, members.remove(&user), roles, now)
    }

    /// The guild's slot with its view loaded, by one caller for all who wait.
    async fn loaded(&self, guild: GuildId) -> Result<Arc<GuildSlot>, Failure> {
        let slot = self.slot(guild);
        if slot.is_loaded() {
            return Ok(slot);
        }
        let alone = slot.loading.lock().await;
        for _ in 0..LOAD_TRIES {
            if slot.is_loaded() {
                break;
            }
            slot.begin();
            let loaded = self.load(guild).await;
            if slot.end(loaded)? == Loaded::Ready {
                self.stats.guilds_loaded.add(1);
            }
        }
        drop(alone);
        Ok(slot)
    }

    fn slot(&self, guild: GuildId) -> Arc<GuildSlot> {
        let mut slots = self.slots.lock();
        if slots.len() >= GUILD_VIEWS_MAX && !slots.contains_key(&guild) {
            slots.retain(|_, slot| slot.was_used());
        }
        let slot = slots.entry(guild).or_default();
        slot.use_now();
        Arc::clone(slot)
    }

    async fn load(&self, guild: GuildId) -> Result<GuildView, Failure> {
        let request = v1::GetGuildRequest { guild_id: guild.get(), reader_id: None };
        let details = self.guilds.clone().get_guild(request).await.map_err(Failure::from);
        // A guild that is gone has taken its channels with it.
        let details = details.map_err(|failure| match failure.kind {
            FailureKind::NotFound => unknown_channel(),
            _ => failure,
        })?;
        view_of(details.into_inner())
            .map_err(|error| Failure::internal(format!("the directory's answer: {error}")))
    }
}

fn view_of(details: v1::GuildDetails) -> Result<GuildView, proto::Malformed> {
    let guild: model::Guild = proto::convert::required("details.guild", details.guild)?.try_into()?;
    let roles: Vec<Role> = proto::convert::all(details.roles)?;
    let channels: Vec<Channel> = proto::convert::all(details.channels)?;
    Ok(GuildView::new(guild.id, guild.owner_id, guild.revision, &roles, &channels))
}

fn judge(
    view: &GuildView,
    channel_id: ChannelId,
    user: UserId,
    member: Option<Arc<Member>>,
    roles: &[RoleId],
    now: Timestamp,
) -> Result<Access, Failure> {
    let channel = view.channels.get(&channel_id).ok_or_else(unknown_channel)?;
    let member = member.ok_or_else(Failure::missing_access)?;
    let permissions = view.in_channel(user, &MemberView::from(&*member), channel_id, now);
    if !permissions.contains(Permissions::VIEW_CHANNEL) {
        return Err(Failure::missing_access());
    }
    let mentions_all = permissions.contains(Permissions::MENTION_EVERYONE);
    let may_mention = |role: &&RoleId| match mentions_all {
        true => view.roles.contains_key(role),
        false => view.mentionable.contains(role),
    };
    let roles = roles.iter().filter(may_mention).copied().collect();
    let (place, person) = (Place::Guild(view.id), Person::Member(member));
    Ok(Access { place, channel: channel.clone(), permissions, person, roles })
}

/// How often a view that is dropped while it is loaded is begun again.
const LOAD_TRIES: u32 = 3;

pub(crate) fn unknown_channel() -> Failure {
    Failure::unknown(code::UNKNOWN_CHANNEL, "Channel")
}
