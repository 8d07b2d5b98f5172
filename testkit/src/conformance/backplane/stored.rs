//! Streams: what is stored, and what is read of it.

use std::sync::Arc;

use backplane::{Ack, Backplane, Partition, ReadError, Stream, Subject};

use super::{event, fresh, guild_in, publish, user_in};

const FIRST: Partition = Partition(0);
const STREAM: Stream = Stream::Guilds(FIRST);

async fn last(backplane: &Arc<dyn Backplane>) -> u64 {
    backplane.state(STREAM).await.expect("a state").last
}

/// Publishes events on new guilds of the first partition in turn, and gives their ids.
async fn publish_some(backplane: &Arc<dyn Backplane>, count: usize) -> Vec<u64> {
    let guilds = [guild_in(&**backplane, FIRST), guild_in(&**backplane, FIRST)];
    let mut ids = Vec::new();
    for index in 0..count {
        ids.push(fresh());
        publish(backplane, Subject::Guild(guilds[index % 2]), ids[index]).await;
    }
    ids
}

pub async fn sequences_are_contiguous_and_a_repeat_is_stored_once(backplane: Arc<dyn Backplane>) {
    let before = last(&backplane).await;
    let subject = Subject::Guild(guild_in(&*backplane, FIRST));
    let ids = [fresh(), fresh(), fresh()];
    for (id, sequence) in ids.into_iter().zip(before + 1..) {
        let ack = publish(&backplane, subject, id).await;
        assert_eq!(ack, Ack { sequence, duplicate: false });
    }
    let repeated = publish(&backplane, subject, ids[1]).await;
    assert_eq!(repeated, Ack { sequence: before + 2, duplicate: true });
    assert_eq!(last(&backplane).await, before + 3);
}

pub async fn a_read_gives_the_range_in_order_and_no_more_than_asked_for(backplane: Arc<dyn Backplane>) {
    let before = last(&backplane).await;
    let ids = publish_some(&backplane, 6).await;
    let read = async |range, max| backplane.read(STREAM, range, max).await.expect("a read");
    let middle = read(before + 2..=before + 5, 100).await;
    let sequences: Vec<_> = middle.iter().map(|stored| stored.sequence).collect();
    assert_eq!(sequences, (before + 2..=before + 5).collect::<Vec<_>>());
    for (stored, id) in middle.iter().zip(&ids[1..]) {
        assert_eq!(stored.envelope, event(*id));
        assert_eq!(backplane.layout().stream(stored.subject), STREAM);
    }
    let few = read(before + 2..=before + 5, 2).await;
    assert_eq!(few, middle[..2]);
    assert_eq!(read(before + 6..=before + 6, 1).await.len(), 1);
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range is an empty answer")]
    let nothing = read(2..=1, 10).await;
    assert_eq!(nothing, []);
}

pub async fn a_range_beyond_the_end_is_another_incarnations(backplane: Arc<dyn Backplane>) {
    publish_some(&backplane, 2).await;
    let last = last(&backplane).await;
    let read = backplane.read(STREAM, last..=last + 1, 10).await;
    assert_eq!(read, Err(ReadError::BeyondEnd(last..=last + 1, last)));
}

pub async fn the_state_bounds_what_is_stored(backplane: Arc<dyn Backplane>) {
    publish_some(&backplane, 3).await;
    let state = backplane.state(STREAM).await.expect("a state");
    assert!(state.first <= state.last - 2, "{state:?}");
    let first = backplane.read(STREAM, state.first..=state.last, 1).await.expect("a read");
    assert_eq!(first[0].sequence, state.first);
    let again = backplane.state(STREAM).await.expect("a state");
    assert_eq!(again.incarnation, state.incarnation);
}

pub async fn last_and_contains_are_of_the_subject(backplane: Arc<dyn Backplane>) {
    let guilds = [guild_in(&*backplane, FIRST), guild_in(&*backplane, FIRST)].map(Subject::Guild);
    assert_eq!(backplane.last(guilds[0]).await, Ok(0));
    let ids = [fresh(), fresh()];
    let acks = [publish(&backplane, guilds[0], ids[0]).await, publish(&backplane, guilds[1], ids[1]).await];
    for index in 0..2 {
        assert_eq!(backplane.last(guilds[index]).await, Ok(acks[index].sequence));
        assert_eq!(backplane.contains(guilds[index], ids[index]).await, Ok(true));
        assert_eq!(backplane.contains(guilds[index], ids[1 - index]).await, Ok(false));
    }
}

