//! What can go wrong, by what a caller can do about it.

#[cfg(feature = "cassandra-tls")]
use super::TlsError;
use super::{KeyspaceName, SchemaError};
use scylla::errors::{
    DbError, ExecutionError, IntoRowsResultError, NewSessionError, PrepareError, RequestAttemptError,
    UseKeyspaceError,
};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The keyspace's name.
    #[error(transparent)]
    KeyspaceName(#[from] KeyspaceName),
    /// The certificates.
    #[cfg(feature = "cassandra-tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS is asked for, and was left out of the program.
    #[cfg(not(feature = "cassandra-tls"))]
    #[error("this program speaks to Cassandra in the clear only; build it with the feature `cassandra-tls`")]
    WithoutTls,
    /// No node answers, or none lets us in.
    #[error("connect to Cassandra at {nodes}: {source}")]
    Refused {
        /// Those that were tried.
        nodes: String,
        /// What the last one said.
        source: Box<NewSessionError>,
    },
    /// It was never made.
    #[error("keyspace {keyspace} is not there: {source}; run `starling migrate`")]
    NoKeyspace {
        /// Its name.
        keyspace: String,
        /// Cassandra's words.
        source: Box<UseKeyspaceError>,
    },
    /// It is not as this program needs it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A statement of ours that is not taken.
    #[error("prepare {statement:?}: {source}")]
    Prepare {
        /// It.
        statement: String,
        /// Why not.
        source: Box<PrepareError>,
    },
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Try again.
    #[error("Cassandra does not answer: {0}")]
    Unavailable(#[source] Box<ExecutionError>),
    /// Try again.
    #[error("Cassandra does not give the next rows: {0}")]
    Page(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An answer that is no answer to the question, or a row that is none.
    #[error("Cassandra holds what can't be read: {0}")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What has become of a write that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing was written: try again.
    #[error("Cassandra is unavailable, nothing was written: {0}")]
    Unavailable(#[source] Box<ExecutionError>),
    /// Nothing was written, and nothing will be: the statement is too large, or wrong.
    #[error("Cassandra does not take the write, nothing was written: {0}")]
    Refused(#[source] Box<ExecutionError>),
    /// Nobody knows: repeat it, or read.
    #[error("Cassandra did not confirm the write, outcome unknown: {0}")]
    Unknown(#[source] Box<ExecutionError>),
}

// === impl ReadError ===

impl ReadError {
    /// Of a page that did not come.
    pub(super) fn paging(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Page(Box::new(error))
    }

    /// Of a row that does not decode.
    pub fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Corrupt(Box::new(error))
    }
}

impl From<ExecutionError> for ReadError {
    fn from(error: ExecutionError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<IntoRowsResultError> for ReadError {
    fn from(error: IntoRowsResultError) -> Self {
        Self::corrupt(error)
    }
}

// === impl WriteError ===

impl From<ExecutionError> for WriteError {
    fn from(error: ExecutionError) -> Self {
        let outcome = match &error {
            ExecutionError::BadQuery(_) => Self::Refused,
            ExecutionError::EmptyPlan
            | ExecutionError::ConnectionPoolError(_)
            | ExecutionError::PrepareError(_) => Self::Unavailable,
            ExecutionError::LastAttemptError(attempt) => match outcome(attempt) {
                Outcome::NotYet => Self::Unavailable,
                Outcome::Never => Self::Refused,
                Outcome::Unknown => Self::Unknown,
            },
            _ => Self::Unknown,
        };
        outcome(Box::new(error))
    }
}

/// What a failed attempt to write has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing; another attempt may succeed.
    NotYet,
    /// Nothing; another attempt will fail as well.
    Never,
    /// Perhaps all of it.
    Unknown,
}

pub(super) fn outcome(error: &RequestAttemptError) -> Outcome {
    match error {
        RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
            Outcome::Never
        }
        RequestAttemptError::UnableToAllocStreamId => Outcome::NotYet,
        RequestAttemptError::DbError(error, _) => match error {
            DbError::SyntaxError
            | DbError::Invalid
            | DbError::AlreadyExists { .. }
            | DbError::Unauthorized
            | DbError::ConfigError => Outcome::Never,
            // Said before anything is sent to a replica.
            DbError::Unavailable { .. } | DbError::IsBootstrapping | DbError::Unprepared { .. } => {
                Outcome::NotYet
            }
            _ => Outcome::Unknown,
        },
        _ => Outcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::{errors::WriteType, statement::Consistency};

    #[test]
    fn only_what_is_sure_counts_as_not_written() {
        let consistency = Consistency::LocalQuorum;
        let unavailable = DbError::Unavailable { consistency, required: 2, alive: 1 };
        let write_type = WriteType::Simple;
        let timeout = DbError::WriteTimeout { consistency, received: 1, required: 2, write_type };
        let rows = [
            (unavailable, Outcome::NotYet),
            (DbError::IsBootstrapping, Outcome::NotYet),
            (DbError::Invalid, Outcome::Never),
            (timeout, Outcome::Unknown),
            (DbError::Overloaded, Outcome::Unknown),
            (DbError::ServerError, Outcome::Unknown),
        ];
        for (error, expected) in rows {
            let attempt = RequestAttemptError::DbError(error, String::new());
            assert_eq!(outcome(&attempt), expected, "{attempt}");
            let error = WriteError::from(ExecutionError::LastAttemptError(attempt));
            let is_as_expected = match expected {
                Outcome::NotYet => matches!(error, WriteError::Unavailable(_)),
                Outcome::Never => matches!(error, WriteError::Refused(_)),
                Outcome::Unknown => matches!(error, WriteError::Unknown(_)),
            };
            assert!(is_as_expected, "{error}");
        }
        let timeout = ExecutionError::RequestTimeout(std::time::Duration::from_secs(1));
        assert!(matches!(WriteError::from(timeout), WriteError::Unknown(_)));
        assert!(matches!(WriteError::from(ExecutionError::EmptyPlan), WriteError::Unavailable(_)));
    }
}
