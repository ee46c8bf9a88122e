//! How a stream is opened and how it behaves.

use std::time::Duration;

/// The most conversations that a stream can watch.
pub const MAX_WATCHES: usize = 200;

/// What a connection that broke is taken up from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// From what this stream has received: nothing is sent twice. The server's
    /// session is not needed, and a new one is made at every connection.
    #[default]
    Cursors,
    /// From what the server's session knows to be acknowledged: what came since is
    /// sent again and passed over here. Then the session, too, can be taken over
    /// by another process later, without losing what this one had not stored.
    Session,
}

/// What to watch and how. All but the first two have working defaults.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Conversations to watch, each with the last event that the application has
    /// applied (0: from the beginning of the log). At most [`MAX_WATCHES`].
    pub watch: Vec<(String, u64)>,
    /// The last inbox event that the application has applied; absent on a new
    /// device, which gets what comes from now on.
    pub inbox_cursor: Option<u64>,
    /// A session from an earlier [`Update::Connected`](crate::Update::Connected):
    /// the server then knows what is watched and from where. Implies
    /// [`Resume::Session`]; `watch` and `inbox_cursor` are what to fall back to.
    pub session: Option<String>,
    /// Users whose presence to watch, at most 200: [`Update::Presence`](crate::Update::Presence)
    /// tells of those who share a conversation with the user.
    pub presence: Vec<String>,
    /// How to take up a connection that broke.
    pub resume: Resume,
    /// When the server does not know the session any more: go on from the cursors
    /// (`true`, the default; ends with the error if there are none), or end with
    /// `SESSION_LOST`.
    pub fall_back_to_cursors: bool,
    /// Acknowledge an event when the application asks for the next one. `true`
    /// unless set; without it the application calls
    /// [`ack`](crate::StreamHandle::ack) itself.
    pub auto_ack: bool,
    /// Acknowledgements are collected for so long. 500 ms unless set.
    pub ack_interval: Duration,
    /// [`StreamHandle::send`](crate::StreamHandle::send) goes over the stream
    /// instead of beside it.
    pub send_over_stream: bool,
    /// Updates that wait for the application. When it does not read, nothing more
    /// is read from the network. 256 unless set.
    pub queue: usize,
    /// Longest wait for the server's welcome. 15 s unless set.
    pub connect_timeout: Duration,
    /// The first delay before connecting again; each further one is twice as long,
    /// with jitter. 200 ms unless set.
    pub first_retry: Duration,
    /// The longest of those delays. 30 s unless set.
    pub longest_retry: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            watch: Vec::new(),
            inbox_cursor: None,
            session: None,
            presence: Vec::new(),
            resume: Resume::Cursors,
            fall_back_to_cursors: true,
            auto_ack: true,
            ack_interval: Duration::from_millis(500),
            send_over_stream: false,
            queue: 256,
            connect_timeout: Duration::from_secs(15),
            first_retry: Duration::from_millis(200),
            longest_retry: Duration::from_secs(30),
        }
    }
}

impl StreamOptions {
    /// Watches one more conversation, from the last event that was applied.
    #[must_use]
    pub fn watching(mut self, conversation_id: impl Into<String>, cursor: u64) -> Self {
        self.watch.push((conversation_id.into(), cursor));
        self
    }
}
