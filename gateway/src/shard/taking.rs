//! RESUME of a session that is not here: it is taken from where it is, and then resumed as any other.
//!
//! The session comes in whole before any socket has it, so one that breaks meanwhile costs nothing: the session waits here
//! for the next. Of several sockets that resume it while it is on its way each gets its turn, and the last keeps it.

use std::sync::Arc;
use std::time::Duration;

use backplane::{PodName, Stream, Subject};
use model::{GuildId, limits};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::conn::ConnId;
use super::{Newcomer, Shard, ShardRef};
use crate::history::{History, Missing, Past};
use crate::link::command::Resume;
use crate::live::LiveEvent;
use crate::parcel::{Item, Parcel};
use crate::services::Services;
use crate::session::{SessionId, TokenHash};
use crate::stats::Count;
use crate::takings::{self, Refused, Taken, Wanted};

/// Whose event, and its sequence in the stream of those; without a guild the user's own.
pub(super) type Reference = (Option<GuildId>, u64);

/// A stored event that a session is to be given again.
pub(super) enum Again {
    /// This shard has it.
    Here(Arc<LiveEvent>),
    /// It was read; the index says where it stands among what was.
    Read(Arc<[Past]>, usize),
}

/// A session with everything that is needed to begin it here.
pub(super) struct Brought {
    pub(super) taken: Taken,
    pub(super) events: FxHashMap<Reference, Again>,
    /// The user's events above the session's position.
    pub(super) of_user: Arc<[Past]>,
    /// Where the user's events were when that was read.
    pub(super) user_floor: u64,
}

impl Shard {
    /// Takes the session from elsewhere for a socket, or adds the socket to those that wait for it.
    pub(super) fn take_from_elsewhere(&mut self, me: &ShardRef, conn: ConnId, id: SessionId, resume: Resume) {
        let wanted = Wanted { id, token: TokenHash::of(&resume.token), seq: resume.seq };
        if let Some(waiting) = self.taking.get_mut(&id) {
            waiting.push((conn, resume));
            return;
        }
        self.taking.insert(id, vec![(conn, resume)]);
        let (me, services) = (me.clone(), self.services.clone());
        let hint = self.departed.get(id).cloned();
        self.tasks.spawn(async move {
            let brought = bring(&me, &services, wanted, hint).await;
            let mut this = me.borrow_mut();
            match brought {
                Ok(brought) => {
                    services.stats.sessions_taken.add(1);
                    this.arrive(&me, id, brought);
                }
                Err(refused) => {
                    count(&services, &refused);
                    info!(%id, %refused, "a session of another pod is not resumed here");
                    this.end_newcomer(Newcomer::Session(id));
                }
            }
            for (conn, resume) in this.taking.remove(&id).unwrap_or_default() {
                if this.conn(conn).is_some_and(|conn| conn.takes_a_session()) {
                    this.resume_if_here(&me, conn, &resume);
                }
            }
            this.flush_dirty(&me);
        });
    }

    /// The session is here. While this pod could not be asked another may have taken it from a checkpoint, and numbered
    /// its events otherwise: the registry knows. While that is away, the session is this pod's.
    pub(super) fn resume_once_sure(&mut self, me: &ShardRef, conn: ConnId, id: SessionId, resume: Resume) {
        if let Some(waiting) = self.taking.get_mut(&id) {
            waiting.push((conn, resume));
            return;
        }
        self.taking.insert(id, vec![(conn, resume)]);
        let (me, services) = (me.clone(), self.services.clone());
        self.tasks.spawn(async move {
            let entry = takings::look(&services, id).await;
            let mut this = me.borrow_mut();
            if let Some(entry) = entry {
                this.overtaken(id, entry.owner.epoch.saturating_sub(1));
            }
            for (conn, resume) in this.taking.remove(&id).unwrap_or_default() {
                if this.conn(conn).is_none_or(|conn| !conn.takes_a_session()) {
                    continue;
                }
                if this.by_id.contains_key(&id) {
                    this.resume_if_here(&me, conn, &resume);
                } else {
                    this.take_from_elsewhere(&me, conn, id, resume);
                }
            }
            this.flush_dirty(&me);
        });
    }

    /// The events of this shard's rings among those that the session is to be given again, and the others.
    fn find_again(
        &self,
        parcel: &Parcel,
    ) -> (FxHashMap<Reference, Again>, FxHashMap<Subject, FxHashSet<u64>>) {
        let layout = self.services.backplane.layout();
        let mut wanted: FxHashMap<Subject, FxHashSet<u64>> = FxHashMap::default();
        for item in parcel.entries.iter().flatten() {
            let (subject, sequence) = match item {
                Item::OfGuild(guild, sequence) => (Subject::Guild(*guild), *sequence),
                Item::OfUser(sequence) => (Subject::User(parcel.profile.user_id), *sequence),
                Item::Own(..) | Item::GuildCreate(_) => continue,
            };
            wanted.entry(subject).or_default().insert(sequence);
        }
        let mut found = FxHashMap::default();
        for (subject, sequences) in &mut wanted {
            let here = match *subject {
                Subject::Guild(guild) => {
                    let is_its = |event: &LiveEvent| event.envelope.guild_id == Some(guild);
                    let mut here = self.rings.find(layout.guild(guild).0, sequences, is_its);
                    here.extend(self.rings.find(self.ring_of_the_past(), sequences, is_its));
                    here
                }
                Subject::User(user) => {
                    let ring = layout.guild_partitions.saturating_add(layout.user(user).0);
                    self.rings.find(ring, sequences, |_| true)
                }
            };
            for event in here {
                sequences.remove(&event.sequence);
                found.insert((guild_of(*subject), event.sequence), Again::Here(event));
            }
        }
        wanted.retain(|_, sequences| !sequences.is_empty());
        (found, wanted)
    }
}

