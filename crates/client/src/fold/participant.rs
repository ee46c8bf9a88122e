//! Participants under events. A ban ends the membership; role and mute are
//! kept after a leave, until a new join gives a role and lifts the mute.

use confab_proto::{
    messages::v1::{Event, RoleAssignment},
    participants::v1::{Participant, Restriction, Role},
};
use prost_types::Timestamp;

use super::ConversationState;

impl ConversationState {
    /// Changes one participant, unless the event is in it already.
    pub(super) fn participant(
        &mut self,
        event: &Event,
        user_id: &str,
        change: impl FnOnce(&mut Participant),
    ) {
        let row = self
            .participants
            .entry(user_id.to_owned())
            .or_insert_with(|| stranger(&event.conversation_id, user_id));
        if event.seq > row.applied_seq {
            change(row);
            row.applied_seq = event.seq;
        }
    }

    pub(super) fn join(&mut self, event: &Event, assignment: &RoleAssignment) {
        self.participant(event, &assignment.user_id, |row| {
            row.role = assignment.role;
            row.join_time = event.create_time;
            row.join_seq = event.seq;
            row.leave_time = None;
            row.mute = None;
            row.ban = None;
        });
    }

    pub(super) fn join_all(&mut self, event: &Event, joined: &[RoleAssignment]) {
        for assignment in joined {
            self.join(event, assignment);
        }
        let more = u32::try_from(joined.len()).unwrap_or(u32::MAX);
        self.change(event, |conversation| {
            conversation.participant_count = conversation.participant_count.saturating_add(more);
        });
    }

    pub(super) fn leave(&mut self, event: &Event, user_id: &str) {
        self.participant(event, user_id, |row| row.leave_time = event.create_time);
        self.count_leave(event, user_id);
    }

    pub(super) fn ban(&mut self, event: &Event, user_id: &str, ban: Restriction) {
        let was_active = self.participants.get(user_id).is_some_and(is_active);
        self.participant(event, user_id, |row| {
            row.ban = Some(ban);
            if was_active {
                row.leave_time = event.create_time;
            }
        });
        if was_active {
            self.count_leave(event, user_id);
        }
    }

    pub(super) fn change_roles(&mut self, event: &Event, changes: &[RoleAssignment]) {
        for change in changes {
            self.participant(event, &change.user_id, |row| row.role = change.role);
        }
        if let Some(owner) = changes.iter().find(|change| change.role == i32::from(Role::Owner)) {
            self.change(event, |conversation| conversation.owner_id.clone_from(&owner.user_id));
        }
    }
}

/// Whether this is a participant of now: joined, and not gone since.
pub(super) fn is_active(row: &Participant) -> bool {
    row.join_seq > 0 && row.leave_time.is_none()
}

pub(super) fn restriction(event: &Event, until: Option<Timestamp>, reason: &str) -> Restriction {
    Restriction {
        until,
        reason: reason.to_owned(),
        actor_id: event.actor_id.clone(),
        create_time: event.create_time,
    }
}

fn stranger(conversation_id: &str, user_id: &str) -> Participant {
    Participant {
        conversation_id: conversation_id.to_owned(),
        user_id: user_id.to_owned(),
        role: Role::Member.into(),
        ..Participant::default()
    }
}
