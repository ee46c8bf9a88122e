//! What every session store must do.

use std::{collections::BTreeSet, future::Future};

use confab_log::{ConversationId, UserId};

use super::{NOW, tenant, user};
use crate::store::{
    Acknowledged, SESSION_TTL, Saved, SessionId, SessionKey, SessionRecord, SessionStore,
};

/// Runs everything, each part on a store of its own.
pub async fn run<S, F, W>(make: F)
where
    S: SessionStore,
    F: Fn() -> W,
    W: Future<Output = S>,
{
    returns_what_was_stored(&make().await).await;
    knows_nothing_of_others(&make().await).await;
    only_the_newest_stream_writes(&make().await).await;
    a_watch_can_be_dropped(&make().await).await;
    a_save_takes_back_no_acknowledgement(&make().await).await;
    sessions_expire(&make().await).await;
    sweeps_only_what_expired(&make().await).await;
    acknowledgements_only_raise(&make().await).await;
    lists_by_pages(&make().await).await;
    removes_one(&make().await).await;
    removes_a_login(&make().await).await;
}

fn key(tenant_id: &str, user_id: &str) -> SessionKey {
    SessionKey { tenant: tenant(tenant_id), user: user(user_id), session: SessionId::random() }
}

fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

fn record(cursors: &[(u8, u64)]) -> SessionRecord {
    SessionRecord {
        device_id: "phone".to_owned(),
        login: "login".to_owned(),
        created: NOW - 7,
        watch: cursors.iter().map(|(number, seq)| (conversation(*number), *seq)).collect(),
        inbox_seq: 4,
        epoch: 1,
        last_seen: NOW,
    }
}

/// No cursor was set anew.
fn none() -> BTreeSet<ConversationId> {
    BTreeSet::new()
}

async fn created(store: &impl SessionStore, record: &SessionRecord) -> SessionKey {
    let key = key("acme", "alice");
    store.create(&key, record).await.expect("created");
    key
}

async fn returns_what_was_stored(store: &impl SessionStore) {
    let stored = record(&[(1, 10), (2, u64::MAX)]);
    let key = created(store, &stored).await;
    let taken = store.take_over(&key, "phone", NOW + 5).await.expect("read").expect("there");
    let expected = SessionRecord { epoch: 2, last_seen: NOW + 5, ..stored };
    assert_eq!(taken, expected, "a session comes back as it was stored");
}

async fn knows_nothing_of_others(store: &impl SessionStore) {
    let own = created(store, &record(&[])).await;
    let mut foreign = own.clone();
    foreign.user = user("mallory");
    assert_eq!(store.take_over(&foreign, "phone", NOW).await.expect("read"), None, "another user");
    let mut foreign = own.clone();
    foreign.tenant = tenant("other");
    assert_eq!(
        store.take_over(&foreign, "phone", NOW).await.expect("read"),
        None,
        "another tenant"
    );
    let other_device = store.take_over(&own, "laptop", NOW).await.expect("read");
    assert_eq!(other_device, None, "another device");
    let kept = store.take_over(&own, "phone", NOW).await.expect("read").expect("there");
    assert_eq!(kept.epoch, 2, "who may not take it over does not fence it either");
    let unknown = key("acme", "alice");
    assert_eq!(
        store.take_over(&unknown, "phone", NOW).await.expect("read"),
        None,
        "another session"
    );
    let saved = store.save(&unknown, &record(&[]), &none()).await.expect("saved");
    assert_eq!(saved, Saved::Fenced, "a save makes no session");
    assert_eq!(store.take_over(&unknown, "phone", NOW).await.expect("read"), None, "still unknown");
}

