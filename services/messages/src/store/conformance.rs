//! The suite that a log store passes before it exists. Each check gets a store
//! of its own from the factory; a failed check panics with what it saw.

use std::{future::Future, num::NonZeroU64};

use confab_log::{
    Command, Content, ConversationId, Effects, Event, EventBody, Index, RequestId, Row, RowKey,
    TenantId, UserId,
    event::Role,
    inbox::{Change, InboxEffect},
    row::{MessageRow, ReactionsRow},
};

use super::{Cursors, Direction, LogKey, LogStore, Replaced, RuleStore, StoreResult};
use crate::rules::{Action, Matcher, Rule};

/// Runs every check.
pub async fn run<S, F, Fut>(factory: F) -> StoreResult<()>
where
    S: LogStore + RuleStore,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    appends_where_nothing_is(&factory().await).await?;
    appends_all_or_nothing(&factory().await).await?;
    reads_both_ways(&factory().await).await?;
    partitions_are_not_seen(&factory().await).await?;
    applies_only_newer_rows(&factory().await).await?;
    blanks_edits(&factory().await).await?;
    raises_only_upwards(&factory().await).await?;
    cursors_only_grow(&factory().await).await?;
    lists_reactions_by_pages(&factory().await).await?;
    marks_what_is_written(&factory().await).await?;
    finds_threads_and_mentions(&factory().await).await?;
    replaces_rules_by_their_version(&factory().await).await?;
    keeps_tenants_apart(&factory().await).await
}

fn id<T>(parsed: Result<T, confab_log::ids::InvalidId>) -> T {
    parsed.unwrap_or_else(|error| panic!("a name of the suite: {error}"))
}

fn user(name: &str) -> UserId {
    id(UserId::parse(name))
}

fn log(tenant: &str) -> LogKey {
    let tenant = id(TenantId::parse(tenant));
    let conversation = ConversationId::direct(&id(TenantId::parse("t")), &user("a"), &user("b"));
    LogKey { tenant, conversation }
}

fn message(seq: u64, text: &str) -> Event {
    let content = Content { text: text.to_owned(), ..Content::default() };
    let row = MessageRow::new(user("a"), content.clone(), seq);
    event(seq, EventBody::MessageCreated(row), &Command::send(content))
}

fn edited(content: Option<Content>) -> EventBody {
    EventBody::MessageEdited { target: 1, content, flags: Vec::new() }
}

fn event(seq: u64, body: EventBody, command: &Command) -> Event {
    Event {
        seq,
        ordinal: seq,
        last_message: seq,
        time: 1_000 * i64::try_from(seq).unwrap_or(0),
        actor: user("a"),
        request_id: id(RequestId::parse(&format!("r{seq}"))),
        digest: command.digest(&[7; 32]),
        body,
    }
}

async fn appends_where_nothing_is(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    assert_eq!(store.end(&key).await?, None, "an empty log has no end");
    assert!(store.append(&key, vec![message(1, "one")], 1).await?);
    assert!(!store.append(&key, vec![message(1, "other")], 1).await?, "row 1 exists");
    let end = store.end(&key).await?.unwrap_or_else(|| panic!("there is an end"));
    assert_eq!((end.head, end.applied_through), (message(1, "one"), 0));
    Ok(())
}

async fn appends_all_or_nothing(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    assert!(store.append(&key, vec![message(1, "one"), message(2, "two")], 1).await?);
    assert!(!store.append(&key, vec![message(2, "x"), message(3, "y")], 1).await?);
    let rows = store.read(&key, 1, 9, Direction::OldestFirst, 9).await?;
    assert_eq!(rows, vec![message(1, "one"), message(2, "two")], "nothing of the lost batch");
    Ok(())
}

async fn reads_both_ways(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    // Past 256 and 65,536 the order of the bytes must still be that of the numbers.
    fill(store, &key, 600).await?;
    let seqs = |rows: Vec<Event>| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    let up = store.read(&key, 254, 259, Direction::OldestFirst, 4).await?;
    assert_eq!(seqs(up), [254, 255, 256, 257]);
    let down = store.read(&key, 254, 259, Direction::NewestFirst, 4).await?;
    assert_eq!(seqs(down), [259, 258, 257, 256]);
    assert!(store.read(&key, 5, 4, Direction::OldestFirst, 4).await?.is_empty());
    Ok(())
}

/// Appends messages up to this row, as many at once as the store takes.
async fn fill(store: &impl LogStore, key: &LogKey, to: u64) -> StoreResult<()> {
    let rows = store.append_bounds().partition_rows.map_or(to, NonZeroU64::get);
    let mut next = store.end(key).await?.map_or(1, |end| end.head.seq + 1);
    while next <= to {
        let last = to.min(next.div_ceil(rows) * rows);
        let events: Vec<_> = (next..=last).map(|seq| message(seq, "m")).collect();
        assert!(store.append(key, events, 1).await?);
        next = last + 1;
    }
    Ok(())
}

