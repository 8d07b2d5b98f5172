//! Servers on sockets of this machine, each on a runtime of its own, so that it can die as a process does.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use proto::clients::{self, MessagesClient};
use proto::serving::{Config, Server, Services};
use proto::transport::remote::{self, Remote, Targets};
use proto::{Failure, v1};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::Status;

use crate::service::{ECHO, Scripted};

/// A server that runs.
pub struct Replica {
    pub service: Scripted,
    pub addr: SocketAddr,
    pub server: Option<Arc<Server>>,
    runtime: Option<Runtime>,
}

impl Replica {
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, Config::default()).await
    }

    pub async fn start_with(name: &str, config: Config) -> Self {
        let service = Scripted::new(name);
        let services = Services::new().with(clients::messages_server(service.clone()));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let start = async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            Server::start(listener, services, config).await.unwrap()
        };
        let server = runtime.spawn(start).await.unwrap();
        Self { service, addr: server.local_addr(), server: Some(Arc::new(server)), runtime: Some(runtime) }
    }

    pub fn address(&self) -> String {
        self.addr.to_string()
    }

    /// It is gone, with everything that it was doing.
    pub fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// It stands still until this is dropped: its kernel accepts connections, and nothing is answered.
    pub async fn freeze(&self) -> mpsc::SyncSender<()> {
        let (thaw, thawed) = mpsc::sync_channel::<()>(0);
        let (stands_still, frozen) = oneshot::channel();
        self.runtime.as_ref().unwrap().spawn(async move {
            stands_still.send(()).unwrap();
            // The only thread that the runtime has.
            let _ = thawed.recv();
        });
        frozen.await.unwrap();
        thaw
    }

    /// It ends in order.
    pub async fn shutdown(&mut self) {
        let server = Arc::into_inner(self.server.take().unwrap()).expect("the test holds no other");
        self.runtime.as_ref().unwrap().spawn(server.shutdown()).await.unwrap();
        self.die();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.die();
    }
}

/// The replicas as callers know them.
pub fn connect(replicas: &[&Replica]) -> Remote {
    let list = replicas.iter().map(|replica| replica.address()).collect();
    connect_with(remote::Config::new("messages", Targets::List(list)))
}

pub fn connect_with(config: remote::Config) -> Remote {
    Remote::start(config, Handle::current())
}

pub fn client(remote: &Remote) -> MessagesClient {
    clients::remote_messages(remote)
}

/// Begins something that is waited for with [`end`], or ends when it is dropped.
pub fn begin<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinSet<T> {
    JoinSet::from_iter([work])
}

pub async fn end<T: 'static>(mut work: JoinSet<T>) -> T {
    work.join_next().await.unwrap().unwrap()
}

/// Waits for something that will be so soon.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Waits until as many replicas are known, and there is a connection to each.
pub async fn all_up(remote: &Remote, count: usize) {
    let is_up = || {
        let replicas = remote.replicas();
        replicas.len() == count && replicas.iter().all(|replica| replica.is_up)
    };
    eventually("every replica is up", is_up).await;
}

pub fn get(channel_id: u64, message_id: u64) -> v1::GetMessageRequest {
    v1::GetMessageRequest { channel_id, message_id, reader_id: 9 }
}

pub fn create(channel_id: u64, author_id: u64, is_repeatable: bool) -> v1::CreateMessageRequest {
    let nonce = v1::Nonce { value: Some(v1::nonce::Value::Number(5)) };
    v1::CreateMessageRequest {
        channel_id,
        author_id,
        nonce: Some(nonce),
        enforce_nonce: is_repeatable,
        ..Default::default()
    }
}

/// Who answers for a channel.
pub async fn who(client: &MessagesClient, channel: u64) -> Result<String, Failure> {
    let reply = client.clone().get_message(get(channel, ECHO)).await;
    text(reply.map(|reply| reply.into_inner().message_json))
}

pub fn text(reply: Result<impl AsRef<[u8]>, Status>) -> Result<String, Failure> {
    let bytes = reply.map_err(Failure::from)?;
    Ok(String::from_utf8_lossy(bytes.as_ref()).into_owned())
}
