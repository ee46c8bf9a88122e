//! The unary RPCs' messages, both ways; all that is wrong with one at once.

use std::collections::BTreeMap;

use confab_kit::{
    clock,
    error::Error as Coding,
    identity::CallerKind,
    validate::{self, Violations},
};
use confab_log::{ConversationId, UserId};
use confab_proto::realtime::v1 as pb;

use crate::{
    error::Error,
    sessions::{End, Listed},
    store::{Acknowledged, SessionId, Status},
};

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 200;
/// What a user writes beside their presence, in bytes.
const MAX_PRESENCE_TEXT: usize = 256;

/// A page of a user's sessions.
pub(crate) struct ListSessions {
    pub(crate) user: Option<UserId>,
    pub(crate) size: usize,
    pub(crate) page_token: String,
}

/// The end of a session.
pub(crate) struct EndSession {
    pub(crate) user: Option<UserId>,
    pub(crate) end: End,
}

/// What is acknowledged, of which session.
pub(crate) fn acknowledged(
    request: &pb::AcknowledgeRequest,
    max_watches: usize,
) -> Result<(SessionId, Acknowledged), Error> {
    let mut violations = Violations::default();
    let few = request.cursors.len() <= max_watches;
    violations.check(few, "cursors", format!("at most {max_watches} conversations"));
    let mut cursors = BTreeMap::new();
    for (index, cursor) in request.cursors.iter().take(max_watches).enumerate() {
        let field = format!("cursors[{index}].conversation_id");
        let parsed = ConversationId::parse(&cursor.conversation_id);
        if let Some(id) = violations.parse(field, parsed) {
            raise(&mut cursors, id, cursor.seq);
        }
    }
    violations.finish()?;
    // Which no welcome can have named, nobody has.
    let session = SessionId::parse(&request.session_id).ok_or(Error::SessionNotFound)?;
    Ok((session, Acknowledged { cursors, inbox_seq: request.inbox_seq }))
}

/// The frame's form of the same.
pub(crate) fn acknowledged_frame(ack: &pb::Ack) -> Result<Acknowledged, Error> {
    let mut cursors = BTreeMap::new();
    for cursor in &ack.cursors {
        let id = ConversationId::parse(&cursor.conversation_id)
            .map_err(|_| Error::NotWatched(cursor.conversation_id.clone()))?;
        raise(&mut cursors, id, cursor.seq);
    }
    Ok(Acknowledged { cursors, inbox_seq: ack.inbox_seq })
}

fn raise(cursors: &mut BTreeMap<ConversationId, u64>, id: ConversationId, seq: u64) {
    let known = cursors.entry(id).or_default();
    *known = seq.max(*known);
}

/// A user that may be named.
pub(crate) fn named_user(text: &str) -> Result<Option<UserId>, Error> {
    let mut violations = Violations::default();
    let user = optional_user(&mut violations, text);
    violations.finish()?;
    Ok(user)
}

fn optional_user(violations: &mut Violations, text: &str) -> Option<UserId> {
    if text.is_empty() { None } else { validate::user_id(violations, "user_id", text) }
}

/// Which sessions are listed.
pub(crate) fn list_sessions(request: pb::ListSessionsRequest) -> Result<ListSessions, Error> {
    let mut violations = Violations::default();
    let user = optional_user(&mut violations, &request.user_id);
    let size = validate::page_size(&mut violations, request.page_size, DEFAULT_PAGE, MAX_PAGE);
    violations.finish()?;
    Ok(ListSessions { user, size, page_token: request.page_token })
}

/// What ends.
pub(crate) fn end_session(
    request: &pb::EndSessionRequest,
    kind: CallerKind,
) -> Result<EndSession, Error> {
    let user = named_user(&request.user_id)?;
    if !request.session_id.is_empty() {
        let id = SessionId::parse(&request.session_id).ok_or(Error::SessionNotFound)?;
        return Ok(EndSession { user, end: End::Session { id, revoke: request.revoke } });
    }
    if kind != CallerKind::User || !request.revoke {
        let problem = "may be empty only for a user's own login session, with revoke";
        return Err(Coding::violation("session_id", problem).into());
    }
    Ok(EndSession { user, end: End::OwnLogin })
}

/// Where the caller types, and whether.
pub(crate) fn typing(request: &pb::SendTypingRequest) -> Result<(ConversationId, bool), Error> {
    let mut violations = Violations::default();
    let conversation = validate::conversation_id(&mut violations, &request.conversation_id);
    let started = match request.state() {
        pb::TypingState::Started => true,
        pb::TypingState::Stopped => false,
        pb::TypingState::Unspecified => {
            violations.add("state", "must be STARTED or STOPPED");
            false
        }
    };
    violations.finish()?;
    let conversation = conversation.ok_or_else(|| Coding::violation("request", "is incomplete"))?;
    Ok((conversation, started))
}

/// How present the caller says to be.
pub(crate) fn own_presence(request: pb::SetPresenceRequest) -> Result<(Status, String), Error> {
    let mut violations = Violations::default();
    let status = match request.status() {
        pb::PresenceStatus::Online => Status::Online,
        pb::PresenceStatus::Away => Status::Away,
        _ => {
            violations.add("status", "must be ONLINE or AWAY");
            Status::Offline
        }
    };
    let short = request.text.len() <= MAX_PRESENCE_TEXT;
    violations.check(short, "text", format!("must be at most {MAX_PRESENCE_TEXT} bytes"));
    violations.finish()?;
    Ok((status, request.text))
}

/// A session as it is shown.
pub(crate) fn session(listed: &Listed) -> pb::Session {
    let record = &listed.record;
    pb::Session {
        session_id: listed.id.as_str().to_owned(),
        device_id: record.device_id.clone(),
        login_session_id: record.login.clone(),
        create_time: Some(clock::timestamp(record.created)),
        last_seen_time: Some(clock::timestamp(record.last_seen)),
        connected: listed.connected,
    }
}
