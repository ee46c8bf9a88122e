//! The beginning of a stream: waits for the hello, finds or makes the session,
//! and registers every interest before anything is read, so that nothing can
//! happen unseen between a read and the first live event.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use confab_kit::{bus::Signal, clock, identity::Caller};
use confab_log::{ConversationId, UserId, mutant};
use confab_proto::{
    participants::v1::ListMembershipsResponse,
    realtime::v1::{ConnectRequest, Hello, connect_request::Frame},
};
use tokio::time::timeout;

use super::{Ended, keeper::Keeper};
use crate::{
    Shared,
    convert::{self, Opening},
    error::Error,
    hub::{Interest, Registration},
    presence::Present,
    replay::Reads,
    source::{Incoming, Source},
    store::{SessionId, SessionKey, SessionRecord},
};

/// Frames that may follow the hello before it is answered.
const MAX_EARLY: usize = 64;

/// A stream about to begin.
pub(super) struct Opened {
    pub(super) reads: Arc<Reads>,
    pub(super) registration: Registration,
    pub(super) keeper: Keeper,
    pub(super) inbox_seq: u64,
    pub(super) memberships: HashSet<ConversationId>,
    /// The user is here as long as the stream is.
    pub(super) present: Present,
    pub(super) begin: Begin,
}

/// What only its first frames need.
pub(super) struct Begin {
    pub(super) watch: BTreeMap<ConversationId, u64>,
    pub(super) head_inbox_seq: u64,
    /// Whose presence the client wants to watch.
    pub(super) presence: BTreeSet<UserId>,
}

/// Reads up to the hello and answers it. Frames that come meanwhile are
/// returned beside, in order.
pub(super) async fn open(
    shared: &Arc<Shared>,
    caller: &Caller,
    source: &mut Source,
) -> Result<(Opened, Vec<ConnectRequest>), Ended> {
    let hello = timeout(shared.limits.hello_timeout, first_frame(source))
        .await
        .map_err(|_| Error::HelloTimeout)??;
    let prepared = prepare(shared, caller, &hello);
    tokio::pin!(prepared);
    let mut early = Vec::new();
    let mut listening = true;
    loop {
        tokio::select! {
            opened = &mut prepared => return Ok((opened?, early)),
            incoming = source.next(), if listening => match incoming? {
                Incoming::Frame(_) if early.len() >= MAX_EARLY => {
                    return Err(Error::Overloaded("too many frames before the welcome").into());
                }
                Incoming::Frame(request) => early.push(request),
                Incoming::HalfClosed => listening = false,
                Incoming::Gone => return Err(Ended::Gone),
            },
        }
    }
}

async fn first_frame(source: &mut Source) -> Result<Hello, Ended> {
    match source.next().await? {
        Incoming::Frame(ConnectRequest { frame: Some(Frame::Hello(hello)) }) => Ok(hello),
        Incoming::Frame(_) | Incoming::HalfClosed => Err(Error::HelloExpected.into()),
        Incoming::Gone => Err(Ended::Gone),
    }
}

