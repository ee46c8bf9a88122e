//! `fold(state, event) → changed rows`.
//!
//! Folding is total: an event in the log has happened, and nothing here can
//! refuse it. It is idempotent: a row whose `applied_seq` is at or above the
//! event's already holds the change and is left alone. And it is whole: what
//! comes out are complete rows, so applying an effect is one conditional write
//! ("unless the stored row is as new") that a crash can only repeat.

use crate::{
    Event, EventBody, Row, RowKey, Seq, UserId,
    event::{Assignment, Creation, Description, Role, Sentence},
    inbox::{Change, InboxEffect},
    row::{
        ConversationRow, Interval, MemberRow, MessageRow, ReactionCount, ReactionsRow, Restriction,
    },
    state::View,
};

/// What an event changes besides the log itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effects {
    /// Changed rows, whole; their `applied_seq` is the event's seq.
    pub rows: Vec<(RowKey, Row)>,
    /// Edit events whose content is to be blanked.
    pub blanked: Vec<Seq>,
    /// What users' inboxes are told.
    pub inbox: Vec<InboxEffect>,
}

impl Effects {
    /// Whether there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.blanked.is_empty() && self.inbox.is_empty()
    }
}

/// The rows that folding `event` needs.
pub fn names(event: &Event) -> Vec<RowKey> {
    let members = |users: &[Assignment]| -> Vec<RowKey> {
        users.iter().map(|assignment| RowKey::Member(assignment.user.clone())).collect()
    };
    match &event.body {
        EventBody::ConversationCreated(Creation { participants, .. }) => {
            with_conversation(members(participants))
        }
        EventBody::ConversationUpdated(_)
        | EventBody::ConversationArchived
        | EventBody::ConversationUnarchived
        | EventBody::ConversationDeleted
        | EventBody::ConversationRestored => vec![RowKey::Conversation],
        EventBody::MessageCreated(_) => Vec::new(),
        EventBody::MessageEdited { target, .. } | EventBody::MessageDeleted { target } => {
            vec![RowKey::Message(*target)]
        }
        EventBody::ReactionAdded { target, .. } | EventBody::ReactionRemoved { target, .. } => {
            vec![RowKey::Message(*target), RowKey::Reactions(*target, event.actor.clone())]
        }
        EventBody::ParticipantsJoined(users) => with_conversation(members(users)),
        EventBody::RolesChanged(users) => members(users),
        EventBody::ParticipantLeft { user, .. }
        | EventBody::ParticipantBanned(Sentence { user, .. }) => {
            with_conversation(vec![RowKey::Member(user.clone())])
        }
        EventBody::ParticipantMuted(Sentence { user, .. })
        | EventBody::ParticipantUnmuted { user }
        | EventBody::ParticipantUnbanned { user } => vec![RowKey::Member(user.clone())],
    }
}

fn with_conversation(mut keys: Vec<RowKey>) -> Vec<RowKey> {
    keys.push(RowKey::Conversation);
    keys
}

/// Folds one event over the rows it names.
pub fn fold(view: &impl View, event: &Event) -> Effects {
    let mut folding = Folding { view, event, effects: Effects::default() };
    folding.run();
    folding.effects
}

struct Folding<'a, V> {
    view: &'a V,
    event: &'a Event,
    effects: Effects,
}

