//! The words that scenarios are written in: users, requests, asks. Nothing here
//! runs.

use confab_log::{
    Command, Content, Request, RequestId, RowKey, Seq, UserId,
    command::Authority,
    event::{
        Assignment, Creation, Description, Entity, EntityKind, Kind, LeaveCause, Role, Sentence,
    },
};

use super::scenario::{Ask, What};

/// A user.
///
/// # Panics
/// If the name is malformed.
pub fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a scenario's names are well-formed")
}

/// A request with the digest that a service would give it.
///
/// # Panics
/// If a name is malformed.
pub fn request(actor: &str, id: &str, command: Command) -> Request {
    let id = RequestId::parse(id).expect("a scenario's names are well-formed");
    let request = Request::new(user(actor), id, command.digest(&[7; 32]), command);
    let authority = match request.command {
        Command::Expire { .. } => Authority::System,
        _ => Authority::Participant,
    };
    Request { authority, ..request }
}

/// A message.
pub fn send(text: &str) -> Command {
    Command::send(Content { text: text.to_owned(), ..Content::default() })
}

/// A message in a thread, which mentions somebody.
pub fn send_in_thread(text: &str, root: Seq, mentioned: &str) -> Command {
    let kind = EntityKind::Mention(user(mentioned));
    let entities = vec![Entity { start: 0, end: 1, kind }];
    let content = Content { text: text.to_owned(), entities, ..Content::default() };
    Command::Send { content, reply_to: Some(root), thread: Some(root), flags: Vec::new() }
}

/// A new content for a message.
pub fn edit(target: Seq, text: &str) -> Command {
    let content = Content { text: text.to_owned(), ..Content::default() };
    Command::edit(target, content)
}

/// New members.
pub fn add(users: &[&str]) -> Command {
    let users = users.iter().map(|name| user(name)).collect();
    Command::AddParticipants { users }
}

/// A removal.
pub fn remove(name: &str) -> Command {
    Command::Remove { user: user(name), cause: LeaveCause::Removed, reason: String::new() }
}

/// A mute or a ban.
pub fn sentence(name: &str, until: Option<i64>) -> Sentence {
    Sentence { user: user(name), until, reason: String::new() }
}

/// A new title, if the version is still the one given.
pub fn rename(title: &str, version: Option<Seq>) -> Command {
    let changes = Description { title: Some(title.to_owned()), ..Description::default() };
    Command::Update { changes, version }
}

/// A conversation with these participants, the first of them its owner.
pub fn create(kind: Kind, names: &[&str]) -> Command {
    let role = |place: usize| match (kind, place) {
        (Kind::Direct, _) | (_, 0) => Role::Owner,
        _ => Role::Member,
    };
    let participants = names.iter().enumerate();
    Command::Create(Creation {
        kind,
        participants: participants
            .map(|(place, name)| Assignment { user: user(name), role: role(place) })
            .collect(),
        description: Description::default(),
    })
}

/// A group of `o`, who owns it, and these members.
pub fn group(members: &[&str]) -> Vec<Request> {
    let mut names = vec!["o"];
    names.extend(members);
    vec![request("o", "create", create(Kind::Group, &names))]
}

/// One try at one node, with `after_seq`.
pub fn ask(actor: &str, id: &str, command: Command) -> Ask {
    Ask {
        what: What::Command(Box::new(request(actor, id, command))),
        knows: true,
        after: Vec::new(),
        first: vec![0],
        retry: vec![1],
        tries: 1,
        racing: false,
        again: false,
    }
}

/// A read of the conversation, of a member's row, and of the first messages.
pub fn read(member: &str) -> Ask {
    let mut keys = vec![RowKey::Conversation, RowKey::Member(user(member))];
    for message in 2..=4 {
        keys.push(RowKey::Message(message));
        keys.push(RowKey::Reactions(message, user(member)));
    }
    Ask { what: What::Read(keys), ..ask("o", "unused", Command::Archive) }
}

impl Ask {
    /// Its first try goes to this node.
    #[must_use]
    pub fn at(self, node: usize) -> Self {
        Self { first: vec![node], ..self }
    }

    /// It begins after that one was carried out.
    #[must_use]
    pub fn after(mut self, ask: usize) -> Self {
        self.after.push(ask);
        self
    }

    /// It is tried again, at these nodes, if it is not answered.
    #[must_use]
    pub fn tries(self, tries: u8, retry: &[usize]) -> Self {
        let retry = retry.to_vec();
        Self { retry, tries, ..self }
    }

    /// Its tries may race, and it is repeated even when it was answered.
    #[must_use]
    pub fn racing(self) -> Self {
        Self { racing: true, again: true, ..self }
    }

    /// It does not carry `after_seq`.
    #[must_use]
    pub fn ignorant(self) -> Self {
        Self { knows: false, ..self }
    }
}
