//! Makes the copies right again after a replica could not be reached, was started anew, or events were lost, and tells the
//! sessions what they have missed.
//!
//! Digests find the guilds that differ; only those are asked for. Nobody is told what they have been told already, and a
//! replica that does not know everything itself is not believed.

use std::sync::Arc;
use std::time::Duration;

use model::presence::Presence;
use model::{GuildId, limits};
use proto::{convert, v1};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{info, warn};

use super::copies::Answer;
use super::events;
use super::reader::of_place;
use crate::live::LiveEvent;
use crate::services::Services;
use crate::shard::Input;
use crate::stats::Count;

/// See the module.
pub(crate) struct Reconciler {
    services: Arc<Services>,
    shards: Arc<[mpsc::Sender<Input>]>,
}

impl Reconciler {
    pub(crate) fn new(services: Arc<Services>, shards: Arc<[mpsc::Sender<Input>]>) -> Self {
        Self { services, shards }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled_owned(self.reconcile_for_ever()).await;
    }

    async fn reconcile_for_ever(&self) {
        let presences = &self.services.presences;
        loop {
            presences.suspicion.notified().await;
            for (place, contact) in presences.contacts.iter().enumerate() {
                if !contact.take_suspicion() {
                    continue;
                }
                if let Err(status) = self.reconcile(place).await {
                    warn!(%status, replica = place, "copies of presences could not be compared, it is tried again");
                    contact.suspect();
                }
            }
            if presences.contacts.iter().any(super::Contact::needs_comparison) {
                sleep(Duration::from_millis(limits::PRESENCE_RETRY_MS)).await;
                presences.suspicion.notify_one();
            }
        }
    }

    /// Compares all guilds with one replica.
    async fn reconcile(&self, place: usize) -> Result<(), Status> {
        let mut corrected = 0;
        for guilds in self.services.presences.copies.guilds().chunks(limits::PRESENCE_COMPARE_MAX) {
            for guild in self.differing(place, guilds).await? {
                corrected += self.correct(place, guild).await?;
            }
        }
        if corrected > 0 {
            info!(replica = place, presences = corrected, "presences that were missed are told");
        }
        Ok(())
    }

    async fn differing(&self, place: usize, guilds: &[GuildId]) -> Result<Vec<GuildId>, Status> {
        let presences = &self.services.presences;
        let covers = of_place(place, presences.replica_count());
        let digest = |guild: &GuildId| v1::GuildDigest {
            guild_id: guild.get(),
            digest: presences.copies.digest(*guild, &covers),
        };
        let request = v1::ComparePresencesRequest { guilds: guilds.iter().map(digest).collect() };
        let reply = presences.replicas.at(place).compare_presences(request).await?.into_inner();
        believe(reply.standing)?;
        convert::ids("differing", &reply.differing).map_err(|error| Status::internal(error.to_string()))
    }

    /// Asks for one guild, and tells the sessions. Answers how many presences were wrong.
    async fn correct(&self, place: usize, guild: GuildId) -> Result<u64, Status> {
        let presences = &self.services.presences;
        let Some(question) = presences.copies.ask(guild) else { return Ok(0) };
        let (found, is_whole) = self.ask(place, guild).await?;
        let covers = of_place(place, presences.replica_count());
        let wrong = question.correct(Answer { presences: found, covers: &covers, is_whole });
        self.services.stats.presences_corrected.add(wrong.len() as u64);
        let count = wrong.len() as u64;
        for presence in wrong {
            self.tell(guild, presence).await;
        }
        Ok(count)
    }

    async fn ask(&self, place: usize, guild: GuildId) -> Result<(Vec<Presence>, bool), Status> {
        let request = v1::GetPresencesRequest {
            guild_id: Some(guild.get()),
            limit: limits::PRESENCES_PER_GUILD_MAX,
            user_ids: Vec::new(),
        };
        let mut client = self.services.presences.replicas.at(place);
        let reply = client.get_presences(request).await?.into_inner();
        believe(reply.standing)?;
        let found = convert::all(reply.presences).map_err(|error| Status::internal(error.to_string()))?;
        Ok((found, !reply.truncated))
    }

    /// An event may overtake this on its way to the shards; then they are told once more, so that the newest comes last.
    async fn tell(&self, guild: GuildId, mut presence: Arc<Presence>) {
        loop {
            let event = Arc::new(LiveEvent::ephemeral(0, events::envelope(guild, &presence)));
            for shard in self.services.interest.guild(guild).iter() {
                // A shard that has ended has no sessions.
                let _ = self.shards[shard].send(Input::Event(event.clone())).await;
            }
            let seen = self.services.presences.copies.seen(guild, presence.user_id);
            if *seen == *presence {
                return;
            }
            presence = seen;
        }
    }
}

/// Who does not know everything is not asked who is offline.
fn believe(standing: Option<v1::PresenceStanding>) -> Result<(), Status> {
    match standing {
        Some(standing) if standing.stale => {
            Err(Status::unavailable("the replica does not know everything yet"))
        }
        _ => Ok(()),
    }
}
