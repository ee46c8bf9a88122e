//! The rows of other services, as the log sees them: loaded before a decision,
//! written as an event's effect. Only the mesh's generated clients are used.

use confab_kit::{channel::Channel, clock, error::Error as KitError};
use confab_log::{
    Effects, Event, EventBody, Row, RowKey, UserId,
    inbox::Change,
    moderation::{Act, Moderation},
};
use confab_proto::{
    conversations::v1::{
        ApplyRowRequest, LoadRowRequest,
        conversation_rows_service_client::ConversationRowsServiceClient,
    },
    participants::v1::{
        ApplyMembersRequest, InboxEffect, Joined, Left, LoadMembersRequest, ModerationAction,
        ModerationKind, RecordReadRequest, inbox_effect,
        member_rows_service_client::MemberRowsServiceClient,
    },
};

use crate::{
    convert::{event::content_to_pb, row},
    error::Error,
    store::LogKey,
};

/// Clients of the services that own the conversation and member rows.
#[derive(Clone, Debug)]
pub struct Projections {
    conversations: ConversationRowsServiceClient<Channel>,
    members: MemberRowsServiceClient<Channel>,
}

impl Projections {
    /// Both channels must carry the mesh credential.
    pub fn new(conversations: Channel, participants: Channel) -> Self {
        Self {
            conversations: ConversationRowsServiceClient::new(conversations),
            members: MemberRowsServiceClient::new(participants),
        }
    }

    /// Loads conversation and member rows.
    pub(crate) async fn load(
        &self,
        key: &LogKey,
        keys: &[RowKey],
    ) -> Result<Vec<(RowKey, Option<Row>)>, Error> {
        let users: Vec<&UserId> = keys
            .iter()
            .filter_map(|key| match key {
                RowKey::Member(user) => Some(user),
                _ => None,
            })
            .collect();
        let (conversation, members) = tokio::try_join!(
            self.load_conversation(key, keys.contains(&RowKey::Conversation)),
            self.load_members(key, &users)
        )?;
        let mut rows: Vec<_> =
            conversation.into_iter().map(|row| (RowKey::Conversation, row)).collect();
        rows.extend(members);
        Ok(rows)
    }

    async fn load_conversation(
        &self,
        key: &LogKey,
        wanted: bool,
    ) -> Result<Option<Option<Row>>, Error> {
        if !wanted {
            return Ok(None);
        }
        let request = LoadRowRequest {
            tenant_id: key.tenant.to_string(),
            conversation_id: key.conversation.to_string(),
        };
        let answer = self.conversations.clone().load_row(request).await.map_err(from_status)?;
        let loaded = answer.into_inner().row.map(row::conversation_from_pb).transpose()?;
        Ok(Some(loaded.map(Row::Conversation)))
    }

