//! A client through all its sockets and sessions. What it has processed it never asks for again; what it has read and not
//! processed it may.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::Value;

use super::super::client::{Client, line};
use super::super::rig::all_intents;
use super::cluster::Cluster;
use super::history::Moment;
use super::life::{Entry, Life, What};

pub struct Peer {
    pub index: usize,
    pub user: u64,
    socket: Option<Socket>,
    /// Sockets that it has left open for a newer one.
    left: Vec<Socket>,
    /// Its sessions, the present one last; those before have ended.
    pub lives: Vec<Life>,
    /// Since when it has no socket.
    pub alone_since_ms: Option<u64>,
    /// It was told to leave.
    pub is_sent_away: bool,
    pub trace: String,
    pub problems: Vec<String>,
    /// Sessions that were refused.
    pub refusals: usize,
}

struct Socket {
    client: Client,
    /// The number of the pod.
    pod: u64,
    /// Empty until READY.
    session: String,
    /// Payloads that have been looked at.
    taken: usize,
    /// RESUME was sent, and RESUMED has not come.
    is_resuming: bool,
    /// Something of the session has come.
    is_accepted: bool,
    seq: u64,
}

/// Something of a session came through a socket.
pub struct Fed {
    pub session: String,
    pub pod: u64,
    pub is_old: bool,
}

