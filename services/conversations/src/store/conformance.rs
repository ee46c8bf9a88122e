//! What every engine must do, as a suite over a factory of empty stores. It
//! knows the port and no engine.

use std::collections::BTreeMap;

use confab_log::{
    ConversationId, Digest, RequestId, Seq, TenantId, UserId, event::Kind, row::ConversationRow,
};

use super::ConversationStore;
use crate::domain::Applied;

/// Runs the whole suite, each part on a store of its own.
///
/// # Panics
/// When the store is not good.
pub async fn suite<S: ConversationStore>(fresh: impl AsyncFn() -> S) {
    a_row_survives_whole(&fresh().await).await;
    an_older_row_never_overwrites(&fresh().await).await;
    a_deletion_is_told_once(&fresh().await).await;
    rows_come_in_the_order_asked_for(&fresh().await).await;
    tenants_never_meet(&fresh().await).await;
    racing_rows_leave_the_newest(&fresh().await).await;
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
