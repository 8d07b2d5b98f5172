//! Reading the fields of payloads as leniently as the libraries in use need: ids as strings, integers or arrays of one,
//! nulls for what is absent.

use model::Id;
use serde_json::{Map, Value};

/// The object in `d`.
pub(super) fn object(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

/// A field that is there and not null.
pub(super) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    field(object, name)?.as_str()
}

pub(super) fn flag(object: &Map<String, Value>, name: &str) -> bool {
    field(object, name).and_then(Value::as_bool).unwrap_or(false)
}

/// An id as a string, an integer, or an array with one of these.
pub(super) fn id<T>(value: &Value) -> Option<Id<T>> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().and_then(Id::new),
        Value::Array(values) if values.len() == 1 => id(&values[0]),
        _ => None,
    }
}

/// One id or an array of them; `None` if one of them is none.
pub(super) fn ids<T>(value: &Value) -> Option<Vec<Id<T>>> {
    match value {
        Value::Array(values) => values.iter().map(id).collect(),
        value => id(value).map(|id| vec![id]),
    }
}
