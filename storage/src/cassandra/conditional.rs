//! What a conditional write answers.

use scylla::{response::query_result::QueryResult, value::Row};

/// Whether it was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) is_applied: bool,
    /// The first value that its condition speaks of, if it is a number: it was another one. `None` without a row.
    pub(super) found: Option<i64>,
}

/// `[applied]` comes first, and then, if it is false and there is a row, what that has.
pub(super) fn answer(result: QueryResult) -> Option<Answer> {
    let rows = result.into_rows_result().ok()?;
    let mut columns = rows.first_row::<Row>().ok()?.columns.into_iter();
    let is_applied = columns.next()??.as_boolean()?;
    Some(Answer { is_applied, found: columns.next().flatten().and_then(|value| value.as_bigint()) })
}
