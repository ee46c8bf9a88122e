//! What a log says, folded from scratch: the measure for everything that nodes
//! and projections claim. It shares nothing with a node's memory.

use std::collections::{BTreeMap, BTreeSet};

use confab_log::{
    Digest, Event, EventBody, Index, Micros, RequestId, Row, RowKey, Seq, UserId, event::Sentence,
    fold, inbox::Change, state::View,
};

use super::shared::Shared;

/// The whole state after a prefix of a log.
#[derive(Clone, Debug, Default)]
pub struct Prefix {
    seq: Seq,
    ordinal: u64,
    last_message: Seq,
    time: Micros,
    ids: BTreeMap<(UserId, RequestId), (Digest, Seq)>,
    /// Every row there is.
    pub rows: BTreeMap<RowKey, Row>,
    /// Who is in, muted or banned, told from the events alone.
    pub people: People,
}

impl View for Prefix {
    fn seq(&self) -> Seq {
        self.seq
    }
    fn ordinal(&self) -> u64 {
        self.ordinal
    }
    fn last_message(&self) -> Seq {
        self.last_message
    }
    fn time(&self) -> Micros {
        self.time
    }
    fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(key)
    }
    fn known(&self, sender: &UserId, request: &RequestId) -> Option<(Digest, Seq)> {
        self.ids.get(&(sender.clone(), request.clone())).copied()
    }
}

/// Membership told without `fold`: an oracle small enough to be seen right.
#[derive(Clone, Debug, Default)]
pub struct People {
    active: BTreeSet<UserId>,
    muted: BTreeMap<UserId, Option<Micros>>,
    banned: BTreeMap<UserId, Option<Micros>>,
}

impl People {
    /// Whether the user may write at this time.
    pub fn may_write(&self, user: &UserId, time: Micros) -> bool {
        let holds = |sentence: Option<&Option<Micros>>| {
            sentence.is_some_and(|until| until.is_none_or(|until| time < until))
        };
        self.active.contains(user) && !holds(self.muted.get(user)) && !holds(self.banned.get(user))
    }

    fn step(&mut self, event: &Event) {
        match &event.body {
            EventBody::ConversationCreated(creation) => {
                let users = creation.participants.iter();
                self.active.extend(users.map(|user| user.user.clone()));
            }
            EventBody::ParticipantsJoined(users) => {
                for user in users {
                    self.active.insert(user.user.clone());
                    self.muted.remove(&user.user);
                    self.banned.remove(&user.user);
                }
            }
            EventBody::ParticipantLeft { user, .. } => {
                self.active.remove(user);
            }
            EventBody::ParticipantMuted(Sentence { user, until, .. }) => {
                self.muted.insert(user.clone(), *until);
            }
            EventBody::ParticipantUnmuted { user } => {
                self.muted.remove(user);
            }
            EventBody::ParticipantBanned(Sentence { user, until, .. }) => {
                self.active.remove(user);
                self.banned.insert(user.clone(), *until);
            }
            EventBody::ParticipantUnbanned { user } => {
                self.banned.remove(user);
            }
            _ => {}
        }
    }
}

/// A log and all that follows from it.
#[derive(Debug, Default)]
pub struct History {
    /// The state after 0, 1, 2 … events.
    pub prefixes: Vec<Prefix>,
    /// What each inbox has to say in the end, with the event that says it.
    pub inboxes: BTreeMap<UserId, Vec<(Seq, Change)>>,
    /// Deletions and the edits that each blanks.
    pub blanked: Vec<(Seq, Seq)>,
    /// Entries of the index and the event that makes each.
    pub index: Vec<(Seq, Index)>,
}

impl History {
    /// Folds a log.
    pub fn of(log: &[Shared<Event>]) -> Self {
        let mut history = Self { prefixes: vec![Prefix::default()], ..Self::default() };
        for event in log {
            history.push(event);
        }
        history
    }

    /// The state after `seq` events; the last one where there are fewer.
    pub fn at(&self, seq: Seq) -> &Prefix {
        let last = self.prefixes.len() - 1;
        &self.prefixes[usize::try_from(seq).unwrap_or(last).min(last)]
    }

    fn push(&mut self, event: &Event) {
        let mut next = self.at(Seq::MAX).clone();
        let effects = fold(&next, event);
        next.rows.extend(effects.rows);
        if let EventBody::MessageCreated(message) = &event.body {
            let row = Row::Message(message.clone());
            next.rows.insert(RowKey::Message(event.seq), row);
        }
        let id = (event.actor.clone(), event.request_id.clone());
        next.ids.insert(id, (event.digest, event.seq));
        next.people.step(event);
        next.seq = event.seq;
        next.ordinal = event.ordinal;
        next.last_message = event.last_message;
        next.time = event.time;
        self.prefixes.push(next);
        for effect in effects.inbox {
            let inbox = self.inboxes.entry(effect.user).or_default();
            inbox.push((event.seq, effect.change));
        }
        let blanked = effects.blanked.into_iter();
        self.blanked.extend(blanked.map(|seq| (event.seq, seq)));
        let index = effects.index.into_iter();
        self.index.extend(index.map(|entry| (event.seq, entry)));
    }
}
