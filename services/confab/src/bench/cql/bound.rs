//! The driver alone: the statements of the messages service on its own table, with
//! rows of the same bytes, and nothing around them. Nothing that stores messages so
//! can be faster.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use confab_kit::random;
use confab_log::ConversationId;
use confab_store::{
    StoreError,
    cql::{Batch, Conditional, Cql, Options, Read, Write, number},
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::Instant;

use super::cluster::{Cluster, PATIENCE_MS};
use crate::{
    Failure,
    bench::{
        arguments::Common,
        crew::Crew,
        latency::{Recorder, Summary},
        pace::Pace,
        report::count,
        screen::Screen,
        server::Server,
        stage::{Room, Run},
    },
};

/// Rows of a partition, as Confab makes keyspaces.
const PARTITION_ROWS: u64 = 4096;
const INSERT: &str = "INSERT INTO keyspace.messages_log \
    (tenant, conversation, bucket, seq, event, applied_seq) VALUES (?, ?, ?, ?, ?, ?)";
const ROWS: &str = "SELECT event FROM keyspace.messages_log \
    WHERE tenant = ? AND conversation = ? AND bucket = ? AND seq >= ? AND seq <= ? \
    ORDER BY seq DESC LIMIT ?";

/// See the module.
pub(super) struct Bound {
    cql: Cql,
    first: Conditional,
    more: Write,
    rows: Read,
    /// Confab's rows are of another one.
    tenant: String,
}

/// What is appended.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Conversations that are written to.
    pub(super) conversations: usize,
    /// So many write at a time. Where they are fewer, each takes its conversations by
    /// turns; where they are more, they share them.
    pub(super) writers: usize,
    /// Rows of one conditional batch.
    pub(super) rows: u64,
}

/// A conversation of the bound's own, and the next row in it.
struct Place {
    conversation: [u8; 16],
    next: AtomicU64,
}

impl Place {
    fn new() -> Self {
        Self { conversation: random::bytes(), next: AtomicU64::new(1) }
    }
}

impl Bound {
    pub(super) async fn connect(contact_point: &str, cluster: &Cluster) -> Result<Self, Failure> {
        let options = Options {
            request_timeout: Duration::from_millis(PATIENCE_MS),
            ..Options::new(vec![contact_point.to_owned()], &cluster.keyspace)
        };
        let cql = Cql::connect(options).await?;
        Ok(Self {
            first: cql.conditional(&format!("{INSERT} IF NOT EXISTS")).await?,
            more: cql.write(INSERT).await?,
            rows: cql.read(ROWS).await?,
            cql,
            tenant: format!("bound-{}", &random::uuid()[..8]),
        })
    }

    /// Appends for as long as it is measured, beside a Confab that has nothing to do:
    /// rows a second, and how long a batch takes.
    pub(super) async fn append(
        self: &Arc<Self>,
        load: Load,
        event: &Bytes,
        (common, server, screen): (&Common, &Server, &Screen),
    ) -> Result<(f64, Summary), Failure> {
        let run = Run::start();
        let pace = Pace::new(&run);
        let mut crew = Crew::new("bench driver");
        let places: Arc<[Place]> = (0..load.conversations).map(|_| Place::new()).collect();
        for writer in 0..load.writers {
            let (bound, places, event) = (Arc::clone(self), Arc::clone(&places), event.clone());
            let pace = pace.for_task(writer);
            crew.add(async move {
                for turn in 0.. {
                    if !pace.goes_on() {
                        break;
                    }
                    let mine = &places[(writer + turn * load.writers) % places.len()];
                    let due = Instant::now();
                    bound.append_once(mine, load.rows, &event).await?;
                    pace.note(due);
                }
                Ok(())
            });
        }
        let (_, window) = crew.beside(pace.measure(common, server, screen)).await?;
        let rows = count(window.operations * load.rows);
        Ok((rows / window.elapsed.as_secs_f64(), pace.recorder().summary()))
    }

    /// One conditional batch, until it is known to be there.
    async fn append_once(&self, place: &Place, rows: u64, event: &Bytes) -> Result<(), Failure> {
        let seq = place.next.fetch_add(rows, Ordering::Relaxed);
        let bucket = number((seq - 1) / PARTITION_ROWS);
        loop {
            let mut batch = Batch::default();
            for row in seq..seq + rows {
                let names = (self.tenant.clone(), place.conversation.to_vec(), bucket);
                let row_number = number(row);
                let values = (names.0, names.1, names.2, row_number, event.clone(), row_number);
                if row == seq {
                    batch.condition(&self.first, values);
                } else {
                    batch.write(&self.more, values);
                }
            }
            match self.cql.write_if(batch).await {
                // Not applied: it was, when its answer was lost.
                Ok(_applied) => return Ok(()),
                Err(StoreError::OutcomeUnknown { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How long so many neighbouring rows of a room take, at random places.
    pub(super) async fn pages(
        &self,
        server: &Server,
        room: &Room,
        rows: u64,
        (duration, seed): (Duration, u64),
    ) -> Result<Summary, Failure> {
        let mut random = SmallRng::seed_from_u64(seed);
        let (recorder, begun) = (Recorder::new(), Instant::now());
        while begun.elapsed() < duration {
            // One query reads one partition.
            let to = loop {
                let to = random.random_range(room.base() + rows..=room.head());
                if (to - 1) % PARTITION_ROWS + 1 >= rows {
                    break to;
                }
            };
            let start = Instant::now();
            let page = self.read(server, room, to + 1 - rows, to).await?;
            recorder.record(start.elapsed());
            if page.len() as u64 != rows {
                return Err(format!("{} rows where {rows} are", page.len()).into());
            }
        }
        Ok(recorder.summary())
    }

    /// The newest row of a room, as it is stored.
    pub(super) async fn newest(&self, server: &Server, room: &Room) -> Result<Bytes, Failure> {
        let rows = self.read(server, room, room.head(), room.head()).await?;
        Ok(rows.into_iter().next().ok_or("the newest message is not stored")?.into())
    }

    /// Rows of one partition.
    async fn read(
        &self,
        server: &Server,
        room: &Room,
        from: u64,
        to: u64,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let id = ConversationId::parse(&room.id)?.to_bytes().to_vec();
        let bucket = number((to - 1) / PARTITION_ROWS);
        let values = (server.tenant(), id, bucket, number(from), number(to), i32::MAX);
        let rows: Vec<(Vec<u8>,)> = self.rows.rows(values).await?;
        Ok(rows.into_iter().map(|(event,)| event).collect())
    }
}
