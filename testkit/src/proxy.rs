//! A TCP proxy that breaks: it resets, cuts or pauses the connections that run through it.
//!
//! A reset is `SO_LINGER` 0 and a close, on both sides: the kernel sends RST and drops what was not read, as a network or
//! a NAT does. A pause leaves the connection open and moves nothing, in neither direction: a half-open peer. A new
//! connection can be held back: who gets a reset while he connects may give up his session, as discord.js does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const PIPE_BYTES: usize = 16 * 1024;

/// How the running connections end, and whether bytes move.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    /// Connections accepted before this number of endings are over.
    endings: u64,
    is_reset: bool,
    is_paused: bool,
    /// New connections are taken and lead nowhere yet.
    holds_new: bool,
}

/// Addresses, of which the first that takes a connection gets it.
type Targets = Arc<Mutex<Vec<String>>>;

/// A proxy in front of an address, or of several.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    targets: Targets,
    orders: watch::Sender<Orders>,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port of the loopback interface. Without a target (see [`Self::lead_to`]) it ends what comes.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (orders, watched) = watch::channel(Orders::default());
        let accepted = Arc::new(AtomicUsize::new(0));
        let targets = Targets::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&targets), watched, Arc::clone(&accepted)));
        Ok(Self { addr, targets, orders, accepted, _tasks: tasks })
    }

    /// Where new connections lead, as `host:port`.
    pub fn lead_to(&self, target: &str) {
        self.lead_to_any(&[target]);
    }

    /// The same for several: to the first that takes a connection, as a load balancer does.
    pub fn lead_to_any(&self, targets: &[&str]) {
        *self.targets.lock() = targets.iter().map(|target| (*target).to_owned()).collect();
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `ws://` and the address.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// How many connections it has taken so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Resets every connection that runs now.
    pub fn reset(&self) {
        self.orders.send_modify(|orders| {
            orders.endings += 1;
            orders.is_reset = true;
        });
    }

    /// Ends every connection that runs now with a FIN.
    pub fn cut(&self) {
        self.orders.send_modify(|orders| {
            orders.endings += 1;
            orders.is_reset = false;
        });
    }

    /// Stops moving bytes, or goes on.
    pub fn pause(&self, is_paused: bool) {
        self.orders.send_modify(|orders| orders.is_paused = is_paused);
    }

    /// Holds new connections back, or lets them and those that wait through.
    pub fn hold_new(&self, holds_new: bool) {
        self.orders.send_modify(|orders| orders.holds_new = holds_new);
    }
}

async fn accept(
    listener: TcpListener,
    targets: Targets,
    orders: watch::Receiver<Orders>,
    accepted: Arc<AtomicUsize>,
) {
    let mut links = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while links.try_join_next().is_some() {}
        let targets = targets.lock().clone();
        if targets.is_empty() {
            let _ = client.set_zero_linger();
            continue;
        }
        accepted.fetch_add(1, Ordering::SeqCst);
        links.spawn(link(client, targets, orders.clone()));
    }
}

async fn link(client: TcpStream, targets: Vec<String>, mut orders: watch::Receiver<Orders>) {
    let born = orders.borrow_and_update().endings;
    if orders.wait_for(|orders| !orders.holds_new).await.is_err() {
        return;
    }
    let Some(server) = connect(&targets).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    let pipes = async {
        let up = pipe(&mut client_read, &mut server_write, orders.clone());
        let down = pipe(&mut server_read, &mut client_write, orders.clone());
        tokio::join!(up, down);
    };
    let mut ordered = orders.clone();
    // First the end: what is held when it comes does not move any more, even if the pause ends in the same moment.
    let is_reset = tokio::select! {
        biased;
        ended = ordered.wait_for(|orders| orders.endings > born) => ended.is_ok_and(|orders| orders.is_reset),
        () = pipes => false,
    };
    if is_reset {
        let _ = (client_write.as_ref().set_zero_linger(), server_write.as_ref().set_zero_linger());
    }
}

async fn connect(targets: &[String]) -> Option<TcpStream> {
    for target in targets {
        if let Ok(server) = TcpStream::connect(target).await {
            return Some(server);
        }
    }
    None
}

/// Moves bytes in one direction until an end, and passes the end on.
async fn pipe(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, mut orders: watch::Receiver<Orders>) {
    let mut buffer = vec![0; PIPE_BYTES];
    loop {
        if orders.wait_for(|orders| !orders.is_paused).await.is_err() {
            return;
        }
        let moved = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                if orders.wait_for(|orders| !orders.is_paused).await.is_err() {
                    return;
                }
                to.write_all(&buffer[..length]).await
            }
        };
        if moved.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
