//! Changes of messages and reactions, and by what messages are found.

use super::{Folding, Index};
use crate::{
    Content, EventBody, Row, RowKey, Seq, UserId,
    row::{MessageRow, ReactionCount, ReactionsRow},
    state::View,
};

impl<V: View> Folding<'_, V> {
    /// The event's row is the message, so appending it was most of the effect.
    pub(super) fn create_message(&mut self, message: &MessageRow) {
        let seq = self.event.seq;
        if let Some(root) = message.thread {
            self.message(root, |row| {
                let replies = row.replies.get_or_insert_default();
                replies.count += 1;
                replies.last = seq;
            });
            self.effects.index.push(Index::Thread { root, message: seq });
        }
        self.index_mentions(seq, message.content.as_ref());
    }

    pub(super) fn edit_message(&mut self, target: Seq, content: Option<&Content>) {
        let (seq, time) = (self.event.seq, self.event.time);
        self.message(target, |row| {
            row.content = content.cloned();
            row.edit_time = Some(time);
            row.edits.push(seq);
        });
        self.index_mentions(target, content);
    }

    fn index_mentions(&mut self, message: Seq, content: Option<&Content>) {
        for user in content.into_iter().flat_map(Content::mentions) {
            // To name oneself calls nobody.
            let entry = Index::Mention { user: user.clone(), message };
            if *user != self.event.actor && !self.effects.index.contains(&entry) {
                self.effects.index.push(entry);
            }
        }
    }

    pub(super) fn delete_message(&mut self, target: Seq) {
        self.erase(target);
        self.unpin(|pin| pin == target);
    }

    pub(super) fn expire(&mut self, from: Seq, to: Seq) {
        for seq in from..=to {
            self.erase(seq);
        }
        self.conversation(|row| {
            row.pins.retain(|pin| !(from..=to).contains(pin));
            row.expired_through = to;
        });
    }

    /// Takes what a message says, here and where edits have carried it.
    fn erase(&mut self, target: Seq) {
        let time = self.event.time;
        let Some(Row::Message(row)) = self.view.row(&RowKey::Message(target)) else { return };
        // Blanked again at every repeat: a crash may have come between.
        self.effects.blanked.extend(&row.edits);
        if row.delete_time.is_some() {
            return;
        }
        self.message(target, |row| {
            row.content = None;
            row.reactions.clear();
            row.delete_time = Some(time);
        });
    }

    /// Changes a message unless it holds the event already.
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

    /// Who wrote the message that a deletion is about.
    pub(super) fn sender_of_target(&self) -> Option<&UserId> {
        let EventBody::MessageDeleted { target } = &self.event.body else { return None };
        match self.view.row(&RowKey::Message(*target)) {
            Some(Row::Message(row)) => Some(&row.sender),
            _ => None,
        }
    }

    pub(super) fn react(&mut self, target: Seq, emoji: &str, added: bool) {
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

fn count_reaction(counts: &mut Vec<ReactionCount>, emoji: &str, added: bool) {
    match counts.iter_mut().find(|count| count.emoji == emoji) {
        Some(count) if added => count.count += 1,
        Some(count) => count.count = count.count.saturating_sub(1),
        None if added => counts.push(ReactionCount { emoji: emoji.to_owned(), count: 1 }),
        None => {}
    }
    counts.retain(|count| count.count > 0);
}
