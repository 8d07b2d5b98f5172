//! The one task that owns the table: takes commands, lets time pass, publishes what changed before it answers the next.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Backplane, Ephemeral, Unavailable};
use model::presence::Presence;
use model::voice::VoiceState;
use model::{ChannelId, EventKind, GuildId, Member, UserId, entropy};
use proto::{Envelope, Failure, Writer};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::publisher::{Publication, Publisher};
use crate::request::Wanted;
use crate::roster::{Living, Reader};
use crate::service::{Config, EventIds};
use crate::table::{
    Applied, Batch, Claim, Counts, Full, PodKey, PresenceChange, Table, VoiceChange, VoiceRefused,
};

/// Longest sleep of a table that waits for nothing.
const IDLE: Duration = Duration::from_secs(3600);

/// What the service has and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub counts: Counts,
    /// PRESENCE_UPDATE events, one for each guild.
    pub presences_published: u64,
    /// VOICE_STATE_UPDATE events given to the backplane.
    pub voices_published: u64,
    /// Those that wait for their acknowledgement.
    pub voices_queued: usize,
    /// Changes and ends of sessions of an epoch that was over, and changes that there was no room for.
    pub sessions_refused: u64,
    /// Times that a pod was asked for all of its sessions.
    pub resyncs: u64,
    /// Times that the roster could not be read.
    pub roster_failures: u64,
    /// Whether readers are told that the answers may be incomplete.
    pub is_stale: bool,
}

pub(crate) enum Command {
    Renew { pod: PodKey, claim: Option<Claim>, reply: Reply<(bool, Standing)> },
    Apply { pod: PodKey, batch: Batch, reply: Reply<(Applied, Standing)> },
    SetVoice { pod: PodKey, state: VoiceState, member: Option<Box<Member>>, reply: Reply<VoiceSet> },
    Presences { wanted: Wanted, reply: Reply<(Found, Standing)> },
    Compare { guilds: Vec<(GuildId, u64)>, reply: Reply<(Vec<GuildId>, Standing)> },
    VoicesIn { guild: GuildId, reply: Reply<Vec<VoiceState>> },
}

/// How far an answer can be believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub incarnation: u64,
    pub is_stale: bool,
}

/// Presences that are not offline.
pub(crate) struct Found {
    pub presences: Vec<Presence>,
    /// There are more.
    pub is_truncated: bool,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// A voice state is taken.
pub(crate) struct VoiceSet {
    pub needs_server: bool,
    /// `None` when there is nothing to publish.
    pub published: Option<oneshot::Receiver<()>>,
}

pub(crate) struct Driver {
    backplane: Arc<dyn Backplane>,
    event_ids: EventIds,
    writer: Writer,
    incarnation: u64,
    table: Table,
    roster: Reader,
    publisher: Publisher,
    stats: Stats,
    /// The table's time counts from here: leases must not end because the wall clock steps.
    started: Instant,
}

impl Driver {
    pub(crate) fn new(config: Config) -> Self {
        let Config { backplane, clock, event_ids, writer, roster, settles_after_ms, bounds, voice: _ } =
            config;
        let table = match settles_after_ms {
            Some(settles_after_ms) => Table::unsettled(bounds, settles_after_ms),
            None => Table::new(bounds),
        };
        Self {
            publisher: Publisher::new(backplane.clone(), clock),
            incarnation: entropy::number(),
            roster: Reader::new(roster),
            stats: Stats::default(),
            started: Instant::now(),
            backplane,
            event_ids,
            writer,
            table,
        }
    }

    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, stats: watch::Sender<Stats>) {
        loop {
            let deadline = self.table.next_deadline(self.now_ms());
            let deadline = deadline.map(|at_ms| self.started + Duration::from_millis(at_ms));
            tokio::select! {
                biased;
                () = self.publisher.progress() => {}
                living = self.roster.read() => self.read_roster(living),
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                () = tokio::time::sleep_until(deadline.unwrap_or_else(|| Instant::now() + IDLE)) => {}
            }
            let now_ms = self.now_ms();
            self.table.advance(now_ms);
            if self.table.needs_roster(now_ms) {
                self.roster.hurry();
            }
            self.publish();
            self.stats.counts = self.table.counts(now_ms);
            self.stats.is_stale = self.table.is_stale(now_ms);
            self.stats.voices_queued = self.publisher.queued();
            stats.send_replace(self.stats);
        }
    }

    fn read_roster(&mut self, living: Result<Living, Unavailable>) {
        let now_ms = self.now_ms();
        match living {
            Ok(living) => {
                let living =
                    living.into_iter().map(|(pod, left)| (pod.as_str().into(), left.as_millis() as u64));
                self.table.read_roster(now_ms, living);
            }
            Err(error) => {
                self.stats.roster_failures += 1;
                self.table.roster_failed();
                tracing::warn!(%error, "roster can't be read: no lease ends until it can");
            }
        }
    }

