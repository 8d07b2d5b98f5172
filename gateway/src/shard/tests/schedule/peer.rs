//! One client of a schedule, through all its sockets: what it was given, and what it takes the guild for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::ChannelId;
use serde_json::Value;

use super::super::client::{Client, line};
use super::super::rig::{GUILD, Sim, all_intents};
use super::super::world::guild_id;
use super::oracle::History;

pub struct Peer {
    pub index: usize,
    pub user: u64,
    shard: usize,
    client: Option<Client>,
    /// Payloads of the present socket that have been looked at.
    taken: usize,
    now_ms: u64,
    revision: u64,
    pub session_id: String,
    seq: u64,
    /// A RESUME is under way, since the stream was here.
    resuming: Option<u64>,
    pub messages: Vec<Received>,
    pub resumes: Vec<Resumed>,
    /// The names of the channels of each guild that it has.
    pub guilds: BTreeMap<String, BTreeMap<String, String>>,
    /// Who is in a voice channel, and in which, in the same guilds.
    pub voices: BTreeMap<String, BTreeMap<String, String>>,
    /// Who is there, and how.
    pub presences: BTreeMap<String, BTreeMap<String, String>>,
    /// The voice states that it was told.
    pub shown: Vec<Shown>,
    /// The voice server that it was told last.
    pub voice_server: Option<String>,
    /// The voice channel that it asked for last, if the server has taken that for certain.
    pub spoken: Option<Option<ChannelId>>,
    /// What it has asked for since it read.
    speaking: Option<Option<ChannelId>>,
    /// What is wrong whatever the guild is.
    pub problems: Vec<String>,
    pub trace: String,
}

/// A message as it was given.
pub struct Received {
    pub number: usize,
    pub seq: u64,
    /// When it was read.
    pub at_ms: u64,
}

/// A voice state as it was told, in an event of its own.
pub struct Shown {
    pub number: usize,
    pub user: String,
    pub channel: String,
    /// The directory's revision when it was read.
    pub revision: u64,
}

/// A replay: from when the client asked to when it was told that this was all.
pub struct Resumed {
    /// The last sequence of the stream at the end.
    pub until: u64,
    /// The directory's revision then.
    pub revision: u64,
}

