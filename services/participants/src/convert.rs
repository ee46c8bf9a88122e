//! Public requests in, domain out: every violation of a request at once. Rows
//! and inbox events are in [`rows`]. Nothing here asks a store.

pub(crate) mod moderation;
pub(crate) mod rows;
pub(crate) mod users;

use std::collections::BTreeSet;

use confab_kit::{
    clock,
    error::Error,
    validate::{self, Violations},
};
use confab_log::{
    ConversationId, RequestId, UserId,
    event::{LeaveCause, Role, Sentence},
};
use confab_proto::{messages::v1 as log_pb, participants::v1 as pb};
use prost_types::Timestamp;

use crate::domain::{Arrange, Change, Command, ListInbox, Roster, SettingsChanges};

/// How many users one command adds.
const MAX_ADDED: usize = 100;
/// How long a moderator's reason is, in characters.
const MAX_REASON_CHARS: usize = 500;

/// The fields that every command has.
struct Frame<'a> {
    conversation_id: &'a str,
    request_id: &'a str,
    after_seq: u64,
}

impl Frame<'_> {
    fn finish(self, mut check: Violations, change: Option<Change>) -> Result<Command, Error> {
        let conversation =
            check.parse("conversation_id", ConversationId::parse(self.conversation_id));
        let request_id = check.parse("request_id", RequestId::parse(self.request_id));
        check.finish()?;
        match (conversation, request_id, change) {
            (Some(conversation), Some(request_id), Some(change)) => {
                Ok(Command { conversation, request_id, after_seq: self.after_seq, change })
            }
            _ => Err(Error::violation("request", "is incomplete")),
        }
    }
}

macro_rules! frame {
    ($request:expr) => {
        Frame {
            conversation_id: &$request.conversation_id,
            request_id: &$request.request_id,
            after_seq: $request.after_seq,
        }
    };
}

impl TryFrom<pb::AddParticipantsRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::AddParticipantsRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let count = request.user_ids.len();
        check.check((1..=MAX_ADDED).contains(&count), "user_ids", "must name 1 to 100 users");
        let mut users = BTreeSet::new();
        for (index, text) in request.user_ids.iter().take(MAX_ADDED).enumerate() {
            let field = format!("user_ids[{index}]");
            if let Some(user) = check.parse(field.as_str(), UserId::parse(text)) {
                check.check(users.insert(user), field.as_str(), "must not be named twice");
            }
        }
        frame!(request).finish(check, Some(Change::Add(users.into_iter().collect())))
    }
}

impl TryFrom<pb::RemoveParticipantRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::RemoveParticipantRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let change = user_id(&mut check, &request.user_id).map(|user| Change::Remove {
            user,
            cause: LeaveCause::Removed,
            reason: String::new(),
        });
        frame!(request).finish(check, change)
    }
}

impl TryFrom<pb::JoinConversationRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::JoinConversationRequest) -> Result<Self, Error> {
        frame!(request).finish(Violations::default(), Some(Change::Join))
    }
}

impl TryFrom<pb::UpdateConversationSettingsRequest> for Arrange {
    type Error = Error;

    fn try_from(request: pb::UpdateConversationSettingsRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let conversation =
            check.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        let settings = request.settings.unwrap_or_default();
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        check.check(!paths.is_empty(), "update_mask", "must name what to change");
        let mut changes = SettingsChanges::default();
        for path in &paths {
            match path.as_str() {
                "muted" => changes.muted = Some(settings.muted),
                "mute_until" => {
                    let micros = settings.mute_until.as_ref().map(clock::micros);
                    check.check(
                        micros != Some(None),
                        "settings.mute_until",
                        "must be a valid time",
                    );
                    changes.mute_until = Some(micros.flatten());
                }
                "archived" => changes.archived = Some(settings.archived),
                "favourite" => changes.favourite = Some(settings.favourite),
                _ => {
                    let rule = "must name only muted, mute_until, archived, favourite";
                    check.add("update_mask", rule);
                }
            }
        }
        check.finish()?;
        let conversation =
            conversation.ok_or_else(|| Error::violation("request", "is incomplete"))?;
        Ok(Self { conversation, changes })
    }
}

impl TryFrom<pb::LeaveConversationRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::LeaveConversationRequest) -> Result<Self, Error> {
        frame!(request).finish(Violations::default(), Some(Change::Leave))
    }
}

impl TryFrom<pb::UpdateParticipantRoleRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::UpdateParticipantRoleRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let user = user_id(&mut check, &request.user_id);
        let role = match request.role() {
            pb::Role::Member => Some(Role::Member),
            pb::Role::Admin => Some(Role::Admin),
            pb::Role::Owner | pb::Role::Unspecified => None,
        };
        check.check(role.is_some(), "role", "must be ROLE_MEMBER or ROLE_ADMIN");
        let change = user.zip(role).map(|(user, role)| Change::UpdateRole { user, role });
        frame!(request).finish(check, change)
    }
}

impl TryFrom<pb::TransferOwnershipRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::TransferOwnershipRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let change = user_id(&mut check, &request.user_id).map(|user| Change::Transfer { user });
        frame!(request).finish(check, change)
    }
}

impl TryFrom<pb::KickParticipantRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::KickParticipantRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        check_reason(&mut check, &request.reason);
        let frame = frame!(request);
        let change = user_id(&mut check, &request.user_id).map(|user| Change::Remove {
            user,
            cause: LeaveCause::Kicked,
            reason: request.reason.clone(),
        });
        frame.finish(check, change)
    }
}

