//! Requests as they come, checked, in the form of the table.

use std::sync::Arc;

use model::limits::{
    ACTIVITIES_BYTES_MAX, BOT_GUILDS_MAX, PRESENCE_COMPARE_MAX, PRESENCE_LIST_MAX,
    PRESENCE_SESSION_ID_BYTES_MAX,
};
use model::presence::Platform;
use model::voice::VoiceState;
use model::{GuildId, Member, UserId};
use proto::convert::{Malformed, id, ids, required};
use proto::v1;

use crate::table::{Batch, Claim, HeldVoice, ListPart, Part, PodKey, SessionGone, SessionKey, SessionUpdate};

/// What a reader asks for.
#[derive(Debug)]
pub(crate) enum Wanted {
    Users(Vec<UserId>),
    Guild { guild: GuildId, limit: usize },
}

pub(crate) fn wanted(request: &v1::GetPresencesRequest) -> Result<Wanted, Malformed> {
    if let Some(guild) = request.guild_id {
        let limit = match request.limit as usize {
            0 => PRESENCE_LIST_MAX,
            limit => limit.min(PRESENCE_LIST_MAX),
        };
        return Ok(Wanted::Guild { guild: id("guild_id", guild)?, limit });
    }
    let users = ids("user_ids", &request.user_ids)?;
    if users.len() > PRESENCE_LIST_MAX {
        return Err(Malformed::new("user_ids", "there are too many; ask in several calls"));
    }
    Ok(Wanted::Users(users))
}

pub(crate) fn digests(request: v1::ComparePresencesRequest) -> Result<Vec<(GuildId, u64)>, Malformed> {
    if request.guilds.len() > PRESENCE_COMPARE_MAX {
        return Err(Malformed::new("guilds", "there are too many; compare in several calls"));
    }
    request.guilds.into_iter().map(|of| Ok((id("guilds.guild_id", of.guild_id)?, of.digest))).collect()
}

pub(crate) fn claim(request: &v1::RenewLeaseRequest) -> Option<Claim> {
    request.session_count.map(|session_count| Claim { session_count, digest: request.digest })
}

pub(crate) fn batch(request: v1::UpdateSessionsRequest) -> Result<Batch, Malformed> {
    let list = list_part(request.list())?;
    let sessions = request.sessions.into_iter().map(session_update).collect::<Result<_, _>>()?;
    let gone = request.gone.into_iter().map(|gone| {
        let session_id = session_key("gone.session_id", &gone.session_id)?;
        Ok(SessionGone { session_id, owner_epoch: gone.owner_epoch })
    });
    let voices = request.voices.into_iter().map(held_voice).collect::<Result<_, _>>()?;
    Ok(Batch { sessions, gone: gone.collect::<Result<_, Malformed>>()?, list, voices })
}

/// The state, and the member that it is of. Who is no member any more leaves as the member that joined.
pub(crate) fn voice(
    state: Option<v1::VoiceState>,
    member: Option<v1::Member>,
) -> Result<(VoiceState, Option<Member>), Malformed> {
    let state: VoiceState = required("state", state)?.try_into()?;
    let member: Option<Member> = match member {
        None if state.channel_id.is_none() => None,
        member => Some(required("member", member)?.try_into()?),
    };
    session_key("state.session_id", &state.session_id)?;
    let is_other = |member: &Member| member.user.id != state.user_id || member.guild_id != state.guild_id;
    if member.as_ref().is_some_and(is_other) {
        return Err(Malformed::new("member", "it is not the member of the voice state"));
    }
    Ok((state, member))
}

pub(crate) fn pod_key(text: &str) -> Result<PodKey, Malformed> {
    session_key("pod", text)
}

fn list_part(part: v1::ListPart) -> Result<Option<ListPart>, Malformed> {
    let (is_first, is_last) = match part {
        v1::ListPart::None => return Ok(None),
        v1::ListPart::Whole => (true, true),
        v1::ListPart::First => (true, false),
        v1::ListPart::Next => (false, false),
        v1::ListPart::Last => (false, true),
    };
    Ok(Some(ListPart { is_first, is_last }))
}

fn held_voice(held: v1::HeldVoice) -> Result<HeldVoice, Malformed> {
    let (state, member) = voice(held.state, held.member)?;
    let member =
        member.ok_or(Malformed::new("voices.state.channel_id", "nobody holds a state of no channel"))?;
    Ok(HeldVoice { state, member })
}

fn session_update(session: v1::SessionPresence) -> Result<SessionUpdate, Malformed> {
    let status = session.status().known().ok_or(Malformed::new("sessions.status", "it is unspecified"))?;
    let platform = match session.platform {
        0 => Platform::Desktop,
        1 => Platform::Mobile,
        2 => Platform::Web,
        _ => return Err(Malformed::new("sessions.platform", "expected 0 desktop, 1 mobile or 2 web")),
    };
    if session.activities_json.len() > ACTIVITIES_BYTES_MAX {
        return Err(Malformed::new("sessions.activities_json", "it is too long"));
    }
    let mut guilds: Vec<GuildId> = ids("sessions.guild_ids", &session.guild_ids)?;
    guilds.sort_unstable();
    guilds.dedup();
    if guilds.len() > BOT_GUILDS_MAX {
        return Err(Malformed::new("sessions.guild_ids", "there are too many"));
    }
    Ok(SessionUpdate {
        owner_epoch: session.owner_epoch,
        user_id: id("sessions.user_id", session.user_id)?,
        digest: session.digest(),
        part: Part {
            session_id: session_key("sessions.session_id", &session.session_id)?,
            status,
            platform,
            activities_json: shared(session.activities_json),
            guild_ids: guilds.into(),
        },
    })
}

/// An empty text takes no memory of its own.
fn shared(text: String) -> Arc<str> {
    if text.is_empty() { Arc::default() } else { text.into() }
}

fn session_key(field: &'static str, text: &str) -> Result<SessionKey, Malformed> {
    if text.is_empty() || text.len() > PRESENCE_SESSION_ID_BYTES_MAX {
        return Err(Malformed::new(field, "expected 1 to 128 bytes"));
    }
    Ok(text.into())
}
