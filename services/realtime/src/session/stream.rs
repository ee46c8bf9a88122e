//! What a stream has, and the parts of it that the others share: sending,
//! calls, the clock, and the answers of what runs beside it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use confab_kit::{channel::Channel, error::Error as Coding, identity::Caller};
use confab_log::{ConversationId, UserId, mutant};
use confab_proto::{
    messages::v1::LogHead,
    participants::v1::{InboxEvent, ListMembershipsResponse},
    realtime::v1::{Call, Heartbeat, Welcome, connect_response::Frame},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};

use super::{
    heads::HeadSlots,
    keeper::Keeper,
    open::{Begin, Opened},
    presence::{Found, Watched},
    timers::{Retry, Timers},
    watching::Watching,
};
use crate::{
    Shared,
    calls::{self, Turns},
    convert,
    error::Error,
    frame::frame,
    hub::Registration,
    inbox::Inbox,
    mailbox::{Delivery, Letters, Lost},
    outbox::Outbox,
    presence::Present,
    replay::Reads,
    store::{Saved, StoreError},
    watch::Read,
};

/// How long the calls that are open have when the process drains.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What ran beside the stream and has ended.
pub(super) enum Done {
    Read { conversation: ConversationId, generation: u64, outcome: Result<Read, Error> },
    Inbox(Result<(Vec<InboxEvent>, u64), Error>),
    Heads { asked: Vec<ConversationId>, outcome: Result<Vec<LogHead>, Error> },
    Behind(Result<Vec<LogHead>, Error>),
    Memberships(Result<ListMembershipsResponse, Error>),
    Saved(Result<Saved, StoreError>),
    Verified(Result<Caller, Coding>),
    Presence { users: Vec<UserId>, found: Found },
}

/// The answer of a call, and how many bytes its request had.
type Answered = (Bytes, usize);

/// New tokens of the client, and what became of them.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) waiting: VecDeque<Arc<str>>,
    pub(super) verifying: bool,
    /// Refused in a row.
    pub(super) refused: u32,
}

/// See the module.
pub(super) struct Stream {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Caller,
    pub(super) reads: Arc<Reads>,
    pub(super) public: Channel,
    pub(super) outbox: Outbox,
    pub(super) registration: Registration,
    pub(super) keeper: Keeper,
    pub(super) watches: HashMap<ConversationId, Watching>,
    /// Where watches stood that are over: late acks for them are fine.
    pub(super) ended: HashMap<ConversationId, u64>,
    pub(super) next_generation: u64,
    /// Conversations that read, or send what they have read.
    pub(super) busy: HashSet<ConversationId>,
    /// Those that wait to be among these.
    pub(super) queued: VecDeque<ConversationId>,
    /// Those whose next frame waits for room.
    pub(super) feeding: VecDeque<ConversationId>,
    pub(super) inbox: Inbox,
    pub(super) inbox_feeding: bool,
    pub(super) memberships: HashSet<ConversationId>,
    pub(super) heads: HeadSlots,
    /// Whose presence the client watches.
    pub(super) watched: Watched,
    pub(super) tokens: Tokens,
    pub(super) calls: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// Of all requests that are not answered yet.
    call_bytes: usize,
    turns: Turns,
    pub(super) work: FuturesUnordered<BoxFuture<'static, Done>>,
    pub(super) timers: Timers,
    /// How much the reader had taken when it was seen to have more to take.
    stalled: Option<(u64, Instant)>,
    /// The user is here as long as this stream is.
    present: Present,
}

impl Stream {
    pub(super) fn new(
        shared: Arc<Shared>,
        caller: Caller,
        outbox: Outbox,
        opened: Opened,
    ) -> (Self, Begin) {
        let limits = &shared.limits;
        let stream = Self {
            public: shared.public.with_token(&caller.token),
            timers: Timers::new(&caller, limits),
            heads: HeadSlots::new(limits.head_interval),
            watched: Watched::default(),
            tokens: Tokens::default(),
            present: opened.present,
            inbox: Inbox::new(opened.inbox_seq, opened.begin.head_inbox_seq, limits.gap_events),
            reads: opened.reads,
            outbox,
            registration: opened.registration,
            keeper: opened.keeper,
            watches: HashMap::new(),
            ended: HashMap::new(),
            next_generation: 0,
            busy: HashSet::new(),
            queued: VecDeque::new(),
            feeding: VecDeque::new(),
            inbox_feeding: false,
            memberships: opened.memberships,
            calls: FuturesUnordered::new(),
            call_bytes: 0,
            turns: Turns::new(),
            work: FuturesUnordered::new(),
            stalled: None,
            shared,
            caller,
        };
        (stream, opened.begin)
    }

