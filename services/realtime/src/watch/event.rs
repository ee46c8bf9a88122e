//! What an event says about who may see what.

use confab_proto::messages::v1::{Event, event::Kind};

/// Whether the event may change what joiners see of what was before.
pub(super) fn changes_history(event: &Event) -> bool {
    let Some(Kind::ConversationUpdated(update)) = &event.kind else { return false };
    update.history_visibility.is_some()
}

/// Whether the event makes the user a participant, or ends it.
pub(super) fn own_membership(event: &Event, user: &str) -> Option<bool> {
    match event.kind.as_ref()? {
        Kind::ParticipantLeft(left) if left.user_id == user => Some(false),
        Kind::ParticipantBanned(banned) if banned.user_id == user => Some(false),
        Kind::ParticipantsJoined(joined) => {
            joined.participants.iter().any(|joiner| joiner.user_id == user).then_some(true)
        }
        _ => None,
    }
}
