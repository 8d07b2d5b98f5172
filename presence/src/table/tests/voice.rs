//! Voice states in the table.

use model::{Timestamp, User};

use super::*;

pub(super) fn voice(session: &str, user: u64, channel: Option<u64>) -> VoiceState {
    VoiceState {
        guild_id: guild(7),
        channel_id: channel.and_then(model::ChannelId::new),
        user_id: UserId::new(user).unwrap(),
        session_id: session.into(),
        self_mute: false,
        self_deaf: false,
        self_video: false,
        deaf: false,
        mute: false,
        suppress: false,
    }
}

pub(super) fn member(user: u64) -> Member {
    let user = User::new(UserId::new(user).unwrap(), format!("user{user}"), false);
    Member::new(guild(7), user, Timestamp::from_ms(1))
}

#[test]
fn a_voice_state_ends_with_its_session_and_names_the_channel_that_was_left() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let joined = table.set_voice(0, &pod, voice("s", 1, Some(3)), member(1)).unwrap();
    assert!(joined.needs_server);
    assert_eq!(joined.change.unwrap().channel_id.get(), 3);
    table.apply(5, &pod, sessions(vec![update("s", 1, 1, Status::Online, &[7])])).unwrap();
    assert!(!table.set_voice(6, &pod, voice("s", 1, Some(3)), member(1)).unwrap().needs_server);
    let moved = table.set_voice(7, &pod, voice("s", 1, Some(4)), member(1)).unwrap();
    assert!(moved.needs_server);
    let (left, joined) = (moved.left.unwrap(), moved.change.unwrap());
    assert_eq!((left.state.channel_id, left.channel_id.get()), (None, 3));
    assert_eq!((joined.state.channel_id, joined.channel_id.get()), (Some(joined.channel_id), 4));
    table.apply(8, &pod, gone("s", 1)).unwrap();
    let left = table.take_voices().pop().unwrap();
    assert_eq!((left.state.channel_id, left.channel_id.get(), left.member.user.id.get()), (None, 4, 1));
    assert_eq!(table.voices_in(guild(7)).count(), 0);
    assert_eq!(table.set_voice(9, &pod, voice("t", 1, None), member(1)).unwrap().change, None);
}

#[test]
fn a_session_that_has_ended_joins_nothing_and_leaves_nothing_for_another() {
    let (mut table, pod) = (Table::default(), key("pod"));
    table.apply(0, &pod, sessions(vec![update("old", 1, 1, Status::Online, &[7])])).unwrap();
    table.apply(1, &pod, gone("old", 1)).unwrap();
    table.set_voice(2, &pod, voice("new", 1, Some(3)), member(1)).unwrap();
    for channel in [Some(4), None] {
        let late = table.set_voice(3, &pod, voice("old", 1, channel), member(1));
        assert_eq!(late, Err(VoiceRefused::Ended));
    }
    let states: Vec<_> = table.voices_in(guild(7)).map(|state| state.session_id.clone()).collect();
    assert_eq!(states, ["new"]);
    table.apply(4, &pod, sessions(vec![update("old", 2, 1, Status::Online, &[7])])).unwrap();
    assert!(table.set_voice(5, &pod, voice("old", 1, Some(3)), member(1)).is_ok(), "resumed elsewhere");
}

#[test]
fn a_voice_state_of_a_session_that_never_shows_up_ends_too() {
    let (mut table, pod) = (Table::default(), key("pod"));
    table.set_voice(0, &pod, voice("ghost", 1, Some(3)), member(1)).unwrap();
    assert_eq!(table.renew(10, &pod, claim(&[])), Ok(true));
    table.apply(11, &pod, list(vec![])).unwrap();
    assert_eq!(table.renew(20, &pod, claim(&[])), Ok(false));
    assert_eq!(table.take_voices().len(), 1);
    table.set_voice(30, &pod, voice("other", 1, Some(3)), member(1)).unwrap();
    let end = 30 + limits::PRESENCE_LEASE_MS;
    pass(&mut table, end);
    assert_eq!((table.take_voices().len(), table.counts(end)), (1, Counts::default()));
}

#[test]
fn another_pods_or_users_session_joins_nothing() {
    let mut table = Table::default();
    table.apply(0, &key("p"), sessions(vec![update("s", 1, 1, Status::Online, &[7])])).unwrap();
    let join =
        |table: &mut Table, pod, user| table.set_voice(1, &key(pod), voice("s", user, Some(3)), member(user));
    assert_eq!(join(&mut table, "q", 1), Err(VoiceRefused::OtherPod));
    assert_eq!(join(&mut table, "p", 2), Err(VoiceRefused::OtherUser));
}

#[test]
fn voice_states_come_back_with_a_list() {
    let with_voice = |channel| Batch {
        voices: vec![HeldVoice { state: voice("s", 1, channel), member: member(1) }],
        ..list(vec![update("s", 1, 1, Status::Online, &[7])])
    };
    let mut table = Table::unsettled(Bounds::default(), 20_000);
    table.apply(0, &key("pod"), with_voice(Some(3))).unwrap();
    assert_eq!(table.voices_in(guild(7)).count(), 1);
    assert_eq!(table.take_voices(), [], "everybody knows");
    table.apply(1, &key("pod"), with_voice(Some(4))).unwrap();
    let channels: Vec<_> = table.voices_in(guild(7)).map(|state| state.channel_id.unwrap().get()).collect();
    assert_eq!(channels, [3], "a list may be older than what is known");
    table.read_roster(20_000, []);
    let other = HeldVoice { state: voice("x", 2, Some(3)), member: member(2) };
    table.apply(20_001, &key("pod"), Batch { voices: vec![other], ..list(vec![]) }).unwrap();
    assert_eq!(table.voices_in(guild(7)).count(), 1, "it is of no session of the pod");
    table.apply(20_002, &key("pod"), gone("s", 1)).unwrap();
    assert_eq!(table.take_voices().len(), 1);
    table
        .apply(
            20_003,
            &key("pod"),
            Batch { sessions: vec![update("s", 2, 1, Status::Online, &[7])], ..with_voice(Some(3)) },
        )
        .unwrap();
    assert_eq!(table.take_voices().len(), 1, "it had been ended here");
}
