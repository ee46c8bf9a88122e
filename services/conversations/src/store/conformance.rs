//! What every engine must do, as a suite over a factory of empty stores. It
//! knows the port and no engine.

use std::collections::BTreeMap;

use confab_log::{
    ConversationId, Digest, RequestId, Seq, TenantId, UserId,
    event::{Kind, Retention},
    row::ConversationRow,
};

use super::ConversationStore;
use crate::domain::Applied;

/// Runs the whole suite, each part on a store of its own.
///
/// # Panics
/// When the store is not good.
pub async fn suite<S: ConversationStore>(fresh: impl AsyncFn() -> S) {
    racing_rows_leave_the_newest(&fresh().await).await;
    suite_of_one_caller(fresh).await;
}

/// The suite without races: for a store behind faults, where a caller that asks
/// again cannot tell its own try from another's.
///
/// # Panics
/// When the store is not good.
pub async fn suite_of_one_caller<S: ConversationStore>(fresh: impl AsyncFn() -> S) {
    a_row_survives_whole(&fresh().await).await;
    an_older_row_never_overwrites(&fresh().await).await;
    a_deletion_is_told_once(&fresh().await).await;
    rows_come_in_the_order_asked_for(&fresh().await).await;
    tenants_never_meet(&fresh().await).await;
    channels_are_listed_while_they_are_open(&fresh().await).await;
    what_is_kept_for_a_time_is_found(&fresh().await).await;
}

fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).expect("a tenant")
}

fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

fn row(applied_seq: Seq) -> ConversationRow {
    let (creator, request) = (UserId::parse("ada"), RequestId::parse("r-1"));
    let (creator, request) = (creator.expect("a user"), request.expect("a request id"));
    ConversationRow {
        title: format!("title {applied_seq}"),
        description: "ü\n".to_owned(),
        avatar_url: "https://example.test/a.png".to_owned(),
        metadata: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
        participant_count: 2,
        update_time: 11,
        archive_time: Some(12),
        ..ConversationRow::new(Kind::Group, creator, request, Digest([3; 16]), 10, applied_seq)
    }
}

async fn apply<S: ConversationStore>(store: &S, row: ConversationRow) -> Applied {
    store.apply(&tenant("acme"), &conversation(1), row).await.expect("apply")
}

async fn stored<S: ConversationStore>(store: &S) -> Option<ConversationRow> {
    store.row(&tenant("acme"), &conversation(1)).await.expect("row")
}

async fn a_row_survives_whole<S: ConversationStore>(store: &S) {
    assert_eq!(stored(store).await, None);
    assert_eq!(apply(store, row(1)).await, Applied::First);
    assert_eq!(stored(store).await, Some(row(1)));
}

async fn an_older_row_never_overwrites<S: ConversationStore>(store: &S) {
    assert_eq!(apply(store, row(5)).await, Applied::First);
    let other = ConversationRow { title: "another".to_owned(), ..row(5) };
    for stale in [row(5), other, row(4), row(1)] {
        assert_eq!(apply(store, stale).await, Applied::Stale);
        assert_eq!(stored(store).await, Some(row(5)));
    }
    assert_eq!(apply(store, row(9)).await, Applied::Changed);
    assert_eq!(apply(store, row(5)).await, Applied::Stale, "late duplicates stay without effect");
    assert_eq!(stored(store).await, Some(row(9)));
}

async fn a_deletion_is_told_once<S: ConversationStore>(store: &S) {
    let deleted = |seq| ConversationRow { delete_time: Some(20), ..row(seq) };
    let steps = [
        (row(1), Applied::First),
        (deleted(2), Applied::Deleted),
        (deleted(2), Applied::Stale),
        (deleted(3), Applied::Changed),
        (row(4), Applied::Changed),
        (deleted(5), Applied::Deleted),
    ];
    for (row, expected) in steps {
        assert_eq!(apply(store, row).await, expected);
    }
}

async fn rows_come_in_the_order_asked_for<S: ConversationStore>(store: &S) {
    let acme = tenant("acme");
    for number in [1, 2, 3] {
        let applied = store.apply(&acme, &conversation(number), row(number.into())).await;
        assert_eq!(applied.expect("apply"), Applied::First);
    }
    let ids = [conversation(3), conversation(9), conversation(1)];
    let rows = store.rows(&acme, &ids).await.expect("rows");
    assert_eq!(rows, [(conversation(3), row(3)), (conversation(1), row(1))]);
    assert_eq!(store.rows(&acme, &[]).await.expect("rows"), []);
}

