//! What a process runs: everything, or one role of a cluster.
//!
//! A role says which settings it needs and which it takes beside those. One that is missing, or given to a role that does
//! nothing with it, ends the start: a flag that is ignored is a mistake that nobody sees. A configuration file and
//! variables may be shared by all roles, so what only they hold is no mistake.

use crate::settings::Setting;
use crate::settings::load::{ConfigError, Loaded, Place};

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The whole system.
    All,
    /// The HTTP edge alone.
    Api,
}

/// What every role takes.
const COMMON: &[&str] = &["admin_listen", "log", "log_format"];
/// What a role takes that calls others.
const CALLER: &[&str] = &["grpc_tls_cert", "grpc_tls_key", "grpc_tls_authority", "grpc_tls_name"];
/// Where others are: nothing for a process that has everything.
const PEERS: &[&str] = &["guilds_grpc", "messages_grpc"];

impl Role {
    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
        }
    }

    /// Checks that the settings are this role's.
    pub fn check(self, loaded: &Loaded) -> Result<(), ConfigError> {
        for (setting, value) in loaded.settings.shown() {
            let place = loaded.place(setting.name);
            let is_empty = value.as_str() == Some("");
            if self.needs().contains(&setting.name) && is_empty {
                return Err(self.missing(setting));
            }
            let is_given_here =
                matches!(place, Place::Flag(_)) || (self == Self::All && place != Place::Default);
            if is_given_here && !self.takes(setting.name) {
                return Err(ConfigError::Foreign { place, name: setting.name, role: self.name() });
            }
        }
        Ok(())
    }

    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::All => &[],
            Self::Api => &["grpc_secret", "guilds_grpc", "messages_grpc", "public_gateway_url"],
        }
    }

    fn takes(self, name: &str) -> bool {
        let own: &[&str] = match self {
            Self::All => return !PEERS.contains(&name),
            Self::Api => &[
                "api_listen",
                "public_api_url",
                "behind_proxy",
                "max_concurrency",
                "requests_per_sec",
                "route_limits",
            ],
        };
        [COMMON, CALLER, self.needs(), own].iter().any(|names| names.contains(&name))
    }

    fn missing(self, setting: &'static Setting) -> ConfigError {
        let (flag, variable) = (setting.flag(), setting.variable);
        ConfigError::Missing { role: self.name(), name: setting.name, flag, variable, help: setting.help }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::load::load;
    use crate::settings::{Flags, SETTINGS};

    fn check(role: Role, variables: &[(&str, &str)]) -> Result<(), String> {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let loaded = load(Flags::default(), None, &variables).map_err(|error| error.to_string())?;
        role.check(&loaded).map_err(|error| error.to_string())
    }

    const API: [(&str, &str); 4] = [
        ("STARLING_GRPC_SECRET", "correct-horse-battery"),
        ("STARLING_GUILDS_GRPC", "a:1"),
        ("STARLING_MESSAGES_GRPC", "b:1"),
        ("STARLING_PUBLIC_GATEWAY_URL", "wss://g.example"),
    ];

    #[test]
    fn a_role_says_what_it_lacks() {
        assert_eq!(check(Role::Api, &API), Ok(()));
        for index in 0..API.len() {
            let mut variables = API.to_vec();
            let (missing, _) = variables.remove(index);
            let error = check(Role::Api, &variables).unwrap_err();
            assert!(error.contains("the role `api` needs") && error.contains(missing), "{error}");
        }
    }

    #[test]
    fn variables_of_other_roles_are_no_mistake_of_a_role() {
        let more = [("STARLING_GATEWAY_LISTEN", "127.0.0.1:5"), ("STARLING_DEMO", "true")];
        assert_eq!(check(Role::Api, &[&API[..], &more].concat()), Ok(()));
    }

    #[test]
    fn who_has_everything_calls_nobody() {
        assert_eq!(check(Role::All, &[]), Ok(()));
        let error = check(Role::All, &API[1..2]).unwrap_err();
        assert!(error.starts_with("STARLING_GUILDS_GRPC: guilds_grpc"), "{error}");
    }

    #[test]
    fn every_name_is_a_settings_name() {
        for name in [COMMON, CALLER, PEERS, Role::Api.needs()].concat() {
            assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name}");
        }
    }
}
