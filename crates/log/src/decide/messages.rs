//! The rules on messages: who may write, edit, delete, pin and react.

use super::{
    Judge, MAX_EDITS, MAX_EMOJI_PER_MESSAGE, MAX_EMOJI_PER_USER, MAX_PINS, Refusal, Ruling,
    changed, ensure,
};
use crate::{
    Command, EventBody, Row, RowKey, Seq,
    command::{Authority, MAX_EXPIRED_ROWS},
    event::Role,
    row::{ConversationRow, MessageRow},
    state::View,
};

impl<V: View> Judge<'_, V> {
    pub(super) fn rule_on_messages(&self) -> Ruling {
        match &self.request.command {
            Command::Send { content, reply_to, thread, flags } => {
                self.author()?;
                if let Some(answered) = reply_to {
                    self.message(*answered)?;
                }
                if let Some(root) = thread {
                    let root = self.message(*root)?;
                    ensure(root.thread.is_none(), Refusal::NotAThreadRoot)?;
                }
                let (reply_to, thread, flags) = (*reply_to, *thread, flags.clone());
                let seq = self.view.seq() + 1;
                let new = MessageRow::new(self.request.actor.clone(), content.clone(), seq);
                Ok(EventBody::MessageCreated(MessageRow { reply_to, thread, flags, ..new }))
            }
            Command::Edit { target, content, flags } => {
                self.author()?;
                let message = self.message(*target)?;
                ensure(message.sender == self.request.actor, Refusal::NotTheSender)?;
                ensure(message.edits.len() < MAX_EDITS, Refusal::TooManyEdits)?;
                let (content, flags) = (Some(content.clone()), flags.clone());
                Ok(EventBody::MessageEdited { target: *target, content, flags })
            }
            Command::DeleteMessage { target } => self.delete_message(*target),
            Command::Pin { target } => {
                let conversation = self.keeper_of_pins()?;
                self.message(*target)?;
                changed(!conversation.pins.contains(target))?;
                ensure(conversation.pins.len() < MAX_PINS, Refusal::TooManyPins)?;
                Ok(EventBody::MessagePinned { target: *target })
            }
            Command::Unpin { target } => {
                changed(self.keeper_of_pins()?.pins.contains(target))?;
                Ok(EventBody::MessageUnpinned { target: *target })
            }
            Command::Expire { from, to } => self.expire(*from, *to),
            Command::AddReaction { target, emoji } => self.add_reaction(*target, emoji),
            Command::RemoveReaction { target, emoji } => {
                self.writer()?;
                self.message(*target)?;
                ensure(self.own_reactions(*target).contains(emoji), Refusal::ReactionNotFound)?;
                Ok(EventBody::ReactionRemoved { target: *target, emoji: emoji.clone() })
            }
            _ => Err(Refusal::NoChange),
        }
    }

    /// A message that is not deleted and that the actor may see.
    fn message(&self, target: Seq) -> Result<&MessageRow, Refusal> {
        match self.view.row(&RowKey::Message(target)) {
            Some(Row::Message(_)) if !self.sees(target) => Err(Refusal::MessageNotFound),
            Some(Row::Message(row)) if row.delete_time.is_some() => Err(Refusal::MessageDeleted),
            Some(Row::Message(row)) => Ok(row),
            _ => Err(Refusal::MessageNotFound),
        }
    }

    /// A muted sender may still take back what they said.
    fn delete_message(&self, target: Seq) -> Ruling {
        let (conversation, role) = self.standing(Role::Member)?;
        ensure(conversation.archive_time.is_none(), Refusal::Archived)?;
        let message = self.message(target)?;
        let moderates = role >= Role::Admin
            && (!conversation.kind.is_direct() || self.request.authority == Authority::Application);
        ensure(moderates || message.sender == self.request.actor, Refusal::NotTheSender)?;
        Ok(EventBody::MessageDeleted { target })
    }

    fn keeper_of_pins(&self) -> Result<&ConversationRow, Refusal> {
        let (conversation, _) = self.standing(Role::Admin)?;
        ensure(conversation.archive_time.is_none(), Refusal::Archived)?;
        self.not_blocked(conversation)?;
        Ok(conversation)
    }

    /// Rows expire one range after the other, whatever became of the conversation.
    fn expire(&self, from: Seq, to: Seq) -> Ruling {
        let conversation = self.conversation().ok_or(Refusal::ConversationNotFound)?;
        let system = self.request.authority == Authority::System;
        ensure(system, Refusal::RoleTooLow)?;
        let next = from == conversation.expired_through + 1;
        let width = (to + 1).saturating_sub(from);
        changed(next && (1..=MAX_EXPIRED_ROWS).contains(&width) && to <= self.view.seq())?;
        Ok(EventBody::MessagesExpired { from, to })
    }

    fn own_reactions(&self, target: Seq) -> &[String] {
        match self.view.row(&RowKey::Reactions(target, self.request.actor.clone())) {
            Some(Row::Reactions(row)) => &row.emoji,
            _ => &[],
        }
    }

    fn add_reaction(&self, target: Seq, emoji: &str) -> Ruling {
        self.writer()?;
        let message = self.message(target)?;
        let own = self.own_reactions(target);
        ensure(own.iter().all(|known| known != emoji), Refusal::ReactionExists)?;
        let is_new = message.reactions.iter().all(|known| known.emoji != emoji);
        let full = is_new && message.reactions.len() >= MAX_EMOJI_PER_MESSAGE;
        ensure(!full && own.len() < MAX_EMOJI_PER_USER, Refusal::TooManyReactions)?;
        Ok(EventBody::ReactionAdded { target, emoji: emoji.to_owned() })
    }
}
