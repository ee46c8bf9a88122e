//! Several writes to one partition of one table that take effect together.

use scylla::{
    serialize::row::SerializeRow,
    statement::batch::{Batch as DriverBatch, BatchType},
};

use super::{
    Conditional, Cql, Write, error,
    statement::{applied, perhaps},
};
use crate::StoreError;

/// Writes to one partition. The first statement names the partition to the driver.
pub struct Batch {
    batch: DriverBatch,
    values: Vec<Box<dyn SerializeRow + Send + Sync>>,
}

impl Default for Batch {
    fn default() -> Self {
        // One partition is one mutation: nothing that a log of batches would add.
        Self { batch: DriverBatch::new(BatchType::Unlogged), values: Vec::new() }
    }
}

impl Batch {
    /// Adds a write without a condition.
    pub fn write(&mut self, write: &Write, values: impl SerializeRow + Send + Sync + 'static) {
        self.batch.append_statement(write.statement.clone());
        self.values.push(Box::new(values));
    }

    /// Adds a write with a condition; [`Cql::write_if`] runs such a batch.
    pub fn condition(
        &mut self,
        condition: &Conditional,
        values: impl SerializeRow + Send + Sync + 'static,
    ) {
        self.batch.append_statement(condition.statement.clone());
        self.values.push(Box::new(values));
    }

    /// How many writes it has.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Cql {
    /// Runs a batch without conditions. An empty one is done.
    ///
    /// # Errors
    /// Of a write: see the module.
    pub async fn write_together(&self, batch: Batch) -> Result<(), StoreError> {
        let Batch { mut batch, values } = batch;
        if values.is_empty() {
            return Ok(());
        }
        batch.set_is_idempotent(true);
        batch.set_consistency(self.consistency);
        let session = self.session.clone();
        let done = perhaps(self.faults.as_ref(), || async move {
            let done = session.batch(&batch, values).await;
            done.map(drop).map_err(|error| error::of_write(&error))
        });
        done.await
    }

    /// Runs a batch that takes effect whole if all its conditions hold, and says
    /// whether they did. It is sent once.
    ///
    /// # Errors
    /// Of a write: see the module.
    pub async fn write_if(&self, batch: Batch) -> Result<bool, StoreError> {
        let Batch { mut batch, values } = batch;
        batch.set_execution_profile_handle(Some(self.profiles.conditional.clone()));
        let session = self.session.clone();
        let sent = perhaps(self.faults.as_ref(), || async move {
            applied(session.batch(&batch, values).await)
        });
        sent.await
    }
}
