//! What tables there are to be: lists of steps that only grow.
//!
//! A step is a few statements, each of which changes nothing when it is repeated (`IF NOT EXISTS`): a migration that
//! was interrupted begins its step again. What was applied is written down with a hash of its text, so a step that is
//! changed afterwards is found out instead of being skipped in silence.

use super::ReadError;
use scylla::{
    client::session::Session,
    errors::{DbError, ExecutionError, PrepareError, RequestAttemptError},
};
use std::collections::BTreeMap;

/// The tables of one crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Whose they are. Written down, so it never changes.
    pub name: &'static str,
    /// In order; the first has the number 1. Statements name tables without a keyspace.
    pub steps: &'static [&'static [&'static str]],
}

/// The tables are not as this program needs them.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Steps have not been applied.
    #[error(
        "the tables of {name} are at step {applied}, this version needs {needed}; run `starling migrate`"
    )]
    Behind {
        /// Whose tables.
        name: &'static str,
        /// The last step that was applied; 0 for none.
        applied: usize,
        /// The last one there is.
        needed: usize,
    },
    /// A step has another text than when it was applied.
    #[error(
        "step {step} of the tables of {name} was applied with another text: is this another program's keyspace?"
    )]
    Differs {
        /// Whose tables.
        name: &'static str,
        /// The step.
        step: usize,
    },
    /// Nobody can say.
    #[error("read what was applied to the schema: {0}")]
    Read(#[from] ReadError),
}

/// The step number and hash of every step that was applied, by the schema's name.
pub(super) type Applied = BTreeMap<(String, usize), i64>;

pub(super) const STEPS_TABLE: &str = "schema_steps";

/// Whether every step of these is there. Steps that this version does not know are a newer version's.
pub(super) async fn check(session: &Session, schemas: &[&Schema]) -> Result<(), SchemaError> {
    let applied = applied(session).await?;
    for schema in schemas {
        if let Some(step) = first_missing(schema, &applied)? {
            return Err(SchemaError::Behind {
                name: schema.name,
                applied: step - 1,
                needed: schema.steps.len(),
            });
        }
    }
    Ok(())
}

/// The first step that was not applied.
pub(super) fn first_missing(schema: &Schema, applied: &Applied) -> Result<Option<usize>, SchemaError> {
    for (step, statements) in (1..).zip(schema.steps) {
        match applied.get(&(schema.name.to_owned(), step)) {
            None => return Ok(Some(step)),
            Some(found) if *found == hash(statements) => {}
            Some(_) => return Err(SchemaError::Differs { name: schema.name, step }),
        }
    }
    Ok(None)
}

pub(super) async fn applied(session: &Session) -> Result<Applied, ReadError> {
    let question = format!("SELECT name, step, hash FROM {STEPS_TABLE}");
    let statement = match session.prepare(question).await {
        Ok(statement) => statement,
        // Without the table nothing was applied.
        Err(PrepareError::AllAttemptsFailed { first_attempt: error }) if is_invalid(&error) => {
            return Ok(Applied::new());
        }
        Err(error) => return Err(ExecutionError::PrepareError(error).into()),
    };
    let rows = session.execute_unpaged(&statement, ()).await?.into_rows_result()?;
    let rows = rows.rows::<(String, i32, i64)>().map_err(ReadError::corrupt)?;
    rows.map(|row| {
        let (name, step, hash) = row.map_err(ReadError::corrupt)?;
        Ok(((name, usize::try_from(step).map_err(ReadError::corrupt)?), hash))
    })
    .collect()
}

fn is_invalid(error: &RequestAttemptError) -> bool {
    matches!(error, RequestAttemptError::DbError(DbError::Invalid, _))
}

/// Of the text without its layout: FNV-1a.
pub(super) fn hash(statements: &[&str]) -> i64 {
    let words = statements.iter().flat_map(|statement| statement.split_whitespace().chain([";"]));
    let bytes = words.flat_map(|word| word.bytes().chain([b' ']));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema =
        Schema { name: "test", steps: &[&["CREATE TABLE a"], &["CREATE TABLE b", "DROP TABLE a"]] };

    fn applied(rows: &[(usize, i64)]) -> Applied {
        rows.iter().map(|&(step, hash)| (("test".to_owned(), step), hash)).collect()
    }

    #[test]
    fn steps_are_missing_there_or_other_ones() {
        let [first, second] = [1, 2].map(|step| (step, hash(SCHEMA.steps[step - 1])));
        let missing = |rows: &[_]| first_missing(&SCHEMA, &applied(rows));
        assert_eq!(missing(&[]).unwrap(), Some(1));
        assert_eq!(missing(&[first]).unwrap(), Some(2));
        assert_eq!(missing(&[second]).unwrap(), Some(1));
        assert_eq!(missing(&[first, second]).unwrap(), None);
        assert_eq!(missing(&[first, second, (3, 7)]).unwrap(), None, "a newer version has been here");
        let error = missing(&[(1, first.1 + 1), second]).unwrap_err();
        assert!(matches!(error, SchemaError::Differs { name: "test", step: 1 }), "{error}");
    }

    #[test]
    fn layout_is_not_part_of_a_step_and_words_are() {
        assert_eq!(hash(&["a  b\n c"]), hash(&["a b c"]));
        for other in [&["a bc"][..], &["ab c"], &["a b", "c"], &["a b c", ""]] {
            assert_ne!(hash(&["a b c"]), hash(other), "{other:?}");
        }
    }
}
