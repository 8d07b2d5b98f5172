//! How a call reaches a service: here, inside the process.
//!
//! A local call goes through the same generated client and server code as one over the network, with the same encoding,
//! status codes and deadlines; only the sockets are missing. So a caller cannot tell, and what works in one process
//! fails in no new way in a cluster.
//!
//! The service's work runs on the service's own runtime, in a task of its own: a caller that goes away (a client that
//! hangs up, a deadline that passes) never leaves a change half made.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use model::limits;
use tokio::runtime::Handle;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;

/// Carries calls to one service. Cheap to clone.
#[derive(Clone)]
pub struct Transport {
    call: Arc<dyn Call>,
    deadline: Duration,
}

trait Call: Send + Sync {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Status>>;
}

impl Transport {
    /// Calls a service in this process; its work runs on `runtime`.
    pub fn local<S>(service: S, runtime: Handle) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let deadline = Duration::from_millis(limits::RPC_DEADLINE_MS);
        Self { call: Arc::new(Local { service, runtime }), deadline }
    }

    /// The same with another deadline.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }
}

struct Local<S> {
    service: S,
    runtime: Handle,
}

impl<S> Call for Local<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Status>> {
        let mut service = self.service.clone();
        let work = self.runtime.spawn(async move { service.call(request).await });
        async move {
            match work.await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(never)) => match never {},
                Err(error) if error.is_panic() => Err(Status::internal("the service failed at this call")),
                Err(_) => Err(Status::unavailable("the service is shutting down")),
            }
        }
        .boxed()
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = tokio::time::timeout(self.deadline, self.call.call(request));
        async move { answer.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) }
            .boxed()
    }
}
