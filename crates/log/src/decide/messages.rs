//! The rules on messages: who may write, edit, delete and react.

use super::{Judge, MAX_EDITS, MAX_EMOJI_PER_MESSAGE, MAX_EMOJI_PER_USER, Refusal, Ruling, ensure};
use crate::{
    Command, Content, EventBody, Row, RowKey, Seq, event::Role, row::MessageRow, state::View,
};

impl<V: View> Judge<'_, V> {
    pub(super) fn rule_on_messages(&self) -> Ruling {
        match &self.request.command {
            Command::Send(content) => {
                self.writer()?;
                Ok(EventBody::MessageCreated(self.new_message(content)))
            }
            Command::Edit { target, content } => {
                self.writer()?;
                let message = self.message(*target)?;
                ensure(message.sender == self.request.actor, Refusal::NotTheSender)?;
                ensure(message.edits.len() < MAX_EDITS, Refusal::TooManyEdits)?;
                Ok(EventBody::MessageEdited { target: *target, content: Some(content.clone()) })
            }
            Command::DeleteMessage { target } => self.delete_message(*target),
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

    fn new_message(&self, content: &Content) -> MessageRow {
        MessageRow {
            content: Some(content.clone()),
            edit_time: None,
            delete_time: None,
            reactions: Vec::new(),
            edits: Vec::new(),
            sender: self.request.actor.clone(),
            applied_seq: self.view.seq() + 1,
        }
    }

    fn message(&self, target: Seq) -> Result<&MessageRow, Refusal> {
        match self.view.row(&RowKey::Message(target)) {
            Some(Row::Message(row)) if row.delete_time.is_some() => Err(Refusal::MessageDeleted),
            Some(Row::Message(row)) => Ok(row),
            _ => Err(Refusal::MessageNotFound),
        }
    }

    /// A muted sender may still take back what they said.
    fn delete_message(&self, target: Seq) -> Ruling {
        let (conversation, actor) = self.standing(Role::Member)?;
        ensure(conversation.archive_time.is_none(), Refusal::Archived)?;
        let message = self.message(target)?;
        let moderates = actor.role >= Role::Admin && !conversation.kind.is_direct();
        ensure(moderates || message.sender == self.request.actor, Refusal::NotTheSender)?;
        Ok(EventBody::MessageDeleted { target })
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
