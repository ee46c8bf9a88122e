//! One log: dense, in order, one event for each request id, and folded to
//! exactly the rows that are kept.

use std::collections::{BTreeSet, HashSet};

use confab_conversations::ConversationStore as _;
use confab_log::{
    Content, Event, EventBody, Row, RowKey, Seq, State, fold::names, row::MessageRow,
    state::View as _,
};
use confab_messages::store::{Direction, LogKey, LogStore as _};
use confab_participants::MemberStore as _;

use super::{Report, Stores, inboxes::Inboxes};
use crate::Failure;

const PAGE: u64 = 1024;

/// The fold of one log so far, and what it has touched.
struct Replay {
    state: State,
    ids: HashSet<(confab_log::UserId, confab_log::RequestId)>,
    touched: BTreeSet<RowKey>,
    /// Messages whose rows say that an event after them changed them.
    changed: BTreeSet<Seq>,
}

/// Verifies one log and tells the inboxes what it expects of them.
pub(super) async fn verify(
    stores: &Stores,
    key: &LogKey,
    report: &mut Report,
    inboxes: &mut Inboxes,
) -> Result<(), Failure> {
    let Some(end) = stores.logs.end(key).await? else { return Ok(()) };
    let mut replay = Replay {
        state: State::default(),
        ids: HashSet::new(),
        touched: BTreeSet::new(),
        changed: BTreeSet::new(),
    };
    report.logs += 1;
    while replay.state.seq() < end.head.seq {
        let from = replay.state.seq() + 1;
        let to = end.head.seq.min(from + PAGE - 1);
        let page = stores.logs.read(key, from, to, Direction::OldestFirst, 1024).await?;
        if page.is_empty() {
            report.find(key, format!("events {from} to {to} are missing"));
            return Ok(());
        }
        for event in page {
            if event.seq != replay.state.seq() + 1 {
                report.find(key, format!("event {} follows {}", event.seq, replay.state.seq()));
                return Ok(());
            }
            replay.check(key, &event, report);
            replay.load(stores, key, &event).await?;
            let effects = replay.state.fold(&event);
            inboxes.expect(key, &event, &effects, end.applied_through);
            replay.touched.extend(effects.rows.into_iter().map(|(name, _)| name));
            report.events += 1;
        }
    }
    if end.applied_through > end.head.seq {
        report.find(key, format!("applied_through {} is above the head", end.applied_through));
    }
    replay.compare(stores, key, end.applied_through, report).await
}

impl Replay {
    fn check(&mut self, key: &LogKey, event: &Event, report: &mut Report) {
        let seq = event.seq;
        let message = match &event.body {
            EventBody::MessageCreated(row) => Some(row),
            _ => None,
        };
        report.messages += u64::from(message.is_some());
        let ordinal = self.state.ordinal() + u64::from(message.is_some());
        if event.ordinal != ordinal {
            report.find(key, format!("event {seq} has ordinal {}, not {ordinal}", event.ordinal));
        }
        let last = if message.is_some() { seq } else { self.state.last_message() };
        if event.last_message != last {
            report.find(key, format!("event {seq} points to message {}", event.last_message));
        }
        if event.time < self.state.time() {
            report.find(key, format!("event {seq} is older than its predecessor"));
        }
        if !self.ids.insert((event.actor.clone(), event.request_id.clone())) {
            report.find(key, format!("event {seq} repeats a request id"));
        }
        let first = matches!(event.body, EventBody::ConversationCreated(_));
        if first != (seq == 1) {
            report.find(key, format!("event {seq} is a creation, or event 1 is none"));
        }
        if message.is_some_and(|row| row.applied_seq > seq) {
            self.changed.insert(seq);
        }
    }

    /// Every row begins from nothing; a message begins as it was sent, without
    /// its first content, which later events may have erased.
    async fn load(&mut self, stores: &Stores, key: &LogKey, event: &Event) -> Result<(), Failure> {
        for name in self.state.missing(names(event)) {
            let row = match &name {
                RowKey::Message(seq) => {
                    let found =
                        stores.logs.read(key, *seq, *seq, Direction::OldestFirst, 1).await?;
                    found.first().and_then(as_sent).map(Row::Message)
                }
                _ => None,
            };
            self.state.insert(vec![(name, row)]);
        }
        Ok(())
    }

    async fn compare(
        &self,
        stores: &Stores,
        key: &LogKey,
        applied_through: Seq,
        report: &mut Report,
    ) -> Result<(), Failure> {
        for name in &self.touched {
            let Some(folded) = self.state.row(name) else { continue };
            let kept = stored(stores, key, name).await?;
            if kept.as_ref().is_some_and(|kept| same(kept, folded)) {
                continue;
            }
            let behind = kept.as_ref().is_none_or(|row| row.applied_seq() < folded.applied_seq());
            if behind && folded.applied_seq() > applied_through {
                report.open += 1;
            } else {
                report.find(key, format!("{name:?} is not what the log folds to"));
            }
        }
        for seq in &self.changed {
            if !self.touched.contains(&RowKey::Message(*seq)) {
                report.find(key, format!("message {seq} was changed by no event"));
            }
        }
        Ok(())
    }
}

fn as_sent(event: &Event) -> Option<MessageRow> {
    match &event.body {
        // What was sent with it stays; what later events change is left out.
        EventBody::MessageCreated(row) => Some(MessageRow {
            content: None,
            reply_to: row.reply_to,
            thread: row.thread,
            flags: row.flags.clone(),
            ..MessageRow::new(event.actor.clone(), Content::default(), event.seq)
        }),
        _ => None,
    }
}

/// Equal, as far as the log can tell: the content of a message that was never
/// edited is only in its row.
fn same(stored: &Row, folded: &Row) -> bool {
    let (Row::Message(stored), Row::Message(folded)) = (stored, folded) else {
        return stored == folded;
    };
    let deleted = folded.delete_time.is_some();
    let content = match (&stored.content, &folded.content) {
        (content, _) if deleted => content.is_none(),
        (Some(_), None) => folded.edits.is_empty(),
        (stored, folded) => stored.is_some() && stored == folded,
    };
    content && MessageRow { content: folded.content.clone(), ..stored.clone() } == *folded
}

async fn stored(stores: &Stores, key: &LogKey, name: &RowKey) -> Result<Option<Row>, Failure> {
    let (tenant, conversation) = (&key.tenant, &key.conversation);
    Ok(match name {
        RowKey::Conversation => {
            stores.conversations.row(tenant, conversation).await?.map(Row::Conversation)
        }
        RowKey::Member(user) => {
            let users = [user.clone()];
            let mut rows = stores.members.members(tenant, conversation, &users).await?;
            rows.pop().map(|(_, row)| Row::Member(row))
        }
        RowKey::Message(_) | RowKey::Reactions(..) => {
            let mut rows = stores.logs.load(key, std::slice::from_ref(name)).await?;
            rows.pop().and_then(|(_, row)| row)
        }
    })
}