impl<V: View> Folding<'_, V> {
    fn run(&mut self) {
        match &self.event.body {
            EventBody::ConversationCreated(creation) => self.create(creation),
            EventBody::ConversationUpdated(changes) => self.describe(|row| merge(row, changes)),
            EventBody::ConversationArchived => {
                let time = self.event.time;
                self.describe(|row| row.archive_time = Some(time));
            }
            EventBody::ConversationUnarchived => self.describe(|row| row.archive_time = None),
            EventBody::ConversationDeleted => {
                let time = self.event.time;
                self.describe(|row| row.delete_time = Some(time));
            }
            EventBody::ConversationRestored => self.describe(|row| row.delete_time = None),
            // The event's row is the message: appending it was the whole effect.
            EventBody::MessageCreated(_) => {}
            EventBody::MessageEdited { target, content } => {
                let (seq, time) = (self.event.seq, self.event.time);
                self.message(*target, |row| {
                    row.content.clone_from(content);
                    row.edit_time = Some(time);
                    row.edits.push(seq);
                });
            }
            EventBody::MessageDeleted { target } => self.delete_message(*target),
            EventBody::ReactionAdded { target, emoji } => self.react(*target, emoji, true),
            EventBody::ReactionRemoved { target, emoji } => self.react(*target, emoji, false),
            EventBody::ParticipantsJoined(users) => {
                let joined = u32::try_from(users.len()).unwrap_or(u32::MAX);
                self.join_all(users);
                self.conversation(|row| row.participant_count += joined);
            }
            EventBody::ParticipantLeft { user, .. } => self.leave(user, |_| {}),
            EventBody::RolesChanged(changes) => {
                for change in changes {
                    self.member(&change.user, |row| row.role = change.role);
                }
            }
            EventBody::ParticipantMuted(sentence) => {
                let mute = self.restriction(sentence);
                self.member(&sentence.user, |row| row.mute = Some(mute));
            }
            EventBody::ParticipantUnmuted { user } => self.member(user, |row| row.mute = None),
            EventBody::ParticipantBanned(sentence) => self.ban(sentence),
            EventBody::ParticipantUnbanned { user } => self.member(user, |row| row.ban = None),
        }
    }

    fn create(&mut self, creation: &Creation) {
        let event = self.event;
        self.join_all(&creation.participants);
        if self.view.row(&RowKey::Conversation).is_some() {
            return;
        }
        let mut row = ConversationRow {
            kind: creation.kind,
            title: String::new(),
            description: String::new(),
            avatar_url: String::new(),
            metadata: std::collections::BTreeMap::new(),
            creator: event.actor.clone(),
            create_request_id: event.request_id.clone(),
            create_digest: event.digest,
            participant_count: u32::try_from(creation.participants.len()).unwrap_or(u32::MAX),
            create_time: event.time,
            update_time: event.time,
            archive_time: None,
            delete_time: None,
            version_seq: event.seq,
            applied_seq: event.seq,
        };
        merge(&mut row, &creation.description);
        self.effects.rows.push((RowKey::Conversation, Row::Conversation(row)));
    }

    fn conversation(&mut self, change: impl FnOnce(&mut ConversationRow)) {
        let Some(Row::Conversation(row)) = self.view.row(&RowKey::Conversation) else {
            return;
        };
        if row.applied_seq >= self.event.seq {
            return;
        }
        let mut row = row.clone();
        change(&mut row);
        row.applied_seq = self.event.seq;
        self.effects.rows.push((RowKey::Conversation, Row::Conversation(row)));
    }

    /// A change that people see in the conversation: the etag moves.
    fn describe(&mut self, change: impl FnOnce(&mut ConversationRow)) {
        let (seq, time) = (self.event.seq, self.event.time);
        self.conversation(|row| {
            change(row);
            row.update_time = time;
            row.version_seq = seq;
        });
    }

    /// Changes a member row unless it holds the event already.
    fn member(&mut self, user: &UserId, change: impl FnOnce(&mut MemberRow)) {
        let key = RowKey::Member(user.clone());
        let mut row = match self.view.row(&key) {
            Some(Row::Member(row)) if row.applied_seq >= self.event.seq => return,
            Some(Row::Member(row)) => row.clone(),
            _ => stranger(),
        };
        change(&mut row);
        row.applied_seq = self.event.seq;
        self.effects.rows.push((key, Row::Member(row)));
    }

    fn join_all(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            self.join(assignment);
        }
    }

    fn join(&mut self, assignment: &Assignment) {
        let (seq, time) = (self.event.seq, self.event.time);
        self.member(&assignment.user, |row| {
            row.role = assignment.role;
            row.intervals.push(Interval { join: seq, leave: None });
            row.join_time = time;
            row.leave_time = None;
            // A join says all of a member: whoever folds from it needs no past.
            row.mute = None;
            row.ban = None;
        });
        // Told even when the row was written before: a crash may have come between.
        let change = Change::Joined(assignment.role);
        self.effects.inbox.push(InboxEffect { user: assignment.user.clone(), change });
    }

    fn leave(&mut self, user: &UserId, also: impl FnOnce(&mut MemberRow)) {
        let (seq, time) = (self.event.seq, self.event.time);
        self.member(user, |row| {
            if let Some(interval) = row.intervals.last_mut() {
                interval.leave = Some(seq);
            }
            row.leave_time = Some(time);
            also(row);
        });
        self.effects.inbox.push(InboxEffect { user: user.clone(), change: Change::Left });
        self.conversation(|row| {
            row.participant_count = row.participant_count.saturating_sub(1);
            // "Nobody is left" is derived here; it is not an event of its own.
            if row.participant_count == 0 && row.delete_time.is_none() {
                row.delete_time = Some(time);
                row.update_time = time;
                row.version_seq = seq;
            }
        });
    }

    fn ban(&mut self, sentence: &Sentence) {
        let ban = self.restriction(sentence);
        if self.was_active(&sentence.user) {
            self.leave(&sentence.user, |row| row.ban = Some(ban));
        } else {
            self.member(&sentence.user, |row| row.ban = Some(ban));
        }
    }

    /// Whether the user was a participant just before this event, also when the
    /// row already holds the event.
    fn was_active(&self, user: &UserId) -> bool {
        let Some(Row::Member(row)) = self.view.row(&RowKey::Member(user.clone())) else {
            return false;
        };
        let seq = self.event.seq;
        row.intervals.iter().any(|i| i.join < seq && i.leave.is_none_or(|leave| leave >= seq))
    }

    fn restriction(&self, sentence: &Sentence) -> Restriction {
        Restriction {
            until: sentence.until,
            reason: sentence.reason.clone(),
            actor: self.event.actor.clone(),
            time: self.event.time,
        }
    }

    fn message(&mut self, target: Seq, change: impl FnOnce(&mut MessageRow)) {
        let key = RowKey::Message(target);
        let Some(Row::Message(row)) = self.view.row(&key) else {
            return;
        };
        if row.applied_seq >= self.event.seq {
            return;
        }
        let mut row = row.clone();
        change(&mut row);
        row.applied_seq = self.event.seq;
        self.effects.rows.push((key, Row::Message(row)));
    }

    fn delete_message(&mut self, target: Seq) {
        let time = self.event.time;
        if let Some(Row::Message(row)) = self.view.row(&RowKey::Message(target)) {
            // Blanked again at every repeat: a crash may have come between.
            self.effects.blanked.clone_from(&row.edits);
        }
        self.message(target, |row| {
            row.content = None;
            row.reactions.clear();
            row.delete_time = Some(time);
        });
    }

    fn react(&mut self, target: Seq, emoji: &str, added: bool) {
        self.message(target, |row| {
            count_reaction(&mut row.reactions, emoji, added);
        });
        let key = RowKey::Reactions(target, self.event.actor.clone());
        let mut row = match self.view.row(&key) {
            Some(Row::Reactions(row)) if row.applied_seq >= self.event.seq => return,
            Some(Row::Reactions(row)) => row.clone(),
            _ => ReactionsRow::default(),
        };
        row.emoji.retain(|known| known != emoji);
        if added {
            row.emoji.push(emoji.to_owned());
        }
        row.applied_seq = self.event.seq;
        self.effects.rows.push((key, Row::Reactions(row)));
    }
}

fn stranger() -> MemberRow {
    MemberRow {
        role: Role::Member,
        intervals: Vec::new(),
        join_time: 0,
        leave_time: None,
        mute: None,
        ban: None,
        applied_seq: 0,
    }
}

fn merge(row: &mut ConversationRow, changes: &Description) {
    let text = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    text(&mut row.title, &changes.title);
    text(&mut row.description, &changes.description);
    text(&mut row.avatar_url, &changes.avatar_url);
    if let Some(metadata) = &changes.metadata {
        row.metadata.clone_from(metadata);
    }
}

fn count_reaction(counts: &mut Vec<ReactionCount>, emoji: &str, added: bool) {
    match counts.iter_mut().find(|count| count.emoji == emoji) {
        Some(count) if added => count.count += 1,
        Some(count) => count.count = count.count.saturating_sub(1),
        None if added => counts.push(ReactionCount { emoji: emoji.to_owned(), count: 1 }),
        None => {}
    }
    counts.retain(|count| count.count > 0);
}
