//! Prepared statements of the three kinds, each with the way it is run.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use scylla::{
    client::session::Session,
    deserialize::row::DeserializeRow,
    errors::ExecutionError,
    response::query_result::QueryResult,
    serialize::row::SerializeRow,
    statement::prepared::PreparedStatement,
    value::{CqlValue, Row},
};

use super::{Cql, error};
use crate::{StoreError, fault::Faults};

/// A `SELECT`.
#[derive(Clone)]
pub struct Read {
    session: Arc<Session>,
    statement: PreparedStatement,
    settling: PreparedStatement,
    faults: Option<Faults>,
}

/// An `INSERT`, `UPDATE` or `DELETE` without a condition, which is the same when
/// it is done twice, or late.
#[derive(Clone)]
pub struct Write {
    session: Arc<Session>,
    pub(super) statement: PreparedStatement,
    faults: Option<Faults>,
}

/// An `INSERT`, `UPDATE` or `DELETE` with `IF`.
#[derive(Clone)]
pub struct Conditional {
    session: Arc<Session>,
    pub(super) statement: PreparedStatement,
    faults: Option<Faults>,
}

impl Cql {
    /// Prepares a `SELECT`. Tables are written `keyspace.table`, literally.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also when the server does not accept it.
    pub async fn read(&self, text: &str) -> Result<Read, StoreError> {
        let mut statement = self.prepare(text).await?;
        statement.set_is_idempotent(true);
        statement.set_consistency(self.consistency);
        let mut settling = statement.clone();
        settling.set_consistency(self.options.settling_consistency());
        let (session, faults) = (self.session.clone(), self.faults.clone());
        Ok(Read { session, statement, settling, faults })
    }

    /// Prepares a write without a condition.
    ///
    /// # Errors
    /// As [`Cql::read`].
    pub async fn write(&self, text: &str) -> Result<Write, StoreError> {
        let mut statement = self.prepare(text).await?;
        statement.set_is_idempotent(true);
        statement.set_consistency(self.consistency);
        Ok(Write { session: self.session.clone(), statement, faults: self.faults.clone() })
    }

    /// Prepares a write with a condition.
    ///
    /// # Errors
    /// As [`Cql::read`].
    pub async fn conditional(&self, text: &str) -> Result<Conditional, StoreError> {
        let mut statement = self.prepare(text).await?;
        statement.set_execution_profile_handle(Some(self.profiles.conditional.clone()));
        Ok(Conditional { session: self.session.clone(), statement, faults: self.faults.clone() })
    }

    async fn prepare(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        let prepared = self.session.prepare(self.text(text)).await;
        prepared.map_err(|error| StoreError::unavailable(format!("{text}: {error}")))
    }
}

impl Read {
    /// All rows, in one answer: for statements with a limit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], or [`StoreError::Corrupt`] for rows of other types.
    pub async fn rows<R>(&self, values: impl SerializeRow) -> Result<Vec<R>, StoreError>
    where
        R: for<'r> DeserializeRow<'r, 'r>,
    {
        self.run(&self.statement, values).await
    }

    /// The first row.
    ///
    /// # Errors
    /// As [`Read::rows`].
    pub async fn first<R>(&self, values: impl SerializeRow) -> Result<Option<R>, StoreError>
    where
        R: for<'r> DeserializeRow<'r, 'r>,
    {
        Ok(self.rows(values).await?.into_iter().next())
    }

    /// All rows, after every conditional write on the partition that may yet take
    /// effect was finished or made void.
    ///
    /// # Errors
    /// As [`Read::rows`].
    pub async fn settled_rows<R>(&self, values: impl SerializeRow) -> Result<Vec<R>, StoreError>
    where
        R: for<'r> DeserializeRow<'r, 'r>,
    {
        self.run(&self.settling, values).await
    }

