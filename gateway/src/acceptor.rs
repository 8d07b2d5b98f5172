//! Accepts sockets, lets in as many as the gate does, shakes hands, and gives each to a shard.
//!
//! Accepting itself is cheap, and goes on whatever else there is to do: sockets are taken in batches from a long queue of the
//! system, and who is not let in is told so without a look at what it wants. Handshakes run in tasks of their own, bounded in number
//! and time, so that a slow one holds up nobody, and their buffers are gone when the connection begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use model::limits;
use rustls::HandshakeKind;
use tasks::Spawner;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::entrant::Entrant;
use crate::form::Form;
use crate::services::Services;
use crate::shard::{Input, NewSocket, SocketStart};
use crate::stats::Count;
use crate::wire::handshake::{self, Upgrade};

/// What the accept loop needs.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    pub(crate) services: Arc<Services>,
    pub(crate) shards: Arc<[mpsc::Sender<Input>]>,
    pub(crate) tasks: Spawner,
    handshakes: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    next: AtomicUsize,
}

impl Acceptor {
    pub(crate) fn new(
        listener: TcpListener,
        services: Arc<Services>,
        shards: Arc<[mpsc::Sender<Input>]>,
        tasks: Spawner,
    ) -> Self {
        Self {
            listener,
            services,
            shards,
            tasks,
            handshakes: Arc::new(Semaphore::new(limits::HANDSHAKES_MAX)),
            refusals: Arc::new(Semaphore::new(limits::REFUSALS_MAX)),
            next: AtomicUsize::new(0),
        }
    }

    pub(crate) async fn run(self) {
        loop {
            let accepted = tokio::select! {
                () = self.tasks.stop_token().cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.take(stream),
                Err(error) => {
                    // Mostly too many open files: wait for some to close.
                    warn!(%error, "socket could not be accepted");
                    tokio::time::sleep(Duration::from_millis(limits::LISTENER_PAUSE_MS)).await;
                }
            }
            for _ in 1..limits::ACCEPT_BATCH_MAX {
                let Some(Ok((stream, _))) = self.listener.accept().now_or_never() else { break };
                self.take(stream);
            }
            tokio::task::yield_now().await;
        }
    }

    fn take(&self, stream: TcpStream) {
        let stats = &self.services.stats;
        if let Err(retry_after_s) = self.services.admit_connection() {
            return self.refuse(stream, retry_after_s);
        }
        let Ok(slot) = self.handshakes.clone().try_acquire_owned() else {
            stats.connections_refused_full.add(1);
            return self.refuse(stream, limits::RETRY_AFTER_S_MIN);
        };
        stats.connections.add(1);
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let (services, shard) = (self.services.clone(), self.shards[shard].clone());
        self.tasks.spawn(async move {
            let _slot = slot;
            if !shake(stream, &services, &shard).await {
                services.stats.connections.sub(1);
            }
        });
    }

    /// Says when to come back. With TLS even that takes a handshake, so not everybody can be told at one time.
    fn refuse(&self, stream: TcpStream, retry_after_s: u64) {
        let Ok(slot) = self.refusals.clone().try_acquire_owned() else {
            self.services.stats.connections_dropped.add(1);
            return;
        };
        let services = self.services.clone();
        self.tasks.spawn(async move {
            let _slot = slot;
            let refused = async {
                // Unread bytes would cut the answer off.
                let mut entrant = enter(stream, &services)?;
                entrant.read(&mut BytesMut::new()).await.ok()?;
                say_unavailable(entrant, retry_after_s).await.ok()
            };
            // The client comes back either way.
            let _: Result<Option<()>, _> = timeout(REFUSAL_TIMEOUT, refused).await;
        });
    }
}

const REFUSAL_TIMEOUT: Duration = Duration::from_millis(limits::REFUSAL_TIMEOUT_MS);

fn enter(stream: TcpStream, services: &Services) -> Option<Entrant> {
    let tls = services.tls.as_ref().map(|tls| tls.session()).transpose();
    let tls = tls.inspect_err(|error| warn!(%error, "TLS can't be begun")).ok()?;
    Some(Entrant::new(stream, tls))
}

async fn say_unavailable(mut entrant: Entrant, retry_after_s: u64) -> std::io::Result<()> {
    entrant.write_all(&handshake::service_unavailable(retry_after_s)).await?;
    entrant.finish().await
}

/// True once the socket is the shard's.
async fn shake(stream: TcpStream, services: &Services, shard: &mpsc::Sender<Input>) -> bool {
    if stream.set_nodelay(true).is_err() {
        return false;
    }
    let Some(mut entrant) = enter(stream, services) else { return false };
    let time = Duration::from_millis(limits::HANDSHAKE_TIMEOUT_MS);
    let read = timeout(time, read_upgrade(&mut entrant, services)).await;
    count_tls(&entrant, services);
    let Ok(Some((upgrade, rest))) = read else { return false };
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
        services.stats.connections_refused_full.add(1);
        let retry_after_s =
            limits::RETRY_AFTER_S_MIN + services.chance.below(limits::RETRY_AFTER_SPREAD_S_MAX);
        // The client comes back either way.
        let _: Result<std::io::Result<()>, _> =
            timeout(REFUSAL_TIMEOUT, say_unavailable(entrant, retry_after_s)).await;
        return false;
    }
    let Ok(socket) = entrant.into_socket() else { return false };
    services.forms.note(form);
    let greeting = handshake::response(&upgrade.key).into();
    let socket = NewSocket { socket, greeting, rest, form, stream: compressor.flatten(), start };
    shard.send(Input::Socket(socket)).await.is_ok()
}

fn count_tls(entrant: &Entrant, services: &Services) {
    if services.tls.is_none() {
        return;
    }
    match entrant.handshake_kind() {
        None => &services.stats.tls_handshakes_failed,
        Some(HandshakeKind::Resumed) => &services.stats.tls_handshakes_resumed,
        Some(_) => &services.stats.tls_handshakes_full,
    }
    .add(1);
}

/// Reads until the request is complete; what is no upgrade is answered here.
async fn read_upgrade(entrant: &mut Entrant, services: &Services) -> Option<(Upgrade, BytesMut)> {
    let mut buffer = BytesMut::with_capacity(1024);
    loop {
        match handshake::parse(&buffer) {
            Ok(Some(upgrade)) => {
                let rest = BytesMut::from(&buffer[upgrade.consumed..]);
                return Some((upgrade, rest));
            }
            Ok(None) => {
                let read = entrant.read(&mut buffer).await;
                let read = read.inspect_err(|error| debug!(%error, "a handshake failed"));
                if read.ok()? == 0 {
                    return None;
                }
            }
            Err(reject) => {
                services.stats.handshakes_rejected.add(1);
                let _ = entrant.write_all(&reject.response()).await;
                return None;
            }
        }
    }
}
