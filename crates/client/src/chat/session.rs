//! The chat's loop: lines in, updates in, lines out. What lines mean is `line`,
//! what is done about them is `work`, how things look is `render`.

use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use confab_proto::messages::v1::{Event, event::Kind};

use super::{
    ChatOptions, Room,
    line::{HELP, Line},
    render::Render,
    work::{Done, Job, Work},
};
use crate::{
    client::{Client, SendOptions},
    error::Error,
    fold::ConversationState,
    stream::{EventStream, StreamOptions, Update},
};

pub(super) struct Session<R, W> {
    client: Client,
    input: R,
    typed: Vec<u8>,
    output: W,
    render: Render,
    history: usize,
    conversation_id: String,
    stream: EventStream,
    state: ConversationState,
    work: Work,
    /// What was read and what the server knows of it.
    read_seq: u64,
    marked_seq: u64,
    marking: Option<BoxFuture<'static, Result<u64, Error>>>,
    /// The newest own message, and how far the others are known to have read.
    own_seq: u64,
    seen_seq: u64,
    /// The newest event of one's own commands.
    done_seq: u64,
    greeted: bool,
    online: bool,
    leaving: bool,
}

impl<R: AsyncBufRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    pub(super) async fn open(options: ChatOptions, input: R, output: W) -> Result<Self, Error> {
        let client = options.client;
        let conversation_id = match options.room {
            Room::Conversation(id) => id,
            Room::With(user_id) => client.open_direct(user_id).await?.conversation_id,
        };
        let snapshot = client.snapshot(&conversation_id, options.history).await?;
        let head = client.head_of(&conversation_id).await?.unwrap_or_default();
        // Who looks is known when the stream is welcomed.
        let state = ConversationState::from_snapshot(snapshot, "");
        let watch = StreamOptions::default().watching(&conversation_id, state.applied_seq());
        Ok(Self {
            stream: client.stream(watch),
            work: Work::new(client.clone(), conversation_id.clone()),
            client,
            input,
            typed: Vec::new(),
            output,
            render: Render {
                colour: options.colour,
                utc_offset_minutes: options.utc_offset_minutes,
            },
            history: options.history,
            conversation_id,
            state,
            read_seq: head.read_seq,
            marked_seq: head.read_seq,
            marking: None,
            own_seq: 0,
            seen_seq: 0,
            done_seq: 0,
            greeted: false,
            online: true,
            leaving: false,
        })
    }

    pub(super) async fn run(mut self) -> Result<(), Error> {
        while !self.has_left() {
            self.mark_read();
            tokio::select! {
                update = self.stream.next() => match update {
                    Some(update) => self.take_update(update?).await?,
                    None => return Err(Error::Closed),
                },
                done = self.work.next() => self.take_done(done).await?,
                marked = marked(&mut self.marking) => {
                    self.marking = None;
                    // A cursor that did not arrive is sent with the next one.
                    self.marked_seq = marked.unwrap_or(self.marked_seq).max(self.marked_seq);
                }
                read = self.input.read_until(b'\n', &mut self.typed),
                    if self.greeted && !self.leaving && !self.work.is_full() =>
                {
                    let read = read.map_err(|error| Error::Terminal(error.to_string()))?;
                    let typed = std::mem::take(&mut self.typed);
                    self.leaving = read == 0 && typed.is_empty();
                    self.take_line(Line::parse(&String::from_utf8_lossy(&typed))).await?;
                }
            }
        }
        if let Some(marking) = self.marking.take() {
            // Leaving: what did not arrive is unread the next time.
            let _ = marking.await;
        }
        self.stream.close().await;
        Ok(())
    }

    /// Everything that was typed is done, and seen to be done.
    fn has_left(&self) -> bool {
        let shown = !self.online || self.state.applied_seq() >= self.done_seq;
        self.leaving && self.greeted && self.work.is_done() && shown
    }

    async fn take_update(&mut self, update: Update) -> Result<(), Error> {
        match update {
            Update::Connected { user_id, .. } if !self.greeted => self.greet(user_id).await,
            Update::Connected { .. } => {
                self.online = true;
                self.notice("back online").await
            }
            Update::Disconnected { reason, .. } if self.online => {
                self.online = false;
                let why = match reason {
                    // What broke below HTTP is for logs.
                    Error::Transport(_) => "the connection is lost".to_owned(),
                    other => other.to_string(),
                };
                self.notice(&format!("offline, trying to come back ({why})")).await
            }
            Update::Event(event) if event.conversation_id == self.conversation_id => {
                self.take_event(&event).await
            }
            Update::Hidden { conversation_id: Some(_), to_seq, .. } => self.read_anew(to_seq).await,
            Update::Receipt { receipt, .. } => {
                let others = receipt.user_id != self.state.reader_id();
                let news = receipt.read_seq >= self.own_seq && self.seen_seq < self.own_seq;
                if !others || !news {
                    return Ok(());
                }
                self.seen_seq = receipt.read_seq;
                let user = receipt.user_id;
                self.notice(&format!("✓✓ {user} has read up to [{}]", self.own_seq)).await
            }
            Update::WatchEnded { reason, .. } => {
                self.leaving = true;
                self.online = false;
                self.error(&format!("you are not in this conversation any more: {reason}")).await
            }
            _ => Ok(()),
        }
    }

    /// The first welcome: now it is known who looks.
    async fn greet(&mut self, user_id: String) -> Result<(), Error> {
        self.greeted = true;
        self.online = true;
        let empty = ConversationState::new("", "");
        self.state = std::mem::replace(&mut self.state, empty).read_by(user_id.clone());
        let id = self.conversation_id.clone();
        self.notice(&format!(
            "you are {user_id}, in conversation {id}; /help says what you can type"
        ))
        .await?;
        self.show_history(self.read_seq).await
    }

    async fn show_history(&mut self, read_seq: u64) -> Result<(), Error> {
        let reader = self.state.reader_id();
        let unread = |message: &&confab_proto::messages::v1::Message| {
            message.seq > read_seq && message.sender_id != reader
        };
        let first_unread = self.state.messages().find(unread).map(|message| message.seq);
        let count = self.state.messages().filter(unread).count();
        let mut lines = Vec::new();
        for message in self.state.messages() {
            if Some(message.seq) == first_unread {
                lines.push(self.render.notice(&format!("{count} unread")));
            }
            lines.push(self.render.message(message, reader));
        }
        for line in lines {
            self.print(&line).await?;
        }
        self.read_seq = self.state.applied_seq().max(self.read_seq);
        Ok(())
    }

    async fn take_event(&mut self, event: &Event) -> Result<(), Error> {
        match self.state.apply(event) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(Error::Protocol(error.to_string())),
        }
        let own = event.actor_id == self.state.reader_id();
        let line = match &event.kind {
            Some(Kind::MessageCreated(message)) => {
                if own {
                    self.own_seq = event.seq;
                }
                Some(self.render.message(message, self.state.reader_id()))
            }
            _ => self.render.event(event),
        };
        self.read_seq = event.seq;
        self.state.keep_newest_messages(self.history.max(1) * 10);
        match line {
            Some(line) => self.print(&line).await,
            None => Ok(()),
        }
    }

    /// Part of the log may not be seen: what is known of the rest is read anew.
    async fn read_anew(&mut self, to_seq: u64) -> Result<(), Error> {
        let snapshot = self.client.snapshot(&self.conversation_id, self.history).await?;
        let reader = self.state.reader_id().to_owned();
        self.state = ConversationState::from_snapshot(snapshot, reader);
        self.notice(&format!("you were away until [{to_seq}]")).await?;
        // Events that the snapshot holds already are passed over when they come.
        self.show_history(self.read_seq).await
    }

    async fn take_done(&mut self, done: Done) -> Result<(), Error> {
        if let Ok(seq) = done.result {
            self.done_seq = seq.max(self.done_seq);
            if !self.online {
                self.notice(&format!("✓ [{seq}] is stored")).await?;
            }
            return Ok(());
        }
        if self.leaving {
            let Err(error) = done.result else { return Ok(()) };
            return self.error(&format!("not done: {error}")).await;
        }
        match self.work.again(done) {
            Ok(()) => self.notice("no answer yet, still trying").await,
            Err(error) => self.error(&error.to_string()).await,
        }
    }

    async fn take_line(&mut self, line: Line) -> Result<(), Error> {
        match line {
            Line::Empty => {}
            Line::Send(text) => self.work.add(Job::Send(text, SendOptions::default())),
            Line::Edit(seq, text) => self.work.add(Job::Edit(seq, text)),
            Line::Delete(seq) => self.work.add(Job::Delete(seq)),
            Line::React(seq, emoji) => self.work.add(Job::React(seq, emoji)),
            Line::Unreact(seq, emoji) => self.work.add(Job::Unreact(seq, emoji)),
            Line::Quit => self.leaving = true,
            Line::Help => self.print(HELP).await?,
            Line::Wrong(text) => self.error(&text).await?,
            Line::History => self.show_history(u64::MAX).await?,
            Line::Who => {
                let rows = self.state.participants().map(|row| self.render.participant(row));
                for line in rows.collect::<Vec<_>>() {
                    self.print(&line).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells the server what was shown, one call at a time.
    fn mark_read(&mut self) {
        if self.marking.is_some() || self.read_seq <= self.marked_seq || !self.greeted {
            return;
        }
        let (client, id, seq) = (self.client.clone(), self.conversation_id.clone(), self.read_seq);
        self.marked_seq = seq;
        self.marking = Some(Box::pin(async move {
            client.mark_read(id, seq).await.map(|(receipt, _)| receipt.read_seq)
        }));
    }

    async fn notice(&mut self, text: &str) -> Result<(), Error> {
        let line = self.render.notice(text);
        self.print(&line).await
    }

    async fn error(&mut self, text: &str) -> Result<(), Error> {
        let line = self.render.error(text);
        self.print(&line).await
    }

    async fn print(&mut self, line: &str) -> Result<(), Error> {
        let write = async {
            self.output.write_all(line.as_bytes()).await?;
            self.output.write_all(b"\n").await?;
            self.output.flush().await
        };
        write.await.map_err(|error| Error::Terminal(error.to_string()))
    }
}

/// Waits for the mark under way; for ever when there is none.
async fn marked(
    marking: &mut Option<BoxFuture<'static, Result<u64, Error>>>,
) -> Result<u64, Error> {
    match marking {
        Some(marking) => marking.await,
        None => std::future::pending().await,
    }
}
