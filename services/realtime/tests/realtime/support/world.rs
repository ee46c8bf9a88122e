//! What the fakes know: logs, members, inboxes. It is always right; the bus
//! that tells of it is not.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use confab_kit::bus::{Bus, Signal};
use confab_log::{ConversationId, TenantId, UserId};
use confab_proto::{
    messages::v1::{
        Content, Event, Message, ParticipantLeft, ParticipantsJoined, Receipt, RoleAssignment,
        event::Kind,
    },
    participants::v1::{InboxEvent, Joined, Left, inbox_event},
};

use super::id;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
    pub(crate) bus: Bus,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) logs: HashMap<String, Log>,
    pub(crate) inboxes: HashMap<String, Vec<InboxEvent>>,
    /// Reads of events that fail before the next one is answered.
    pub(crate) failing_reads: usize,
    /// Who may not write.
    pub(crate) muted: HashSet<String>,
    /// Whose token it is, where it is not the user's name.
    pub(crate) tokens: HashMap<String, String>,
    /// Paths of all calls, in order.
    pub(crate) calls: Vec<String>,
}

type Members = BTreeMap<String, Vec<(u64, Option<u64>)>>;

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    /// Times of membership: join and leave.
    pub(crate) members: Members,
    /// How many participants it says to have, if not a few.
    pub(crate) participants: Option<u32>,
}

impl Log {
    pub(crate) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    /// Whether the user is in, and the last event that the user may see.
    pub(crate) fn view(&self, user: &str) -> Option<(bool, u64)> {
        let (_, leave) = self.members.get(user)?.last()?;
        Some((leave.is_none(), leave.unwrap_or(self.head())))
    }
}

impl World {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("not poisoned")
    }

    /// Appends an event and tells nobody.
    pub(crate) fn append(&self, number: u8, kind: Kind) -> Arc<Event> {
        let mut inner = self.lock();
        let log = inner.logs.entry(id(number)).or_default();
        let seq = log.head() + 1;
        let event =
            Event { conversation_id: id(number), seq, kind: Some(kind), ..Event::default() };
        log.events.push(event.clone());
        Arc::new(event)
    }

    /// Appends a message and tells nobody.
    pub(crate) fn write(&self, number: u8, text: &str) -> Arc<Event> {
        let content = Content { text: text.to_owned(), ..Content::default() };
        self.append(
            number,
            Kind::MessageCreated(Message { content: Some(content), ..Message::default() }),
        )
    }

    /// Appends so many short messages and tells nobody.
    pub(crate) fn write_many(&self, number: u8, count: usize) {
        for _ in 0..count {
            self.write(number, "hi");
        }
    }

    /// The user joins; the inbox knows, nobody is told.
    pub(crate) fn join(&self, number: u8, user: &str) -> (Arc<Event>, Arc<InboxEvent>) {
        let participants = vec![RoleAssignment { user_id: user.to_owned(), role: 1 }];
        let event =
            self.append(number, Kind::ParticipantsJoined(ParticipantsJoined { participants }));
        self.with_members(number, |members| {
            members.entry(user.to_owned()).or_default().push((event.seq, None));
        });
        let kind = inbox_event::Kind::Joined(Joined { seq: event.seq, role: 1 });
        let noted = self.append_inbox(number, user, kind);
        (event, noted)
    }

    /// The user leaves; the inbox knows, nobody is told.
    pub(crate) fn leave(&self, number: u8, user: &str) -> (Arc<Event>, Arc<InboxEvent>) {
        let left = ParticipantLeft { user_id: user.to_owned(), ..ParticipantLeft::default() };
        let event = self.append(number, Kind::ParticipantLeft(left));
        self.with_members(number, |members| {
            let times = members.get_mut(user).expect("a member");
            times.last_mut().expect("a member").1 = Some(event.seq);
        });
        let kind = inbox_event::Kind::Left(Left { seq: event.seq });
        let noted = self.append_inbox(number, user, kind);
        (event, noted)
    }

    fn with_members(&self, number: u8, change: impl FnOnce(&mut Members)) {
        let mut inner = self.lock();
        change(&mut inner.logs.get_mut(&id(number)).expect("just written").members);
    }

    fn append_inbox(&self, number: u8, user: &str, kind: inbox_event::Kind) -> Arc<InboxEvent> {
        let mut inner = self.lock();
        let inbox = inner.inboxes.entry(user.to_owned()).or_default();
        let event = InboxEvent {
            inbox_seq: inbox.len() as u64 + 1,
            conversation_id: id(number),
            create_time: None,
            kind: Some(kind),
        };
        inbox.push(event.clone());
        Arc::new(event)
    }

    /// An event of any kind in a user's inbox; nobody is told.
    pub(crate) fn note(&self, number: u8, user: &str) -> Arc<InboxEvent> {
        let moved = confab_proto::participants::v1::ReadCursorMoved { read_seq: 1 };
        self.append_inbox(number, user, inbox_event::Kind::ReadCursorMoved(moved))
    }

    /// Tells of an event.
    pub(crate) fn tell(&self, event: &Arc<Event>) {
        let conversation = ConversationId::parse(&event.conversation_id).expect("an id");
        let participants = self.lock().logs[&event.conversation_id].participants;
        self.bus.publish(Signal::Event {
            tenant: tenant(),
            conversation,
            event: Arc::clone(event),
            participants,
        });
    }

    /// Tells of an inbox event.
    pub(crate) fn tell_inbox(&self, user: &str, event: &Arc<InboxEvent>) {
        let user = UserId::parse(user).expect("a user");
        self.bus.publish(Signal::Inbox { tenant: tenant(), user, event: Arc::clone(event) });
    }

    /// Tells of a receipt.
    pub(crate) fn tell_receipt(&self, number: u8, receipt: Receipt) {
        let conversation = ConversationId::parse(&id(number)).expect("an id");
        let participants = self.lock().logs[&id(number)].participants;
        self.bus.publish(Signal::Receipt { tenant: tenant(), conversation, receipt, participants });
    }

    /// Writes and tells.
    pub(crate) fn say(&self, number: u8, text: &str) -> u64 {
        let event = self.write(number, text);
        self.tell(&event);
        event.seq
    }
}

/// The tenant of all tests.
pub(crate) fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a tenant")
}
