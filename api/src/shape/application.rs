//! Applications: what a bot is owned by.

use model::{Intents, User};
use proto::v1;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The application's flags for its privileged intents, with and without the mark "limited" (for unverified bots).
const FLAGS: [(Intents, u64, u64); 3] = [
    (Intents::GUILD_PRESENCES, 1 << 12, 1 << 13),
    (Intents::GUILD_MEMBERS, 1 << 14, 1 << 15),
    (Intents::MESSAGE_CONTENT, 1 << 18, 1 << 19),
];

/// The privileged intents that an application's flags ask for.
pub(crate) fn bits_of_flags(flags: u64) -> u32 {
    let asked = FLAGS.iter().filter(|(_, full, limited)| flags & (full | limited) != 0);
    asked.fold(0, |bits, (intent, _, _)| bits | intent.bits())
}

/// An application as its owner and its bot see it.
pub(crate) struct ApplicationObject<'a> {
    pub(crate) application: &'a v1::Application,
    pub(crate) owner: Option<&'a User>,
    pub(crate) bot: Option<&'a User>,
    /// Shown once, when it was made.
    pub(crate) bot_token: Option<&'a str>,
}

#[derive(Serialize)]
struct Bot<'a> {
    #[serde(flatten)]
    user: &'a User,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl Serialize for ApplicationObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let application = self.application;
        let granted =
            FLAGS.iter().filter(|(intent, _, _)| application.privileged_intents & intent.bits() != 0);
        let flags = granted.fold(0, |flags, (_, full, _)| flags | full);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &application.id.to_string())?;
        map.serialize_entry("name", &application.name)?;
        map.serialize_entry("icon", &None::<()>)?;
        map.serialize_entry("description", &application.description)?;
        map.serialize_entry("summary", "")?;
        map.serialize_entry("type", &None::<()>)?;
        map.serialize_entry("bot_public", &application.bot_public)?;
        map.serialize_entry("bot_require_code_grant", &false)?;
        map.serialize_entry("verify_key", &format!("{:064x}", application.verify_key))?;
        map.serialize_entry("hook", &true)?;
        map.serialize_entry("flags", &flags)?;
        map.serialize_entry("team", &None::<()>)?;
        map.serialize_entry("redirect_uris", &[(); 0])?;
        map.serialize_entry("tags", &[(); 0])?;
        if let Some(owner) = self.owner {
            map.serialize_entry("owner", owner)?;
        }
        if let Some(user) = self.bot {
            map.serialize_entry("bot", &Bot { user, token: self.bot_token })?;
        }
        map.end()
    }
}
