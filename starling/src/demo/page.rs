//! The page at `/`: how to connect. It holds no token, as whoever reaches the API may read it.

use super::guide::{Snippet, snippets};
use crate::server::Urls;

const TEMPLATE: &str = include_str!("page.html");

/// The page for these addresses.
pub fn html(urls: &Urls, demo: bool) -> String {
    let token = if demo {
        "The tokens of alice, bob and the bot stand in the terminal where the server was started, and in \
         <code>demo.json</code> in its data directory."
    } else {
        "Make an account with <code>starling admin user create NAME</code>, and a bot with \
         <code>starling admin bot create NAME --owner USER</code>; both print a token."
    };
    let sections: String = snippets(urls).iter().map(section).collect();
    TEMPLATE
        .replace("{{api}}", &escape(&urls.api()))
        .replace("{{gateway}}", &escape(&urls.gateway))
        .replace("{{token}}", token)
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{snippets}}", &sections)
}

fn section(snippet: &Snippet) -> String {
    let Snippet { library, note, code } = snippet;
    format!("<section><h2>{library}</h2><p>{note}</p><pre><code>{}</code></pre></section>\n", escape(code))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_for_nothing_else() {
        let urls = Urls { api_origin: "http://a&b:1".into(), gateway: "ws://g:2".into() };
        let page = html(&urls, true);
        assert!(!page.contains("{{"), "a place is left open");
        for text in
            ["http://a&amp;b:1/api/v10", "ws://g:2", "discord.js", "discord.py", "twilight", "demo.json"]
        {
            assert!(page.contains(text), "{text} is missing");
        }
        for text in ["src=", "href=", ": url(", "@import", "a&b"] {
            assert!(!page.contains(text), "{text} is there");
        }
    }
}
