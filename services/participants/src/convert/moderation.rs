//! Reports and actions between the wire and the domain.

use confab_kit::{
    clock,
    error::Error,
    validate::{self, Violations},
};
use confab_log::{ConversationId, UserId, event::Role};
use confab_proto::{messages::v1::Content, participants::v1 as pb};
use prost::Message as _;

use super::rows::role_to_pb;
use crate::domain::{
    Action, ActionPlace, Category, ListReports, Report, ReportId, ReportMessage, ResolveReport,
    Roster,
};

/// Characters of a comment or a note, at most.
const MAX_COMMENT: usize = 1000;

impl TryFrom<pb::ReportMessageRequest> for ReportMessage {
    type Error = Error;

    fn try_from(request: pb::ReportMessageRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let conversation =
            check.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        check.check(request.message_seq > 0, "message_seq", "must be above 0");
        let category = match request.category() {
            pb::ReportCategory::Spam => Some(Category::Spam),
            pb::ReportCategory::Abuse => Some(Category::Abuse),
            pb::ReportCategory::Illegal => Some(Category::Illegal),
            pb::ReportCategory::Other => Some(Category::Other),
            pb::ReportCategory::Rule | pb::ReportCategory::Unspecified => None,
        };
        check.check(category.is_some(), "category", "must be a category for people");
        check_comment(&mut check, "comment", &request.comment);
        check.finish()?;
        let (conversation, category) = conversation.zip(category).ok_or_else(incomplete)?;
        let (message, comment) = (request.message_seq, request.comment);
        Ok(Self { conversation, message, category, comment })
    }
}

impl TryFrom<pb::ListReportsRequest> for ListReports {
    type Error = Error;

    fn try_from(request: pb::ListReportsRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let limit = validate::page_size(&mut check, request.page_size, 50, 100);
        check.finish()?;
        Ok(Self { resolved: request.resolved, limit, page_token: request.page_token })
    }
}

impl TryFrom<pb::ResolveReportRequest> for ResolveReport {
    type Error = Error;

    fn try_from(request: pb::ResolveReportRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let id = ReportId::parse(&request.report_id);
        check.check(id.is_some(), "report_id", "must be the id of a report");
        let acted = match request.resolution() {
            pb::ReportResolution::Acted => Some(true),
            pb::ReportResolution::Dismissed => Some(false),
            pb::ReportResolution::Unspecified => None,
        };
        check.check(acted.is_some(), "resolution", "must be dismissed or acted");
        check_comment(&mut check, "note", &request.note);
        check.finish()?;
        let (id, acted) = id.zip(acted).ok_or_else(incomplete)?;
        Ok(Self { id, acted, note: request.note })
    }
}

impl TryFrom<pb::ListModerationActionsRequest> for Roster {
    type Error = Error;

    fn try_from(request: pb::ListModerationActionsRequest) -> Result<Self, Error> {
        super::roster(&request.conversation_id, request.page_size, request.page_token)
    }
}

fn incomplete() -> Error {
    Error::violation("request", "is incomplete")
}

fn check_comment(check: &mut Violations, field: &str, text: &str) {
    let short = text.chars().count() <= MAX_COMMENT;
    check.check(short, field, "must be at most 1,000 characters");
    let clean = text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t');
    check.check(clean, field, "must hold no control characters besides line feed and tab");
}

/// A report as moderators see it.
pub(crate) fn report_to_pb(id: ReportId, report: Report) -> pb::Report {
    let category = match report.category {
        Category::Spam => pb::ReportCategory::Spam,
        Category::Abuse => pb::ReportCategory::Abuse,
        Category::Illegal => pb::ReportCategory::Illegal,
        Category::Other => pb::ReportCategory::Other,
        Category::Rule => pb::ReportCategory::Rule,
    };
    let mut seen = pb::Report {
        report_id: id.to_string(),
        conversation_id: report.conversation.as_str().to_owned(),
        message_seq: report.message,
        sender_id: report.sender.as_str().to_owned(),
        reporter_id: report.reporter.map(|user| user.as_str().to_owned()).unwrap_or_default(),
        category: category.into(),
        comment: report.comment,
        // It was encoded by this service; what does not decode is not shown.
        content: report.content.and_then(|bytes| Content::decode(bytes.as_slice()).ok()),
        create_time: Some(clock::timestamp(report.time)),
        ..pb::Report::default()
    };
    if let Some(resolution) = report.resolution {
        let outcome = if resolution.acted {
            pb::ReportResolution::Acted
        } else {
            pb::ReportResolution::Dismissed
        };
        seen.resolution = outcome.into();
        seen.resolver_id = resolution.resolver.to_string();
        seen.resolution_note = resolution.note;
        seen.resolve_time = Some(clock::timestamp(resolution.time));
    }
    seen
}

/// An action as admins see it.
pub(crate) fn action_to_pb((seq, _): ActionPlace, action: Action) -> pb::ModerationAction {
    pb::ModerationAction {
        seq,
        create_time: Some(clock::timestamp(action.time)),
        actor_id: action.actor.as_str().to_owned(),
        kind: action.kind,
        target_id: action.target.as_str().to_owned(),
        message_seq: action.message,
        reason: action.reason,
        until: action.until.map(clock::timestamp),
        role: action.role.map_or(0, |role| role_to_pb(role).into()),
    }
}

/// An action as the log's effects tell it.
pub(crate) fn action_from_pb(
    check: &mut Violations,
    action: pb::ModerationAction,
) -> Option<Action> {
    let actor = check.parse("moderation.actor_id", UserId::parse(&action.actor_id));
    let target = check.parse("moderation.target_id", UserId::parse(&action.target_id));
    let known = action.kind() != pb::ModerationKind::Unspecified;
    check.check(known, "moderation.kind", "must be a kind");
    let role = match pb::Role::try_from(action.role) {
        Ok(pb::Role::Member) => Some(Role::Member),
        Ok(pb::Role::Admin) => Some(Role::Admin),
        Ok(pb::Role::Owner) => Some(Role::Owner),
        _ => None,
    };
    Some(Action {
        kind: action.kind,
        actor: actor?,
        target: target?,
        message: action.message_seq,
        reason: action.reason,
        until: action.until.as_ref().and_then(clock::micros),
        role,
        time: action.create_time.as_ref().and_then(clock::micros).unwrap_or(0),
    })
}

/// The report that a flag makes.
pub(crate) fn report_of_flag(
    conversation: &ConversationId,
    action: &Action,
    content: Option<&Content>,
) -> Option<Report> {
    let flagged = action.kind == i32::from(pb::ModerationKind::MessageFlagged);
    flagged.then(|| Report {
        conversation: conversation.clone(),
        message: action.message,
        sender: action.target.clone(),
        reporter: None,
        category: Category::Rule,
        comment: action.reason.clone(),
        content: content.map(Content::encode_to_vec),
        time: action.time,
        resolution: None,
    })
}
