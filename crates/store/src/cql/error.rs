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

/// A write has none only where it was not sent, or the coordinator refused it
/// before it told any replica.
pub(super) fn of_write(error: &ExecutionError) -> StoreError {
    let without_effect = match error {
        ExecutionError::BadQuery(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::ConnectionPoolError(_) => true,
        ExecutionError::LastAttemptError(attempt) => attempt_without_effect(attempt),
        _ => false,
    };
    if without_effect {
        StoreError::unavailable(error.to_string())
    } else {
        StoreError::outcome_unknown(error.to_string())
    }
}

fn attempt_without_effect(attempt: &RequestAttemptError) -> bool {
    match attempt {
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_)
        | RequestAttemptError::UnableToAllocStreamId => true,
        // `Unavailable` says so of the only try there was: a conditional write is
        // never retried, and a plain one is the same when done twice.
        RequestAttemptError::DbError(error, _) => matches!(
            error,
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::AuthenticationError
                | DbError::Unauthorized
                | DbError::ConfigError
                | DbError::IsBootstrapping
                | DbError::Unavailable { .. }
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
    fn only_what_no_replica_was_told_is_determinate() {
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
            ExecutionError::RequestTimeout(std::time::Duration::from_secs(1)),
        ];
        for error in unknown {
            assert!(!of_write(&error).is_determinate(), "{error}");
            assert!(of_read(&error).is_determinate(), "a read changes nothing");
        }
        let unavailable = DbError::Unavailable { consistency, required: 2, alive: 1 };
        for error in [answered(unavailable), answered(DbError::Invalid), ExecutionError::EmptyPlan]
        {
            assert!(of_write(&error).is_determinate(), "{error}");
        }
    }
}
