//! Reads the settings from where they may stand: flags > variables > file > defaults.
//!
//! Nothing is ignored: an unknown key or variable is an error, and every error names the setting, the place, and what is
//! allowed there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::{Flags, SETTINGS, Settings, setting};

/// What all of our variables begin with.
pub const PREFIX: &str = "STARLING_";
/// The file's path.
pub const CONFIG: &str = "STARLING_CONFIG";
/// For `starling admin`.
pub const ADMIN_URL: &str = "STARLING_ADMIN_URL";
pub const ADMIN_TOKEN: &str = "STARLING_ADMIN_TOKEN";
/// Variables that are no settings.
#[cfg(not(debug_assertions))]
const OTHERS: [&str; 3] = [CONFIG, ADMIN_URL, ADMIN_TOKEN];
/// The same, with those of tests.
#[cfg(debug_assertions)]
const OTHERS: [&str; 5] =
    [CONFIG, ADMIN_URL, ADMIN_TOKEN, tasks::fail_point::VARIABLE, model::clock::OFFSET_VARIABLE];

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Default,
    File { path: PathBuf, line: usize },
    Variable(&'static str),
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read the configuration file {path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("{path}:{line}: {problem}")]
    Malformed { path: String, line: usize, problem: String },
    #[error("{place}: unknown setting `{name}`{hint}; `starling --help` lists all of them")]
    Unknown { place: String, name: String, hint: String },
    #[error("{name}: unknown variable{hint}; `starling --help` lists all of them")]
    UnknownVariable { name: String, hint: String },
    #[error("{place}: {name}: {problem}")]
    Bad { place: Place, name: &'static str, problem: String },
    #[error("`starling {role}` needs {name} ({flag} or {variable}): {help}")]
    Missing {
        role: &'static str,
        name: &'static str,
        flag: String,
        variable: &'static str,
        help: &'static str,
    },
    #[error("{place}: {name}: {}", foreign(role))]
    Foreign { place: Place, name: &'static str, role: &'static str },
    #[error("{place}: {name}: {problem}")]
    Alone { place: Place, name: &'static str, problem: String },
    #[error("{place}: {name}: {problem} ({other_name} stands at {other})")]
    Clash { place: Place, name: &'static str, problem: String, other_name: &'static str, other: Place },
}

fn foreign(role: &str) -> String {
    match role {
        "all" => "a process with everything in it calls no other; leave it out, or choose a role".to_owned(),
        role => format!("`starling {role}` does nothing with it; leave it out"),
    }
}

/// The settings that are in force, and where each one comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    places: BTreeMap<&'static str, Place>,
}

impl Loaded {
    pub fn place(&self, name: &str) -> Place {
        self.places.get(name).cloned().unwrap_or(Place::Default)
    }

    fn set(&mut self, name: &'static str, value: toml::Value, place: Place) -> Result<(), ConfigError> {
        match self.settings.set(name, value) {
            Ok(()) => {
                self.places.insert(name, place);
                Ok(())
            }
            Err(problem) => Err(ConfigError::Bad { place, name, problem }),
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: shown(), source })?;
        let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let table: BTreeMap<Spanned<String>, toml::Value> =
            toml::from_str(&text).map_err(|error| ConfigError::Malformed {
                path: shown(),
                line: line_at(error.span().map_or(0, |span| span.start)),
                problem: error.message().to_owned(),
            })?;
        for (key, value) in table {
            let line = line_at(key.span().start);
            let name = key.into_inner();
            let Some(setting) = setting(&name) else {
                let hint = hint(&name, SETTINGS.iter().map(|setting| setting.name));
                return Err(ConfigError::Unknown { place: format!("{}:{line}", shown()), name, hint });
            };
            self.set(setting.name, value, Place::File { path: path.to_owned(), line })?;
        }
        Ok(())
    }

    fn read_variables(&mut self, variables: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (name, value) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            if OTHERS.contains(&name.as_str()) {
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.variable == name) else {
                let hint = hint(name, SETTINGS.iter().map(|setting| setting.variable).chain(OTHERS));
                return Err(ConfigError::UnknownVariable { name: name.clone(), hint });
            };
            let value = toml::Value::String(value.clone());
            self.set(setting.name, value, Place::Variable(setting.variable))?;
        }
        Ok(())
    }

    /// What no single value shows.
    fn check(&self) -> Result<(), ConfigError> {
        let Settings { api_listen, gateway_listen, admin_listen, grpc_listen, .. } = &self.settings;
        let mut listeners = vec![
            ("api_listen", api_listen),
            ("gateway_listen", gateway_listen),
            ("admin_listen", admin_listen),
        ];
        listeners.extend(grpc_listen.0.as_ref().map(|address| ("grpc_listen", address)));
        for (index, (name, address)) in listeners.iter().enumerate() {
            let taken = listeners[..index].iter().find(|(_, other)| other == address && address.port() != 0);
            if let Some((other_name, _)) = taken {
                return Err(ConfigError::Clash {
                    place: self.place(name),
                    name,
                    problem: format!("{address} is the address of {other_name} as well; give each its own"),
                    other_name,
                    other: self.place(other_name),
                });
            }
        }
        self.check_pairs()
    }

    /// Settings that make no sense without another, or with it.
    fn check_pairs(&self) -> Result<(), ConfigError> {
        let shown = self.settings.shown();
        let is_given = |name: &str| {
            shown.iter().any(|(setting, value)| setting.name == name && value.as_str() != Some(""))
        };
        let alone = |name, problem| ConfigError::Alone { place: self.place(name), name, problem };
        for (name, other) in NEEDS {
            if is_given(name) && !is_given(other) {
                return Err(alone(name, format!("it needs {other} as well")));
            }
        }
        if is_given("nats_token") && is_given("nats_user") {
            return Err(alone("nats_token", "give NATS a token or a user, not both".to_owned()));
        }
        Ok(())
    }
}

/// Settings that need another one.
const NEEDS: [(&str, &str); 13] = [
    ("gateway_tls_cert", "gateway_tls_key"),
    ("gateway_tls_key", "gateway_tls_cert"),
    ("nats_user", "nats_password"),
    ("nats_password", "nats_user"),
    ("nats_tls_cert", "nats_tls_key"),
    ("nats_tls_key", "nats_tls_cert"),
    ("cassandra_user", "cassandra_password"),
    ("cassandra_password", "cassandra_user"),
    ("cassandra_tls_cert", "cassandra_tls_key"),
    ("cassandra_tls_key", "cassandra_tls_cert"),
    ("redis_user", "redis_password"),
    ("redis_tls_cert", "redis_tls_key"),
    ("redis_tls_key", "redis_tls_cert"),
];

/// Reads the settings of a process: `variables` are all that it has, `file` is the one that `--config` names.
pub fn load(
    flags: Flags,
    file: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded { settings: Settings::default(), places: BTreeMap::new() };
    let named = variables.get(CONFIG).filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = file.map(Path::to_owned).or(named) {
        loaded.read_file(&path)?;
    }
    loaded.read_variables(variables)?;
    for name in flags.apply(&mut loaded.settings) {
        let flag = setting(name).expect("every flag is a setting").flag();
        loaded.places.insert(name, Place::Flag(flag));
    }
    loaded.check()?;
    Ok(loaded)
}

/// The variables of this process. One that is not UTF-8 is read with replacement characters, and so refused as a value.
pub fn variables() -> BTreeMap<String, String> {
    let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// "; did you mean …?", if something known is near.
fn hint(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let near = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let best = near.filter(|(likeness, _)| *likeness > 0.85).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, known)| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests;
