//! Sizes and times of streams, and what they are unless somebody says otherwise.

use std::time::Duration;

/// Sizes and times of streams.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame that a client may send, in bytes. Default 64 KiB.
    pub frame_bytes: usize,
    /// What may wait for a slow reader, in bytes. Default 1 MiB.
    pub stream_queue_bytes: usize,
    /// How long the first frame may take. Default 10 s.
    pub hello_timeout: Duration,
    /// A frame is sent at least this often. Default 15 s.
    pub heartbeat: Duration,
    /// A reader that takes nothing for this long is too slow. Default 60 s.
    pub stall_timeout: Duration,
    /// How often the log is asked for what the bus may have lost, with jitter.
    /// Default 30 s.
    pub heal_interval: Duration,
    /// How long a token is still good after its end. Default 60 s.
    pub token_leeway: Duration,
    /// Conversations that one stream may watch. Default 200.
    pub watches: usize,
    /// Calls of one stream that may run at a time. Default 64.
    pub calls: usize,
    /// More missing events than this are a gap. Default 1,000.
    pub gap_events: u64,
    /// Events that one read of the log returns. Default 250.
    pub page_events: i32,
    /// The least time between two heads of one conversation. Default 1 s.
    pub head_interval: Duration,
    /// The least time between two writes of one session. Default 1 s.
    pub save_interval: Duration,
    /// A stream is told so long before its token ends. Default 60 s.
    pub token_notice: Duration,
    /// Streams hear of a conversation's heads, and those that watch it of receipts,
    /// up to this many participants. Default 500.
    pub live_head_participants: u32,
    /// Typing is passed on up to this many participants, and as many watchers on
    /// the node. Default 200.
    pub typing_participants: u32,
    /// The least time between two words on one user's typing in one conversation.
    /// Default 2 s.
    pub typing_interval: Duration,
    /// How long typing is shown. Default 6 s.
    pub typing_lasts: Duration,
    /// Users whose presence one stream may watch. Default 200.
    pub presences: usize,
    /// The least time between two frames on one user's presence. Default 5 s.
    pub presence_interval: Duration,
    /// How long a user without a stream still counts as here. Default 10 s.
    pub presence_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 64 << 10,
            stream_queue_bytes: 1 << 20,
            hello_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            stall_timeout: Duration::from_mins(1),
            heal_interval: Duration::from_secs(30),
            token_leeway: Duration::from_mins(1),
            watches: 200,
            calls: 64,
            gap_events: 1000,
            page_events: 250,
            head_interval: Duration::from_secs(1),
            save_interval: Duration::from_secs(1),
            token_notice: Duration::from_mins(1),
            live_head_participants: 500,
            typing_participants: 200,
            typing_interval: Duration::from_secs(2),
            typing_lasts: Duration::from_secs(6),
            presences: 200,
            presence_interval: Duration::from_secs(5),
            presence_grace: Duration::from_secs(10),
        }
    }
}
