//! The scenarios that are explored to the end, each as small as its subject
//! allows, and the words that they are written in.

use confab_log::{
    Command, Content, Request, RequestId, RowKey, Seq, UserId,
    event::{Assignment, Creation, Description, Kind, LeaveCause, Role, Sentence},
};

use super::scenario::{Ask, Scenario, What};

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
    Request {
        actor: user(actor),
        request_id: RequestId::parse(id).expect("a scenario's names are well-formed"),
        digest: command.digest(&[7; 32]),
        after_seq: None,
        command,
    }
}

/// A message.
pub fn send(text: &str) -> Command {
    Command::Send(Content { text: text.to_owned(), ..Content::default() })
}

/// A new content for a message.
pub fn edit(target: Seq, text: &str) -> Command {
    let content = Content { text: text.to_owned(), ..Content::default() };
    Command::Edit { target, content }
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
        what: What::Command(request(actor, id, command)),
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
        Self { tries, retry, ..self }
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

/// A command meets a fault or a crash at each of its I/Os, and is tried again.
pub fn one_command() -> Scenario {
    Scenario {
        nodes: 1,
        faults: 2,
        read_faults: true,
        crashes: 1,
        split: true,
        stepwise: true,
        ..Scenario::new("one command", group(&[]), vec![ask("o", "r1", add(&["b"])).tries(3, &[0])])
    }
}

/// A member is removed at one node while they write at another.
pub fn removal_against_message() -> Scenario {
    Scenario {
        split: true,
        ..Scenario::new(
            "removal against message",
            group(&["b"]),
            vec![ask("o", "r1", remove("b")), ask("b", "r1", send("hello")).at(1)],
        )
    }
}

/// The same, with faults, and each tried again at the other node.
pub fn retry_after_removal() -> Scenario {
    Scenario {
        faults: 1,
        crashes: 1,
        ..Scenario::new(
            "retry after removal",
            group(&["b"]),
            vec![
                ask("o", "r1", remove("b")).tries(2, &[1]),
                ask("b", "r1", send("hello")).at(1).tries(2, &[0]),
            ],
        )
    }
}

/// A warm node that another one has left behind is asked for a command and a read.
pub fn stale_node() -> Scenario {
    Scenario {
        split: true,
        ..Scenario::new(
            "stale node",
            group(&[]),
            vec![
                read("b").at(1),
                ask("o", "r1", add(&["b"])),
                ask("b", "r1", send("hello")).at(1).after(0).after(1).ignorant(),
                read("b").at(1).after(0).after(1),
            ],
        )
    }
}

/// Two commands of one group, the second refused because of the first.
pub fn refused_in_a_group() -> Scenario {
    Scenario {
        gathers: true,
        faults: 2,
        ..Scenario::new(
            "refused in a group",
            group(&["b"]),
            vec![
                ask("o", "r1", remove("b")).tries(2, &[0, 1]),
                ask("b", "r1", send("hello")).tries(2, &[0, 1]),
            ],
        )
    }
}

/// A user joins and leaves in one group, and effects land late.
pub fn in_and_out() -> Scenario {
    Scenario {
        nodes: 1,
        gathers: true,
        faults: 1,
        crashes: 1,
        stepwise: true,
        ..Scenario::new(
            "in and out",
            group(&[]),
            vec![
                ask("o", "r1", add(&["b"])).tries(2, &[0]),
                ask("o", "r2", remove("b")).tries(2, &[0]),
            ],
        )
    }
}

/// A command's answer is lost, and the log grows past the tail before it is tried again.
pub fn retry_below_the_tail() -> Scenario {
    let mut scenario = Scenario {
        faults: 1,
        crashes: 1,
        ..Scenario::new(
            "retry below the tail",
            group(&["b"]),
            vec![
                ask("b", "r1", send("one")).tries(3, &[0, 1]),
                ask("o", "r1", send("two")).at(1),
                ask("o", "r2", send("three")).at(1).after(1),
            ],
        )
    };
    scenario.options.tail = 1;
    scenario.options.page = 1;
    scenario
}

/// The same without `after_seq`: the node's own memory of its first decision counts.
pub fn pinned() -> Scenario {
    let mut scenario = Scenario {
        faults: 2,
        ..Scenario::new(
            "pinned",
            group(&["b"]),
            vec![
                ask("b", "r1", send("one")).ignorant(),
                ask("o", "r1", send("two")).at(1),
                ask("o", "r2", send("three")).at(1).after(1),
            ],
        )
    };
    scenario.options.tail = 1;
    scenario.options.tries = 3;
    scenario
}

/// Copies of one request race at two nodes and in one group.
pub fn copies() -> Scenario {
    Scenario {
        gathers: true,
        faults: 2,
        ..Scenario::new(
            "copies",
            group(&["b"]),
            vec![ask("b", "r1", send("hello")).tries(3, &[0, 1]).racing()],
        )
    }
}

/// Two changes rest on the same version; one request id has two bodies.
pub fn stale_versions() -> Scenario {
    Scenario {
        faults: 1,
        ..Scenario::new(
            "stale versions",
            group(&["b"]),
            vec![
                ask("o", "r1", rename("one", Some(1))).tries(2, &[1]),
                ask("o", "r1", rename("two", Some(1))).at(1),
                ask("o", "r2", rename("three", Some(1))).at(1),
            ],
        )
    }
}

/// A message is named before it is there, then written, edited and deleted.
pub fn a_message_to_come() -> Scenario {
    Scenario {
        faults: 1,
        ..Scenario::new(
            "a message to come",
            group(&["b"]),
            vec![
                ask("b", "early", edit(2, "never")),
                ask("b", "r1", send("one")).at(1),
                ask("b", "r2", edit(2, "two")).after(1),
                ask("o", "r1", Command::DeleteMessage { target: 2 }).at(1).after(2),
            ],
        )
    }
}

/// A message's edit is blanked while a node that knows of the edit reads on.
pub fn blanked_while_read() -> Scenario {
    let mut setup = group(&["b"]);
    setup.push(request("b", "send", send("one")));
    Scenario {
        split: true,
        stepwise: true,
        ..Scenario::new(
            "blanked while read",
            setup,
            vec![
                read("b").at(1),
                ask("b", "r1", edit(2, "two")),
                ask("o", "r1", Command::DeleteMessage { target: 2 }).after(1),
                read("b").at(1).after(0),
                ask("b", "r2", Command::AddReaction { target: 2, emoji: "+".to_owned() })
                    .at(1)
                    .after(0),
            ],
        )
    }
}

/// A mute ends by one clock and not by the other.
pub fn clocks() -> Scenario {
    let mut setup = group(&["b"]);
    setup.push(request("o", "mute", Command::Mute(sentence("b", Some(150)))));
    Scenario {
        faults: 1,
        jumps: 2,
        ..Scenario::new("clocks", setup, vec![ask("b", "r1", send("hello")).tries(2, &[1])])
    }
}

/// A direct conversation is deleted and asked for again.
pub fn direct_again() -> Scenario {
    let direct = || create(Kind::Direct, &["a", "b"]);
    let mut scenario = Scenario {
        faults: 1,
        ..Scenario::new(
            "direct again",
            vec![
                request("a", "create", direct()),
                request("a", "delete", Command::Delete { version: None }),
            ],
            vec![
                ask("b", "again", direct()).tries(2, &[0, 1]),
                ask("a", "r1", Command::Delete { version: None }).at(1).after(0),
                ask("a", "r2", Command::Restore).at(1).after(1),
            ],
        )
    };
    scenario.options.tail = 2;
    scenario
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    vec![
        one_command(),
        removal_against_message(),
        retry_after_removal(),
        stale_node(),
        refused_in_a_group(),
        in_and_out(),
        retry_below_the_tail(),
        pinned(),
        copies(),
        stale_versions(),
        a_message_to_come(),
        blanked_while_read(),
        clocks(),
        direct_again(),
    ]
}
