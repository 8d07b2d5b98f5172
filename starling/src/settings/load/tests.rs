use clap::Parser;

use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

fn flags(arguments: &[&str]) -> Flags {
    let all = std::iter::once(&"starling").chain(arguments);
    Arguments::try_parse_from(all).unwrap().flags
}

fn read(file: &str, variables: Variables<'_>, arguments: &[&str]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.toml");
    std::fs::write(&path, file).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let shown = format!("{}/", dir.path().display());
    load(flags(arguments), Some(&path), &variables).map_err(|error| error.to_string().replace(&shown, ""))
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let file = "max_concurrency = 2\nlog = 'debug'\n";
    let variables = [("STARLING_MAX_CONCURRENCY", "3"), ("OTHER", "x")];
    let rows: [(&str, Variables<'_>, &[&str], u64, &str); 4] = [
        ("", &[], &[], 16, "default"),
        (file, &[], &[], 2, "starling.toml:1"),
        (file, &variables, &[], 3, "STARLING_MAX_CONCURRENCY"),
        (file, &variables, &["--max-concurrency", "4"], 4, "--max-concurrency"),
    ];
    for (file, variables, arguments, expected, place) in rows {
        let loaded = read(file, variables, arguments).unwrap();
        let place_found = loaded.place("max_concurrency").to_string();
        assert_eq!(loaded.settings.max_concurrency.get(), expected, "{place}");
        assert!(place_found.ends_with(place), "{place_found} is not {place}");
    }
}

/// The setting without which this one makes no sense.
fn half(name: &str) -> Option<&'static str> {
    NEEDS.iter().find(|(one, _)| *one == name).map(|(_, other)| *other)
}

