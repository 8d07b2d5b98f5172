use std::collections::BTreeMap;

use super::*;
use crate::settings::load::load;
use crate::settings::{Flags, SETTINGS};

type Variables<'a> = &'a [(&'a str, &'a str)];

fn check(role: Role, variables: Variables<'_>) -> Result<(), String> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded = load(Flags::default(), None, &variables).map_err(|error| error.to_string())?;
    role.check(&loaded).map_err(|error| error.to_string())
}

const SECRET: (&str, &str) = ("STARLING_GRPC_SECRET", "correct-horse-battery");
const LISTEN: (&str, &str) = ("STARLING_GRPC_LISTEN", "127.0.0.1:9091");
const GUILDS: (&str, &str) = ("STARLING_GUILDS_GRPC", "a:1");
const MESSAGES: (&str, &str) = ("STARLING_MESSAGES_GRPC", "b:1");
const PRESENCE: (&str, &str) = ("STARLING_PRESENCE_GRPC", "c:1");
const STREAMS: (&str, &str) = ("STARLING_NATS_URLS", "nats://n:4222");
const LINK: (&str, &str) = ("STARLING_REDIS_URL", "redis://r:6379");
const URL: (&str, &str) = ("STARLING_PUBLIC_GATEWAY_URL", "wss://g.example");