async fn only_the_newest_stream_writes(store: &impl SessionStore) {
    let old = record(&[(1, 1)]);
    let key = created(store, &old).await;
    assert_eq!(store.save(&key, &old, &none()).await.expect("saved"), Saved::Stored);
    let new = store.take_over(&key, "phone", NOW).await.expect("read").expect("there");
    let late = SessionRecord { watch: record(&[(1, 99)]).watch, ..old };
    assert_eq!(store.save(&key, &late, &none()).await.expect("saved"), Saved::Fenced);
    assert_eq!(store.save(&key, &new, &none()).await.expect("saved"), Saved::Stored);
    let last = store.take_over(&key, "phone", NOW).await.expect("read").expect("there");
    assert_eq!(last.watch, new.watch, "a fenced stream writes nothing");
    assert_eq!(last.epoch, 3);
}

async fn a_watch_can_be_dropped(store: &impl SessionStore) {
    let key = created(store, &record(&[(1, 50), (2, 5)])).await;
    assert_eq!(store.save(&key, &record(&[(2, 5)]), &none()).await.expect("saved"), Saved::Stored);
    let taken = store.take_over(&key, "phone", NOW).await.expect("read").expect("there");
    assert_eq!(taken.watch, record(&[(2, 5)]).watch);
}

/// What another process acknowledged stands, unless the client set the cursor itself.
async fn a_save_takes_back_no_acknowledgement(store: &impl SessionStore) {
    let own = record(&[(1, 5), (2, 5)]);
    let key = created(store, &own).await;
    let cursors = [(conversation(1), 9), (conversation(2), 9)].into();
    let acknowledged = Acknowledged { cursors, inbox_seq: Some(8) };
    store.acknowledge(&key, &acknowledged, NOW).await.expect("acknowledged");
    let set = BTreeSet::from([conversation(2)]);
    assert_eq!(store.save(&key, &own, &set).await.expect("saved"), Saved::Stored);
    let kept = store.load(&key, NOW).await.expect("read").expect("there");
    assert_eq!(kept.watch, record(&[(1, 9), (2, 5)]).watch);
    assert_eq!(kept.inbox_seq, 8);
}

async fn sessions_expire(store: &impl SessionStore) {
    let key = created(store, &record(&[])).await;
    let ttl = i64::try_from(SESSION_TTL.as_micros()).expect("fits");
    let taken = store.take_over(&key, "phone", NOW + ttl).await.expect("read");
    assert!(taken.is_some(), "it lives to the end of its time");
    let taken = store.take_over(&key, "phone", NOW + ttl + ttl).await.expect("read");
    assert!(taken.is_some(), "each stream is a sign of life");
    let taken = store.take_over(&key, "phone", NOW + 3 * ttl + 1).await.expect("read");
    assert!(taken.is_none(), "an expired session is unknown");
}

async fn sweeps_only_what_expired(store: &impl SessionStore) {
    let ttl = i64::try_from(SESSION_TTL.as_micros()).expect("fits");
    let old = created(store, &record(&[])).await;
    let young = key("acme", "bob");
    let record = SessionRecord { last_seen: NOW + 10, ..record(&[]) };
    store.create(&young, &record).await.expect("created");
    assert_eq!(store.sweep(NOW + ttl).await.expect("swept"), 0);
    assert_eq!(store.sweep(NOW + ttl + 5).await.expect("swept"), 1);
    assert_eq!(store.sweep(NOW + ttl + 5).await.expect("swept"), 0);
    assert_eq!(store.take_over(&old, "phone", NOW).await.expect("read"), None);
    assert!(store.take_over(&young, "phone", NOW + ttl).await.expect("read").is_some());
}

