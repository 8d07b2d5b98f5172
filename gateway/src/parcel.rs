//! A session as a value: what goes from the pod that has it to the pod at which its client resumes.
//!
//! It says what the client was given and what is still to be replayed to it, without the events themselves: whoever takes
//! the session reads those from the streams. So it is small, and good wherever the streams are.
//!
//! Written as `Parcel` of `gateway.proto`, with a version that is checked before anything else: version N reads N−1 and
//! N+1. Without entries it is a *checkpoint*: everything above the position is then given again, numbered from `seq` on.

use bytes::Bytes;
use model::presence::{Platform, Status};
use model::{ChannelId, GuildId, Intents, UserId, limits};
use prost::Message as _;
use proto::convert::{Malformed, id, ids, numbers, required};
use proto::v1;

use crate::link::command::Shard;
use crate::made::OwnEvent;
use crate::session::{Profile, SessionId, TokenHash};

mod entries;
#[cfg(test)]
mod tests;

pub(crate) use entries::Item;

/// The version that is written.
pub(crate) const VERSION: u32 = 1;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parcel {
    pub(crate) profile: Profile,
    /// The epoch in which whoever wrote this owned the session.
    pub(crate) epoch: u64,
    /// The last number that was given; in a checkpoint, the last that the client has confirmed.
    pub(crate) seq: u64,
    /// What the last of the numbers were given to, the oldest first; `None` in a checkpoint.
    pub(crate) entries: Option<Vec<Item>>,
    pub(crate) position: Position,
    pub(crate) open: Vec<OpenGuild>,
    /// Guilds whose GUILD_CREATE is still to be given.
    pub(crate) to_create: Vec<GuildId>,
    pub(crate) joined: Vec<GuildId>,
    pub(crate) private: Vec<ChannelId>,
    pub(crate) says: Says,
    pub(crate) voices: Vec<v1::HeldVoice>,
    pub(crate) waiting: Vec<Waiting>,
}

/// Up to where the session lacks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// With another one than the streams have, the numbers mean nothing.
    pub(crate) incarnation: u64,
    /// By the number of the partition, for those in which the session has a guild.
    pub(crate) floors: Vec<(u16, u64)>,
    /// In the stream of the user's own events.
    pub(crate) user: u64,
}

/// A guild that the client has: of directory events it has those up to the revision, of others those up to the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenGuild {
    pub(crate) id: GuildId,
    pub(crate) revision: u64,
    pub(crate) after: u64,
    /// It may have been told of what lies above as well.
    pub(crate) repeats: bool,
}

/// What the session says of its user's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) status: Status,
    pub(crate) platform: Platform,
    /// A JSON array, or empty.
    pub(crate) activities_json: Box<str>,
}

/// An unnumbered event that the client is still to be given; of a voice server, in which guild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) voice_in: Option<GuildId>,
    pub(crate) event: OwnEvent,
}

/// What arrived is no session that this version can take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum ParcelError {
    #[error("session has version {0}, this binary reads {min} to {max}: finish the rolling upgrade one version at a time", min = VERSION - 1, max = VERSION + 1)]
    Version(u32),
    #[error("session has {0} bytes, {max} are allowed", max = limits::PARCEL_BYTES_MAX)]
    TooLarge(usize),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("not a session: {0}")]
    Decode(#[from] prost::DecodeError),
}

// === impl Parcel ===

impl Parcel {
    /// As it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, ParcelError> {
        let message = self.message()?;
        Ok(message.encode_to_vec().into())
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, ParcelError> {
        Self::read(v1::Parcel::decode(bytes)?)
    }

    /// As it is sent.
    pub(crate) fn message(&self) -> Result<v1::Parcel, ParcelError> {
        let floors = self.position.floors.iter();
        let message = v1::Parcel {
            version: VERSION,
            session_id: self.profile.id.bytes().to_vec().into(),
            epoch: self.epoch,
            profile: Some(profile_message(&self.profile)),
            seq: self.seq,
            entries: self.entries.as_deref().map(entries::message),
            position: Some(v1::SessionPosition {
                incarnation: self.position.incarnation,
                floors: floors.map(|(partition, sequence)| floor_message(*partition, *sequence)).collect(),
                user: self.position.user,
            }),
            open: self.open.iter().map(OpenGuild::message).collect(),
            to_create: numbers(&self.to_create),
            joined: numbers(&self.joined),
            private_channels: numbers(&self.private),
            says: Some(self.says.message()),
            voices: self.voices.clone(),
            waiting: self.waiting.iter().map(Waiting::message).collect(),
        };
        match message.encoded_len() {
            length if length > limits::PARCEL_BYTES_MAX => Err(ParcelError::TooLarge(length)),
            _ => Ok(message),
        }
    }

