//! What every store of when users were last here must do.

use std::future::Future;

use super::{NOW, tenant, user};
use crate::store::LastSeenStore;

/// Runs everything, each part on a store of its own.
pub async fn run<S, F, W>(make: F)
where
    S: LastSeenStore,
    F: Fn() -> W,
    W: Future<Output = S>,
{
    knows_nothing_of_who_was_never_here(&make().await).await;
    keeps_when_somebody_was_last_here(&make().await).await;
    leaves_alone_what_is_late_enough(&make().await).await;
    keeps_users_apart(&make().await).await;
}

async fn note(store: &impl LastSeenStore, time: i64, slack: i64) {
    store.note(&tenant("acme"), &user("alice"), time, slack).await.expect("noted");
}

async fn time(store: &impl LastSeenStore, tenant_id: &str, user_id: &str) -> i64 {
    let times = store.times(&tenant(tenant_id), &[user(user_id)]).await.expect("asked");
    assert_eq!(times.len(), 1, "one answer for each");
    times[0]
}

async fn knows_nothing_of_who_was_never_here(store: &impl LastSeenStore) {
    let users = [user("alice"), user("bob")];
    assert_eq!(store.times(&tenant("acme"), &users).await.expect("asked"), [0, 0]);
    assert_eq!(store.times(&tenant("acme"), &[]).await.expect("asked"), [0; 0]);
}

async fn keeps_when_somebody_was_last_here(store: &impl LastSeenStore) {
    note(store, NOW + 7, 0).await;
    assert_eq!(time(store, "acme", "alice").await, NOW + 7);
    note(store, NOW + 3, 0).await;
    assert_eq!(time(store, "acme", "alice").await, NOW + 7, "what comes late takes nothing back");
    note(store, NOW + 9, 0).await;
    assert_eq!(time(store, "acme", "alice").await, NOW + 9);
}

async fn leaves_alone_what_is_late_enough(store: &impl LastSeenStore) {
    note(store, NOW, 100).await;
    note(store, NOW + 100, 100).await;
    assert_eq!(time(store, "acme", "alice").await, NOW);
    note(store, NOW + 101, 100).await;
    assert_eq!(time(store, "acme", "alice").await, NOW + 101);
}

async fn keeps_users_apart(store: &impl LastSeenStore) {
    note(store, NOW, 0).await;
    assert_eq!(time(store, "acme", "bob").await, 0);
    assert_eq!(time(store, "other", "alice").await, 0);
    let users = [user("bob"), user("alice"), user("carol")];
    let times = store.times(&tenant("acme"), &users).await.expect("asked");
    assert_eq!(times, [0, NOW, 0], "in the order asked");
}
