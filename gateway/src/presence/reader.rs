//! What shards ask of presence. Where a replica can't be asked, or does not know everything, its part comes from the
//! copies; the answer says so.

use std::time::Duration;

use futures_util::future::join_all;
use model::presence::Presence;
use model::{GuildId, UserId, limits};
use proto::convert;
use proto::v1;
use rustc_hash::FxHashMap;
use tokio::time::timeout;
use tonic::Status;

use super::Presences;
use super::book::PresenceBook;
use super::copies::{Answer, Question};
use super::replicas::place;

/// Presences that are not offline.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) presences: Vec<Presence>,
    /// Some come from copies that could not be checked, or may be missing.
    pub(crate) is_stale: bool,
}

/// What one replica says.
struct Reply {
    place: usize,
    presences: Vec<Presence>,
    is_truncated: bool,
    is_stale: bool,
}

impl Presences {
    /// Those who are seen in the guild, at most so many. The guild is copied from now on.
    pub(crate) async fn in_guild(&self, guild: GuildId, max: u32) -> Shown {
        let question = self.copies.ask(guild);
        let count = self.replica_count();
        let request =
            v1::GetPresencesRequest { guild_id: Some(guild.get()), limit: max, user_ids: Vec::new() };
        let asked = join_all((0..count).map(|place| self.ask(place, request.clone()))).await;
        let replies: Vec<Reply> = asked.into_iter().flatten().collect();
        let is_stale = replies.len() < count || replies.iter().any(|reply| reply.is_stale);
        let Some(question) = question else {
            let presences = replies.into_iter().flat_map(|reply| reply.presences);
            return Shown { presences: presences.take(max as usize).collect(), is_stale };
        };
        self.load(question, replies);
        Shown { presences: self.copies.in_guild(guild, max as usize), is_stale }
    }

    /// Those of the users who are not offline.
    pub(crate) async fn of(&self, users: &[UserId]) -> Shown {
        let count = self.replica_count();
        let mut by_place: FxHashMap<usize, Vec<UserId>> = FxHashMap::default();
        for user in users {
            by_place.entry(self.replicas.place(*user)).or_default().push(*user);
        }
        let asked = by_place.iter().map(|(place, users)| {
            let user_ids = convert::numbers(users);
            self.ask(*place, v1::GetPresencesRequest { user_ids, ..v1::GetPresencesRequest::default() })
        });
        let mut shown = Shown::default();
        let mut known: Vec<bool> = vec![false; count];
        for reply in join_all(asked).await.into_iter().flatten() {
            known[reply.place] = !reply.is_stale;
            shown.presences.extend(reply.presences);
        }
        for (place, users) in by_place.iter().filter(|(place, _)| !known[**place]) {
            shown.is_stale = true;
            let said: Vec<UserId> = shown.presences.iter().map(|presence| presence.user_id).collect();
            let missing = users.iter().filter(|user| !said.contains(user));
            shown.presences.extend(missing.filter_map(|user| self.copies.of(*user)));
            tracing::debug!(replica = place, "presences of users come from copies");
        }
        shown
    }

    /// Who is in which voice channel; those whose replica does not answer are missing. It is asked also when the last call
    /// failed: of voice states there are no copies, and nobody would be told later.
    pub(crate) async fn voices_in(&self, guild: GuildId) -> Vec<v1::VoiceState> {
        let request = v1::ListVoiceStatesRequest { guild_id: guild.get() };
        let ask = async |place: usize| {
            let mut client = self.replicas.at(place);
            let reply = timeout(PATIENCE, client.list_voice_states(request)).await;
            reply.ok().and_then(Result::ok).map(|reply| reply.into_inner().states).unwrap_or_default()
        };
        join_all((0..self.replica_count()).map(ask)).await.into_iter().flatten().collect()
    }

    /// Joins, moves, leaves or changes flags. What was taken is written into the book, for a replica that starts anew.
    pub(crate) async fn update_voice(
        &self,
        book: &PresenceBook,
        request: v1::UpdateVoiceStateRequest,
    ) -> Result<v1::UpdateVoiceStateReply, Status> {
        let held = v1::HeldVoice { state: request.state.clone(), member: request.member.clone() };
        let state = held.state.clone().and_then(|state| model::voice::VoiceState::try_from(state).ok());
        let user = state.as_ref().map(|state| state.user_id);
        let mut client = user.map_or_else(|| self.replicas.at(0), |user| self.replicas.of(user));
        let reply = client.update_voice_state(request).await?.into_inner();
        if let Some(state) = state {
            book.set_voice(&state, held);
        }
        Ok(reply)
    }

    /// Compares the copies with the answers, or fills them. Where they differ events were lost, and the sessions that have
    /// the guild open have to be told.
    fn load(&self, question: Question<'_>, replies: Vec<Reply>) {
        let count = self.replica_count();
        let places: Vec<usize> = replies.iter().map(|reply| reply.place).collect();
        let covers: Vec<_> = places.iter().map(|place| of_place(*place, count)).collect();
        let answers = replies.into_iter().zip(&covers).map(|(reply, covers)| reply.answer(covers));
        for index in question.load(answers.collect()) {
            self.contacts[places[index]].suspect();
            self.suspicion.notify_one();
        }
    }

    /// `None` when the replica can't be asked.
    async fn ask(&self, place: usize, request: v1::GetPresencesRequest) -> Option<Reply> {
        if self.contacts[place].is_lost() {
            return None;
        }
        let mut client = self.replicas.at(place);
        let reply = timeout(PATIENCE, client.get_presences(request)).await.ok()?.ok()?.into_inner();
        let standing = reply.standing.unwrap_or_default();
        Some(Reply {
            place,
            presences: convert::all(reply.presences).ok()?,
            is_truncated: reply.truncated,
            is_stale: standing.stale,
        })
    }
}

impl Reply {
    fn answer<'a>(self, covers: &'a dyn Fn(UserId) -> bool) -> Answer<'a> {
        Answer { presences: self.presences, covers, is_whole: !self.is_truncated && !self.is_stale }
    }
}

/// Whether a user belongs to this one of so many replicas.
pub(super) fn of_place(at: usize, count: usize) -> impl Fn(UserId) -> bool {
    move |user| place(user, count) == at
}

/// A guild opens without presences rather than late.
const PATIENCE: Duration = Duration::from_millis(limits::PRESENCE_READ_MS);
