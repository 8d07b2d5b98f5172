//! How a call reaches a service: here, inside the process, or at a replica across the network.
//!
//! A caller cannot tell which. Both ways go through the same generated client and server code, with the same encoding,
//! status codes, deadlines and size limits; a local call only lacks the sockets. So what works in one process fails in
//! no new way in a cluster, and one suite of behaviour runs on both (`tests/transport`).
//!
//! Every call has a deadline, which goes along as `grpc-timeout`. The service's work runs on the service's own runtime,
//! in a task of its own: a caller that goes away (a client that hangs up, a deadline that passes) never leaves a change
//! half made.

mod local;
pub mod remote;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use model::limits::RPC_DEADLINE_MS;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tracing::{Instrument as _, Span};

use crate::deadline;
use crate::serving::Servable;
use crate::trace;
use remote::Remote;

/// Carries calls to one service. Cheap to clone.
#[derive(Clone)]
pub struct Transport {
    call: Arc<dyn Call>,
    deadline: Duration,
}

/// One way to a service.
trait Call: Send + Sync {
    /// Makes a call that nobody waits for after `until`.
    fn call(
        &self,
        request: Request<Body>,
        until: Instant,
    ) -> BoxFuture<'static, Result<Response<Body>, Status>>;
}

impl Transport {
    /// Calls a service in this process; its work runs on `runtime`.
    pub fn local(service: impl Servable, runtime: Handle) -> Self {
        Self::new(local::Local::new(service, runtime))
    }

    /// Calls the replicas of a service across the network.
    pub fn remote(replicas: &Remote) -> Self {
        Self::new(replicas.clone())
    }

    fn new(call: impl Call + 'static) -> Self {
        Self { call: Arc::new(call), deadline: Duration::from_millis(RPC_DEADLINE_MS) }
    }

    /// The same with another deadline. A caller may ask for less with `Request::set_timeout`.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let asked = match deadline::read(request.headers()) {
            Ok(asked) => asked.unwrap_or(self.deadline),
            Err(malformed) => {
                return std::future::ready(Err(Status::invalid_argument(malformed.to_string()))).boxed();
            }
        };
        let within = asked.min(self.deadline);
        let until = Instant::now() + within;
        request.headers_mut().insert(deadline::TIMEOUT, deadline::write(within));
        let span = trace::client_span(request.uri().path());
        trace::put(&span, request.headers_mut());
        let answer = timeout_at(until, self.call.call(request, until));
        let call = async move {
            let answer = answer.await.unwrap_or_else(|_| Err(deadline::passed()));
            trace::note_answer(&Span::current(), &answer);
            answer
        };
        call.instrument(span).boxed()
    }
}