impl Peer {
    pub fn new(index: usize, user: u64, shard: usize) -> Self {
        Self {
            index,
            user,
            shard,
            client: None,
            taken: 0,
            now_ms: 0,
            revision: 0,
            session_id: String::new(),
            seq: 0,
            resuming: None,
            messages: Vec::new(),
            resumes: Vec::new(),
            guilds: BTreeMap::new(),
            voices: BTreeMap::new(),
            presences: BTreeMap::new(),
            shown: Vec::new(),
            voice_server: None,
            spoken: None,
            speaking: None,
            problems: Vec::new(),
            trace: String::new(),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    /// Whether it has been told its session.
    pub fn can_resume(&self) -> bool {
        !self.session_id.is_empty()
    }

    /// Identifies for the first time, resumes ever after.
    pub fn connect(&mut self, sim: &Sim, history: &History, shard: usize) {
        let shard = if self.can_resume() { shard } else { self.shard };
        let client = sim.connect(shard, self.user);
        if self.can_resume() {
            client.resume(&self.session_id, self.seq);
            self.resuming = Some(history.last());
        } else {
            client.identify(all_intents());
        }
        self.client = Some(client);
        self.taken = 0;
    }

    /// Loses the socket, and what has not been read of it.
    pub fn drop_socket(&mut self) {
        if self.client.take().is_some() && self.resuming.take().is_some() {
            // It may have been given anything of the replay, or nothing.
            self.resumes.push(Resumed { until: u64::MAX, revision: u64::MAX });
        }
        self.speaking = None;
        let _ = writeln!(self.trace, "{}: lost", self.index);
    }

    pub fn beat(&self) {
        if let Some(client) = &self.client {
            client.beat();
        }
    }

    pub fn speak(&mut self, channel: Option<ChannelId>) {
        if let Some(client) = self.client.as_ref().filter(|_| self.is_ready()) {
            client.voice(GUILD, channel.map(ChannelId::get));
            (self.spoken, self.speaking) = (None, Some(channel));
        }
    }

    pub fn appear(&self, status: &str) {
        if let Some(client) = self.client.as_ref().filter(|_| self.is_ready()) {
            client.presence(status);
        }
    }

    /// Whether what it sends is taken: its session is accepted.
    fn is_ready(&self) -> bool {
        self.can_resume() && self.resuming.is_none()
    }

    pub fn read(&mut self, sim: &Sim, history: &History) {
        self.now_ms = sim.services.now_ms();
        self.revision = sim.world().now(guild_id(GUILD)).guild.revision;
        let Some(mut client) = self.client.take() else { return };
        client.read();
        self.spoken = self.speaking.take().or(self.spoken);
        for payload in &client.payloads[self.taken..] {
            self.take(history, payload);
        }
        let closed = client.closed;
        self.taken = client.payloads.len();
        self.client = Some(client);
        match closed {
            None => {}
            // The directory failed when a GUILD_CREATE was to be made again.
            Some(4000) => self.drop_socket(),
            Some(code) => self.problems.push(format!("closed with {code}")),
        }
    }

    fn take(&mut self, history: &History, payload: &Value) {
        if let Some(line) = line(payload) {
            let _ = writeln!(self.trace, "{}: {} {line}", self.index, payload["s"]);
        }
        if payload["op"] != 0 {
            if payload["op"] != 10 && payload["op"] != 11 {
                self.problems.push(format!("given {payload}"));
            }
            return;
        }
        let (seq, event, d) = (payload["s"].as_u64().unwrap(), payload["t"].as_str().unwrap(), &payload["d"]);
        match event {
            "RESUMED" => {
                self.resumes.push(Resumed { until: history.last(), revision: self.revision });
                if self.resuming.take().is_none() || seq < self.seq {
                    self.problems.push(format!("RESUMED at {seq} out of place"));
                }
            }
            // They are in no ring, and have the number of what came before them.
            "PRESENCE_UPDATE" | "VOICE_SERVER_UPDATE" if seq == self.seq && self.resuming.is_none() => {}
            _ if self.resuming.is_some() && seq > self.seq => {}
            _ if seq == self.seq + 1 => {}
            _ => self.problems.push(format!("{event} has sequence {seq} behind {}", self.seq)),
        }
        self.seq = seq;
        self.understand(event, d);
    }

    fn understand(&mut self, event: &str, d: &Value) {
        let text = |key: &str| d[key].as_str().unwrap_or_default().to_owned();
        match event {
            "READY" => self.session_id = text("session_id"),
            "GUILD_CREATE" => {
                let channels = d["channels"].as_array().unwrap().iter();
                let name = |channel: &Value, key: &str| channel[key].as_str().unwrap().to_owned();
                let channels = channels.map(|channel| (name(channel, "id"), name(channel, "name")));
                self.guilds.insert(text("id"), channels.collect());
                let states = d["voice_states"].as_array().unwrap().iter();
                let states: BTreeMap<String, String> =
                    states.map(|state| (name(state, "user_id"), name(state, "channel_id"))).collect();
                if states.values().any(|channel| !self.guilds[&text("id")].contains_key(channel)) {
                    self.problems.push(format!("it was shown {states:?} in {:?}", self.guilds));
                }
                self.voices.insert(text("id"), states);
                let presences = d["presences"].as_array().unwrap().iter();
                let presences = presences.map(|there| (name(&there["user"], "id"), name(there, "status")));
                self.presences.insert(text("id"), presences.collect());
            }
            "GUILD_DELETE" => {
                self.guilds.remove(&text("id"));
                self.voices.remove(&text("id"));
                self.presences.remove(&text("id"));
            }
            "VOICE_STATE_UPDATE" => self.understand_voice(d),
            "VOICE_SERVER_UPDATE" => self.voice_server = Some(text("token")),
            "PRESENCE_UPDATE" => {
                let (user, status) = (d["user"]["id"].as_str().unwrap().to_owned(), text("status"));
                match self.presences.get_mut(&text("guild_id")) {
                    None => {
                        self.problems.push(format!("{user} is {status} in a guild that it does not have"))
                    }
                    Some(there) if status == "offline" => drop(there.remove(&user)),
                    Some(there) => drop(there.insert(user, status)),
                }
            }
            "MESSAGE_CREATE" => self.messages.push(Received {
                number: text("content").parse().unwrap(),
                seq: self.seq,
                at_ms: self.now_ms,
            }),
            _ if event.starts_with("CHANNEL_") => {
                let Some(guild) = self.guilds.get_mut(&text("guild_id")) else {
                    self.problems.push(format!("{event} of a guild that it does not have"));
                    return;
                };
                if event == "CHANNEL_DELETE" {
                    guild.remove(&text("id"));
                } else {
                    guild.insert(text("id"), text("name"));
                }
            }
            _ => {}
        }
    }

    fn understand_voice(&mut self, d: &Value) {
        let text = |key: &str| d[key].as_str().unwrap_or_default().to_owned();
        let user = text("user_id");
        let Some(voices) = self.voices.get_mut(&text("guild_id")) else {
            self.problems.push(format!("{user} is in voice of a guild that it does not have"));
            return;
        };
        if d["channel_id"].is_null() {
            voices.remove(&user);
            return;
        }
        voices.insert(user.clone(), text("channel_id"));
        if let Some(number) = d["number"].as_u64() {
            let (number, channel) = (number as usize, text("channel_id"));
            self.shown.push(Shown { number, user, channel, revision: self.revision });
        }
    }
}
