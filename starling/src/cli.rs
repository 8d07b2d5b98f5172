//! The arguments. What a setting is called, and its help, comes from the table in [`crate::settings`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use model::GuildId;

use crate::process;
use crate::settings::load::{ADMIN_TOKEN, ADMIN_URL, CONFIG};
use crate::settings::{Flags, SETTINGS};

const EXAMPLES: &str = "\
Examples:
  starling --demo                                  everything in one process, with demo data to try
  starling --data-dir /var/lib/starling --api-listen 0.0.0.0:8080 --gateway-listen 0.0.0.0:8081 \\
    --public-api-url https://chat.example --public-gateway-url wss://gateway.chat.example
  STARLING_LOG=debug starling --config starling.toml
  starling --grpc-listen 10.0.0.1:9091             the same, and other processes may call its services
  starling gateway --config cluster.toml           one role of a cluster; docs/operations.md says what each needs
  starling migrate --config cluster.toml           before the roles: makes the streams, again and again the same
  starling check --config cluster.toml             is everything there, and rightly configured?
  starling config --config starling.toml           what is in force, and where it comes from
  starling admin user create carol                 on the running server of ./starling-data
  starling completions bash > /etc/bash_completion.d/starling

A flag wins over its STARLING_* variable, that over the file (--config), and that over the default.";

const ADMIN_EXAMPLES: &str = "\
Examples:
  starling admin user create carol --password correct-horse
  starling admin bot create helper --owner carol --privileged all
  starling admin guild create 'Book club' --owner carol
  starling admin guild add 1234567890123456789 bob
  starling admin token issue carol
  starling admin seed --members 10000 --json > seed.json
  starling admin seed --members 20000 --guilds 100000 --guild-members 20   # each is in 100 more guilds

The address and the token of the running server come from admin.json in its data directory.";

/// A real-time messaging server that speaks Discord's gateway protocol and REST API.
///
/// Without a command it runs everything in one process, with its data in --data-dir.
#[derive(Debug, Parser)]
#[command(name = "starling", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub given: Given,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the WebSocket edge alone
    Gateway(Box<Given>),
    /// Run the HTTP edge alone
    Api(Box<Given>),
    /// Run the directory alone: users, guilds, channels, roles, members
    Guilds(Box<Given>),
    /// Run the message service alone
    Messages(Box<Given>),
    /// Run the presence service alone
    Presence(Box<Given>),
    /// Run the delivery of users' own events alone
    Fanout(Box<Given>),
    /// Bring what a cluster stands on to the configured state; once more it changes nothing
    Migrate(Box<Given>),
    /// Say of everything that a cluster stands on whether it is there, of the right version and rightly configured
    Check(Box<Given>),
    /// Print the effective configuration as TOML, with the place of each value; secrets are masked
    Config(Box<Given>),
    /// Print a completion script for a shell
    Completions { shell: Shell },
    /// Make users, bots and guilds, and handle tokens, on a running server
    Admin(Admin),
}

/// The settings that are given as arguments, and the file with others.
#[derive(Debug, Args)]
pub struct Given {
    /// A TOML file with settings
    #[arg(long, value_name = "FILE", env = CONFIG, help_heading = "Data")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Debug, Args)]
#[command(after_help = ADMIN_EXAMPLES)]
pub struct Admin {
    #[command(flatten)]
    pub target: Target,
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// The server that is meant.
#[derive(Debug, Args)]
pub struct Target {
    /// Data directory of the running server
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "STARLING_DATA_DIR",
        default_value = "./starling-data"
    )]
    pub data_dir: PathBuf,
    /// Its admin listener, in place of the one in admin.json
    #[arg(long, global = true, value_name = "URL", env = ADMIN_URL)]
    pub url: Option<String>,
    /// The token for it, in place of the one in admin.json
    #[arg(long, global = true, value_name = "TOKEN", env = ADMIN_TOKEN, hide_env_values = true)]
    pub token: Option<String>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// People, and their tokens
    #[command(subcommand)]
    User(UserCommand),
    /// Applications with a bot
    #[command(subcommand)]
    Bot(BotCommand),
    /// Guilds
    #[command(subcommand)]
    Guild(GuildCommand),
    /// Make and revoke tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make a guild with many new members, for demos and load tests; the first one owns it
    Seed {
        /// How many
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        members: u32,
        /// The guild's name
        #[arg(long, default_value = "Seed")]
        name: String,
        /// The members are called this and a number
        #[arg(long, default_value = "seed")]
        prefix: String,
        /// So many further guilds of the same members, who take turns
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
        guilds: u32,
        /// Members of each further guild
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=140))]
        guild_members: u32,
    },
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user; answers their token
    Create {
        name: String,
        /// At least 8 characters; without it one is made and printed
        #[arg(long)]
        password: Option<String>,
    },
    /// Show a user
    Show {
        /// Name or id
        user: String,
    },
    /// List a user's tokens by their ids; a token itself is shown only when it is made
    Tokens {
        /// Name or id
        user: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum BotCommand {
    /// Make an application with its bot; answers the bot's token
    Create {
        name: String,
        /// Name or id of the user who owns it
        #[arg(long)]
        owner: String,
        /// Privileged intents: members, presences and message content
        #[arg(long, value_enum, default_value_t = Privileged::None)]
        privileged: Privileged,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Privileged {
    None,
    All,
}

#[derive(Debug, Subcommand)]
pub enum GuildCommand {
    /// Make a guild
    Create {
        name: String,
        /// Name or id of the user who owns it
        #[arg(long)]
        owner: String,
    },
    /// Make somebody a member
    Add {
        guild: GuildId,
        /// Name or id
        user: String,
        /// For bots: the bits of permissions of a role of its own; 0: no role
        #[arg(long, default_value_t = 0)]
        permissions: u64,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make another token for a user or bot
    Issue {
        /// Name or id
        user: String,
    },
    /// Revoke a token: its sessions end
    Revoke {
        /// As `admin user tokens` shows it
        token_id: u64,
    },
}

/// Reads the arguments; what is wrong with them is said on stderr, and the exit code is 2.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The arguments with the help of the settings.
pub fn command() -> clap::Command {
    let command = with_help(Cli::command());
    WITH_SETTINGS.iter().fold(command, |command, name| command.mut_subcommand(name, with_help))
}

/// The commands that take settings.
const WITH_SETTINGS: [&str; 9] =
    ["gateway", "api", "guilds", "messages", "presence", "fanout", "migrate", "check", "config"];

fn with_help(mut command: clap::Command) -> clap::Command {
    for setting in SETTINGS {
        let default = match (setting.default)() {
            toml::Value::String(text) if text.is_empty() => String::new(),
            toml::Value::String(text) => format!(" [default: {text}]"),
            other => format!(" [default: {other}]"),
        };
        let help = format!("{} [env: {}]{default}", setting.help, setting.variable);
        command = command.mut_arg(setting.name, |argument| argument.help(help));
    }
    command
}

/// Prints the completion script of a shell.
pub fn print_completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "starling", &mut script);
    process::print(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_well_formed() {
        super::command().debug_assert();
    }
}
