//! The ports: every adapter does what its conformance suite says.

use std::sync::atomic::{AtomicUsize, Ordering};

use confab_realtime::store::{
    EmbeddedLastSeen, EmbeddedRevocations, EmbeddedSessions, conformance,
};
use confab_store::embedded::{Engine, Options};
use tempfile::TempDir;

use crate::support::{MemoryLastSeen, MemoryRedis, MemoryRevocations, MemorySessions};

/// Makes engines, each on a folder of its own.
struct Engines {
    folder: TempDir,
    count: AtomicUsize,
}

impl Engines {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, count: AtomicUsize::default() }
    }

    fn next(&self) -> Engine {
        let number = self.count.fetch_add(1, Ordering::Relaxed).to_string();
        Engine::open(&self.folder.path().join(number), Options::default()).expect("opens")
    }
}

#[tokio::test]
async fn embedded_sessions_conform() {
    let engines = Engines::new();
    conformance::sessions(|| async { EmbeddedSessions::open(&engines.next()).expect("opens") })
        .await;
}

#[tokio::test]
async fn embedded_revocations_conform() {
    let engines = Engines::new();
    let make = || async { EmbeddedRevocations::open(&engines.next()).expect("opens") };
    conformance::revocations(make).await;
}

#[tokio::test]
async fn embedded_last_seen_conforms() {
    let engines = Engines::new();
    conformance::last_seen(|| async { EmbeddedLastSeen::open(&engines.next()).expect("opens") })
        .await;
}

#[tokio::test]
async fn the_stores_of_these_tests_conform() {
    conformance::sessions(|| async { MemorySessions::default() }).await;
    conformance::revocations(|| async { MemoryRevocations::default() }).await;
    conformance::last_seen(|| async { MemoryLastSeen::default() }).await;
    conformance::rooms(|| async {
        let redis = MemoryRedis::default();
        [redis.process(), redis.process()]
    })
    .await;
}
