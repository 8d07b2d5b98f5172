//! Many new users as members of one guild at once, for demos and load tests: no passwords, no events, large batches.

use async_trait::async_trait;
use model::limits::{GUILD_MEMBERS_MAX, SEED_BATCH_MEMBERS, SEED_MEMBERS_MAX, USERNAME_CHARS_MAX};
use model::{ChannelId, ChannelKind, GuildId, Member, User, UserId};
use proto::convert::id;
use proto::{Failure, v1};

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
    fields.range("members", request.members.into(), 1, SEED_MEMBERS_MAX.into());
    fields.username("prefix", &format!("{}0", request.prefix));
    fields.max_length("prefix", &request.prefix, USERNAME_CHARS_MAX - 8);
    if request.guild_id.is_none() {
        check_name(&mut fields, &request.name, None);
    }
    fields.finish()?;
    // Nobody registers meanwhile: names are taken by the hundred.
    let _names = accounts.names.lock_all().await;
    let mut members = Vec::with_capacity(request.members as usize);
    let guild_id: GuildId = match request.guild_id {
        Some(number) => id("guild_id", number)?,
        None => found(changes, &request, &mut members).await?,
    };
    while members.len() < request.members as usize {
        let count = (request.members as usize - members.len()).min(SEED_BATCH_MEMBERS);
        let batch = SeedBatch { prefix: request.prefix.clone(), count };
        members.extend(actors.change(guild_id, batch).await?);
    }
    let state = actors.state(guild_id).await?;
    let texts = state.channels.values().filter(|channel| channel.kind == ChannelKind::Text);
    let channel_id = texts.map(|channel| channel.id).min().map_or(0, ChannelId::get);
    Ok(v1::SeedGuildReply { guild_id: guild_id.get(), channel_id, members })
}

/// A new guild with its first member, who owns it.
async fn found(
    changes: &Changes,
    request: &v1::SeedGuildRequest,
    members: &mut Vec<v1::SeededMember>,
) -> Result<GuildId, Failure> {
    let mut names = Names::new(&request.prefix, 0);
    let mut draft = Draft::default();
    let user = new_user(changes, names.next(changes).await?, &mut draft, members);
    let (rows, owner) = new_guild(changes, request.name.trim(), None, user);
    let stored = store_new_guild(changes, &rows, owner, draft).await?;
    changes.publish(stored).await?;
    Ok(rows.guild.id)
}

struct SeedBatch {
    prefix: String,
    count: usize,
}

#[async_trait]
impl Command for SeedBatch {
    type Reply = Vec<v1::SeededMember>;

    async fn run(self, at: &mut Change<'_>) -> Result<Self::Reply, Failure> {
        if at.guild.member_count + self.count as u64 > GUILD_MEMBERS_MAX {
            return Err(too_many_members());
        }
        // Without events there is no revision either: nobody is told of this one.
        at.guild.revision = at.state.guild.revision;
        let mut names = Names::new(&self.prefix, at.guild.member_count);
        let mut seeded = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            let mut draft = Draft::default();
            let user = new_user(at.changes, names.next(at.changes).await?, &mut draft, &mut seeded);
            draft.writes.into_iter().for_each(|write| at.write(write));
            let mut member = Member::new(at.guild.id, user, at.now);
            member.revision = at.guild.revision;
            at.write(Write::PutMember(Box::new(member), None));
            at.guild.member_count += 1;
        }
        Ok(seeded)
    }
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

fn new_user(changes: &Changes, name: String, draft: &mut Draft, seeded: &mut Vec<v1::SeededMember>) -> User {
    let user_id: UserId = changes.ledger.next_id();
    let token = NewToken::make(&changes.ledger, user_id, changes.now().ms());
    draft.writes.push(Write::PutUsername(lower(&name), user_id));
    let user = User::new(user_id, name, false);
    draft.writes.push(Write::PutUser(user.clone()));
    draft.writes.push(Write::PutToken(token.row));
    seeded.push(v1::SeededMember { id: user_id.get(), token: token.text });
    user
}
