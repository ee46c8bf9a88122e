//! What every store of revocations must do.

use std::future::Future;

use confab_kit::identity::{Revocation, RevokedTokens};

use super::{tenant, user};
use crate::store::RevocationStore;

/// Runs everything, each part on a store of its own.
pub async fn run<S, F, W>(make: F)
where
    S: RevocationStore,
    F: Fn() -> W,
    W: Future<Output = S>,
{
    keeps_what_it_was_given(&make().await).await;
    keeps_the_stronger_of_two(&make().await).await;
    forgets_what_has_ended(&make().await).await;
}

fn of_session(tenant_id: &str, user_id: &str, login: &str, until: i64) -> Revocation {
    let tokens = RevokedTokens::OfSession(login.into());
    Revocation { tenant: tenant(tenant_id), user: user(user_id), tokens, until }
}

fn issued_through(user_id: &str, second: i64, until: i64) -> Revocation {
    let tokens = RevokedTokens::IssuedThrough(second);
    Revocation { tenant: tenant("acme"), user: user(user_id), tokens, until }
}

/// Keeps each, then reads all of them in one order.
async fn kept(store: &impl RevocationStore, revocations: &[Revocation]) -> Vec<String> {
    for revocation in revocations {
        store.keep(revocation).await.expect("kept");
    }
    sorted(&store.all().await.expect("read"))
}

fn sorted(revocations: &[Revocation]) -> Vec<String> {
    let mut texts: Vec<_> = revocations.iter().map(|one| format!("{one:?}")).collect();
    texts.sort();
    texts
}

async fn keeps_what_it_was_given(store: &impl RevocationStore) {
    let different = [
        of_session("acme", "alice", "one", 10),
        of_session("acme", "alice", "two", 10),
        of_session("acme", "bob", "one", 10),
        of_session("other", "alice", "one", 10),
        issued_through("alice", 5, 10),
        issued_through("bob", 6, 11),
    ];
    assert_eq!(kept(store, &different).await, sorted(&different));
    assert_eq!(kept(store, &different).await, sorted(&different), "twice is once");
}

async fn keeps_the_stronger_of_two(store: &impl RevocationStore) {
    let given = [
        of_session("acme", "alice", "one", 20),
        of_session("acme", "alice", "one", 10),
        issued_through("alice", 7, 30),
        issued_through("alice", 5, 40),
        issued_through("bob", 5, 10),
        issued_through("bob", 7, 30),
    ];
    let stronger = [given[0].clone(), given[2].clone(), given[5].clone()];
    assert_eq!(kept(store, &given).await, sorted(&stronger));
}

async fn forgets_what_has_ended(store: &impl RevocationStore) {
    let given = [
        of_session("acme", "alice", "one", 10),
        of_session("acme", "alice", "two", 11),
        issued_through("alice", 5, 10),
        issued_through("bob", 5, 11),
    ];
    kept(store, &given).await;
    assert_eq!(store.sweep(9).await.expect("swept"), 0);
    assert_eq!(store.sweep(10).await.expect("swept"), 2);
    assert_eq!(store.sweep(10).await.expect("swept"), 0);
    let left = store.all().await.expect("read");
    assert_eq!(sorted(&left), sorted(&[given[1].clone(), given[3].clone()]));
}
