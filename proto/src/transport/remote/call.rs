//! One call: attempts at replicas, until one answers or none can be asked any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use model::limits::{
    RPC_ATTEMPTS_MAX, RPC_CONNECT_MS, RPC_RETRY_MS_MAX, RPC_RETRY_MS_MIN, UNAVAILABLE_RETRY_MS,
};
use model::{Slot, SlotSet};
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::body::Body;

use super::Inner;
use super::choice::choose;
use super::replica::{FRAME_HEAD_BYTES, Message, Outcome, Replica, backoff};
use crate::deadline;
use crate::failure::Failure;
use crate::methods::{self, Place};
use crate::v1;

/// Makes a call that nobody waits for after `until`.
pub(super) async fn make(
    inner: &Inner,
    request: Request<Body>,
    until: Instant,
) -> Result<Response<Body>, Status> {
    let _place = inner.places.try_acquire().map_err(|_| unavailable("too many calls are under way"))?;
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path_and_query().cloned().ok_or_else(|| Status::internal("a call has a path"))?;
    let message = body.get(FRAME_HEAD_BYTES..).unwrap_or_default();
    let method = methods::find(path.path());
    let place = method.and_then(|method| method.place(message));
    let may_repeat = method.is_some_and(|method| method.may_repeat(message));
    let mut headers = head.headers;
    if let Some(secret) = &inner.secret {
        secret.sign(&mut headers);
    }
    let turn = count(&inner.stats.calls);
    inner.budget.pay_in();
    let message = Message { path, headers, body };
    let attempts = Attempts {
        inner,
        message,
        until,
        place,
        turn,
        may_repeat,
        tried: Vec::new(),
        named: place.and_then(|place| inner.owners.get(place)),
        redirected: false,
        unknown: None,
        rounds: 0,
    };
    attempts.run().await
}

/// The attempts of one call.
struct Attempts<'a> {
    inner: &'a Inner,
    message: Message,
    until: Instant,
    /// Whose owner is asked; `None` for any replica.
    place: Option<Place>,
    /// Where any replica will do, this decides.
    turn: u64,
    may_repeat: bool,
    /// Asked since the last pause.
    tried: Vec<Arc<str>>,
    /// The owner, as somebody has said.
    named: Option<Arc<str>>,
    /// Somebody has said that they are not the owner.
    redirected: bool,
    /// What to say in the end, once an attempt was sent and not answered: that may have been done.
    unknown: Option<Status>,
    rounds: u32,
}

/// What follows from an attempt.
enum Next {
    Answer(Result<Response<Body>, Status>),
    /// Ask another; the status is the answer if there is none.
    Again(Status),
}

