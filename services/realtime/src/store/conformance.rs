//! What every session store must do, as one function to run on each. It
//! panics on the first thing that is not so.

use std::future::Future;

use confab_log::{ConversationId, TenantId, UserId};

use super::{SESSION_TTL, Saved, SessionId, SessionKey, SessionRecord, SessionStore};

const NOW: i64 = 1_700_000_000_000_000;

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
    sessions_expire(&make().await).await;
    sweeps_only_what_expired(&make().await).await;
}

fn key(tenant: &str, user: &str) -> SessionKey {
    SessionKey {
        tenant: TenantId::parse(tenant).expect("a tenant"),
        user: UserId::parse(user).expect("a user"),
        session: SessionId::random(),
    }
}

fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

fn record(cursors: &[(u8, u64)]) -> SessionRecord {
    SessionRecord {
        device_id: "phone".to_owned(),
        watch: cursors.iter().map(|(number, seq)| (conversation(*number), *seq)).collect(),
        inbox_seq: 4,
        epoch: 1,
        last_seen: NOW,
    }
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
    foreign.user = UserId::parse("mallory").expect("a user");
    assert_eq!(store.take_over(&foreign, "phone", NOW).await.expect("read"), None, "another user");
    let mut foreign = own.clone();
    foreign.tenant = TenantId::parse("other").expect("a tenant");
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
    let saved = store.save(&unknown, &record(&[])).await.expect("saved");
    assert_eq!(saved, Saved::Fenced, "a save makes no session");
    assert_eq!(store.take_over(&unknown, "phone", NOW).await.expect("read"), None, "still unknown");
}

async fn only_the_newest_stream_writes(store: &impl SessionStore) {
    let old = record(&[(1, 1)]);
    let key = created(store, &old).await;
    assert_eq!(store.save(&key, &old).await.expect("saved"), Saved::Stored);
    let new = store.take_over(&key, "phone", NOW).await.expect("read").expect("there");
    let late = SessionRecord { watch: record(&[(1, 99)]).watch, ..old };
    assert_eq!(store.save(&key, &late).await.expect("saved"), Saved::Fenced);
    assert_eq!(store.save(&key, &new).await.expect("saved"), Saved::Stored);
    let last = store.take_over(&key, "phone", NOW).await.expect("read").expect("there");
    assert_eq!(last.watch, new.watch, "a fenced stream writes nothing");
    assert_eq!(last.epoch, 3);
}

async fn a_watch_can_be_dropped(store: &impl SessionStore) {
    let key = created(store, &record(&[(1, 50), (2, 5)])).await;
    assert_eq!(store.save(&key, &record(&[(2, 5)])).await.expect("saved"), Saved::Stored);
    let taken = store.take_over(&key, "phone", NOW).await.expect("read").expect("there");
    assert_eq!(taken.watch, record(&[(2, 5)]).watch);
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
