//! One HTTP/2 connection to one replica: TCP, TLS where it is wanted, and the handshake, all within one limit of time.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::limits::{RPC_CONNECT_MS, RPC_HEADER_BYTES_MAX, RPC_KEEPALIVE_MS, RPC_KEEPALIVE_TIMEOUT_MS};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::executor::Executor;
use crate::tls::ClientTls;

/// What a request is sent with.
pub(super) type Sender = SendRequest<Full<Bytes>>;
pub(super) type Connection = http2::Connection<TokioIo<Box<dyn Socket>>, Full<Bytes>, Executor>;

pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Why a replica could not be connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no connection within {RPC_CONNECT_MS} ms")]
    Late,
    #[error("{0}")]
    Tcp(#[source] io::Error),
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("HTTP/2: {0}")]
    Http(#[source] hyper::Error),
}

/// Makes connections of one kind.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tls: Option<ClientTls>,
    pub(super) executor: Executor,
}

impl Connector {
    /// Connects to `host:port`. The connection carries calls while its second half is polled, and ends with it or when the
    /// server says goodbye; calls that are under way then are finished all the same.
    pub(super) async fn connect(&self, address: &str) -> Result<(Sender, Connection), ConnectError> {
        let limit = Duration::from_millis(RPC_CONNECT_MS);
        timeout(limit, self.open(address)).await.unwrap_or(Err(ConnectError::Late))
    }

    async fn open(&self, address: &str) -> Result<(Sender, Connection), ConnectError> {
        let tcp = TcpStream::connect(address).await.map_err(ConnectError::Tcp)?;
        tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
        let socket: Box<dyn Socket> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let secured = tls.connector.connect(tls.server_name.clone(), tcp);
                Box::new(secured.await.map_err(ConnectError::Tls)?)
            }
        };
        http2::Builder::new(self.executor.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_millis(RPC_KEEPALIVE_MS))
            .keep_alive_timeout(Duration::from_millis(RPC_KEEPALIVE_TIMEOUT_MS))
            .keep_alive_while_idle(true)
            .max_header_list_size(RPC_HEADER_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(ConnectError::Http)
    }
}
