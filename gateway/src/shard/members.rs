//! Op 8: members of a guild in chunks.
//!
//! Every chunk but the last has exactly 1,000 members, since one library takes a smaller one for the last. How many
//! there will be is worked out from the guild's member count, so that no more than one chunk is in memory at a time.

use model::{Intents, Member, UserId, limits};
use proto::convert;
use proto::{Failure, v1};
use serde_json::json;
use tokio::time::{Duration, Instant};
use tracing::warn;

use super::conn::ConnId;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::command::{MembersRequest, Wanted};
use crate::made::{Fresh, OwnEvent};
use crate::render::{Chunk, to_json};
use crate::services::Services;
use crate::session::{About, SessionId};
use crate::stats::Count;

/// A session that is given chunks.
struct Recipient {
    me: ShardRef,
    key: SessionKey,
    id: SessionId,
}

impl Shard {
    pub(super) fn request_members(&mut self, me: &ShardRef, conn: ConnId, mut request: MembersRequest) {
        let Some(key) = self.key_of(conn) else { return };
        let session = &self.sessions[key].session;
        if !session.guilds.is_open(request.guild_id) {
            return;
        }
        if request.wanted == Wanted::All && !session.wants(Intents::GUILD_MEMBERS) {
            return;
        }
        request.presences &= session.wants(Intents::GUILD_PRESENCES);
        let id = session.profile.id;
        if request.wanted == Wanted::All && !self.may_ask_all(key, &request) {
            return;
        }
        let recipient = Recipient { me: me.clone(), key, id };
        let services = self.services.clone();
        self.tasks.spawn(async move {
            if let Err(failure) = send_members(&services, &recipient, &request).await {
                warn!(%failure, guild = %request.guild_id, "members could not be sent");
            }
        });
    }

    /// A whole list is given once in a while only; a request that comes too soon is told when to come again.
    fn may_ask_all(&mut self, key: SessionKey, request: &MembersRequest) -> bool {
        let (now_ms, guild) = (self.services.now_ms(), request.guild_id);
        let Some(slot) = self.sessions.get_mut(key) else { return false };
        let aside = slot.aside.get_or_insert_default();
        let Err(wait_ms) = aside.ask_members(now_ms, guild) else { return true };
        let mut meta = json!({"guild_id": guild});
        if let Some(nonce) = &request.nonce {
            meta["nonce"] = json!(nonce);
        }
        let data = json!({"opcode": 8, "retry_after": wait_ms as f64 / 1000.0, "meta": meta});
        aside.wait(None, OwnEvent::new("RATE_LIMITED", data.to_string().as_bytes()));
        self.services.stats.members_refused.add(1);
        self.give_waiting(key);
        false
    }
}

async fn send_members(services: &Services, to: &Recipient, request: &MembersRequest) -> Result<(), Failure> {
    let mut guilds = services.guilds.clone();
    let guild_id = request.guild_id.get();
    match &request.wanted {
        Wanted::All => send_all(services, to, request).await,
        Wanted::Prefix { query, limit } => {
            let search = v1::SearchMembersRequest { guild_id, query: query.clone(), limit: *limit };
            let members = convert::all(guilds.search_members(search).await?.into_inner().members)?;
            to.give(services, request, &members, 0, 1, &[]).await;
            Ok(())
        }
        Wanted::Users(users) => {
            let get = v1::GetMembersRequest { guild_id, user_ids: convert::numbers(users) };
            let members: Vec<Member> = convert::all(guilds.get_members(get).await?.into_inner().members)?;
            let is_missing = |user: &&UserId| !members.iter().any(|member| member.user.id == **user);
            let not_found: Vec<UserId> = users.iter().filter(is_missing).copied().collect();
            to.give(services, request, &members, 0, 1, &not_found).await;
            Ok(())
        }
    }
}

async fn send_all(services: &Services, to: &Recipient, request: &MembersRequest) -> Result<(), Failure> {
    let size = limits::MEMBERS_CHUNK_MAX;
    let mut page = list(services, request, None).await?;
    let total = count(services, request).await?.max(page.len());
    let chunks = total.div_ceil(size).max(1);
    for index in 0..chunks {
        let after = page.last().map(|member| member.user.id);
        let is_last = index + 1 == chunks || page.len() < size;
        // Who joined or left since the count shows in the last chunk only.
        let count = if is_last { index + 1 } else { chunks };
        if !to.give(services, request, &page, index, count, &[]).await || is_last {
            return Ok(());
        }
        page = list(services, request, after).await?;
    }
    Ok(())
}

async fn count(services: &Services, request: &MembersRequest) -> Result<usize, Failure> {
    let get = v1::GetGuildRequest { guild_id: request.guild_id.get(), reader_id: None };
    let details = services.guilds.clone().get_guild(get).await?.into_inner();
    Ok(details.guild.map_or(0, |guild| guild.member_count as usize))
}

async fn list(
    services: &Services,
    request: &MembersRequest,
    after: Option<UserId>,
) -> Result<Vec<Member>, Failure> {
    let list = v1::ListMembersRequest {
        guild_id: request.guild_id.get(),
        after: after.map(u64::from),
        limit: limits::MEMBERS_CHUNK_MAX as u32,
    };
    Ok(convert::all(services.guilds.clone().list_members(list).await?.into_inner().members)?)
}

impl Recipient {
    /// Waits until the client has read most of what it was sent; false when it goes away or takes too long.
    async fn keeps_up(&self) -> bool {
        let until = Instant::now() + Duration::from_millis(limits::CHUNK_WAIT_MS);
        loop {
            {
                let mut this = self.me.borrow_mut();
                let Some(slot) = this.session(self.key, self.id) else { return false };
                if slot.conn.is_some() && this.keeps_up(self.key) {
                    return true;
                }
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives a chunk; false when the session or its guild is gone.
    async fn give(
        &self,
        services: &Services,
        request: &MembersRequest,
        members: &[Member],
        chunk_index: usize,
        chunk_count: usize,
        not_found: &[UserId],
    ) -> bool {
        let presences = if request.presences { Some(presences(services, members).await) } else { None };
        let chunk = Chunk {
            guild_id: request.guild_id,
            members,
            chunk_index,
            chunk_count,
            not_found,
            presences,
            nonce: request.nonce.as_deref(),
        };
        let chunk = Fresh::new("GUILD_MEMBERS_CHUNK", &to_json(&chunk));
        if !self.keeps_up().await {
            return false;
        }
        let mut this = self.me.borrow_mut();
        let Some(slot) = this.session(self.key, self.id) else { return false };
        // The user may have left the guild while the directory was asked or the client read.
        if !slot.session.guilds.is_open(request.guild_id) {
            return false;
        }
        this.give_own(self.key, &chunk, About::Guild(request.guild_id));
        this.flush_dirty(&self.me);
        true
    }
}

async fn presences(services: &Services, members: &[Member]) -> Vec<serde_json::Value> {
    let users: Vec<UserId> = members.iter().map(|member| member.user.id).collect();
    let shown = services.presences.of(&users).await;
    services.stats.presences_stale.add(u64::from(shown.is_stale));
    let values =
        shown.presences.iter().filter_map(|presence| serde_json::to_value(presence.object(None)).ok());
    values.collect()
}
