//! What every engine must do, as a suite over a factory of empty stores. It
//! knows the port and no engine.

mod more;

use std::collections::BTreeSet;

use confab_log::{
    ConversationId, Seq, TenantId, UserId,
    event::Role,
    inbox::{Change, InboxEffect},
    row::{Interval, MemberRow, Restriction},
};

use super::{MemberStore, Store};
use crate::domain::{Effects, Filter, InboxBody, InboxEvent};

/// Runs the whole suite, each part on a store of its own.
///
/// # Panics
/// When the store is not good.
pub async fn suite<S: Store>(fresh: impl AsyncFn() -> S) {
    sharing_is_found_among_many(&fresh().await).await;
    racing_effects_keep_every_inbox_dense(&fresh().await).await;
    suite_of_one_caller(fresh).await;
}

/// The suite without what needs several callers at a time, or many calls: for a
/// store behind faults, where a caller that asks again cannot tell its own try from
/// another's.
///
/// # Panics
/// When the store is not good.
pub async fn suite_of_one_caller<S: Store>(fresh: impl AsyncFn() -> S) {
    rows_are_guarded(&fresh().await).await;
    rosters_are_paged_and_filtered(&fresh().await).await;
    what_changed_a_roster_last_is_known(&fresh().await).await;
    an_inbox_takes_an_effect_once_for_ever(&fresh().await).await;
    an_inbox_is_dense(&fresh().await).await;
    read_cursors_only_grow(&fresh().await).await;
    inboxes_are_paged(&fresh().await).await;
    tenants_never_meet(&fresh().await).await;
    sharing_is_of_now(&fresh().await).await;
    more::settings_are_arranged_and_told(&fresh().await).await;
    more::suite(fresh).await;
}

fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).expect("a tenant")
}

fn user(text: &str) -> UserId {
    UserId::parse(text).expect("a user")
}

fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

fn member(applied_seq: Seq) -> MemberRow {
    MemberRow {
        role: Role::Member,
        intervals: vec![Interval { join: 1, leave: None }],
        join_time: 10,
        leave_time: None,
        mute: None,
        ban: None,
        applied_seq,
    }
}

fn left(applied_seq: Seq) -> MemberRow {
    let intervals = vec![Interval { join: 1, leave: Some(applied_seq) }];
    MemberRow { intervals, leave_time: Some(20), ..member(applied_seq) }
}

fn row_effects(seq: Seq, rows: Vec<(UserId, MemberRow)>) -> Effects {
    Effects { rows, ..Effects::of(seq, 10) }
}

fn joins(seq: Seq, users: &[&str]) -> Effects {
    let change = Change::Joined(Role::Member);
    let inbox = users.iter().map(|text| InboxEffect { user: user(text), change });
    Effects { inbox: inbox.collect(), ..Effects::of(seq, 10) }
}

fn leaves(seq: Seq, text: &str) -> Effects {
    let inbox = vec![InboxEffect { user: user(text), change: Change::Left }];
    Effects { inbox, ..Effects::of(seq, 20) }
}

async fn apply<S: MemberStore>(
    store: &S,
    number: u8,
    effects: Effects,
) -> Vec<(UserId, InboxEvent)> {
    store.apply(&tenant("acme"), &conversation(number), effects).await.expect("apply")
}

async fn inbox<S: MemberStore>(store: &S, text: &str) -> Vec<InboxEvent> {
    let page = store.inbox(&tenant("acme"), &user(text), 0, 1000).await.expect("inbox");
    assert_eq!(page.head, page.events.len() as u64, "the head is the last event");
    for (index, event) in page.events.iter().enumerate() {
        assert_eq!(event.inbox_seq, index as u64 + 1, "an inbox has no hole");
    }
    page.events
}

/// A row is written if it is newer, and only then, however often it comes.
async fn rows_are_guarded<S: MemberStore>(store: &S) {
    let (acme, room) = (tenant("acme"), conversation(1));
    let names = [user("bob"), user("nobody"), user("ada")];
    let rows = async || store.members(&acme, &room, &names).await.expect("members");
    assert_eq!(rows().await, [], "an empty store has no rows");
    for row in [member(5), member(5), left(3), MemberRow { role: Role::Owner, ..member(4) }] {
        apply(store, 1, row_effects(row.applied_seq, vec![(user("bob"), row)])).await;
        assert_eq!(rows().await, [(user("bob"), member(5))]);
    }
    let both = vec![(user("bob"), left(4)), (user("ada"), member(6))];
    apply(store, 1, row_effects(6, both)).await;
    let expected = [(user("bob"), member(5)), (user("ada"), member(6))];
    assert_eq!(rows().await, expected, "each row is guarded on its own, in the order asked for");
    apply(store, 1, row_effects(7, vec![(user("bob"), left(7))])).await;
    assert_eq!(rows().await[0], (user("bob"), left(7)));
    let elsewhere = store.members(&acme, &conversation(2), &names).await.expect("members");
    assert_eq!(elsewhere, [], "a row belongs to its conversation");
}