/// The same value of every setting from all three places.
#[test]
fn every_setting_can_be_given_in_three_ways() {
    let samples: BTreeMap<&str, (&str, &str)> = [
        ("data_dir", ("'/x'", "/x")),
        ("demo", ("true", "true")),
        ("api_listen", ("'[::1]:1'", "[::1]:1")),
        ("gateway_listen", ("'0.0.0.0:0'", "0.0.0.0:0")),
        ("admin_listen", ("'127.0.0.1:2'", "127.0.0.1:2")),
        ("grpc_listen", ("'127.0.0.1:3'", "127.0.0.1:3")),
        ("grpc_tls_cert", ("'/c.pem'", "/c.pem")),
        ("grpc_tls_key", ("'/k.pem'", "/k.pem")),
        ("grpc_tls_authority", ("'/a.pem'", "/a.pem")),
        ("grpc_tls_name", ("'n.example'", "n.example")),
        ("guilds_grpc", ("['a:1', 'b:2']", "a:1,b:2")),
        ("messages_grpc", ("'dns:///m.example:1'", "dns:///m.example:1")),
        ("presence_grpc", ("'p:1'", "p:1")),
        ("nats_urls", ("['nats://a:1', 'tls://b']", "nats://a:1, tls://b")),
        ("nats_user", ("'u'", "u")),
        ("nats_password", ("'p'", "p")),
        ("nats_token", ("'t'", "t")),
        ("nats_tls_authority", ("'/a.pem'", "/a.pem")),
        ("nats_tls_cert", ("'/c.pem'", "/c.pem")),
        ("nats_tls_key", ("'/k.pem'", "/k.pem")),
        ("nats_prefix", ("'blue'", "blue")),
        ("nats_replicas", ("3", "3")),
        ("nats_guild_partitions", ("7", "7")),
        ("nats_user_partitions", ("7", "7")),
        ("nats_guild_stream_bytes", ("7000000", "7000000")),
        ("nats_user_stream_bytes", ("7000000", "7000000")),
        ("grpc_advertise", ("'pod-1:9091'", "pod-1:9091")),
        ("cassandra_hosts", ("['c', 'd:1']", "c:9042,d:1")),
        ("cassandra_keyspace", ("'blue'", "blue")),
        ("cassandra_datacenter", ("'north'", "north")),
        ("cassandra_user", ("'us'", "us")),
        ("cassandra_password", ("'p'", "p")),
        ("cassandra_tls", ("'address'", "address")),
        ("cassandra_tls_authority", ("'/a.pem'", "/a.pem")),
        ("cassandra_tls_cert", ("'/c.pem'", "/c.pem")),
        ("cassandra_tls_key", ("'/k.pem'", "/k.pem")),
        ("cassandra_replication", ("'north:3,south:2'", "north:3,south:2")),
        ("redis_url", ("'rediss://r.example'", "rediss://r.example:6379")),
        ("redis_user", ("'u'", "u")),
        ("redis_password", ("'p'", "p")),
        ("redis_tls_authority", ("'/a.pem'", "/a.pem")),
        ("redis_tls_cert", ("'/c.pem'", "/c.pem")),
        ("redis_tls_key", ("'/k.pem'", "/k.pem")),
        ("redis_prefix", ("'blue'", "blue")),
        ("grpc_secret", ("'correct-horse-battery'", "correct-horse-battery")),
        ("public_api_url", ("'https://a.example'", "https://a.example/")),
        ("public_gateway_url", ("'wss://g.example/x'", "wss://g.example/x")),
        ("behind_proxy", ("true", "true")),
        ("gateway_shards", ("7", "7")),
        ("gateway_connections_max", ("7", "7")),
        ("gateway_connections_per_sec", ("7", "7")),
        ("gateway_starts_per_sec", ("7", "7")),
        ("gateway_burst_ms", ("7", "7")),
        ("gateway_tls_cert", ("'/c.pem'", "/c.pem")),
        ("gateway_tls_key", ("'/k.pem'", "/k.pem")),
        ("heartbeat_interval_ms", ("5000", "5000")),
        ("max_concurrency", ("7", "7")),
        ("guild_subjects_max", ("7", "7")),
        ("compression", ("'stream'", "stream")),
        ("drain_window_ms", ("7000", "7000")),
        ("drain_sessions_per_sec", ("7", "7")),
        ("sends_per_window", ("7", "7")),
        ("sends_window_ms", ("700", "700")),
        ("requests_per_sec", ("7", "7")),
        ("route_limits", ("false", "false")),
        ("filter_words", ("['a', 'b c']", "a, b c")),
        ("filter_patterns", (r"['x{1,3}', '\d']", "x{1,3}\n\\d")),
        ("voice_endpoint", ("'v.example:443'", "v.example:443")),
        ("voice_endpoints", ("{ north = 'n:1', south = 's:2' }", "north=n:1,south=s:2")),
        (
            "voice_key",
            (
                "'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'",
                "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            ),
        ),
        ("log", ("'warn,gateway=debug'", "warn,gateway=debug")),
        ("log_format", ("'json'", "json")),
        ("otlp_endpoint", ("'http://c.example:4317'", "http://c.example:4317/")),
        ("trace_every", ("7", "7")),
    ]
    .into();
    assert_eq!(samples.len(), SETTINGS.len(), "a setting without a sample");
    for setting in SETTINGS {
        let (toml, text) = samples[setting.name];
        let flag = format!("{}={text}", setting.flag());
        let other = half(setting.name);
        let other = other.map_or_else(String::new, |name| format!("{name} = {}\n", samples[name].0));
        let ways = [
            read(&format!("{other}{} = {toml}", setting.name), &[], &[]),
            read(&other, &[(setting.variable, text)], &[]),
            read(&other, &[], &[&flag]),
        ];
        let shown = ways.map(|way| format!("{:?}", way.unwrap().settings.shown()));
        assert_eq!(shown[0], shown[1], "{}", setting.name);
        assert_eq!(shown[0], shown[2], "{}", setting.name);
        let default = format!("{:?}", Settings::default().shown());
        assert_ne!(shown[0], default, "the sample of {} is its default", setting.name);
    }
}

#[test]
fn an_error_names_the_setting_the_place_and_what_is_allowed() {
    let rows: [(&str, Variables<'_>, &str); 22] = [
        (
            "\napi_listn = 'x'",
            &[],
            "starling.toml:2: unknown setting `api_listn`; did you mean `api_listen`?; `starling --help` lists all of them",
        ),
        ("zebra = 1", &[], "starling.toml:1: unknown setting `zebra`; `starling --help` lists all of them"),
        (
            "api_listen = 8080",
            &[],
            "starling.toml:1: api_listen: 8080 is not allowed; expected IP:PORT, such as 127.0.0.1:8080 or [::]:8080; port 0 takes a free one",
        ),
        ("demo = 'yes'", &[], "starling.toml:1: demo: \"yes\" is not allowed; expected true or false"),
        (
            "",
            &[("STARLING_HEARTBEAT_INTERVAL_MS", "50000")],
            "STARLING_HEARTBEAT_INTERVAL_MS: heartbeat_interval_ms: \"50000\" is not allowed; expected a whole number from 1000 to 41250",
        ),
        (
            "",
            &[("STARLING_API_LISTN", "x")],
            "STARLING_API_LISTN: unknown variable; did you mean `STARLING_API_LISTEN`?; `starling --help` lists all of them",
        ),
        (
            "public_api_url = 'https://x.example/api'",
            &[],
            "starling.toml:1: public_api_url: \"https://x.example/api\" is not allowed; expected http://HOST[:PORT] or https://HOST[:PORT] without a path (`/api` is added), or nothing",
        ),
        (
            "filter_patterns = ['(']",
            &[],
            "starling.toml:1: filter_patterns: `(` is not allowed: regex parse error:",
        ),
        ("log = 'inof'", &[], "starling.toml:1: log: \"inof\" is not allowed; expected a level"),
        (
            "voice_key = '12'",
            &[],
            "starling.toml:1: voice_key: the value is not allowed; expected 64 hex digits, or nothing",
        ),
        (
            "grpc_listen = '9091'",
            &[],
            "starling.toml:1: grpc_listen: \"9091\" is not allowed; expected IP:PORT, such as 127.0.0.1:8080 or [::]:8080; port 0 takes a free one, or nothing",
        ),
        (
            "grpc_secret = 'hunter2'",
            &[],
            "starling.toml:1: grpc_secret: the value is not allowed: a secret has 16 to 256 visible ASCII characters",
        ),
        (
            "guilds_grpc = 'guilds'",
            &[],
            "starling.toml:1: guilds_grpc: \"guilds\" is not allowed; expected dns:///HOST:PORT, or HOST:PORT separated by commas, in the file also an array of texts: `guilds` is not HOST:PORT",
        ),
        (
            "grpc_listen = '127.0.0.1:8081'",
            &[],
            "starling.toml:1: grpc_listen: 127.0.0.1:8081 is the address of gateway_listen as well; give each its own",
        ),
        (
            "nats_urls = 'http://n:4222'",
            &[],
            "starling.toml:1: nats_urls: \"http://n:4222\" is not allowed; expected nats://HOST[:PORT] or tls://HOST[:PORT]",
        ),
        (
            "redis_url = 'redis://:hush@r:6379'",
            &[],
            "starling.toml:1: redis_url: an address holds no password, as it is shown; use redis_user and redis_password",
        ),
        (
            "nats_prefix = 'a.b'",
            &[],
            "starling.toml:1: nats_prefix: \"a.b\" is not allowed; expected letters, digits, - and _",
        ),
        ("nats_replicas = 2", &[], "starling.toml:1: nats_replicas: 2 is not allowed; expected 1, 3 or 5"),
        ("nats_user = 'u'", &[], "starling.toml:1: nats_user: it needs nats_password as well"),
        (
            "nats_user = 'u'\nnats_password = 'p'\nnats_token = 't'",
            &[],
            "starling.toml:3: nats_token: give NATS a token or a user, not both",
        ),
        ("x = ", &[], "starling.toml:1: string values must be quoted"),
        (
            "api_listen = '127.0.0.1:8081'",
            &[],
            "default: gateway_listen: 127.0.0.1:8081 is the address of api_listen as well; give each its own (api_listen stands at starling.toml:1)",
        ),
    ];
    for (file, variables, expected) in rows {
        let error = read(file, variables, &[]).unwrap_err();
        assert!(error.starts_with(expected), "\n  {error}\nis not\n  {expected}");
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let error = load(Flags::default(), Some(Path::new("/no/such.toml")), &BTreeMap::new()).unwrap_err();
    assert!(
        error.to_string().starts_with("read the configuration file /no/such.toml: No such file"),
        "{error}"
    );
    let variables = [(CONFIG.to_owned(), "/no/other.toml".to_owned())].into();
    let error = load(Flags::default(), None, &variables).unwrap_err();
    assert!(error.to_string().contains("/no/other.toml"), "{error}");
}
