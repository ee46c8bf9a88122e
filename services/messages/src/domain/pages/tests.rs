//! Pages over a store that counts its reads, and lets them end when it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};

use confab_log::{
    Command, Content, ConversationId, Effects, EventBody, RequestId, Row, RowKey, TenantId, UserId,
    row::MessageRow,
};
use confab_store::embedded::{Engine, Options};
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinSet, task::yield_now};

use super::*;
use crate::store::{Cursors, Direction, LogEnd, embedded::EmbeddedLogStore};

/// Everything but `read` and `list_thread` is the inner store's.
struct Counting {
    inner: EmbeddedLogStore,
    reads: AtomicUsize,
    gate: Semaphore,
    _folder: TempDir,
}

impl Counting {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::open(folder.path(), Options::default()).expect("an engine");
        let inner = EmbeddedLogStore::open(&engine).expect("keyspaces");
        let (reads, gate) = (AtomicUsize::new(0), Semaphore::new(0));
        Self { inner, reads, gate, _folder: folder }
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// What was read is what was there when the read began.
    async fn slowly<T>(&self, read: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let rows = read.await;
        self.gate.acquire().await.expect("open").forget();
        rows
    }
}

impl LogStore for Counting {
    async fn end(&self, key: &LogKey) -> StoreResult<Option<LogEnd>> {
        self.inner.end(key).await
    }

    async fn read(
        &self,
        key: &LogKey,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        self.slowly(self.inner.read(key, from, to, direction, limit)).await
    }

    async fn append(&self, key: &LogKey, events: Vec<Event>, hour: u64) -> StoreResult<bool> {
        self.inner.append(key, events, hour).await
    }

    async fn load(&self, key: &LogKey, keys: &[RowKey]) -> StoreResult<Vec<(RowKey, Option<Row>)>> {
        self.inner.load(key, keys).await
    }

    async fn apply(&self, key: &LogKey, event: &Event, effects: &Effects) -> StoreResult<()> {
        self.inner.apply(key, event, effects).await
    }

    async fn raise(&self, key: &LogKey, through: Seq) -> StoreResult<()> {
        self.inner.raise(key, through).await
    }

    async fn cursors(&self, key: &LogKey, user: &UserId) -> StoreResult<Cursors> {
        self.inner.cursors(key, user).await
    }

    async fn raise_cursors(
        &self,
        key: &LogKey,
        user: &UserId,
        to: Cursors,
    ) -> StoreResult<(Cursors, Cursors)> {
        self.inner.raise_cursors(key, user, to).await
    }

    async fn list_cursors(
        &self,
        key: &LogKey,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Cursors)>> {
        self.inner.list_cursors(key, after, limit).await
    }

    async fn list_reactions(
        &self,
        key: &LogKey,
        message: Seq,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Vec<String>)>> {
        self.inner.list_reactions(key, message, after, limit).await
    }

    async fn list_thread(
        &self,
        key: &LogKey,
        root: Seq,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        self.slowly(self.inner.list_thread(key, root, from, to, direction, limit)).await
    }

    async fn list_mentions(
        &self,
        key: &LogKey,
        user: &UserId,
        after: Seq,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        self.inner.list_mentions(key, user, after, limit).await
    }

    async fn marks(
        &self,
        after: Option<(u64, LogKey)>,
        limit: usize,
    ) -> StoreResult<Vec<(u64, LogKey)>> {
        self.inner.marks(after, limit).await
    }

    async fn clear_mark(&self, hour: u64, key: &LogKey) -> StoreResult<()> {
        self.inner.clear_mark(hour, key).await
    }
}

fn key() -> LogKey {
    let tenant = TenantId::parse("acme").expect("a tenant");
    LogKey { tenant, conversation: ConversationId::from_bytes([7; 16]) }
}

fn message(seq: Seq) -> Event {
    let user = UserId::parse("alice").expect("a user");
    let content = Content { text: format!("{seq}"), ..Content::default() };
    let row = MessageRow::new(user.clone(), content.clone(), seq);
    Event {
        seq,
        ordinal: seq,
        last_message: seq,
        time: 1,
        actor: user,
        request_id: RequestId::parse(&format!("r{seq}")).expect("an id"),
        digest: Command::send(content).digest(&[7; 32]),
        body: EventBody::MessageCreated(row),
    }
}

const NEWEST: Span = Span { from: 1, to: 50, direction: Direction::NewestFirst, limit: 50 };

struct Scene {
    store: Arc<Counting>,
    pages: Arc<Pages>,
}

impl Scene {
    async fn new() -> Self {
        let store = Arc::new(Counting::new());
        let rows = (1..=50).map(message).collect();
        assert!(store.append(&key(), rows, 1).await.expect("stored"));
        let pages = Arc::new(Pages::new(Arc::clone(&store)));
        Self { store, pages }
    }

    /// So many readers, and all that they have asked for when nothing moves on.
    async fn readers(&self, count: usize) -> JoinSet<Vec<Seq>> {
        let mut readers = JoinSet::new();
        for _ in 0..count {
            let pages = Arc::clone(&self.pages);
            readers.spawn(async move {
                let rows = pages.read(&key(), NEWEST).await.expect("rows");
                rows.iter().map(|row| row.seq).collect()
            });
        }
        for _ in 0..count {
            yield_now().await;
        }
        readers
    }
}

#[tokio::test]
async fn a_thousand_readers_of_a_page_cost_the_store_two_reads() {
    let scene = Scene::new().await;
    let readers = scene.readers(1000).await;
    scene.store.gate.add_permits(2);
    let newest: Vec<Seq> = (1..=50).rev().collect();
    assert!(readers.join_all().await.iter().all(|page| *page == newest));
    assert_eq!(scene.store.reads(), 2);
}

#[tokio::test]
async fn readers_of_other_pages_do_not_wait() {
    let scene = Scene::new().await;
    let _first = scene.readers(1).await;
    let (log, store) = (key(), &scene.store);
    let foreign = LogKey { tenant: TenantId::parse("other").expect("a tenant"), ..key() };
    let shorter = scene.pages.read(&log, Span { limit: 10, ..NEWEST });
    let thread = scene.pages.thread(&log, 1, NEWEST);
    let foreign = scene.pages.read(&foreign, NEWEST);
    let all_have_begun = async {
        while store.reads() < 4 {
            yield_now().await;
        }
        store.gate.add_permits(4);
    };
    let (shorter, thread, foreign, ()) = tokio::join!(shorter, thread, foreign, all_have_begun);
    let found = [shorter, foreign].map(|rows| rows.expect("rows").len());
    assert_eq!((found, thread.expect("a thread").len()), ([10, 0], 0));
}