/// A roster is in the order of the ids, whatever is hidden in between.
async fn rosters_are_paged_and_filtered<S: MemberStore>(store: &S) {
    let (acme, room) = (tenant("acme"), conversation(1));
    let ban = |until| {
        let actor = user("ada");
        Some(Restriction { until, reason: String::new(), actor, time: 1 })
    };
    let mut rows: Vec<(UserId, MemberRow)> = (0..700_u32)
        .map(|n| {
            let row = if n % 7 == 0 { member(1) } else { left(2) };
            (user(&format!("user-{n:04}")), row)
        })
        .collect();
    rows.push((user("zed"), MemberRow { ban: ban(None), ..left(3) }));
    rows.push((user("zoe"), MemberRow { ban: ban(Some(100)), ..left(3) }));
    apply(store, 1, row_effects(3, rows)).await;
    apply(store, 2, row_effects(3, vec![(user("other-room"), member(1))])).await;

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page =
            store.roster(&acme, &room, after.as_ref(), Filter::Active, 30).await.expect("roster");
        assert!(page.len() <= 30);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page.into_iter().map(|(user, _)| user));
    }
    let expected: Vec<UserId> =
        (0..700).step_by(7).map(|n| user(&format!("user-{n:04}"))).collect();
    assert_eq!(seen, expected);

    let page = store.roster(&acme, &room, Some(&user("user-0690")), Filter::Listed, 10).await;
    let page = page.expect("roster");
    let found: Vec<&str> = page.iter().map(|(user, _)| user.as_str()).collect();
    assert_eq!(found, ["user-0693", "zed", "zoe"], "whom any list may show");

    for (time, names) in [(99, vec!["zed", "zoe"]), (100, vec!["zed"])] {
        let filter = Filter::BannedAt(time);
        let page = store.roster(&acme, &room, None, filter, 10).await.expect("bans");
        let found: Vec<&str> = page.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(found, names, "a ban holds for events before its end");
    }
}

/// The event that changed a list last: never an older one, and of no other list.
async fn what_changed_a_roster_last_is_known<S: MemberStore>(store: &S) {
    let acme = tenant("acme");
    let seq = async |tenant: &TenantId, number| {
        let seq = store.roster_seq(tenant, &conversation(number)).await.expect("a seq");
        seq.expect("nothing is being changed")
    };
    let rows = |many: usize, seq| {
        let name = |number| user(&format!("user-{number:04}"));
        row_effects(seq, (0..many).map(|number| (name(number), member(seq))).collect())
    };
    assert_eq!(seq(&acme, 1).await, 0, "nothing is known of an empty list");
    apply(store, 1, rows(700, 5)).await;
    assert_eq!(seq(&acme, 1).await, 5);
    apply(store, 1, rows(1, 3)).await;
    assert_eq!(seq(&acme, 1).await, 5, "an effect that comes late");
    apply(store, 1, joins(6, &["bob"])).await;
    assert_eq!(seq(&acme, 1).await, 5, "an effect on inboxes only");
    apply(store, 1, rows(1, 7)).await;
    assert_eq!(seq(&acme, 1).await, 7);
    assert_eq!(seq(&acme, 2).await, 0, "another conversation's");
    assert_eq!(seq(&tenant("zeta"), 1).await, 0, "another tenant's");
    let (room, nobody) = (conversation(1), Filter::BannedAt(0));
    let all = store.roster(&acme, &room, None, Filter::Listed, 1000).await.expect("roster");
    assert_eq!(all.len(), 700, "it stands in nobody's place");
    let none = store.roster(&acme, &room, None, nobody, 1000).await.expect("roster");
    assert_eq!(none, []);
}

/// Whoever finds a row finds a label that no list without it has, also where its writer
/// was cut off. Of a store whose statements fail and whose errors are not asked again.
///
/// # Errors
/// Which event was found, and under which label.
pub async fn labels_hold<S: MemberStore>(store: &S) -> Result<(), String> {
    let (acme, room) = (tenant("acme"), conversation(1));
    for seq in 1..=200 {
        let effects = row_effects(seq, vec![(user("bob"), member(seq))]);
        let _cut_off = store.apply(&acme, &room, effects).await.is_err();
        let rows = loop {
            if let Ok(rows) = store.roster(&acme, &room, None, Filter::Listed, 10).await {
                break rows;
            }
        };
        let label = loop {
            if let Ok(label) = store.roster_seq(&acme, &room).await {
                break label;
            }
        };
        let newest = rows.first().map_or(0, |(_, row)| row.applied_seq);
        if label.is_some_and(|label| label < newest) {
            return Err(format!("a row of event {newest} under {label:?}"));
        }
    }
    Ok(())
}

