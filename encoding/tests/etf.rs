//! Any JSON becomes a term and comes back; no bytes make the reader panic.

use encoding::etf::{from_json, to_json};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::from),
        any::<i64>().prop_map(Number::from),
        (-300_i64..300).prop_map(Number::from),
        // Around the borders between the kinds of integers.
        (0_u32..64, -2_i64..3)
            .prop_map(|(power, beside)| Number::from((1_i64 << power).wrapping_add(beside))),
        any::<f64>().prop_filter_map("JSON has finite numbers", Number::from_f64),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

/// A float that is an integer comes back as one; everything else is the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

proptest! {
    #[test]
    fn json_comes_back_from_a_term(value in value()) {
        let term = from_json(value.to_string().as_bytes()).expect("it is JSON");
        let json = to_json(&term).expect("it is a term");
        let back: Value = serde_json::from_slice(&json).expect("what is read is JSON");
        prop_assert!(same(&value, &back), "{value} came back as {back}");
    }

    #[test]
    fn any_bytes_are_read_or_refused(term in prop::collection::vec(any::<u8>(), 0..200)) {
        encoding::fuzz_etf(&term);
        encoding::fuzz_etf(&[&[131], &term[..]].concat());
    }

    /// Terms with a few bytes changed or the end cut off get further than noise.
    #[test]
    fn spoiled_terms_are_read_or_refused(
        value in value(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut term = from_json(value.to_string().as_bytes()).expect("it is JSON");
        for (place, byte) in changes {
            let place = place.index(term.len());
            term[place] = byte;
        }
        encoding::fuzz_etf(&term);
        encoding::fuzz_etf(&term[..cut.index(term.len())]);
    }
}
