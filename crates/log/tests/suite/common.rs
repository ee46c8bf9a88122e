//! Users, requests and a conversation that is held as a whole.

use std::collections::BTreeMap;

use confab_log::{
    Command, Content, Decision, Digest, Effects, Event, EventBody, Micros, Request, RequestId, Row,
    RowKey, Seq, UserId, decide,
    event::{Assignment, Creation, Description, Kind, Role, Sentence},
    fold,
    row::{ConversationRow, MemberRow, MessageRow},
    state::View,
};

pub(crate) const KEY: [u8; 32] = [7; 32];

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("well-formed")
}

pub(crate) fn request(actor: &str, id: &str, command: Command) -> Request {
    let id = RequestId::parse(id).expect("well-formed");
    Request::new(user(actor), id, command.digest(&KEY), command)
}

pub(crate) fn content(text: &str) -> Content {
    Content { text: text.to_owned(), ..Content::default() }
}

pub(crate) fn send(text: &str) -> Command {
    Command::send(content(text))
}

pub(crate) fn sentence(name: &str, until: Option<Micros>) -> Sentence {
    Sentence { user: user(name), until, reason: "because".to_owned() }
}

pub(crate) fn create(kind: Kind, names: &[(&str, Role)]) -> Command {
    let assign = |(name, role): &(&str, Role)| Assignment { user: user(name), role: *role };
    Command::Create(Creation {
        kind,
        participants: names.iter().map(assign).collect(),
        description: Description::default(),
    })
}

/// A conversation with every row in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Whole {
    pub(crate) seq: Seq,
    pub(crate) ordinal: u64,
    pub(crate) last_message: Seq,
    pub(crate) time: Micros,
    pub(crate) rows: BTreeMap<RowKey, Row>,
    pub(crate) ids: BTreeMap<(UserId, RequestId), (Digest, Seq)>,
}

impl View for Whole {
    fn seq(&self) -> Seq {
        self.seq
    }
    fn ordinal(&self) -> u64 {
        self.ordinal
    }
    fn last_message(&self) -> Seq {
        self.last_message
    }
    fn time(&self) -> Micros {
        self.time
    }
    fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(key)
    }
    fn known(&self, sender: &UserId, request: &RequestId) -> Option<(Digest, Seq)> {
        self.ids.get(&(sender.clone(), request.clone())).copied()
    }
}

impl Whole {
    /// Folds the next event; its row is there before its effects are.
    pub(crate) fn apply(&mut self, event: &Event) -> Effects {
        let effects = fold(self, event);
        self.rows.extend(effects.rows.iter().cloned());
        if let EventBody::MessageCreated(message) = &event.body {
            let row = self.rows.entry(RowKey::Message(event.seq));
            row.or_insert_with(|| Row::Message(message.clone()));
        }
        let id = (event.actor.clone(), event.request_id.clone());
        self.ids.insert(id, (event.digest, event.seq));
        self.seq = event.seq;
        self.ordinal = event.ordinal;
        self.last_message = event.last_message;
        self.time = event.time;
        effects
    }

    /// Decides a command, and folds the event if it is one.
    pub(crate) fn run(&mut self, request: &Request, now: Micros) -> Decision {
        let decision = decide(self, request, None, now);
        if let Decision::Append(event) = &decision {
            self.apply(event);
        }
        decision
    }

    /// The same, for a command that must succeed.
    pub(crate) fn must(&mut self, actor: &str, id: &str, command: Command) -> Seq {
        match self.run(&request(actor, id, command), 1000) {
            Decision::Append(event) => event.seq,
            other => panic!("{actor} {id}: {other:?}"),
        }
    }

    pub(crate) fn conversation(&self) -> &ConversationRow {
        match self.rows.get(&RowKey::Conversation) {
            Some(Row::Conversation(row)) => row,
            other => panic!("no conversation: {other:?}"),
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &MemberRow> {
        self.rows.values().filter_map(|row| match row {
            Row::Member(row) => Some(row),
            _ => None,
        })
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = (Seq, &MessageRow)> {
        self.rows.iter().filter_map(|(key, row)| match (key, row) {
            (RowKey::Message(seq), Row::Message(row)) => Some((*seq, row)),
            _ => None,
        })
    }
}
