//! `confab bench connect`: a user of many conversations connects, on a new
//! device that has nothing and on one that comes back.

use confab_proto::{
    conversations::v1::{CompareHeadsRequest, ListConversationsRequest},
    realtime::v1::Hello,
};
use tokio::time::Instant;

use super::{
    arguments::ConnectArguments,
    check::{Findings, Reader},
    latency::Recorder,
    listen::{Device, cursor},
    report::{Check, Report, Window, count},
    screen::Screen,
    server::Server,
    stage::{Person, Room},
    wire::Connection,
};
use crate::Failure;

const USER: &str = "collector";
/// Cursors that one `CompareHeads` takes.
const COMPARED: usize = 1000;

/// See the module.
pub(super) async fn run(
    arguments: &ConnectArguments,
    server: &Server,
    screen: &Screen,
) -> Result<Report, Failure> {
    let ConnectArguments { conversations, times, .. } = arguments;
    let owner = Person::connect(server, "owner").await?;
    screen.begin("creating conversations", *conversations);
    let members = vec![vec![USER.to_owned()]; *conversations];
    let rooms = Room::create_all(&owner, members, || screen.step()).await?;

    let takes = Takes::default();
    let before = server.usage().await;
    let begun = Instant::now();
    screen.begin("connecting", *times);
    let mut findings = Findings::default();
    for _ in 0..*times {
        takes.connect(server, rooms.len(), &mut findings).await?;
        screen.step();
    }
    let window = Window {
        operations: *times as u64,
        elapsed: begun.elapsed(),
        before,
        after: server.usage().await,
    };
    takes.look_around(server, &rooms).await?;

    let mut report = Report::new("connect", arguments, "connects", window);
    report.latency_us = takes.synced.summary();
    report.figure("welcome_p50_us", count(takes.welcome.summary().p50));
    report.figure("first_page_of_list_us", count(takes.list.summary().p50));
    report.figure("compare_heads_of_all_us", count(takes.compare.summary().p50));
    report.check = Check::of(*times as u64, findings);
    Ok(report)
}

/// How long each part took.
struct Takes {
    welcome: Recorder,
    synced: Recorder,
    list: Recorder,
    compare: Recorder,
}

impl Default for Takes {
    fn default() -> Self {
        let new = Recorder::new;
        Self { welcome: new(), synced: new(), list: new(), compare: new() }
    }
}

impl Takes {
    /// A new device connects: from nothing to an inbox that is live.
    async fn connect(
        &self,
        server: &Server,
        conversations: usize,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let token = server.token(USER, "new")?;
        let begun = Instant::now();
        let connection = Connection::open(server.authority()).await?;
        let (mut device, welcome) = Device::connect(&connection, &token, Hello::default()).await?;
        self.welcome.record(begun.elapsed());
        let head = welcome.head_inbox_seq;
        device.synced("", &mut Reader::after("inbox", head)).await?;
        self.synced.record(begun.elapsed());
        // One join for each conversation.
        if head != conversations as u64 {
            findings.find(format!("the inbox of {conversations} conversations ends at {head}"));
        }
        Ok(())
    }

    /// What a device asks for then: the newest conversations, or all that moved.
    async fn look_around(
        &self,
        server: &Server,
        rooms: &[std::sync::Arc<Room>],
    ) -> Result<(), Failure> {
        let person = Person::connect(server, USER).await?;
        let begun = Instant::now();
        person.call(&ListConversationsRequest { page_size: 50, ..Default::default() }).await?;
        self.list.record(begun.elapsed());
        let begun = Instant::now();
        for rooms in rooms.chunks(COMPARED) {
            let cursors = rooms.iter().map(|room| cursor(&room.id, room.base())).collect();
            person.call(&CompareHeadsRequest { cursors }).await?;
        }
        self.compare.record(begun.elapsed());
        Ok(())
    }
}
