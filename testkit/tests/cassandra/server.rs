//! The server of the tests itself, and how the session takes its loss.

use std::time::Duration;

use storage::cassandra::{Cassandra, WriteError, migrate};
use testkit::cassandra::{self, CassandraServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// What is acknowledged stays through a kill, and the session comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_comes_back_with_its_rows() {
    let Some(mut server) = CassandraServer::start() else { return };
    let config = cassandra::config(&server.address());
    migrate(&config, &[]).await.unwrap();
    let session = Cassandra::connect(&config, &[]).await.unwrap();
    let write = session
        .prepare_write("INSERT INTO schema_steps (name, step, hash) VALUES ('a', ?, 7)")
        .await
        .unwrap();
    let read = session.prepare_read("SELECT step FROM schema_steps WHERE name = 'a'").await.unwrap();
    session.write(&write, (1,)).await.unwrap();

    server.kill();
    let error = loop {
        match session.write(&write, (2,)).await.unwrap_err() {
            // The connection broke with the write on its way.
            WriteError::Unknown(_) => {}
            error => break error,
        }
    };
    assert!(matches!(error, WriteError::Unavailable(_)), "{error}");

    server.restart();
    let comes_back = async {
        while session.write(&write, (3,)).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), comes_back).await.expect("the session connects again");
    let rows = session.rows(&read, ()).await.unwrap();
    let steps: Vec<i32> = rows.rows::<(i32,)>().unwrap().map(|row| row.unwrap().0).collect();
    assert_eq!(steps, [1, 3]);
}

/// A server that answers nothing costs a bounded time, and nobody says that nothing was written.
#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_write_without_an_answer_is_unknown() {
    let Some(mut server) = CassandraServer::start() else { return };
    let config = cassandra::config(&server.address());
    migrate(&config, &[]).await.unwrap();
    let session = Cassandra::connect(&config, &[]).await.unwrap();
    let write = session
        .prepare_write("INSERT INTO schema_steps (name, step, hash) VALUES ('a', ?, 7)")
        .await
        .unwrap();
    server.freeze();
    let error = session.write(&write, (1,)).await.unwrap_err();
    assert!(matches!(error, WriteError::Unknown(_)), "{error}");
    server.thaw();
    session.write(&write, (1,)).await.unwrap();
}

/// Who says nothing for long loses the connection, and with it what it would send when it wakes; a session that is not used
/// says something now and then.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_loses_its_connection() {
    let Some(session) = cassandra::session(&[]).await else { return };
    let address = cassandra::shared().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    // Version 4, no flags, stream 0, opcode OPTIONS, no body.
    socket.write_all(&[4, 0, 0, 0, 5, 0, 0, 0, 0]).await.unwrap();
    let (mut answer, mut rest) = ([0; 9], Vec::new());
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[4], 6, "it is served");
    let ends = timeout(Duration::from_secs(60), socket.read_to_end(&mut rest));
    // It may be reset as well as closed.
    drop(ends.await.expect("the server takes it away"));
    let read = session.prepare_read("SELECT step FROM schema_steps WHERE name = 'a'").await.unwrap();
    session.rows(&read, ()).await.unwrap();
}
