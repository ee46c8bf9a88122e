//! The messages service of a node, with the services that it needs, in this
//! process, on a connection of its own.

use std::{num::NonZeroU64, sync::Arc};

use confab_conversations::store::cql as conversations;
use confab_kit::{admission::Admission, bus::Bus, channel::Channel, page_token::Sealer};
use confab_log::{Event, Request, RowKey, Seq, appender};
use confab_messages::{
    convert::Limits,
    error::Error,
    logs::{Committed, Logs, Projections},
    store::{
        Direction, LogKey, LogStore as _,
        cql::{self as messages, CqlLogStore},
    },
};
use confab_participants::store::cql as participants;
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
};
use confab_store::{
    cql::Cql,
    fault::{Faults, Rates},
};
use confab_tests::harness::{Checked, Violation};
use tonic::service::Routes;

pub(super) const DIGEST_KEY: [u8; 32] = [7; 32];
/// A fight fills a dozen partitions.
const ROWS: NonZeroU64 = NonZeroU64::new(8).unwrap();

pub(super) struct Rival {
    logs: Logs<CqlLogStore>,
    faults: Faults,
}

impl Rival {
    /// The keyspace must be migrated.
    pub(super) async fn start(cql: Cql, seed: u64) -> Self {
        let faults = Faults::new(seed, Rates::default());
        let cql = cql.with_faults(faults.clone());
        let (mesh, slot) = Channel::in_process();
        let log = LogServiceClient::new(mesh.clone());
        let admission = Admission::new(log.clone());
        let (bus, sealer) = (Bus::default(), Sealer::new([7; 32]));
        let store = CqlLogStore::open(&cql, ROWS).await.expect("opened");
        let messages = confab_messages::Service::new(confab_messages::Options {
            store: Arc::new(store),
            projections: Projections::new(mesh.clone(), mesh.clone()),
            admission: admission.clone(),
            bus: bus.clone(),
            sealer: sealer.clone(),
            digest_key: DIGEST_KEY,
            limits: Limits::default(),
            // Callers see every failure, and `applied_through` moves often.
            appender: appender::Options { tries: 1, raise_every: 16, ..Default::default() },
        });
        let conversations = confab_conversations::Service::new(confab_conversations::Options {
            store: conversations::CqlStore::open(&cql).await.expect("opened"),
            log: log.clone(),
            members: MemberRowsServiceClient::new(mesh.clone()),
            admission: admission.clone(),
            sealer: sealer.clone(),
        });
        let participants = confab_participants::Service::new(confab_participants::Options {
            store: participants::CqlStore::open(&cql).await.expect("opened"),
            log,
            public: mesh,
            admission,
            sealer,
            bus,
            cache: confab_participants::CacheOptions::off(),
        });
        let routes = Routes::new(messages.mesh());
        slot.serve(routes.add_service(conversations.mesh()).add_service(participants.mesh()));
        Self { logs: messages.logs(), faults }
    }

    pub(super) async fn append(&self, key: &LogKey, request: &Request) -> Result<Committed, Error> {
        self.logs.append(key, request.clone()).await
    }

    /// From now on every third write goes wrong.
    pub(super) fn break_now(&self) {
        let (before, after, late) = (0.03, 0.15, 0.15);
        self.faults.set_rates(Rates { before, after, late, latency: 0.2, landing: 0.2 });
    }

    /// Nothing goes wrong any more, and what is on its way lands.
    pub(super) async fn heal(&self) {
        self.faults.set_rates(Rates::default());
        self.faults.release_late().await;
    }

    pub(super) async fn head(&self, key: &LogKey) -> Checked<Seq> {
        let observed = self.logs.observe(key, vec![RowKey::Conversation]).await;
        Ok(observed.map_err(Violation::unable)?.as_of)
    }
}

/// Reads the log without faults and without a service.
pub(super) struct Reader {
    store: CqlLogStore,
}

impl Reader {
    /// Makes the tables first.
    pub(super) async fn open(cql: &Cql) -> Self {
        for (service, migrations) in [
            (messages::SERVICE, messages::MIGRATIONS),
            (conversations::SERVICE, conversations::MIGRATIONS),
            (participants::SERVICE, participants::MIGRATIONS),
        ] {
            Box::pin(cql.migrate(service, migrations)).await.expect("migrated");
        }
        Self { store: CqlLogStore::open(cql, ROWS).await.expect("opened") }
    }

    /// The effects of the first rows are applied.
    pub(super) async fn raise(&self, key: &LogKey, through: Seq) -> Checked {
        self.store.raise(key, through).await.map_err(Violation::unable)
    }

    pub(super) async fn log(&self, key: &LogKey) -> Checked<Vec<Event>> {
        let rows = self.store.read(key, 1, Seq::MAX, Direction::OldestFirst, 10_000).await;
        rows.map_err(Violation::unable)
    }
}
