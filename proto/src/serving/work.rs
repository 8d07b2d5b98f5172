//! One call as a service makes it, the same for a caller in this process and one across the network.
//!
//! 1. The request is read whole. A caller that stops in the middle has called nothing.
//! 2. If the deadline has passed by then, nobody waits for the answer any more: the call does not start.
//! 3. The service works in a task of its own, which nothing but itself ends: a change is made or not made, never half.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use model::limits::{RPC_DEADLINE_MAX_MS, RPC_DEADLINE_MS};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;

use crate::deadline;
use crate::tasks::Tasks;

/// What answers calls: a generated server of `proto::v1`.
pub trait Servable:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Servable for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Where calls are worked on. Clones are the same.
#[derive(Clone)]
pub(crate) struct Work {
    tasks: Tasks,
}

impl Work {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { tasks: Tasks::new(runtime) }
    }

    /// Makes the call; `held` is dropped when the work is over, whoever waits for it.
    pub(crate) async fn run(
        self,
        mut service: impl Servable,
        request: Request<Body>,
        held: impl Send + 'static,
    ) -> Result<Response<Body>, Status> {
        let asked = deadline::read(request.headers())
            .map_err(|malformed| Status::invalid_argument(malformed.to_string()))?
            .unwrap_or(Duration::from_millis(RPC_DEADLINE_MS));
        let until = Instant::now() + asked.min(Duration::from_millis(RPC_DEADLINE_MAX_MS));
        let work = async move {
            let _held = held;
            let request =
                timeout_at(until, whole(request)).await.unwrap_or_else(|_| Err(deadline::passed()))?;
            // The runtime may have been busy: a timer that is late is no reason to start late.
            if Instant::now() >= until {
                return Err(deadline::passed());
            }
            let Ok(response) = service.call(request).await;
            Ok(response)
        };
        let task = self.tasks.spawn(work);
        match timeout_at(until, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_panic() => Err(Status::internal("the service failed at this call")),
            Ok(Err(_)) => Err(Status::unavailable("the service is shutting down")),
            Err(_) => Err(deadline::passed()),
        }
    }

    /// Waits until nothing is under way any more.
    pub(crate) async fn idle(&self) {
        self.tasks.ended().await;
    }
}

/// The request with its whole body.
async fn whole(request: Request<Body>) -> Result<Request<Body>, Status> {
    let (head, body) = request.into_parts();
    let body: Bytes = body.collect().await?.to_bytes();
    Ok(Request::from_parts(head, Body::new(Full::new(body))))
}
