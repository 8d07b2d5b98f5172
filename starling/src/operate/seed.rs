//! `starling admin seed`: a guild with many members, made in parts so that progress can be seen, and further guilds of them.

use futures_util::stream::{self, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use model::UserId;
use model::limits::{SEED_CALL_MEMBERS, SEED_CALLS_AT_ONCE};

use super::client::Client;
use crate::admin::calls::{Call, SeedReply};

/// Makes the guild.
pub async fn run(client: &Client, members: u32, name: String, prefix: String) -> anyhow::Result<SeedReply> {
    let bar = bar(members, "members");
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

/// Makes further guilds of the members, who take turns: all are in as many, or in one more than others.
pub async fn further(
    client: &Client,
    seed: &SeedReply,
    name: &str,
    guilds: u32,
    guild_members: u32,
) -> anyhow::Result<()> {
    let users: Vec<UserId> = seed.members.iter().map(|member| member.id).collect();
    let size = users.len().min(guild_members as usize);
    let bar = bar(guilds, "guilds");
    let made = stream::iter(0..guilds as usize).map(|guild| {
        let users = (0..size).map(|place| users[(guild * size + place) % users.len()]).collect();
        let call = Call::SeedGuild { name: format!("{name} {}", guild + 1), users };
        async move { client.call::<SeedReply>(&call).await }
    });
    let mut made = made.buffer_unordered(SEED_CALLS_AT_ONCE);
    while let Some(reply) = made.next().await {
        reply?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Drawn on stderr, and not at all when that is no terminal.
fn bar(count: u32, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(count));
    let template = format!("{{bar:40}} {{human_pos}} of {{human_len}} {what}, {{per_sec}}, {{eta}} to go");
    bar.set_style(ProgressStyle::with_template(&template).expect("the template is well formed"));
    bar
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
