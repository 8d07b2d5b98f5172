//! `starling admin seed`: a guild with many members, made in parts so that progress can be seen.

use indicatif::{ProgressBar, ProgressStyle};
use model::limits::SEED_CALL_MEMBERS;

use super::client::Client;
use crate::admin::calls::{Call, SeedReply};

/// Makes the guild.
pub async fn run(client: &Client, members: u32, name: String, prefix: String) -> anyhow::Result<SeedReply> {
    // Drawn on stderr, and not at all when that is no terminal.
    let bar = ProgressBar::new(u64::from(members));
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} members, {per_sec}, {eta} to go");
    bar.set_style(style.expect("the template is well formed"));
    let mut made: Option<SeedReply> = None;
    let mut missing = members;
    while missing > 0 {
        let part = missing.min(SEED_CALL_MEMBERS);
        let guild = made.as_ref().map(|made| made.guild_id);
        let call = Call::Seed { name: name.clone(), prefix: prefix.clone(), members: part, guild };
        let reply: SeedReply = client.call(&call).await?;
        bar.inc(reply.members.len() as u64);
        match &mut made {
            Some(made) => made.members.extend(reply.members),
            None => made = Some(reply),
        }
        missing -= part;
    }
    bar.finish_and_clear();
    made.ok_or_else(|| anyhow::anyhow!("a guild has at least one member"))
}

/// The reply as it is printed.
pub fn shown(reply: &SeedReply, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(format!("{}\n", serde_json::to_string(reply)?));
    }
    let SeedReply { guild_id, channel_id, members } = reply;
    let count = members.len();
    Ok(format!(
        "guild_id: {guild_id}\nchannel_id: {channel_id}\nmembers: {count} (with --json: their ids and tokens)\n"
    ))
}
