//! A session goes to another pod: this one stops serving it, packs it up, and remembers where it went.

use std::collections::VecDeque;

use backplane::{OwnedSession, PodName};
use model::limits;
use proto::v1;
use proto::v1::take_session_reply::Outcome;
use rustc_hash::FxHashMap;

use super::Shard;
use super::arriving::Arriving;
use super::guild::Known;
use super::session::SessionSlot;
use crate::audience::SessionKey;
use crate::giver::Ask;
use crate::parcel::{OpenGuild, Parcel, Position, Says};
use crate::positions::Seen;
use crate::session::{GuildState, ResumeRefusal, SessionId};
use crate::stats::Count;
use crate::takings::Wanted;
use crate::wire::CloseCode;

/// Where sessions went that others have taken.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// Each with when it is forgotten.
    pods: FxHashMap<SessionId, (u64, PodName)>,
    order: VecDeque<(u64, SessionId)>,
}

impl Departed {
    pub(super) fn get(&self, id: SessionId) -> Option<&PodName> {
        self.pods.get(&id).map(|(_, pod)| pod)
    }

    fn remember(&mut self, until_ms: u64, id: SessionId, pod: PodName) {
        if self.order.len() >= limits::DEPARTED_MAX {
            self.forget_oldest();
        }
        self.pods.insert(id, (until_ms, pod));
        self.order.push_back((until_ms, id));
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(until_ms, _)| *until_ms <= now_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((until_ms, id)) = self.order.pop_front() else { return };
        // It may have come back and gone again.
        if self.pods.get(&id).is_some_and(|(known, _)| *known == until_ms) {
            self.pods.remove(&id);
        }
    }
}

impl Shard {
    pub(super) fn give_away(&mut self, ask: Ask) {
        let Ask { wanted, taker, seen, answer } = ask;
        let outcome = match self.by_id.get(&wanted.id).copied() {
            None => match self.departed.get(wanted.id) {
                Some(pod) => Outcome::MovedTo(pod.as_str().to_owned()),
                None => self.give_parked(&wanted, taker).unwrap_or_else(refusal),
            },
            Some(key) => {
                let session = &self.sessions[key].session;
                let checked = session.check_resume(&wanted.token, wanted.seq, &self.rings);
                match checked.map_err(refusal_of).and_then(|()| self.packed(key, wanted.seq, &seen)) {
                    Ok(parcel) => {
                        self.depart(key, taker);
                        self.services.stats.sessions_given.add(1);
                        Outcome::Session(parcel)
                    }
                    Err(why) => refusal(why),
                }
            }
        };
        self.services.stats.givings_refused.add(u64::from(matches!(outcome, Outcome::Refusal(_))));
        // Whoever asked may have gone; the session is on its way all the same.
        let _ = answer.send(outcome);
    }

    /// A session that was packed up because the pod goes away.
    fn give_parked(&mut self, wanted: &Wanted, taker: PodName) -> Result<Outcome, v1::TakeRefusal> {
        let parcel = self.parked.get(&wanted.id).ok_or(v1::TakeRefusal::Unknown)?;
        if !parcel.profile.token_hash.matches(&wanted.token) {
            return Err(v1::TakeRefusal::WrongToken);
        }
        if wanted.seq > parcel.seq {
            return Err(v1::TakeRefusal::SeqAhead);
        }
        let rest = parcel.clone().above(wanted.seq).ok_or(v1::TakeRefusal::SeqTooOld)?;
        let message = rest.message().map_err(|_| v1::TakeRefusal::TooLarge)?;
        self.parked.remove(&wanted.id);
        self.remember_departed(wanted.id, taker);
        self.services.stats.sessions_given.add(1);
        Ok(Outcome::Session(message))
    }

    fn packed(&self, key: SessionKey, seq: u64, seen: &Seen) -> Result<v1::Parcel, v1::TakeRefusal> {
        let parcel = self.pack(key, seq, seen).ok_or(v1::TakeRefusal::SeqTooOld)?;
        parcel.message().map_err(|_| v1::TakeRefusal::TooLarge)
    }

    /// The session as a value, with what its client lacks above `seq`. `seen` is what this shard has been given.
    pub(super) fn pack(&self, key: SessionKey, seq: u64, seen: &Seen) -> Option<Parcel> {
        let slot = self.sessions.get(key)?;
        let session = &slot.session;
        let (page, voices) = self.services.book.page(session.profile.id)?;
        let arriving = |guild| slot.arrivals.as_ref().and_then(|arrivals| arrivals.known(guild));
        let (mut open, mut to_create) = (Vec::new(), Vec::new());
        for (guild, state) in session.guilds.iter() {
            match (state, arriving(guild)) {
                (GuildState::Open(place), _) => {
                    let table = self.guilds.get(&guild);
                    let (reached, taken) =
                        table.map_or((0, 0), |table| (table.audience.reached(), table.marks.taken()));
                    let known = table.map(|table| table.marks.of(place.mark));
                    let Known { revision, after } = known.unwrap_or_default();
                    // Mostly the floor of the partition says it, and takes less room.
                    let is_ahead = taken > seen.guilds(self.services.backplane.layout().guild(guild));
                    let after = if is_ahead { after.max(taken) } else { after };
                    let revision = revision.max(reached);
                    open.push(OpenGuild { id: guild, revision, after, repeats: false });
                }
                (GuildState::Opening, Some(Arriving { known, repeats })) => {
                    let Known { revision, after } = known;
                    open.push(OpenGuild { id: guild, revision, after, repeats });
                }
                (GuildState::Opening, None) => to_create.push(guild),
            }
        }
        to_create.extend(slot.to_open.iter().copied());
        let position = self.position(slot, seen, &mut open);
        Some(Parcel {
            profile: session.profile.clone(),
            epoch: page.owner_epoch,
            seq: session.seq().into(),
            entries: Some(session.items(seq, &self.rings)?),
            position,
            open,
            to_create,
            joined: session.joined.iter().copied().collect(),
            private: session.private.iter().collect(),
            says: Says {
                status: page.status,
                platform: page.platform,
                activities_json: page.activities_json,
            },
            voices,
            waiting: slot.aside.iter().flat_map(|aside| aside.waiting()).collect(),
        })
    }

