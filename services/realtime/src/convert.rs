//! From the wire's messages to what the session works with, all that is wrong
//! at once; and from the log's answers to frames.

pub(crate) mod unary;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use confab_kit::{
    clock,
    error::{Coded as _, Error as Coding},
    validate::Violations,
};
use confab_log::{ConversationId, UserId};
use confab_proto::{
    conversations::v1::{ConversationCursor, ConversationHead},
    messages::v1::LogHead,
    realtime::v1::{self as pb, Goodbye, Hello, PresenceStatus, WatchEnded},
};

use crate::{
    Limits,
    error::Error,
    store::{Presence, SessionId, Status},
};

/// Where a stream starts.
#[derive(Debug)]
pub(crate) enum Opening {
    /// Where the session stopped.
    Session(SessionId),
    /// Where the client says; without an inbox cursor at the inbox's head.
    Cursors { watch: BTreeMap<ConversationId, u64>, inbox_seq: Option<u64> },
}

/// Checks a hello: where the stream starts, and whose presence it watches.
pub(crate) fn opening(
    hello: &Hello,
    limits: &Limits,
) -> Result<(Opening, BTreeSet<UserId>), Error> {
    let mut violations = Violations::default();
    let presence = presences(&mut violations, hello, limits.presences);
    if !hello.session_id.is_empty() {
        violations.finish()?;
        let session = SessionId::parse(&hello.session_id).ok_or(Error::SessionLost)?;
        return Ok((Opening::Session(session), presence));
    }
    let watch = watches(&mut violations, hello, limits.watches);
    violations.finish()?;
    Ok((Opening::Cursors { watch, inbox_seq: hello.inbox_seq }, presence))
}

fn presences(violations: &mut Violations, hello: &Hello, limit: usize) -> BTreeSet<UserId> {
    let few = hello.presence.len() <= limit;
    violations.check(few, "hello.presence", format!("at most {limit} users"));
    let named = hello.presence.iter().take(limit).enumerate();
    let parsed = named.filter_map(|(index, text)| {
        violations.parse(format!("hello.presence[{index}]"), UserId::parse(text))
    });
    parsed.collect()
}

fn watches(
    violations: &mut Violations,
    hello: &Hello,
    limit: usize,
) -> BTreeMap<ConversationId, u64> {
    let few = hello.watch.len() <= limit;
    violations.check(few, "hello.watch", format!("at most {limit} conversations"));
    let mut watch = BTreeMap::new();
    for (index, cursor) in hello.watch.iter().take(limit).enumerate() {
        let field = format!("hello.watch[{index}].conversation_id");
        let parsed = ConversationId::parse(&cursor.conversation_id);
        if let Some(id) = violations.parse(field.clone(), parsed) {
            let first = watch.insert(id, cursor.seq).is_none();
            violations.check(first, field, "named twice");
        }
    }
    watch
}

/// A frame that names more than a stream may watch in all makes no sense.
pub(crate) fn few_enough(change: &pb::Watch, limits: &Limits) -> Result<(), Error> {
    let mut violations = Violations::default();
    let (watches, presences) = (limits.watches, limits.presences);
    let few = change.add.len() <= watches;
    violations.check(few, "watch.add", format!("at most {watches} conversations"));
    let few = change.add_presence.len() <= presences;
    violations.check(few, "watch.add_presence", format!("at most {presences} users"));
    Ok(violations.finish()?)
}

/// Cursors as the wire has them.
pub(crate) fn cursors<'a>(
    cursors: impl IntoIterator<Item = (&'a ConversationId, &'a u64)>,
) -> Vec<ConversationCursor> {
    cursors
        .into_iter()
        .map(|(id, seq)| ConversationCursor { conversation_id: id.as_str().to_owned(), seq: *seq })
        .collect()
}

/// A log's end as a head of the contract.
pub(crate) fn head(log: LogHead) -> ConversationHead {
    ConversationHead {
        conversation_id: log.conversation_id,
        seq: log.seq,
        unread_count: log.unread_count,
        last_message: log.last_message,
        read_seq: log.receipt.map(|receipt| receipt.read_seq).unwrap_or_default(),
        activity_time: log.activity_time,
        mention_count: log.mention_count,
    }
}

/// The end of a watch.
pub(crate) fn watch_ended(conversation: &str, error: &Error) -> WatchEnded {
    WatchEnded {
        conversation_id: conversation.to_owned(),
        failure: Some(error.to_error().to_failure()),
    }
}

/// How present a user is, as those see it who may.
pub(crate) fn presence(user: &UserId, presence: &Presence) -> pb::Presence {
    let status = match presence.status {
        Status::Online => PresenceStatus::Online,
        Status::Away => PresenceStatus::Away,
        Status::Offline => PresenceStatus::Offline,
    };
    let gone = presence.status == Status::Offline;
    pb::Presence {
        user_id: user.as_str().to_owned(),
        status: status.into(),
        last_seen_time: (gone && presence.since > 0).then(|| clock::timestamp(presence.since)),
        text: if gone { String::new() } else { presence.text.clone() },
    }
}

/// What somebody says who is not offline.
pub(crate) fn said(presence: &pb::Presence) -> Option<(Status, &str)> {
    let status = match presence.status() {
        PresenceStatus::Online => Status::Online,
        PresenceStatus::Away => Status::Away,
        PresenceStatus::Offline | PresenceStatus::Unspecified => return None,
    };
    Some((status, &presence.text))
}

/// Why users are not watched.
pub(crate) fn presence_refused(users: Vec<String>, error: &Error) -> pb::PresenceRefused {
    pb::PresenceRefused { user_ids: users, failure: Some(error.to_error().to_failure()) }
}

/// The last frame of a stream.
pub(crate) fn goodbye(error: &Coding) -> Goodbye {
    Goodbye { failure: Some(error.to_failure()), retry_after: error.retry_delay().map(duration) }
}

/// A time span as the wire has it.
pub(crate) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}
