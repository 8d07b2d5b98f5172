//! A shard: one thread with its own runtime, its own connections, sessions and audience tables, and no locks.
//!
//! Everything that changes a shard happens in a short borrow of [`Shard`] on its thread, never across an await: the
//! shard's inbox (events, new sockets), sockets with news, answers of other services, and one tick a second for all
//! timers. Work that waits (a call to a service) is a task of the shard's tracker that borrows again when it is done.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use model::{GuildId, UserId};
use rustc_hash::FxHashMap;
use slab::Slab;
use tasks::LocalTasks;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Duration;

use crate::admission::Ticket;
use crate::audience::SessionKey;
use crate::encoder::Encoder;
use crate::form::{Form, Stream};
use crate::giver::Ask;
use crate::link::command::Resume;
use crate::live::LiveEvent;
use crate::parcel::Parcel;
use crate::poller::Poller;
use crate::positions::Seen;
use crate::services::Services;
use crate::session::SessionId;
use crate::shared_ring::SharedRings;
use crate::socket::Socket;
use crate::stats::Count;
use crate::wire::{CloseCode, WriteStats};

mod admit;
mod arriving;
mod aside;
mod batch;
mod checkpoint;
mod command;
mod conn;
mod deliver;
mod drain;
mod giving;
mod guild;
mod identify;
mod members;
#[cfg(test)]
mod memory;
mod opening;
mod parking;
mod presences;
mod private;
mod pump;
mod resume;
mod seen;
mod send;
mod serve;
mod session;
mod taking;
#[cfg(test)]
mod tests;
mod voice;
mod wheel;

use batch::{Gathered, Then};
use checkpoint::Checkpoints;
use conn::{Conn, ConnId};
use drain::Drain;
use giving::Departed;
use guild::GuildTable;
use opening::Opening;
use presences::Presences;
use seen::SeenLog;
use serve::Partial;
use session::SessionSlot;
use voice::InVoice;
use wheel::Wheel;

/// What comes to a shard from outside its thread.
pub(crate) enum Input {
    Event(Arc<LiveEvent>),
    /// An event for one user's sessions.
    UserEvent(UserId, Arc<LiveEvent>),
    /// The same, read later from the stream; the shard may have it.
    MissedUserEvent(UserId, Arc<LiveEvent>),
    /// Events of these guilds' partition are lost: what was built from them is void.
    Lost(Arc<dyn Fn(GuildId) -> bool + Send + Sync>),
    /// Another pod asks for a session.
    Give(Box<Ask>),
    /// The session goes on elsewhere, in a later epoch than this one.
    Overtaken(SessionId, u64),
    /// Everything up to here was put into this queue before.
    Seen(Arc<Seen>),
    Socket(NewSocket),
    /// How late is it? See [`crate::gate`].
    Probe,
    /// Tell everybody to leave, over this time; answered when nobody is left.
    Drain(Duration, oneshot::Sender<()>),
    Stop,
}

/// A socket whose handshake has been read.
pub(crate) struct NewSocket {
    pub(crate) socket: Socket,
    /// The answer to the handshake, which is written together with HELLO; empty when it has been written.
    pub(crate) greeting: Bytes,
    /// What was read behind the handshake.
    pub(crate) rest: BytesMut,
    pub(crate) form: Form,
    /// Its own compressor, if it has one.
    pub(crate) stream: Option<Box<Stream>>,
    pub(crate) start: SocketStart,
}

/// How a socket begins on a shard.
pub(crate) enum SocketStart {
    Hello,
    /// It comes from the shard where it sent RESUME for a session of this one.
    Resume(Resume),
    Close(CloseCode),
}

/// Who is about to have a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newcomer {
    /// A connection that identifies.
    Conn(ConnId),
    /// A session that comes from another pod.
    Session(SessionId),
}

/// A shard, shared by the tasks of its thread.
pub(crate) type ShardRef = Rc<RefCell<Shard>>;

