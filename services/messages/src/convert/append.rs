//! Commands from other services: mesh requests into the log's vocabulary. The
//! services have validated the fields; here only what the types demand is checked.

use confab_kit::{clock, error::Error as KitError, validate::Violations};
use confab_log::{
    Command, ConversationId, Refusal, RequestId, TenantId, UserId,
    command::Authority,
    event::{Assignment, Creation, Description, History, LeaveCause, Role, Sentence},
};
use confab_proto::messages::v1::{self as pb, append_request::Command as PbCommand};

use super::row::{history_from_pb, kind_from_pb, retention_from_pb, role_from_pb};
use crate::{domain::Append, store::LogKey};

impl TryFrom<pb::AppendRequest> for Append {
    type Error = KitError;

    fn try_from(request: pb::AppendRequest) -> Result<Self, KitError> {
        let mut violations = Violations::default();
        let v = &mut violations;
        let tenant = v.parse("tenant_id", TenantId::parse(&request.tenant_id));
        let conversation =
            v.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        let actor = v.parse("actor_id", UserId::parse(&request.actor_id));
        let request_id = v.parse("request_id", RequestId::parse(&request.request_id));
        let blocked_by = Some(request.blocked_by_id).filter(|id| !id.is_empty());
        let blocked_by = blocked_by.and_then(|id| v.parse("blocked_by_id", UserId::parse(&id)));
        let command = request.command.and_then(|command| command_from_pb(v, command));
        v.check(command.is_some(), "command", "must be one that this version knows");
        violations.finish()?;
        let names = (tenant, conversation, actor, request_id, command);
        let (Some(tenant), Some(conversation), Some(actor), Some(request_id), Some(command)) =
            names
        else {
            return Err(KitError::violation("request", "is incomplete"));
        };
        Ok(Self {
            key: LogKey { tenant, conversation },
            actor,
            request_id,
            after_seq: Some(request.after_seq).filter(|seq| *seq > 0),
            authority: if request.application {
                Authority::Application
            } else {
                Authority::Participant
            },
            veto: blocked_by.map(|user| Refusal::Blocked { user }),
            command,
        })
    }
}

fn command_from_pb(v: &mut Violations, command: PbCommand) -> Option<Command> {
    Some(match command {
        PbCommand::CreateConversation(creation) => Command::Create(creation_from_pb(v, creation)?),
        PbCommand::UpdateConversation(update) => Command::Update {
            changes: description(update.changes.unwrap_or_default()),
            version: version(update.version_seq),
        },
        PbCommand::ArchiveConversation(_) => Command::Archive,
        PbCommand::UnarchiveConversation(_) => Command::Unarchive,
        PbCommand::DeleteConversation(delete) => {
            Command::Delete { version: version(delete.version_seq) }
        }
        PbCommand::RestoreConversation(_) => Command::Restore,
        PbCommand::AddParticipants(joined) => {
            let users = joined.participants.iter();
            let users = users.filter_map(|p| user(v, &p.user_id)).collect();
            Command::AddParticipants { users }
        }
        PbCommand::RemoveParticipant(left) => Command::Remove {
            user: user(v, &left.user_id)?,
            cause: match left.cause() {
                pb::LeaveCause::Left => LeaveCause::Left,
                pb::LeaveCause::Removed => LeaveCause::Removed,
                pb::LeaveCause::Kicked => LeaveCause::Kicked,
                pb::LeaveCause::Unspecified => return None,
            },
            reason: left.reason,
        },
        PbCommand::UpdateRole(change) => {
            Command::UpdateRole { user: user(v, &change.user_id)?, role: role(v, change.role)? }
        }
        PbCommand::TransferOwnership(to) => {
            Command::TransferOwnership { user: user(v, &to.user_id)? }
        }
        PbCommand::MuteParticipant(mute) => {
            Command::Mute(sentence(v, &mute.user_id, mute.until, mute.reason)?)
        }
        PbCommand::UnmuteParticipant(unmuted) => {
            Command::Unmute { user: user(v, &unmuted.user_id)? }
        }
        PbCommand::BanParticipant(ban) => {
            Command::Ban(sentence(v, &ban.user_id, ban.until, ban.reason)?)
        }
        PbCommand::UnbanParticipant(unbanned) => {
            Command::Unban { user: user(v, &unbanned.user_id)? }
        }
        PbCommand::Join(_) => Command::Join,
        PbCommand::BlockParticipant(block) => Command::Block { user: user(v, &block.user_id)? },
        PbCommand::UnblockParticipant(block) => Command::Unblock { user: user(v, &block.user_id)? },
    })
}

fn user(v: &mut Violations, text: &str) -> Option<UserId> {
    v.parse("user_id", UserId::parse(text))
}

fn role(v: &mut Violations, number: i32) -> Option<Role> {
    let role = role_from_pb(number);
    v.check(role.is_some(), "role", "must be a role");
    role
}

fn version(seq: u64) -> Option<u64> {
    Some(seq).filter(|seq| *seq > 0)
}

fn sentence(
    v: &mut Violations,
    text: &str,
    until: Option<prost_types::Timestamp>,
    reason: String,
) -> Option<Sentence> {
    let until = match until {
        None => None,
        Some(stamp) => {
            let micros = clock::micros(&stamp);
            v.check(micros.is_some(), "until", "must be a valid time");
            Some(micros?)
        }
    };
    Some(Sentence { user: user(v, text)?, until, reason })
}

fn creation_from_pb(v: &mut Violations, creation: pb::ConversationCreated) -> Option<Creation> {
    let kind = kind_from_pb(creation.r#type);
    v.check(kind.is_some(), "type", "must be a type of conversation");
    let participants = creation
        .participants
        .iter()
        .filter_map(|p| Some(Assignment { user: user(v, &p.user_id)?, role: role(v, p.role)? }));
    let participants = participants.collect();
    Some(Creation {
        kind: kind?,
        participants,
        description: Description {
            title: Some(creation.title),
            description: Some(creation.description),
            avatar_url: Some(creation.avatar_url),
            metadata: Some(creation.metadata),
            // What is as ever is left out, so that digests of old requests stay.
            public: Some(creation.public).filter(|public| *public),
            history: history_from_pb(creation.history_visibility)
                .filter(|history| *history != History::Full),
            retention: creation.retention.map(|retention| retention_from_pb(Some(retention))),
        },
    })
}

fn description(changes: pb::ConversationUpdated) -> Description {
    Description {
        title: changes.title,
        description: changes.description,
        avatar_url: changes.avatar_url,
        metadata: changes.metadata.map(|value| value.entries),
        public: changes.public,
        history: changes.history_visibility.and_then(history_from_pb),
        retention: changes.retention.map(|retention| retention_from_pb(Some(retention))),
    }
}
