//! The rules on the conversation itself, and on who stands how in it.

use std::collections::BTreeSet;

use super::{Judge, MAX_PARTICIPANTS, Refusal, Ruling, changed, ensure, only_group, same_version};
use crate::{
    Command, Digest, EventBody, Request, Row, RowKey, Seq, UserId,
    command::Authority,
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
                let public = changes.public == Some(true);
                ensure(!public || conversation.kind == Kind::Channel, Refusal::OnlyChannels)?;
                Ok(EventBody::ConversationUpdated(changes.clone()))
            }
            Command::Archive => {
                let (conversation, _) = self.standing(Role::Admin)?;
                self.not_blocked(conversation)?;
                changed(conversation.archive_time.is_none())?;
                Ok(EventBody::ConversationArchived)
            }
            Command::Unarchive => {
                let (conversation, _) = self.standing(Role::Admin)?;
                self.not_blocked(conversation)?;
                changed(conversation.archive_time.is_some())?;
                Ok(EventBody::ConversationUnarchived)
            }
            Command::Delete { version } => {
                let (conversation, _) = self.standing(Role::Owner)?;
                self.not_blocked(conversation)?;
                same_version(conversation, *version)?;
                Ok(EventBody::ConversationDeleted)
            }
            Command::Restore => {
                let (conversation, _) = self.membership(Role::Owner)?;
                self.not_blocked(conversation)?;
                changed(conversation.delete_time.is_some())?;
                // Only an application can ask for it.
                ensure(conversation.participant_count > 0, Refusal::Deleted)?;
                Ok(EventBody::ConversationRestored)
            }
            _ => Err(Refusal::NoChange),
        }
    }

    pub(super) fn conversation(&self) -> Option<&ConversationRow> {
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
                let fits = creation.kind == Kind::Channel || count <= MAX_PARTICIPANTS;
                ensure(fits, Refusal::TooManyParticipants)?;
                Ok(EventBody::ConversationCreated(creation))
            }
            Some(row) if row.kind == Kind::Direct && creation.kind == Kind::Direct => {
                Ok(EventBody::ConversationRestored)
            }
            _ => Err(Refusal::RequestIdReused),
        }
    }

    /// The conversation and the actor's role in it, whatever state it is in. An
    /// application has an owner's.
    pub(super) fn membership(&self, least: Role) -> Result<(&ConversationRow, Role), Refusal> {
        if self.request.authority == Authority::Application {
            let conversation = self.conversation().ok_or(Refusal::ConversationNotFound)?;
            return Ok((conversation, Role::Owner));
        }
        let (conversation, actor) = self.participant()?;
        let skip = mutant::is("no-membership-check");
        ensure(skip || actor.role >= least, Refusal::RoleTooLow)?;
        Ok((conversation, actor.role))
    }

    /// The conversation and the actor's part in it.
    pub(super) fn participant(&self) -> Result<(&ConversationRow, &MemberRow), Refusal> {
        let conversation = self.conversation().ok_or(Refusal::ConversationNotFound)?;
        let stranger = match self.request.authority {
            // It may know of every conversation of its tenant.
            Authority::Application => Refusal::NotAParticipant,
            _ => Refusal::ConversationNotFound,
        };
        let actor = self.member(&self.request.actor).ok_or_else(|| stranger.clone())?;
        if actor.is_active() || mutant::is("no-membership-check") {
            return Ok((conversation, actor));
        }
        if actor.intervals.is_empty() {
            return Err(stranger);
        }
        if let Some(ban) = actor.banned_at(self.time) {
            return Err(Refusal::Banned { user: self.request.actor.clone(), until: ban.until });
        }
        Err(Refusal::NotAParticipant)
    }

    /// The same, in a conversation that is not deleted.
    pub(super) fn standing(&self, least: Role) -> Result<(&ConversationRow, Role), Refusal> {
        let (conversation, role) = self.membership(least)?;
        ensure(conversation.delete_time.is_none(), Refusal::Deleted)?;
        Ok((conversation, role))
    }

    /// Where the actor may write or react: as a participant, whoever they are.
    pub(super) fn writer(&self) -> Result<(&ConversationRow, &MemberRow), Refusal> {
        let (conversation, actor) = self.participant()?;
        ensure(conversation.delete_time.is_none(), Refusal::Deleted)?;
        ensure(conversation.archive_time.is_none(), Refusal::Archived)?;
        if let Some(user) = conversation.blocked_by.first() {
            return Err(Refusal::Blocked { user: user.clone() });
        }
        match actor.muted_at(self.time) {
            Some(mute) if !mutant::is("no-membership-check") => {
                Err(Refusal::Muted { until: mute.until })
            }
            _ => Ok((conversation, actor)),
        }
    }

    /// Whom the other side has blocked changes nothing that the other side sees.
    pub(super) fn not_blocked(&self, conversation: &ConversationRow) -> Result<(), Refusal> {
        let mut others = conversation.blocked_by.iter();
        match others.find(|user| **user != self.request.actor) {
            Some(user) if self.request.authority == Authority::Participant => {
                Err(Refusal::Blocked { user: user.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Where the actor may say something: in a channel only admins do.
    pub(super) fn author(&self) -> Result<(), Refusal> {
        let (conversation, actor) = self.writer()?;
        let heard = conversation.kind != Kind::Channel || actor.role >= Role::Admin;
        ensure(heard, Refusal::RoleTooLow)
    }

    /// Whether the actor may see an event.
    pub(super) fn sees(&self, seq: Seq) -> bool {
        let history = self.conversation().map(|row| row.history).unwrap_or_default();
        self.request.authority != Authority::Participant
            || self.member(&self.request.actor).is_some_and(|row| row.sees(history, seq))
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
