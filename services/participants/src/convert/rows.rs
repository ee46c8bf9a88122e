//! Member rows, inbox effects and inbox events between the wire and the domain.
//! What the wire cannot prove is a violation; nothing is filled in silently.

use confab_kit::{clock, error::Error, validate::Violations};
use confab_log::{
    ConversationId, Micros, TenantId, UserId,
    event::Role,
    inbox::{Change, Entry, InboxEffect, Settings},
    row::{Interval, MemberRow, Restriction},
};
use confab_proto::participants::v1 as pb;
use prost_types::Timestamp;

use super::moderation::{action_from_pb, report_of_flag};
use crate::domain::{Effects, InboxBody, InboxEvent};

/// How many users one mesh call names, at most: more than any event does.
const MAX_USERS: usize = 1100;

/// A validated `LoadMembers`.
#[derive(Debug)]
pub(crate) struct LoadMembers {
    pub(crate) tenant: TenantId,
    pub(crate) conversation: ConversationId,
    pub(crate) users: Vec<UserId>,
}

/// A validated `ApplyMembers`.
#[derive(Debug)]
pub(crate) struct ApplyMembers {
    pub(crate) tenant: TenantId,
    pub(crate) conversation: ConversationId,
    pub(crate) effects: Effects,
}

/// A validated `RecordRead`.
#[derive(Debug)]
pub(crate) struct RecordRead {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) conversation: ConversationId,
    pub(crate) read_seq: u64,
}

impl TryFrom<pb::LoadMembersRequest> for LoadMembers {
    type Error = Error;

    fn try_from(request: pb::LoadMembersRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
        let conversation =
            check.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        let few = request.user_ids.len() <= MAX_USERS;
        check.check(few, "user_ids", "must name at most 1,100 users");
        let users = request.user_ids.iter().take(MAX_USERS);
        let users = users.filter_map(|text| check.parse("user_ids", UserId::parse(text))).collect();
        check.finish()?;
        let names = tenant.zip(conversation).ok_or_else(incomplete)?;
        Ok(Self { tenant: names.0, conversation: names.1, users })
    }
}

impl TryFrom<pb::ApplyMembersRequest> for ApplyMembers {
    type Error = Error;

    fn try_from(request: pb::ApplyMembersRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
        let conversation =
            check.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        check.check(request.seq > 0, "seq", "must be above 0");
        let few = request.rows.len() <= MAX_USERS && request.inbox.len() <= MAX_USERS;
        check.check(few, "rows", "must be at most 1,100");
        let rows = request.rows.into_iter().take(MAX_USERS);
        let rows = rows.filter_map(|row| member_from_pb(&mut check, row)).collect();
        let inbox = request.inbox.iter().take(MAX_USERS);
        let inbox = inbox.filter_map(|effect| effect_from_pb(&mut check, effect)).collect();
        let moderation = request.moderation.into_iter().take(MAX_USERS);
        let moderation: Vec<_> =
            moderation.filter_map(|action| action_from_pb(&mut check, action)).collect();
        check.finish()?;
        let (tenant, conversation) = tenant.zip(conversation).ok_or_else(incomplete)?;
        let content = request.flagged_content.as_ref();
        let reports = moderation
            .iter()
            .filter_map(|action| report_of_flag(&conversation, action, content))
            .collect();
        let (seq, time) = (request.seq, request.time_micros);
        let effects = Effects { seq, time, rows, inbox, moderation, reports };
        Ok(Self { tenant, conversation, effects })
    }
}

impl TryFrom<pb::RecordReadRequest> for RecordRead {
    type Error = Error;

    fn try_from(request: pb::RecordReadRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
        let user = check.parse("user_id", UserId::parse(&request.user_id));
        let conversation =
            check.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        check.finish()?;
        let names = tenant.zip(user).zip(conversation).ok_or_else(incomplete)?;
        let ((tenant, user), conversation) = names;
        Ok(Self { tenant, user, conversation, read_seq: request.read_seq })
    }
}

/// A validated `ListSharing`.
#[derive(Debug)]
pub(crate) struct ListSharing {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) others: Vec<UserId>,
}

impl TryFrom<pb::ListSharingRequest> for ListSharing {
    type Error = Error;

