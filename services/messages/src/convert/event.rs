//! Events and messages as clients see them.

use confab_kit::clock;
use confab_log::{
    Content, ConversationId, Event, EventBody, Seq,
    event::{Assignment, Creation, Description, EntityKind, LeaveCause, Sentence},
    mutant,
    row::MessageRow,
};
use confab_proto::messages::v1::{self as pb, entity, event::Kind};

use super::row::{history_to_pb, kind_to_pb, retention_to_pb, role_to_pb};

/// An event; `reacted` are the reader's own reactions, where it is a message.
pub(crate) fn event_to_pb(id: &ConversationId, event: &Event, reacted: &[String]) -> pb::Event {
    pb::Event {
        conversation_id: id.as_str().to_owned(),
        seq: event.seq,
        create_time: Some(clock::timestamp(event.time)),
        actor_id: event.actor.as_str().to_owned(),
        request_id: event.request_id.as_str().to_owned(),
        ordinal: event.ordinal,
        kind: Some(kind(id, event, reacted)),
    }
}

/// The message that an event created, as it is now; `None` for other events.
pub(crate) fn message_to_pb(
    id: &ConversationId,
    event: &Event,
    reacted: &[String],
) -> Option<pb::Message> {
    match &event.body {
        EventBody::MessageCreated(row) => Some(message(id, event, row, reacted)),
        _ => None,
    }
}

fn message(
    id: &ConversationId,
    event: &Event,
    row: &MessageRow,
    reacted: &[String],
) -> pb::Message {
    let reactions = row.reactions.iter().map(|reaction| pb::ReactionCount {
        emoji: reaction.emoji.clone(),
        count: reaction.count,
        reacted: reacted.contains(&reaction.emoji),
    });
    pb::Message {
        conversation_id: id.as_str().to_owned(),
        seq: event.seq,
        ordinal: event.ordinal,
        sender_id: event.actor.as_str().to_owned(),
        request_id: event.request_id.as_str().to_owned(),
        content: row.content.as_ref().map(content_to_pb),
        create_time: Some(clock::timestamp(event.time)),
        edit_time: row.edit_time.map(clock::timestamp),
        delete_time: row.delete_time.map(clock::timestamp),
        reactions: reactions.collect(),
        applied_seq: if mutant::is("applied-seq-forgotten") { event.seq } else { row.applied_seq },
        reply_to_seq: row.reply_to.unwrap_or(0),
        thread_seq: row.thread.unwrap_or(0),
        thread: row.replies.map(|replies| pb::ThreadSummary {
            reply_count: replies.count,
            last_reply_seq: replies.last,
        }),
    }
}

/// What a message says.
pub(crate) fn content_to_pb(content: &Content) -> pb::Content {
    let entities = content.entities.iter().map(|part| pb::Entity {
        start: part.start,
        end: part.end,
        kind: Some(match &part.kind {
            EntityKind::Mention(user) => entity::Kind::Mention(user.to_string()),
            EntityKind::Link(address) => entity::Kind::Link(address.clone()),
            EntityKind::Hashtag(tag) => entity::Kind::Hashtag(tag.clone()),
        }),
    });
    pb::Content {
        text: content.text.clone(),
        attributes: content.attributes.clone(),
        html: content.html.clone().unwrap_or_default(),
        entities: entities.collect(),
    }
}

/// The message that an event is about, where it may say something about one that
/// its reader cannot see.
pub(crate) fn edited(event: &Event) -> Option<Seq> {
    match event.body {
        EventBody::MessageEdited { target, .. } => Some(target),
        _ => None,
    }
}