pub(crate) struct Shard {
    index: usize,
    services: Arc<Services>,
    /// The inboxes of all shards, this one's included.
    peers: Arc<[mpsc::Sender<Input>]>,
    tasks: LocalTasks,
    poller: Rc<Poller>,
    conns: Slab<Conn>,
    /// Tells connections that have had the same place apart.
    conn_serial: u32,
    sessions: Slab<SessionSlot>,
    by_id: FxHashMap<SessionId, SessionKey>,
    by_user: FxHashMap<UserId, Vec<SessionKey>>,
    /// Voice channels that sessions of this shard are in.
    voices: FxHashMap<GuildId, Vec<InVoice>>,
    /// User events that came from the stream, which may still come as usual.
    made_good: VecDeque<(UserId, u64)>,
    /// Users whose sessions are about to begin, and what came for them meanwhile.
    identifying: Vec<(Newcomer, UserId, Vec<Arc<LiveEvent>>)>,
    /// Sessions that are being taken from other pods, and the sockets that wait for each.
    taking: FxHashMap<SessionId, Vec<(ConnId, Resume)>>,
    departed: Departed,
    /// The highest sequence that was taken of each partition of users.
    users_taken: Vec<u64>,
    seen: SeenLog,
    checkpoints: Checkpoints,
    /// Sessions that were packed up, as the pod goes away.
    parked: FxHashMap<SessionId, Parcel>,
    /// The events that sessions can be given again.
    rings: SharedRings,
    presences: Presences,
    guilds: FxHashMap<GuildId, Box<GuildTable>>,
    openings: FxHashMap<GuildId, Vec<Opening>>,
    opening_serial: u64,
    /// Connections that wait for the start of their session.
    starting: FxHashMap<ConnId, Ticket>,
    conn_timers: Wheel<ConnId>,
    /// Op 9 is due, unless it was sent.
    refusal_timers: Wheel<ConnId>,
    session_timers: Wheel<(SessionKey, SessionId)>,
    /// Connections with something new to write.
    dirty: Vec<ConnId>,
    /// Connections that end once all is written.
    over: Vec<ConnId>,
    /// What was read last, and what it is put together in.
    scratch: Box<[u8]>,
    spare_partial: Option<Box<Partial>>,
    /// Events that are given together at the end of a portion.
    gathered: Gathered,
    encoder: Encoder,
    writes: WriteStats,
    /// What the counters have of `rings`: events and bytes.
    rings_told: (u64, u64),
    /// Boxed, as there is none nearly all of the time.
    drain: Option<Box<Drain>>,
    is_stopped: bool,
    /// Every opening that ended with a GUILD_CREATE.
    #[cfg(test)]
    admissions: Vec<tests::Admission>,
}

impl Shard {
    pub(crate) fn new(
        index: usize,
        services: Arc<Services>,
        peers: Arc<[mpsc::Sender<Input>]>,
        poller: Poller,
    ) -> ShardRef {
        let (now_ms, count) = (services.now_ms(), peers.len().max(1));
        Rc::new(RefCell::new(Self {
            index,
            services,
            peers,
            tasks: LocalTasks::default(),
            poller: Rc::new(poller),
            conns: Slab::new(),
            conn_serial: 0,
            sessions: Slab::new(),
            by_id: FxHashMap::default(),
            by_user: FxHashMap::default(),
            voices: FxHashMap::default(),
            made_good: VecDeque::new(),
            identifying: Vec::new(),
            taking: FxHashMap::default(),
            departed: Departed::default(),
            users_taken: Vec::new(),
            seen: SeenLog::default(),
            checkpoints: Checkpoints::default(),
            parked: FxHashMap::default(),
            rings: SharedRings::new(model::limits::SHARED_RINGS_BYTES_MAX / count),
            presences: Presences::new(model::limits::PRESENCES_KEPT_BYTES_MAX / count),
            guilds: FxHashMap::default(),
            openings: FxHashMap::default(),
            opening_serial: 0,
            starting: FxHashMap::default(),
            conn_timers: Wheel::new(now_ms),
            refusal_timers: Wheel::new(now_ms),
            session_timers: Wheel::new(now_ms),
            dirty: Vec::new(),
            over: Vec::new(),
            scratch: vec![0; serve::READ_BYTES].into(),
            spare_partial: None,
            gathered: Gathered::default(),
            encoder: Encoder::default(),
            writes: WriteStats::default(),
            rings_told: (0, 0),
            drain: None,
            is_stopped: false,
            #[cfg(test)]
            admissions: Vec::new(),
        }))
    }

