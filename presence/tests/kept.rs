//! What gateways of the version before tell this service. These messages have no number of a version: a later version only adds
//! fields with new numbers, and who does not know one leaves it out.

use prost::Message;
use proto::v1;

fn sessions() -> v1::UpdateSessionsRequest {
    let session = v1::SessionPresence {
        session_id: "s-1".into(),
        owner_epoch: 3,
        user_id: 41,
        status: v1::Status::Dnd.into(),
        platform: 1,
        activities_json: r#"[{"name":"chess","type":0}]"#.into(),
        guild_ids: vec![11, 12],
    };
    let gone = v1::SessionGone { session_id: "s-2".into(), owner_epoch: 4 };
    let state = v1::VoiceState {
        guild_id: 11,
        channel_id: Some(21),
        user_id: 41,
        session_id: "s-1".into(),
        self_mute: true,
        ..v1::VoiceState::default()
    };
    let user = v1::User { id: 41, username: "alice".into(), ..v1::User::default() };
    let member = v1::Member { guild_id: 11, user: Some(user), roles: vec![31], ..v1::Member::default() };
    v1::UpdateSessionsRequest {
        pod: "starling-1".into(),
        sessions: vec![session],
        gone: vec![gone],
        list: v1::ListPart::Whole.into(),
        voices: vec![v1::HeldVoice { state: Some(state), member: Some(member) }],
    }
}

fn lease() -> v1::RenewLeaseRequest {
    v1::RenewLeaseRequest { pod: "starling-1".into(), session_count: Some(1), digest: 7 }
}

/// Read as it was written, and with fields behind it that nobody knows here.
fn is_read<M: Message + Default + PartialEq + std::fmt::Debug>(name: &str, expected: &M) {
    let name = format!("v1/{name}.bin");
    let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), &name, &expected.encode_to_vec());
    assert_eq!(M::decode(&kept[..]).as_ref(), Ok(expected), "{name}");
    assert_eq!(expected.encode_to_vec(), kept, "{name}: what is written has changed");
    let next = [&kept[..], &[0x92, 0x06, 3, b'n', b'e', b'w'], &[0x98, 0x06, 1]].concat();
    assert_eq!(M::decode(&next[..]).as_ref(), Ok(expected), "{name}");
}

#[test]
fn kept_records_are_read_and_so_are_those_of_the_next_version() {
    is_read("update-sessions", &sessions());
    is_read("renew-lease", &lease());
}
