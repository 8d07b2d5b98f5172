//! One replica: its connection, kept up by a task of its own, and what became of a call that was sent there.
//!
//! The connection is made as soon as the replica is known and made again when it ends. A server that reaches a
//! connection's age says goodbye first: the next connection is under way while the last calls of the old one finish. One
//! that can't be reached is tried again after a pause that doubles, with jitter; meanwhile calls fail at once. A call that
//! wants it cuts the pause short, so that what has started again is found while callers wait for it, and not seconds later.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use model::limits::{
    RPC_MESSAGE_BYTES_MAX, RPC_RECONNECT_MS_MAX, RPC_RECONNECT_MS_MIN, RPC_RECONNECT_WANTED_MS,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::{Code, Status};

use super::connect::{Connector, Origin, Sender};
use crate::failure::{Failure, FailureKind};
use crate::{serving, v1};

/// A replica as callers have it. Its task ends with the last of them.
pub(super) struct Replica {
    origin: Origin,
    state: watch::Receiver<State>,
    /// A call would have gone there.
    wanted: Arc<Notify>,
    _task: DropGuard,
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(Sender),
    /// Not now, and why.
    Down(Arc<str>),
}

/// What became of one attempt.
pub(super) enum Outcome {
    Answered(Response<Body>),
    /// Nothing was done: another replica owns the slot.
    NotOwner(Option<Box<v1::Owner>>),
    /// Nothing was done: the replica has too much to do.
    Full(Response<Body>),
    /// The service never saw the call.
    Unsent(String),
    /// Sent, and no answer: it may have been done or not.
    Lost(String),
}

/// What is sent: the same at every attempt, apart from the deadline.
pub(super) struct Message {
    pub(super) path: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Replica {
    /// Begins to connect.
    pub(super) fn start(origin: Origin, connector: Connector) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let stop = CancellationToken::new();
        let (executor, wanted) = (connector.executor.clone(), Arc::new(Notify::new()));
        let keep = keep(origin.clone(), connector, sender, wanted.clone());
        let keep = stop.clone().run_until_cancelled_owned(keep);
        executor.spawn_passing("the connection to a replica", keep.map(drop));
        Self { origin, state, wanted, _task: stop.drop_guard() }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        self.origin.name()
    }

    /// Whether there is a connection.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(_))
    }

    /// Why there is none, if an attempt at one has failed.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        match &*self.state.borrow() {
            State::Down(why) => Some(why.clone()),
            State::Connecting | State::Up(_) => None,
        }
    }

    /// Sends a call; waits for a connection that is being made.
    pub(super) async fn send(&self, message: &Message) -> Outcome {
        let mut sender = match self.connection().await {
            Ok(sender) => sender,
            Err(why) => return Outcome::Unsent(format!("{}: {why}", self.name())),
        };
        match sender.try_send_request(self.request(message)).await {
            Ok(answer) => read(self.name(), answer).await,
            Err(mut error) => {
                let is_unsent = error.take_message().is_some();
                let error = error.into_error();
                let text = format!("{}: {}", self.name(), Chain(&error));
                if is_unsent || was_never_seen(&error) { Outcome::Unsent(text) } else { Outcome::Lost(text) }
            }
        }
    }

    async fn connection(&self) -> Result<Sender, Arc<str>> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match known.as_deref() {
            Ok(State::Up(sender)) => Ok(sender.clone()),
            Ok(State::Down(why)) => {
                self.wanted.notify_one();
                Err(why.clone())
            }
            Ok(State::Connecting) | Err(_) => Err("the connections are being closed".into()),
        }
    }

    fn request(&self, message: &Message) -> Request<Full<Bytes>> {
        let mut request = self.origin.request(message.path.clone(), message.body.clone());
        *request.headers_mut() = message.headers.clone();
        request
    }
}

