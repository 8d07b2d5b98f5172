//! What a user's sessions come to, as others see it.

use model::UserId;
use model::presence::{ClientStatus, Platform, Presence, Status};

use super::Part;

/// The presence of a user with these sessions. The activities are those of the session with the highest status that has
/// any, of equal ones the one that changed last.
pub(super) fn aggregate(user: UserId, parts: &[(u64, Part)]) -> Presence {
    let status = Status::aggregate(parts.iter().map(|(_, part)| part.status));
    if status == Status::Offline {
        return Presence::offline(user);
    }
    let on = |platform: Platform| {
        let statuses =
            parts.iter().filter(|(_, part)| part.platform == platform).map(|(_, part)| part.status);
        Some(Status::aggregate(statuses)).filter(|status| *status != Status::Offline)
    };
    let highest = parts
        .iter()
        .filter(|(_, part)| part.status == status)
        .max_by_key(|(stamp, part)| (!part.activities_json.is_empty(), *stamp));
    Presence {
        user_id: user,
        status,
        client_status: ClientStatus {
            desktop: on(Platform::Desktop),
            mobile: on(Platform::Mobile),
            web: on(Platform::Web),
        },
        activities_json: highest.map_or_else(String::new, |(_, part)| part.activities_json.to_string()),
    }
}
