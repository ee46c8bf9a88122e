//! The connection to ScyllaDB or Apache Cassandra, and the few kinds of
//! statements that Confab sends them. It owns consistency, time-outs, retries and
//! what an error means; it never knows a table.
//!
//! | kind | consistency | retried by the driver |
//! |---|---|---|
//! | [`Read`] | quorum, or serial when asked to settle | yes: a read changes nothing |
//! | [`Write`] | quorum | yes: each is the same when done twice, and carries its order |
//! | [`Conditional`], [`Cql::write_if`] | quorum and serial | never |
//!
//! # The invariants
//!
//! * A conditional write is sent once. What became of one without an answer only
//!   a read, or another conditional write, can tell ([`StoreError::OutcomeUnknown`]).
//! * A plain write may land seconds later than its answer. So it either never
//!   changes ([`Write`]s of immutable rows), or names its place in an order that
//!   no clock makes (`USING TIMESTAMP` with a seq).
//! * A cell is written by conditional writes only, or by plain ones only: the
//!   servers give the former timestamps of a clock of their own.
//! * What both ScyllaDB and Cassandra understand, and mean the same by; of a
//!   conditional write's answer only `[applied]`.

mod batch;
mod convert;
mod error;
mod migrate;
mod options;
mod statement;

use std::sync::Arc;

use scylla::{
    client::{
        execution_profile::{ExecutionProfile, ExecutionProfileHandle},
        session::Session,
        session_builder::SessionBuilder,
    },
    policies::{
        load_balancing::{DefaultPolicy, LoadBalancingPolicy},
        retry::{DefaultRetryPolicy, FallthroughRetryPolicy},
    },
    statement::Consistency,
};

use crate::{StoreError, fault::Faults};

pub use self::{
    batch::Batch,
    convert::{limit, number, unsigned},
    error::OpenError,
    migrate::Migration,
    options::{Options, Preset, Serial},
    statement::{Conditional, Read, Write},
};

/// A connection to a keyspace. Clones share it.
#[derive(Clone)]
pub struct Cql {
    session: Arc<Session>,
    profiles: Arc<Profiles>,
    options: Arc<Options>,
    /// Of reads, and of writes without a condition.
    consistency: Consistency,
    faults: Option<Faults>,
}

/// How the two sorts of requests are run.
struct Profiles {
    plain: ExecutionProfileHandle,
    conditional: ExecutionProfileHandle,
}

impl Cql {
    /// Connects to the cluster and the keyspace, which is made first if
    /// [`Options::create_keyspace`] says so.
    ///
    /// # Errors
    /// When no contact point answers, or the keyspace is not there.
    pub async fn connect(options: Options) -> Result<Self, OpenError> {
        options.check()?;
        let profiles = Profiles::new(&options);
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.contact_points)
            .connection_timeout(options.connect_timeout)
            .keyspaces_to_fetch([options.keyspace.as_str()])
            // After a migration, once; and by itself every minute.
            .refresh_metadata_on_auto_schema_agreement(false)
            .default_execution_profile_handle(profiles.plain.clone());
        if let Some((user, password)) = &options.credentials {
            builder = builder.user(user, password);
        }
        let session = builder.build().await.map_err(OpenError::connect)?;
        let consistency = options.consistency();
        let (session, profiles, options) = (session.into(), profiles.into(), options.into());
        let cql = Self { session, profiles, options, consistency, faults: None };
        if cql.options.create_keyspace {
            cql.create_keyspace().await?;
        }
        // The driver's first look may have failed, where others make tables meanwhile.
        if !cql.knows_keyspace() {
            cql.refresh().await?;
        }
        if !cql.knows_keyspace() {
            let keyspace = cql.options.keyspace.clone();
            return Err(OpenError::NoKeyspace { keyspace });
        }
        Ok(cql)
    }

    fn knows_keyspace(&self) -> bool {
        self.session.get_cluster_state().get_keyspace(&self.options.keyspace).is_some()
    }

    async fn refresh(&self) -> Result<(), OpenError> {
        let refreshed = self.session.refresh_metadata().await;
        refreshed.map_err(|error| OpenError::schema(error.into()))
    }

    /// A statement's text for the server. Tables are written `keyspace.table`, where
    /// `keyspace` stands for whatever the keyspace is called.
    fn text(&self, statement: &str) -> String {
        statement.replace("keyspace.", &format!("{}.", self.options.keyspace))
    }

    /// The same, for statements that are prepared from now on, and batches, of what
    /// may be lost or be seen late: so many replicas answer as [`Options::preset`]
    /// says. For rows that nothing else is decided by.
    #[must_use]
    pub fn relaxed(&self) -> Self {
        Self { consistency: self.options.relaxed_consistency(), ..self.clone() }
    }

    /// The same, with faults in all statements that are prepared from now on. For
    /// tests.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// What it was connected with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether a coordinator answers, for the operator.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answer = self.session.query_unpaged("SELECT key FROM system.local", ()).await;
        answer.map(drop).map_err(|error| error::of_read(&error))
    }

    async fn create_keyspace(&self) -> Result<(), OpenError> {
        let Options { keyspace, replication, .. } = &*self.options;
        // ScyllaDB before 2025.4 has no conditional writes on tablets, and Cassandra
        // does not know the word: a keyspace for production is made by its operator.
        let text =
            format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
        self.session.query_unpaged(text, ()).await.map_err(OpenError::schema)?;
        self.refresh().await
    }
}

impl Profiles {
    fn new(options: &Options) -> Self {
        let plain = ExecutionProfile::builder()
            .consistency(options.consistency())
            .serial_consistency(Some(options.serial_consistency()))
            .request_timeout(Some(options.request_timeout))
            .load_balancing_policy(balancing(options, true))
            .retry_policy(Arc::new(DefaultRetryPolicy::new()))
            .build();
        // Replicas in one order for all nodes of Confab, because the driver routes
        // batches as if they had no conditions: rivals meet at one coordinator.
        let conditional = plain
            .to_builder()
            .load_balancing_policy(balancing(options, false))
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            .speculative_execution_policy(None)
            .build();
        Self { plain: plain.into_handle(), conditional: conditional.into_handle() }
    }
}

fn balancing(options: &Options, shuffle: bool) -> Arc<dyn LoadBalancingPolicy> {
    let mut policy = DefaultPolicy::builder().token_aware(true).enable_shuffling_replicas(shuffle);
    if let Some(data_centre) = &options.data_centre {
        policy = policy.prefer_datacenter(data_centre.clone());
    }
    policy.build()
}

impl std::fmt::Debug for Cql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cql").field("keyspace", &self.options.keyspace).finish_non_exhaustive()
    }
}
