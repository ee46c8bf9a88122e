//! Two terminals, two users, one conversation.

use confab_client::{
    Error,
    chat::{ChatOptions, Room, run},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, duplex},
    task::JoinHandle,
};

use crate::support::{Fake, ROOM, Running, message, within};

/// One user's terminal.
struct Terminal {
    keyboard: DuplexStream,
    screen: Lines<BufReader<DuplexStream>>,
    chat: JoinHandle<Result<(), Error>>,
}

impl Terminal {
    async fn open(server: &Running, user: &str, room: Room) -> Self {
        let client = server.client_of(&format!("token-of-{user}")).await;
        let (keyboard, input) = duplex(4096);
        let (output, screen) = duplex(65536);
        let options = ChatOptions::new(client, room);
        let chat = tokio::spawn(run(options, BufReader::new(input), output));
        Self { keyboard, screen: BufReader::new(screen).lines(), chat }
    }

    async fn types(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).await.expect("the chat runs");
    }

    /// The next line that is shown.
    async fn line(&mut self) -> String {
        within(self.screen.next_line()).await.expect("text").expect("the chat runs")
    }

    /// Reads on until a line with this text.
    async fn shows(&mut self, text: &str) -> String {
        loop {
            let line = self.line().await;
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn ends(self) {
        drop(self.keyboard);
        within(self.chat).await.expect("no panic").expect("no error");
    }
}

/// A server that serves every stream well.
async fn server() -> (Running, JoinHandle<()>) {
    let mut streams = Fake::start().await;
    let server = streams.split();
    let serving = tokio::spawn(async move {
        while let Some(stream) = streams.next_stream().await {
            let fake = streams.fake.clone();
            tokio::spawn(async move { stream.serve_well(&fake).await });
        }
    });
    (server, serving)
}

#[tokio::test]
async fn two_users_chat() {
    let (server, serving) = server().await;
    let mut alice = Terminal::open(&server, "alice", Room::With("bob".into())).await;
    let mut bob = Terminal::open(&server, "bob", Room::Conversation(ROOM.into())).await;
    alice.shows("you are alice").await;
    bob.shows("you are bob").await;

    alice.types("hello bob").await;
    assert_eq!(bob.shows("hello bob").await, "12:03 [1] alice: hello bob");
    assert_eq!(alice.shows("hello bob").await, "12:03 [1] alice: hello bob ✓");

    bob.types("/react 1 👍").await;
    assert_eq!(alice.line().await, "-- 12:03 bob reacted 👍 to [1]");
    bob.types("hi").await;
    assert_eq!(alice.shows("hi").await, "12:03 [3] bob: hi");
    alice.types("/edit [1] hello, bob!").await;
    bob.shows("alice edited [1]: hello, bob!").await;
    alice.types("//not a command").await;
    bob.shows("[5] alice: /not a command").await;
    alice.types("/history").await;
    alice.shows("[1] alice: hello, bob! (edited) 👍1 ✓").await;
    alice.types("/delete 1").await;
    bob.shows("alice deleted [1]").await;
    bob.types("/history").await;
    bob.shows("[1] alice: (deleted)").await;

    alice.types("/who").await;
    assert_eq!(alice.shows("alice, owner").await, "   alice, owner");
    assert_eq!(alice.line().await, "   bob, owner");
    alice.types("/quit").await;
    alice.ends().await;
    bob.ends().await;
    serving.abort();
}

#[tokio::test]
async fn history_and_what_is_unread_are_shown_and_marked_read() {
    let (server, serving) = server().await;
    for seq in 1..=25 {
        server.fake.append(message(seq, "bob", &format!("old {seq}")));
    }
    server.fake.state().read_seq = 22;
    let mut alice = Terminal::open(&server, "alice", Room::With("bob".into())).await;
    alice.shows("you are alice").await;
    assert_eq!(alice.line().await, "12:03 [6] bob: old 6");
    alice.shows("[22]").await;
    assert_eq!(alice.line().await, "-- 3 unread");
    alice.shows("[25]").await;
    let marked = async {
        while server.fake.state().read_seq < 25 {
            let moved = server.fake.moved.notified();
            if server.fake.state().read_seq < 25 {
                moved.await;
            }
        }
    };
    within(marked).await;
    alice.ends().await;
    serving.abort();
}

#[tokio::test]
async fn what_was_typed_before_the_end_of_input_is_sent_and_shown() {
    let (server, serving) = server().await;
    let mut alice = Terminal::open(&server, "alice", Room::With("bob".into())).await;
    for number in 1..=5 {
        alice.types(&format!("line {number}")).await;
    }
    alice.keyboard.write_all(b"without a newline").await.expect("the chat runs");
    alice.keyboard.shutdown().await.expect("the chat runs");
    for number in 1..=5 {
        alice.shows(&format!("[{number}] alice: line {number} ✓")).await;
    }
    alice.shows("[6] alice: without a newline ✓").await;
    alice.ends().await;
    serving.abort();
}

#[tokio::test]
async fn wrong_lines_and_refusals_are_readable_and_harmless() {
    let (server, serving) = server().await;
    server.fake.append(message(1, "bob", "\u{1b}]0;evil\u{7}two\nlines \u{202e}x"));
    let mut alice = Terminal::open(&server, "alice", Room::With("bob".into())).await;
    assert_eq!(alice.shows("[1]").await, "12:03 [1] bob: \u{fffd}]0;evil\u{fffd}two");
    assert_eq!(alice.line().await, "      lines x");
    for (typed, shown) in [
        ("/nonsense", "!! there is no /nonsense; /help says what there is"),
        ("/edit", "!! say it like this: /edit 7 TEXT"),
        ("/edit x y", "!! say it like this: /edit 7 TEXT"),
        ("/delete me", "!! say it like this: /delete 7"),
        ("/react 1", "!! say it like this: /react 7 👍"),
    ] {
        alice.types(typed).await;
        assert_eq!(alice.line().await, shown, "{typed}");
    }
    alice.types("/help").await;
    alice.shows("/quit").await;
    alice.types("/unreact 1 👍").await;
    // The fake knows no such RPC.
    alice.shows("!! not in the fake").await;
    alice.ends().await;
    serving.abort();
}

#[tokio::test]
async fn a_lost_connection_is_told_in_few_words() {
    let mut server = Fake::start().await;
    let client = server.client_of("token-of-alice").await;
    let (_keyboard, input) = duplex(4096);
    let (output, screen) = duplex(65536);
    let room = Room::Conversation(ROOM.into());
    tokio::spawn(run(ChatOptions::new(client, room), BufReader::new(input), output));
    let mut screen = BufReader::new(screen).lines();
    let (connection, _) = server.welcome().await;
    drop(connection);
    loop {
        let line = within(screen.next_line()).await.expect("text").expect("the chat runs");
        if line.contains("offline") {
            assert_eq!(line, "-- offline, trying to come back (the connection is lost)");
            break;
        }
    }
}