    fn standing(&self, now_ms: u64) -> Standing {
        Standing { incarnation: self.incarnation, is_stale: self.table.is_stale(now_ms) }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Carries out a command. Whoever asked may have stopped waiting, so replies may go nowhere.
    fn take(&mut self, command: Command) {
        let now_ms = self.now_ms();
        match command {
            Command::Renew { pod, claim, reply } => {
                let resync = self.table.renew(now_ms, &pod, claim).map_err(full);
                self.stats.resyncs += u64::from(resync.as_ref().is_ok_and(|resync| *resync));
                let _ = reply.send(resync.map(|resync| (resync, self.standing(now_ms))));
            }
            Command::Apply { pod, batch, reply } => {
                let applied = self.apply(now_ms, &pod, batch);
                let _ = reply.send(applied.map(|applied| (applied, self.standing(now_ms))));
            }
            Command::SetVoice { pod, state, member, reply } => {
                let _ = reply.send(self.set_voice(now_ms, &pod, state, member.map(|member| *member)));
            }
            Command::Presences { wanted, reply } => {
                let _ = reply.send(Ok((self.find(wanted), self.standing(now_ms))));
            }
            Command::Compare { guilds, reply } => {
                let differs = |(guild, digest): &(GuildId, u64)| self.table.digest_of(*guild) != *digest;
                let differing = guilds.into_iter().filter(differs).map(|(guild, _)| guild).collect();
                let _ = reply.send(Ok((differing, self.standing(now_ms))));
            }
            Command::VoicesIn { guild, reply } => {
                let _ = reply.send(Ok(self.table.voices_in(guild).cloned().collect()));
            }
        }
    }

    fn apply(&mut self, now_ms: u64, pod: &PodKey, batch: Batch) -> Result<Applied, Failure> {
        let applied = self.table.apply(now_ms, pod, batch).map_err(full)?;
        self.stats.sessions_refused += applied.refused.len() as u64 + applied.late_ends;
        self.stats.resyncs += u64::from(applied.is_unknown);
        if let Some(bound) = applied.full {
            tracing::warn!(%pod, %bound, refused = applied.refused.len(), "sessions were not taken");
        }
        Ok(applied)
    }

    fn find(&self, wanted: Wanted) -> Found {
        match wanted {
            Wanted::Users(users) => {
                let known = users.into_iter().filter_map(|user| self.table.presence(user));
                Found { presences: known.cloned().collect(), is_truncated: false }
            }
            Wanted::Guild { guild, limit } => {
                let mut found = self.table.presences_in(guild);
                let presences = found.by_ref().take(limit).cloned().collect();
                Found { presences, is_truncated: found.next().is_some() }
            }
        }
    }

    fn set_voice(
        &mut self,
        now_ms: u64,
        pod: &PodKey,
        state: VoiceState,
        member: Option<Member>,
    ) -> Result<VoiceSet, Failure> {
        if self.publisher.is_full() {
            return Err(Failure::unavailable("too many voice states wait to be published", 1000));
        }
        let outcome = self.table.set_voice(now_ms, pod, state, member).map_err(|refused| match refused {
            VoiceRefused::Full(bound) => full(bound),
            VoiceRefused::OtherPod => Failure::unavailable(refused.to_string(), 1000),
            VoiceRefused::OtherUser | VoiceRefused::Ended => {
                Failure::invalid_field("state.session_id", "BASE_TYPE_BAD", refused.to_string())
            }
        })?;
        if let Some(left) = outcome.left {
            let moved_to = outcome.change.as_ref().map(|change| change.channel_id);
            self.publish_voice(&left, moved_to, None);
        }
        let published = outcome.change.map(|change| {
            let (sender, receiver) = oneshot::channel();
            self.publish_voice(&change, None, Some(sender));
            receiver
        });
        Ok(VoiceSet { needs_server: outcome.needs_server, published })
    }

    fn publish(&mut self) {
        for change in self.table.take_voices() {
            self.publish_voice(&change, None, None);
        }
        for PresenceChange { guild_id, presence } in self.table.take_presences() {
            let data = json(&presence.object(Some(guild_id)));
            let envelope = self.envelope(EventKind::PresenceUpdate, guild_id, presence.user_id, data);
            let subject = Ephemeral { guild: guild_id, channel: None };
            self.backplane.publish_ephemeral(subject, envelope.encode());
            self.stats.presences_published += 1;
        }
    }

    fn publish_voice(
        &mut self,
        change: &VoiceChange,
        moved_to: Option<ChannelId>,
        published: Option<oneshot::Sender<()>>,
    ) {
        let VoiceChange { state, member, channel_id } = change;
        let data = json(&state.object(Some(member)));
        let mut envelope = self.envelope(EventKind::VoiceStateUpdate, state.guild_id, state.user_id, data);
        envelope.channel_id = Some(*channel_id);
        envelope.moved_to = moved_to;
        self.publisher.push(Publication {
            guild_id: state.guild_id,
            event_id: envelope.event_id,
            envelope: envelope.encode(),
            published,
        });
        self.stats.voices_published += 1;
    }

    fn envelope(&self, kind: EventKind, guild: GuildId, user: UserId, data: Vec<u8>) -> Envelope {
        let mut envelope = Envelope::new((self.event_ids)(), kind, self.writer, data);
        envelope.guild_id = Some(guild);
        envelope.user_id = Some(user);
        envelope
    }
}

fn json(object: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(object).expect("the objects of the model have string keys and no failing parts")
}

fn full(bound: Full) -> Failure {
    Failure::unavailable(bound.to_string(), 5000)
}
