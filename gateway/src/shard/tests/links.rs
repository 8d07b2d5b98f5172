//! What lies between a simulation and its shards: sockets in memory, with and without TLS, and ways that can be held up.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::shard::Input;
use crate::socket::{Encrypted, Socket, pipe};
use crate::tls;

/// Ways to the shards on which a test can hold up what one is asked.
pub fn relayed(
    senders: &Arc<[mpsc::Sender<Input>]>,
    standing: &Rc<Cell<Option<usize>>>,
    runs: &mut JoinSet<()>,
) -> Arc<[mpsc::Sender<Input>]> {
    let relay = |(index, sender): (usize, &mpsc::Sender<Input>)| {
        let (questions, mut asked) = mpsc::channel(1);
        let (sender, standing) = (sender.clone(), standing.clone());
        runs.spawn_local(async move {
            while let Some(question) = asked.recv().await {
                while standing.get() == Some(index) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                // At the end the shard may have ended before.
                let _ = sender.send(question).await;
            }
        });
        questions
    };
    senders.iter().enumerate().map(relay).collect()
}

pub fn plain() -> (Socket, pipe::ClientEnd) {
    let (server, client) = pipe::pair();
    (Socket::Pipe(server), client)
}

/// The handshake is done, as it is when a shard gets a socket.
pub fn encrypted() -> (Socket, pipe::ClientEnd) {
    let pair = tls::tests::shared();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let client = rustls::ClientConnection::new(pair.client.clone(), name).unwrap();
    let (server, end) = pipe::pair();
    let (mut session, end) = (pair.server.session().unwrap(), end.with_tls(client));
    while session.handshake_kind().is_none() {
        assert!(end.read().is_empty());
        let read = session.read(&server, &mut [0; tls::RECORD_BYTES_MAX]);
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    (Socket::TlsPipe(Box::new(Encrypted::new(server, session))), end)
}
