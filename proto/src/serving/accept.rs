//! Connections: accepted up to a cap, secured, served for their age, and ended with a goodbye.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::limits::{
    LISTENER_PAUSE_MS, RPC_HANDSHAKE_MS, RPC_HEADER_BYTES_MAX, RPC_KEEPALIVE_MS, RPC_KEEPALIVE_TIMEOUT_MS,
    RPC_STREAMS_MAX,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::desk::Desk;
use super::linger;
use crate::executor::Executor;
use crate::tls::ServerTls;

#[derive(Clone)]
pub(super) struct Acceptor {
    desk: Arc<Desk>,
    tls: Option<ServerTls>,
    places: Arc<Semaphore>,
    age: Duration,
    grace: Duration,
    executor: Executor,
    /// No new connections and calls.
    stop: CancellationToken,
}

impl Acceptor {
    pub(super) fn new(config: Config, desk: Arc<Desk>, executor: Executor, stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(config.connections_max));
        let (age, grace) = (config.connection_age, config.connection_grace);
        Self { desk, tls: config.tls, places, age, grace, executor, stop }
    }

    /// Accepts until the server ends. A handshake holds nobody up: it has a task of its own.
    pub(super) async fn run(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a gRPC connection could not be accepted");
                    sleep(Duration::from_millis(LISTENER_PAUSE_MS)).await;
                    continue;
                }
            };
            // Whoever finds no place is closed, and comes back or goes to another replica.
            let Ok(place) = self.places.clone().try_acquire_owned() else { continue };
            self.desk.count_connection();
            let acceptor = self.clone();
            self.executor.spawn(async move {
                let _place = place;
                if let Err(error) = acceptor.handle(stream).await {
                    tracing::debug!(%peer, error, "a gRPC connection failed");
                }
            });
        }
    }

    async fn handle(&self, stream: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        match &self.tls {
            None => {
                self.in_time(stream.readable()).await?;
                self.serve(stream).await?;
            }
            Some(tls) => {
                let secured = self.in_time(tls.0.accept(stream)).await?;
                self.serve(secured).await?;
            }
        }
        Ok(())
    }

    /// Whoever connects has to go on at once; a server that ends does not wait for them.
    async fn in_time<T>(&self, handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let limit = Duration::from_millis(RPC_HANDSHAKE_MS);
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time"));
        let ends = || Err(io::Error::other("the server ends"));
        let done = self.stop.run_until_cancelled(timeout(limit, handshake)).await;
        done.map_or_else(ends, |in_time| in_time.unwrap_or_else(|_| late()))
    }

    async fn serve(&self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<()> {
        let desk = self.desk.clone();
        let service = service_fn(move |request| {
            let desk = desk.clone();
            async move { Ok::<_, Infallible>(desk.answer(request).await) }
        });
        let (socket, given_back) = linger::lend(socket);
        let connection = http2::Builder::new(self.executor.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_millis(RPC_KEEPALIVE_MS))
            .keep_alive_timeout(Duration::from_millis(RPC_KEEPALIVE_TIMEOUT_MS))
            .max_concurrent_streams(RPC_STREAMS_MAX)
            // When a caller goes away all its calls end at once; that is no attack.
            .max_pending_accept_reset_streams(RPC_STREAMS_MAX as usize)
            .max_header_list_size(RPC_HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(socket), service);
        let mut connection = Box::pin(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = sleep(spread(self.age)) => {}
            () = self.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        let Ok(ended) = timeout(self.grace, connection).await else { return Ok(()) };
        linger::until_closed(given_back).await;
        ended
    }
}

/// An age that is up to a tenth less or more.
fn spread(age: Duration) -> Duration {
    let tenth = age / 10;
    let chance = model::entropy::below(2 * tenth.as_micros().min(u128::from(u64::MAX / 2)) as u64 + 1);
    age.saturating_sub(tenth) + Duration::from_micros(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_by_a_tenth_either_way() {
        let age = Duration::from_secs(1_800);
        let spreads: Vec<_> = (0..1_000).map(|_| spread(age)).collect();
        let (least, most) = (spreads.iter().min().unwrap(), spreads.iter().max().unwrap());
        assert!(*least >= Duration::from_secs(1_620) && *most <= Duration::from_secs(1_980));
        assert!(*most - *least > Duration::from_secs(180), "a thousand of them come near both ends");
    }
}