impl Attempts<'_> {
    async fn run(mut self) -> Result<Response<Body>, Status> {
        let mut last = unavailable(&format!("no replica of {} can be asked", self.inner.service));
        for _ in 0..RPC_ATTEMPTS_MAX {
            let replica = match self.next_replica().await {
                Ok(Some(replica)) => replica,
                Ok(None) => break,
                Err(status) => return Err(self.unknown.unwrap_or(status)),
            };
            let left = self.until.saturating_duration_since(Instant::now());
            self.message.headers.insert(deadline::TIMEOUT, deadline::write(left));
            self.tried.push(replica.name().clone());
            match self.judge(&replica, replica.send(&self.message).await) {
                Next::Answer(answer) => return answer,
                Next::Again(status) => last = status,
            }
        }
        Err(self.unknown.unwrap_or(last))
    }

    /// The next to ask. When all have been asked, there is a pause, and it begins anew; `None` where the time does not last
    /// for that.
    async fn next_replica(&mut self) -> Result<Option<Arc<Replica>>, Status> {
        if let Some(replica) = self.choose().await? {
            return Ok(Some(replica));
        }
        let pause = backoff(RPC_RETRY_MS_MIN, RPC_RETRY_MS_MAX, self.rounds);
        if Instant::now() + pause >= self.until {
            return Ok(None);
        }
        sleep(pause).await;
        self.rounds += 1;
        self.tried.clear();
        let none = || unavailable(&format!("no replica of {} is left", self.inner.service));
        self.choose().await?.ok_or_else(none).map(Some)
    }

    async fn choose(&self) -> Result<Option<Arc<Replica>>, Status> {
        let replicas = self.replicas().await?;
        let place = self.place.unwrap_or_else(|| {
            let slots = u64::from(model::limits::SLOTS_PER_SET);
            let number = u16::try_from(self.turn % slots).expect("below 1,024");
            (SlotSet::Users, Slot::new(number).expect("below 1,024"))
        });
        Ok(choose(&replicas, &self.tried, self.named.as_deref(), place).cloned())
    }

    /// The replicas that are known; waits a little for the first.
    async fn replicas(&self) -> Result<Arc<[Arc<Replica>]>, Status> {
        let mut known = self.inner.known.clone();
        let some = known.wait_for(|known| !known.replicas.is_empty());
        let some = timeout(Duration::from_millis(RPC_CONNECT_MS), some).await;
        if let Ok(Ok(known)) = some {
            return Ok(known.replicas.clone());
        }
        let Inner { service, targets, .. } = self.inner;
        let text = match &self.inner.known.borrow().trouble {
            _ if self.inner.tasks.spawner().is_stopping() => {
                format!("the connections to {service} are closed")
            }
            Some(why) => format!("no replica of {service} is known: {targets}: {why}"),
            None => format!("no replica of {service} is known: {targets} has not been resolved yet"),
        };
        Err(unavailable(&text))
    }

    fn judge(&mut self, replica: &Replica, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Answered(response) => {
                self.remember(replica);
                Next::Answer(Ok(response))
            }
            Outcome::Full(response) => match self.place {
                // Nobody else may answer, and the owner is told to have less to do.
                Some(_) => Next::Answer(Ok(response)),
                None => self.repeat(unavailable("every replica that was asked has too much to do")),
            },
            Outcome::NotOwner(owner) => self.redirect(replica, owner),
            Outcome::Unsent(why) => {
                count(&self.inner.stats.repeats);
                self.inner.look.notify_one();
                let text = format!("{} can't be reached, nothing was done: {why}", self.inner.service);
                Next::Again(unavailable(&text))
            }
            Outcome::Lost(why) => {
                count(&self.inner.stats.lost);
                let text = format!("the connection was lost before the answer, outcome unknown: {why}");
                let status = unavailable(&text);
                self.unknown = Some(status.clone());
                if self.may_repeat { self.repeat(status) } else { Next::Answer(Err(status)) }
            }
        }
    }

    /// Once more, if the budget allows it.
    fn repeat(&self, status: Status) -> Next {
        if self.inner.budget.take() {
            count(&self.inner.stats.repeats);
            Next::Again(status)
        } else {
            count(&self.inner.stats.refused);
            Next::Answer(Err(status))
        }
    }

    fn redirect(&mut self, replica: &Replica, owner: Option<Box<v1::Owner>>) -> Next {
        count(&self.inner.stats.redirects);
        self.redirected = true;
        if let Some(owner) = owner {
            self.place = place_of(&owner).or(self.place);
            self.named = Some(owner.address).filter(|address| !address.is_empty()).map(Into::into);
        }
        let Some((set, slot)) = self.place else {
            return Next::Again(unavailable("no replica owns what is asked for, nothing was done"));
        };
        self.inner.owners.forget((set, slot), replica.name());
        let number = slot.get();
        Next::Again(unavailable(&format!(
            "nobody owns slot {number} of {set:?} at present, nothing was done"
        )))
    }

    /// Who has answered for a slot after others had not is asked first from now on.
    fn remember(&self, replica: &Replica) {
        if let Some(place) = self.place.filter(|_| self.redirected) {
            self.inner.owners.learn(place, replica.name().clone());
        }
    }
}

fn place_of(owner: &v1::Owner) -> Option<Place> {
    let set = SlotSet::from_code(u8::try_from(owner.set).ok()?)?;
    Some((set, Slot::new(u16::try_from(owner.slot).ok()?)?))
}

fn unavailable(text: &str) -> Status {
    Failure::unavailable(text, UNAVAILABLE_RETRY_MS).into()
}

fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}
