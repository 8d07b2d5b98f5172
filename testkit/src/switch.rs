//! A link to a service that can be cut: between a client of `proto` and the service, or another one in its place.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

/// Leads to a service, or nowhere. Clones are the same link.
#[derive(Debug)]
pub struct Switch<S>(Arc<Mutex<State<S>>>);

#[derive(Debug)]
struct State<S> {
    service: Option<S>,
    is_cut: bool,
}

impl<S> Clone for Switch<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Switch<S> {
    pub fn to(service: S) -> Self {
        Self(Arc::new(Mutex::new(State { service: Some(service), is_cut: false })))
    }

    /// Calls fail, or go through again. One whose answer is under way loses it.
    pub fn cut(&self, is_cut: bool) {
        self.0.lock().is_cut = is_cut;
    }

    /// Where calls lead from now on; `None` while there is nobody.
    pub fn lead_to(&self, service: Option<S>) {
        self.0.lock().service = service;
    }
}

impl<S> Service<Request<Body>> for Switch<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let link = self.clone();
        let service = link.service();
        async move {
            let answer = match service {
                Some(mut service) => service.call(request).await?,
                None => return Ok(unavailable()),
            };
            Ok(if link.0.lock().is_cut { unavailable() } else { answer })
        }
        .boxed()
    }
}

impl<S: Clone> Switch<S> {
    fn service(&self) -> Option<S> {
        let state = self.0.lock();
        state.service.clone().filter(|_| !state.is_cut)
    }
}

impl<S: NamedService> NamedService for Switch<S> {
    const NAME: &'static str = S::NAME;
}

fn unavailable() -> Response<Body> {
    Status::unavailable("the test has cut the link").into_http()
}
