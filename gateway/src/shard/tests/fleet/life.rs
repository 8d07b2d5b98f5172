//! A session as its client has it: what was given and not given back, in its order.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::history::Moment;
use super::peer::channels;

/// See the module.
pub struct Life {
    pub user: u64,
    /// Empty until READY.
    pub session: String,
    /// When its client identified.
    pub began: Rc<Moment>,
    pub log: Vec<Entry>,
    /// Where in the log what follows may have come before.
    pub breaks: Vec<usize>,
    /// When each guild was given for the first time.
    pub created: BTreeMap<u64, Rc<Moment>>,
    /// The client never asks for anything up to here again.
    floor: u64,
    pub is_refused: bool,
}

/// An event as it was given.
pub struct Entry {
    pub seq: u64,
    pub what: What,
    pub moment: Rc<Moment>,
}

pub enum What {
    Said(usize),
    Created(u64, BTreeMap<String, String>),
    Deleted(u64),
    /// A channel of a guild with its name, or without it gone.
    Channel(u64, String, Option<String>),
    Ready,
    Other,
}

impl Life {
    pub fn new(user: u64, began: Rc<Moment>) -> Self {
        Self {
            user,
            session: String::new(),
            began,
            log: Vec::new(),
            breaks: Vec::new(),
            created: BTreeMap::new(),
            floor: 1,
            is_refused: false,
        }
    }

    pub fn can_resume(&self) -> bool {
        !self.session.is_empty() && !self.is_refused
    }

    fn last_seq(&self) -> u64 {
        self.log.last().map_or(self.floor, |entry| entry.seq).max(self.floor)
    }

    pub fn unprocessed(&self) -> u64 {
        self.last_seq() - self.floor
    }

    /// Gives up what it has not processed, at most so many; answers the last that it has, and has for ever.
    pub fn go_back(&mut self, back: u64) -> u64 {
        let seq = self.last_seq() - back.min(self.unprocessed());
        self.log.retain(|entry| entry.seq <= seq);
        self.floor = seq;
        seq
    }

    /// It has all but so many for ever.
    pub fn confirm(&mut self, back: u64) -> u64 {
        self.floor = self.last_seq() - back.min(self.unprocessed());
        self.floor
    }

    /// What comes from here on may have come before.
    pub fn breaks(&mut self) {
        self.breaks.push(self.log.len());
    }

    pub fn push(&mut self, entry: Entry) {
        if let What::Created(guild, _) = &entry.what {
            self.created.entry(*guild).or_insert_with(|| entry.moment.clone());
        }
        self.log.push(entry);
    }

    /// When READY came.
    pub fn ready(&self) -> Option<&Rc<Moment>> {
        let ready = self.log.iter().find(|entry| matches!(entry.what, What::Ready));
        ready.map(|entry| &entry.moment)
    }

    /// What the client takes its guilds for: their channels with their names.
    pub fn picture(&self) -> BTreeMap<u64, BTreeMap<String, String>> {
        let mut guilds: BTreeMap<u64, BTreeMap<String, String>> = BTreeMap::new();
        for entry in &self.log {
            match &entry.what {
                What::Created(guild, channels) => drop(guilds.insert(*guild, channels.clone())),
                What::Deleted(guild) => drop(guilds.remove(guild)),
                What::Channel(guild, id, name) => {
                    let channels = guilds.entry(*guild).or_default();
                    match name {
                        Some(name) => drop(channels.insert(id.clone(), name.clone())),
                        None => drop(channels.remove(id)),
                    }
                }
                What::Said(_) | What::Ready | What::Other => {}
            }
        }
        guilds
    }
}

impl What {
    pub fn of(event: &str, d: &Value) -> Self {
        let text = |key: &str| d[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| text(key).parse::<u64>().ok();
        match event {
            "READY" => Self::Ready,
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" => match number("content") {
                Some(number) => Self::Said(number as usize),
                None => Self::Other,
            },
            "GUILD_CREATE" => Self::Created(number("id").unwrap_or(0), channels(d)),
            "GUILD_DELETE" => Self::Deleted(number("id").unwrap_or(0)),
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "CHANNEL_DELETE" => match number("guild_id") {
                Some(guild) => {
                    let name = (event != "CHANNEL_DELETE").then(|| text("name"));
                    Self::Channel(guild, text("id"), name)
                }
                None => Self::Other,
            },
            _ => Self::Other,
        }
    }
}
