//! Reading request bodies: leniently where clients differ, precisely where they are wrong.
//!
//! A body is parsed once into a tree (serde_json bounds its depth), and read by name: every wrong field is collected in
//! [`Errors`], so that a client learns of all its mistakes at once. Reading is synchronous and ends before the service
//! is called: the tree, which can be much larger than the text, is never held while somebody waits.

mod content;
mod embeds;
mod item;

use std::cell::RefCell;

use proto::failure::{Failure, FieldError};
use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult, INVALID_JSON};

pub(crate) use content::{read_creation, read_edit};
pub(crate) use item::{Fields, Item};

/// What is wrong with a request, as it is being read.
#[derive(Debug, Default)]
pub(crate) struct Errors(RefCell<Vec<FieldError>>);

/// More would only cost memory.
const ERRORS_MAX: usize = 50;

impl Errors {
    pub(crate) fn add(&self, path: &str, code: &str, message: impl Into<String>) {
        let mut errors = self.0.borrow_mut();
        if errors.len() < ERRORS_MAX {
            errors.push(FieldError { path: path.into(), code: code.into(), message: message.into() });
        }
    }

    /// Fails if anything was wrong.
    pub(crate) fn finish(self) -> ApiResult<()> {
        let errors = self.0.into_inner();
        if errors.is_empty() { Ok(()) } else { Err(Failure::invalid_fields(errors).into()) }
    }
}

/// Parses a body; an empty one counts as an object without fields.
pub(crate) fn parse(body: &[u8]) -> ApiResult<Value> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(body)
        .map_err(|_| ApiError::bad_request(INVALID_JSON, "The request body contains invalid JSON."))
}

/// Reads an object's fields.
pub(crate) fn read_object<T>(value: &Value, read: impl FnOnce(&Fields<'_>) -> T) -> ApiResult<T> {
    let errors = Errors::default();
    let result = Item::new(value, String::new(), &errors).fields().map(|fields| read(&fields));
    errors.finish()?;
    Ok(result.expect("without an object there is an error"))
}

/// Reads the elements of an array of objects, at most `max`.
pub(crate) fn read_array<T>(
    value: &Value,
    max: usize,
    read: impl FnMut(Fields<'_>) -> T,
) -> ApiResult<Vec<T>> {
    let errors = Errors::default();
    let items = Item::new(value, String::new(), &errors).list(max);
    let result = items.iter().filter_map(Item::fields).map(read).collect();
    errors.finish()?;
    Ok(result)
}

/// An id from a path or a query.
pub(crate) fn read_id(name: &str, text: &str) -> ApiResult<u64> {
    let errors = Errors::default();
    let value = Value::String(text.to_owned());
    let id = Item::new(&value, name.to_owned(), &errors).id();
    errors.finish()?;
    Ok(id.expect("without an id there is an error"))
}
