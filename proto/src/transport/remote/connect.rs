//! One HTTP/2 connection to one replica: TCP, TLS where it is wanted, the handshake, and one answer, all within one limit
//! of time.
//!
//! A process that stands still is connected to by its kernel, and an HTTP/2 client waits for nothing of the server's. So a
//! connection counts from the first answer on it: without that, callers would come back again and again to a
//! replica that answers nothing, while another has its slots.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::limits::{RPC_CONNECT_MS, RPC_HEADER_BYTES_MAX, RPC_KEEPALIVE_MS, RPC_KEEPALIVE_TIMEOUT_MS};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::replica::FRAME_HEAD_BYTES;
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
    #[error("the connection ended before anything was answered")]
    Ended,
}

/// Where a replica is, and to whom its requests are addressed.
#[derive(Clone)]
pub(super) struct Origin {
    name: Arc<str>,
    scheme: Scheme,
    authority: Authority,
}

/// Makes connections of one kind.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tls: Option<ClientTls>,
    pub(super) executor: Executor,
}

impl Origin {
    /// As in the list of replicas: `host:port`.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A call of a method.
    pub(super) fn request(&self, path: PathAndQuery, body: Bytes) -> Request<Full<Bytes>> {
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .expect("all three parts are there");
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        request
    }
}

impl Connector {
    /// Where `host:port` is; `None` if it is no such thing.
    pub(super) fn origin(&self, name: &str) -> Option<Origin> {
        let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        Some(Origin { name: name.into(), scheme, authority: name.parse().ok()? })
    }

    /// Connects. The connection carries calls while its second half is polled, and ends with it or when the
    /// server says goodbye; calls that are under way then are finished all the same.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<(Sender, Connection), ConnectError> {
        let limit = Duration::from_millis(RPC_CONNECT_MS);
        timeout(limit, self.open(origin)).await.unwrap_or(Err(ConnectError::Late))
    }

    async fn open(&self, origin: &Origin) -> Result<(Sender, Connection), ConnectError> {
        let tcp = TcpStream::connect(&*origin.name).await.map_err(ConnectError::Tcp)?;
        tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
        let socket: Box<dyn Socket> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let secured = tls.connector.connect(tls.server_name.clone(), tcp);
                Box::new(secured.await.map_err(ConnectError::Tls)?)
            }
        };
        let (mut sender, mut connection) = http2::Builder::new(self.executor.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_millis(RPC_KEEPALIVE_MS))
            .keep_alive_timeout(Duration::from_millis(RPC_KEEPALIVE_TIMEOUT_MS))
            .keep_alive_while_idle(true)
            .max_header_list_size(RPC_HEADER_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(ConnectError::Http)?;
        // Whatever it says of its health, it is there.
        let health = origin.request(PathAndQuery::from_static(HEALTH_CHECK), EMPTY_MESSAGE);
        tokio::select! {
            answer = sender.send_request(health) => drop(answer.map_err(ConnectError::Http)?),
            ended = &mut connection => return Err(ended.err().map_or(ConnectError::Ended, ConnectError::Http)),
        }
        Ok((sender, connection))
    }
}

const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// A flag and a length of nothing.
const EMPTY_MESSAGE: Bytes = Bytes::from_static(&[0; FRAME_HEAD_BYTES]);