    fn try_from(request: pb::ListSharingRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
        let user = check.parse("user_id", UserId::parse(&request.user_id));
        let few = request.other_ids.len() <= MAX_USERS;
        check.check(few, "other_ids", "must name at most 1,100 users");
        let others = request.other_ids.iter().take(MAX_USERS);
        let others = others.filter_map(|text| check.parse("other_ids", UserId::parse(text)));
        let others = others.collect();
        check.finish()?;
        let names = tenant.zip(user).ok_or_else(incomplete)?;
        Ok(Self { tenant: names.0, user: names.1, others })
    }
}

/// A validated `ListMemberships`: whose.
pub(crate) fn owner(request: &pb::ListMembershipsRequest) -> Result<(TenantId, UserId), Error> {
    let mut check = Violations::default();
    let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
    let user = check.parse("user_id", UserId::parse(&request.user_id));
    check.finish()?;
    tenant.zip(user).ok_or_else(incomplete)
}

/// A validated `FindBlocks`: whose, who, and the others.
pub(crate) fn blocks(
    request: &pb::FindBlocksRequest,
) -> Result<(TenantId, UserId, Vec<UserId>), Error> {
    let mut check = Violations::default();
    let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
    let user = check.parse("user_id", UserId::parse(&request.user_id));
    let few = request.other_ids.len() <= MAX_USERS;
    check.check(few, "other_ids", "must name at most 1,100 users");
    let others = request.other_ids.iter().take(MAX_USERS);
    let others = others.filter_map(|text| check.parse("other_ids", UserId::parse(text))).collect();
    check.finish()?;
    let (tenant, user) = tenant.zip(user).ok_or_else(incomplete)?;
    Ok((tenant, user, others))
}

/// A validated `EnforceBlocks`: whose, and the two.
pub(crate) fn pair(
    request: &pb::EnforceBlocksRequest,
) -> Result<(TenantId, UserId, UserId), Error> {
    let mut check = Violations::default();
    let tenant = check.parse("tenant_id", TenantId::parse(&request.tenant_id));
    let one = check.parse("user_id", UserId::parse(&request.user_id));
    let other = check.parse("other_id", UserId::parse(&request.other_id));
    check.finish()?;
    let (tenant, (one, other)) = tenant.zip(one.zip(other)).ok_or_else(incomplete)?;
    Ok((tenant, one, other))
}

fn incomplete() -> Error {
    Error::violation("request", "is incomplete")
}

fn effect_from_pb(check: &mut Violations, effect: &pb::InboxEffect) -> Option<InboxEffect> {
    let user = check.parse("inbox.user_id", UserId::parse(&effect.user_id));
    let change = match &effect.change {
        Some(pb::inbox_effect::Change::Joined(joined)) => {
            role_from_pb(check, "inbox.joined.role", joined.role()).map(Change::Joined)
        }
        Some(pb::inbox_effect::Change::Left(_)) => Some(Change::Left),
        None => {
            check.add("inbox.change", "must be set");
            None
        }
    };
    Some(InboxEffect { user: user?, change: change? })
}

fn member_from_pb(check: &mut Violations, row: pb::MemberRow) -> Option<(UserId, MemberRow)> {
    let Some(participant) = row.participant else {
        check.add("rows.participant", "must be set");
        return None;
    };
    let user = check.parse("rows.user_id", UserId::parse(&participant.user_id));
    let role = role_from_pb(check, "rows.role", participant.role());
    check.check(participant.applied_seq > 0, "rows.applied_seq", "must be above 0");
    let intervals = row.intervals.iter().map(|interval| Interval {
        join: interval.join_seq,
        leave: Some(interval.leave_seq).filter(|seq| *seq > 0),
    });
    let intervals = intervals.collect();
    let join_time = time(check, "rows.join_time", participant.join_time.as_ref()).unwrap_or(0);
    let leave_time = time(check, "rows.leave_time", participant.leave_time.as_ref());
    let mute = restriction_from_pb(check, "rows.mute", participant.mute);
    let ban = restriction_from_pb(check, "rows.ban", participant.ban);
    let applied_seq = participant.applied_seq;
    let role = role?;
    Some((user?, MemberRow { role, intervals, join_time, leave_time, mute, ban, applied_seq }))
}

fn restriction_from_pb(
    check: &mut Violations,
    field: &str,
    restriction: Option<pb::Restriction>,
) -> Option<Restriction> {
    let restriction = restriction?;
    let actor = check.parse(field, UserId::parse(&restriction.actor_id));
    let until = time(check, field, restriction.until.as_ref());
    let time = time(check, field, restriction.create_time.as_ref()).unwrap_or(0);
    Some(Restriction { until, reason: restriction.reason, actor: actor?, time })
}

