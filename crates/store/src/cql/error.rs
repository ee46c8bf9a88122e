//! What the driver's errors mean: is it known that nothing was written?

use scylla::errors::{DbError, ExecutionError, NewSessionError, RequestAttemptError};

use crate::StoreError;

/// Why a keyspace could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option that no server can be asked for.
    #[error("{problem}")]
    InvalidOption {
        /// What is wrong with it.
        problem: String,
    },
    /// No contact point answered, or none let us in.
    #[error("no CQL server: {0}")]
    Connect(#[source] Box<NewSessionError>),
    /// The keyspace is not there, and was not to be made.
    #[error("there is no keyspace {keyspace}")]
    NoKeyspace {
        /// Its name.
        keyspace: String,
    },
    /// A statement that changes the schema failed. It may be tried again.
    #[error("the schema cannot be changed: {0}")]
    Schema(#[source] Box<ExecutionError>),
    /// Migrations were not made, and were not to be made now.
    #[error("the keyspace lacks the migrations {missing:?}; run `confab migrate`")]
    Unmigrated {
        /// Service and number of each.
        missing: Vec<String>,
    },
    /// The keyspace was migrated by something else than this program.
    #[error("migration {migration} of the keyspace is not the one that this version knows")]
    OtherMigration {
        /// Service and number.
        migration: String,
    },
    /// Another process holds the lock of the migrations and does not end.
    #[error("another process is migrating the keyspace; try again when it has ended")]
    Busy,
    /// A read or a write beside it failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    pub(super) fn connect(error: NewSessionError) -> Self {
        Self::Connect(Box::new(error))
    }

    pub(super) fn schema(error: ExecutionError) -> Self {
        Self::Schema(Box::new(error))
    }
}

/// A read has no effect, however it ends.
pub(super) fn of_read(error: &ExecutionError) -> StoreError {
    StoreError::unavailable(error.to_string())
}

/// A plain write has none only where the statement itself was refused. The last
/// answer says nothing about the tries before it, which the driver made by itself.
pub(super) fn of_write(error: &ExecutionError) -> StoreError {
    judged(error, is_refused(error))
}

/// A conditional write was sent once, so it has none either where it was not sent.
/// "Unavailable" is no such answer: both servers also say so when they lose replicas
/// after the write was accepted and before it was learned.
pub(super) fn of_conditional(error: &ExecutionError) -> StoreError {
    let not_sent = matches!(
        error,
        ExecutionError::ConnectionPoolError(_)
            | ExecutionError::LastAttemptError(RequestAttemptError::UnableToAllocStreamId)
    );
    judged(error, not_sent || is_refused(error))
}

fn judged(error: &ExecutionError, without_effect: bool) -> StoreError {
    if without_effect {
        StoreError::unavailable(error.to_string())
    } else {
        StoreError::outcome_unknown(error.to_string())
    }
}

/// No server would take the statement, or nobody could be asked.
fn is_refused(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::BadQuery(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::LastAttemptError(
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_),
        ) => true,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => matches!(
            error,
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::AuthenticationError
                | DbError::Unauthorized
                | DbError::ConfigError
        ),
        _ => false,
    }
}

/// Rows that are not what the statement asked for.
pub(super) fn of_rows(error: impl std::fmt::Display) -> StoreError {
    StoreError::corrupt(format!("rows of the CQL server: {error}"))
}

#[cfg(test)]
mod tests {
    use scylla::{errors::WriteType, statement::Consistency};

    use super::*;

    fn answered(error: DbError) -> ExecutionError {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, String::new()))
    }

    #[test]
    fn only_what_was_refused_or_not_sent_is_determinate() {
        let consistency = Consistency::Quorum;
        let timeout = |write_type| DbError::WriteTimeout {
            consistency,
            received: 0,
            required: 2,
            write_type,
        };
        let unknown = [
            answered(timeout(WriteType::Cas)),
            answered(timeout(WriteType::Simple)),
            answered(DbError::ServerError),
            answered(DbError::Overloaded),
            answered(DbError::Other(0x1700)), // CAS_WRITE_UNKNOWN of Cassandra
            answered(DbError::Unavailable { consistency, required: 2, alive: 1 }),
            ExecutionError::RequestTimeout(std::time::Duration::from_secs(1)),
        ];
        for error in unknown {
            assert!(!of_write(&error).is_determinate(), "{error}");
            assert!(!of_conditional(&error).is_determinate(), "{error}");
            assert!(of_read(&error).is_determinate(), "a read changes nothing");
        }
        for error in [answered(DbError::Invalid), ExecutionError::EmptyPlan] {
            assert!(of_write(&error).is_determinate(), "{error}");
            assert!(of_conditional(&error).is_determinate(), "{error}");
        }
        let not_sent = RequestAttemptError::UnableToAllocStreamId;
        let not_sent = ExecutionError::LastAttemptError(not_sent);
        assert!(of_conditional(&not_sent).is_determinate(), "it was the only try");
        assert!(!of_write(&not_sent).is_determinate(), "a try before may have been sent");
    }
}
