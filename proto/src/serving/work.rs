//! One call as a service makes it, the same for a caller in this process and one across the network.
//!
//! 1. The request is read whole. A caller that stops in the middle has called nothing.
//! 2. If the deadline has passed by then, nobody waits for the answer any more: the call does not start.
//! 3. The service works in a task of its own, which nothing but itself ends: a change is made or not made, never half.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use model::limits::{RPC_DEADLINE_MAX_MS, RPC_DEADLINE_MS};
use tasks::Tasks;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tracing::{Instrument as _, Span};

use crate::deadline;
use crate::executor::Executor;
use crate::trace;

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
    /// Each call holds them too: with the last client of a local service its last calls are not killed.
    tasks: Arc<Tasks>,
    executor: Executor,
}

impl Work {
    pub(crate) fn new(runtime: Handle) -> Self {
        let tasks = Tasks::new("calls");
        let executor = Executor::new(runtime, tasks.spawner().clone());
        Self { tasks: Arc::new(tasks), executor }
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
        let owner = self.tasks.clone();
        let span = trace::server_span(request.uri().path(), request.headers());
        let work = async move {
            let _held = (held, owner);
            let request =
                timeout_at(until, whole(request)).await.unwrap_or_else(|_| Err(deadline::passed()))?;
            // The runtime may have been busy: a timer that is late is no reason to start late.
            if Instant::now() >= until {
                return Err(deadline::passed());
            }
            let Ok(response) = service.call(request).await;
            let answer = Ok(response);
            trace::note_answer(&Span::current(), &answer);
            answer
        };
        let task = self.executor.spawn(work.instrument(span));
        match timeout_at(until, task).await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Err(error)) if error.is_panic() => Err(Status::internal("the service failed at this call")),
            Ok(Ok(None) | Err(_)) => {
                Err(Status::unavailable("the service is shutting down, outcome unknown"))
            }
            Err(_) => Err(deadline::passed()),
        }
    }

    /// Takes no further calls, and waits so long for those that are under way.
    pub(crate) async fn shutdown(&self, grace: Duration) {
        self.tasks.shutdown(grace).await;
    }
}

/// The request with its whole body.
async fn whole(request: Request<Body>) -> Result<Request<Body>, Status> {
    let (head, body) = request.into_parts();
    let body: Bytes = body.collect().await?.to_bytes();
    Ok(Request::from_parts(head, Body::new(Full::new(body))))
}
