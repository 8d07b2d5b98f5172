//! What this pod has told, and has yet to tell, the presence service about its sessions.
//!
//! Shards write into the book and never wait; the keeper of each replica takes what changed of the users who are its own,
//! in batches. While a replica can't be reached the book is its queue: the last word of each session counts, so it is
//! bounded by the number of sessions.
//!
//! For each replica a [`Claim`] says what it has taken: how many sessions, and the XOR of their digests. It moves with each
//! answer, so it is true whenever nothing is in doubt.

mod ledger;
mod load;

use model::presence::{Platform, Status};
use model::voice::VoiceState;
use model::{GuildId, UserId};
use parking_lot::Mutex;
use proto::v1;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::replicas::place;
use crate::session::{GuildList, SessionId};
use ledger::Ledger;
pub(super) use ledger::{Claim, Sent};
use load::Load;

/// See the module.
#[derive(Debug)]
pub(crate) struct PresenceBook {
    pages: Mutex<Pages>,
    /// One for each replica.
    changed: Vec<Notify>,
}

/// What one session says. In the form of the call it would take four times as much.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Raised each time another pod takes the session: presence refuses what comes with a lower one.
    pub(crate) owner_epoch: u64,
    pub(crate) user_id: UserId,
    pub(crate) status: Status,
    pub(crate) platform: Platform,
    /// A JSON array, or empty.
    pub(crate) activities_json: Box<str>,
    /// Guilds that the session has open.
    pub(crate) guilds: GuildList,
    /// The digest of what its replica has taken last; see [`ledger`].
    told: u64,
}

impl Page {
    /// Of a session that begins here.
    pub(crate) fn new(
        user_id: UserId,
        status: Status,
        platform: Platform,
        activities_json: Box<str>,
    ) -> Self {
        Self {
            owner_epoch: FIRST_EPOCH,
            user_id,
            status,
            platform,
            activities_json,
            guilds: GuildList::default(),
            told: ledger::NEVER,
        }
    }

    fn wire(&self, id: SessionId) -> v1::SessionPresence {
        v1::SessionPresence {
            session_id: id.to_string(),
            owner_epoch: self.owner_epoch,
            user_id: self.user_id.get(),
            status: v1::Status::from(self.status).into(),
            platform: self.platform as u32,
            activities_json: self.activities_json.to_string(),
            guild_ids: self.guilds.iter().map(GuildId::get).collect(),
        }
    }
}

#[derive(Debug)]
struct Pages {
    sessions: FxHashMap<SessionId, Page>,
    /// Voice states that sessions hold, as they were told last; few have any.
    voices: FxHashMap<SessionId, Vec<Voice>>,
    ledgers: Vec<Ledger>,
}

#[derive(Debug)]
struct Voice {
    guild: GuildId,
    held: v1::HeldVoice,
    /// Another session of the user has taken the place of this one.
    is_replaced: bool,
}

impl PresenceBook {
    /// For so many replicas, at least one.
    pub(crate) fn new(replicas: usize) -> Self {
        let ledgers = (0..replicas).map(|_| Ledger::default()).collect();
        let pages = Pages { sessions: FxHashMap::default(), voices: FxHashMap::default(), ledgers };
        Self { pages: Mutex::new(pages), changed: (0..replicas).map(|_| Notify::new()).collect() }
    }

    /// A new session's presence, from now on.
    pub(crate) fn set(&self, id: SessionId, mut page: Page) {
        let mut pages = self.pages.lock();
        page.told = pages.sessions.get(&id).map_or(ledger::NEVER, |known| known.told);
        let place = place(page.user_id, pages.ledgers.len());
        pages.sessions.insert(id, page);
        pages.ledgers[place].change(id);
        self.changed[place].notify_one();
    }

    /// Changes what is there of a session.
    pub(crate) fn update(&self, id: SessionId, change: impl FnOnce(&mut Page)) {
        let mut pages = self.pages.lock();
        let Pages { sessions, ledgers, .. } = &mut *pages;
        if let Some(page) = sessions.get_mut(&id) {
            change(page);
            let place = place(page.user_id, ledgers.len());
            ledgers[place].change(id);
            self.changed[place].notify_one();
        }
    }

