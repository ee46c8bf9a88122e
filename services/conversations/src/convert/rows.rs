//! Conversation rows, commands for the log, heads and memberships between the
//! wire and the domain. What the wire cannot prove is a violation.

use confab_kit::{clock, error::Error, validate::Violations};
use confab_log::{
    ConversationId, Digest, Micros, RequestId, TenantId, UserId,
    event::{Creation, Description, History, Kind, Retention, Role},
    inbox::Settings,
    row::ConversationRow,
};
use confab_proto::{
    conversations::v1 as pb,
    messages::v1::{self as log_pb, append_request::Command as LogCommand},
    participants::v1 as members_pb,
};
use prost_types::Timestamp;

use crate::domain::Change;

/// A validated `LoadRow`.
pub(crate) fn names(tenant: &str, conversation: &str) -> Result<(TenantId, ConversationId), Error> {
    let mut check = Violations::default();
    let tenant = check.parse("tenant_id", TenantId::parse(tenant));
    let conversation = check.parse("conversation_id", ConversationId::parse(conversation));
    check.finish()?;
    tenant.zip(conversation).ok_or_else(incomplete)
}

/// A validated `ApplyRow`.
#[derive(Debug)]
pub(crate) struct ApplyRow {
    pub(crate) tenant: TenantId,
    pub(crate) conversation: ConversationId,
    pub(crate) row: ConversationRow,
}

impl TryFrom<pb::ApplyRowRequest> for ApplyRow {
    type Error = Error;

    fn try_from(request: pb::ApplyRowRequest) -> Result<Self, Error> {
        let row = request.row.ok_or_else(|| Error::violation("row", "must be set"))?;
        let id = row.conversation.as_ref().map_or("", |seen| seen.conversation_id.as_str());
        let (tenant, conversation) = names(&request.tenant_id, id)?;
        Ok(Self { tenant, conversation, row: row_from_pb(row)? })
    }
}

fn incomplete() -> Error {
    Error::violation("request", "is incomplete")
}

