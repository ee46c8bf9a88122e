//! From the wire's messages to what the session works with, all that is wrong
//! at once; and from the log's answers to frames.

use std::{collections::BTreeMap, time::Duration};

use confab_kit::{
    error::{Coded as _, Error as Coding},
    validate::Violations,
};
use confab_log::ConversationId;
use confab_proto::{
    conversations::v1::{ConversationCursor, ConversationHead},
    messages::v1::LogHead,
    realtime::v1::{Goodbye, Hello, WatchEnded},
};

use crate::{error::Error, store::SessionId};

/// Where a stream starts.
#[derive(Debug)]
pub(crate) enum Opening {
    /// Where the session stopped.
    Session(SessionId),
    /// Where the client says; without an inbox cursor at the inbox's head.
    Cursors { watch: BTreeMap<ConversationId, u64>, inbox_seq: Option<u64> },
}

/// Checks a hello.
pub(crate) fn opening(hello: &Hello, max_watches: usize) -> Result<Opening, Error> {
    if !hello.session_id.is_empty() {
        let session = SessionId::parse(&hello.session_id).ok_or(Error::SessionLost)?;
        return Ok(Opening::Session(session));
    }
    let mut violations = Violations::default();
    violations.check(
        hello.watch.len() <= max_watches,
        "hello.watch",
        format!("at most {max_watches} conversations"),
    );
    let mut watch = BTreeMap::new();
    for (index, cursor) in hello.watch.iter().enumerate() {
        let field = format!("hello.watch[{index}].conversation_id");
        let parsed = ConversationId::parse(&cursor.conversation_id);
        if let Some(id) = violations.parse(field.clone(), parsed) {
            let first = watch.insert(id, cursor.seq).is_none();
            violations.check(first, field, "named twice");
        }
    }
    violations.finish()?;
    Ok(Opening::Cursors { watch, inbox_seq: hello.inbox_seq })
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