    /// Up to where the session lacks nothing. Where a guild of a partition is still arriving, the floor of all of it is that
    /// guild's, and the others say for themselves how far they are.
    fn position(&self, slot: &SessionSlot, seen: &Seen, open: &mut [OpenGuild]) -> Position {
        let layout = self.services.backplane.layout();
        let is_arriving = |guild: &OpenGuild| {
            slot.arrivals.as_ref().is_some_and(|arrivals| arrivals.known(guild.id).is_some())
        };
        let mut floors: FxHashMap<u16, u64> = FxHashMap::default();
        for guild in open.iter() {
            let partition = layout.guild(guild.id);
            let floor = floors.entry(partition.0).or_insert_with(|| seen.guilds(partition));
            if is_arriving(guild) {
                *floor = (*floor).min(guild.after);
            }
        }
        for (guild, above) in slot.created.iter().flat_map(|created| created.iter()) {
            let floor = floors.entry(layout.guild(*guild).0).or_insert(*above);
            *floor = (*floor).min(*above);
        }
        for guild in open.iter_mut().filter(|guild| !is_arriving(guild)) {
            let partition = layout.guild(guild.id);
            if floors.get(&partition.0).is_some_and(|floor| *floor < seen.guilds(partition)) {
                guild.after = guild.after.max(seen.guilds(partition));
            }
        }
        let mut floors: Vec<(u16, u64)> = floors.into_iter().collect();
        floors.sort_unstable();
        let partition = layout.user(slot.session.profile.user_id);
        let of_user = seen.users(partition).max(self.users_taken(partition));
        Position { incarnation: seen.incarnation, floors, user: slot.user_floor.max(of_user) }
    }

    /// Another pod has the session from now on. Its socket is closed, and what that still sends means nothing.
    fn depart(&mut self, key: SessionKey, to: PodName) {
        let id = self.sessions[key].session.profile.id;
        self.leave_to_others(key);
        self.remember_departed(id, to);
    }

    fn remember_departed(&mut self, id: SessionId, to: PodName) {
        let until_ms = self.services.now_ms() + self.services.settings.resume_ms;
        self.departed.remember(until_ms, id, to);
    }

    /// The session goes on elsewhere, in a later epoch than this one, and has not ended.
    pub(super) fn overtaken(&mut self, id: SessionId, epoch: u64) {
        let Some(key) = self.by_id.get(&id).copied() else { return };
        let is_ours = self.services.book.page(id).is_some_and(|(page, _)| page.owner_epoch > epoch);
        if !is_ours {
            self.services.stats.sessions_overtaken.add(1);
            self.leave_to_others(key);
        }
    }

    fn leave_to_others(&mut self, key: SessionKey) {
        if let Some(conn) = self.sessions[key].conn {
            self.detach(conn);
            self.close(conn, CloseCode::UnknownError);
        }
        if let Some(slot) = self.sessions.get(key) {
            self.services.book.hand_over(slot.session.profile.id);
            self.remove_session(key);
        }
    }

    /// Tells the registry that the session has ended: nobody can take it any more.
    pub(super) fn end_ownership(&self, id: SessionId, epoch: u64) {
        let services = self.services.clone();
        self.tasks.spawn(async move {
            // The entry ends by itself if this fails.
            let _ = services.sessions.end(&OwnedSession { id: id.to_string(), epoch }).await;
        });
    }
}

fn refusal(why: v1::TakeRefusal) -> Outcome {
    Outcome::Refusal(why.into())
}

fn refusal_of(why: ResumeRefusal) -> v1::TakeRefusal {
    match why {
        ResumeRefusal::WrongToken => v1::TakeRefusal::WrongToken,
        ResumeRefusal::SeqAhead => v1::TakeRefusal::SeqAhead,
        ResumeRefusal::SeqTooOld => v1::TakeRefusal::SeqTooOld,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> SessionId {
        SessionId::of_bytes(number.to_be_bytes())
    }

    #[test]
    fn where_a_session_went_is_remembered_for_its_time() {
        let mut departed = Departed::default();
        departed.remember(100, id(1), PodName::new("a"));
        departed.remember(200, id(1), PodName::new("b"));
        departed.expire(100);
        assert_eq!(departed.get(id(1)), Some(&PodName::new("b")), "it came back, and went again");
        departed.expire(200);
        assert_eq!(departed.get(id(1)), None);
        for number in 0..=limits::DEPARTED_MAX as u128 {
            departed.remember(300, id(number), PodName::new("a"));
        }
        assert_eq!((departed.get(id(0)), departed.pods.len()), (None, limits::DEPARTED_MAX));
    }
}