async fn prepare(shared: &Arc<Shared>, caller: &Caller, hello: &Hello) -> Result<Opened, Error> {
    let (opening, presence) = convert::opening(hello, &shared.limits)?;
    let reads = Reads::new(shared, caller);
    let mut registration = shared.hub.register(&caller.tenant, &caller.user);
    // What was revoked before this was heard of by nobody.
    shared.revocations.check(caller)?;
    let resumed = match &opening {
        Opening::Session(session) => Some(take_over(shared, caller, session.clone()).await?),
        Opening::Cursors { .. } => None,
    };
    let (watch, inbox_seq) = match (&resumed, opening) {
        (Some(keeper), _) => (keeper.record.watch.clone(), Some(keeper.record.inbox_seq)),
        (None, Opening::Cursors { watch, inbox_seq }) => (watch, inbox_seq),
        (None, Opening::Session(_)) => return Err(Error::SessionLost),
    };
    registration.set_all(watch.keys(), &Interest::Events(None));
    shared.bus.settled().await;
    let answer = Arc::clone(&reads).memberships().await?;
    let memberships = active(&answer);
    let others = memberships.iter().filter(|id| !watch.contains_key(*id));
    registration.set_all(others, &Interest::Head);
    // The client compares heads after the welcome.
    shared.bus.settled().await;

    let head = answer.head_inbox_seq;
    let inbox_seq = inbox_seq.unwrap_or(head);
    if inbox_seq > head {
        return Err(Error::CursorAboveHead { cursor: inbox_seq, head });
    }
    let mut keeper = match resumed {
        Some(keeper) => keeper,
        None => create(shared, caller, &watch, inbox_seq).await?,
    };
    claim(shared, caller, &mut keeper, &registration).await?;
    // Whoever has got the welcome may say at any process how present they are.
    let present = shared.presences.arrive(&caller.tenant, &caller.user);
    if !mutant::is("room-welcome-first") {
        present.told().await;
    }
    let begin = Begin { watch, head_inbox_seq: head, presence };
    Ok(Opened { reads, registration, keeper, inbox_seq, memberships, present, begin })
}

/// Takes the session for this stream on this node.
async fn claim(
    shared: &Shared,
    caller: &Caller,
    keeper: &mut Keeper,
    registration: &Registration,
) -> Result<(), Error> {
    let (key, epoch) = (&keeper.key, keeper.record.epoch);
    let claim = shared.claims.claim(key, &caller.device_id, epoch, &registration.mailbox);
    // If it was ended before the claim, nobody was there to be told.
    let found = shared.sessions.load(key, clock::now_micros()).await?;
    keeper.claim = Some(claim);
    found.map(|_| ()).ok_or(Error::SessionEnded)
}

/// The conversations that the user is in.
pub(super) fn active(answer: &ListMembershipsResponse) -> HashSet<ConversationId> {
    let active = answer.memberships.iter().filter(|membership| membership.active);
    active
        .filter_map(|membership| ConversationId::parse(&membership.conversation_id).ok())
        .collect()
}

/// The session of an earlier stream, which is fenced from now on.
async fn take_over(shared: &Shared, caller: &Caller, session: SessionId) -> Result<Keeper, Error> {
    let key = SessionKey { tenant: caller.tenant.clone(), user: caller.user.clone(), session };
    shared.claims.fence(&key, &caller.device_id).await;
    // A session is its device's: another device has other things stored.
    let found = shared.sessions.take_over(&key, &caller.device_id, clock::now_micros()).await?;
    let mut keeper = Keeper::new(key, found.ok_or(Error::SessionLost)?, &shared.limits);
    if !mutant::is("take-over-untold") {
        tell_older_streams(shared, &keeper);
    }
    keeper.log_in(&caller.session_id);
    Ok(keeper)
}

/// Those at other processes: they hear of it here, or when they write the session next.
fn tell_older_streams(shared: &Shared, keeper: &Keeper) {
    shared.bus.publish(Signal::SessionTaken {
        tenant: keeper.key.tenant.clone(),
        user: keeper.key.user.clone(),
        session_id: keeper.key.session.as_str().into(),
        epoch: keeper.record.epoch,
    });
}

async fn create(
    shared: &Shared,
    caller: &Caller,
    watch: &BTreeMap<ConversationId, u64>,
    inbox_seq: u64,
) -> Result<Keeper, Error> {
    let key = SessionKey {
        tenant: caller.tenant.clone(),
        user: caller.user.clone(),
        session: SessionId::random(),
    };
    let record = SessionRecord {
        device_id: caller.device_id.to_string(),
        login: caller.session_id.to_string(),
        created: clock::now_micros(),
        watch: watch.clone(),
        inbox_seq,
        epoch: 1,
        last_seen: clock::now_micros(),
    };
    shared.sessions.create(&key, &record).await?;
    Ok(Keeper::new(key, record, &shared.limits))
}
