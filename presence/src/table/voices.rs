//! Voice states: one for each member that is in a voice channel, held by the session that joined.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::voice::VoiceState;
use model::{ChannelId, GuildId, Member, UserId};
use rustc_hash::FxHashMap;

use super::SessionKey;

/// A voice state to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceChange {
    pub state: VoiceState,
    pub member: Arc<Member>,
    /// Who may see this channel may see the event: the state's channel, or the one that was left.
    pub channel_id: ChannelId,
}

/// What an update came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceOutcome {
    /// `None` for a leave of somebody who was nowhere.
    pub change: Option<VoiceChange>,
    /// To be published before it: whoever sees the channel that was left, and not the new one, is told nothing else.
    pub left: Option<VoiceChange>,
    /// The session joined or moved, so it needs a voice server.
    pub needs_server: bool,
}

/// All voice states.
#[derive(Debug, Default)]
pub struct Voices {
    guilds: FxHashMap<GuildId, BTreeMap<UserId, Held>>,
    sessions: FxHashMap<SessionKey, BTreeSet<(GuildId, UserId)>>,
    count: usize,
}

#[derive(Debug)]
struct Held {
    state: VoiceState,
    session: SessionKey,
    channel_id: ChannelId,
    member: Arc<Member>,
}

impl Voices {
    /// Joins, moves, leaves or changes flags. The state of another session of the same user is replaced, and a user may
    /// leave with any session: a bot that was restarted can leave a channel that its earlier session joined.
    pub fn set(
        &mut self,
        session: SessionKey,
        state: VoiceState,
        member: Option<Arc<Member>>,
    ) -> VoiceOutcome {
        let before = self.remove(state.guild_id, state.user_id);
        let (Some(channel_id), Some(member)) = (state.channel_id, member.clone()) else {
            let change = before.map(|held| VoiceChange {
                state: VoiceState { channel_id: None, ..state },
                member: member.unwrap_or(held.member),
                channel_id: held.channel_id,
            });
            return VoiceOutcome { change, left: None, needs_server: false };
        };
        let stays = |held: &Held| held.channel_id == channel_id;
        let needs_server = before.as_ref().is_none_or(|held| !stays(held) || held.session != session);
        let left = before.filter(|held| !stays(held)).map(|held| VoiceChange {
            state: VoiceState { channel_id: None, ..held.state },
            member: member.clone(),
            channel_id: held.channel_id,
        });
        let place = (state.guild_id, state.user_id);
        self.sessions.entry(session.clone()).or_default().insert(place);
        let held = Held { state: state.clone(), session, channel_id, member: member.clone() };
        self.guilds.entry(place.0).or_default().insert(place.1, held);
        self.count += 1;
        VoiceOutcome { change: Some(VoiceChange { state, member, channel_id }), left, needs_server }
    }

    /// The session has ended: what it held is left.
    pub fn end_session(&mut self, session: &SessionKey) -> Vec<VoiceChange> {
        let places = self.sessions.get(session).cloned().unwrap_or_default();
        let held = places.into_iter().filter_map(|(guild, user)| self.remove(guild, user));
        held.map(|held| VoiceChange {
            state: VoiceState { channel_id: None, ..held.state },
            member: held.member,
            channel_id: held.channel_id,
        })
        .collect()
    }

    pub fn list(&self, guild: GuildId) -> impl Iterator<Item = &VoiceState> {
        self.guilds.get(&guild).into_iter().flat_map(BTreeMap::values).map(|held| &held.state)
    }

    pub fn holds(&self, guild: GuildId, user: UserId) -> bool {
        self.guilds.get(&guild).is_some_and(|users| users.contains_key(&user))
    }

    pub fn count(&self) -> usize {
        self.count
    }

    fn remove(&mut self, guild: GuildId, user: UserId) -> Option<Held> {
        let users = self.guilds.get_mut(&guild)?;
        let held = users.remove(&user)?;
        if users.is_empty() {
            self.guilds.remove(&guild);
        }
        if let Some(places) = self.sessions.get_mut(&held.session) {
            places.remove(&(guild, user));
            if places.is_empty() {
                self.sessions.remove(&held.session);
            }
        }
        self.count -= 1;
        Some(held)
    }
}