    /// Sends the welcome and begins every replay.
    pub(super) fn start(&mut self, begin: Begin) -> Result<(), Error> {
        self.send(frame(Frame::Welcome(Welcome {
            session_id: self.keeper.key.session.as_str().to_owned(),
            head_inbox_seq: begin.head_inbox_seq,
            user_id: self.caller.user.as_str().to_owned(),
            heartbeat_interval: Some(convert::duration(self.shared.limits.heartbeat)),
            watching: convert::cursors(&begin.watch),
        })))?;
        self.pump_inbox()?;
        for (conversation, cursor) in begin.watch {
            self.start_watch(&conversation, cursor)?;
        }
        for user in begin.presence {
            self.add_presence(&user);
        }
        Ok(())
    }

    /// Gives up everything but the session.
    pub(super) fn into_keeper(self) -> Keeper {
        self.keeper
    }

    /// Queues a frame.
    pub(super) fn send(&self, bytes: Bytes) -> Result<(), Error> {
        self.outbox.push(bytes)
    }

    /// Shows that the stream lives.
    pub(super) fn heartbeat(&self) -> Result<(), Error> {
        self.send(frame(Frame::Heartbeat(Heartbeat {})))
    }

    /// Takes what the hub has put into the mailbox.
    pub(super) fn on_letters(&mut self, letters: Letters) -> Result<(), Error> {
        if letters.missed {
            self.timers.heal_soon();
            self.keeper.doubt();
            self.doubt_heads();
        }
        if letters.revoked {
            self.shared.revocations.check(&self.caller)?;
            self.registration.mailbox.calm();
        }
        match letters.session {
            Some(Lost::Fenced) => return Err(Error::SessionFenced),
            Some(Lost::Ended) => return Err(Error::SessionEnded),
            None => {}
        }
        for delivery in letters.deliveries {
            match delivery {
                Delivery::Event(event) => self.on_event(&event)?,
                Delivery::Receipt(receipt) => self.on_receipt(&receipt)?,
                Delivery::Inbox(event) => self.on_inbox(&event)?,
                Delivery::Typing(typing) => self.on_typing(&typing)?,
                Delivery::Presence(user, presence) => self.on_presence(&user, presence),
            }
        }
        for letter in letters.acks {
            let outcome = self.acknowledge(&letter.acknowledged);
            // Whoever asked may have gone; the cursors do not mind.
            let _gone = letter.reply.send(outcome);
        }
        if letters.presence_lossy {
            self.doubt_presence();
        }
        for conversation in letters.lossy {
            self.doubt(&conversation)?;
        }
        if letters.inbox_lossy {
            self.inbox.doubt();
            self.pump_inbox()?;
        }
        let now = Instant::now();
        for conversation in &letters.moved {
            self.mark_head(conversation, now);
        }
        Ok(())
    }

    /// Starts a call, or refuses it.
    pub(super) fn on_call(&mut self, call: Call) -> Result<(), Error> {
        let limits = &self.shared.limits;
        let bytes = calls::size(&call);
        let many = self.calls.len() >= limits.calls;
        if many || self.call_bytes + bytes > limits.stream_queue_bytes {
            let error = Error::Overloaded("too many calls at a time on this stream");
            return self.send(calls::refusal(call.call_id, &error));
        }
        self.call_bytes += bytes;
        let run = calls::run(self.public.clone(), call, self.turns.clone());
        self.calls.push(Box::pin(async move { (run.await, bytes) }));
        Ok(())
    }

    /// Sends a call's answer.
    pub(super) fn answer_call(&mut self, (answer, asked): Answered) {
        self.call_bytes -= asked;
        self.outbox.push_answer(answer);
    }

    /// Answers the calls that are open, as long as their answers are taken: the
    /// process is to end, and what has begun should not be left in doubt.
    pub(super) async fn finish_calls(&mut self) {
        if mutant::is("drain-drops-calls") {
            return;
        }
        let answering = async {
            while let Some(answer) = self.calls.next().await {
                while !self.outbox.has_room() {
                    self.outbox.room().await;
                }
                self.answer_call(answer);
            }
        };
        if timeout(LAST_ANSWERS, answering).await.is_err() {
            tracing::debug!(calls = self.calls.len(), "calls left unanswered");
        }
    }