/// An effect is taken once, also after thousands of others, also out of order.
async fn an_inbox_takes_an_effect_once_for_ever<S: MemberStore>(store: &S) {
    assert_eq!(apply(store, 1, joins(1, &["bob"])).await.len(), 1);
    assert_eq!(apply(store, 1, joins(1, &["bob"])).await, [], "a duplicate is a no-op");
    assert_eq!(apply(store, 1, leaves(5, "bob")).await.len(), 1);
    for number in 10..90 {
        assert_eq!(apply(store, number, joins(1, &["bob"])).await.len(), 1);
    }
    let before = inbox(store, "bob").await;
    for late in [joins(1, &["bob"]), leaves(5, "bob"), joins(3, &["bob"]), leaves(4, "bob")] {
        assert_eq!(apply(store, 1, late).await, [], "a late effect is a no-op for ever");
    }
    assert_eq!(inbox(store, "bob").await, before);
    let list = store.memberships(&tenant("acme"), &user("bob")).await.expect("memberships");
    assert_eq!(list.head, 82);
    let (id, entry) = &list.entries[0];
    assert_eq!(*id, conversation(1));
    assert_eq!((entry.active, entry.join_seq, entry.leave_seq), (false, 1, 5));

    let again = apply(store, 1, joins(6, &["bob"])).await;
    assert_eq!(again[0].1.body, InboxBody::Joined { seq: 6, role: Role::Member });
    let list = store.memberships(&tenant("acme"), &user("bob")).await.expect("memberships");
    let entry = &list.entries[0].1;
    assert_eq!((entry.active, entry.join_seq, entry.leave_seq), (true, 6, 0));
}

/// One event reaches several inboxes; each counts for itself.
async fn an_inbox_is_dense<S: MemberStore>(store: &S) {
    let taken = apply(store, 1, joins(1, &["ada", "bob"])).await;
    let seqs: Vec<(&str, u64)> =
        taken.iter().map(|(user, event)| (user.as_str(), event.inbox_seq)).collect();
    assert_eq!(seqs, [("ada", 1), ("bob", 1)]);
    apply(store, 2, joins(1, &["bob"])).await;
    apply(store, 1, leaves(2, "bob")).await;
    let bodies: Vec<_> =
        inbox(store, "bob").await.into_iter().map(|e| (e.conversation, e.body)).collect();
    let joined = || InboxBody::Joined { seq: 1, role: Role::Member };
    let expected = [
        (Some(conversation(1)), joined()),
        (Some(conversation(2)), joined()),
        (Some(conversation(1)), InboxBody::Left { seq: 2 }),
    ];
    assert_eq!(bodies, expected);
    assert_eq!(inbox(store, "ada").await.len(), 1);
    assert_eq!(inbox(store, "nobody").await, []);
}

/// A read is told when the cursor grew, to users who are or were there.
async fn read_cursors_only_grow<S: MemberStore>(store: &S) {
    let (acme, room) = (tenant("acme"), conversation(1));
    let read = async |text: &str, seq| {
        store.record_read(&acme, &user(text), &room, seq, 30).await.expect("record")
    };
    assert_eq!(read("bob", 9).await, None, "a stranger's inbox takes nothing");
    assert_eq!(inbox(store, "bob").await, []);
    apply(store, 1, joins(3, &["bob"])).await;
    assert_eq!(read("bob", 3).await, None, "a cursor starts at the join");
    let moved = read("bob", 7).await.expect("moved");
    assert_eq!((moved.inbox_seq, moved.time, moved.body), (2, 30, InboxBody::Read { seq: 7 }));
    for seq in [7, 6, 0] {
        assert_eq!(read("bob", seq).await, None, "a cursor only grows");
    }
    assert_eq!(read("bob", 8).await.map(|event| event.inbox_seq), Some(3));
    assert_eq!(inbox(store, "bob").await.len(), 3);
}

/// A page begins after its cursor and ends at its limit or at the head.
async fn inboxes_are_paged<S: MemberStore>(store: &S) {
    for number in 0..10 {
        apply(store, number, joins(1, &["bob"])).await;
    }
    for (after, limit, expected) in
        [(0, 4, vec![1, 2, 3, 4]), (8, 4, vec![9, 10]), (10, 4, vec![]), (u64::MAX, 4, vec![])]
    {
        let page = store.inbox(&tenant("acme"), &user("bob"), after, limit).await.expect("page");
        let seqs: Vec<u64> = page.events.iter().map(|event| event.inbox_seq).collect();
        assert_eq!((page.head, seqs), (10, expected));
    }
}

