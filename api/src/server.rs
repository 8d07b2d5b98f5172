//! Sockets: connections are accepted up to a cap, served with HTTP/1.1, and ended in order.

mod socket;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::limits::LISTENER_PAUSE_MS;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::config::Config;
use socket::Socket;

/// A request head larger than this is refused; a body is read in pieces of it.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
const OVERLOADED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n\
Connection: close\r\nContent-Length: 66\r\n\r\n{\"message\": \"The server has too many connections\", \"code\": 130000}";

/// The API as it runs.
pub struct Api {
    local_addr: SocketAddr,
    tasks: TaskTracker,
    /// No new connections and requests.
    stop: CancellationToken,
    /// Nothing any more.
    abort: CancellationToken,
    /// Accepting is over, for whatever reason.
    over: CancellationToken,
}

struct Server {
    app: App,
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
    connections: Arc<Semaphore>,
    idle: Duration,
    stall: Duration,
}

impl Api {
    /// Serves on a bound listener until [`Api::shutdown`].
    pub fn start(listener: TcpListener, config: Config) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (tasks, stop, abort) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let server = Arc::new(Server {
            tasks: tasks.clone(),
            stop: stop.clone(),
            abort: abort.clone(),
            connections: Arc::new(Semaphore::new(config.limits.connections_max)),
            idle: Duration::from_millis(config.limits.idle_timeout_ms),
            stall: Duration::from_millis(config.limits.request_timeout_ms),
            app: App::new(config),
        });
        let api = Self { local_addr, tasks, stop, abort, over: CancellationToken::new() };
        api.watch(server.accept(listener));
        Ok(api)
    }

    fn watch(&self, accept: impl Future<Output = ()> + Send + 'static) {
        let guard = self.over.clone().drop_guard();
        self.tasks.spawn(async move {
            let _over = guard;
            accept.await;
        });
    }

    /// Answers with the name of the task that ended by itself, which only a defect does; never otherwise.
    pub async fn ended(&self) -> &'static str {
        self.over.cancelled().await;
        if self.stop.is_cancelled() {
            std::future::pending::<()>().await;
        }
        "API accept loop"
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends accepting, lets requests finish for so long, and cuts off the rest.
    pub async fn shutdown(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.abort.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(LISTENER_PAUSE_MS)).await;
                    continue;
                }
            };
            let Ok(permit) = self.connections.clone().try_acquire_owned() else {
                refuse(stream);
                continue;
            };
            let server = self.clone();
            self.tasks.spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = server.abort.cancelled() => {}
                    () = server.serve(stream, peer) => {}
                }
            });
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Small answers must not wait for the acknowledgement of earlier ones.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let app = &self.app;
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let answer = app.respond(request.map(Body::new), peer.ip());
            Box::pin(async move { Ok::<_, Infallible>(answer.await) })
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(Socket::new(stream, self.stall)), service);
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
                ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            }
        };
        match ended {
            Ok(()) => connection.into_parts().io.into_inner().close().await,
            Err(error) => tracing::debug!(%error, %peer, "a connection failed"),
        }
    }
}

/// Tells a client that there are too many, as far as its socket takes it at once.
fn refuse(stream: TcpStream) {
    // The plain socket: tokio's does not know yet whether it can be written.
    let written = stream.into_std().and_then(|mut stream| stream.write_all(OVERLOADED));
    if let Err(error) = written {
        tracing::debug!(%error, "a surplus connection got no answer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepting_that_ends_by_itself_is_noticed_and_a_shutdown_is_no_such_end() {
        let api = || Api {
            local_addr: ([127, 0, 0, 1], 0).into(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            over: CancellationToken::new(),
        };
        let fails = api();
        fails.watch(async { panic!("a defect") });
        assert_eq!(fails.ended().await, "API accept loop");

        let stops = api();
        stops.watch(stops.stop.clone().cancelled_owned());
        stops.stop.cancel();
        stops.over.cancelled().await;
        let noticed = tokio::time::timeout(Duration::from_millis(50), stops.ended()).await;
        assert!(noticed.is_err(), "{noticed:?}");
    }

    #[test]
    fn the_answer_to_a_surplus_connection_has_its_length_right() {
        let text = std::str::from_utf8(super::OVERLOADED).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