fn row_from_pb(row: pb::ConversationRow) -> Result<ConversationRow, Error> {
    let mut check = Violations::default();
    let seen = row.conversation.unwrap_or_default();
    let kind = kind_from_pb(seen.r#type());
    check.check(kind.is_some(), "row.type", "must be a type of conversation");
    let creator = check.parse("row.creator_id", UserId::parse(&seen.creator_id));
    let request_id = RequestId::parse(&row.create_request_id);
    let create_request_id = check.parse("row.create_request_id", request_id);
    let digest: Option<[u8; 16]> = row.create_digest.as_slice().try_into().ok();
    check.check(digest.is_some(), "row.create_digest", "must be 16 bytes");
    check.check(seen.applied_seq > 0, "row.applied_seq", "must be above 0");
    let create_time = time(&mut check, "row.create_time", seen.create_time.as_ref());
    let update_time = time(&mut check, "row.update_time", seen.update_time.as_ref());
    let archive_time = time(&mut check, "row.archive_time", seen.archive_time.as_ref());
    let delete_time = time(&mut check, "row.delete_time", seen.delete_time.as_ref());
    let owner = Some(seen.owner_id.as_str()).filter(|id| !id.is_empty());
    let owner = owner.and_then(|id| check.parse("row.owner_id", UserId::parse(id)));
    let blocked_by = seen.blocked_by_ids.iter();
    let blocked_by =
        blocked_by.filter_map(|id| check.parse("row.blocked_by_ids", UserId::parse(id))).collect();
    let history = match seen.history_visibility() {
        pb::HistoryVisibility::FromJoin => History::FromJoin,
        pb::HistoryVisibility::Full | pb::HistoryVisibility::Unspecified => History::Full,
    };
    check.finish()?;
    Ok(ConversationRow {
        kind: kind.ok_or_else(incomplete)?,
        title: seen.title,
        description: seen.description,
        avatar_url: seen.avatar_url,
        metadata: seen.metadata,
        creator: creator.ok_or_else(incomplete)?,
        create_request_id: create_request_id.ok_or_else(incomplete)?,
        create_digest: Digest(digest.ok_or_else(incomplete)?),
        participant_count: seen.participant_count,
        create_time: create_time.unwrap_or(0),
        update_time: update_time.unwrap_or(0),
        archive_time,
        delete_time,
        version_seq: row.version_seq,
        applied_seq: seen.applied_seq,
        history,
        public: seen.public,
        owner,
        pins: seen.pinned_seqs,
        blocked_by,
        retention: seen.retention.map_or_else(Retention::default, |retention| Retention {
            max_age: retention.max_age_seconds,
            max_messages: retention.max_messages,
        }),
        expired_through: seen.expired_through_seq,
    })
}

fn time(check: &mut Violations, field: &str, stamp: Option<&Timestamp>) -> Option<Micros> {
    let micros = clock::micros(stamp?);
    check.check(micros.is_some(), field, "must be a valid time");
    micros
}

/// A conversation as people see it.
pub(crate) fn conversation_to_pb(id: &ConversationId, row: ConversationRow) -> pb::Conversation {
    pb::Conversation {
        conversation_id: id.as_str().to_owned(),
        r#type: kind_to_pb(row.kind).into(),
        title: row.title,
        description: row.description,
        avatar_url: row.avatar_url,
        metadata: row.metadata,
        creator_id: row.creator.as_str().to_owned(),
        participant_count: row.participant_count,
        create_time: Some(clock::timestamp(row.create_time)),
        update_time: Some(clock::timestamp(row.update_time)),
        archive_time: row.archive_time.map(clock::timestamp),
        delete_time: row.delete_time.map(clock::timestamp),
        etag: row.version_seq.to_string(),
        applied_seq: row.applied_seq,
        history_visibility: history_to_pb(row.history).into(),
        public: row.public,
        pinned_seqs: row.pins,
        blocked_by_ids: row.blocked_by.iter().map(ToString::to_string).collect(),
        retention: (!row.retention.is_unlimited()).then(|| retention_to_pb(row.retention)),
        expired_through_seq: row.expired_through,
        owner_id: row.owner.map(|owner| owner.to_string()).unwrap_or_default(),
    }
}

fn history_to_pb(history: History) -> pb::HistoryVisibility {
    match history {
        History::Full => pb::HistoryVisibility::Full,
        History::FromJoin => pb::HistoryVisibility::FromJoin,
    }
}

/// How long messages are kept.
pub(crate) fn retention_to_pb(retention: Retention) -> log_pb::Retention {
    log_pb::Retention { max_age_seconds: retention.max_age, max_messages: retention.max_messages }
}

/// How a user has arranged a conversation.
pub(crate) fn settings_to_pb(settings: &Settings) -> members_pb::ConversationSettings {
    members_pb::ConversationSettings {
        muted: settings.muted,
        mute_until: settings.mute_until.map(clock::timestamp),
        archived: settings.archived,
        favourite: settings.favourite,
    }
}

/// The same, as participants tells it.
pub(crate) fn settings_from_pb(settings: Option<members_pb::ConversationSettings>) -> Settings {
    let settings = settings.unwrap_or_default();
    Settings {
        muted: settings.muted,
        mute_until: settings.mute_until.as_ref().and_then(clock::micros),
        archived: settings.archived,
        favourite: settings.favourite,
    }
}

/// What never changes of a conversation: all that its maker, gone since, is
/// told when an old request is tried again.
pub(crate) fn unchanging_to_pb(id: &ConversationId, row: &ConversationRow) -> pb::Conversation {
    pb::Conversation {
        conversation_id: id.as_str().to_owned(),
        r#type: kind_to_pb(row.kind).into(),
        creator_id: row.creator.as_str().to_owned(),
        create_time: Some(clock::timestamp(row.create_time)),
        ..pb::Conversation::default()
    }
}

/// A conversation's row as the log takes it.
pub(crate) fn row_to_pb(id: &ConversationId, row: ConversationRow) -> pb::ConversationRow {
    pb::ConversationRow {
        // Rights are the member rows' business; nothing reads the owner here.
        version_seq: row.version_seq,
        create_request_id: row.create_request_id.as_str().to_owned(),
        create_digest: row.create_digest.0.to_vec(),
        conversation: Some(conversation_to_pb(id, row)),
    }
}

/// The kind's number on the wire.
pub(crate) fn kind_to_pb(kind: Kind) -> pb::ConversationType {
    match kind {
        Kind::Direct => pb::ConversationType::Direct,
        Kind::Group => pb::ConversationType::Group,
        Kind::Channel => pb::ConversationType::Channel,
    }
}

/// The kind of a number on the wire; `None` for none.
pub(crate) fn kind_from_pb(kind: pb::ConversationType) -> Option<Kind> {
    match kind {
        pb::ConversationType::Direct => Some(Kind::Direct),
        pb::ConversationType::Group => Some(Kind::Group),
        pb::ConversationType::Channel => Some(Kind::Channel),
        pb::ConversationType::Unspecified => None,
    }
}

/// The end of a log as its reader sees it.
pub(crate) fn head_to_pb(head: log_pb::LogHead) -> pb::ConversationHead {
    pb::ConversationHead {
        conversation_id: head.conversation_id,
        seq: head.seq,
        unread_count: head.unread_count,
        last_message: head.last_message,
        read_seq: head.receipt.map_or(0, |receipt| receipt.read_seq),
        activity_time: head.activity_time,
        mention_count: head.mention_count,
    }
}

/// A creation as the log takes it.
pub(crate) fn creation_to_log(creation: Creation) -> LogCommand {
    let description = creation.description;
    let participants = creation.participants.iter().map(|assigned| log_pb::RoleAssignment {
        user_id: assigned.user.as_str().to_owned(),
        role: match assigned.role {
            Role::Member => 1,
            Role::Admin => 2,
            Role::Owner => 3,
        },
    });
    LogCommand::CreateConversation(log_pb::ConversationCreated {
        r#type: kind_to_pb(creation.kind).into(),
        participants: participants.collect(),
        title: description.title.unwrap_or_default(),
        description: description.description.unwrap_or_default(),
        avatar_url: description.avatar_url.unwrap_or_default(),
        metadata: description.metadata.unwrap_or_default(),
        public: description.public.unwrap_or_default(),
        history_visibility: description.history.map_or(0, |history| history_to_pb(history).into()),
        retention: description
            .retention
            .filter(|retention| !retention.is_unlimited())
            .map(retention_to_pb),
    })
}

/// A change as the log takes it.
pub(crate) fn change_to_log(change: Change) -> LogCommand {
    match change {
        Change::Update { changes, version } => {
            LogCommand::UpdateConversation(log_pb::UpdateConversationCommand {
                changes: Some(changes_to_log(changes)),
                version_seq: version.unwrap_or(0),
            })
        }
        Change::Delete { version } => {
            let version_seq = version.unwrap_or(0);
            LogCommand::DeleteConversation(log_pb::DeleteConversationCommand { version_seq })
        }
        Change::Restore => LogCommand::RestoreConversation(log_pb::ConversationRestored {}),
        Change::Archive => LogCommand::ArchiveConversation(log_pb::ConversationArchived {}),
        Change::Unarchive => LogCommand::UnarchiveConversation(log_pb::ConversationUnarchived {}),
    }
}

fn changes_to_log(changes: Description) -> log_pb::ConversationUpdated {
    log_pb::ConversationUpdated {
        title: changes.title,
        description: changes.description,
        avatar_url: changes.avatar_url,
        metadata: changes.metadata.map(|entries| log_pb::MetadataValue { entries }),
        public: changes.public,
        history_visibility: changes.history.map(|history| history_to_pb(history).into()),
        retention: changes.retention.map(retention_to_pb),
    }
}