    /// The session has opened a guild; one that has come from another pod names its guilds from the beginning.
    /// `list` is what it has open by now, and is shared if it is the same.
    pub(crate) fn opened(&self, id: SessionId, guild: GuildId, list: GuildList) {
        self.update(id, |page| page.guilds = page.guilds.with(guild, list));
    }

    /// The session does not have the guild any more.
    pub(crate) fn left(&self, id: SessionId, guild: GuildId, list: GuildList) {
        self.update(id, |page| page.guilds = page.guilds.without(guild, list));
    }

    /// What a session says, and the voice states that it holds.
    pub(crate) fn page(&self, id: SessionId) -> Option<(Page, Vec<v1::HeldVoice>)> {
        let pages = self.pages.lock();
        let voices = pages.voices.get(&id).into_iter().flatten().filter(|voice| !voice.is_replaced);
        Some((pages.sessions.get(&id)?.clone(), voices.map(|voice| voice.held.clone()).collect()))
    }

    /// A session has come from another pod with the voice states that it holds.
    pub(crate) fn restore(&self, id: SessionId, page: Page, voices: Vec<v1::HeldVoice>) {
        self.set(id, page);
        let guild = |held: &v1::HeldVoice| GuildId::new(held.state.as_ref()?.guild_id);
        let voices = voices
            .into_iter()
            .filter_map(|held| Some(Voice { guild: guild(&held)?, held, is_replaced: false }));
        let voices: Vec<Voice> = voices.collect();
        if !voices.is_empty() {
            self.pages.lock().voices.insert(id, voices);
        }
    }

    /// Another pod has the session, and says so itself: it is not said to have ended.
    pub(crate) fn hand_over(&self, id: SessionId) {
        let mut pages = self.pages.lock();
        pages.voices.remove(&id);
        let Some(page) = pages.sessions.remove(&id) else { return };
        let place = place(page.user_id, pages.ledgers.len());
        pages.ledgers[place].hand_over(id, &page);
    }

    /// Every session with the epoch in which it is owned.
    pub(crate) fn owned(&self) -> Vec<(SessionId, u64)> {
        self.pages.lock().sessions.iter().map(|(id, page)| (*id, page.owner_epoch)).collect()
    }

    /// The session has ended. Answers the epoch in which it did.
    pub(crate) fn remove(&self, id: SessionId) -> Option<u64> {
        let mut pages = self.pages.lock();
        pages.voices.remove(&id);
        let page = pages.sessions.remove(&id)?;
        let place = place(page.user_id, pages.ledgers.len());
        pages.ledgers[place].remove(id, &page);
        self.changed[place].notify_one();
        Some(page.owner_epoch)
    }

    /// The service has taken this voice state of a session.
    pub(super) fn set_voice(&self, state: &VoiceState, held: v1::HeldVoice) {
        let Ok(id) = state.session_id.parse::<SessionId>() else { return };
        let mut pages = self.pages.lock();
        let is_there = pages.sessions.contains_key(&id);
        let voices = pages.voices.entry(id).or_default();
        voices.retain(|voice| voice.guild != state.guild_id);
        if is_there && state.channel_id.is_some() {
            voices.push(Voice { guild: state.guild_id, held, is_replaced: false });
        }
        if voices.is_empty() {
            pages.voices.remove(&id);
        }
    }

    /// Whether it is this session by which its user is in voice in the guild, or another has taken its place.
    pub(crate) fn replace_voice(&self, id: SessionId, guild: GuildId, is_replaced: bool) {
        let mut pages = self.pages.lock();
        let voices = pages.voices.get_mut(&id).into_iter().flatten();
        voices.filter(|voice| voice.guild == guild).for_each(|voice| voice.is_replaced = is_replaced);
    }

    /// Waits until there is something to tell a replica.
    pub(super) async fn changed(&self, place: usize) {
        self.changed[place].notified().await;
    }

