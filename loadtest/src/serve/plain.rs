//! hyper and fastwebsockets as they come: what a Rust programmer writes who wants a broadcast over WebSocket.
//!
//! Two tasks while a connection is made, one for as long as it lasts, a bounded queue for each, and a `write_frame` for each
//! event. The only thing that is not from the examples is that the socket is split: `read_frame` loses bytes when it is
//! cancelled, so reading and writing are two futures of one task.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{Frame, OpCode, Payload, WebSocketError};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::announce;
use crate::senders::PUBLISH_PATH;

/// Events that may wait for one receiver; a slower one is dropped.
const QUEUE_EVENTS: usize = 1024;

/// The receivers.
#[derive(Default)]
struct Hub {
    next: AtomicU64,
    receivers: Mutex<HashMap<u64, mpsc::Sender<Bytes>>>,
}

impl Hub {
    fn join(&self) -> (u64, mpsc::Receiver<Bytes>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(QUEUE_EVENTS);
        self.receivers().insert(id, sender);
        (id, receiver)
    }

    fn leave(&self, id: u64) {
        self.receivers().remove(&id);
    }

    fn publish(&self, event: &Bytes) {
        self.receivers().retain(|_, receiver| receiver.try_send(event.clone()).is_ok());
    }

    fn receivers(&self) -> std::sync::MutexGuard<'_, HashMap<u64, mpsc::Sender<Bytes>>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn run(listen: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        announce(listener.local_addr()?);
        let hub = Arc::new(Hub::default());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let hub = Arc::clone(&hub);
            spawn(serve(stream, hub));
        }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is compared is what people write; the process owns its tasks"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn serve(stream: TcpStream, hub: Arc<Hub>) {
    let service = service_fn(|request| {
        let hub = Arc::clone(&hub);
        async move { Ok::<_, Infallible>(answer(request, hub)) }
    });
    // A client that fails is gone, which is all there is to know.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

fn answer(mut request: Request<Incoming>, hub: Arc<Hub>) -> Response<Empty<Bytes>> {
    let is_publisher = request.uri().path() == PUBLISH_PATH;
    match upgrade(&mut request) {
        Ok((response, socket)) => {
            spawn(async move {
                let _ = if is_publisher { listen(socket, &hub).await } else { talk(socket, &hub).await };
            });
            response
        }
        Err(_) => {
            let mut refusal = Response::new(Empty::new());
            *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
            refusal
        }
    }
}

/// Publishes what a publisher sends.
async fn listen(socket: UpgradeFut, hub: &Hub) -> Result<(), WebSocketError> {
    let mut socket = socket.await?;
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Text => hub.publish(&Bytes::copy_from_slice(&frame.payload)),
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}

/// Writes every event to a receiver.
async fn talk(socket: UpgradeFut, hub: &Hub) -> Result<(), WebSocketError> {
    let (mut reader, mut writer) = socket.await?.split(tokio::io::split);
    reader.set_auto_pong(false);
    reader.set_auto_close(false);
    let (id, mut events) = hub.join();
    let reading = async {
        loop {
            let frame = reader.read_frame(&mut async |_| Ok::<_, WebSocketError>(())).await?;
            if frame.opcode == OpCode::Close {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some(event) = events.recv().await {
            writer.write_frame(Frame::text(Payload::Borrowed(&event))).await?;
        }
        Ok(())
    };
    let ended = tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    };
    hub.leave(id);
    ended
}