async fn tenants_never_meet<S: ConversationStore>(store: &S) {
    apply(store, row(7)).await;
    for other in ["acm", "acme2", "zeta"] {
        let other = tenant(other);
        assert_eq!(store.row(&other, &conversation(1)).await.expect("row"), None);
        assert_eq!(store.rows(&other, &[conversation(1)]).await.expect("rows"), []);
        let applied = store.apply(&other, &conversation(1), row(1)).await.expect("apply");
        assert_eq!(applied, Applied::First, "another tenant's row guards nothing here");
    }
    assert_eq!(stored(store).await, Some(row(7)));
}

async fn racing_rows_leave_the_newest<S: ConversationStore>(store: &S) {
    let (a, b, c, d) = tokio::join!(
        apply(store, row(3)),
        apply(store, row(1)),
        apply(store, row(4)),
        apply(store, row(2)),
    );
    let firsts = [a, b, c, d].iter().filter(|applied| **applied == Applied::First).count();
    assert_eq!(firsts, 1);
    assert_eq!(stored(store).await, Some(row(4)));
}

/// Ids that begin differently: an index may be spread over partitions.
fn spread(number: u8) -> ConversationId {
    ConversationId::from_bytes([number.wrapping_mul(37); 16])
}

async fn channels_are_listed_while_they_are_open<S: ConversationStore>(store: &S) {
    let acme = tenant("acme");
    let channel = |seq, public| ConversationRow { kind: Kind::Channel, public, ..row(seq) };
    let mut open: Vec<_> = (0..40).map(spread).collect();
    for id in &open {
        store.apply(&acme, id, channel(1, true)).await.expect("apply");
    }
    let hidden = [spread(41), spread(42)];
    store.apply(&acme, &hidden[0], channel(1, false)).await.expect("apply");
    store.apply(&acme, &hidden[1], row(1)).await.expect("apply");
    store.apply(&tenant("acm"), &spread(43), channel(1, true)).await.expect("apply");
    // One closes, one is deleted, one closes and opens again; the last is told twice.
    let deleted = ConversationRow { delete_time: Some(20), ..channel(2, true) };
    let steps = [
        (0, channel(2, false)),
        (1, deleted),
        (2, channel(2, false)),
        (2, channel(3, true)),
        (2, channel(2, false)),
    ];
    for (at, row) in steps {
        store.apply(&acme, &open[at], row).await.expect("apply");
    }
    open.drain(..2);
    open.sort_by_key(ConversationId::to_bytes);
    for size in [1, 7, 100] {
        let mut listed: Vec<ConversationId> = Vec::new();
        loop {
            let page = store.public(&acme, listed.last(), size).await.expect("list");
            assert!(page.len() <= size);
            let ends = page.len() < size;
            listed.extend(page.into_iter().map(|(id, _)| id));
            if ends {
                break;
            }
        }
        assert_eq!(listed, open, "pages of {size}, in the order of the ids");
    }
}

async fn what_is_kept_for_a_time_is_found<S: ConversationStore>(store: &S) {
    let limited = Retention { max_messages: 7, ..Retention::default() };
    let kept = |seq, retention| ConversationRow { retention, ..row(seq) };
    let mut due = Vec::new();
    for (name, number) in [("acme", 1), ("acme", 2), ("acme", 3), ("acm", 1), ("zeta", 4)] {
        let (tenant, id) = (tenant(name), spread(number));
        store.apply(&tenant, &id, kept(1, limited)).await.expect("apply");
        due.push((tenant, id));
    }
    store.apply(&tenant("acme"), &spread(5), row(1)).await.expect("apply");
    let (unlimited, id) = due.remove(1);
    store.apply(&unlimited, &id, kept(2, Retention::default())).await.expect("apply");
    due.sort_by_key(|(tenant, id)| (tenant.clone(), id.to_bytes()));
    for size in [1, 2, 100] {
        let mut found: Vec<(TenantId, ConversationId)> = Vec::new();
        loop {
            let after = found.last().map(|(tenant, id)| (tenant, id));
            let page = store.retained(after, size).await.expect("list");
            assert!(page.iter().all(|(_, _, row)| row.retention == limited));
            let ends = page.is_empty();
            found.extend(page.into_iter().map(|(tenant, id, _)| (tenant, id)));
            if ends {
                break;
            }
        }
        found.sort_by_key(|(tenant, id)| (tenant.clone(), id.to_bytes()));
        assert_eq!(found, due, "pages of {size}, in whatever order");
    }
}