impl Peer {
    pub fn new(index: usize, user: u64) -> Self {
        Self {
            index,
            user,
            socket: None,
            left: Vec::new(),
            lives: Vec::new(),
            alone_since_ms: Some(0),
            is_sent_away: false,
            trace: String::new(),
            problems: Vec::new(),
            refusals: 0,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether nothing is under way between it and its pod.
    pub fn is_settled(&self) -> bool {
        let is_settled = |socket: &Socket| socket.is_accepted && !socket.is_resuming;
        self.socket.as_ref().is_some_and(is_settled) && self.life().is_some()
    }

    /// Its present session, once it knows that.
    pub fn life(&self) -> Option<&Life> {
        self.lives.last().filter(|life| life.can_resume())
    }

    /// How many events it could say that it has not processed.
    pub fn unprocessed(&self) -> u64 {
        self.life().map_or(0, Life::unprocessed)
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(self.trace, "{}: {text}", self.index);
    }

    /// Opens a socket, while the one before may still be open. Resumes if it can, and then says that it has not processed so
    /// many of the events that it has read.
    pub fn connect(
        &mut self,
        cluster: &Cluster,
        (place, shard): (usize, usize),
        back: u64,
        moment: &Rc<Moment>,
    ) {
        let pod = cluster.pods[place].as_ref().expect("it lives").number;
        self.left.extend(self.socket.take());
        let client = cluster.connect(place, shard, self.user);
        let mut socket = Socket {
            client,
            pod,
            session: String::new(),
            taken: 0,
            is_resuming: false,
            is_accepted: false,
            seq: 0,
        };
        match self.lives.last_mut().filter(|life| life.can_resume()) {
            Some(life) => {
                let seq = life.go_back(back);
                socket.client.resume(&life.session, seq);
                socket.client.seq = seq;
                (socket.seq, socket.is_resuming, socket.session) = (seq, true, life.session.clone());
                self.note(&format!("resumes at pod {pod} from {seq}"));
            }
            None => {
                self.begin(&socket.client, moment);
                self.note(&format!("identifies at pod {pod}"));
            }
        }
        self.socket = Some(socket);
        (self.alone_since_ms, self.is_sent_away) = (None, false);
    }

    fn begin(&mut self, client: &Client, moment: &Rc<Moment>) {
        self.lives.retain(|life| !life.session.is_empty());
        self.lives.push(Life::new(self.user, moment.clone()));
        client.identify(all_intents());
    }

    /// Loses its socket.
    pub fn drop_socket(&mut self, now_ms: u64) {
        if let Some(socket) = self.socket.take() {
            socket.client.end.reset();
            self.alone_since_ms = Some(now_ms);
            self.note("lost its socket");
        }
    }

    /// Confirms what it has processed, which is all but so many.
    pub fn beat(&mut self, back: u64) {
        if let Some(socket) = &mut self.socket {
            beat(socket, self.lives.last_mut(), back);
        }
    }

    /// Reads all its sockets.
    pub fn read(&mut self, cluster: &Cluster, moment: &Rc<Moment>, now_ms: u64) -> Vec<Fed> {
        let mut fed = self.read_left();
        let Some(mut socket) = self.socket.take() else { return fed };
        socket.client.read();
        let payloads: Vec<Value> = socket.client.payloads[socket.taken..].to_vec();
        socket.taken = socket.client.payloads.len();
        for payload in &payloads {
            self.take(cluster, &mut socket, payload, moment);
        }
        if payloads.iter().any(|payload| payload["op"] == 0) {
            fed.push(Fed { session: socket.session.clone(), pod: socket.pod, is_old: false });
        }
        let closed = socket.client.closed;
        if closed.is_some_and(|code| code != 4000) {
            self.problems.push(format!("closed with {closed:?}"));
        }
        if closed.is_some() || socket.client.is_ended() || socket.client.end.is_gone() {
            self.alone_since_ms = Some(now_ms);
            self.note(&format!("its socket has ended with {closed:?}"));
        } else {
            self.socket = Some(socket);
        }
        fed
    }

    fn read_left(&mut self) -> Vec<Fed> {
        let mut fed = Vec::new();
        for socket in &mut self.left {
            socket.client.read();
            let is_fed = socket.client.payloads[socket.taken..].iter().any(|payload| payload["op"] == 0);
            // One that was accepted just now may have lost its session again within the moment.
            if is_fed && std::mem::replace(&mut socket.is_accepted, true) {
                fed.push(Fed { session: socket.session.clone(), pod: socket.pod, is_old: true });
            }
            socket.taken = socket.client.payloads.len();
        }
        let is_over = |socket: &Socket| socket.client.closed.is_some() || socket.client.end.is_gone();
        self.left.retain(|socket| !is_over(socket));
        fed
    }

    fn take(&mut self, cluster: &Cluster, socket: &mut Socket, payload: &Value, moment: &Rc<Moment>) {
        if let Some(line) = line(payload) {
            let content = payload["d"]["content"].as_str().unwrap_or_default();
            self.note(&format!("{} {line} {content}", payload["s"]));
        }
        match payload["op"].as_u64() {
            Some(0) => self.take_event(cluster, socket, payload, moment),
            Some(1) => beat(socket, self.lives.last_mut(), 0),
            Some(7) => self.is_sent_away = true,
            Some(9) => {
                self.refusals += 1;
                if let Some(life) = self.lives.last_mut() {
                    life.is_refused = true;
                }
                (socket.is_resuming, socket.is_accepted, socket.seq) = (false, false, 0);
                self.begin(&socket.client, moment);
            }
            Some(10 | 11) => {}
            _ => self.problems.push(format!("given {payload}")),
        }
    }

    fn take_event(&mut self, cluster: &Cluster, socket: &mut Socket, payload: &Value, moment: &Rc<Moment>) {
        let (seq, event) = (payload["s"].as_u64().unwrap_or(0), payload["t"].as_str().unwrap_or_default());
        let Some(life) = self.lives.last_mut() else { return };
        if event == "READY" {
            life.session = payload["d"]["session_id"].as_str().unwrap_or_default().to_owned();
            socket.session = life.session.clone();
        }
        if !std::mem::replace(&mut socket.is_accepted, true) {
            cluster.marks.forget_record(&life.session);
            if let Some(why) = cluster.marks.take_inexact(&life.session) {
                life.breaks();
                let _ = writeln!(self.trace, "{}: may get again what it has, since {why}", self.index);
            }
        }
        let is_next = match event {
            "RESUMED" => std::mem::take(&mut socket.is_resuming) && seq >= socket.seq,
            _ if socket.is_resuming => seq > socket.seq,
            _ => seq == socket.seq + 1,
        };
        if !is_next {
            self.problems.push(format!("{event} has sequence {seq} behind {}", socket.seq));
        }
        socket.seq = seq;
        if event != "RESUMED" {
            life.push(Entry { seq, what: What::of(event, &payload["d"]), moment: moment.clone() });
        }
    }
}

fn beat(socket: &mut Socket, life: Option<&mut Life>, back: u64) {
    if let Some(life) = life.filter(|life| socket.is_accepted && life.can_resume()) {
        socket.client.seq = life.confirm(back);
    }
    socket.client.beat();
}

/// The channels of a guild as a GUILD_CREATE shows them.
pub fn channels(guild: &Value) -> BTreeMap<String, String> {
    let text = |channel: &Value, key: &str| channel[key].as_str().unwrap_or_default().to_owned();
    let channels = guild["channels"].as_array().into_iter().flatten();
    channels.map(|channel| (text(channel, "id"), text(channel, "name"))).collect()
}