    /// Takes a portion of inputs, and writes what they gave.
    fn take(&mut self, me: &ShardRef, portion: impl Iterator<Item = Input>) {
        for input in portion {
            self.input(me, input);
        }
        self.give_gathered(Then::Write);
        self.flush_dirty(me);
    }

    fn input(&mut self, me: &ShardRef, input: Input) {
        if !matches!(input, Input::Event(_)) {
            self.give_gathered(Then::More);
        }
        match input {
            Input::Event(event) => self.on_event(&event),
            Input::UserEvent(user, event) => self.on_user_event(me, user, &event),
            Input::MissedUserEvent(user, event) => self.on_missed_user_event(me, user, &event),
            Input::Lost(is_lost) => self.lost(&*is_lost),
            Input::Give(ask) => self.give_away(*ask),
            Input::Overtaken(id, epoch) => self.overtaken(id, epoch),
            Input::Seen(seen) => self.seen.push(self.services.now_ms(), seen),
            Input::Socket(socket) => self.on_socket(me, socket),
            Input::Probe => self.services.shard_answered(self.index),
            Input::Drain(spread, done) => self.drain(me, spread, done),
            Input::Stop => self.is_stopped = true,
        }
    }

    /// Every second: connections that were silent for too long, refusals that are due, sessions that nobody resumed.
    fn tick(&mut self) {
        let now_ms = self.services.now_ms();
        for id in self.conn_timers.due(now_ms) {
            self.check_conn(id, now_ms);
        }
        for id in self.refusal_timers.due(now_ms) {
            self.check_refusal(id, now_ms);
        }
        for (key, id) in self.session_timers.due(now_ms) {
            self.check_session(key, id, now_ms);
        }
        self.expire_events(now_ms);
        let written = std::mem::take(&mut self.writes);
        self.services.stats.writes.add(written.syscalls);
        self.services.stats.written_bytes.add(written.bytes);
    }

    /// Frees what is too old to be replayed, and tells how much there is.
    fn expire_events(&mut self, now_ms: u64) {
        self.rings.expire(now_ms);
        self.presences.expire(now_ms);
        self.departed.expire(now_ms);
        let stats = &self.services.stats;
        let kept = (self.rings.len() as u64, self.rings.bytes() as u64);
        stats.ring_events.add(kept.0.wrapping_sub(self.rings_told.0));
        stats.ring_bytes.add(kept.1.wrapping_sub(self.rings_told.1));
        self.rings_told = kept;
    }
}

/// Runs a shard until it is told to stop.
pub(crate) async fn run(shard: ShardRef, mut inbox: mpsc::Receiver<Input>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let poller = shard.borrow().poller.clone();
    let (mut batch, mut news) = (Vec::with_capacity(BATCH_MAX), Vec::new());
    loop {
        tokio::select! {
            biased;
            _ = tick.tick() => {
                let mut this = shard.borrow_mut();
                this.tick();
                this.write_checkpoints(&shard);
                this.flush_dirty(&shard);
            }
            count = inbox.recv_many(&mut batch, BATCH_MAX) => {
                let is_over = {
                    let mut this = shard.borrow_mut();
                    this.take(&shard, batch.drain(..));
                    count == 0 || this.is_stopped
                };
                if is_over {
                    break;
                }
                // Sockets and tasks get their turn, however much comes in.
                tokio::task::yield_now().await;
                let _ = poller.wait(&mut news).now_or_never();
            }
            () = poller.wait(&mut news) => {}
        }
        if !news.is_empty() {
            shard.borrow_mut().serve(&shard, &news);
            news.clear();
        }
    }
    let tasks = shard.borrow_mut().end();
    tasks.wait(Duration::from_secs(5)).await;
}

/// How many inputs are dealt with before what they gave is written: writes of one batch are merged.
const BATCH_MAX: usize = 256;
