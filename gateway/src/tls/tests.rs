//! TLS against rustls' own client, over a socket that takes and gives as little at a time as the test wants.

mod wire;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use proptest::collection::vec;
use proptest::prelude::*;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};

use super::*;
use wire::Peers;

/// A certificate of its own for `localhost`, and its key.
fn write_identity(folder: &Path) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("chain.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

fn trusting(certificate: &Path, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// A server, and clients of it.
pub(crate) struct Pair {
    pub(crate) server: Tls,
    pub(crate) client: Arc<ClientConfig>,
}

/// One for all tests.
pub(crate) fn shared() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let files = write_identity(folder.path());
        let client = Arc::new(trusting(&files.certificate, rustls::ALL_VERSIONS));
        Pair { server: Tls::load(files).unwrap(), client }
    })
}

fn slices(bytes: &[u8], size: usize) -> Vec<IoSlice<'_>> {
    bytes.chunks(size).map(IoSlice::new).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The session is to its caller what a full socket is: what it does not take is given again, and all of it comes.
    #[test]
    fn what_is_taken_comes_whatever_the_socket_takes(
        writes in vec((1_usize..40_000, prop_oneof![1_usize..4, 1_usize..20_000]), 1..8),
        rooms in vec(prop_oneof![Just(0), 1_usize..50, 1_usize..30_000], 1..40),
    ) {
        let mut peers = Peers::agreed(shared());
        let mut rooms = rooms.into_iter();
        let mut expected = Vec::new();
        for (number, (size, slice)) in writes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + number) as u8).collect();
            let mut left = &bytes[..];
            while !left.is_empty() {
                peers.wire.set_room(rooms.next().unwrap_or(usize::MAX));
                match peers.server.write(&peers.wire, &slices(left, slice)) {
                    Ok(count) => {
                        prop_assert!(count > 0);
                        left = &left[count..];
                    }
                    Err(error) => prop_assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            prop_assert!(!peers.server.wants_write(), "all is said to be taken, and something is left");
            expected.extend(bytes);
        }
        prop_assert!(peers.client_reads() == expected, "the client reads what was written");
    }

    /// A hello in records of any size, damaged anywhere, and a server that writes and says goodbye at any moment.
    #[test]
    fn no_bytes_break_more_than_their_connection(
        size in 1_usize..300,
        damage in vec((any::<u16>(), any::<u8>()), 0..3),
        cuts in vec(1_usize..400, 1..12),
    ) {
        let pair = shared();
        let mut peers = Peers::new(&pair.server, pair.client.clone());
        peers.client_flushes();
        let hello = peers.wire.take_incoming();
        let mut records: Vec<u8> = hello[5..]
            .chunks(size)
            .flat_map(|part| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat())
            .collect();
        for (at, byte) in &damage {
            let at = usize::from(*at) % records.len();
            records[at] = *byte;
        }
        let (mut left, mut buffer, mut has_failed) = (&records[..], [0; RECORD_BYTES_MAX], false);
        for cut in cuts {
            let (now, later) = left.split_at(cut.min(left.len()));
            peers.wire.come(now);
            left = later;
            let error = peers.server.read(&peers.wire, &mut buffer).expect_err("there is no content in it");
            has_failed |= error.kind() == io::ErrorKind::InvalidData;
            prop_assert!(!damage.is_empty() || !has_failed, "{error}");
            prop_assert!(peers.server.write(&peers.wire, &[IoSlice::new(b"early")]).is_err() || !has_failed);
        }
        drop(peers.server.goodbye());
    }

    /// Whatever parts the records come in, all that is whole is given, and a socket that is quiet holds nothing back.
    #[test]
    fn what_has_come_is_given_at_once(writes in vec(1_usize..20_000, 1..8), parts in vec(1_usize..20_000, 1..40)) {
        let mut peers = Peers::agreed(shared());
        let mut sent = Vec::new();
        for size in writes {
            let start = sent.len();
            sent.extend((0..size).map(|at| (at * 13 + start) as u8));
            peers.client_writes(&sent[start..]);
        }
        let records = peers.wire.take_incoming();
        let (mut received, mut left) = (Vec::new(), &records[..]);
        for part in parts.into_iter().chain([usize::MAX]) {
            let (now, later) = left.split_at(part.min(left.len()));
            peers.wire.come(now);
            left = later;
            received.extend(peers.server_reads());
        }
        prop_assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    }
}

