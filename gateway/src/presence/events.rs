//! PRESENCE_UPDATE, to and from JSON.

use bytes::Bytes;
use model::presence::{ClientStatus, Presence, Status};
use model::{EventKind, GuildId, UserId};
use proto::{Envelope, Writer};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    user: User<'a>,
    status: &'a str,
    #[serde(borrow)]
    client_status: Clients<'a>,
    #[serde(borrow)]
    activities: &'a RawValue,
}

#[derive(Deserialize)]
struct User<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct Clients<'a> {
    desktop: Option<&'a str>,
    mobile: Option<&'a str>,
    web: Option<&'a str>,
}

/// The presence that an event of ours tells of.
pub(super) fn parse(data: &Bytes) -> Option<Presence> {
    let event: Event<'_> = serde_json::from_slice(data).ok()?;
    let status = |name: Option<&str>| name.and_then(Status::from_name);
    let activities = event.activities.get();
    Some(Presence {
        user_id: event.user.id.parse::<u64>().ok().and_then(UserId::new)?,
        status: Status::from_name(event.status)?,
        client_status: ClientStatus {
            desktop: status(event.client_status.desktop),
            mobile: status(event.client_status.mobile),
            web: status(event.client_status.web),
        },
        activities_json: if activities == "[]" { String::new() } else { activities.to_owned() },
    })
}

/// An event that this pod makes for its own sessions.
pub(super) fn envelope(guild: GuildId, presence: &Presence) -> Envelope {
    let data = serde_json::to_vec(&presence.object(Some(guild))).expect("an object of the model");
    // It is never stored and never leaves the pod, so nobody looks at its id and writer.
    let writer = Writer { set: 0, slot: 0, epoch: 0 };
    let mut envelope = Envelope::new(1, EventKind::PresenceUpdate, writer, data);
    (envelope.guild_id, envelope.user_id) = (Some(guild), Some(presence.user_id));
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let user_id = UserId::new(5).unwrap();
        let online = Presence {
            user_id,
            status: Status::Dnd,
            client_status: ClientStatus { web: Some(Status::Dnd), mobile: Some(Status::Idle), desktop: None },
            activities_json: r#"[{"name":"a \"b\" ü","type":0},{"name":"c","type":1}]"#.into(),
        };
        for presence in [online, Presence::offline(user_id)] {
            let envelope = envelope(GuildId::new(7).unwrap(), &presence);
            let read = parse(&envelope.data).unwrap();
            assert_eq!((read.digest(), &read), (presence.digest(), &presence));
        }
        assert_eq!(parse(&Bytes::from_static(b"{}")), None);
    }
}