    /// What of it a client lacks that has received everything up to `seq`; `None` when it does not reach back so far, or
    /// the client can't have received so much.
    pub(crate) fn above(mut self, seq: u64) -> Option<Self> {
        if self.entries.is_some() && seq > self.seq {
            // It was taken from here before, and its client has got further: what is above the position comes once more.
            self.entries = None;
        }
        match &mut self.entries {
            Some(entries) => {
                let first = self.seq + 1 - entries.len() as u64;
                let surplus = seq.checked_add(1)?.checked_sub(first).filter(|_| seq <= self.seq)?;
                entries.drain(..surplus as usize);
            }
            None => {
                let is_near = (self.seq..=self.seq + limits::CHECKPOINT_LAG_MAX).contains(&seq)
                    && seq < limits::SEQUENCE_MAX;
                self.seq = Some(seq).filter(|_| is_near)?;
            }
        }
        Some(self)
    }

    pub(crate) fn read(message: v1::Parcel) -> Result<Self, ParcelError> {
        if !(VERSION - 1..=VERSION + 1).contains(&message.version) {
            return Err(ParcelError::Version(message.version));
        }
        let length = message.encoded_len();
        if length > limits::PARCEL_BYTES_MAX {
            return Err(ParcelError::TooLarge(length));
        }
        let guild_count = message.open.len() + message.to_create.len();
        at_most("parcel.open", guild_count, limits::PARCEL_GUILDS_MAX)?;
        at_most("parcel.joined", message.joined.len(), limits::PARCEL_GUILDS_MAX)?;
        at_most("parcel.private_channels", message.private_channels.len(), limits::PRIVATE_CHANNELS_MAX)?;
        at_most("parcel.voices", message.voices.len(), limits::VOICE_SERVERS_WAITING_MAX)?;
        at_most("parcel.waiting", message.waiting.len(), limits::VOICE_SERVERS_WAITING_MAX)?;
        let session_id = SessionId::of_bytes(fixed("parcel.session_id", &message.session_id)?);
        let profile = required("parcel.profile", message.profile)?;
        let seq = message.seq;
        if seq == 0 || seq > limits::SEQUENCE_MAX {
            return Err(Malformed::new("parcel.seq", "no session has this number").into());
        }
        if message.epoch == 0 {
            return Err(Malformed::new("parcel.epoch", "epochs begin at 1").into());
        }
        Ok(Self {
            profile: read_profile(session_id, profile)?,
            epoch: message.epoch,
            seq,
            entries: message.entries.map(|entries| entries::read(entries, seq)).transpose()?,
            position: Position::read(required("parcel.position", message.position)?)?,
            open: message.open.iter().map(OpenGuild::read).collect::<Result<_, _>>()?,
            to_create: ids("parcel.to_create", &message.to_create)?,
            joined: ids("parcel.joined", &message.joined)?,
            private: ids("parcel.private_channels", &message.private_channels)?,
            says: Says::read(required("parcel.says", message.says)?)?,
            voices: message.voices,
            waiting: message.waiting.into_iter().map(Waiting::read).collect::<Result<_, _>>()?,
        })
    }
}

// === impl Position ===

impl Position {
    /// What every event of the partition's guilds up to here is: given, or not for the session. `None` where that is not
    /// known.
    pub(crate) fn floor(&self, partition: u16) -> Option<u64> {
        let index = self.floors.binary_search_by_key(&partition, |(known, _)| *known).ok()?;
        Some(self.floors[index].1)
    }

    fn read(message: v1::SessionPosition) -> Result<Self, Malformed> {
        at_most("position.floors", message.floors.len(), limits::PARCEL_FLOORS_MAX)?;
        let floor = |floor: v1::PartitionFloor| {
            let partition = u16::try_from(floor.partition);
            let partition =
                partition.map_err(|_| Malformed::new("floor.partition", "there are not so many"))?;
            Ok((partition, floor.sequence))
        };
        let floors: Vec<(u16, u64)> = message.floors.into_iter().map(floor).collect::<Result<_, _>>()?;
        if !floors.is_sorted_by(|before, after| before.0 < after.0) {
            return Err(Malformed::new("position.floors", "they are not in order"));
        }
        Ok(Self { incarnation: message.incarnation, floors, user: message.user })
    }
}

