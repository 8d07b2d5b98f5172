//! Accepts sockets, shakes hands, and gives each to the shard that has the fewest.
//!
//! Handshakes run in tasks of their own, bounded in number and time, so that a slow one holds up nobody, and their
//! buffers are gone when the connection begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use model::limits;
use tasks::Spawner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::warn;

use crate::form::Form;
use crate::services::Services;
use crate::shard::{Input, NewSocket, SocketStart};
use crate::socket::Socket;
use crate::stats::Count;
use crate::wire::handshake::{self, Upgrade};

/// What the accept loop needs.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    pub(crate) services: Arc<Services>,
    pub(crate) shards: Arc<[mpsc::Sender<Input>]>,
    pub(crate) tasks: Spawner,
}

impl Acceptor {
    pub(crate) async fn run(self) {
        let slots = Arc::new(Semaphore::new(limits::HANDSHAKES_MAX));
        let next = Arc::new(AtomicUsize::new(0));
        loop {
            let accepted = tokio::select! {
                () = self.tasks.stop_token().cancelled() => return,
                accepted = self.accept() => accepted,
            };
            let Some((stream, _)) = accepted else { continue };
            let stats = &self.services.stats;
            let Ok(slot) = slots.clone().try_acquire_owned() else {
                stats.connections_refused.add(1);
                continue;
            };
            if stats.connections.load(Ordering::Relaxed) >= self.services.settings.connections_max as u64 {
                stats.connections_refused.add(1);
                self.tasks.spawn(async move {
                    refuse(stream).await;
                    drop(slot);
                });
                continue;
            }
            stats.connections.add(1);
            let shard = self.shards[next.fetch_add(1, Ordering::Relaxed) % self.shards.len()].clone();
            let services = self.services.clone();
            self.tasks.spawn(async move {
                let _slot = slot;
                if !shake(stream, &services, &shard).await {
                    services.stats.connections.sub(1);
                }
            });
        }
    }

    async fn accept(&self) -> Option<(TcpStream, SocketAddr)> {
        match self.listener.accept().await {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                // Mostly too many open files: wait for some to close.
                warn!(%error, "socket could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }
}

/// Says when to come back. The request is read first: unread bytes would cut the answer off.
async fn refuse(mut stream: TcpStream) {
    let answered = async {
        let _ = stream.read(&mut [0; 4096]).await?;
        answer_unavailable(&mut stream).await
    };
    // The client comes back either way.
    let _: Result<std::io::Result<()>, _> = timeout(REFUSAL_TIMEOUT, answered).await;
}

async fn answer_unavailable(stream: &mut TcpStream) -> std::io::Result<()> {
    let response = handshake::service_unavailable(1 + model::entropy::below(5) as u32);
    stream.write_all(&response).await?;
    stream.shutdown().await
}

const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// True once the socket is the shard's.
async fn shake(mut stream: TcpStream, services: &Services, shard: &mpsc::Sender<Input>) -> bool {
    let read =
        timeout(Duration::from_millis(limits::HANDSHAKE_TIMEOUT_MS), read_upgrade(&mut stream, services));
    let Ok(Some((upgrade, rest))) = read.await else { return false };
    if stream.set_nodelay(true).is_err() {
        return false;
    }
    let params = &upgrade.params;
    let (start, (form, own)) = match params.version().and_then(|_| params.encoding()) {
        Ok(encoding) => {
            let form = Form::of(encoding, params.compression(), services.settings.compressing);
            (SocketStart::Hello, form)
        }
        // What it asked for makes no difference: it is sent no payload.
        Err(code) => (SocketStart::Close(code), (Form::Json, None)),
    };
    let compressor = own.map(|compression| services.streams.open(compression, services.streams_max()));
    if matches!(compressor, Some(None)) {
        services.stats.connections_refused.add(1);
        // The client comes back either way.
        let _: Result<std::io::Result<()>, _> =
            timeout(REFUSAL_TIMEOUT, answer_unavailable(&mut stream)).await;
        return false;
    }
    let Ok(socket) = stream.into_std() else { return false };
    services.forms.note(form);
    let greeting = handshake::response(&upgrade.key).into();
    let socket =
        NewSocket { socket: Socket::Tcp(socket), greeting, rest, form, stream: compressor.flatten(), start };
    shard.send(Input::Socket(socket)).await.is_ok()
}

/// Reads until the request is complete; what is no upgrade is answered here.
async fn read_upgrade(stream: &mut TcpStream, services: &Services) -> Option<(Upgrade, BytesMut)> {
    let mut buffer = BytesMut::with_capacity(1024);
    loop {
        match handshake::parse(&buffer) {
            Ok(Some(upgrade)) => {
                let rest = BytesMut::from(&buffer[upgrade.consumed..]);
                return Some((upgrade, rest));
            }
            Ok(None) => {
                if stream.read_buf(&mut buffer).await.ok()? == 0 {
                    return None;
                }
            }
            Err(reject) => {
                services.stats.handshakes_rejected.add(1);
                let _ = stream.write_all(&reject.response()).await;
                let _ = stream.shutdown().await;
                return None;
            }
        }
    }
}
