//! What a server says of itself: for whoever checks that it is the right one.

use redis::cmd;

use crate::link::{Away, Link};

/// The parts of `INFO` that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    pub version: String,
    /// `master` or `slave`; nothing can be written to a `slave`.
    pub role: String,
    /// What is done when the memory is used up.
    pub eviction: String,
}

impl Link {
    /// Asks the server.
    pub async fn info(&self) -> Result<Info, Away> {
        self.ask_plainly::<String>(&cmd("INFO")).await.map(|text| parse(&text))
    }
}

fn parse(text: &str) -> Info {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    Info { version: field("redis_version"), role: field("role"), eviction: field("maxmemory_policy") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_found_and_what_is_not_is_empty() {
        let text = "# Server\r\nredis_version:7.0.15\r\n\r\nrole:master\r\n";
        let info = parse(text);
        assert_eq!(
            (info.version.as_str(), info.role.as_str(), info.eviction.as_str()),
            ("7.0.15", "master", "")
        );
    }
}