/// The same names in two tenants are different things.
async fn tenants_never_meet<S: MemberStore>(store: &S) {
    let room = conversation(1);
    let mut effects = joins(1, &["bob"]);
    effects.rows = vec![(user("bob"), member(1))];
    apply(store, 1, effects).await;
    // Also not where the names run into each other: "acme" + "bob", "acmeb" + "ob".
    for (other, name) in [("zeta", "bob"), ("acm", "ebob"), ("acmeb", "ob")] {
        let (other, name) = (tenant(other), user(name));
        let names = [name.clone(), user("bob")];
        assert_eq!(store.members(&other, &room, &names).await.expect("members"), []);
        let roster = store.roster(&other, &room, None, Filter::Active, 10).await;
        assert_eq!(roster.expect("roster"), []);
        let list = store.memberships(&other, &name).await.expect("memberships");
        assert_eq!((list.head, list.entries.len()), (0, 0));
        assert_eq!(store.inbox(&other, &name, 0, 10).await.expect("inbox").events, []);
        let read = store.record_read(&other, &name, &room, 9, 1).await.expect("record");
        assert_eq!(read, None);
    }
    let taken = store.apply(&tenant("zeta"), &room, joins(1, &["bob"])).await.expect("apply");
    assert_eq!(taken[0].1.inbox_seq, 1, "each tenant's inbox counts for itself");
}

/// Effects of many conversations on the same inboxes at the same time.
async fn racing_effects_keep_every_inbox_dense<S: MemberStore>(store: &S) {
    let one = async |number: u8| {
        let mut got = Vec::new();
        for seq in 1..=5 {
            let effects =
                if seq % 2 == 1 { joins(seq, &["ada", "bob"]) } else { leaves(seq, "bob") };
            got.extend(apply(store, number, effects.clone()).await);
            got.extend(apply(store, number, effects).await);
        }
        got
    };
    let (a, b, c, d) = tokio::join!(one(1), one(2), one(3), one(4));
    let told: Vec<(UserId, InboxEvent)> = [a, b, c, d].into_iter().flatten().collect();
    let seqs: BTreeSet<(&str, u64)> =
        told.iter().map(|(user, event)| (user.as_str(), event.inbox_seq)).collect();
    assert_eq!(seqs.len(), told.len(), "no inbox gives a seq twice");
    assert_eq!(inbox(store, "bob").await.len(), 20);
    assert_eq!(inbox(store, "ada").await.len(), 12);
}

/// Those of the others who share with alice, however many calls it takes.
async fn sharing<S: MemberStore>(store: &S, others: &[&str]) -> Vec<String> {
    let others: Vec<UserId> = others.iter().map(|text| user(text)).collect();
    let (mut found, mut left) = (Vec::new(), &others[..]);
    while !left.is_empty() {
        let answer = store.sharing(&tenant("acme"), &user("alice"), left).await.expect("sharing");
        assert!((1..=left.len()).contains(&answer.checked), "it gets on");
        found.extend(answer.users.iter().map(ToString::to_string));
        left = &left[answer.checked..];
    }
    found
}

async fn sharing_is_of_now<S: MemberStore>(store: &S) {
    let others = ["bob", "carol", "alice", "dave", "nobody"];
    assert_eq!(sharing(store, &others).await, ["alice"], "a user shares with themselves");
    apply(store, 1, joins(1, &["alice", "bob"])).await;
    apply(store, 2, joins(1, &["alice", "carol"])).await;
    apply(store, 3, joins(1, &["carol", "dave"])).await;
    let elsewhere = joins(1, &["alice", "dave"]);
    store.apply(&tenant("other"), &conversation(4), elsewhere).await.expect("apply");
    assert_eq!(sharing(store, &others).await, ["bob", "carol", "alice"]);
    apply(store, 1, leaves(2, "bob")).await;
    apply(store, 2, leaves(2, "alice")).await;
    assert_eq!(sharing(store, &others).await, ["alice"], "whoever of the two left");
    apply(store, 1, joins(3, &["bob"])).await;
    assert_eq!(sharing(store, &others).await, ["bob", "alice"]);
}

/// Long inboxes that miss each other, and meet at their first or last conversation.
async fn sharing_is_found_among_many<S: MemberStore>(store: &S) {
    for number in 0..=255 {
        let whose: &[&str] = match number {
            0 => &["alice", "first"],
            255 => &["alice", "last", "many"],
            _ if number % 2 == 0 => &["alice"],
            _ => &["many", "never"],
        };
        apply(store, number, joins(1, whose)).await;
    }
    let others = ["never", "first", "many", "last"];
    assert_eq!(sharing(store, &others).await, ["first", "many", "last"]);
    apply(store, 255, leaves(2, "alice")).await;
    assert_eq!(sharing(store, &others).await, ["first"]);
}
