//! Numbered migrations, each made once, safely by several processes at a time.
//!
//! A row says which were made. Whoever holds the lock, a conditional row that runs
//! out by itself, makes the missing ones in order and notes each; the others wait.
//! A migration may be made twice (the maker was killed before its note, or lost the
//! lock to its time): each statement must be the same when done again.

use std::time::Duration;

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use super::{Conditional, Cql, OpenError, Read};

/// How long the lock holds without a sign of life, in seconds.
const LOCK_SECONDS: i32 = 60;
/// How long to wait for whoever holds it, and between two looks.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The lock's row, among the migrations of its service.
const LOCK: i32 = 0;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS keyspace.migrations (
    service text, number int, digest text, holder text,
    PRIMARY KEY ((service), number))";

/// A change of the schema: statements that end with `;`.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// From 1 on, without a hole. Never changed once it was released.
    pub number: i32,
    /// Its statements, on tables that are written `keyspace.table`. Each must be the
    /// same when done twice.
    pub text: &'static str,
}

impl Migration {
    /// The statements, without comments.
    fn statements(&self) -> Vec<String> {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let statements = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        statements.map(str::to_owned).collect()
    }

    /// Of the statements, however they are laid out: FNV-1a, because it must stay
    /// the same for ever and protects from mistakes only.
    fn digest(&self) -> String {
        let statements = self.statements();
        let words = statements.iter().flat_map(|text| text.split_whitespace().chain([";"]));
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let bytes = words.flat_map(|word| word.bytes().chain([b' ']));
        format!("{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, step))
    }
}

/// The writes to the table of migrations.
struct Notes {
    note: Conditional,
    lock: Conditional,
    renew: Conditional,
    unlock: Conditional,
}

impl Cql {
    /// Makes the migrations of a service that were not made yet, and says how many
    /// it made itself.
    ///
    /// # Errors
    /// When one fails, or the keyspace was migrated by something else.
    pub async fn migrate(
        &self,
        service: &str,
        migrations: &[Migration],
    ) -> Result<usize, OpenError> {
        match self.check_migrated(service, migrations).await {
            Err(OpenError::Unmigrated { .. }) => {}
            // Nothing is to be made: then the schema is left alone, which others may be
            // reading at this moment.
            checked => return checked.map(|()| 0),
        }
        self.alter(TABLE).await?;
        let (made, notes) = (self.made().await?, self.notes().await?);
        let holder = self.session.session_id().to_string();
        let begun = tokio::time::Instant::now();
        loop {
            if missing(&made, service, migrations).await?.is_empty() {
                return Ok(0);
            }
            if notes.lock.run((service, LOCK, &holder, LOCK_SECONDS)).await? {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(OpenError::Busy);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        // Again, under the lock: who held it before may have made them.
        let outcome = match missing(&made, service, migrations).await {
            Ok(missing) => self.make(&notes, service, &missing, &holder).await,
            Err(error) => Err(error),
        };
        // If it fails, the lock runs out by itself.
        let _runs_out = notes.unlock.run((service, LOCK, &holder)).await;
        outcome
    }

    /// That all migrations of a service were made.
    ///
    /// # Errors
    /// [`OpenError::Unmigrated`] with those that are missing.
    pub async fn check_migrated(
        &self,
        service: &str,
        migrations: &[Migration],
    ) -> Result<(), OpenError> {
        let name = |migration: &Migration| format!("{service}/{}", migration.number);
        // Without the table none was made.
        let Ok(made) = self.made().await else {
            self.ping().await?;
            return Err(OpenError::Unmigrated { missing: migrations.iter().map(name).collect() });
        };
        let missing = missing(&made, service, migrations).await?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(OpenError::Unmigrated { missing: missing.into_iter().map(name).collect() })
    }

    async fn make(
        &self,
        notes: &Notes,
        service: &str,
        missing: &[&Migration],
        holder: &str,
    ) -> Result<usize, OpenError> {
        for migration in missing {
            for statement in migration.statements() {
                self.alter(&statement).await?;
                if !notes.renew.run((LOCK_SECONDS, holder, service, LOCK, holder)).await? {
                    return Err(OpenError::Busy);
                }
            }
            // Not applied: somebody made it, too, which is the same.
            let _noted = notes.note.run((service, migration.number, migration.digest())).await?;
            tracing::info!(service, number = migration.number, "migrated the keyspace");
        }
        // How each table is replicated decides where its statements are sent.
        let refreshed = self.session.refresh_metadata().await;
        refreshed.map_err(|error| OpenError::schema(error.into()))?;
        Ok(missing.len())
    }

    /// Runs a statement that changes the schema. The driver waits until all nodes
    /// agree on what came of it. What is there already is as good as made.
    async fn alter(&self, statement: &str) -> Result<(), OpenError> {
        match self.session.query_unpaged(self.text(statement), ()).await {
            Err(error) if !is_there_already(&error) => Err(OpenError::schema(error)),
            _ => Ok(()),
        }
    }

    /// Which migrations of a service were made.
    async fn made(&self) -> Result<Read, crate::StoreError> {
        self.read("SELECT number, digest FROM keyspace.migrations WHERE service = ?").await
    }

    async fn notes(&self) -> Result<Notes, crate::StoreError> {
        Ok(Notes {
            note: self
                .conditional(
                    "INSERT INTO keyspace.migrations (service, number, digest) VALUES (?, ?, ?) \
                     IF NOT EXISTS",
                )
                .await?,
            lock: self
                .conditional(
                    "INSERT INTO keyspace.migrations (service, number, holder) VALUES (?, ?, ?) \
                     IF NOT EXISTS USING TTL ?",
                )
                .await?,
            renew: self
                .conditional(
                    "UPDATE keyspace.migrations USING TTL ? SET holder = ? \
                     WHERE service = ? AND number = ? IF holder = ?",
                )
                .await?,
            unlock: self
                .conditional(
                    "DELETE FROM keyspace.migrations WHERE service = ? AND number = ? IF holder = ?",
                )
                .await?,
        })
    }
}

async fn missing<'a>(
    made: &Read,
    service: &str,
    migrations: &'a [Migration],
) -> Result<Vec<&'a Migration>, OpenError> {
    let made: Vec<(i32, Option<String>)> = made.rows((service,)).await?;
    let mut missing = Vec::new();
    for migration in migrations {
        match made.iter().find(|(number, _)| *number == migration.number) {
            None => missing.push(migration),
            Some((_, Some(digest))) if *digest == migration.digest() => {}
            Some(_) => {
                let migration = format!("{service}/{}", migration.number);
                return Err(OpenError::OtherMigration { migration });
            }
        }
    }
    Ok(missing)
}

fn is_there_already(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, text)) => {
            match error {
                DbError::AlreadyExists { .. } => true,
                // `ALTER TABLE … ADD` of a column that is there.
                DbError::Invalid => {
                    text.contains("already exists") || text.contains("conflicts with")
                }
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-- A table.\nCREATE TABLE a (b int);\n\n  CREATE TABLE\n c (d int);\n";

    #[test]
    fn statements_end_with_semicolons_and_comments_are_dropped() {
        let statements = Migration { number: 1, text: TEXT }.statements();
        assert_eq!(statements, ["CREATE TABLE a (b int)", "CREATE TABLE\n c (d int)"]);
    }

    #[test]
    fn a_digest_is_of_the_words() {
        let laid_out_anew = "CREATE TABLE a (b int); CREATE TABLE c (d int);";
        let other = "CREATE TABLE a (b int); CREATE TABLE c (d text);";
        let digest = |text| Migration { number: 1, text }.digest();
        assert_eq!(digest(TEXT), digest(laid_out_anew));
        assert_ne!(digest(TEXT), digest(other));
        assert_eq!(digest(""), "cbf29ce484222325", "for ever the same function");
    }
}
