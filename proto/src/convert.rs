//! Between the messages of the wire and the types of `model`.
//!
//! Towards the wire a conversion cannot fail (`From<&T>`); from it, it says which field is malformed (`TryFrom`).

mod message;
mod object;
mod presence;
mod private;
mod view;

use model::{Id, Timestamp};

pub use private::open_private_channels;

/// A message of the wire that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed `{field}`: {problem}")]
pub struct Malformed {
    pub field: &'static str,
    pub problem: &'static str,
}

impl Malformed {
    pub const fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }
}

/// The id in a field that must have one.
pub fn id<T>(field: &'static str, value: u64) -> Result<Id<T>, Malformed> {
    Id::new(value).ok_or(Malformed::new(field, "an id is never 0"))
}

/// The id in a field that may be absent; 0 counts as absent.
pub fn optional_id<T>(value: Option<u64>) -> Option<Id<T>> {
    value.and_then(Id::new)
}

/// The ids of a repeated field.
pub fn ids<T>(field: &'static str, values: &[u64]) -> Result<Vec<Id<T>>, Malformed> {
    values.iter().map(|value| id(field, *value)).collect()
}

/// The numbers of ids, for a repeated field.
pub fn numbers<T>(ids: &[Id<T>]) -> Vec<u64> {
    ids.iter().map(|id| id.get()).collect()
}

/// A part that must be there.
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or(Malformed::new(field, "it is missing"))
}

/// Converts every element of a repeated field.
pub fn all<T, U: TryFrom<T, Error = Malformed>>(values: Vec<T>) -> Result<Vec<U>, Malformed> {
    values.into_iter().map(U::try_from).collect()
}

/// Converts references towards the wire.
pub fn wire<'a, T: 'a, U: From<&'a T>>(values: &'a [T]) -> Vec<U> {
    values.iter().map(U::from).collect()
}

fn small<T: TryFrom<u32>>(field: &'static str, value: u32) -> Result<T, Malformed> {
    T::try_from(value).map_err(|_| Malformed::new(field, "the number is too large"))
}

fn time(ms: Option<u64>) -> Option<Timestamp> {
    ms.map(Timestamp::from_ms)
}