fn time(check: &mut Violations, field: &str, stamp: Option<&Timestamp>) -> Option<Micros> {
    let micros = clock::micros(stamp?);
    check.check(micros.is_some(), field, "must be a valid time");
    micros
}

fn role_from_pb(check: &mut Violations, field: &str, role: pb::Role) -> Option<Role> {
    match role {
        pb::Role::Member => Some(Role::Member),
        pb::Role::Admin => Some(Role::Admin),
        pb::Role::Owner => Some(Role::Owner),
        pb::Role::Unspecified => {
            check.add(field, "must be a role");
            None
        }
    }
}

/// The role's number on the wire.
pub(crate) fn role_to_pb(role: Role) -> pb::Role {
    match role {
        Role::Member => pb::Role::Member,
        Role::Admin => pb::Role::Admin,
        Role::Owner => pb::Role::Owner,
    }
}

/// A member as people see it.
pub(crate) fn participant_to_pb(
    conversation: &ConversationId,
    user: &UserId,
    row: MemberRow,
) -> pb::Participant {
    pb::Participant {
        conversation_id: conversation.as_str().to_owned(),
        user_id: user.as_str().to_owned(),
        role: role_to_pb(row.role).into(),
        // A banned stranger never joined.
        join_time: row.intervals.last().map(|_| clock::timestamp(row.join_time)),
        join_seq: row.intervals.last().map_or(0, |interval| interval.join),
        leave_time: row.leave_time.map(clock::timestamp),
        mute: row.mute.map(restriction_to_pb),
        ban: row.ban.map(restriction_to_pb),
        applied_seq: row.applied_seq,
    }
}

fn restriction_to_pb(restriction: Restriction) -> pb::Restriction {
    pb::Restriction {
        until: restriction.until.map(clock::timestamp),
        reason: restriction.reason,
        actor_id: restriction.actor.as_str().to_owned(),
        create_time: Some(clock::timestamp(restriction.time)),
    }
}

/// A member's row as the log takes it.
pub(crate) fn member_to_pb(
    conversation: &ConversationId,
    user: &UserId,
    row: MemberRow,
) -> pb::MemberRow {
    let intervals = row.intervals.iter().map(|interval| pb::Interval {
        join_seq: interval.join,
        leave_seq: interval.leave.unwrap_or(0),
    });
    let intervals = intervals.collect();
    pb::MemberRow { participant: Some(participant_to_pb(conversation, user, row)), intervals }
}

/// An entry as the mesh sees it.
pub(crate) fn membership_to_pb(conversation: &ConversationId, entry: &Entry) -> pb::Membership {
    pb::Membership {
        conversation_id: conversation.as_str().to_owned(),
        active: entry.active,
        join_seq: entry.join_seq,
        leave_seq: entry.leave_seq,
        settings: Some(settings_to_pb(&entry.settings)),
    }
}

/// How a user has arranged a conversation.
pub(crate) fn settings_to_pb(settings: &Settings) -> pb::ConversationSettings {
    pb::ConversationSettings {
        muted: settings.muted,
        mute_until: settings.mute_until.map(clock::timestamp),
        archived: settings.archived,
        favourite: settings.favourite,
    }
}

/// An inbox event as its user sees it.
pub(crate) fn inbox_event_to_pb(event: &InboxEvent) -> pb::InboxEvent {
    use pb::inbox_event::Kind;
    let kind = match &event.body {
        InboxBody::Joined { seq, role } => {
            Kind::Joined(pb::Joined { seq: *seq, role: role_to_pb(*role).into() })
        }
        InboxBody::Left { seq } => Kind::Left(pb::Left { seq: *seq }),
        InboxBody::Read { seq } => Kind::ReadCursorMoved(pb::ReadCursorMoved { read_seq: *seq }),
        InboxBody::Arranged(settings) => {
            Kind::SettingsChanged(pb::SettingsChanged { settings: Some(settings_to_pb(settings)) })
        }
        InboxBody::Blocked { user } => {
            Kind::UserBlocked(pb::UserBlocked { user_id: user.as_str().to_owned() })
        }
        InboxBody::Unblocked { user } => {
            Kind::UserUnblocked(pb::UserUnblocked { user_id: user.as_str().to_owned() })
        }
    };
    let conversation = event.conversation.as_ref();
    pb::InboxEvent {
        inbox_seq: event.inbox_seq,
        conversation_id: conversation.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        create_time: Some(clock::timestamp(event.time)),
        kind: Some(kind),
    }
}
