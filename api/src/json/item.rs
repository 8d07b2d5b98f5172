//! Values of a body with their place in it, and what they can be read as.

use std::ops::RangeInclusive;

use model::{Id, Timestamp};
use serde_json::{Map, Value};

use super::Errors;

/// One value that is there.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    pub(crate) value: &'a Value,
    path: String,
    errors: &'a Errors,
}

/// The fields of one object.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
    errors: &'a Errors,
}

impl<'a> Item<'a> {
    pub(crate) fn new(value: &'a Value, path: String, errors: &'a Errors) -> Self {
        Self { value, path, errors }
    }

    /// Notes that the value is wrong.
    pub(crate) fn wrong(&self, code: &str, message: impl Into<String>) {
        self.errors.add(&self.path, code, message);
    }

    fn refuse<T>(&self, code: &str, message: impl Into<String>) -> Option<T> {
        self.wrong(code, message);
        None
    }

    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        match self.value {
            Value::Object(object) => Some(Fields { object, path: self.path.clone(), errors: self.errors }),
            _ => self.refuse("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"),
        }
    }

    /// The elements; none and an error if there are more than `max`.
    pub(crate) fn list(&self, max: usize) -> Vec<Item<'a>> {
        let Value::Array(values) = self.value else {
            self.wrong("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
            return Vec::new();
        };
        if values.len() > max {
            self.wrong("BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length."));
            return Vec::new();
        }
        let item = |(index, value)| Item::new(value, join(&self.path, &format!("{index}")), self.errors);
        values.iter().enumerate().map(item).collect()
    }

    pub(crate) fn text(&self, chars: RangeInclusive<usize>) -> Option<String> {
        let Value::String(text) = self.value else {
            return self
                .refuse("STRING_TYPE_CONVERT", format!("Could not interpret {} as string.", self.shown()));
        };
        let (min, max) = chars.into_inner();
        let count = text.chars().count();
        if count > max && min <= 1 {
            return self.refuse("BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length."));
        }
        if count == 0 && min > 0 {
            return self.refuse("BASE_TYPE_REQUIRED", "This field is required");
        }
        if count < min || count > max {
            return self
                .refuse("BASE_TYPE_BAD_LENGTH", format!("Must be between {min} and {max} in length."));
        }
        Some(text.clone())
    }

    /// An integer; also as a float without a fraction or a string, as some languages send it.
    pub(crate) fn number<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        let number = match self.value {
            Value::Number(number) => {
                number.as_i64().or_else(|| number.as_f64().filter(|f| is_whole(*f)).map(|f| f as i64))
            }
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            return self.refuse("NUMBER_TYPE_COERCE", format!("Value {} is not int.", self.shown()));
        };
        let (min, max) = range.into_inner();
        if number < min {
            let message = format!("int value should be greater than or equal to {min}.");
            return self.refuse("NUMBER_TYPE_MIN", message);
        }
        match T::try_from(number) {
            Ok(value) if number <= max => Some(value),
            _ => {
                let message = format!("int value should be less than or equal to {max}.");
                self.refuse("NUMBER_TYPE_MAX", message)
            }
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => self.refuse("BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
        }
    }

    /// A snowflake as a string or an integer.
    pub(crate) fn id(&self) -> Option<u64> {
        let id = match self.value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64().and_then(Id::<()>::new),
            _ => None,
        };
        match id {
            Some(id) => Some(id.get()),
            None => self.refuse("NUMBER_TYPE_COERCE", format!("Value {} is not snowflake.", self.shown())),
        }
    }

    /// Permission bits as a decimal string or an integer.
    pub(crate) fn bits(&self) -> Option<u64> {
        let bits = match self.value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64(),
            _ => None,
        };
        bits.or_else(|| self.refuse("NUMBER_TYPE_COERCE", format!("Value {} is not int.", self.shown())))
    }

    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        let timestamp = self.value.as_str().and_then(|text| text.parse().ok());
        timestamp.or_else(|| {
            let message = format!("Could not parse {}. Should be ISO8601.", self.shown());
            self.refuse("DATE_TIME_TYPE_PARSE", message)
        })
    }

    /// The value as an error shows it: short.
    fn shown(&self) -> String {
        match self.value {
            Value::String(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
            Value::Array(_) => "[...]".into(),
            Value::Object(_) => "{...}".into(),
            plain => plain.to_string(),
        }
    }
}

impl<'a> Fields<'a> {
    /// The field, if it is there and not null.
    pub(crate) fn item(&self, name: &str) -> Option<Item<'a>> {
        self.nullable(name).filter(|item| !item.value.is_null())
    }

    /// The field, if it is there; it may be null.
    pub(crate) fn nullable(&self, name: &str) -> Option<Item<'a>> {
        self.object.get(name).map(|value| Item::new(value, join(&self.path, name), self.errors))
    }

    pub(crate) fn required(&self, name: &str) -> Option<Item<'a>> {
        let item = self.item(name);
        if item.is_none() {
            self.wrong(name, "BASE_TYPE_REQUIRED", "This field is required");
        }
        item
    }

    /// Notes that a field is wrong, or missing.
    pub(crate) fn wrong(&self, name: &str, code: &str, message: impl Into<String>) {
        self.errors.add(&join(&self.path, name), code, message);
    }

    /// Refuses a feature that is not there, unless it is asked for emptily.
    pub(crate) fn unsupported(&self, name: &str, message: &str) {
        if self.is_used(name) {
            self.wrong(name, "NOT_SUPPORTED", message);
        }
    }

    /// Whether the field is there with something in it.
    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.item(name).is_some_and(|item| match item.value {
            Value::Array(values) => !values.is_empty(),
            Value::Object(values) => !values.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        })
    }

    pub(crate) fn text(&self, name: &str, chars: RangeInclusive<usize>) -> Option<String> {
        self.item(name)?.text(chars)
    }

    pub(crate) fn required_text(&self, name: &str, chars: RangeInclusive<usize>) -> String {
        self.required(name).and_then(|item| item.text(chars)).unwrap_or_default()
    }

    /// A text that null removes: then it is empty.
    pub(crate) fn clearable_text(&self, name: &str, chars_max: usize) -> Option<String> {
        let item = self.nullable(name)?;
        if item.value.is_null() { Some(String::new()) } else { item.text(0..=chars_max) }
    }

    pub(crate) fn number<T: TryFrom<i64>>(&self, name: &str, range: RangeInclusive<i64>) -> Option<T> {
        self.item(name)?.number(range)
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.item(name)?.boolean()
    }

    pub(crate) fn id(&self, name: &str) -> Option<u64> {
        self.item(name)?.id()
    }

    pub(crate) fn required_id(&self, name: &str) -> u64 {
        self.required(name).and_then(|item| item.id()).unwrap_or_default()
    }

    /// An id that null removes: then it is 0.
    pub(crate) fn clearable_id(&self, name: &str) -> Option<u64> {
        let item = self.nullable(name)?;
        if item.value.is_null() { Some(0) } else { item.id() }
    }

    pub(crate) fn bits(&self, name: &str) -> Option<u64> {
        self.item(name)?.bits()
    }

    pub(crate) fn list(&self, name: &str, max: usize) -> Option<Vec<Item<'a>>> {
        Some(self.item(name)?.list(max))
    }

    pub(crate) fn ids(&self, name: &str, max: usize) -> Option<Vec<u64>> {
        Some(self.list(name, max)?.iter().filter_map(Item::id).collect())
    }

    pub(crate) fn fields(&self, name: &str) -> Option<Fields<'a>> {
        self.item(name)?.fields()
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9.0e15
}
