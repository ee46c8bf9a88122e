//! The port's suite on the embedded engine, and what only a data folder can
//! show: that a row outlives the engine that wrote it.

use std::{cell::Cell, path::Path};

use confab_conversations::{ConversationStore, EmbeddedStore, domain::Applied, store::conformance};
use confab_log::{
    ConversationId, Digest, RequestId, TenantId, UserId, event::Kind, row::ConversationRow,
};
use confab_store::embedded::{Engine, Options};

fn open(path: &Path) -> EmbeddedStore {
    let engine = Engine::open(path, Options::default()).expect("a data folder");
    EmbeddedStore::open(&engine).expect("keyspaces")
}

#[tokio::test]
async fn the_embedded_engine_conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    let count = Cell::new(0);
    conformance::suite(async || {
        count.set(count.get() + 1);
        open(&folder.path().join(count.get().to_string()))
    })
    .await;
}

#[tokio::test]
async fn rows_stay_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let tenant = TenantId::parse("acme").expect("a tenant");
    let room = ConversationId::from_bytes([1; 16]);
    let creator = UserId::parse("ada").expect("a user");
    let request = RequestId::parse("r-1").expect("a request id");
    let row = ConversationRow::new(Kind::Direct, creator, request, Digest([3; 16]), 10, 1);
    let applied = open(folder.path()).apply(&tenant, &room, row.clone()).await;
    assert_eq!(applied.expect("apply"), Applied::First);
    let store = open(folder.path());
    assert_eq!(store.row(&tenant, &room).await.expect("row"), Some(row.clone()));
    assert_eq!(store.apply(&tenant, &room, row).await.expect("apply"), Applied::Stale);
}