    /// What is to be told a replica next; `None` when it has been told everything.
    pub(super) fn batch(&self, place: usize, pod: &str) -> Option<(v1::UpdateSessionsRequest, Sent)> {
        let mut pages = self.pages.lock();
        let Pages { sessions, ledgers, .. } = &mut *pages;
        let sent = ledgers[place].take(sessions)?;
        Some(request(pod, sent, sessions))
    }

    /// Every session whose user belongs to the replica, in the parts of a list: at least one, which may be empty.
    pub(super) fn parts_of(&self, at: usize) -> Vec<Vec<SessionId>> {
        let pages = self.pages.lock();
        let own = pages.sessions.iter().filter(|(_, page)| place(page.user_id, pages.ledgers.len()) == at);
        let (mut parts, mut part, mut load) = (Vec::new(), Vec::new(), Load::default());
        for (id, page) in own {
            if !load.takes(page) {
                parts.push(std::mem::take(&mut part));
                load = Load::of(page);
            }
            part.push(*id);
        }
        parts.push(part);
        parts
    }

    /// A part of the list of all sessions.
    pub(super) fn list_part(
        &self,
        place: usize,
        pod: &str,
        ids: &[SessionId],
        part: v1::ListPart,
    ) -> (v1::UpdateSessionsRequest, Sent) {
        let mut pages = self.pages.lock();
        let Pages { sessions, voices, ledgers } = &mut *pages;
        let sent = ledgers[place].take_listed(ids);
        let (mut request, sent) = request(pod, sent, sessions);
        let held = ids.iter().filter_map(|id| voices.get(id)).flatten().filter(|voice| !voice.is_replaced);
        request.voices = held.map(|voice| voice.held.clone()).collect();
        request.set_list(part);
        (request, sent)
    }

    /// The replica has taken what was sent, except some sessions.
    pub(super) fn taken(&self, place: usize, sent: Sent, refused: &[String]) {
        let mut pages = self.pages.lock();
        let Pages { sessions, ledgers, .. } = &mut *pages;
        let refused = refused.iter().filter_map(|id| id.parse().ok()).collect();
        ledgers[place].taken(sent, &refused, sessions);
    }

    /// As if the replicas had taken everything.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        for place in 0..self.changed.len() {
            while let Some((_, sent)) = self.batch(place, "pod") {
                self.taken(place, sent, &[]);
            }
        }
    }

    /// Whether the replica has taken what was sent is not known: it is to be told again, except what has changed since.
    pub(super) fn put_back(&self, place: usize, sent: Sent) {
        let mut pages = self.pages.lock();
        let Pages { sessions, ledgers, .. } = &mut *pages;
        ledgers[place].put_back(sent, sessions);
    }

    /// What the replica has taken of this pod, where that is known.
    pub(super) fn claim(&self, place: usize) -> Option<Claim> {
        self.pages.lock().ledgers[place].claim()
    }
}

/// Writes down the pages of those who are to be told, with their digests.
fn request(
    pod: &str,
    mut sent: Sent,
    sessions: &mut FxHashMap<SessionId, Page>,
) -> (v1::UpdateSessionsRequest, Sent) {
    let mut told = Vec::with_capacity(sent.sessions.len());
    sent.sessions.retain_mut(|(id, digest)| {
        let Some(page) = sessions.get_mut(id) else { return false };
        let wire = page.wire(*id);
        *digest = wire.digest();
        page.told = ledger::begun(page.told);
        told.push(wire);
        true
    });
    let gone = sent
        .gone
        .iter()
        .map(|(id, gone)| v1::SessionGone { session_id: id.to_string(), owner_epoch: gone.owner_epoch });
    let request = v1::UpdateSessionsRequest {
        pod: pod.to_owned(),
        gone: gone.collect(),
        sessions: told,
        ..v1::UpdateSessionsRequest::default()
    };
    (request, sent)
}

/// Of a session that has not been anywhere else.
pub(crate) const FIRST_EPOCH: u64 = 1;

#[cfg(test)]
mod tests;
