//! The presence service.

use backplane::{Backplane, Ephemeral, Subject};
use model::GuildId;
use model::voice::VoiceState;
use proto::convert::Malformed;
use proto::{Failure, v1};
use tonic::Status;

use super::{Call, Fakes};

impl Fakes {
    pub(super) async fn renew_lease(
        self,
        request: v1::RenewLeaseRequest,
    ) -> Result<v1::RenewLeaseReply, Status> {
        drop(request);
        self.gates.pass(Call::RenewLease, 0).await?;
        let standing = self.world.lock().attendance.standing();
        Ok(v1::RenewLeaseReply { lease_ms: 60_000, standing, ..v1::RenewLeaseReply::default() })
    }

    pub(super) async fn update_sessions(
        self,
        request: v1::UpdateSessionsRequest,
    ) -> Result<v1::UpdateSessionsReply, Status> {
        self.gates.pass(Call::UpdateSessions, 0).await?;
        let changes = self.world.lock().attendance.take(request);
        for (guild, presence) in changes {
            let envelope = {
                let mut world = self.world.lock();
                if !world.publishes_presence || world.loses_presence {
                    continue;
                }
                world.presence_event(guild, &presence)
            };
            self.backplane.publish_ephemeral(Ephemeral { guild, channel: None }, envelope.encode());
        }
        self.publish_voices().await?;
        let standing = self.world.lock().attendance.standing();
        Ok(v1::UpdateSessionsReply { standing, ..v1::UpdateSessionsReply::default() })
    }

    pub(super) async fn get_presences(
        self,
        request: v1::GetPresencesRequest,
    ) -> Result<v1::GetPresencesReply, Status> {
        let Some(guild) = request.guild_id.and_then(GuildId::new) else {
            return Ok(v1::GetPresencesReply::default());
        };
        let (presences, standing) = {
            let world = self.world.lock();
            (world.presences_in(guild).iter().map(Into::into).collect(), world.attendance.standing())
        };
        self.gates.pass(Call::ListPresences, guild.get()).await?;
        Ok(v1::GetPresencesReply { presences, standing, truncated: false })
    }

    pub(super) async fn compare_presences(
        self,
        request: v1::ComparePresencesRequest,
    ) -> Result<v1::ComparePresencesReply, Status> {
        let world = self.world.lock();
        let differs = |asked: &v1::GuildDigest| {
            let presences = world.presences_in(GuildId::new(asked.guild_id).unwrap());
            presences.iter().fold(0, |sum, presence| sum ^ presence.digest()) != asked.digest
        };
        let differing = request.guilds.iter().filter(|asked| differs(asked)).map(|asked| asked.guild_id);
        Ok(v1::ComparePresencesReply {
            differing: differing.collect(),
            standing: world.attendance.standing(),
        })
    }

    pub(super) async fn list_voice_states(
        self,
        request: v1::ListVoiceStatesRequest,
    ) -> Result<v1::ListVoiceStatesReply, Status> {
        let guild = GuildId::new(request.guild_id).unwrap();
        let states = self.world.lock().attendance.voices_in(guild).map(Into::into).collect();
        self.gates.pass(Call::ListVoices, guild.get()).await?;
        Ok(v1::ListVoiceStatesReply { states })
    }

    pub(super) async fn update_voice_state(
        self,
        request: v1::UpdateVoiceStateRequest,
    ) -> Result<v1::UpdateVoiceStateReply, Status> {
        let state: VoiceState = request.state.unwrap().try_into().map_err(Failure::from)?;
        let user = state.user_id.get();
        self.gates.pass(Call::SetVoice, user).await?;
        if state.channel_id.is_some() && request.member.is_none() {
            return Err(Failure::from(Malformed::new("member", "it is missing")).into());
        }
        let token = state.channel_id.map(|channel| format!("for {channel}"));
        let set = self.world.lock().attendance.set_voice(state);
        let Some(needs_server) = set else {
            let ended = Failure::invalid_field("state.session_id", "BASE_TYPE_BAD", "the session has ended");
            return Err(ended.into());
        };
        self.publish_voices().await?;
        self.gates.pass(Call::VoiceSet, user).await?;
        Ok(v1::UpdateVoiceStateReply { token: token.filter(|_| needs_server), endpoint: None })
    }

    /// Publishes every change of voice states so far.
    async fn publish_voices(&self) -> Result<(), Status> {
        let _turn = self.publishing.lock().await;
        loop {
            let next = self.world.lock().next_voice_event();
            let Some((told, envelope)) = next else { return Ok(()) };
            let guild = told.state.guild_id;
            self.gates.pass(Call::PublishVoice, guild.get()).await?;
            let published =
                self.backplane.publish(Subject::Guild(guild), envelope.event_id, envelope.encode()).await;
            self.world.lock().attendance.told.push((published.unwrap().sequence, told));
        }
    }
}
