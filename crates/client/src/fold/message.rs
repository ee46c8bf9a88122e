//! Messages and reactions under events.
//!
//! An event is the same bytes for every reader, so it cannot say which reactions
//! are the reader's own. They are therefore an object of their own, with a guard
//! of its own: read from a snapshot's `reacted`, then moved by the reader's own
//! reaction events, all of which follow the message in the log.

use std::collections::BTreeSet;

use confab_proto::messages::v1::{Content, Event, Message, ReactionCount, ThreadSummary};

use super::ConversationState;

/// A message and the reader's own reactions to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MessageEntry {
    pub(super) message: Message,
    own_reactions: BTreeSet<String>,
    /// The last event that `own_reactions` reflects.
    own_applied_seq: u64,
}

impl MessageEntry {
    /// A message as a read gave it to this reader.
    pub(super) fn from_read(message: Message) -> Self {
        let own = message.reactions.iter().filter(|reaction| reaction.reacted);
        Self {
            own_reactions: own.map(|reaction| reaction.emoji.clone()).collect(),
            own_applied_seq: message.applied_seq,
            message,
        }
    }

    fn mark_own_reactions(&mut self) {
        for reaction in &mut self.message.reactions {
            reaction.reacted = self.own_reactions.contains(&reaction.emoji);
        }
    }
}

impl ConversationState {
    pub(super) fn add_message(&mut self, event: &Event, message: &Message) {
        if message.thread_seq > 0 {
            self.change_message(event, message.thread_seq, |root| {
                let thread = root.thread.get_or_insert_with(ThreadSummary::default);
                thread.reply_count += 1;
                thread.last_reply_seq = event.seq;
            });
        }
        if event.seq < self.messages_from {
            return;
        }
        let entry = self.messages.entry(event.seq).or_insert_with(|| MessageEntry {
            message: Message::default(),
            own_reactions: BTreeSet::new(),
            own_applied_seq: event.seq,
        });
        if message.applied_seq > entry.message.applied_seq {
            entry.message = message.clone();
            entry.mark_own_reactions();
        }
    }

    fn change_message(&mut self, event: &Event, seq: u64, change: impl FnOnce(&mut Message)) {
        let Some(entry) = self.messages.get_mut(&seq) else { return };
        if event.seq > entry.message.applied_seq {
            change(&mut entry.message);
            entry.message.applied_seq = event.seq;
        }
        entry.mark_own_reactions();
    }

    pub(super) fn edit_message(&mut self, event: &Event, seq: u64, content: Option<&Content>) {
        self.change_message(event, seq, |message| {
            message.content = content.cloned();
            message.edit_time = event.create_time;
        });
    }

    pub(super) fn delete_message(&mut self, event: &Event, seq: u64) {
        self.erase_message(event, seq);
        self.unpin(event, |pin| pin == seq);
    }

    /// What was deleted before stays as it was.
    pub(super) fn expire_messages(&mut self, event: &Event, from: u64, to: u64) {
        let known: Vec<u64> = self
            .messages
            .range(from..=to)
            .filter(|(_, entry)| entry.message.delete_time.is_none())
            .map(|(seq, _)| *seq)
            .collect();
        for seq in known {
            self.erase_message(event, seq);
        }
        self.change(event, |conversation| {
            conversation.pinned_seqs.retain(|pin| !(from..=to).contains(pin));
            conversation.expired_through_seq = to;
        });
    }

    fn erase_message(&mut self, event: &Event, seq: u64) {
        if let Some(entry) = self.messages.get_mut(&seq)
            && event.seq > entry.own_applied_seq
        {
            entry.own_reactions.clear();
            entry.own_applied_seq = event.seq;
        }
        self.change_message(event, seq, |message| {
            message.content = None;
            message.reactions.clear();
            message.delete_time = event.create_time;
        });
    }

    pub(super) fn react(&mut self, event: &Event, seq: u64, emoji: &str, added: bool) {
        if event.actor_id == self.reader_id
            && let Some(entry) = self.messages.get_mut(&seq)
            && event.seq > entry.own_applied_seq
        {
            if added {
                entry.own_reactions.insert(emoji.to_owned());
            } else {
                entry.own_reactions.remove(emoji);
            }
            entry.own_applied_seq = event.seq;
        }
        self.change_message(event, seq, |message| count(&mut message.reactions, emoji, added));
    }
}

/// In the order of the first of each; an emoji that nobody uses any more is gone.
fn count(reactions: &mut Vec<ReactionCount>, emoji: &str, added: bool) {
    match reactions.iter_mut().find(|reaction| reaction.emoji == emoji) {
        Some(reaction) if added => reaction.count += 1,
        Some(reaction) => reaction.count = reaction.count.saturating_sub(1),
        None if added => {
            let emoji = emoji.to_owned();
            reactions.push(ReactionCount { emoji, count: 1, reacted: false });
        }
        None => {}
    }
    reactions.retain(|reaction| reaction.count > 0);
}
