//! A chat for a terminal, line by line: two terminals, two users, one
//! conversation. It shows what the client can do and nothing that it cannot: all
//! it knows of the conversation is a [`ConversationState`](crate::fold::ConversationState).

mod line;
mod render;
mod session;
mod work;

use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{client::Client, error::Error};
use session::Session;

/// Which conversation to chat in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// The direct conversation with this user; it is opened if there is none.
    With(String),
    /// The conversation with this id.
    Conversation(String),
}

/// How to chat.
#[derive(Clone, Debug)]
pub struct ChatOptions {
    /// As whom.
    pub client: Client,
    /// Where.
    pub room: Room,
    /// How many messages are shown at the start and by `/history`.
    pub history: usize,
    /// Colours. Only for a terminal.
    pub colour: bool,
    /// Minutes east of UTC, for the times shown.
    pub utc_offset_minutes: i32,
}

impl ChatOptions {
    /// A chat with 20 messages of history, without colours, in UTC.
    pub fn new(client: Client, room: Room) -> Self {
        Self { client, room, history: 20, colour: false, utc_offset_minutes: 0 }
    }
}

/// Chats until the input ends or says `/quit`; what was typed before is sent first.
///
/// # Errors
/// When the conversation cannot be opened, the stream ends (see
/// [`EventStream`](crate::EventStream)), or the output cannot be written.
pub async fn run<R, W>(options: ChatOptions, input: R, output: W) -> Result<(), Error>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    Session::open(options, input, output).await?.run().await
}