/// Where a store keeps rows in partitions, nobody sees where one ends.
async fn partitions_are_not_seen(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    let rows = store.append_bounds().partition_rows.map_or(4, NonZeroU64::get).min(4096);
    let seqs = |rows: Vec<Event>| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    for head in [rows - 1, rows, rows + 1, 2 * rows, 2 * rows + 1] {
        fill(store, &key, head).await?;
        let end = store.end(&key).await?;
        assert_eq!(end.map(|end| end.head.seq), Some(head), "the end of {head} rows");
        for known in [1, head.min(rows), head] {
            let found = store.head_from(&key, known).await?;
            assert_eq!(found, head, "the end of {head} rows, for who knows of {known}");
        }
        let newest = store.read(&key, 1, u64::MAX, Direction::NewestFirst, 2).await?;
        assert_eq!(seqs(newest), [head, head - 1]);
        assert!(!store.append(&key, vec![message(head, "taken")], 1).await?);
    }
    let (from, to) = (rows - 1, rows + 2);
    let up = store.read(&key, from, to, Direction::OldestFirst, 9).await?;
    assert_eq!(seqs(up), (from..=to).collect::<Vec<_>>());
    let down = store.read(&key, from, to, Direction::NewestFirst, 3).await?;
    assert_eq!(seqs(down), [to, to - 1, to - 2]);
    let all = store.read(&key, 1, u64::MAX, Direction::OldestFirst, usize::MAX).await?;
    assert_eq!(seqs(all), (1..=2 * rows + 1).collect::<Vec<_>>());
    Ok(())
}

async fn applies_only_newer_rows(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    assert!(store.append(&key, vec![message(1, "one")], 1).await?);
    let edit = |seq: u64, text: &str| {
        let EventBody::MessageCreated(mut row) = message(1, text).body else { panic!("a message") };
        row.applied_seq = seq;
        let rows = vec![(RowKey::Message(1), Row::Message(row.clone()))];
        (Effects { rows, ..Effects::default() }, row)
    };
    let (newer, row) = edit(5, "five");
    store.apply(&key, &message(5, ""), &newer).await?;
    store.apply(&key, &message(3, ""), &edit(3, "three").0).await?;
    store.apply(&key, &message(5, ""), &edit(5, "again").0).await?;
    let loaded = store.load(&key, &[RowKey::Message(1), RowKey::Message(2)]).await?;
    let expected = vec![(RowKey::Message(1), Some(Row::Message(row))), (RowKey::Message(2), None)];
    assert_eq!(loaded, expected, "an older or equal effect is a no-op");
    Ok(())
}

async fn blanks_edits(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    let secret = Content { text: "secret".to_owned(), ..Content::default() };
    let body = edited(Some(secret.clone()));
    let edit = event(2, body, &Command::edit(1, secret));
    assert!(store.append(&key, vec![message(1, "one"), edit.clone()], 1).await?);
    let blanking = Effects { blanked: vec![2], ..Effects::default() };
    for _ in 0..2 {
        store.apply(&key, &message(3, ""), &blanking).await?;
    }
    let rows = store.read(&key, 2, 2, Direction::OldestFirst, 1).await?;
    let blanked = Event { body: edited(None), ..edit };
    assert_eq!(rows, vec![blanked], "sender, request id and digest stay");
    Ok(())
}

async fn raises_only_upwards(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    assert!(store.append(&key, vec![message(1, "one")], 1).await?);
    for through in [1, 7, 3] {
        store.raise(&key, through).await?;
    }
    let end = store.end(&key).await?;
    assert_eq!(end.map(|end| end.applied_through), Some(7));
    Ok(())
}

async fn cursors_only_grow(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    let at = |read_seq, delivered_seq| Cursors { read_seq, read_ordinal: read_seq, delivered_seq };
    assert_eq!(store.cursors(&key, &user("a")).await?, Cursors::default());
    let (before, after) = store.raise_cursors(&key, &user("a"), at(4, 4)).await?;
    assert_eq!((before, after), (Cursors::default(), at(4, 4)));
    let (_, after) = store.raise_cursors(&key, &user("a"), at(2, 9)).await?;
    assert_eq!(after, at(4, 9), "each cursor on its own");
    let joined = InboxEffect { user: user("b"), change: Change::Joined(Role::Member) };
    let effects = Effects { inbox: vec![joined], ..Effects::default() };
    store.apply(&key, &message(6, ""), &effects).await?;
    assert_eq!(store.cursors(&key, &user("b")).await?, at(6, 6), "a joiner starts at the join");
    let all = store.list_cursors(&key, None, 1).await?;
    assert_eq!(all, vec![(user("a"), at(4, 9))]);
    let rest = store.list_cursors(&key, Some(&user("a")), 5).await?;
    assert_eq!(rest, vec![(user("b"), at(6, 6))]);
    Ok(())
}

