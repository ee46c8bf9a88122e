//! Reads that many want at once, made once: a *flight* is one read and all who
//! wait for it. It knows nothing of what is read.
//!
//! Nobody joins a flight that has begun: what it read may be older than the
//! reader's own look at the head. Whoever comes while one is under way waits for the next
//! one, with everybody else who does: so any number of readers of one page cost
//! two reads at most, the one under way and the next.

use std::{
    collections::HashMap,
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use confab_kit::task;
use confab_log::mutant;
use tokio::sync::oneshot;

type Reading<V> = Pin<Box<dyn Future<Output = V> + Send>>;
type Read<K, V> = dyn Fn(K) -> Reading<V> + Send + Sync;
type Waiting<V> = Vec<oneshot::Sender<V>>;

/// Reads by key. Cheap to clone.
pub(crate) struct Flights<K, V> {
    shared: Arc<Shared<K, V>>,
}

struct Shared<K, V> {
    read: Box<Read<K, V>>,
    /// One for each flight under way: who waits for the next one.
    queues: Mutex<HashMap<K, Waiting<V>>>,
    reads: metrics::Counter,
    saved: metrics::Counter,
}

/// A flight under way. However it ends, when it does the next one begins.
struct Flight<K: Key, V: Value> {
    shared: Arc<Shared<K, V>>,
    key: K,
}

/// What a flight is found by.
pub(crate) trait Key: Clone + Eq + Hash + Send + Sync + 'static {}
impl<K: Clone + Eq + Hash + Send + Sync + 'static> Key for K {}

/// What a flight brings, errors too.
pub(crate) trait Value: Clone + Send + 'static {}
impl<V: Clone + Send + 'static> Value for V {}

impl<K: Key, V: Value> Flights<K, V> {
    /// Reads with this function; counts the reads, and those that were saved.
    pub(crate) fn new(
        read: impl Fn(K) -> Reading<V> + Send + Sync + 'static,
        reads: metrics::Counter,
        saved: metrics::Counter,
    ) -> Self {
        let queues = Mutex::default();
        Self { shared: Arc::new(Shared { read: Box::new(read), queues, reads, saved }) }
    }

    /// What a read that begins after this call brings; `None` if it panicked.
    /// A caller who does not wait for it takes nothing from the others.
    pub(crate) async fn get(&self, key: K) -> Option<V> {
        let shared = &self.shared;
        if mutant::is("pages-not-shared") {
            return Some(shared.fly(key).await);
        }
        if let Some(waiting) = shared.queue(&key) {
            return waiting.await.ok();
        }
        // The first one flies by itself: nothing is spawned where nobody else waits.
        let flight = Flight { shared: Arc::clone(shared), key: key.clone() };
        let value = shared.fly(key).await;
        if mutant::is("page-flight-joined") {
            shared.hand_out(&flight.key, &value);
        }
        drop(flight);
        Some(value)
    }
}

impl<K: Key, V: Value> Shared<K, V> {
    /// Queues for the next flight, or begins one.
    fn queue(&self, key: &K) -> Option<oneshot::Receiver<V>> {
        let mut queues = self.lock();
        if let Some(queue) = queues.get_mut(key) {
            let (told, waiting) = oneshot::channel();
            queue.push(told);
            return Some(waiting);
        }
        queues.insert(key.clone(), Vec::new());
        None
    }

    async fn fly(&self, key: K) -> V {
        self.reads.increment(1);
        (self.read)(key).await
    }

    /// A mutant's: those who came during a flight get what it brought.
    fn hand_out(&self, key: &K, value: &V) {
        let queue = self.lock().get_mut(key).map(std::mem::take);
        for told in queue.unwrap_or_default() {
            let _gone = told.send(value.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Waiting<V>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key, V: Value> Drop for Flight<K, V> {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        let mut waiting = queues.get_mut(&self.key).map(std::mem::take).unwrap_or_default();
        waiting.retain(|told| !told.is_closed());
        if waiting.is_empty() {
            queues.remove(&self.key);
            return;
        }
        drop(queues);
        let next = Self { shared: Arc::clone(&self.shared), key: self.key.clone() };
        task::spawn("page read", next.serve(waiting));
    }
}

impl<K: Key, V: Value> Flight<K, V> {
    /// Flies for those who waited when it began, and for nobody else; not at all
    /// once they have all gone, so that a read that hangs does not hold up the next.
    async fn serve(self, mut waiting: Waiting<V>) {
        let value = tokio::select! {
            value = self.shared.fly(self.key.clone()) => value,
            () = all_gone(&mut waiting) => return,
        };
        self.shared.saved.increment(waiting.len() as u64 - 1);
        for told in waiting {
            let _gone = told.send(value.clone());
        }
    }
}

async fn all_gone<V>(waiting: &mut Waiting<V>) {
    for told in waiting {
        told.closed().await;
    }
}

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        task::Poll,
    };

    use tokio::{
        sync::Semaphore,
        task::{JoinSet, yield_now},
    };

    use super::*;

    /// A thing that changes, read slowly: what is read is what was there when the
    /// read began, and it ends when the gate lets it.
    struct Scene {
        flights: Flights<&'static str, Result<u64, String>>,
        thing: Arc<AtomicU64>,
        reads: Arc<AtomicU64>,
        gate: Arc<Semaphore>,
    }

    impl Scene {
        fn new() -> Self {
            let (thing, reads) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
            let gate = Arc::new(Semaphore::new(0));
            let (read_from, counted, opened) =
                (Arc::clone(&thing), Arc::clone(&reads), Arc::clone(&gate));
            let read = move |key: &'static str| -> Reading<Result<u64, String>> {
                counted.fetch_add(1, Ordering::SeqCst);
                let seen = read_from.load(Ordering::SeqCst);
                let opened = Arc::clone(&opened);
                Box::pin(async move {
                    opened.acquire().await.expect("open").forget();
                    match key {
                        "fails" => Err("no".to_owned()),
                        "panics" if seen == 1 => panic!("on purpose"),
                        _ => Ok(seen),
                    }
                })
            };
            let (one, other) = (metrics::Counter::noop(), metrics::Counter::noop());
            Self { flights: Flights::new(read, one, other), thing, reads, gate }
        }

        /// So many readers, all of whom have asked when this returns.
        async fn readers(
            &self,
            count: usize,
            key: &'static str,
        ) -> JoinSet<Option<Result<u64, String>>> {
            let mut readers = JoinSet::new();
            for _ in 0..count {
                let flights = self.flights.clone();
                let mut reading = Box::pin(async move { flights.get(key).await });
                let first = futures_poll(&mut reading).await;
                assert!(first.is_pending(), "the gate is shut");
                readers.spawn(reading);
            }
            readers
        }

        fn reads(&self) -> u64 {
            self.reads.load(Ordering::SeqCst)
        }
    }

    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
    }

    #[tokio::test]
    async fn a_thousand_readers_cost_two_reads() {
        let scene = Scene::new();
        let readers = scene.readers(1000, "page").await;
        scene.gate.add_permits(2);
        for value in readers.join_all().await {
            assert_eq!(value, Some(Ok(1)));
        }
        assert_eq!(scene.reads(), 2);
        assert!(scene.flights.shared.lock().is_empty(), "nothing is left");
    }

    #[tokio::test]
    async fn nobody_is_told_what_was_before_they_came() {
        let scene = Scene::new();
        let early = scene.readers(1, "page").await;
        scene.thing.store(2, Ordering::SeqCst);
        let late = scene.readers(3, "page").await;
        scene.gate.add_permits(2);
        assert_eq!(early.join_all().await, [Some(Ok(1))]);
        assert_eq!(late.join_all().await, [Some(Ok(2)), Some(Ok(2)), Some(Ok(2))]);
        // Nor during the second flight, which serves those who waited for it.
        let _first = scene.readers(1, "page").await;
        let second = scene.readers(1, "page").await;
        scene.gate.add_permits(1);
        while scene.reads() < 4 {
            yield_now().await;
        }
        scene.thing.store(3, Ordering::SeqCst);
        let third = scene.readers(1, "page").await;
        scene.gate.add_permits(2);
        assert_eq!(second.join_all().await, [Some(Ok(2))]);
        assert_eq!(third.join_all().await, [Some(Ok(3))]);
    }

    #[tokio::test]
    async fn the_others_are_served_when_the_one_who_flew_vanishes() {
        let scene = Scene::new();
        let mut first = scene.readers(1, "page").await;
        let others = scene.readers(10, "page").await;
        first.shutdown().await;
        scene.gate.add_permits(1);
        assert!(others.join_all().await.iter().all(|value| *value == Some(Ok(1))));
        assert_eq!(scene.reads(), 2);
    }

    #[tokio::test]
    async fn nobody_reads_for_those_who_have_left() {
        let scene = Scene::new();
        let first = scene.readers(1, "page").await;
        let mut others = scene.readers(10, "page").await;
        others.shutdown().await;
        scene.gate.add_permits(2);
        assert_eq!(first.join_all().await, [Some(Ok(1))]);
        assert_eq!(scene.reads(), 1);
        assert!(scene.flights.shared.lock().is_empty());
    }

    #[tokio::test]
    async fn a_read_that_hangs_ends_with_its_last_reader() {
        let scene = Scene::new();
        let first = scene.readers(1, "page").await;
        let mut second = scene.readers(3, "page").await;
        scene.gate.add_permits(1);
        assert_eq!(first.join_all().await, [Some(Ok(1))]);
        while scene.reads() < 2 {
            yield_now().await;
        }
        // It hangs: nobody opens the gate. Who comes now is served when they leave.
        let third = scene.readers(1, "page").await;
        second.shutdown().await;
        while scene.reads() < 3 {
            yield_now().await;
        }
        scene.gate.add_permits(1);
        assert_eq!(third.join_all().await, [Some(Ok(1))]);
    }

    #[tokio::test]
    async fn errors_are_shared_and_pages_are_told_apart() {
        let scene = Scene::new();
        let failing = scene.readers(5, "fails").await;
        let working = scene.readers(1, "page").await;
        scene.gate.add_permits(3);
        assert!(failing.join_all().await.iter().all(|value| *value == Some(Err("no".into()))));
        assert_eq!(working.join_all().await, [Some(Ok(1))]);
    }

    #[tokio::test]
    async fn a_panic_ends_one_flight_and_not_the_next() {
        let scene = Scene::new();
        let first = scene.readers(1, "panics").await;
        let second = scene.readers(2, "panics").await;
        scene.thing.store(2, Ordering::SeqCst);
        scene.gate.add_permits(2);
        let mut first = first;
        assert!(first.join_next().await.expect("one").is_err(), "its own reader sees the panic");
        assert_eq!(second.join_all().await, [Some(Ok(2)), Some(Ok(2))]);
    }
}
