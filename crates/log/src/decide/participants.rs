//! The rules on participants: who may add, remove, rank, mute and ban whom.

use std::collections::BTreeSet;

use super::{Judge, MAX_PARTICIPANTS, Refusal, Ruling, changed, ensure, only_group};
use crate::{
    Command, EventBody, UserId,
    command::Authority,
    event::{Assignment, Kind, LeaveCause, Role, Sentence},
    row::MemberRow,
    state::View,
};

impl<V: View> Judge<'_, V> {
    pub(super) fn rule_on_participants(&self) -> Ruling {
        match &self.request.command {
            Command::AddParticipants { users } => self.add_participants(users),
            Command::Remove { user, cause, reason } => self.remove(user, *cause, reason),
            Command::UpdateRole { user, role } => {
                let (conversation, _) = self.standing(Role::Owner)?;
                only_group(conversation)?;
                ensure(*role != Role::Owner, Refusal::OwnerMustTransfer)?;
                let target = self.other_participant(user)?;
                ensure(target.role != Role::Owner, Refusal::OwnerMustTransfer)?;
                changed(target.role != *role)?;
                Ok(EventBody::RolesChanged(vec![assign(user, *role)]))
            }
            Command::TransferOwnership { user } => self.transfer(user),
            Command::Join => self.join(),
            Command::Block { .. } | Command::Unblock { .. } => self.block(),
            Command::Mute(sentence) => {
                self.below_actor(&sentence.user)?;
                self.lies_ahead(sentence)?;
                Ok(EventBody::ParticipantMuted(sentence.clone()))
            }
            Command::Unmute { user } => {
                let target = self.below_actor(user)?;
                changed(target.muted_at(self.time).is_some())?;
                Ok(EventBody::ParticipantUnmuted { user: user.clone() })
            }
            Command::Ban(sentence) => self.ban(sentence),
            Command::Unban { user } => {
                let (conversation, _) = self.standing(Role::Admin)?;
                only_group(conversation)?;
                let ban = self.member(user).and_then(|row| row.banned_at(self.time));
                changed(ban.is_some())?;
                Ok(EventBody::ParticipantUnbanned { user: user.clone() })
            }
            _ => Err(Refusal::NoChange),
        }
    }

    fn other_participant(&self, user: &UserId) -> Result<&MemberRow, Refusal> {
        ensure(*user != self.request.actor, Refusal::TargetIsCaller)?;
        self.member(user)
            .filter(|row| row.is_active())
            .ok_or_else(|| Refusal::ParticipantNotFound { user: user.clone() })
    }

    /// A participant of a group whom the actor, an admin at least, outranks.
    fn below_actor(&self, user: &UserId) -> Result<&MemberRow, Refusal> {
        let (conversation, role) = self.standing(Role::Admin)?;
        only_group(conversation)?;
        let target = self.other_participant(user)?;
        ensure(target.role < role, Refusal::RoleTooLow)?;
        Ok(target)
    }

    fn transfer(&self, user: &UserId) -> Ruling {
        let (conversation, _) = self.standing(Role::Owner)?;
        only_group(conversation)?;
        let target = self.other_participant(user)?;
        changed(target.role != Role::Owner)?;
        let mut changes = vec![assign(user, Role::Owner)];
        // An application hands over what is not its own.
        let before = match self.request.authority {
            Authority::Participant => Some(&self.request.actor),
            _ => conversation.owner.as_ref(),
        };
        changes.extend(before.map(|owner| assign(owner, Role::Admin)));
        Ok(EventBody::RolesChanged(changes))
    }

    fn join(&self) -> Ruling {
        let actor = &self.request.actor;
        let conversation = self.conversation().ok_or(Refusal::ConversationNotFound)?;
        let row = self.member(actor);
        if row.is_some_and(MemberRow::is_active) {
            return Err(Refusal::AlreadyAParticipant { user: actor.clone() });
        }
        let knows = row.is_some_and(|row| !row.intervals.is_empty());
        let open = conversation.kind == Kind::Channel && conversation.public;
        if !open || conversation.delete_time.is_some() {
            return Err(if knows { Refusal::NotPublic } else { Refusal::ConversationNotFound });
        }
        match row.and_then(|row| row.banned_at(self.time)) {
            Some(ban) => Err(Refusal::Banned { user: actor.clone(), until: ban.until }),
            None => Ok(EventBody::ParticipantsJoined(vec![assign(actor, Role::Member)])),
        }
    }

    /// Also in a deleted conversation, which either side may bring back.
    fn block(&self) -> Ruling {
        let (conversation, _) = self.membership(Role::Member)?;
        let blocked = conversation.blocked_by.contains(&self.request.actor);
        match &self.request.command {
            Command::Block { user } => {
                changed(conversation.kind.is_direct() && !blocked)?;
                self.other_participant(user)?;
                Ok(EventBody::ParticipantBlocked { user: user.clone() })
            }
            Command::Unblock { user } => {
                changed(blocked)?;
                Ok(EventBody::ParticipantUnblocked { user: user.clone() })
            }
            _ => Err(Refusal::NoChange),
        }
    }

    fn add_participants(&self, users: &[UserId]) -> Ruling {
        let (conversation, _) = self.standing(Role::Admin)?;
        only_group(conversation)?;
        let users = each_once(users);
        changed(!users.is_empty())?;
        for user in &users {
            let Some(row) = self.member(user) else {
                continue;
            };
            let user = user.clone();
            ensure(!row.is_active(), Refusal::AlreadyAParticipant { user: user.clone() })?;
            if let Some(ban) = row.banned_at(self.time) {
                return Err(Refusal::Banned { user, until: ban.until });
            }
        }
        let added = u32::try_from(users.len()).unwrap_or(u32::MAX);
        let count = conversation.participant_count.saturating_add(added);
        let fits = conversation.kind == Kind::Channel || count <= MAX_PARTICIPANTS;
        ensure(fits, Refusal::TooManyParticipants)?;
        let joined = users.iter().map(|user| assign(user, Role::Member)).collect();
        Ok(EventBody::ParticipantsJoined(joined))
    }

    fn remove(&self, user: &UserId, cause: LeaveCause, reason: &str) -> Ruling {
        if *user == self.request.actor {
            ensure(cause != LeaveCause::Kicked, Refusal::TargetIsCaller)?;
            let (conversation, actor) = self.participant()?;
            ensure(conversation.delete_time.is_none(), Refusal::Deleted)?;
            only_group(conversation)?;
            let last = conversation.participant_count == 1;
            ensure(last || actor.role != Role::Owner, Refusal::OwnerMustTransfer)?;
        } else {
            self.below_actor(user)?;
        }
        Ok(EventBody::ParticipantLeft { user: user.clone(), cause, reason: reason.to_owned() })
    }

    fn ban(&self, sentence: &Sentence) -> Ruling {
        let (conversation, role) = self.standing(Role::Admin)?;
        only_group(conversation)?;
        ensure(sentence.user != self.request.actor, Refusal::TargetIsCaller)?;
        // Only a participant has a rank to outrank; former ones keep none.
        let target = self.member(&sentence.user).filter(|row| row.is_active());
        ensure(target.is_none_or(|row| row.role < role), Refusal::RoleTooLow)?;
        self.lies_ahead(sentence)?;
        Ok(EventBody::ParticipantBanned(sentence.clone()))
    }

    /// Asked here and not where the request comes in: a retry may come after
    /// the end of what it imposed, and still gets its old answer.
    fn lies_ahead(&self, sentence: &Sentence) -> Result<(), Refusal> {
        let now = self.time;
        ensure(sentence.until.is_none_or(|until| until > now), Refusal::UntilPassed { now })
    }
}

/// The users without repetitions: one event lets nobody join twice.
fn each_once(users: &[UserId]) -> Vec<UserId> {
    let mut seen = BTreeSet::new();
    users.iter().filter(|user| seen.insert(*user)).cloned().collect()
}

fn assign(user: &UserId, role: Role) -> Assignment {
    Assignment { user: user.clone(), role }
}
