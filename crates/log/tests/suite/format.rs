//! What is on disk stays readable. `fixtures/v1.txt` holds the bytes of format
//! version 1, one value a line; they are never written anew, only added to.

use std::collections::BTreeMap;

use confab_log::{
    Command, Content, Digest, Event, EventBody, RequestId,
    event::{
        Assignment, Creation, Description, Entity, EntityKind, History, Kind, LeaveCause,
        Retention, Role,
    },
    inbox::{Entry, Settings},
    row::{
        ConversationRow, Interval, MemberRow, MessageRow, ReactionCount, ReactionsRow, Replies,
        Restriction,
    },
};
use minicbor::{Decode, Encode};

use crate::common::{KEY, content, sentence, user};

const FIXTURES: &str = include_str!("fixtures/v1.txt");

fn description() -> Description {
    Description {
        title: Some("title".to_owned()),
        description: Some(String::new()),
        avatar_url: None,
        metadata: Some(BTreeMap::from([("key".to_owned(), "value".to_owned())])),
        ..Description::default()
    }
}

fn message() -> MessageRow {
    MessageRow {
        content: Some(Content {
            text: "hello ♥".to_owned(),
            attributes: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
            ..Content::default()
        }),
        edit_time: Some(3),
        delete_time: None,
        reactions: vec![ReactionCount { emoji: "♥".to_owned(), count: 2 }],
        edits: vec![7, 9],
        sender: user("alice"),
        applied_seq: 9,
        reply_to: None,
        thread: None,
        replies: None,
        flags: Vec::new(),
    }
}

fn bodies() -> Vec<EventBody> {
    let assign = |name, role| Assignment { user: user(name), role };
    let both = vec![assign("alice", Role::Owner), assign("bob", Role::Admin)];
    let left = |cause| EventBody::ParticipantLeft {
        user: user("bob"),
        cause,
        reason: "reason".to_owned(),
    };
    let blanked = MessageRow { content: None, delete_time: Some(5), ..message() };
    let creation = |kind| Creation { kind, participants: both.clone(), description: description() };
    vec![
        EventBody::ConversationCreated(creation(Kind::Direct)),
        EventBody::ConversationCreated(creation(Kind::Group)),
        EventBody::ConversationUpdated(description()),
        EventBody::ConversationArchived,
        EventBody::ConversationUnarchived,
        EventBody::ConversationDeleted,
        EventBody::ConversationRestored,
        EventBody::MessageCreated(message()),
        EventBody::MessageCreated(blanked),
        EventBody::MessageEdited { target: 5, content: Some(content("new")), flags: Vec::new() },
        EventBody::MessageEdited { target: 5, content: None, flags: Vec::new() },
        EventBody::MessageDeleted { target: 5 },
        EventBody::ReactionAdded { target: 5, emoji: "♥".to_owned() },
        EventBody::ReactionRemoved { target: 5, emoji: "♥".to_owned() },
        EventBody::ParticipantsJoined(both.clone()),
        left(LeaveCause::Left),
        left(LeaveCause::Removed),
        left(LeaveCause::Kicked),
        EventBody::RolesChanged(vec![assign("bob", Role::Member)]),
        EventBody::ParticipantMuted(sentence("bob", Some(-1))),
        EventBody::ParticipantUnmuted { user: user("bob") },
        EventBody::ParticipantBanned(sentence("bob", None)),
        EventBody::ParticipantUnbanned { user: user("bob") },
        EventBody::ConversationCreated(Creation {
            description: whole_description(),
            ..creation(Kind::Channel)
        }),
        EventBody::MessageCreated(whole_message()),
        EventBody::MessageEdited { target: 5, content: None, flags: vec!["rule".to_owned()] },
        EventBody::MessagePinned { target: 5 },
        EventBody::MessageUnpinned { target: 5 },
        EventBody::MessagesExpired { from: 1, to: 256 },
        EventBody::ParticipantBlocked { user: user("bob") },
        EventBody::ParticipantUnblocked { user: user("bob") },
    ]
}

fn whole_description() -> Description {
    Description {
        public: Some(true),
        history: Some(History::FromJoin),
        retention: Some(Retention { max_age: 3600, max_messages: 1000 }),
        ..description()
    }
}

/// With all that was added to format 1 since.
fn whole_message() -> MessageRow {
    let entity = |start, end, kind| Entity { start, end, kind };
    MessageRow {
        content: Some(Content {
            html: Some("<b>hello</b>".to_owned()),
            entities: vec![
                entity(0, 4, EntityKind::Mention(user("bob"))),
                entity(5, 9, EntityKind::Link("https://example.com".to_owned())),
                entity(10, 14, EntityKind::Hashtag("tea".to_owned())),
            ],
            ..content("hello")
        }),
        reply_to: Some(3),
        thread: Some(2),
        replies: Some(Replies { count: 2, last: 20 }),
        flags: vec!["rule".to_owned()],
        ..message()
    }
}

fn whole_conversation() -> ConversationRow {
    ConversationRow {
        history: History::FromJoin,
        public: true,
        owner: Some(user("alice")),
        pins: vec![3, 9],
        blocked_by: vec![user("bob")],
        retention: Retention { max_age: 3600, max_messages: 1000 },
        expired_through: 256,
        ..conversation()
    }
}