    async fn load_members(
        &self,
        key: &LogKey,
        users: &[&UserId],
    ) -> Result<Vec<(RowKey, Option<Row>)>, Error> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let request = LoadMembersRequest {
            tenant_id: key.tenant.to_string(),
            conversation_id: key.conversation.to_string(),
            user_ids: users.iter().map(ToString::to_string).collect(),
        };
        let answer = self.members.clone().load_members(request).await.map_err(from_status)?;
        let mut loaded = std::collections::BTreeMap::new();
        for member in answer.into_inner().rows {
            let (user, member) = row::member_from_pb(member)?;
            loaded.insert(user, member);
        }
        Ok(users
            .iter()
            .map(|user| (RowKey::Member((*user).clone()), loaded.remove(*user).map(Row::Member)))
            .collect())
    }

    /// Writes an event's conversation and member rows, and feeds the inboxes.
    pub(crate) async fn apply(
        &self,
        key: &LogKey,
        event: &Event,
        effects: &Effects,
    ) -> Result<(), Error> {
        tokio::try_join!(
            self.apply_conversation(key, effects),
            self.apply_members(key, event, effects)
        )?;
        Ok(())
    }

    async fn apply_conversation(&self, key: &LogKey, effects: &Effects) -> Result<(), Error> {
        let changed = effects.rows.iter().find_map(|(_, row)| match row {
            Row::Conversation(row) => Some(row),
            _ => None,
        });
        let Some(changed) = changed else { return Ok(()) };
        let request = ApplyRowRequest {
            tenant_id: key.tenant.to_string(),
            row: Some(row::conversation_to_pb(&key.conversation, changed)),
        };
        self.conversations.clone().apply_row(request).await.map_err(from_status)?;
        Ok(())
    }

    async fn apply_members(
        &self,
        key: &LogKey,
        event: &Event,
        effects: &Effects,
    ) -> Result<(), Error> {
        let rows: Vec<_> = effects
            .rows
            .iter()
            .filter_map(|(name, changed)| match (name, changed) {
                (RowKey::Member(user), Row::Member(member)) => {
                    Some(row::member_to_pb(&key.conversation, user, member))
                }
                _ => None,
            })
            .collect();
        if rows.is_empty() && effects.inbox.is_empty() && effects.moderation.is_empty() {
            return Ok(());
        }
        let seq = event.seq;
        let inbox = effects.inbox.iter().map(|effect| InboxEffect {
            user_id: effect.user.to_string(),
            change: Some(match effect.change {
                Change::Joined(role) => {
                    inbox_effect::Change::Joined(Joined { seq, role: row::role_to_pb(role) })
                }
                Change::Left => inbox_effect::Change::Left(Left { seq }),
            }),
        });
        let request = ApplyMembersRequest {
            tenant_id: key.tenant.to_string(),
            conversation_id: key.conversation.to_string(),
            seq,
            time_micros: event.time,
            rows,
            inbox: inbox.collect(),
            moderation: effects.moderation.iter().map(|act| action_to_pb(event, act)).collect(),
            flagged_content: flagged(event).map(content_to_pb),
        };
        self.members.clone().apply_members(request).await.map_err(from_status)?;
        Ok(())
    }

    /// Tells the user's other devices how far they have read.
    pub(crate) async fn record_read(
        &self,
        key: &LogKey,
        user: &UserId,
        read_seq: u64,
    ) -> Result<(), Error> {
        let request = RecordReadRequest {
            tenant_id: key.tenant.to_string(),
            user_id: user.to_string(),
            conversation_id: key.conversation.to_string(),
            read_seq,
        };
        self.members.clone().record_read(request).await.map_err(from_status)?;
        Ok(())
    }
}

/// What a message says that content rules have flagged.
fn flagged(event: &Event) -> Option<&confab_log::Content> {
    match &event.body {
        EventBody::MessageCreated(message) if !message.flags.is_empty() => message.content.as_ref(),
        EventBody::MessageEdited { content, flags, .. } if !flags.is_empty() => content.as_ref(),
        _ => None,
    }
}

fn action_to_pb(event: &Event, done: &Moderation) -> ModerationAction {
    let action = |kind: ModerationKind| ModerationAction {
        seq: event.seq,
        create_time: Some(clock::timestamp(event.time)),
        actor_id: event.actor.to_string(),
        kind: kind.into(),
        target_id: done.target.to_string(),
        reason: done.reason.clone(),
        ..ModerationAction::default()
    };
    match &done.act {
        Act::Removed => action(ModerationKind::Removed),
        Act::Kicked => action(ModerationKind::Kicked),
        Act::Banned(until) => ModerationAction {
            until: until.map(clock::timestamp),
            ..action(ModerationKind::Banned)
        },
        Act::Unbanned => action(ModerationKind::Unbanned),
        Act::Muted(until) => {
            ModerationAction { until: until.map(clock::timestamp), ..action(ModerationKind::Muted) }
        }
        Act::Unmuted => action(ModerationKind::Unmuted),
        Act::RoleChanged(role) => {
            ModerationAction { role: row::role_to_pb(*role), ..action(ModerationKind::RoleChanged) }
        }
        Act::MessageDeleted(message_seq) => {
            ModerationAction { message_seq: *message_seq, ..action(ModerationKind::MessageDeleted) }
        }
        Act::MessageFlagged(message_seq) => {
            ModerationAction { message_seq: *message_seq, ..action(ModerationKind::MessageFlagged) }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn from_status(status: tonic::Status) -> Error {
    Error::Kit(KitError::from_status(&status))
}
