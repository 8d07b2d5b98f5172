//! `--demo`: users alice and bob, a bot, a guild with all three; the same at every later start.
//!
//! `demo.json` in the data directory says what there is. Its exact form is an interface for programs. The passwords lie
//! beside it in `demo-passwords.json`, which is written before anything is made: a start that is cut off in the middle
//! leaves it, and the next start goes on from there instead of taking somebody else's alice for ours.

mod guide;
mod make;
pub mod page;

use std::path::Path;

use anyhow::Context as _;
use model::{ApplicationId, ChannelId, GuildId, UserId};
use proto::v1;
use serde::{Deserialize, Serialize};

use crate::admin::new_password;
use crate::files;
use crate::server::{DirectoryClients, Urls};
pub use guide::guide;

const FILE: &str = "demo.json";
const PASSWORDS_FILE: &str = "demo-passwords.json";

/// What `demo.json` holds, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoFile {
    pub api: String,
    pub gateway: String,
    pub web: String,
    pub guild_id: GuildId,
    pub channels: Channels,
    pub users: Vec<Person>,
    pub bot: Bot,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channels {
    pub general: ChannelId,
    pub random: ChannelId,
    /// bob can't view it.
    pub staff: ChannelId,
    /// Voice.
    pub lounge: ChannelId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    pub id: UserId,
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bot {
    pub id: UserId,
    pub token: String,
    pub application_id: ApplicationId,
}

/// The passwords of the two people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passwords {
    pub alice: String,
    pub bob: String,
}

/// The demo data, and where it lies.
#[derive(Debug, Clone)]
pub struct Demo {
    pub file: DemoFile,
    pub passwords: Passwords,
    pub urls: Urls,
    pub path: String,
}

/// Finds the demo data, or makes it, and writes `demo.json` with the addresses of this start.
pub async fn prepare(clients: &DirectoryClients, urls: &Urls, data_dir: &Path) -> anyhow::Result<Demo> {
    let (path, passwords_path) = (data_dir.join(FILE), data_dir.join(PASSWORDS_FILE));
    let found: Option<DemoFile> = files::read(&path)
        .with_context(|| format!("read {}; remove it to have it made anew", path.display()))?;
    let passwords: Option<Passwords> = files::read(&passwords_path)
        .with_context(|| format!("read {}; remove it to have it made anew", passwords_path.display()))?;
    let passwords = match passwords {
        Some(passwords) => passwords,
        None => {
            make::check_names_are_free(clients).await?;
            let passwords = Passwords { alice: new_password(), bob: new_password() };
            files::write_private(&passwords_path, &passwords)
                .with_context(|| format!("write {}", passwords_path.display()))?;
            passwords
        }
    };
    let mut file = match found {
        Some(found) if is_valid(clients, &found).await? => found,
        _ => make::make(clients, &passwords).await.context("make the demo data")?,
    };
    file.api = urls.api();
    file.gateway = urls.gateway.clone();
    file.web = format!("{}/", urls.api_origin);
    files::write_private(&path, &file).with_context(|| format!("write {}", path.display()))?;
    Ok(Demo { file, passwords, urls: urls.clone(), path: path.display().to_string() })
}

/// Whether the tokens still work: the store may be another one, or somebody may have revoked them.
async fn is_valid(clients: &DirectoryClients, file: &DemoFile) -> anyhow::Result<bool> {
    let people = file.users.iter().map(|person| (person.id, &person.token));
    for (user_id, token) in people.chain([(file.bot.id, &file.bot.token)]) {
        let request = v1::AuthenticateRequest::of(token.clone());
        let identity =
            match clients.accounts.clone().authenticate(request).await.map_err(proto::Failure::from) {
                Ok(identity) => identity.into_inner(),
                Err(failure) if failure.kind == proto::FailureKind::Unauthenticated => return Ok(false),
                Err(failure) => return Err(failure).context("check the tokens of the demo data"),
            };
        if identity.user.is_none_or(|user| user.id != user_id.get()) {
            return Ok(false);
        }
    }
    Ok(true)
}
