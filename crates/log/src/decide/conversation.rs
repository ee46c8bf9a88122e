//! The rules on the conversation itself, and on who stands how in it.

use std::collections::BTreeSet;

use super::{Judge, MAX_PARTICIPANTS, Refusal, Ruling, changed, ensure, only_group, same_version};
use crate::{
    Command, Digest, EventBody, Request, Row, RowKey, Seq, UserId,
    event::{Creation, Kind, Role},
    mutant,
    row::{ConversationRow, MemberRow},
    state::View,
};

impl<V: View> Judge<'_, V> {
    pub(super) fn rule_on_conversation(&self) -> Ruling {
        match &self.request.command {
            Command::Create(creation) => self.create(creation),
            Command::Update { changes, version } => {
                let (conversation, _) = self.standing(Role::Admin)?;
                only_group(conversation)?;
                same_version(conversation, *version)?;
                Ok(EventBody::ConversationUpdated(changes.clone()))
            }
            Command::Archive => {
                let (conversation, _) = self.standing(Role::Admin)?;
                changed(conversation.archive_time.is_none())?;
                Ok(EventBody::ConversationArchived)
            }
            Command::Unarchive => {
                let (conversation, _) = self.standing(Role::Admin)?;
                changed(conversation.archive_time.is_some())?;
                Ok(EventBody::ConversationUnarchived)
            }
            Command::Delete { version } => {
                let (conversation, _) = self.standing(Role::Owner)?;
                same_version(conversation, *version)?;
                Ok(EventBody::ConversationDeleted)
            }
            Command::Restore => {
                let (conversation, _) = self.membership(Role::Owner)?;
                changed(conversation.delete_time.is_some())?;
                Ok(EventBody::ConversationRestored)
            }
            _ => Err(Refusal::NoChange),
        }
    }

    fn conversation(&self) -> Option<&ConversationRow> {
        match self.view.row(&RowKey::Conversation) {
            Some(Row::Conversation(row)) => Some(row),
            _ => None,
        }
    }

    /// A create is always compared with event 1, however old it is.
    pub(super) fn first_event(&self) -> Option<(Digest, Seq)> {
        let Command::Create(_) = &self.request.command else {
            return None;
        };
        let row = self.conversation()?;
        let same = is_first_event(self.view, self.request);
        // Deleted since, and asked for again by the same request: the answer stands.
        same.then_some((row.create_digest, 1))
    }

    /// Creating a direct conversation that exists answers with it.
    pub(super) fn existing_direct(&self) -> Option<Seq> {
        let Command::Create(creation) = &self.request.command else {
            return None;
        };
        let row = self.conversation()?;
        (creation.kind.is_direct() && row.kind.is_direct() && row.delete_time.is_none())
            .then_some(1)
    }

    fn create(&self, creation: &Creation) -> Ruling {
        match self.conversation() {
            None if self.view.seq() == 0 => {
                let mut creation = creation.clone();
                let mut seen = BTreeSet::new();
                creation.participants.retain(|first| seen.insert(first.user.clone()));
                let count = u32::try_from(creation.participants.len()).unwrap_or(u32::MAX);
                ensure(count <= MAX_PARTICIPANTS, Refusal::TooManyParticipants)?;
                Ok(EventBody::ConversationCreated(creation))
            }
            Some(row) if row.kind == Kind::Direct && creation.kind == Kind::Direct => {
                Ok(EventBody::ConversationRestored)
            }
            _ => Err(Refusal::RequestIdReused),
        }
    }

    /// The conversation and the actor in it, whatever state it is in.
    fn membership(&self, least: Role) -> Result<(&ConversationRow, &MemberRow), Refusal> {
        let conversation = self.conversation().ok_or(Refusal::ConversationNotFound)?;
        let actor = self.member(&self.request.actor).ok_or(Refusal::ConversationNotFound)?;
        if mutant::is("no-membership-check") {
            return Ok((conversation, actor));
        }
        if !actor.is_active() {
            if actor.intervals.is_empty() {
                return Err(Refusal::ConversationNotFound);
            }
            if let Some(ban) = actor.banned_at(self.time) {
                return Err(Refusal::Banned { user: self.request.actor.clone(), until: ban.until });
            }
            return Err(Refusal::NotAParticipant);
        }
        ensure(actor.role >= least, Refusal::RoleTooLow)?;
        Ok((conversation, actor))
    }

    /// The same, in a conversation that is not deleted.
    pub(super) fn standing(&self, least: Role) -> Result<(&ConversationRow, &MemberRow), Refusal> {
        let (conversation, actor) = self.membership(least)?;
        ensure(conversation.delete_time.is_none(), Refusal::Deleted)?;
        Ok((conversation, actor))
    }

    /// The same, where the actor may write.
    pub(super) fn writer(&self) -> Result<(), Refusal> {
        let (conversation, actor) = self.standing(Role::Member)?;
        ensure(conversation.archive_time.is_none(), Refusal::Archived)?;
        match actor.muted_at(self.time) {
            Some(mute) if !mutant::is("no-membership-check") => {
                Err(Refusal::Muted { until: mute.until })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn member(&self, user: &UserId) -> Option<&MemberRow> {
        match self.view.row(&RowKey::Member(user.clone())) {
            Some(Row::Member(row)) => Some(row),
            _ => None,
        }
    }
}

/// Whether this request created the conversation.
pub(crate) fn is_first_event(view: &impl View, request: &Request) -> bool {
    match (&request.command, view.row(&RowKey::Conversation)) {
        (Command::Create(_), Some(Row::Conversation(row))) => {
            row.creator == request.actor && row.create_request_id == request.request_id
        }
        _ => false,
    }
}
