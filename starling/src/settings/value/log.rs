//! What is logged, and how.

use super::{Toml, Value, not_text, text};

/// Directives of what is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info,fjall=warn,lsm_tree=warn".to_owned())
    }
}

impl Value for LogFilter {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str =
            "a level (error, warn, info, debug, trace, off) or TARGET=LEVEL, separated by commas";
        let text = text(value, ALLOWED)?;
        match tracing_subscriber::EnvFilter::builder().parse(&text) {
            Ok(_) if is_filter(&text) => Ok(Self(text)),
            _ => Err(not_text(&text, ALLOWED)),
        }
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone())
    }
}

/// The parser takes a mistyped level for the name of a target; a bare name is meant as a level.
fn is_filter(text: &str) -> bool {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    text.split(',').map(str::trim).all(|part| part.contains('=') || levels.contains(&part))
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Value for LogFormat {
    fn read(value: Toml) -> Result<Self, String> {
        match text(value, "text or json")?.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(not_text(other, "text or json")),
        }
    }

    fn show(&self) -> Toml {
        let name = match self {
            Self::Text => "text",
            Self::Json => "json",
        };
        Toml::String(name.to_owned())
    }
}