/// A frame is two slices. One that has begun goes on; one that has not may still be left out, so nothing of it is sent.
#[test]
fn a_frame_of_which_nothing_is_taken_has_not_begun() {
    for first in 16_380..16_390 {
        let mut peers = Peers::agreed(shared());
        let frames = [vec![1; first], vec![2; 10]];
        let slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        peers.wire.set_room(0);
        let taken = peers.server.write(&peers.wire, &slices).unwrap();
        peers.wire.set_room(usize::MAX);
        // Something else goes ahead of the second frame if it has not begun.
        let (done, left) = (first.min(taken), taken.saturating_sub(first));
        let rest = match left {
            0 => [&frames[0][done..], &[9; 3], &frames[1]].concat(),
            left => [&frames[1][left..], &[9; 3]].concat(),
        };
        let mut rest = &rest[..];
        while !rest.is_empty() {
            let count = peers.server.write(&peers.wire, &[IoSlice::new(rest)]).unwrap();
            rest = &rest[count..];
        }
        let read = peers.client_reads();
        let expected = match left {
            0 => [&frames[0][..], &[9; 3], &frames[1]].concat(),
            _ => [&frames[0][..], &frames[1], &[9; 3]].concat(),
        };
        assert!(read == expected, "{first}");
    }
}

#[test]
fn a_client_that_comes_back_resumes_by_its_ticket() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let folder = tempfile::tempdir().unwrap();
        let files = write_identity(folder.path());
        let client = Arc::new(trusting(&files.certificate, &[version]));
        let pair = Pair { server: Tls::load(files).unwrap(), client };
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut peers = Peers::agreed(&pair);
            peers.exchange();
            kinds.push(peers.server.handshake_kind().unwrap());
        }
        assert_eq!(
            kinds,
            [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed],
            "{version:?}"
        );
    }
}

#[test]
fn the_protocol_is_http_1_1_or_nothing() {
    let pair = shared();
    for (offered, is_agreed) in [(vec![], true), (vec!["h2", "http/1.1"], true), (vec!["h2"], false)] {
        let mut config = (*pair.client).clone();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut peers = Peers::new(&pair.server, Arc::new(config));
        assert_eq!(peers.agree().is_ok(), is_agreed, "{offered:?}");
        assert_eq!(peers.client.alpn_protocol().is_some(), is_agreed && !offered.is_empty());
    }
}

