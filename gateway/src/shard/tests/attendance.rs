//! Who is online and who is in a voice channel, as a presence service has it: told by the gateway, published to all.
//!
//! It does what the service does as far as sessions can see it, at once: a change of presence is published in each guild in which
//! the user shows, a voice state is changed first and its events follow in their order, and sessions that end take
//! what they had with them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::presence::{Presence, Status};
use model::voice::VoiceState;
use model::{ChannelId, GuildId, UserId};
use proto::v1;

/// The state of the service.
#[derive(Debug, Default)]
pub struct Attendance {
    sessions: BTreeMap<String, v1::SessionPresence>,
    ended: BTreeSet<String>,
    /// What was published last, where that is not offline.
    shown: BTreeMap<(GuildId, UserId), Status>,
    pub voices: BTreeMap<(GuildId, UserId), VoiceState>,
    /// Changes of voice states that are still to be published.
    pub untold: VecDeque<VoiceTold>,
    /// Those that were published, with their places in the stream.
    pub told: Vec<(u64, VoiceTold)>,
    numbered: usize,
    /// How often the service was started anew, and whether it has yet to learn what there is.
    incarnation: u64,
    is_stale: bool,
}

/// A change of a voice state, as it is published.
#[derive(Debug, Clone)]
pub struct VoiceTold {
    pub number: usize,
    pub state: VoiceState,
    /// Who sees this channel is told.
    pub shown_in: ChannelId,
    pub moved_to: Option<ChannelId>,
}

/// Whether a session was told a voice server.
pub type NeedsServer = bool;

impl Attendance {
    /// Forgets everything, as a service does that is started anew. What it publishes keeps its numbers.
    pub fn restart(&mut self) {
        let (told, numbered, incarnation) =
            (std::mem::take(&mut self.told), self.numbered, self.incarnation + 1);
        *self = Self { told, numbered, incarnation, is_stale: true, ..Self::default() };
    }

    pub fn standing(&self) -> Option<v1::PresenceStanding> {
        Some(v1::PresenceStanding { incarnation: self.incarnation, stale: self.is_stale })
    }

    /// Takes what a pod says of its sessions, and answers what is to be published of it. A list tells what everybody knows.
    pub fn take(&mut self, request: v1::UpdateSessionsRequest) -> Vec<(GuildId, Presence)> {
        let list = request.list();
        for session in request.sessions {
            if !self.ended.contains(&session.session_id) {
                self.sessions.insert(session.session_id.clone(), session);
            }
        }
        for held in request.voices {
            let state = VoiceState::try_from(held.state.unwrap()).unwrap();
            self.voices.entry((state.guild_id, state.user_id)).or_insert(state);
        }
        for gone in request.gone {
            self.sessions.remove(&gone.session_id);
            self.end_voices(&gone.session_id);
            self.ended.insert(gone.session_id);
        }
        let now = self.shown_now();
        let offline = self.shown.keys().filter(|place| !now.contains_key(place));
        let mut changes: Vec<_> = offline.map(|(guild, user)| (*guild, Presence::offline(*user))).collect();
        for (place, status) in now.iter().filter(|(place, status)| self.shown.get(place) != Some(status)) {
            changes.push((place.0, Presence { status: *status, ..Presence::offline(place.1) }));
        }
        self.shown = now;
        if list == v1::ListPart::None {
            return changes;
        }
        self.is_stale &= !matches!(list, v1::ListPart::Whole | v1::ListPart::Last);
        Vec::new()
    }

    /// Where each user shows, and as what.
    fn shown_now(&self) -> BTreeMap<(GuildId, UserId), Status> {
        let mut statuses: BTreeMap<UserId, Vec<Status>> = BTreeMap::new();
        let user = |session: &v1::SessionPresence| UserId::new(session.user_id).unwrap();
        for session in self.sessions.values() {
            statuses.entry(user(session)).or_default().push(session.status().known().unwrap());
        }
        let mut shown = BTreeMap::new();
        for session in self.sessions.values() {
            let status = Status::aggregate(statuses[&user(session)].iter().copied());
            for guild in session.guild_ids.iter().filter(|_| status != Status::Offline) {
                shown.insert((GuildId::new(*guild).unwrap(), user(session)), status);
            }
        }
        shown
    }

    /// Who shows in the guild.
    pub fn presences(&self, guild: GuildId) -> BTreeMap<UserId, Status> {
        let shown = self.shown.iter().filter(|((other, _), _)| *other == guild);
        shown.map(|((_, user), status)| (*user, *status)).collect()
    }

    pub fn voices_in(&self, guild: GuildId) -> impl Iterator<Item = &VoiceState> {
        self.voices.values().filter(move |state| state.guild_id == guild)
    }

    /// Joins, moves, leaves or changes flags; `None` when the session has ended.
    pub fn set_voice(&mut self, state: VoiceState) -> Option<NeedsServer> {
        if self.ended.contains(&state.session_id) {
            return None;
        }
        let place = (state.guild_id, state.user_id);
        let before = self.voices.remove(&place);
        let Some(channel) = state.channel_id else {
            if let Some(left) = before.and_then(|before| before.channel_id) {
                self.tell(state, left, None);
            }
            return Some(false);
        };
        let is_same =
            |before: &VoiceState| before.channel_id == Some(channel) && before.session_id == state.session_id;
        let needs_server = !before.as_ref().is_some_and(is_same);
        if let Some(before) = before
            && let Some(left) = before.channel_id.filter(|left| *left != channel)
        {
            self.tell(VoiceState { channel_id: None, ..before }, left, Some(channel));
        }
        self.voices.insert(place, state.clone());
        self.tell(state, channel, None);
        Some(needs_server)
    }

    fn end_voices(&mut self, session: &str) {
        let is_its = |state: &&VoiceState| state.session_id == session;
        let ended: Vec<VoiceState> = self.voices.values().filter(is_its).cloned().collect();
        for state in ended {
            self.voices.remove(&(state.guild_id, state.user_id));
            if let Some(left) = state.channel_id {
                self.tell(VoiceState { channel_id: None, ..state }, left, None);
            }
        }
    }

    fn tell(&mut self, state: VoiceState, shown_in: ChannelId, moved_to: Option<ChannelId>) {
        let number = self.numbered;
        self.numbered += 1;
        self.untold.push_back(VoiceTold { number, state, shown_in, moved_to });
    }
}