async fn acknowledgements_only_raise(store: &impl SessionStore) {
    let key = created(store, &record(&[(1, 10), (2, 20)])).await;
    let cursors = [(1, 15), (2, 5), (3, 7)].map(|(number, seq)| (conversation(number), seq));
    let acknowledged = Acknowledged { cursors: cursors.into(), inbox_seq: Some(9) };
    store.acknowledge(&key, &acknowledged, NOW + 1).await.expect("acknowledged");
    let loaded = store.load(&key, NOW + 1).await.expect("read").expect("there");
    assert_eq!(loaded.watch, record(&[(1, 15), (2, 20)]).watch, "raised, and none added");
    assert_eq!((loaded.inbox_seq, loaded.epoch, loaded.last_seen), (9, 1, NOW + 1));
    let older = Acknowledged { inbox_seq: Some(1), ..Acknowledged::default() };
    store.acknowledge(&key, &older, NOW + 2).await.expect("acknowledged");
    let loaded = store.load(&key, NOW + 2).await.expect("read").expect("there");
    assert_eq!(loaded.inbox_seq, 9);
    let unknown = self::key("acme", "alice");
    store.acknowledge(&unknown, &acknowledged, NOW).await.expect("nothing to do");
    assert_eq!(store.load(&unknown, NOW).await.expect("read"), None, "it makes no session");
}

async fn ids(store: &impl SessionStore, owner: &UserId, size: usize, now: i64) -> Vec<SessionId> {
    let mut ids: Vec<SessionId> = Vec::new();
    loop {
        let page = store.list(&tenant("acme"), owner, ids.last(), size, now).await.expect("read");
        assert!(page.len() <= size);
        let last = page.len() < size;
        ids.extend(page.into_iter().map(|(id, _)| id));
        if last {
            return ids;
        }
    }
}

async fn lists_by_pages(store: &impl SessionStore) {
    let ttl = i64::try_from(SESSION_TTL.as_micros()).expect("fits");
    let mut own = Vec::new();
    for number in 0..10 {
        let last_seen = if number % 3 == 0 { NOW } else { NOW + 10 };
        let record = SessionRecord { last_seen, ..record(&[]) };
        own.push((created(store, &record).await.session, last_seen));
        store.create(&key("acme", "bob"), &record).await.expect("created");
        store.create(&key("other", "alice"), &record).await.expect("created");
    }
    own.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    let all: Vec<_> = own.iter().map(|(id, _)| id.clone()).collect();
    let late = own.iter().filter(|(_, last_seen)| *last_seen > NOW);
    let alive: Vec<_> = late.map(|(id, _)| id.clone()).collect();
    for size in [1, 3, 10, 100] {
        assert_eq!(ids(store, &user("alice"), size, NOW).await, all, "pages of {size}");
        assert_eq!(ids(store, &user("alice"), size, NOW + ttl + 5).await, alive, "without expired");
    }
    assert_eq!(ids(store, &user("ali"), 10, NOW).await, [], "a name that begins as hers");
}

async fn removes_one(store: &impl SessionStore) {
    let own = created(store, &record(&[])).await;
    let other = created(store, &record(&[])).await;
    assert!(!store.remove(&key("acme", "alice"), NOW).await.expect("nothing to do"));
    assert!(store.remove(&own, NOW).await.expect("removed"));
    assert!(!store.remove(&own, NOW).await.expect("nothing to do"));
    assert_eq!(store.load(&own, NOW).await.expect("read"), None);
    assert_eq!(store.save(&own, &record(&[]), &none()).await.expect("saved"), Saved::Fenced);
    assert!(store.load(&other, NOW).await.expect("read").is_some());
}

async fn removes_a_login(store: &impl SessionStore) {
    let mut keys = Vec::new();
    for login in ["one", "two", "one"] {
        keys.push(created(store, &SessionRecord { login: login.to_owned(), ..record(&[]) }).await);
    }
    let bob = key("acme", "bob");
    store
        .create(&bob, &SessionRecord { login: "one".to_owned(), ..record(&[]) })
        .await
        .expect("ok");
    let (acme, alice) = (tenant("acme"), user("alice"));
    assert_eq!(store.remove_all(&acme, &alice, Some("one")).await.expect("removed"), 2);
    assert_eq!(ids(store, &alice, 10, NOW).await, [keys[1].session.clone()]);
    assert_eq!(store.remove_all(&acme, &alice, None).await.expect("removed"), 1);
    assert_eq!(store.remove_all(&acme, &alice, None).await.expect("removed"), 0);
    assert!(store.load(&bob, NOW).await.expect("read").is_some(), "another user's stay");
}