    async fn run<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'r> DeserializeRow<'r, 'r>,
    {
        let read = || async { rows_of(self.session.execute_unpaged(statement, values).await) };
        match &self.faults {
            None => read().await,
            Some(faults) => faults.wrap_read(read).await,
        }
    }

    /// All rows, however many: page by page. Between two pages rows come and go.
    ///
    /// # Errors
    /// As [`Read::rows`].
    pub async fn all<R>(&self, values: impl SerializeRow) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + Send + 'static,
    {
        self.walk(values).await?.try_collect().await
    }

    /// The same, for whoever walks over very many.
    ///
    /// # Errors
    /// As [`Read::rows`].
    pub async fn walk<R>(
        &self,
        values: impl SerializeRow,
    ) -> Result<BoxStream<'static, Result<R, StoreError>>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + Send + 'static,
    {
        fn unavailable(error: impl std::fmt::Display) -> StoreError {
            StoreError::unavailable(error.to_string())
        }
        let pager = self.session.execute_iter(self.statement.clone(), values).await;
        let rows = pager.map_err(unavailable)?.rows_stream::<R>().map_err(error::of_rows)?;
        Ok(rows.map_err(unavailable).boxed())
    }
}

impl Write {
    /// Runs it; a quorum has it when this returns.
    ///
    /// # Errors
    /// Of a write: see the module.
    pub async fn run(&self, values: impl SerializeRow) -> Result<(), StoreError> {
        let done = send(&self.session, &self.statement, values, self.faults.as_ref(), |answer| {
            answer.map(drop).map_err(|error| error::of_write(&error))
        });
        done.await
    }
}

impl Conditional {
    /// Runs it once, and says whether it was applied.
    ///
    /// # Errors
    /// Of a write: see the module.
    pub async fn run(&self, values: impl SerializeRow) -> Result<bool, StoreError> {
        send(&self.session, &self.statement, values, self.faults.as_ref(), applied).await
    }
}

/// Sends a write, which then owns all that it needs: in tests it may be sent after
/// the call has ended.
async fn send<T: Send + 'static>(
    session: &Arc<Session>,
    statement: &PreparedStatement,
    values: impl SerializeRow,
    faults: Option<&Faults>,
    judge: fn(Result<QueryResult, ExecutionError>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let bound = statement.clone().bind(&values);
    let bound = bound.map_err(|error| StoreError::unavailable(error.to_string()))?;
    let session = session.clone();
    perhaps(faults, move || async move { judge(session.execute_bound_unpaged(&bound).await) }).await
}

/// Runs a write, or does with it what the faults have in store.
pub(super) async fn perhaps<T, F, Fut>(faults: Option<&Faults>, write: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    match faults {
        None => write().await,
        Some(faults) => faults.wrap(write).await,
    }
}

fn rows_of<R>(answer: Result<QueryResult, ExecutionError>) -> Result<Vec<R>, StoreError>
where
    R: for<'r> DeserializeRow<'r, 'r>,
{
    let rows = answer.map_err(|error| error::of_read(&error))?.into_rows_result();
    let rows = rows.map_err(error::of_rows)?;
    let typed = rows.rows::<R>().map_err(error::of_rows)?;
    typed.collect::<Result<_, _>>().map_err(error::of_rows)
}

/// `[applied]`, the first column of the first row. What else is there differs
/// between servers: Cassandra answers with the rows in the way, on failure only,
/// ScyllaDB with the old rows in any case.
pub(super) fn applied(answer: Result<QueryResult, ExecutionError>) -> Result<bool, StoreError> {
    let rows = answer.map_err(|error| error::of_conditional(&error))?.into_rows_result();
    // Sent and answered, but not to be understood: it may have been applied.
    let unclear = |error: &dyn std::fmt::Display| StoreError::outcome_unknown(error.to_string());
    let rows = rows.map_err(|error| unclear(&error))?;
    let row: Row = rows.first_row().map_err(|error| unclear(&error))?;
    match row.columns.first() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        _ => Err(unclear(&"an answer without [applied]")),
    }
}
