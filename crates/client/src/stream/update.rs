//! What a stream tells the application.

use std::{collections::BTreeMap, time::Duration};

use confab_proto::{
    conversations::v1::ConversationHead,
    messages::v1::{Event, Receipt},
    participants::v1::InboxEvent,
    realtime::v1::Presence,
};

use crate::error::Error;

/// One thing that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Update {
    /// The stream is connected, for the first time or again.
    Connected {
        /// For [`StreamOptions::session`](crate::StreamOptions::session).
        session_id: String,
        /// Who the server says that the client is.
        user_id: String,
        /// How many tries it took.
        attempt: u32,
    },
    /// The connection broke. The stream connects again by itself; what happens
    /// meanwhile is delivered then.
    Disconnected {
        /// Why.
        reason: Error,
        /// When the next try begins.
        retry_in: Duration,
    },
    /// The next event of a watched conversation: the cursor plus one, always.
    Event(Box<Event>),
    /// The next event of the user's inbox: the cursor plus one, always.
    Inbox(Box<InboxEvent>),
    /// A conversation that is not watched has moved.
    Head(Box<ConversationHead>),
    /// Somebody's cursors moved in a watched conversation. May be lost.
    Receipt {
        /// Which conversation.
        conversation_id: String,
        /// Whose, and where to.
        receipt: Receipt,
    },
    /// Somebody types in a watched conversation. May be lost. To be shown until the
    /// time is over, or until a message of the same user comes.
    Typing {
        /// Which conversation.
        conversation_id: String,
        /// Who.
        user_id: String,
        /// How long to show it; zero: the user has stopped.
        lasts: Duration,
    },
    /// How present a user is whom the stream watches
    /// ([`StreamOptions::presence`](crate::StreamOptions::presence)).
    Presence(Box<Presence>),
    /// What was missed has been delivered; what follows is live.
    Synced {
        /// Which conversation; `None` for the inbox.
        conversation_id: Option<String>,
        /// The last event of what was missed.
        seq: u64,
    },
    /// Events that the user may not see: an absence between a leave and a new
    /// join. The cursor has passed them; what was folded is to be read anew
    /// ([`Client::snapshot`](crate::Client::snapshot)).
    Hidden {
        /// Which conversation; `None` for the inbox.
        conversation_id: Option<String>,
        /// The first of them.
        from_seq: u64,
        /// The last of them.
        to_seq: u64,
    },
    /// A watch was refused, or the user left: nothing more comes of it.
    WatchEnded {
        /// Which conversation.
        conversation_id: String,
        /// Why.
        reason: Error,
    },
}

/// How far the application has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursors {
    /// Of each watched conversation, the last event that it was given.
    pub conversations: BTreeMap<String, u64>,
    /// The last inbox event that it was given; `None` before the first welcome of
    /// a stream that had no inbox cursor.
    pub inbox: Option<u64>,
}

/// The name of a log on a stream: a conversation's id, empty for the inbox.
pub(crate) type Topic = String;

/// The inbox's name on a stream.
pub(crate) const INBOX: &str = "";

/// As the application sees a topic.
pub(crate) fn conversation(topic: &str) -> Option<String> {
    (topic != INBOX).then(|| topic.to_owned())
}
