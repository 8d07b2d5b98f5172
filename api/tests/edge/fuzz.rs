//! Arbitrary requests to every route: never a panic, never a 500, always JSON.
//!
//! `STARLING_FUZZ_BODIES` says how many bodies (default 20,000).

use api::{RouteInfo, route_list};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Number, Value};

use crate::request::{self, Asked};

/// Names that handlers look for, so that bodies get past "required".
const NAMES: &[&str] = &[
    "content",
    "embeds",
    "nonce",
    "tts",
    "flags",
    "allowed_mentions",
    "parse",
    "users",
    "roles",
    "replied_user",
    "message_reference",
    "message_id",
    "components",
    "sticker_ids",
    "poll",
    "title",
    "description",
    "fields",
    "name",
    "value",
    "footer",
    "text",
    "url",
    "timestamp",
    "color",
    "author",
    "image",
    "type",
    "id",
    "allow",
    "deny",
    "position",
    "parent_id",
    "permission_overwrites",
    "topic",
    "nsfw",
    "nick",
    "messages",
    "username",
    "password",
    "guild_id",
    "permissions",
    "max_age",
    "communication_disabled_until",
    "enforce_nonce",
    "_errors",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,20}",
        "\\PC{0,30}",
        Just("https://a/b".to_owned()),
        Just("2026-11-22T01:13:23+00:00".to_owned()),
        (0_usize..5000).prop_map(|chars| "é".repeat(chars)),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| Number::from_f64(f).map_or(Value::Null, Value::Number)),
        (-2_i64..400).prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let name = prop_oneof![9 => prop::sample::select(NAMES).prop_map(String::from), 1 => "\\PC{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..12)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => values().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..300),
        // JSON that broke off, or has a byte changed.
        2 => (values(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(|(value, at, byte, cut)| {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            bytes
        }),
    ]
}

/// A path of the route with things that could be ids in it.
fn fill(route: &RouteInfo, ids: &[String]) -> String {
    let mut ids = ids.iter().cycle();
    let segments = route.path.split('/').map(|segment| {
        if segment.starts_with('{') { ids.next().expect("there are ids").clone() } else { segment.to_owned() }
    });
    segments.collect::<Vec<_>>().join("/")
}

fn ids() -> impl Strategy<Value = Vec<String>> {
    let id = prop_oneof![
        6 => "[1-9][0-9]{0,18}",
        1 => Just("@me".to_owned()),
        1 => Just("%F0%9F%91%8D".to_owned()),
        1 => "[%a-z0-9@:.+]{1,12}",
        1 => Just("%ff%00".to_owned()),
    ];
    prop::collection::vec(id, 4)
}

#[tokio::test]
async fn arbitrary_requests_get_proper_answers() {
    let count =
        std::env::var("STARLING_FUZZ_BODIES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let app = request::app();
    let routes = route_list();
    let mut runner =
        TestRunner::new(Config { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..Config::default() });
    let kinds = prop::sample::select(vec![
        "application/json",
        "application/json; charset=utf-8",
        "multipart/form-data; boundary=x",
        "",
    ]);
    let strategy = (prop::sample::select(routes), bodies(), ids(), "[ -~]{0,30}", kinds);
    let mut refused = 0;
    let mut done = 0;
    for _ in 0..count {
        let (route, body, ids, query, kind) = strategy.new_tree(&mut runner).unwrap().current();
        let path =
            format!("/api/v10{}?{}", fill(&route, &ids), query.replace([' ', '#', '"', '<', '>'], "&"));
        let asked = path.parse().ok().map(|uri| {
            let content_type = kind.to_owned();
            Asked { method: route.method.clone(), uri, content_type, body }
        });
        let status = match asked {
            Some(asked) => request::ask(&app, asked).await,
            None => None,
        };
        match status {
            Some(status) if status < 300 => done += 1,
            _ => refused += 1,
        }
    }
    assert!(
        done > count / 20 && refused > count / 20,
        "{done} done, {refused} refused: not both ways were tried"
    );
}

#[tokio::test]
async fn the_fuzzer_s_requests_get_proper_answers() {
    let app = request::app();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/rest_request");
    let mut asked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        if let Some(kept) = request::parse(&std::fs::read(entry.unwrap().path()).unwrap()) {
            asked += usize::from(request::ask(&app, kept).await.is_some());
        }
    }
    assert!(asked > 10, "{asked} requests are kept");
}