/// Takes the session and reads what it needs, within a time.
async fn bring(
    me: &ShardRef,
    services: &Arc<Services>,
    wanted: Wanted,
    hint: Option<PodName>,
) -> Result<Brought, Refused> {
    let _place = services.takings.try_acquire().map_err(|_| Refused::TooMany)?;
    let limit = Duration::from_millis(limits::TAKING_MS);
    let until = Instant::now() + limit;
    let taken =
        timeout(limit, takings::take(services, wanted, hint)).await.map_err(|_| Refused::NoAnswer)??;
    let (id, epoch) = (wanted.id, taken.epoch);
    let brought = loop {
        match complete(me, services, &taken).await {
            Err(Refused::Missing(Missing::Away(why))) if Instant::now() < until => {
                warn!(%id, why, "the events of a session that has come can't be read, it is tried again");
                sleep(services.backoff(1)).await;
            }
            completed => break completed,
        }
    };
    if brought.is_err() {
        me.borrow().end_ownership(id, epoch);
    }
    let (events, of_user, user_floor) = brought?;
    Ok(Brought { taken, events, of_user, user_floor })
}

type Completed = (FxHashMap<Reference, Again>, Arc<[Past]>, u64);

async fn complete(me: &ShardRef, services: &Arc<Services>, taken: &Taken) -> Result<Completed, Refused> {
    let parcel = &taken.parcel;
    let user = parcel.profile.user_id;
    let was_here = !services.interest.user(user).is_empty();
    // From here on what comes for the user is kept for the session.
    me.borrow_mut().begin_newcomer(Newcomer::Session(parcel.profile.id), user);
    match services.registry.register(&services.pod, &[user]).await {
        // The user's other sessions here may have missed something.
        Ok(missing) if was_here && !missing.is_empty() => services.owe(user),
        Ok(_) => {}
        // Without the registry events still arrive, later; it is told again at the next renewal.
        Err(_) => services.registry_lost.notify_one(),
    }
    let away = |error: backplane::Unavailable| Missing::Away(error.to_string());
    let stream = Stream::Users(services.backplane.layout().user(user));
    let state = services.backplane.state(stream).await.map_err(away)?;
    if state.incarnation != parcel.position.incarnation {
        return Err(Refused::Incarnation);
    }
    let of_user = Subject::User(user);
    let last = services.backplane.last(of_user).await.map_err(away)?;
    let missed = History::read(services, of_user, parcel.position.user, last).await?;
    let (mut events, wanted) = me.borrow().find_again(parcel);
    for (subject, sequences) in wanted {
        read_again(services, subject, &sequences, &mut events).await?;
    }
    Ok((events, missed, last.max(parcel.position.user)))
}

/// Reads the events of a subject that the shard does not have.
async fn read_again(
    services: &Arc<Services>,
    subject: Subject,
    sequences: &FxHashSet<u64>,
    events: &mut FxHashMap<Reference, Again>,
) -> Result<(), Refused> {
    let (Some(first), Some(last)) = (sequences.iter().min(), sequences.iter().max()) else { return Ok(()) };
    let past = History::read(services, subject, first - 1, *last).await?;
    for (index, event) in past.iter().enumerate() {
        if sequences.contains(&event.sequence) && event.envelope.kind.is_numbered() {
            events.insert((guild_of(subject), event.sequence), Again::Read(past.clone(), index));
        }
    }
    let is_there = |sequence: &u64| events.contains_key(&(guild_of(subject), *sequence));
    if sequences.iter().all(is_there) { Ok(()) } else { Err(Missing::Gone.into()) }
}

fn guild_of(subject: Subject) -> Option<GuildId> {
    match subject {
        Subject::Guild(guild) => Some(guild),
        Subject::User(_) => None,
    }
}

fn count(services: &Services, refused: &Refused) {
    let stats = &services.stats;
    let counter = match refused {
        Refused::Unknown => &stats.takings_unknown,
        Refused::ByOwner(_) | Refused::TooOld | Refused::Bad(_) => &stats.takings_refused,
        Refused::Lost(_) => &stats.takings_lost,
        Refused::NoAnswer => &stats.takings_silent,
        Refused::Missing(_) | Refused::Incarnation => &stats.takings_gone,
        Refused::TooMany => &stats.takings_crowded,
    };
    counter.add(1);
}
