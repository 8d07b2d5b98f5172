//! Members and users as messages show them: asked for in one call, remembered for a while.
//!
//! A member is dropped when an event about it comes, so what permissions depend on is never older than the guild's view.
//! An answer that was under way meanwhile is used once and not kept. A name may be shown for `PEOPLE_FRESH` after its
//! user changed it: that event goes to the user's own subject, which nobody follows here.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use model::limits::MEMBERS_LIST_MAX;
use model::{ChannelId, GuildId, Id, Member, Pair, User, UserId};
use parking_lot::Mutex;
use proto::Failure;
use proto::clients::{AccountsClient, GuildsClient};
use proto::convert::numbers;
use proto::v1;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::limits::{PEOPLE_CACHED_MAX, PEOPLE_FRESH};
use crate::place::Place;
use crate::views::unknown_channel;

const STRIPES: usize = 1024;

pub(crate) struct People {
    guilds: GuildsClient,
    accounts: AccountsClient,
    known: Mutex<Known>,
}

struct Known {
    /// `None`: not a member.
    members: Cache<(GuildId, UserId), Kept<Option<Arc<Member>>>>,
    users: Cache<UserId, Kept<Option<Arc<User>>>>,
    /// Raised by events about members, by hash: whoever asked before does not keep the answer.
    changes: Box<[u32]>,
}

struct Kept<T> {
    value: T,
    since: Instant,
}

/// Users by id, as far as they exist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cast(HashMap<UserId, Arc<User>>);

impl People {
    pub(crate) fn new(guilds: GuildsClient, accounts: AccountsClient) -> Self {
        let known = Known {
            members: Cache::new(PEOPLE_CACHED_MAX),
            users: Cache::new(PEOPLE_CACHED_MAX),
            changes: vec![0; STRIPES].into(),
        };
        Self { guilds, accounts, known: Mutex::new(known) }
    }

    /// The member, or `None` if the user is none.
    pub(crate) async fn member(&self, guild: GuildId, user: UserId) -> Result<Option<Arc<Member>>, Failure> {
        let members = self.members(guild, &[user]).await?;
        Ok(members.into_values().next())
    }

    /// Those of the users who are members.
    pub(crate) async fn members(
        &self,
        guild: GuildId,
        users: &[UserId],
    ) -> Result<HashMap<UserId, Arc<Member>>, Failure> {
        let (mut found, missing, stamps) = self.known.lock().members_of(guild, users);
        if !missing.is_empty() {
            let fetched = self.fetch_members(guild, &missing).await?;
            self.known.lock().keep_members(guild, &missing, &stamps, &fetched);
            found.extend(fetched);
        }
        Ok(found)
    }

    /// The same past everything that is remembered.
    pub(crate) async fn fetch_members(
        &self,
        guild: GuildId,
        users: &[UserId],
    ) -> Result<HashMap<UserId, Arc<Member>>, Failure> {
        let mut members = HashMap::new();
        for users in users.chunks(MEMBERS_LIST_MAX) {
            let request = v1::GetMembersRequest { guild_id: guild.get(), user_ids: numbers(users) };
            let reply = self.guilds.clone().get_members(request).await.map_err(Failure::from)?.into_inner();
            for member in reply.members {
                let member = Member::try_from(member).map_err(malformed)?;
                members.insert(member.user.id, Arc::new(member));
            }
        }
        Ok(members)
    }

