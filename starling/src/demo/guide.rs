//! How to connect with a library: for the terminal, and for the page.

use std::fmt::Write as _;

use super::Demo;
use crate::server::Urls;

/// One library's few lines.
pub struct Snippet {
    pub library: &'static str,
    pub note: &'static str,
    pub code: String,
}

/// Three libraries. The token is read from the environment, so that the lines can be shown to anybody.
pub fn snippets(urls: &Urls) -> [Snippet; 3] {
    let (api, gateway) = (&urls.api_origin, &urls.gateway);
    let (host, plain) = (urls.api_host(), urls.is_plain());
    [
        Snippet {
            library: "discord.js 14",
            note: "one option; it asks the API where the gateway is",
            code: format!(
                "const {{ Client, GatewayIntentBits }} = require('discord.js');\n\
                 const {{ Guilds, GuildMessages, MessageContent }} = GatewayIntentBits;\n\
                 const client = new Client({{\n  intents: [Guilds, GuildMessages, MessageContent],\n  \
                 rest: {{ api: '{api}/api' }},\n}});\n\
                 client.on('messageCreate', (message) => console.log(message.author.username, message.content));\n\
                 client.login(process.env.TOKEN);"
            ),
        },
        Snippet {
            library: "discord.py 2",
            note: "two class attributes, set before a client is made",
            code: format!(
                "import os, discord, yarl\nfrom discord.gateway import DiscordWebSocket\nfrom discord.http import Route\n\n\
                 Route.BASE = \"{api}/api/v10\"\nDiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(\"{gateway}/\")\n\
                 discord.Client(intents=discord.Intents.all()).run(os.environ[\"TOKEN\"])"
            ),
        },
        Snippet {
            library: "twilight 0.18",
            note: "no slash at the end of the gateway's address",
            code: format!(
                "let token = std::env::var(\"TOKEN\")?;\n\
                 let http = Client::builder().token(token.clone()).proxy(\"{host}\".into(), {plain}).build();\n\
                 let config = ConfigBuilder::new(token, Intents::all())\n    .proxy_url(\"{gateway}\".into())\n    .build();\n\
                 let mut shard = Shard::with_config(ShardId::ONE, config);"
            ),
        },
    ]
}

/// What is printed after the start-up lines of a demo.
pub fn guide(demo: &Demo) -> String {
    let mut text = String::from("\nThe demo: a guild `Demo` with alice (its owner), bob and a bot.\n\n");
    let passwords = [&demo.passwords.alice, &demo.passwords.bob];
    for (person, password) in demo.file.users.iter().zip(passwords) {
        writeln!(text, "  {:<6} password {password}   token {}", person.name, person.token)
            .expect("a text takes whatever is written");
    }
    writeln!(text, "  {:<6} token {}", "bot", demo.file.bot.token).expect("a text takes whatever is written");
    writeln!(text, "\nFor programs: {}. For people: {}", demo.path, demo.file.web)
        .expect("a text takes whatever is written");
    writeln!(
        text,
        "\nConnect with a library; TOKEN is the bot's:\n\n  export TOKEN='{}'",
        demo.file.bot.token
    )
    .expect("a text takes whatever is written");
    for Snippet { library, note, code } in snippets(&demo.urls) {
        let code = code.replace('\n', "\n    ");
        write!(text, "\n  {library}: {note}\n\n    {code}\n").expect("a text takes whatever is written");
    }
    text
}