impl TryFrom<pb::BanParticipantRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::BanParticipantRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let sentence =
            sentence(&mut check, &request.user_id, &request.reason, request.until.as_ref());
        frame!(request).finish(check, sentence.map(Change::Ban))
    }
}

impl TryFrom<pb::UnbanParticipantRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::UnbanParticipantRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let change = user_id(&mut check, &request.user_id).map(|user| Change::Unban { user });
        frame!(request).finish(check, change)
    }
}

impl TryFrom<pb::MuteParticipantRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::MuteParticipantRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let sentence =
            sentence(&mut check, &request.user_id, &request.reason, request.until.as_ref());
        frame!(request).finish(check, sentence.map(Change::Mute))
    }
}

impl TryFrom<pb::UnmuteParticipantRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::UnmuteParticipantRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let change = user_id(&mut check, &request.user_id).map(|user| Change::Unmute { user });
        frame!(request).finish(check, change)
    }
}

impl TryFrom<pb::ListParticipantsRequest> for Roster {
    type Error = Error;

    fn try_from(request: pb::ListParticipantsRequest) -> Result<Self, Error> {
        roster(&request.conversation_id, request.page_size, request.page_token)
    }
}

impl TryFrom<pb::ListBansRequest> for Roster {
    type Error = Error;

    fn try_from(request: pb::ListBansRequest) -> Result<Self, Error> {
        roster(&request.conversation_id, request.page_size, request.page_token)
    }
}

impl TryFrom<pb::ListInboxEventsRequest> for ListInbox {
    type Error = Error;

    fn try_from(request: pb::ListInboxEventsRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let limit = validate::page_size(&mut check, request.page_size, 100, 500);
        check.finish()?;
        Ok(Self { after: request.after_inbox_seq, limit })
    }
}

/// The command as the log takes it. A leave is a removal of oneself.
pub(crate) fn to_log(change: Change, caller: &UserId) -> log_pb::append_request::Command {
    use log_pb::append_request::Command as Pb;
    match change {
        Change::Add(users) => Pb::AddParticipants(log_pb::ParticipantsJoined {
            participants: users
                .iter()
                .map(|user| log_pb::RoleAssignment {
                    user_id: user.as_str().to_owned(),
                    role: pb::Role::Member.into(),
                })
                .collect(),
        }),
        Change::Remove { user, cause, reason } => removal(&user, cause, reason),
        Change::Join => Pb::Join(log_pb::JoinCommand {}),
        Change::Leave => removal(caller, LeaveCause::Left, String::new()),
        Change::UpdateRole { user, role } => Pb::UpdateRole(log_pb::RoleAssignment {
            user_id: user.as_str().to_owned(),
            role: rows::role_to_pb(role).into(),
        }),
        Change::Transfer { user } => Pb::TransferOwnership(log_pb::TransferOwnershipCommand {
            user_id: user.as_str().to_owned(),
        }),
        Change::Mute(Sentence { user, until, reason }) => {
            Pb::MuteParticipant(log_pb::ParticipantMuted {
                user_id: user.as_str().to_owned(),
                until: until.map(clock::timestamp),
                reason,
            })
        }
        Change::Unmute { user } => {
            Pb::UnmuteParticipant(log_pb::ParticipantUnmuted { user_id: user.as_str().to_owned() })
        }
        Change::Ban(Sentence { user, until, reason }) => {
            Pb::BanParticipant(log_pb::ParticipantBanned {
                user_id: user.as_str().to_owned(),
                until: until.map(clock::timestamp),
                reason,
            })
        }
        Change::Unban { user } => {
            Pb::UnbanParticipant(log_pb::ParticipantUnbanned { user_id: user.as_str().to_owned() })
        }
    }
}

fn removal(user: &UserId, cause: LeaveCause, reason: String) -> log_pb::append_request::Command {
    let cause = match cause {
        LeaveCause::Left => log_pb::LeaveCause::Left,
        LeaveCause::Removed => log_pb::LeaveCause::Removed,
        LeaveCause::Kicked => log_pb::LeaveCause::Kicked,
    };
    log_pb::append_request::Command::RemoveParticipant(log_pb::ParticipantLeft {
        user_id: user.as_str().to_owned(),
        cause: cause.into(),
        reason,
    })
}

fn user_id(check: &mut Violations, text: &str) -> Option<UserId> {
    check.parse("user_id", UserId::parse(text))
}

fn check_reason(check: &mut Violations, reason: &str) {
    let short = reason.chars().count() <= MAX_REASON_CHARS;
    check.check(short, "reason", "must be at most 500 characters");
    let clean = reason.chars().all(|c| !c.is_control() || c == '\n' || c == '\t');
    check.check(clean, "reason", "must hold no control characters besides line feed and tab");
}

fn sentence(
    check: &mut Violations,
    user: &str,
    reason: &str,
    until: Option<&Timestamp>,
) -> Option<Sentence> {
    let user = user_id(check, user);
    check_reason(check, reason);
    let micros = until.map(clock::micros);
    check.check(micros != Some(None), "until", "must be a valid time");
    let until = micros.flatten();
    user.map(|user| Sentence { user, until, reason: reason.to_owned() })
}

fn roster(conversation: &str, page_size: i32, page_token: String) -> Result<Roster, Error> {
    let mut check = Violations::default();
    let conversation = check.parse("conversation_id", ConversationId::parse(conversation));
    let limit = validate::page_size(&mut check, page_size, 100, 200);
    check.finish()?;
    match conversation {
        Some(conversation) => Ok(Roster { conversation, limit, page_token }),
        None => Err(Error::violation("conversation_id", ConversationId::RULE)),
    }
}
