//! The scenarios that are explored to the end, each as small as its subject
//! allows.

use confab_log::{Command, event::Kind};

use super::{
    scenario::Scenario,
    script::{
        add, ask, create, edit, group, read, remove, rename, request, send, send_in_thread,
        sentence,
    },
};

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

/// A member writes at one node while they are removed at another.
pub fn removal_against_message() -> Scenario {
    Scenario {
        split: true,
        ..Scenario::new(
            "removal against message",
            group(&["b"]),
            vec![ask("b", "r1", send("hello")), ask("o", "r1", remove("b")).at(1)],
        )
    }
}

/// A warm node learns of a removal only by losing its append.
pub fn removal_elsewhere() -> Scenario {
    Scenario {
        split: true,
        ..Scenario::new(
            "removal elsewhere",
            group(&["b"]),
            vec![
                read("b").at(1),
                ask("o", "r1", remove("b")).after(0),
                ask("b", "r1", send("hello")).at(1).after(0).after(1).ignorant(),
            ],
        )
    }
}

/// A message against a removal, with faults, each tried again at the other node.
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

/// A message rests on a join in the same group, which may land late; its sender
/// comes back alone.
pub fn retry_without_its_group() -> Scenario {
    let mut scenario = Scenario {
        nodes: 1,
        gathers: true,
        faults: 2,
        ..Scenario::new(
            "retry without its group",
            group(&[]),
            vec![ask("o", "r1", add(&["b"])), ask("b", "r1", send("hello")).tries(3, &[0])],
        )
    };
    scenario.options.tries = 1;
    scenario
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

/// A message's row is read from the log when a later event has changed it already.
pub fn a_message_from_the_future() -> Scenario {
    Scenario {
        split: true,
        ..Scenario::new(
            "a message from the future",
            group(&["b"]),
            vec![
                read("b").at(1),
                ask("b", "r1", send("one")),
                ask("o", "r1", Command::DeleteMessage { target: 2 }).after(1),
                read("b").at(1).after(0),
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

/// Somebody writes into a thread while its first message is deleted.
pub fn a_thread_and_its_root() -> Scenario {
    let mut setup = group(&["b"]);
    setup.push(request("o", "root", send("what do you think?")));
    Scenario {
        faults: 1,
        crashes: 1,
        ..Scenario::new(
            "a thread and its root",
            setup,
            vec![
                ask("b", "r1", send_in_thread("good", 2, "o")).tries(2, &[1]),
                ask("o", "r1", Command::DeleteMessage { target: 2 }).at(1),
            ],
        )
    }
}

/// Two nodes expire the same rows while one of these messages is edited and pinned.
pub fn expiry() -> Scenario {
    let mut setup = group(&["b"]);
    setup.push(request("b", "send", send("old")));
    setup.push(request("b", "edit", edit(2, "older")));
    let expire = || Command::Expire { from: 1, to: 3 };
    Scenario {
        faults: 1,
        ..Scenario::new(
            "expiry",
            setup,
            vec![
                ask("confab:retention", "expire-3", expire()).tries(2, &[0]),
                ask("confab:retention", "expire-3", expire()).at(1),
                ask("b", "r1", edit(2, "new")).at(1),
                ask("o", "r1", Command::Pin { target: 2 }),
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

/// Those above with more faults, crashes and tries, results that arrive late, and
/// effects that others see half applied: as far as there is time.
pub fn larger() -> Vec<Scenario> {
    let mut all = vec![
        one_command(),
        retry_after_removal(),
        refused_in_a_group(),
        retry_without_its_group(),
        in_and_out(),
        retry_below_the_tail(),
        pinned(),
        copies(),
        stale_versions(),
        a_message_to_come(),
        a_message_from_the_future(),
        blanked_while_read(),
        a_thread_and_its_root(),
        direct_again(),
    ];
    for scenario in &mut all {
        scenario.name = format!("larger: {}", scenario.name);
        scenario.nodes = 2;
        scenario.faults = 3;
        scenario.crashes = 1;
        scenario.stepwise = true;
        for ask in &mut scenario.asks {
            // Without `after_seq` a retry is safe within the tail only.
            if ask.knows {
                ask.tries = ask.tries.max(2);
                ask.retry = vec![0, 1];
            }
        }
    }
    all
}