/// Keeps a connection up.
async fn keep(origin: Origin, connector: Connector, state: watch::Sender<State>, wanted: Arc<Notify>) {
    let name = origin.name();
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        match connector.connect(&origin).await {
            Ok((sender, connection)) => {
                failures = 0;
                state.send_replace(State::Up(sender));
                if let Err(error) = connection.await {
                    tracing::debug!(replica = &**name, %error, "a connection was lost");
                }
                // Calls wait for the next one, which is not made at once only where the last ended at once.
                state.send_replace(State::Connecting);
                let pause = Duration::from_millis(RPC_RECONNECT_MS_MIN);
                sleep(pause.saturating_sub(begun.elapsed())).await;
            }
            Err(error) => {
                tracing::debug!(replica = &**name, %error, "no connection");
                state.send_replace(State::Down(error.to_string().into()));
                let pause = backoff(RPC_RECONNECT_MS_MIN, RPC_RECONNECT_MS_MAX, failures);
                let asked = async {
                    sleep(Duration::from_millis(RPC_RECONNECT_WANTED_MS)).await;
                    wanted.notified().await;
                };
                tokio::select! {
                    () = sleep(pause) => {}
                    () = asked => {}
                }
                failures += 1;
            }
        }
    }
}

/// A pause that doubles from `min_ms` to `max_ms`; its second half is chance.
pub(super) fn backoff(min_ms: u64, max_ms: u64, failures: u32) -> Duration {
    let ceiling = min_ms.saturating_mul(1 << failures.min(16)).min(max_ms);
    Duration::from_millis(ceiling / 2 + model::entropy::below(ceiling / 2 + 1))
}

/// Reads an answer to its end: only then is it known that there is one.
async fn read(name: &str, answer: Response<Incoming>) -> Outcome {
    let (head, body) = answer.into_parts();
    let body = match Limited::new(body, RPC_MESSAGE_BYTES_MAX + FRAME_HEAD_BYTES).collect().await {
        Ok(body) => body,
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("the answer is larger than {RPC_MESSAGE_BYTES_MAX} bytes");
            return Outcome::Answered(Status::out_of_range(text).into_http());
        }
        Err(error) => return Outcome::Lost(format!("{name}: {}", Chain(&*error))),
    };
    let trailers = body.trailers().cloned();
    let status = Status::from_header_map(&head.headers)
        .or_else(|| trailers.as_ref().and_then(Status::from_header_map));
    let body = Full::new(body.to_bytes()).with_trailers(std::future::ready(trailers.map(Ok)));
    let response = Response::from_parts(head, Body::new(body));
    match status {
        Some(status) if status.code() == Code::FailedPrecondition => match Failure::from(status) {
            failure if failure.kind == FailureKind::NotOwner => Outcome::NotOwner(failure.owner),
            _ => Outcome::Answered(response),
        },
        Some(status) if serving::is_shed(&status) => Outcome::Full(response),
        _ => Outcome::Answered(response),
    }
}

/// Whether HTTP/2 itself says that the server's program has not seen the request.
fn was_never_seen(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let is_goodbye = error.is_go_away() && error.is_remote();
            return match error.reason() {
                Some(h2::Reason::REFUSED_STREAM) => error.is_remote(),
                // The server names the last request that it takes; ours came after it.
                Some(h2::Reason::NO_ERROR) => is_goodbye,
                _ => false,
            };
        }
        cause = error.source();
    }
    false
}

/// An error with its causes.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A flag and a length stand before a message.
pub(super) const FRAME_HEAD_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use tasks::Tasks;
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;

    use super::*;
    use crate::executor::Executor;

    /// How often a connection was tried in this time, while calls come as often or not at all.
    async fn attempts(replica: &Replica, within: Duration, calls_every: Option<Duration>) -> u32 {
        let mut state = replica.state.clone();
        state.mark_unchanged();
        let end = Instant::now() + within;
        let mut attempts = 0;
        while Instant::now() < end {
            sleep(calls_every.unwrap_or(Duration::from_millis(10))).await;
            if calls_every.is_some() {
                assert!(replica.connection().await.is_err());
            }
            attempts += u32::from(state.has_changed().expect("it is kept"));
            state.mark_unchanged();
        }
        attempts
    }

    #[tokio::test(start_paused = true)]
    async fn what_callers_want_is_tried_soon_and_what_nobody_wants_seldom() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let tasks = Tasks::new("test");
        let executor = Executor::new(Handle::current(), tasks.spawner().clone());
        let connector = Connector { tls: None, executor };
        let replica = Replica::start(connector.origin(&address).unwrap(), connector);
        attempts(&replica, Duration::from_secs(60), None).await;
        let seldom = attempts(&replica, Duration::from_secs(10), None).await;
        assert!((1..=5).contains(&seldom), "{seldom}");
        let soon = attempts(&replica, Duration::from_secs(10), Some(Duration::from_millis(10))).await;
        assert!((30..=40).contains(&soon), "{soon}");
    }
}