/// It says by an alert what is wrong, where rustls has one for it.
#[test]
fn garbage_is_answered_with_an_alert() {
    let pair = shared();
    let too_long = [0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5];
    for (garbage, has_alert) in
        [(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], true), (&too_long, false), (&[0; 64], true)]
    {
        let mut peers = Peers::new(&pair.server, pair.client.clone());
        for _ in 0..2 {
            peers.wire.come(garbage);
            let error = peers.server.read(&peers.wire, &mut [0; RECORD_BYTES_MAX]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{garbage:?}: {error}");
        }
        let answer = peers.wire.take_outgoing();
        assert_eq!(answer.first() == Some(&21), has_alert, "{garbage:?}: {answer:?}");
        assert!(peers.server.goodbye().is_empty(), "it has been said");
    }
    let mut peers = Peers::agreed(pair);
    peers
        .wire
        .come(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    assert_eq!(
        peers.server.read(&peers.wire, &mut [0; RECORD_BYTES_MAX]).unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
}

/// What the socket did not take goes out by the next read, too: in a handshake nobody writes.
#[test]
fn a_handshake_goes_on_when_the_socket_has_room_again() {
    let pair = shared();
    let mut peers = Peers::new(&pair.server, pair.client.clone());
    peers.wire.set_room(100);
    assert!(peers.agree().is_err() && peers.server.wants_write());
    peers.wire.set_room(usize::MAX);
    peers.agree().unwrap();
    peers.exchange();
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    let mut peers = Peers::agreed(shared());
    peers.exchange();
    peers.wire.set_room(1);
    peers.client_writes(&[7; 5_000]);
    let records = peers.wire.take_incoming();
    peers.wire.come(&records[..records.len() - 1]);
    assert!(peers.server_reads().is_empty());
    assert!(peers.server.write(&peers.wire, &[IoSlice::new(&[7; 5_000])]).is_ok_and(|count| count == 4_999));
    assert!(peers.server.held_bytes() > 10_000, "what is on its way is held");
    peers.wire.set_room(usize::MAX);
    peers.wire.come(&records[records.len() - 1..]);
    assert_eq!(peers.server_reads(), [7; 5_000]);
    assert_eq!(peers.server.held_bytes(), 0);
}

#[test]
#[ignore = "measures the whole process: cargo test -p gateway --lib measured_memory -- --ignored --nocapture"]
fn measured_memory_of_an_idle_tls_connection() {
    const COUNT: u64 = 2_000;
    let anonymous = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let session = |_| {
        let mut peers = Peers::agreed(shared());
        peers.exchange();
        Box::new(peers.server)
    };
    let warm: Vec<Box<Session>> = (0..100).map(session).collect();
    let before = anonymous();
    let sessions: Vec<Box<Session>> = (0..COUNT).map(session).collect();
    let each = anonymous().saturating_sub(before) / COUNT;
    println!("{each} bytes, of these {} in the connection itself", size_of::<Session>());
    assert!(each > 0 && each < 16 * 1024, "{each}");
    drop((warm, sessions));
}

#[test]
fn both_sides_say_goodbye() {
    let mut peers = Peers::agreed(shared());
    peers.client.send_close_notify();
    peers.client_flushes();
    assert_eq!(peers.server.read(&peers.wire, &mut [0; RECORD_BYTES_MAX]).unwrap(), 0);

    let mut peers = Peers::agreed(shared());
    peers.wire.set_room(10);
    let error = peers.server.write(&peers.wire, &[IoSlice::new(b"!")]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "a byte that is not sent is not taken");
    peers.wire.set_room(usize::MAX);
    let Peers { server, wire, mut client } = peers;
    let last = server.goodbye();
    let records = [wire.take_outgoing(), last].concat();
    client.read_tls(&mut &records[..]).unwrap();
    let state = client.process_new_packets().unwrap();
    assert!(state.peer_has_closed() && state.plaintext_bytes_to_read() == 1, "{state:?}");
}

#[test]
fn a_certificate_is_replaced_when_both_files_are() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_identity(folder.path());
    let old = Arc::new(trusting(&files.certificate, rustls::ALL_VERSIONS));
    let server = Tls::load(files.clone()).unwrap();
    let agrees =
        |client: &Arc<ClientConfig>| Peers::new(&server, Arc::new((**client).clone())).agree().is_ok();
    assert!(agrees(&old) && !server.certificate().refresh().unwrap());

    let other = tempfile::tempdir().unwrap();
    let renewed = write_identity(other.path());
    std::fs::copy(&renewed.certificate, &files.certificate).unwrap();
    assert!(matches!(server.certificate().refresh(), Err(TlsError::Unusable(_))), "it is of another key");
    let new = Arc::new(trusting(&files.certificate, rustls::ALL_VERSIONS));
    assert!(agrees(&old) && !agrees(&new), "what can't be used changes nothing");

    std::fs::copy(&renewed.key, &files.key).unwrap();
    assert!(server.certificate().refresh().unwrap());
    assert!(agrees(&new));
    std::fs::write(&files.certificate, "nothing").unwrap();
    assert!(matches!(server.certificate().refresh(), Err(TlsError::Empty(_))));
    std::fs::remove_file(&files.key).unwrap();
    assert!(matches!(server.certificate().refresh(), Err(TlsError::Unreadable { .. })));
    assert!(agrees(&new));
}
