//! Many new users as members of one guild at once, for demos and load tests: no passwords, no events, large batches. And
//! further guilds of the same users.
//!
//! A user's rows are written under the lease of the user's own slot, many users at a time, before their guild takes them as
//! members. One that is cut off leaves users without a guild, and is begun again with other names.

use std::collections::HashSet;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use model::limits::{
    GUILD_MEMBERS_MAX, SEED_BATCH_MEMBERS, SEED_MEMBERS_MAX, SEED_USERS_AT_ONCE, USERNAME_CHARS_MAX,
};
use model::{ChannelId, ChannelKind, GuildId, Member, User, UserId};
use proto::convert::id;
use proto::{Failure, v1};
use storage::SlotSet;

use crate::accounts::Accounts;
use crate::accounts::tokens::NewToken;
use crate::actor::Actors;
use crate::changes::{Changes, Draft};
use crate::command::{Change, Command};
use crate::guild::{check_name, new_guild, store_new_guild};
use crate::membership::too_many_members;
use crate::store::Write;
use crate::store::keys::lower;
use crate::validate::Fields;

/// Makes the guild, or goes on with it.
pub(crate) async fn seed(
    changes: &Changes,
    accounts: &Accounts,
    actors: &std::sync::Arc<Actors>,
    request: v1::SeedGuildRequest,
) -> Result<v1::SeedGuildReply, Failure> {
    let mut fields = Fields::default();
    match request.user_ids.len() {
        0 => {
            fields.range("members", request.members.into(), 1, SEED_MEMBERS_MAX.into());
            fields.username("prefix", &format!("{}0", request.prefix));
            fields.max_length("prefix", &request.prefix, USERNAME_CHARS_MAX - 8);
        }
        users => {
            fields.range("user_ids", users as u64, 1, SEED_BATCH_MEMBERS as u64);
            if request.user_ids.iter().collect::<HashSet<_>>().len() < users {
                fields.error(
                    "user_ids",
                    "SET_TYPE_CONTAINS_DUPLICATES",
                    "The set already contains this value",
                );
            }
        }
    }
    if request.guild_id.is_none() {
        check_name(&mut fields, &request.name, None);
    }
    fields.finish()?;
    if !request.user_ids.is_empty() {
        return of_users(changes, accounts, actors, &request).await;
    }
    // Nobody registers meanwhile: names are taken by the hundred.
    let _names = accounts.names.lock_all().await;
    let mut members = Vec::with_capacity(request.members as usize);
    let guild_id: GuildId = match request.guild_id {
        Some(number) => id("guild_id", number)?,
        None => found(changes, accounts, &request, &mut members).await?,
    };
    while members.len() < request.members as usize {
        let count = (request.members as usize - members.len()).min(SEED_BATCH_MEMBERS);
        let member_count = actors.state(guild_id).await?.guild.member_count;
        check_room(member_count, count)?;
        let mut names = Names::new(&request.prefix, member_count);
        let (users, seeded) = new_users(changes, accounts, &mut names, count).await?;
        actors.change(guild_id, SeedBatch(users)).await?;
        members.extend(seeded);
    }
    reply(actors, guild_id, members).await
}

/// A new guild of users who are there already.
async fn of_users(
    changes: &Changes,
    accounts: &Accounts,
    actors: &std::sync::Arc<Actors>,
    request: &v1::SeedGuildRequest,
) -> Result<v1::SeedGuildReply, Failure> {
    let mut users = Vec::with_capacity(request.user_ids.len());
    for number in &request.user_ids {
        users.push(accounts.user(id("user_ids", *number)?).await?);
    }
    let members = users.split_off(1);
    let owner = users.remove(0);
    let guild_id = new_guild_of(changes, &request.name, owner).await?;
    if !members.is_empty() {
        actors.change(guild_id, SeedBatch(members)).await?;
    }
    reply(actors, guild_id, Vec::new()).await
}