// === impl OpenGuild ===

impl OpenGuild {
    fn message(&self) -> v1::OpenGuild {
        let Self { id, revision, after, repeats } = *self;
        v1::OpenGuild { guild_id: id.get(), revision, after, repeats }
    }

    fn read(message: &v1::OpenGuild) -> Result<Self, Malformed> {
        let id = id("open_guild.guild_id", message.guild_id)?;
        let v1::OpenGuild { revision, after, repeats, .. } = *message;
        Ok(Self { id, revision, after, repeats })
    }
}

// === impl Says ===

impl Says {
    fn message(&self) -> v1::SessionSays {
        v1::SessionSays {
            status: v1::Status::from(self.status).into(),
            platform: self.platform as u32,
            activities_json: self.activities_json.to_string(),
        }
    }

    fn read(message: v1::SessionSays) -> Result<Self, Malformed> {
        let status = message.status().known();
        let platform = match message.platform {
            0 => Platform::Desktop,
            1 => Platform::Mobile,
            2 => Platform::Web,
            _ => return Err(Malformed::new("says.platform", "no such kind of client")),
        };
        if !message.activities_json.is_empty() {
            is_json("says.activities_json", message.activities_json.as_bytes())?;
        }
        Ok(Self {
            status: required("says.status", status)?,
            platform,
            activities_json: message.activities_json.into(),
        })
    }
}

// === impl Waiting ===

impl Waiting {
    fn message(&self) -> v1::WaitingEvent {
        let (name, data) = self.event.parts();
        v1::WaitingEvent {
            voice_in: self.voice_in.map(u64::from),
            name: name.to_owned(),
            data: Bytes::copy_from_slice(data),
        }
    }

    fn read(message: v1::WaitingEvent) -> Result<Self, Malformed> {
        let voice_in = message.voice_in.map(|guild| id("waiting.voice_in", guild)).transpose()?;
        Ok(Self { voice_in, event: own_event(&message.name, &message.data)? })
    }
}

fn profile_message(profile: &Profile) -> v1::SessionProfile {
    v1::SessionProfile {
        user_id: profile.user_id.get(),
        is_bot: profile.is_bot,
        token_id: profile.token_id,
        token_hash: profile.token_hash.bytes().to_vec().into(),
        intents: profile.intents.bits(),
        large_threshold: profile.large_threshold,
        shard_index: profile.shard.index,
        shard_count: profile.shard.count,
        compress: profile.compress,
    }
}

fn read_profile(id: SessionId, message: v1::SessionProfile) -> Result<Profile, Malformed> {
    let shard = Shard { index: message.shard_index, count: message.shard_count };
    if shard.index >= shard.count {
        return Err(Malformed::new("profile.shard_index", "there are not so many shards"));
    }
    let intents = Intents::from_bits(message.intents.into());
    Ok(Profile {
        id,
        user_id: user("profile.user_id", message.user_id)?,
        is_bot: message.is_bot,
        token_id: message.token_id,
        token_hash: TokenHash::of_bytes(fixed("profile.token_hash", &message.token_hash)?),
        intents: intents.ok_or(Malformed::new("profile.intents", "there are none of these"))?,
        large_threshold: message.large_threshold,
        shard,
        compress: message.compress,
    })
}

fn floor_message(partition: u16, sequence: u64) -> v1::PartitionFloor {
    v1::PartitionFloor { partition: partition.into(), sequence }
}

fn user(field: &'static str, number: u64) -> Result<UserId, Malformed> {
    id(field, number)
}

/// An event that was made for one session.
fn own_event(name: &str, data: &[u8]) -> Result<OwnEvent, Malformed> {
    let is_legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > limits::EVENT_NAME_BYTES_MAX || !name.bytes().all(is_legal) {
        return Err(Malformed::new("own_event.name", "no event is called so"));
    }
    is_json("own_event.data", data)?;
    Ok(OwnEvent::new(name, data))
}

fn is_json(field: &'static str, data: &[u8]) -> Result<(), Malformed> {
    let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(data);
    parsed.map(drop).map_err(|_| Malformed::new(field, "it is no JSON"))
}

fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::new(field, "it has another length"))
}

fn at_most(field: &'static str, count: usize, max: usize) -> Result<(), Malformed> {
    if count > max { Err(Malformed::new(field, "there are too many")) } else { Ok(()) }
}