fn kind(id: &ConversationId, event: &Event, reacted: &[String]) -> Kind {
    match &event.body {
        EventBody::ConversationCreated(creation) => Kind::ConversationCreated(created(creation)),
        EventBody::ConversationUpdated(changes) => Kind::ConversationUpdated(updated(changes)),
        EventBody::ConversationArchived => Kind::ConversationArchived(pb::ConversationArchived {}),
        EventBody::ConversationUnarchived => {
            Kind::ConversationUnarchived(pb::ConversationUnarchived {})
        }
        EventBody::ConversationDeleted => Kind::ConversationDeleted(pb::ConversationDeleted {}),
        EventBody::ConversationRestored => Kind::ConversationRestored(pb::ConversationRestored {}),
        EventBody::MessageCreated(row) => Kind::MessageCreated(message(id, event, row, reacted)),
        EventBody::MessageEdited { target, content, .. } => {
            Kind::MessageEdited(pb::MessageEdited {
                message_seq: *target,
                content: content.as_ref().map(content_to_pb),
            })
        }
        EventBody::MessageDeleted { target } => {
            Kind::MessageDeleted(pb::MessageDeleted { message_seq: *target })
        }
        EventBody::MessagePinned { target } => {
            Kind::MessagePinned(pb::MessagePinned { message_seq: *target })
        }
        EventBody::MessageUnpinned { target } => {
            Kind::MessageUnpinned(pb::MessageUnpinned { message_seq: *target })
        }
        EventBody::MessagesExpired { from, to } => {
            Kind::MessagesExpired(pb::MessagesExpired { from_seq: *from, to_seq: *to })
        }
        EventBody::ReactionAdded { target, emoji } => {
            Kind::ReactionAdded(pb::ReactionAdded { message_seq: *target, emoji: emoji.clone() })
        }
        EventBody::ReactionRemoved { target, emoji } => {
            Kind::ReactionRemoved(pb::ReactionRemoved {
                message_seq: *target,
                emoji: emoji.clone(),
            })
        }
        EventBody::ParticipantsJoined(users) => {
            Kind::ParticipantsJoined(pb::ParticipantsJoined { participants: assignments(users) })
        }
        EventBody::ParticipantLeft { user, cause, reason } => {
            Kind::ParticipantLeft(pb::ParticipantLeft {
                user_id: user.to_string(),
                cause: cause_to_pb(*cause).into(),
                reason: reason.clone(),
            })
        }
        EventBody::RolesChanged(changes) => {
            Kind::RolesChanged(pb::RolesChanged { changes: assignments(changes) })
        }
        EventBody::ParticipantMuted(Sentence { user, until, reason }) => {
            Kind::ParticipantMuted(pb::ParticipantMuted {
                user_id: user.to_string(),
                until: until.map(clock::timestamp),
                reason: reason.clone(),
            })
        }
        EventBody::ParticipantUnmuted { user } => {
            Kind::ParticipantUnmuted(pb::ParticipantUnmuted { user_id: user.to_string() })
        }
        EventBody::ParticipantBanned(Sentence { user, until, reason }) => {
            Kind::ParticipantBanned(pb::ParticipantBanned {
                user_id: user.to_string(),
                until: until.map(clock::timestamp),
                reason: reason.clone(),
            })
        }
        EventBody::ParticipantUnbanned { user } => {
            Kind::ParticipantUnbanned(pb::ParticipantUnbanned { user_id: user.to_string() })
        }
        EventBody::ParticipantBlocked { user } => {
            Kind::ParticipantBlocked(pb::ParticipantBlocked { user_id: user.to_string() })
        }
        EventBody::ParticipantUnblocked { user } => {
            Kind::ParticipantUnblocked(pb::ParticipantUnblocked { user_id: user.to_string() })
        }
    }
}

fn assignments(assignments: &[Assignment]) -> Vec<pb::RoleAssignment> {
    let assignments = assignments.iter().map(|assignment| pb::RoleAssignment {
        user_id: assignment.user.to_string(),
        role: role_to_pb(assignment.role),
    });
    assignments.collect()
}

fn created(creation: &Creation) -> pb::ConversationCreated {
    let Description { title, description, avatar_url, metadata, public, history, retention } =
        creation.description.clone();
    pb::ConversationCreated {
        r#type: kind_to_pb(creation.kind),
        participants: assignments(&creation.participants),
        title: title.unwrap_or_default(),
        description: description.unwrap_or_default(),
        avatar_url: avatar_url.unwrap_or_default(),
        metadata: metadata.unwrap_or_default(),
        public: public.unwrap_or_default(),
        history_visibility: history_to_pb(history.unwrap_or_default()),
        retention: retention_to_pb(retention.unwrap_or_default()),
    }
}

fn updated(changes: &Description) -> pb::ConversationUpdated {
    let Description { title, description, avatar_url, metadata, public, history, retention } =
        changes.clone();
    pb::ConversationUpdated {
        title,
        description,
        avatar_url,
        metadata: metadata.map(|entries| pb::MetadataValue { entries }),
        public,
        history_visibility: history.map(history_to_pb),
        // Here an unlimited one is a value: everything is kept from now on.
        retention: retention.map(|retention| pb::Retention {
            max_age_seconds: retention.max_age,
            max_messages: retention.max_messages,
        }),
    }
}

fn cause_to_pb(cause: LeaveCause) -> pb::LeaveCause {
    match cause {
        LeaveCause::Left => pb::LeaveCause::Left,
        LeaveCause::Removed => pb::LeaveCause::Removed,
        LeaveCause::Kicked => pb::LeaveCause::Kicked,
    }
}