/// The guild, and its first text channel.
async fn reply(
    actors: &std::sync::Arc<Actors>,
    guild_id: GuildId,
    members: Vec<v1::SeededMember>,
) -> Result<v1::SeedGuildReply, Failure> {
    let state = actors.state(guild_id).await?;
    let texts = state.channels.values().filter(|channel| channel.kind == ChannelKind::Text);
    let channel_id = texts.map(|channel| channel.id).min().map_or(0, ChannelId::get);
    Ok(v1::SeedGuildReply { guild_id: guild_id.get(), channel_id, members })
}

/// A new guild with its first member, who owns it.
async fn found(
    changes: &Changes,
    accounts: &Accounts,
    request: &v1::SeedGuildRequest,
    members: &mut Vec<v1::SeededMember>,
) -> Result<GuildId, Failure> {
    let mut names = Names::new(&request.prefix, 0);
    let name = names.next(changes).await?;
    let (user, seeded) = new_user(changes, accounts, name).await?;
    members.push(seeded);
    new_guild_of(changes, &request.name, user).await
}

async fn new_guild_of(changes: &Changes, name: &str, owner: User) -> Result<GuildId, Failure> {
    let (rows, owner) = new_guild(changes, name.trim(), None, owner);
    let stored = store_new_guild(changes, &rows, owner, Draft::default()).await?;
    changes.publish(stored).await?;
    Ok(rows.guild.id)
}

/// Takes these as members.
struct SeedBatch(Vec<User>);

#[async_trait]
impl Command for SeedBatch {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        check_room(at.guild.member_count, self.0.len())?;
        // Without events there is no revision either: nobody is told of this one.
        at.guild.revision = at.state.guild.revision;
        for user in self.0 {
            let mut member = Member::new(at.guild.id, user, at.now);
            member.revision = at.guild.revision;
            at.write(Write::PutMember(Box::new(member), None));
            at.guild.member_count += 1;
        }
        Ok(())
    }
}

fn check_room(member_count: u64, more: usize) -> Result<(), Failure> {
    if member_count + more as u64 > GUILD_MEMBERS_MAX { Err(too_many_members()) } else { Ok(()) }
}

/// Free names: the prefix and a number.
struct Names<'a> {
    prefix: &'a str,
    number: u64,
}

impl<'a> Names<'a> {
    fn new(prefix: &'a str, number: u64) -> Self {
        Self { prefix, number }
    }

    async fn next(&mut self, changes: &Changes) -> Result<String, Failure> {
        loop {
            let name = format!("{}{}", self.prefix, self.number);
            self.number += 1;
            if changes.store.user_named(&lower(&name)).await?.is_none() {
                return Ok(name);
            }
        }
    }
}

/// So many users, some at a time.
async fn new_users(
    changes: &Changes,
    accounts: &Accounts,
    names: &mut Names<'_>,
    count: usize,
) -> Result<(Vec<User>, Vec<v1::SeededMember>), Failure> {
    let mut free = Vec::with_capacity(count);
    for _ in 0..count {
        free.push(names.next(changes).await?);
    }
    let work: Vec<_> = free.into_iter().map(|name| new_user(changes, accounts, name)).collect();
    let made: Vec<_> = stream::iter(work).buffered(SEED_USERS_AT_ONCE).try_collect().await?;
    Ok(made.into_iter().unzip())
}

/// A user with a token, written under the lease of a slot of ours.
async fn new_user(
    changes: &Changes,
    accounts: &Accounts,
    name: String,
) -> Result<(User, v1::SeededMember), Failure> {
    let user_id: UserId = changes.next_id_in(SlotSet::Users);
    let token = NewToken::make(&changes.ledger, user_id, changes.now().ms());
    let user = User::new(user_id, name, false);
    let writes = vec![
        Write::PutUsername(lower(&user.username), user_id),
        Write::PutUser(user.clone()),
        Write::PutToken(token.row),
    ];
    accounts.commit(user_id, Draft { writes, events: Vec::new() }).await?;
    Ok((user, v1::SeededMember { id: user_id.get(), token: token.text }))
}
