//! Numbered events in columns: a reference takes two or three bytes.

use bytes::Bytes;
use model::{GuildId, limits};
use proto::convert::{Malformed, id, ids, numbers};
use proto::v1;
use proto::v1::own_entry::What;
use rustc_hash::FxHashMap;

use super::{at_most, own_event};
use crate::made::OwnEvent;
use crate::session::About;

/// One numbered event: where it can be read, how it is made, or what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// The event of this guild with this sequence in its partition's stream.
    OfGuild(GuildId, u64),
    /// The user's event with this sequence.
    OfUser(u64),
    Own(OwnEvent, About),
    GuildCreate(GuildId),
}

/// Where a reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    User,
    Guild(usize),
}

pub(super) fn message(items: &[Item]) -> v1::SessionEntries {
    let mut guilds: Vec<GuildId> = Vec::new();
    let mut places: FxHashMap<GuildId, usize> = FxHashMap::default();
    let mut last: FxHashMap<Source, u64> = FxHashMap::default();
    let mut message = v1::SessionEntries::default();
    for item in items {
        let (source, sequence) = match item {
            Item::OfUser(sequence) => (Source::User, *sequence),
            Item::OfGuild(guild, sequence) => {
                let place = *places.entry(*guild).or_insert_with(|| {
                    guilds.push(*guild);
                    guilds.len() - 1
                });
                (Source::Guild(place), *sequence)
            }
            Item::Own(event, about) => {
                message.sources.push(BESIDE);
                message.own.push(own(What::Event(event_message(event, *about))));
                continue;
            }
            Item::GuildCreate(guild) => {
                message.sources.push(BESIDE);
                message.own.push(own(What::GuildCreate(guild.get())));
                continue;
            }
        };
        message.sources.push(source.number());
        let before = last.insert(source, sequence).unwrap_or_default();
        message.steps.push(sequence.wrapping_sub(before).cast_signed());
    }
    message.guilds = numbers(&guilds);
    message
}

/// The items of a session whose last number is `seq`.
pub(super) fn read(message: v1::SessionEntries, seq: u64) -> Result<Vec<Item>, Malformed> {
    at_most("entries.sources", message.sources.len(), limits::RING_EVENTS_MAX)?;
    at_most("entries.guilds", message.guilds.len(), limits::RING_EVENTS_MAX)?;
    if message.sources.len() as u64 > seq {
        return Err(Malformed::new("entries.sources", "there are more than numbers"));
    }
    let guilds: Vec<GuildId> = ids("entries.guilds", &message.guilds)?;
    let (mut steps, mut own) = (message.steps.into_iter(), message.own.into_iter());
    let mut last: FxHashMap<Source, u64> = FxHashMap::default();
    let mut items = Vec::with_capacity(message.sources.len());
    for number in message.sources {
        let Some(source) = Source::of(number) else {
            let entry = own.next().and_then(|entry| entry.what);
            items.push(read_own(entry.ok_or(Malformed::new("entries.own", "there are too few"))?)?);
            continue;
        };
        let step = steps.next().ok_or(Malformed::new("entries.steps", "there are too few"))?;
        let sequence = last.entry(source).or_default();
        *sequence = sequence.wrapping_add_signed(step);
        if *sequence == 0 {
            return Err(Malformed::new("entries.steps", "no event has the sequence 0"));
        }
        items.push(match source {
            Source::User => Item::OfUser(*sequence),
            Source::Guild(place) => {
                let guild = guilds.get(place);
                let guild = guild.ok_or(Malformed::new("entries.sources", "there are not so many guilds"))?;
                Item::OfGuild(*guild, *sequence)
            }
        });
    }
    if steps.next().is_some() || own.next().is_some() {
        return Err(Malformed::new("entries.sources", "there are too few"));
    }
    Ok(items)
}

impl Source {
    fn number(self) -> u32 {
        match self {
            Self::User => USER,
            Self::Guild(place) => u32::try_from(place).expect("a ring has fewer entries") + FIRST_GUILD,
        }
    }

    fn of(number: u32) -> Option<Self> {
        match number {
            BESIDE => None,
            USER => Some(Self::User),
            _ => Some(Self::Guild((number - FIRST_GUILD) as usize)),
        }
    }
}

const BESIDE: u32 = 0;
const USER: u32 = 1;
const FIRST_GUILD: u32 = 2;

fn own(what: What) -> v1::OwnEntry {
    v1::OwnEntry { what: Some(what) }
}

fn event_message(event: &OwnEvent, about: About) -> v1::OwnEvent {
    let (name, data) = event.parts();
    let (guild_id, channel_id) = match about {
        About::User => (None, None),
        About::Guild(guild) => (Some(guild.get()), None),
        About::Channel(guild, channel) => (Some(guild.get()), Some(channel.get())),
    };
    v1::OwnEvent { name: name.to_owned(), data: Bytes::copy_from_slice(data), guild_id, channel_id }
}

fn read_own(what: What) -> Result<Item, Malformed> {
    let event = match what {
        What::GuildCreate(guild) => return Ok(Item::GuildCreate(id("own.guild_create", guild)?)),
        What::Event(event) => event,
    };
    let about = match (event.guild_id, event.channel_id) {
        (None, None) => About::User,
        (Some(guild), None) => About::Guild(id("own_event.guild_id", guild)?),
        (Some(guild), Some(channel)) => {
            About::Channel(id("own_event.guild_id", guild)?, id("own_event.channel_id", channel)?)
        }
        (None, Some(_)) => return Err(Malformed::new("own_event.channel_id", "it has no guild")),
    };
    Ok(Item::Own(own_event(&event.name, &event.data)?, about))
}
