//! Taking a session from where it is: from the pod that has it, or from what that pod has left.
//!
//! Whoever asks first gets it, and who asks later is told who has it. The registry of owners then settles what two who took
//! it from different places (one from the pod, one from a record) can't know of each other: the epoch goes on by one for one
//! of them. While the registry is away the pod that gave the session away has decided.

use std::time::Duration;

use backplane::{PodName, SessionEntry, Taken as Owned};
use bytes::Bytes;
use model::limits;
use proto::v1;
use proto::v1::take_session_reply::Outcome;
use tokio::time::timeout;
use tonic::Request;
use tracing::{debug, warn};

use crate::history::Missing;
use crate::neighbours::Neighbours;
use crate::parcel::{Parcel, ParcelError};
use crate::services::Services;
use crate::session::{PodTag, SessionId, TokenHash};

/// Which session, and who wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) id: SessionId,
    pub(crate) token: TokenHash,
    /// Up to here the client has everything.
    pub(crate) seq: u64,
}

/// A session that is this pod's now.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) parcel: Parcel,
    pub(crate) epoch: u64,
}

/// Why a session can't be resumed here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("nobody knows of it")]
    Unknown,
    #[error("the pod that has it refuses: {0:?}")]
    ByOwner(v1::TakeRefusal),
    #[error("pod {0} has taken it")]
    Lost(PodName),
    #[error("the pod that has it does not answer, and has left nothing of it")]
    NoAnswer,
    #[error("too many sessions are being taken")]
    TooMany,
    #[error("what was left of it does not reach back to what the client has")]
    TooOld,
    #[error(transparent)]
    Bad(#[from] ParcelError),
    #[error("the streams began anew")]
    Incarnation,
    #[error("what it was given can't be read again: {0}")]
    Missing(#[from] Missing),
}

/// What a pod has answered.
enum Answer {
    Session(Box<Parcel>),
    MovedTo(PodName),
    Unknown,
}

/// Takes the session; `hint` is where it was seen last.
pub(crate) async fn take(
    services: &Services,
    wanted: Wanted,
    hint: Option<PodName>,
) -> Result<Taken, Refused> {
    match take_once(services, wanted, hint).await {
        // Who was quicker gives it away in turn.
        Err(Refused::Lost(pod)) => {
            let neighbours = services.neighbours.as_ref().ok_or(Refused::Unknown)?;
            let (entry, living) = tokio::join!(look(services, wanted.id), living(services));
            let owner = entry.as_ref().map(|entry| &entry.owner.pod);
            match ask_around(services, neighbours, wanted, owner, Some(pod.clone()), &living).await {
                Ok(parcel) => own(services, wanted, parcel).await,
                // It has given it to this pod, and the answer was lost.
                Err(Refused::Unknown) => own(services, wanted, left_behind(wanted, entry.as_ref())?).await,
                Err(_) => Err(Refused::Lost(pod)),
            }
        }
        taken => taken,
    }
}

async fn take_once(services: &Services, wanted: Wanted, hint: Option<PodName>) -> Result<Taken, Refused> {
    let neighbours = services.neighbours.as_ref().ok_or(Refused::Unknown)?;
    let (entry, living) = tokio::join!(look(services, wanted.id), living(services));
    let owner = entry.as_ref().map(|entry| &entry.owner.pod);
    let parcel = match ask_around(services, neighbours, wanted, owner, hint, &living).await {
        // A pod that has ended may have a successor at its address, which knows nothing of it.
        Err(refused @ (Refused::NoAnswer | Refused::Unknown)) => match entry.as_ref() {
            Some(entry) if entry.record.is_some() => left_behind(wanted, Some(entry))?,
            _ => return Err(refused),
        },
        asked => asked?,
    };
    own(services, wanted, parcel).await
}

/// The registry settles who has it.
async fn own(services: &Services, wanted: Wanted, parcel: Parcel) -> Result<Taken, Refused> {
    if parcel.profile.id != wanted.id || !parcel.profile.token_hash.matches(&wanted.token) {
        return Err(Refused::Unknown);
    }
    let id = wanted.id.to_string();
    match timeout(answer_limit(), services.sessions.take(&id, &services.pod, parcel.epoch)).await {
        Ok(Ok(Owned::Ours(epoch))) => Ok(Taken { parcel, epoch }),
        Ok(Ok(Owned::Held(owner))) => Err(Refused::Lost(owner.pod)),
        Ok(Err(_)) | Err(_) => {
            warn!(%id, "a session was taken without the registry, which is away");
            Ok(Taken { epoch: parcel.epoch + 1, parcel })
        }
    }
}

/// Who owns it, as far as the registry knows.
pub(crate) async fn look(services: &Services, id: SessionId) -> Option<SessionEntry> {
    let looked = timeout(answer_limit(), services.sessions.look(&id.to_string())).await;
    looked.ok()?.ok()?
}

/// The pods that can be asked, with their addresses.
async fn living(services: &Services) -> Vec<(PodName, String)> {
    let living = timeout(answer_limit(), services.roster.addresses()).await;
    living.ok().and_then(Result::ok).unwrap_or_default()
}

/// Asks whoever may have it, the owner first, and follows one that says where it went.
async fn ask_around(
    services: &Services,
    neighbours: &Neighbours,
    wanted: Wanted,
    owner: Option<&PodName>,
    hint: Option<PodName>,
    living: &[(PodName, String)],
) -> Result<Parcel, Refused> {
    let born_at = living.iter().map(|(pod, _)| pod).filter(|pod| PodTag::of(pod) == wanted.id.pod());
    let mut pods: Vec<PodName> = owner.cloned().into_iter().chain(hint).chain(born_at.cloned()).collect();
    let mut asked: Vec<PodName> = vec![services.pod.clone()];
    let mut is_silent = false;
    pods.reverse();
    while let Some(pod) = pods.pop() {
        if asked.contains(&pod) || asked.len() > ASKED_MAX {
            continue;
        }
        let address = living.iter().find(|(name, _)| *name == pod).map(|(_, address)| address);
        let is_owner = owner.is_none_or(|owner| *owner == pod);
        asked.push(pod);
        let Some(address) = address else {
            is_silent = true;
            continue;
        };
        let answer = match ask(services, neighbours, address, wanted).await {
            // What a pod says that has lost the session and does not know it counts for nothing.
            Err(Refused::ByOwner(_)) if !is_owner => None,
            answer => answer?,
        };
        match answer {
            Some(Answer::Session(parcel)) => return Ok(*parcel),
            Some(Answer::MovedTo(pod)) => pods.push(pod),
            Some(Answer::Unknown) => {}
            None => is_silent = true,
        }
    }
    Err(if is_silent { Refused::NoAnswer } else { Refused::Unknown })
}

/// Asks one pod; `None` when it does not answer.
async fn ask(
    services: &Services,
    neighbours: &Neighbours,
    address: &str,
    wanted: Wanted,
) -> Result<Option<Answer>, Refused> {
    let mut request = Request::new(v1::TakeSessionRequest {
        session_id: wanted.id.to_string(),
        token_hash: Bytes::copy_from_slice(wanted.token.bytes()),
        seq: wanted.seq,
        pod: services.pod.as_str().to_owned(),
    });
    request.set_timeout(Duration::from_millis(limits::TAKE_MS));
    let outcome = match neighbours.ways.to(address).take_session(request).await {
        Ok(reply) => reply.into_inner().outcome,
        Err(status) => {
            debug!(%status, address, "a pod does not give a session away");
            return Ok(None);
        }
    };
    match outcome {
        Some(Outcome::Session(parcel)) => Ok(Some(Answer::Session(Box::new(Parcel::read(parcel)?)))),
        Some(Outcome::MovedTo(pod)) => Ok(Some(Answer::MovedTo(PodName::new(pod)))),
        Some(Outcome::Refusal(refusal)) => match v1::TakeRefusal::try_from(refusal) {
            Ok(v1::TakeRefusal::Unknown) => Ok(Some(Answer::Unknown)),
            refusal => Err(Refused::ByOwner(refusal.unwrap_or_default())),
        },
        None => Ok(None),
    }
}

/// The session from what its owner has left of it in the registry.
fn left_behind(wanted: Wanted, entry: Option<&SessionEntry>) -> Result<Parcel, Refused> {
    let entry = entry.ok_or(Refused::NoAnswer)?;
    let record = entry.record.clone().ok_or(Refused::NoAnswer)?;
    let parcel = Parcel::decode(record)?;
    if !parcel.profile.token_hash.matches(&wanted.token) {
        return Err(Refused::ByOwner(v1::TakeRefusal::WrongToken));
    }
    let parcel = parcel.above(wanted.seq).ok_or(Refused::TooOld)?;
    // A record may be of an earlier epoch than its session.
    Ok(Parcel { epoch: parcel.epoch.max(entry.owner.epoch), ..parcel })
}

fn answer_limit() -> Duration {
    Duration::from_millis(limits::TAKE_MS)
}

/// This pod itself counts as one.
const ASKED_MAX: usize = 4;
