//! The port's suite on the embedded engine, and what only a data folder can
//! show: that a row outlives the engine that wrote it.

use std::{cell::Cell, path::Path};

use confab_log::{
    ConversationId, TenantId, UserId,
    event::Role,
    inbox::{Change, InboxEffect},
};
use confab_participants::{EmbeddedStore, MemberStore, domain::Effects, store::conformance};
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
async fn effects_stay_taken_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let tenant = TenantId::parse("acme").expect("a tenant");
    let bob = UserId::parse("bob").expect("a user");
    let room = ConversationId::from_bytes([1; 16]);
    let change = Change::Joined(Role::Owner);
    let inbox = vec![InboxEffect { user: bob.clone(), change }];
    let effects = Effects { inbox, ..Effects::of(1, 10) };
    let taken = open(folder.path()).apply(&tenant, &room, effects.clone()).await.expect("apply");
    assert_eq!(taken.len(), 1);

    let store = open(folder.path());
    assert_eq!(store.apply(&tenant, &room, effects).await.expect("apply"), []);
    let page = store.inbox(&tenant, &bob, 0, 10).await.expect("inbox");
    assert_eq!(page.events, [taken[0].1.clone()]);
}
