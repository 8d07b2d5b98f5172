//! One receiver, from its first connection to its goodbye. When a connection ends it is lost, or the receiver comes back
//! as a library does: by RESUME while it has a session, first to where that says, then to the next gateway it knows.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::anyhow;
use model::entropy;
use serde_json::json;
use testkit::gateway_client::identify_payload;
use testkit::ws::{self, Refusal, Socket};
use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, watch};
use tokio::time::{self, Instant};

use super::link::{End, Link, Session};
use super::notes::Notes;
use super::{Crowd, Orders, Returning};
use crate::target::{Service, Target};

/// GUILDS, GUILD_MESSAGES and MESSAGE_CONTENT.
const INTENTS: u64 = 1 | 1 << 9 | 1 << 15;
/// For each part of a start, where no library's limits hold.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long the server has to answer a close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);

/// How long discord.js waits: for the handshake, for HELLO (and here RESUMED), for READY.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);
const HELLO_LIMIT: Duration = Duration::from_secs(60);
const READY_LIMIT: Duration = Duration::from_secs(15);
/// Its pause before it connects again.
const PAUSE: Duration = Duration::from_millis(500);

/// Close codes after which a session is gone, and those after which libraries give up.
const SESSION_LOST: [u16; 6] = [1000, 1001, 4003, 4005, 4007, 4009];
const GIVEN_UP: [u16; 6] = [4004, 4010, 4011, 4012, 4013, 4014];

/// Why an attempt to connect came to nothing.
enum Shut {
    /// 503, with the seconds of Retry-After.
    Refused(Option<u64>),
    /// It took longer than a library waits.
    Late(&'static str),
    Failed(anyhow::Error),
    Ended(End),
}

struct Receiver<'a> {
    notes: &'a Notes,
    place: usize,
    target: &'a Target,
    member: usize,
    returning: Option<Returning>,
    session: Option<Session>,
    /// The gateway it was connected to last.
    url: String,
}