async fn lists_reactions_by_pages(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    assert!(store.append(&key, vec![message(1, "one")], 1).await?);
    for (seq, (name, emoji)) in (2..).zip([("a", "+1"), ("b", ""), ("c", "-1")]) {
        let emoji = Some(emoji.to_owned()).filter(|emoji| !emoji.is_empty());
        let row = ReactionsRow { emoji: emoji.into_iter().collect(), applied_seq: seq };
        let rows = vec![(RowKey::Reactions(1, user(name)), Row::Reactions(row))];
        store.apply(&key, &message(seq, ""), &Effects { rows, ..Effects::default() }).await?;
    }
    let first = store.list_reactions(&key, 1, None, 1).await?;
    assert_eq!(first, vec![(user("a"), vec!["+1".to_owned()])]);
    let rest = store.list_reactions(&key, 1, Some(&user("a")), 5).await?;
    assert_eq!(rest, vec![(user("c"), vec!["-1".to_owned()])], "empty rows are left out");
    Ok(())
}

async fn marks_what_is_written(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    assert!(store.append(&key, vec![message(1, "one")], 7).await?);
    assert!(store.append(&key, vec![message(2, "two")], 8).await?);
    assert_eq!(store.marks(None, 1).await?, vec![(7, key.clone())]);
    assert_eq!(store.marks(Some((7, key.clone())), 9).await?, vec![(8, key.clone())]);
    store.clear_mark(7, &key).await?;
    assert_eq!(store.marks(None, 9).await?, vec![(8, key)]);
    Ok(())
}

async fn keeps_tenants_apart(store: &impl LogStore) -> StoreResult<()> {
    let (one, other) = (log("t1"), log("t2"));
    assert!(store.append(&one, vec![message(1, "mine")], 1).await?);
    assert_eq!(store.end(&other).await?, None, "another tenant's log");
    assert!(store.append(&other, vec![message(1, "theirs")], 1).await?);
    let rows = store.read(&one, 1, 9, Direction::OldestFirst, 9).await?;
    assert_eq!(rows, vec![message(1, "mine")]);
    Ok(())
}

async fn finds_threads_and_mentions(store: &impl LogStore) -> StoreResult<()> {
    let key = log("t");
    let thread = |root, message| Index::Thread { root, message };
    let mention = |name: &str, message| Index::Mention { user: user(name), message };
    let index = vec![thread(1, 4), thread(1, 300), mention("a", 4), mention("ab", 5)];
    let effects = Effects { index, ..Effects::default() };
    // Told twice, as after a crash.
    store.apply(&key, &message(300, ""), &effects).await?;
    store.apply(&key, &message(300, ""), &effects).await?;
    let later = Effects { index: vec![thread(2, 5), mention("a", 300)], ..Effects::default() };
    store.apply(&key, &message(300, ""), &later).await?;
    let up = store.list_thread(&key, 1, 1, 999, Direction::OldestFirst, 9).await?;
    assert_eq!(up, [4, 300], "one thread only, each message once");
    let down = store.list_thread(&key, 1, 1, 999, Direction::NewestFirst, 1).await?;
    assert_eq!(down, [300]);
    assert_eq!(store.list_thread(&key, 1, 5, 299, Direction::OldestFirst, 9).await?, [0; 0]);
    assert_eq!(store.list_mentions(&key, &user("a"), 0, 9).await?, [4, 300], "not those of ab");
    assert_eq!(store.list_mentions(&key, &user("a"), 4, 9).await?, [300]);
    assert_eq!(store.list_mentions(&key, &user("a"), 0, 1).await?, [4]);
    assert_eq!(store.list_mentions(&log("other"), &user("a"), 0, 9).await?, [0; 0]);
    Ok(())
}

async fn replaces_rules_by_their_version(store: &impl RuleStore) -> StoreResult<()> {
    let tenant = log("t").tenant;
    let rule = |name: &str| Rule {
        name: name.to_owned(),
        matcher: Matcher::Words(vec!["word".to_owned()]),
        action: Action::Flag,
    };
    assert_eq!(store.rules(&tenant).await?, None);
    let first = store.replace_rules(&tenant, Some(0), vec![rule("one")], 7).await?;
    let Replaced::Stored(first) = first else { panic!("{first:?}") };
    assert_eq!((first.version, first.time), (1, 7));
    assert_eq!(store.rules(&tenant).await?.as_ref(), Some(&first));
    let stale = store.replace_rules(&tenant, Some(0), vec![rule("two")], 8).await?;
    assert_eq!(stale, Replaced::Stale(1));
    let forced = store.replace_rules(&tenant, None, Vec::new(), 9).await?;
    assert!(matches!(forced, Replaced::Stored(stored) if stored.version == 2));
    assert_eq!(store.rules(&log("other").tenant).await?, None, "tenants have their own");
    Ok(())
}