    /// The users with these ids, as members of the guild, if there is one, or else from the accounts.
    pub(crate) async fn cast(
        &self,
        guild: Option<GuildId>,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<Cast, Failure> {
        let ids: BTreeSet<_> = ids.into_iter().collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let members = match guild {
            Some(guild) => self.members(guild, &ids).await?,
            None => HashMap::new(),
        };
        let mut cast: HashMap<_, _> =
            members.into_iter().map(|(id, member)| (id, Arc::new(member.user.clone()))).collect();
        let others: Vec<_> = ids.into_iter().filter(|id| !cast.contains_key(id)).collect();
        if !others.is_empty() {
            cast.extend(self.users(&others).await?);
        }
        Ok(Cast(cast))
    }

    /// The user, if they exist.
    pub(crate) async fn user(&self, id: UserId) -> Result<Option<Arc<User>>, Failure> {
        Ok(self.users(&[id]).await?.into_values().next())
    }

    /// What a channel belongs to, past everything that is remembered.
    pub(crate) async fn place(&self, channel: ChannelId) -> Result<Place, Failure> {
        let request = v1::GetChannelRequest { channel_id: channel.get(), reader_id: None };
        let found = self.guilds.clone().get_channel(request).await.map_err(Failure::from)?.into_inner();
        if let Some(guild) = found.guild_id.and_then(GuildId::new) {
            return Ok(Place::Guild(guild));
        }
        let [one, other] = &found.recipients[..] else { return Err(unknown_channel()) };
        let pair = Id::new(one.id).zip(Id::new(other.id)).and_then(|(one, other)| Pair::new(one, other));
        pair.map(Place::Private).ok_or_else(unknown_channel)
    }

    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, Arc<User>>, Failure> {
        let (mut found, missing) = self.known.lock().users_of(ids);
        if missing.is_empty() {
            return Ok(found);
        }
        let request = v1::GetUsersRequest { user_ids: numbers(&missing) };
        let reply = self.accounts.clone().get_users(request).await.map_err(Failure::from)?.into_inner();
        for user in reply.users {
            let user = User::try_from(user).map_err(malformed)?;
            found.insert(user.id, Arc::new(user));
        }
        let mut known = self.known.lock();
        for id in missing {
            let value = found.get(&id).cloned();
            known.users.insert(id, Kept { value, since: Instant::now() });
        }
        drop(known);
        Ok(found)
    }

    /// The member changed, came or went.
    pub(crate) fn drop_member(&self, guild: GuildId, user: UserId) {
        let mut known = self.known.lock();
        let stripe = stripe(guild, user);
        known.changes[stripe] = known.changes[stripe].wrapping_add(1);
        known.members.remove(&(guild, user));
    }

    /// Events about members were lost.
    pub(crate) fn drop_all(&self) {
        let mut known = self.known.lock();
        known.changes.iter_mut().for_each(|change| *change = change.wrapping_add(1));
        known.members.clear();
    }
}

impl Known {
    fn members_of(
        &mut self,
        guild: GuildId,
        users: &[UserId],
    ) -> (HashMap<UserId, Arc<Member>>, Vec<UserId>, Vec<u32>) {
        let (mut found, mut missing, mut stamps) = (HashMap::new(), Vec::new(), Vec::new());
        for &user in users {
            match self.members.get(&(guild, user)).and_then(|kept| kept.if_fresh()) {
                Some(Some(member)) => {
                    found.insert(user, member);
                }
                Some(None) => {}
                None => {
                    missing.push(user);
                    stamps.push(self.changes[stripe(guild, user)]);
                }
            }
        }
        (found, missing, stamps)
    }

    fn keep_members(
        &mut self,
        guild: GuildId,
        asked: &[UserId],
        stamps: &[u32],
        fetched: &HashMap<UserId, Arc<Member>>,
    ) {
        for (&user, &stamp) in asked.iter().zip(stamps) {
            if self.changes[stripe(guild, user)] == stamp {
                let value = fetched.get(&user).cloned();
                self.members.insert((guild, user), Kept { value, since: Instant::now() });
            }
        }
    }

    fn users_of(&mut self, ids: &[UserId]) -> (HashMap<UserId, Arc<User>>, Vec<UserId>) {
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        for &id in ids {
            match self.users.get(&id).and_then(|kept| kept.if_fresh()) {
                Some(Some(user)) => {
                    found.insert(id, user);
                }
                Some(None) => {}
                None => missing.push(id),
            }
        }
        (found, missing)
    }
}

impl<T: Clone> Kept<T> {
    fn if_fresh(&self) -> Option<T> {
        (self.since.elapsed() < PEOPLE_FRESH).then(|| self.value.clone())
    }
}

impl Cast {
    /// Adds somebody who is known already.
    pub(crate) fn add(&mut self, user: &User) {
        self.0.entry(user.id).or_insert_with(|| Arc::new(user.clone()));
    }

    /// The user; a placeholder for one who does not exist any more.
    pub(crate) fn user(&self, id: UserId) -> Arc<User> {
        self.get(id).unwrap_or_else(|| Arc::new(User::new(id, "deleted_user", false)))
    }

    pub(crate) fn get(&self, id: UserId) -> Option<Arc<User>> {
        self.0.get(&id).cloned()
    }

    /// Those of the users who exist, in the order of the ids.
    pub(crate) fn users(&self, ids: &[UserId]) -> Vec<User> {
        ids.iter().filter_map(|id| self.0.get(id)).map(|user| User::clone(user)).collect()
    }
}

fn stripe(guild: GuildId, user: UserId) -> usize {
    let mut hasher = DefaultHasher::new();
    (guild, user).hash(&mut hasher);
    (hasher.finish() % STRIPES as u64) as usize
}

fn malformed(error: proto::Malformed) -> Failure {
    Failure::internal(format!("the directory's answer: {error}"))
}