pub async fn what_is_published_now_is_kept_and_what_was_before_the_stream_is_not(
    backplane: Arc<dyn Backplane>,
) {
    let kept = backplane.kept(STREAM).await.expect("an answer");
    assert!(kept.covers(kept.made_ms, kept.made_ms), "{kept:?}");
    assert!(!kept.covers(kept.made_ms - 1, kept.made_ms), "another incarnation had that: {kept:?}");
    publish_some(&backplane, 3).await;
    assert_eq!(backplane.kept(STREAM).await, Ok(kept), "nothing had to go for them");
}

pub async fn ends_and_ranges_are_those_of_the_guilds(backplane: Arc<dyn Backplane>) {
    let guilds = [0; 3].map(|_| guild_in(&*backplane, FIRST));
    assert_eq!(backplane.ends(FIRST, &guilds, 0).await, Ok(vec![0; 3]));
    let stranger = publish(&backplane, Subject::Guild(guild_in(&*backplane, FIRST)), fresh()).await.sequence;
    assert_eq!(backplane.ends(FIRST, &guilds, stranger).await, Ok(vec![0; 3]), "none of them has an event");
    let mut sequences = [vec![], vec![]];
    for index in [0, 1, 1, 0, 0, 1] {
        let ack = publish(&backplane, Subject::Guild(guilds[index]), fresh()).await;
        sequences[index].push(ack.sequence);
    }
    let last = last(&backplane).await;
    let expected = vec![sequences[0][2], sequences[1][2], 0];
    assert_eq!(backplane.ends(FIRST, &guilds, last).await, Ok(expected));
    assert!(backplane.ends(FIRST, &guilds, last + 1).await.is_err(), "the stream does not go so far");
    assert_eq!(backplane.ends(FIRST, &[], last).await, Ok(vec![]));
    let read = async |range, max| {
        let stored = backplane.read_subject(Subject::Guild(guilds[1]), range, max).await.expect("a read");
        assert!(stored.iter().all(|stored| stored.subject == Subject::Guild(guilds[1])));
        stored.into_iter().map(|stored| stored.sequence).collect::<Vec<_>>()
    };
    assert_eq!(read(1..=last, 100).await, sequences[1]);
    assert_eq!(read(sequences[1][0] + 1..=sequences[1][1], 100).await, sequences[1][1..2]);
    assert_eq!(read(1..=last, 2).await, sequences[1][..2]);
    let beyond = backplane.read_subject(Subject::Guild(guilds[1]), last..=last + 1, 10).await;
    assert_eq!(beyond, Err(ReadError::BeyondEnd(last..=last + 1, last)));
    let tail = async || (backplane.tail_of(guilds[1]) == sequences[1][2]).then_some(());
    doubles::until("the tail of a guild is what was acknowledged", tail).await;
}

pub async fn a_range_of_a_user_is_that_of_their_events(backplane: Arc<dyn Backplane>) {
    let users = [0; 2].map(|_| user_in(&*backplane, FIRST));
    let mut sequences = Vec::new();
    for index in [0, 1, 1, 0, 1] {
        let ack = publish(&backplane, Subject::User(users[index]), fresh()).await;
        sequences.extend((index == 1).then_some(ack.sequence));
    }
    let subject = Subject::User(users[1]);
    let read = async |range, max| {
        let stored = backplane.read_subject(subject, range, max).await.expect("a read");
        assert!(stored.iter().all(|stored| stored.subject == subject));
        stored.into_iter().map(|stored| stored.sequence).collect::<Vec<_>>()
    };
    assert_eq!(read(1..=sequences[2], 100).await, sequences);
    assert_eq!(read(sequences[0] + 1..=sequences[1], 100).await, sequences[1..2]);
    assert_eq!(read(1..=sequences[2], 2).await, sequences[..2]);
}

pub async fn streams_are_apart(backplane: Arc<dyn Backplane>) {
    let others = [Stream::Users(FIRST), Stream::Guilds(Partition(1)), Stream::Users(Partition(1))];
    let mut before = Vec::new();
    for stream in others {
        before.push(backplane.state(stream).await);
    }
    publish_some(&backplane, 2).await;
    for (stream, before) in others.into_iter().zip(before) {
        assert_eq!(backplane.state(stream).await, before);
    }
    let guilds = last(&backplane).await;
    publish(&backplane, Subject::User(user_in(&*backplane, FIRST)), fresh()).await;
    assert_eq!(last(&backplane).await, guilds);
}
