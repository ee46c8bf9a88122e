//! Conversation and member rows between the mesh and the log. A row that does
//! not convert is corrupt: it was validated before it was stored.

use confab_kit::clock;
use confab_log::{
    ConversationId, Digest, Micros, RequestId, UserId,
    event::{History, Kind, Retention, Role},
    row::{ConversationRow, Interval, MemberRow, Restriction},
};
use confab_proto::{
    conversations::v1 as conversations, messages::v1 as pb, participants::v1 as participants,
};
use confab_store::StoreError;
use prost_types::Timestamp;

use crate::error::Error;

fn corrupt(what: &'static str) -> Error {
    Error::Store(StoreError::corrupt(format!("a projection's row has no valid {what}")))
}

fn time(stamp: Option<&Timestamp>) -> Option<Micros> {
    stamp.and_then(clock::micros)
}

/// The row as the conversations service keeps it.
pub(crate) fn conversation_to_pb(
    id: &ConversationId,
    row: &ConversationRow,
) -> conversations::ConversationRow {
    conversations::ConversationRow {
        conversation: Some(conversations::Conversation {
            conversation_id: id.to_string(),
            r#type: kind_to_pb(row.kind),
            title: row.title.clone(),
            description: row.description.clone(),
            avatar_url: row.avatar_url.clone(),
            metadata: row.metadata.clone(),
            creator_id: row.creator.to_string(),
            participant_count: row.participant_count,
            create_time: Some(clock::timestamp(row.create_time)),
            update_time: Some(clock::timestamp(row.update_time)),
            archive_time: row.archive_time.map(clock::timestamp),
            delete_time: row.delete_time.map(clock::timestamp),
            etag: row.version_seq.to_string(),
            applied_seq: row.applied_seq,
            history_visibility: history_to_pb(row.history),
            public: row.public,
            pinned_seqs: row.pins.clone(),
            blocked_by_ids: row.blocked_by.iter().map(ToString::to_string).collect(),
            retention: retention_to_pb(row.retention),
            expired_through_seq: row.expired_through,
            owner_id: row.owner.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        version_seq: row.version_seq,
        create_request_id: row.create_request_id.to_string(),
        create_digest: row.create_digest.0.to_vec(),
    }
}

/// The row as the log folds it.
pub(crate) fn conversation_from_pb(
    row: conversations::ConversationRow,
) -> Result<ConversationRow, Error> {
    let seen = row.conversation.ok_or_else(|| corrupt("conversation"))?;
    let digest: [u8; 16] =
        row.create_digest.as_slice().try_into().map_err(|_| corrupt("create_digest"))?;
    Ok(ConversationRow {
        kind: kind_from_pb(seen.r#type).ok_or_else(|| corrupt("type"))?,
        create_time: time(seen.create_time.as_ref()).ok_or_else(|| corrupt("create_time"))?,
        update_time: time(seen.update_time.as_ref()).ok_or_else(|| corrupt("update_time"))?,
        archive_time: time(seen.archive_time.as_ref()),
        delete_time: time(seen.delete_time.as_ref()),
        title: seen.title,
        description: seen.description,
        avatar_url: seen.avatar_url,
        metadata: seen.metadata,
        creator: UserId::parse(&seen.creator_id).map_err(|_| corrupt("creator_id"))?,
        create_request_id: RequestId::parse(&row.create_request_id)
            .map_err(|_| corrupt("create_request_id"))?,
        create_digest: Digest(digest),
        participant_count: seen.participant_count,
        version_seq: row.version_seq,
        applied_seq: seen.applied_seq,
        history: history_from_pb(seen.history_visibility).ok_or_else(|| corrupt("history"))?,
        public: seen.public,
        owner: user_or_none(&seen.owner_id, "owner_id")?,
        pins: seen.pinned_seqs,
        blocked_by: users(&seen.blocked_by_ids, "blocked_by_ids")?,
        retention: retention_from_pb(seen.retention),
        expired_through: seen.expired_through_seq,
    })
}

fn user_or_none(text: &str, what: &'static str) -> Result<Option<UserId>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    UserId::parse(text).map(Some).map_err(|_| corrupt(what))
}

fn users(texts: &[String], what: &'static str) -> Result<Vec<UserId>, Error> {
    texts.iter().map(|text| UserId::parse(text).map_err(|_| corrupt(what))).collect()
}

/// The row as the participants service keeps it.
pub(crate) fn member_to_pb(
    id: &ConversationId,
    user: &UserId,
    row: &MemberRow,
) -> participants::MemberRow {
    let intervals = row.intervals.iter().map(|interval| participants::Interval {
        join_seq: interval.join,
        leave_seq: interval.leave.unwrap_or(0),
    });
    participants::MemberRow {
        participant: Some(participants::Participant {
            conversation_id: id.to_string(),
            user_id: user.to_string(),
            role: role_to_pb(row.role),
            join_time: row.intervals.last().map(|_| clock::timestamp(row.join_time)),
            join_seq: row.intervals.last().map_or(0, |interval| interval.join),
            leave_time: row.leave_time.map(clock::timestamp),
            mute: row.mute.as_ref().map(restriction_to_pb),
            ban: row.ban.as_ref().map(restriction_to_pb),
            applied_seq: row.applied_seq,
        }),
        intervals: intervals.collect(),
    }
}

/// The row as the log folds it.
pub(crate) fn member_from_pb(row: participants::MemberRow) -> Result<(UserId, MemberRow), Error> {
    let seen = row.participant.ok_or_else(|| corrupt("participant"))?;
    let user = UserId::parse(&seen.user_id).map_err(|_| corrupt("user_id"))?;
    let intervals = row.intervals.iter().map(|interval| Interval {
        join: interval.join_seq,
        leave: Some(interval.leave_seq).filter(|seq| *seq > 0),
    });
    let member = MemberRow {
        role: role_from_pb(seen.role).ok_or_else(|| corrupt("role"))?,
        intervals: intervals.collect(),
        join_time: time(seen.join_time.as_ref()).unwrap_or(0),
        leave_time: time(seen.leave_time.as_ref()),
        mute: seen.mute.map(restriction_from_pb).transpose()?,
        ban: seen.ban.map(restriction_from_pb).transpose()?,
        applied_seq: seen.applied_seq,
    };
    Ok((user, member))
}

fn restriction_to_pb(restriction: &Restriction) -> participants::Restriction {
    participants::Restriction {
        until: restriction.until.map(clock::timestamp),
        reason: restriction.reason.clone(),
        actor_id: restriction.actor.to_string(),
        create_time: Some(clock::timestamp(restriction.time)),
    }
}

fn restriction_from_pb(restriction: participants::Restriction) -> Result<Restriction, Error> {
    Ok(Restriction {
        until: time(restriction.until.as_ref()),
        reason: restriction.reason,
        actor: UserId::parse(&restriction.actor_id).map_err(|_| corrupt("actor_id"))?,
        time: time(restriction.create_time.as_ref()).unwrap_or(0),
    })
}

pub(crate) fn role_to_pb(role: Role) -> i32 {
    match role {
        Role::Member => participants::Role::Member,
        Role::Admin => participants::Role::Admin,
        Role::Owner => participants::Role::Owner,
    }
    .into()
}

pub(crate) fn role_from_pb(number: i32) -> Option<Role> {
    match participants::Role::try_from(number).ok()? {
        participants::Role::Member => Some(Role::Member),
        participants::Role::Admin => Some(Role::Admin),
        participants::Role::Owner => Some(Role::Owner),
        participants::Role::Unspecified => None,
    }
}

pub(crate) fn kind_to_pb(kind: Kind) -> i32 {
    match kind {
        Kind::Direct => conversations::ConversationType::Direct,
        Kind::Group => conversations::ConversationType::Group,
        Kind::Channel => conversations::ConversationType::Channel,
    }
    .into()
}

pub(crate) fn history_to_pb(history: History) -> i32 {
    match history {
        History::Full => conversations::HistoryVisibility::Full,
        History::FromJoin => conversations::HistoryVisibility::FromJoin,
    }
    .into()
}

pub(crate) fn history_from_pb(number: i32) -> Option<History> {
    match conversations::HistoryVisibility::try_from(number).ok()? {
        conversations::HistoryVisibility::FromJoin => Some(History::FromJoin),
        _ => Some(History::Full),
    }
}

/// Absent where everything is kept.
pub(crate) fn retention_to_pb(retention: Retention) -> Option<pb::Retention> {
    (!retention.is_unlimited()).then_some(pb::Retention {
        max_age_seconds: retention.max_age,
        max_messages: retention.max_messages,
    })
}

pub(crate) fn retention_from_pb(retention: Option<pb::Retention>) -> Retention {
    retention.map_or_else(Retention::default, |retention| Retention {
        max_age: retention.max_age_seconds,
        max_messages: retention.max_messages,
    })
}

pub(crate) fn kind_from_pb(number: i32) -> Option<Kind> {
    match conversations::ConversationType::try_from(number).ok()? {
        conversations::ConversationType::Direct => Some(Kind::Direct),
        conversations::ConversationType::Group => Some(Kind::Group),
        conversations::ConversationType::Channel => Some(Kind::Channel),
        conversations::ConversationType::Unspecified => None,
    }
}
