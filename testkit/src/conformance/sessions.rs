//! What every registry of session owners has to do.

use std::sync::Arc;
use std::time::Duration;

use backplane::{OwnedSession, Owner, Parked, PodName, Record, RecordTooLong, Sessions, Taken};
use bytes::Bytes;
use model::limits::SESSION_RECORD_BYTES_MAX;

use super::backplane::fresh;
use super::{ENTRY_MS, eventually};

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn Sessions>>`, whose entries live for
/// `ENTRY_MS`.
#[macro_export]
macro_rules! sessions_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::sessions]
            a_taking_raises_the_epoch_and_tells_losers_who_has_it
            of_many_takers_one_wins
            a_taker_who_knows_a_later_epoch_goes_on_from_there
            a_renewal_keeps_what_is_ours_and_names_what_is_not
            what_was_lost_is_made_anew_by_its_owner
            a_record_is_there_for_the_next_owner
            only_the_owner_leaves_a_record
            a_record_may_be_long
            a_parked_session_outlives_one_that_is_not
            an_end_is_that_of_its_epoch_only
        }
    };
}

type Shared = Arc<dyn Sessions>;

fn pod() -> PodName {
    PodName::new(format!("pod-{}", fresh()))
}

fn session() -> String {
    format!("{:032x}", fresh())
}

fn owned(id: &str, epoch: u64) -> OwnedSession {
    OwnedSession { id: id.to_owned(), epoch }
}

async fn take(sessions: &Shared, session: &str, pod: &PodName, from_epoch: u64) -> Taken {
    sessions.take(session, pod, from_epoch).await.expect("an answer")
}

async fn park(sessions: &Shared, session: &OwnedSession, pod: &PodName, record: &'static [u8]) -> Parked {
    let record = self::left(Bytes::from_static(record));
    sessions.park(session, pod, record, Duration::from_secs(60)).await.expect("an answer")
}

fn left(bytes: impl Into<Bytes>) -> Record {
    Record::new(bytes.into()).expect("it is short enough")
}

async fn owner(sessions: &Shared, session: &str) -> Option<Owner> {
    sessions.look(session).await.expect("an answer").map(|entry| entry.owner)
}

async fn record(sessions: &Shared, session: &str) -> Option<Bytes> {
    sessions.look(session).await.expect("an answer").and_then(|entry| entry.record)
}

pub async fn a_taking_raises_the_epoch_and_tells_losers_who_has_it(sessions: Shared) {
    let (session, first, second) = (session(), pod(), pod());
    assert_eq!(owner(&sessions, &session).await, None);
    assert_eq!(take(&sessions, &session, &first, 0).await, Taken::Ours(1));
    let held = Owner { pod: first.clone(), epoch: 1 };
    assert_eq!(take(&sessions, &session, &second, 0).await, Taken::Held(held.clone()));
    assert_eq!(owner(&sessions, &session).await, Some(held));
    assert_eq!(take(&sessions, &session, &second, 1).await, Taken::Ours(2));
    let held = Owner { pod: second, epoch: 2 };
    assert_eq!(take(&sessions, &session, &first, 1).await, Taken::Held(held.clone()));
    assert_eq!(owner(&sessions, &session).await, Some(held));
}

pub async fn of_many_takers_one_wins(sessions: Shared) {
    let session = session();
    take(&sessions, &session, &pod(), 0).await;
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (sessions, session, pod) = (sessions.clone(), session.clone(), pod());
        takers.spawn(async move { (take(&sessions, &session, &pod, 1).await, pod) });
    }
    let outcomes = takers.join_all().await;
    let winners: Vec<_> = outcomes.iter().filter(|(taken, _)| *taken == Taken::Ours(2)).collect();
    let [(_, winner)] = winners[..] else { panic!("{} have won", winners.len()) };
    let held = Taken::Held(Owner { pod: winner.clone(), epoch: 2 });
    assert_eq!(outcomes.iter().filter(|(taken, _)| *taken == held).count(), 31);
}

pub async fn a_taker_who_knows_a_later_epoch_goes_on_from_there(sessions: Shared) {
    let (session, pod) = (session(), pod());
    take(&sessions, &session, &self::pod(), 0).await;
    assert_eq!(take(&sessions, &session, &pod, 7).await, Taken::Ours(8));
    assert_eq!(owner(&sessions, &session).await, Some(Owner { pod, epoch: 8 }));
}

pub async fn a_renewal_keeps_what_is_ours_and_names_what_is_not(sessions: Shared) {
    let (kept, moved, silent, ours, theirs) = (session(), session(), session(), pod(), pod());
    for session in [&kept, &moved, &silent] {
        take(&sessions, session, &ours, 0).await;
    }
    take(&sessions, &moved, &theirs, 1).await;
    let all = [owned(&kept, 1), owned(&moved, 1)];
    eventually("an entry that is not renewed ends", async || {
        assert_eq!(sessions.renew(&ours, &all).await, Ok(vec![owned(&moved, 1)]));
        assert_eq!(sessions.renew(&theirs, &[owned(&moved, 2)]).await, Ok(vec![]));
        owner(&sessions, &silent).await.is_none()
    })
    .await;
    assert_eq!(owner(&sessions, &kept).await, Some(Owner { pod: ours, epoch: 1 }));
    assert_eq!(owner(&sessions, &moved).await, Some(Owner { pod: theirs, epoch: 2 }));
}

pub async fn what_was_lost_is_made_anew_by_its_owner(sessions: Shared) {
    let (session, former, present) = (session(), pod(), pod());
    assert_eq!(sessions.renew(&former, &[owned(&session, 3)]).await, Ok(vec![]));
    assert_eq!(sessions.renew(&present, &[owned(&session, 4)]).await, Ok(vec![]));
    assert_eq!(sessions.renew(&former, &[owned(&session, 3)]).await, Ok(vec![owned(&session, 3)]));
    assert_eq!(owner(&sessions, &session).await, Some(Owner { pod: present, epoch: 4 }));
}

pub async fn a_record_is_there_for_the_next_owner(sessions: Shared) {
    let (session, pods) = (session(), [pod(), pod()]);
    take(&sessions, &session, &pods[0], 0).await;
    assert_eq!(record(&sessions, &session).await, None);
    for left in [&b"first \0\xff\r\n"[..], b"second"] {
        assert_eq!(park(&sessions, &owned(&session, 1), &pods[0], left).await, Parked::Stored);
        assert_eq!(record(&sessions, &session).await, Some(Bytes::from_static(left)));
    }
    assert_eq!(take(&sessions, &session, &pods[1], 1).await, Taken::Ours(2));
    assert_eq!(
        record(&sessions, &session).await,
        Some(Bytes::from_static(b"second")),
        "until there is another"
    );
}

pub async fn only_the_owner_leaves_a_record(sessions: Shared) {
    let (session, former, present) = (session(), pod(), pod());
    take(&sessions, &session, &former, 0).await;
    take(&sessions, &session, &present, 1).await;
    let held = Owner { pod: present.clone(), epoch: 2 };
    assert_eq!(park(&sessions, &owned(&session, 1), &former, b"late").await, Parked::Overtaken(held.clone()));
    assert_eq!((owner(&sessions, &session).await, record(&sessions, &session).await), (Some(held), None));
}

pub async fn a_record_may_be_long(sessions: Shared) {
    let (session, pod, length) = (owned(&session(), 1), pod(), SESSION_RECORD_BYTES_MAX);
    let record = left(vec![7; length]);
    let parked = sessions.park(&session, &pod, record, Duration::from_secs(60)).await;
    assert_eq!(parked, Ok(Parked::Stored));
    assert_eq!(self::record(&sessions, &session.id).await.map(|record| record.len()), Some(length));
    assert_eq!(Record::new(vec![7; length + 1].into()), Err(RecordTooLong(length + 1)));
}

pub async fn a_parked_session_outlives_one_that_is_not(sessions: Shared) {
    let (parked, silent, pod) = (session(), session(), pod());
    for session in [&parked, &silent] {
        take(&sessions, session, &pod, 0).await;
    }
    let lifetime = Duration::from_millis(ENTRY_MS * 30);
    let record = left(&b"left"[..]);
    assert_eq!(sessions.park(&owned(&parked, 1), &pod, record, lifetime).await, Ok(Parked::Stored));
    assert_eq!(sessions.renew(&pod, &[owned(&parked, 1)]).await, Ok(vec![]), "which shortens nothing");
    eventually("an entry that is not renewed ends", async || owner(&sessions, &silent).await.is_none()).await;
    assert!(self::record(&sessions, &parked).await.is_some());
    let short = Duration::from_millis(ENTRY_MS);
    assert_eq!(sessions.park(&owned(&silent, 1), &pod, left(Bytes::new()), short).await, Ok(Parked::Stored));
    eventually("a record ends", async || owner(&sessions, &silent).await.is_none()).await;
}

pub async fn an_end_is_that_of_its_epoch_only(sessions: Shared) {
    let (session, former, present) = (session(), pod(), pod());
    take(&sessions, &session, &former, 0).await;
    take(&sessions, &session, &present, 1).await;
    sessions.end(&owned(&session, 1)).await.expect("an answer");
    assert_eq!(owner(&sessions, &session).await, Some(Owner { pod: present, epoch: 2 }));
    for _ in 0..2 {
        sessions.end(&owned(&session, 2)).await.expect("again is no error");
    }
    assert_eq!(owner(&sessions, &session).await, None);
}
