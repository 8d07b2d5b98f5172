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
use tasks::{Ended, Spawner, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

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
    /// The accept loop, and one for each connection.
    tasks: Tasks,
}

struct Server {
    app: App,
    tasks: Spawner,
    connections: Arc<Semaphore>,
    idle: Duration,
    stall: Duration,
}

impl Api {
    /// Serves on a bound listener until [`Api::shutdown`].
    pub fn start(listener: TcpListener, config: Config) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let tasks = Tasks::new("API");
        let server = Arc::new(Server {
            tasks: tasks.spawner().clone(),
            connections: Arc::new(Semaphore::new(config.limits.connections_max)),
            idle: Duration::from_millis(config.limits.idle_timeout_ms),
            stall: Duration::from_millis(config.limits.request_timeout_ms),
            app: App::new(config),
        });
        tasks.spawner().spawn_lasting("its accept loop", server.accept(listener));
        Ok(Self { local_addr, tasks })
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends accepting, lets requests finish for so long, and cuts off the rest.
    pub async fn shutdown(self, grace: Duration) {
        self.tasks.shutdown(grace).await;
    }
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.tasks.stop_token().cancelled() => return,
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
                server.serve(stream, peer).await;
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
                () = self.tasks.stop_token().cancelled(), if !stopping => {
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
    #[test]
    fn the_answer_to_a_surplus_connection_has_its_length_right() {
        let text = std::str::from_utf8(super::OVERLOADED).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
