//! A way into a server that speaks TLS, for clients that do not: what comes in here goes on to it encrypted. All connections
//! through it are of one client, which resumes its TLS sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

/// See the module.
pub struct Tunnel {
    addr: SocketAddr,
    handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
    _tasks: JoinSet<()>,
}

impl Tunnel {
    /// To the server at `host:port`, which has to show a certificate for `localhost` that this authority (PEM) has signed.
    pub async fn start(server: &str, authority: &[u8]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(authority).map_err(io::Error::other)?;
        roots.add(authority).map_err(io::Error::other)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (addr, handshakes) = (listener.local_addr()?, Arc::new(Mutex::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server.to_owned(), Arc::new(config).into(), Arc::clone(&handshakes)));
        Ok(Self { addr, handshakes, _tasks: tasks })
    }

    /// `ws://` and the address.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// How each connection has agreed on TLS.
    pub fn handshakes(&self) -> Vec<HandshakeKind> {
        self.handshakes.lock().clone()
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    connector: TlsConnector,
    handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
) {
    let mut links = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        links.spawn(link(stream, server.clone(), connector.clone(), Arc::clone(&handshakes)));
        while links.try_join_next().is_some() {}
    }
}

/// What breaks shows to both as an end of the connection.
async fn link(
    mut inside: TcpStream,
    server: String,
    connector: TlsConnector,
    handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
) {
    let joined = async {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut outside = connector.connect(name, TcpStream::connect(&server).await?).await?;
        handshakes.lock().extend(outside.get_ref().1.handshake_kind());
        tokio::io::copy_bidirectional(&mut inside, &mut outside).await
    };
    let _: io::Result<(u64, u64)> = joined.await;
}
