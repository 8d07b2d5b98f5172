//! `starling admin`: the operator's commands on a running server.

mod client;
mod seed;

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use crate::admin::calls::Call;
use crate::cli::{Admin, AdminCommand, BotCommand, GuildCommand, Privileged, TokenCommand, UserCommand};
use crate::process::print;
use client::Client;

/// Runs a command to its end.
pub fn run(admin: Admin) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("start the runtime").and_then(|runtime| runtime.block_on(execute(admin)));
    match outcome {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(admin: Admin) -> anyhow::Result<String> {
    let client = Client::new(&admin.target)?;
    let call = match admin.command {
        AdminCommand::Seed { members, name, prefix, guilds, guild_members } => {
            let reply = seed::run(&client, members, name.clone(), prefix).await?;
            seed::further(&client, &reply, &name, guilds, guild_members).await?;
            return seed::shown(&reply, admin.target.json);
        }
        command => call_of(command),
    };
    let reply: Value = client.call(&call).await?;
    Ok(if admin.target.json { format!("{reply}\n") } else { plain(&reply) })
}

fn call_of(command: AdminCommand) -> Call {
    match command {
        AdminCommand::User(UserCommand::Create { name, password }) => Call::CreateUser { name, password },
        AdminCommand::User(UserCommand::Show { user }) => Call::ShowUser { user },
        AdminCommand::User(UserCommand::Tokens { user }) => Call::ListTokens { user },
        AdminCommand::Bot(BotCommand::Create { name, owner, privileged }) => {
            Call::CreateBot { name, owner, privileged: privileged == Privileged::All }
        }
        AdminCommand::Guild(GuildCommand::Create { name, owner }) => Call::CreateGuild { name, owner },
        AdminCommand::Guild(GuildCommand::Add { guild, user, permissions }) => {
            Call::AddMember { guild, user, permissions }
        }
        AdminCommand::Token(TokenCommand::Issue { user }) => Call::IssueToken { user },
        AdminCommand::Token(TokenCommand::Revoke { token_id }) => Call::RevokeToken { token_id },
        AdminCommand::Seed { members, name, prefix, .. } => Call::Seed { name, prefix, members, guild: None },
    }
}

/// A reply for people: one fact on each line, the rows of a list with their facts side by side.
fn plain(reply: &Value) -> String {
    let Value::Object(facts) = reply else { return format!("{}\n", text(reply)) };
    let mut lines = String::new();
    for (name, value) in facts {
        match value {
            Value::Array(rows) if rows.is_empty() => lines.push_str(&format!("{name}: none\n")),
            Value::Array(rows) => {
                lines.push_str(&format!("{name}:\n"));
                for row in rows {
                    let facts = row.as_object().into_iter().flatten();
                    let facts: Vec<_> =
                        facts.map(|(name, value)| format!("{name} {}", text(value))).collect();
                    lines.push_str(&format!("  {}\n", facts.join("  ")));
                }
            }
            value => lines.push_str(&format!("{name}: {}\n", text(value))),
        }
    }
    lines
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_shown_line_by_line() {
        let reply =
            serde_json::json!({"id": "5", "bot": false, "tokens": [{"token_id": "1", "at": "x"}], "z": []});
        assert_eq!(plain(&reply), "bot: false\nid: 5\ntokens:\n  at x  token_id 1\nz: none\n");
    }
}