    /// Takes the answer of what ran beside the stream.
    pub(super) fn on_done(&mut self, done: Done) -> Result<(), Error> {
        match done {
            Done::Read { conversation, generation, outcome } => {
                self.on_read(&conversation, generation, outcome)
            }
            Done::Inbox(outcome) => self.on_inbox_read(outcome),
            Done::Heads { asked, outcome } => self.on_heads(&asked, outcome),
            Done::Behind(outcome) => self.on_behind(outcome),
            Done::Memberships(outcome) => self.on_memberships(outcome),
            Done::Saved(outcome) => self.keeper.saved(outcome),
            Done::Verified(verified) => self.on_verified(verified),
            Done::Presence { users, found } => {
                self.on_presence_found(&users, found);
                Ok(())
            }
        }
    }

    /// Whether something can be sent as soon as the reader keeps up.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.feeding.is_empty() || self.inbox_feeding || !self.calls.is_empty()
    }

    /// Whether every replay has been sent and every call is answered.
    pub(super) fn is_at_rest(&self) -> bool {
        // A read that waits to be tried again is neither busy nor queued.
        let live = |watching: &Watching| watching.lane.lock().is_live();
        let replayed = self.inbox.is_live() && self.watches.values().all(live);
        replayed && !self.waits_for_room() && self.work.is_empty()
    }

    /// The reader keeps up again.
    pub(super) fn on_room(&mut self) -> Result<(), Error> {
        if self.inbox_feeding {
            self.pump_inbox()?;
        }
        for conversation in std::mem::take(&mut self.feeding) {
            self.pump(&conversation)?;
        }
        Ok(())
    }

    /// When something is due next.
    pub(super) fn next_tick(&self) -> Instant {
        let due = [self.keeper.due(), self.heads.due(), self.watched.due()];
        due.into_iter().flatten().fold(self.timers.next(), Instant::min)
    }

    /// Does what is due.
    pub(super) fn on_tick(&mut self, now: Instant) -> Result<(), Error> {
        if self.timers.has_expired(now) {
            return Err(Error::TokenExpired);
        }
        if self.timers.notice_due(now) {
            self.give_notice()?;
        }
        self.check_stall(now)?;
        if self.timers.heartbeat_due(now, self.outbox.last_appended()) {
            self.heartbeat()?;
        }
        if self.timers.heal_due(now) {
            self.heal()?;
        }
        while let Some(retry) = self.timers.next_retry(now) {
            match retry {
                Retry::Inbox => self.retry_inbox()?,
                Retry::Watch(conversation) => self.retry_watch(&conversation)?,
            }
        }
        if self.heads.due().is_some_and(|at| at <= now) {
            self.read_heads(now);
        }
        self.tick_presence(now)?;
        if self.keeper.due().is_some_and(|at| at <= now) {
            let save = self.keeper.save(Arc::clone(&self.shared.sessions));
            self.work.push(Box::pin(async move { Done::Saved(save.await) }));
        }
        Ok(())
    }

    /// A reader that takes nothing for long holds what others could use.
    fn check_stall(&mut self, now: Instant) -> Result<(), Error> {
        let seen = self.outbox.stalled_at();
        match (seen, self.stalled) {
            (None, _) => self.stalled = None,
            (Some(taken), Some((before, since))) if taken == before => {
                if now.duration_since(since) >= self.shared.limits.stall_timeout {
                    return Err(Error::SlowConsumer);
                }
            }
            (Some(taken), _) => self.stalled = Some((taken, now)),
        }
        Ok(())
    }

    pub(super) fn retry_later(&mut self, what: Retry, times: u32) {
        self.timers.retry(what, times);
    }

    /// Asks for what the bus may have lost without anything following it.
    fn heal(&mut self) -> Result<(), Error> {
        if mutant::is("never-heals") {
            return Ok(());
        }
        self.inbox.doubt();
        self.pump_inbox()?;
        self.doubt_presence();
        self.present.stay();
        let live = |(id, watching): (&ConversationId, &Watching)| {
            let watch = watching.lane.lock();
            watch.is_live().then(|| (id.clone(), watch.cursor()))
        };
        let cursors: Vec<_> = self.watches.iter().filter_map(live).collect();
        if !cursors.is_empty() {
            let reads = Arc::clone(&self.reads);
            self.work.push(Box::pin(async move { Done::Behind(reads.behind(cursors).await) }));
        }
        Ok(())
    }
}