fn event(body: EventBody) -> Event {
    Event {
        seq: 300,
        ordinal: 70_000,
        last_message: 299,
        time: 1_700_000_000_000_000,
        actor: user("alice"),
        request_id: RequestId::parse("r-1").expect("well-formed"),
        digest: Digest([0xab; 16]),
        body,
    }
}

fn conversation() -> ConversationRow {
    ConversationRow {
        kind: Kind::Group,
        title: "title".to_owned(),
        description: String::new(),
        avatar_url: "https://example.com/a.png".to_owned(),
        metadata: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
        creator: user("alice"),
        create_request_id: RequestId::parse("r-1").expect("well-formed"),
        create_digest: Digest([0xab; 16]),
        participant_count: 2,
        create_time: 1,
        update_time: 2,
        archive_time: Some(3),
        delete_time: None,
        version_seq: 4,
        applied_seq: 5,
        history: History::Full,
        public: false,
        owner: None,
        pins: Vec::new(),
        blocked_by: Vec::new(),
        retention: Retention::default(),
        expired_through: 0,
    }
}

fn member() -> MemberRow {
    let restriction =
        Restriction { until: Some(9), reason: "reason".to_owned(), actor: user("alice"), time: 8 };
    MemberRow {
        role: Role::Member,
        intervals: vec![Interval { join: 1, leave: Some(4) }, Interval { join: 6, leave: None }],
        join_time: 6,
        leave_time: None,
        mute: Some(restriction.clone()),
        ban: Some(Restriction { until: None, ..restriction }),
        applied_seq: 7,
    }
}

/// Visits one sample of everything that is stored.
trait Visitor {
    fn visit<T>(&mut self, name: &str, sample: &T)
    where
        T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug;
}

fn visit_all(visitor: &mut impl Visitor) {
    for (number, body) in bodies().into_iter().enumerate() {
        visitor.visit(&format!("event-{number}"), &event(body));
    }
    visitor.visit("conversation", &conversation());
    visitor.visit("conversation-whole", &whole_conversation());
    visitor.visit("member", &member());
    visitor.visit("message", &message());
    visitor.visit("reactions", &ReactionsRow { emoji: vec!["♥".to_owned()], applied_seq: 9 });
    let settings = Settings::default();
    let entry =
        Entry { last_effect: 9, active: true, join_seq: 6, leave_seq: 0, read_seq: 8, settings };
    visitor.visit("inbox-entry", &entry);
    let settings = Settings { muted: true, mute_until: Some(9), archived: true, favourite: true };
    visitor.visit("inbox-entry-arranged", &Entry { settings, ..entry });
}

struct RoundTrip;

impl Visitor for RoundTrip {
    fn visit<T>(&mut self, name: &str, sample: &T)
    where
        T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug,
    {
        let bytes = minicbor::to_vec(sample).expect("memory takes all");
        assert_eq!(minicbor::decode::<T>(&bytes).as_ref().ok(), Some(sample), "{name}");
        // What is cut short is an error, never another value.
        for end in 0..bytes.len() {
            assert!(minicbor::decode::<T>(&bytes[..end]).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn everything_stored_is_read_back_as_it_was() {
    visit_all(&mut RoundTrip);
}

struct Fixtures(BTreeMap<&'static str, &'static str>);

impl Visitor for Fixtures {
    fn visit<T>(&mut self, name: &str, sample: &T)
    where
        T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug,
    {
        let today = hex::encode(minicbor::to_vec(sample).expect("memory takes all"));
        let Some(hex) = self.0.remove(name) else {
            panic!("no fixture of {name}; add the line\n{name} {today}");
        };
        let decoded = minicbor::decode::<T>(&hex::decode(hex).expect("hexadecimal digits"));
        assert_eq!(decoded.as_ref().ok(), Some(sample), "{name}, today {today}");
    }
}

#[test]
fn the_bytes_of_version_1_are_still_read() {
    let lines = FIXTURES.lines().filter_map(|line| line.split_once(' '));
    let mut fixtures = Fixtures(lines.collect());
    visit_all(&mut fixtures);
    assert!(fixtures.0.is_empty(), "fixtures of nothing: {:?}", fixtures.0);
}

#[test]
fn a_field_of_a_newer_version_is_skipped() {
    // An inbox entry with a seventh field.
    let bytes = hex::decode("870901060008f6f5").expect("hexadecimal digits");
    let newer = hex::decode("8709f506000884f4f6f4f463616263").expect("hexadecimal digits");
    assert!(minicbor::decode::<Entry>(&bytes).is_err(), "a number is no boolean");
    let entry = minicbor::decode::<Entry>(&newer).expect("the field is skipped");
    assert_eq!((entry.last_effect, entry.active, entry.read_seq), (9, true, 8));
}

#[test]
fn digests_stay_what_they_are() {
    // They are in the log: a retry after an upgrade is compared with them.
    let digest = |command: Command| hex::encode(command.digest(&KEY).0);
    let creation =
        Creation { kind: Kind::Group, participants: Vec::new(), description: description() };
    assert_eq!(digest(Command::send(content("hello"))), "474d53db56afb0a74ca880fc79c07f54");
    assert_eq!(digest(Command::Create(creation)), "3bb4bbb5ec6d8359b04e0369fb8f02d5");
    let update = |version| Command::Update { changes: description(), version };
    assert_eq!(digest(update(Some(7))), "60994cadf6f687f2518ddab794f4daa5");
    assert_ne!(digest(update(Some(7))), digest(update(None)));
}