/// Connects, receives until it is stopped, and says goodbye.
pub(super) async fn run(
    notes: &Notes,
    place: usize,
    target: &Target,
    crowd: &Crowd,
    gate: &Semaphore,
    mut orders: watch::Receiver<Orders>,
) {
    let member = crowd.first + notes.members[place];
    let returning = crowd.returning;
    let mut receiver =
        Receiver { notes, place, target, member, returning, session: None, url: String::new() };
    let mut away_since = None;
    loop {
        let came = tokio::select! {
            // An error means that nobody is left to stop it.
            _ = orders.wait_for(|orders| orders.is_over) => return,
            came = receiver.come(gate) => came,
        };
        let mut link = match came {
            Ok(link) => link,
            Err(error) => return notes.counters.fail(&error),
        };
        notes.opened(away_since);
        let drops = orders.borrow().drops;
        let end = tokio::select! {
            _ = orders.wait_for(|orders| orders.is_over || orders.drops > drops) => None,
            end = link.receive(notes) => Some(end),
        };
        notes.counters.open.fetch_sub(1, Ordering::Relaxed);
        receiver.keep_seq(&link);
        match end {
            None if orders.borrow().is_over => {
                if !target.abandons {
                    // A server that does not answer in time has been told all the same.
                    let _ = time::timeout(CLOSE_PATIENCE, link.close(notes)).await;
                }
                return;
            }
            None => link.reset(),
            Some(_) if returning.is_none() => {
                notes.counters.lost_connections.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Some(end) => {
                if let Err(error) = receiver.ended(&end) {
                    return notes.counters.fail(&error);
                }
            }
        }
        away_since = Some(Instant::now());
        time::sleep(PAUSE).await;
    }
}

impl Receiver<'_> {
    /// Connects until a session is open; without leave to return there is one attempt.
    async fn come(&mut self, gate: &Semaphore) -> anyhow::Result<Link> {
        let mut attempt = 0;
        loop {
            // A session that was lost meanwhile wants to go nowhere.
            let mut urls = self.urls();
            let url = urls.swap_remove(attempt % urls.len());
            let attempted = {
                let _turn = gate.acquire().await;
                self.attempt(&url).await
            };
            let shut = match attempted {
                Ok(link) => {
                    self.url = url;
                    return Ok(link);
                }
                Err(shut) => shut,
            };
            let Some(returning) = self.returning else { return Err(shut.into_error()) };
            let mut pause = PAUSE;
            match shut {
                Shut::Refused(retry_after_s) => {
                    self.notes.journeys.borrow_mut().refused += 1;
                    if let Some(seconds) = retry_after_s.filter(|_| returning.heeds_retry_after) {
                        // Whoever is told the same second should not come in the same millisecond.
                        pause = Duration::from_secs(seconds) + Duration::from_millis(entropy::below(500));
                    }
                }
                Shut::Late(_) => self.notes.journeys.borrow_mut().late += 1,
                Shut::Failed(_) => self.notes.journeys.borrow_mut().failed += 1,
                Shut::Ended(end) => self.ended(&end)?,
            }
            time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Where to connect, in this order; at least one.
    fn urls(&self) -> Vec<String> {
        let gateways = &self.target.gateways;
        let home =
            gateways.iter().position(|url| *url == self.url).unwrap_or(self.member % gateways.len().max(1));
        let known = gateways.iter().cycle().skip(home).take(gateways.len());
        let resume = self.session.iter().map(|session| &session.url).filter(|url| !url.is_empty());
        let mut urls: Vec<String> = Vec::new();
        for url in resume.chain(known) {
            let url = url.trim_end_matches('/');
            if !urls.iter().any(|listed| listed == url) {
                urls.push(url.to_owned());
            }
        }
        urls
    }

    /// One connection, up to where events can come.
    async fn attempt(&mut self, url: &str) -> Result<Link, Shut> {
        let source = self.target.sources[self.member % self.target.sources.len()];
        let limit = |library| if self.returning.is_some() { library } else { START_PATIENCE };
        let form = self.target.form_of(self.member);
        let path = form.path();
        let opening = open(url, &path, source);
        let (stream, rest) = within(limit(HANDSHAKE_LIMIT), "the handshake", async {
            let socket = opening.await.map_err(Shut::of)?;
            let (stream, rest) = socket.into_parts();
            Ok((stream, rest.to_vec()))
        })
        .await?;
        let mut link = Link::new(self.place, form, stream, rest);
        let Service::Starling(starling) = &self.target.service else { return Ok(link) };
        let notes = self.notes;
        let hello = link.until(notes, |heard| heard.beat_every.is_some());
        within(limit(HELLO_LIMIT), "HELLO", async { hello.await.map_err(Shut::Ended) }).await?;
        let token = starling.token(self.member);
        let started = match &self.session {
            Some(Session { id, seq, .. }) => {
                let resume = json!({ "token": token, "session_id": id, "seq": seq });
                link.send(&json!({ "op": 6, "d": resume })).map_err(Shut::Ended)?;
                let resumed = link.until(notes, |heard| heard.is_resumed);
                within(limit(HELLO_LIMIT), "RESUMED", async { resumed.await.map_err(Shut::Ended) }).await
            }
            None => {
                link.send(&json!({ "op": 2, "d": identify_payload(token, INTENTS) })).map_err(Shut::Ended)?;
                let ready = link.until(notes, |heard| heard.session.is_some());
                within(limit(READY_LIMIT), "READY", async { ready.await.map_err(Shut::Ended) }).await?;
                let guilds = link.until(notes, super::link::Heard::is_open);
                within(START_PATIENCE, "the guilds", async { guilds.await.map_err(Shut::Ended) }).await
            }
        };
        // A replay that breaks off has brought what it has brought.
        self.keep_seq(&link);
        started?;
        self.started(&mut link, url);
        Ok(link)
    }

    fn started(&mut self, link: &mut Link, url: &str) {
        let mut journeys = self.notes.journeys.borrow_mut();
        let has_been_there = !self.url.is_empty();
        if has_been_there && self.url != url {
            journeys.elsewhere += 1;
        }
        if let Some(session) = link.settle() {
            // What came before belongs to a session that is no more.
            self.session = Some(Session { seq: link.seq.unwrap_or(session.seq), ..session });
            if has_been_there {
                journeys.identifies += 1;
                journeys.anew.push(self.member);
            }
        } else {
            journeys.resumes += 1;
        }
    }

    fn keep_seq(&mut self, link: &Link) {
        // A connection that brought a session of its own is not of the one before.
        if let (Some(session), Some(seq), false) = (&mut self.session, link.seq, link.has_session()) {
            session.seq = seq.max(session.seq);
        }
    }

    /// What the end of a connection means for the session; an error when it means the end of everything.
    fn ended(&mut self, end: &End) -> anyhow::Result<()> {
        let mut journeys = self.notes.journeys.borrow_mut();
        match end {
            End::Told => journeys.told += 1,
            End::Invalid => {
                journeys.invalid += 1;
                self.session = None;
            }
            End::Silent => journeys.silent += 1,
            End::Closed(Some(code)) if GIVEN_UP.contains(code) => {
                return Err(anyhow!("closed with {code}, after which no library comes back"));
            }
            End::Closed(Some(code)) if SESSION_LOST.contains(code) => {
                journeys.closed += 1;
                self.session = None;
            }
            End::Closed(_) | End::Broken(_) => journeys.closed += 1,
        }
        Ok(())
    }
}

/// The handshake, from one of our addresses.
async fn open(url: &str, path: &str, source: Ipv4Addr) -> std::io::Result<Socket> {
    let (host, _) = ws::split_url(url);
    let mut addrs = tokio::net::lookup_host(host).await?;
    let none = || std::io::Error::other(format!("{host} has no IPv4 address"));
    let addr: SocketAddr = addrs.find(SocketAddr::is_ipv4).ok_or_else(none)?;
    let socket = TcpSocket::new_v4()?;
    if addr.ip().is_loopback() {
        socket.bind((source, 0).into())?;
    }
    Socket::upgrade(socket.connect(addr).await?, host, path).await
}

async fn within<T>(
    limit: Duration,
    what: &'static str,
    part: impl Future<Output = Result<T, Shut>>,
) -> Result<T, Shut> {
    time::timeout(limit, part).await.unwrap_or(Err(Shut::Late(what)))
}

impl Shut {
    fn of(error: std::io::Error) -> Self {
        match Refusal::of(&error) {
            Some(refusal) if refusal.line.contains(" 503 ") => Self::Refused(refusal.retry_after_s),
            _ => Self::Failed(error.into()),
        }
    }

    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Refused(_) => anyhow!("the server takes no more connections: it answered 503"),
            Self::Late(what) => anyhow!("{what} took longer than {START_PATIENCE:?}"),
            Self::Failed(error) => error,
            Self::Ended(End::Broken(error)) => anyhow::Error::from(error).context("the connection broke"),
            Self::Ended(end) => anyhow!("the server ended it: {end:?}"),
        }
    }
}
