//! What every store of presence must do.

use std::future::Future;

use super::{NOW, tenant, user};
use crate::store::{Presence, PresenceStore, Status};

/// Runs everything, each part on a store of its own.
pub async fn run<S, F, W>(make: F)
where
    S: PresenceStore,
    F: Fn() -> W,
    W: Future<Output = S>,
{
    knows_nothing_of_who_was_never_here(&make().await).await;
    keeps_when_somebody_was_last_here(&make().await).await;
    answers_with_what_is_said(&make().await).await;
    keeps_users_apart(&make().await).await;
}

fn offline(since: i64) -> Presence {
    Presence { status: Status::Offline, text: String::new(), since }
}

fn online(since: i64) -> Presence {
    Presence { status: Status::Online, text: "here".to_owned(), since }
}

async fn tell(store: &impl PresenceStore, tenant_id: &str, user_id: &str, presence: &Presence) {
    store.tell(&tenant(tenant_id), &user(user_id), presence).await.expect("told");
}

async fn since(store: &impl PresenceStore, tenant_id: &str, user_id: &str) -> i64 {
    let asked = store.ask(&tenant(tenant_id), &[user(user_id)]).await.expect("asked");
    assert_eq!(asked.len(), 1, "one answer for each");
    asked[0].since
}

async fn knows_nothing_of_who_was_never_here(store: &impl PresenceStore) {
    let users = [user("alice"), user("bob")];
    let asked = store.ask(&tenant("acme"), &users).await.expect("asked");
    assert_eq!(asked, [Presence::default(), Presence::default()]);
    assert_eq!(store.ask(&tenant("acme"), &[]).await.expect("asked"), []);
}

async fn keeps_when_somebody_was_last_here(store: &impl PresenceStore) {
    tell(store, "acme", "alice", &online(NOW)).await;
    tell(store, "acme", "alice", &offline(NOW + 7)).await;
    assert_eq!(since(store, "acme", "alice").await, NOW + 7);
    tell(store, "acme", "alice", &offline(NOW + 3)).await;
    assert_eq!(since(store, "acme", "alice").await, NOW + 7, "what comes late takes nothing back");
    tell(store, "acme", "alice", &offline(NOW + 9)).await;
    assert_eq!(since(store, "acme", "alice").await, NOW + 9);
}

/// With one node that tells, what all say is what it says.
async fn answers_with_what_is_said(store: &impl PresenceStore) {
    for presence in [online(NOW), offline(NOW + 1), online(NOW + 2)] {
        let all = store.tell(&tenant("acme"), &user("alice"), &presence).await.expect("told");
        assert_eq!(all, presence);
    }
}

async fn keeps_users_apart(store: &impl PresenceStore) {
    tell(store, "acme", "alice", &offline(NOW)).await;
    assert_eq!(since(store, "acme", "bob").await, 0);
    assert_eq!(since(store, "other", "alice").await, 0);
    let users = [user("bob"), user("alice"), user("carol")];
    let asked = store.ask(&tenant("acme"), &users).await.expect("asked");
    assert_eq!(asked, [offline(0), offline(NOW), offline(0)], "in the order asked");
}