/// Every role with what it needs.
const ROLES: [(Role, Variables<'_>); 7] = [
    (Role::Gateway, &[SECRET, GUILDS, MESSAGES, PRESENCE, STREAMS, LINK]),
    (Role::Api, &[SECRET, GUILDS, MESSAGES, URL]),
    (Role::Guilds, &[SECRET, LISTEN, STREAMS]),
    (Role::Messages, &[SECRET, LISTEN, STREAMS, GUILDS]),
    (Role::Presence, &[SECRET, LISTEN, STREAMS, LINK]),
    (Role::Fanout, &[STREAMS, LINK]),
    (Role::Migrate, &[STREAMS]),
];

const EVERY_ROLE: [Role; 9] = [
    Role::All,
    Role::Gateway,
    Role::Api,
    Role::Guilds,
    Role::Messages,
    Role::Presence,
    Role::Fanout,
    Role::Migrate,
    Role::Check,
];

#[test]
fn a_role_says_what_it_lacks() {
    for (role, needed) in ROLES {
        assert_eq!(check(role, needed), Ok(()));
        for index in 0..needed.len() {
            let mut variables = needed.to_vec();
            let (missing, _) = variables.remove(index);
            let error = check(role, &variables).unwrap_err();
            let expected = format!("`starling {}` needs", role.name());
            assert!(error.starts_with(&expected) && error.contains(missing), "{error}");
        }
    }
}

#[test]
fn certificates_on_both_sides_take_the_place_of_the_secret() {
    let files = [
        ("STARLING_GRPC_TLS_CERT", "/c.pem"),
        ("STARLING_GRPC_TLS_KEY", "/k.pem"),
        ("STARLING_GRPC_TLS_AUTHORITY", "/a.pem"),
    ];
    assert_eq!(check(Role::Presence, &[&files[..], &[LISTEN, STREAMS, LINK]].concat()), Ok(()));
    let error = check(Role::Presence, &[&files[..2], &[LISTEN, STREAMS, LINK]].concat()).unwrap_err();
    assert!(error.contains("needs grpc_secret"), "{error}");
}

#[test]
fn demo_data_need_the_addresses_that_they_name() {
    let variables = [SECRET, LISTEN, STREAMS, ("STARLING_DEMO", "true"), URL];
    let error = check(Role::Guilds, &variables).unwrap_err();
    assert!(error.contains("needs public_api_url"), "{error}");
}

#[test]
fn replicas_on_cassandra_say_where_they_are() {
    const HOSTS: (&str, &str) = ("STARLING_CASSANDRA_HOSTS", "c");
    const EVERYWHERE: (&str, &str) = ("STARLING_GRPC_LISTEN", "0.0.0.0:9091");
    const ADVERTISE: (&str, &str) = ("STARLING_GRPC_ADVERTISE", "pod-1:9091");
    assert_eq!(check(Role::Messages, &[ROLES[3].1, &[HOSTS]].concat()), Ok(()));
    let everywhere = [SECRET, EVERYWHERE, STREAMS, GUILDS, HOSTS];
    for role in [Role::Messages, Role::Guilds] {
        let error = check(role, &everywhere).unwrap_err();
        assert!(error.contains("needs grpc_advertise"), "{error}");
        assert_eq!(check(role, &[&everywhere[..], &[ADVERTISE]].concat()), Ok(()));
    }
    let error = check(Role::Guilds, &[ROLES[2].1, &[HOSTS]].concat()).unwrap_err();
    assert!(error.contains("needs guilds_grpc"), "{error}");
}

#[test]
fn replicas_that_keep_their_data_each_for_itself_are_refused() {
    const HOSTS: (&str, &str) = ("STARLING_CASSANDRA_HOSTS", "c");
    const ADVERTISE: (&str, &str) = ("STARLING_GRPC_ADVERTISE", "a:1");
    let several = [
        (Role::Guilds, ROLES[2].1, "STARLING_GUILDS_GRPC", "guilds_grpc"),
        (Role::Messages, ROLES[3].1, "STARLING_MESSAGES_GRPC", "messages_grpc"),
    ];
    for (role, needed, variable, name) in several {
        let error = check(role, &[needed, &[(variable, "a:1,b:1")]].concat()).unwrap_err();
        assert!(error.starts_with(&format!("{variable}: {name}: without cassandra_hosts")), "{error}");
        assert!(error.contains("these 2 replicas") && error.contains("name only one"), "{error}");
        let shared = [needed, &[GUILDS, (variable, "a:1,b:1"), HOSTS, ADVERTISE]].concat();
        assert_eq!(check(role, &shared), Ok(()), "they share it");
        for alone in ["a:1", "dns:///a:1"] {
            assert_eq!(check(role, &[needed, &[(variable, alone)]].concat()), Ok(()), "{alone}");
        }
    }
    let callers = [ROLES[3].1, &[("STARLING_GUILDS_GRPC", "a:1,b:1")]].concat();
    assert_eq!(check(Role::Messages, &callers), Ok(()), "who calls them can't know");
}

#[test]
fn variables_of_other_roles_are_no_mistake_of_a_role() {
    let more = [("STARLING_GATEWAY_LISTEN", "127.0.0.1:5"), ("STARLING_DEMO", "true"), STREAMS];
    assert_eq!(check(Role::Api, &[ROLES[1].1, &more].concat()), Ok(()));
}

#[test]
fn who_has_everything_calls_nobody() {
    assert_eq!(check(Role::All, &[]), Ok(()));
    for (variable, name) in [(GUILDS, "guilds_grpc"), (STREAMS, "nats_urls"), (LINK, "redis_url")] {
        let error = check(Role::All, &[variable]).unwrap_err();
        assert!(error.starts_with(&format!("{}: {name}: ", variable.0)), "{error}");
        assert!(error.contains("calls no other"), "{error}");
    }
}

#[test]
fn every_name_is_a_settings_name_and_every_setting_is_somebodys() {
    let groups = [COMMON, GRPC, PEERS, NATS, REDIS, CASSANDRA, REPLICA, MUTUAL_TLS].concat();
    let of_roles = EVERY_ROLE.iter().flat_map(|role| [role.always_needed(), role.own()].concat());
    for name in groups.into_iter().chain(of_roles) {
        assert!(setting(name).is_some(), "{name}");
    }
    for setting in SETTINGS {
        let is_taken = |role: &Role| *role != Role::All && role.takes(setting.name);
        assert!(EVERY_ROLE.iter().any(is_taken), "{}", setting.name);
    }
}
