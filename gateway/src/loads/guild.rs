//! What is loaded: the guild, the members for whom it is, who is online, who speaks.

use backplane::Subject;
use futures_util::future::join;
use model::presence::Presence;
use model::{GuildId, UserId, limits};
use proto::{Failure, FailureKind, v1};
use rustc_hash::FxHashSet;

use super::Wishes;
use crate::render::Snapshot;
use crate::services::Services;
use crate::stats::Count;

/// A guild as it was at one time.
pub(crate) struct Loaded {
    /// The last sequence of the guild's subject before anything of it was loaded.
    pub(crate) last: u64,
    /// `None` when there is no such guild, or nobody for whom it was loaded is a member.
    pub(crate) snapshot: Option<Snapshot>,
}

/// Loads it from the beginning. Members and voice states are as new as the snapshot or newer, and what is newer comes as
/// an event as well.
pub(super) async fn load(services: &Services, guild: GuildId, wishes: &Wishes) -> Result<Loaded, Failure> {
    let last = async {
        services.interest.stands(guild).await?;
        services.backplane.last(Subject::Guild(guild)).await
    };
    let last = last.await.map_err(|unavailable| Failure::unavailable(unavailable.to_string(), 1000))?;
    // Who is online and who speaks is shown if it is to be had; a guild opens without.
    let others = async {
        let presences =
            async { if wishes.with_presences { presences(services, guild).await } else { Vec::new() } };
        join(presences, services.presences.voices_in(guild)).await
    };
    let (opened, (presences, voice_states)) = join(open(services, guild, wishes), others).await;
    services.stats.guild_loads.add(1);
    let Some(opened) = opened? else { return Ok(Loaded { last, snapshot: None }) };
    let missing = missing(&opened, wishes, &voice_states);
    let found = members(services, guild, missing).await?;
    let snapshot = Snapshot::new(opened, found, presences, voice_states)?;
    Ok(Loaded { last, snapshot: Some(snapshot) })
}

/// The guild as the directory shows it to the first of the users who is a member: it tells others nothing of the members.
async fn open(
    services: &Services,
    guild: GuildId,
    wishes: &Wishes,
) -> Result<Option<v1::GuildSnapshot>, Failure> {
    for user in &wishes.users {
        let request = v1::OpenGuildRequest {
            guild_id: guild.get(),
            user_id: user.get(),
            members_max: wishes.members_max,
        };
        match services.guilds.clone().open_guild(request).await {
            Ok(reply) => {
                let opened = reply.into_inner();
                if opened.member.is_some() {
                    return Ok(Some(opened));
                }
            }
            Err(status) => {
                let failure = Failure::from(status);
                if !matches!(failure.kind, FailureKind::NotFound | FailureKind::Forbidden) {
                    return Err(failure);
                }
            }
        }
    }
    Ok(None)
}

/// Those for whom the guild is, and those in voice channels, who are always shown, if the directory has not told them yet.
fn missing(opened: &v1::GuildSnapshot, wishes: &Wishes, voice_states: &[v1::VoiceState]) -> Vec<u64> {
    let known = opened.members.iter().chain(&opened.member).filter_map(|member| member.user.as_ref());
    let known: FxHashSet<u64> = known.map(|user| user.id).collect();
    let users = wishes.users.iter().map(|user| UserId::get(*user));
    let speakers = voice_states.iter().map(|state| state.user_id).take(limits::MEMBERS_CHUNK_MAX);
    let missing: FxHashSet<u64> = users.chain(speakers).filter(|user| !known.contains(user)).collect();
    missing.into_iter().collect()
}

async fn members(services: &Services, guild: GuildId, users: Vec<u64>) -> Result<Vec<v1::Member>, Failure> {
    let mut members = Vec::with_capacity(users.len());
    for user_ids in users.chunks(limits::MEMBERS_LIST_MAX) {
        let request = v1::GetMembersRequest { guild_id: guild.get(), user_ids: user_ids.to_vec() };
        members.extend(services.guilds.clone().get_members(request).await?.into_inner().members);
    }
    Ok(members)
}

async fn presences(services: &Services, guild: GuildId) -> Vec<Presence> {
    let shown = services.presences.in_guild(guild, limits::PRESENCES_PER_GUILD_MAX).await;
    services.stats.presences_stale.add(u64::from(shown.is_stale));
    shown.presences
}
