//! `confab bench read`: pages of a long conversation.

use std::sync::Arc;

use confab_proto::messages::v1::{ListMessagesRequest, ListMessagesResponse};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::Instant;

use super::{
    arguments::ReadArguments,
    check::Findings,
    crew::Crew,
    pace::Pace,
    report::{Check, Report},
    screen::Screen,
    server::Server,
    stage::{Person, Room, Run, Sender, connections, filler, names},
};
use crate::Failure;

/// Senders that fill the conversation, and their connections.
const FILLERS: usize = 256;
const FILLING: usize = 16;
/// Reads of the log for pages; a server that does not share reads has none.
pub(super) const PAGE_READS: &str = "confab_page_reads_total";

/// See the module.
pub(super) async fn run(
    arguments: &ReadArguments,
    server: &Server,
    screen: &Screen,
) -> Result<Report, Failure> {
    let owner = Person::connect(server, "owner").await?;
    let room = filled(server, &owner, arguments.messages, arguments.size, screen).await?;
    of_room(arguments, server, &room, screen).await
}

/// A conversation with so many messages.
pub(super) async fn filled(
    server: &Server,
    owner: &Person,
    messages: u64,
    size: usize,
    screen: &Screen,
) -> Result<Arc<Room>, Failure> {
    let users = names("filler", FILLERS);
    let mut members = users.clone();
    members.push("reader".to_owned());
    let room = Arc::new(Room::create(owner, &members).await?);
    fill(server, &room, &users, messages, size, screen).await?;
    Ok(room)
}

/// Sends so many messages as fast as it goes, by all of these users.
pub(super) async fn fill(
    server: &Server,
    room: &Arc<Room>,
    users: &[String],
    messages: u64,
    size: usize,
    screen: &Screen,
) -> Result<(), Failure> {
    screen.begin("filling", usize::try_from(messages).unwrap_or(usize::MAX));
    let run = Run::start();
    let shared = connections(server, FILLING).await?;
    let mut crew = Crew::new("bench filler");
    for (number, user) in users.iter().enumerate() {
        let person = Person::on(shared[number % shared.len()].clone(), server, user)?;
        let text = filler(number as u64, size);
        let mut sender = Sender::new(person, Arc::clone(room), number, text, &run);
        let mine = (number as u64..messages).step_by(users.len()).count();
        let screen = screen.clone();
        crew.add(async move {
            for _ in 0..mine {
                sender.send(Instant::now()).await?;
                screen.step();
            }
            Ok(())
        });
    }
    crew.all().await?;
    Ok(())
}

/// Reads pages of a conversation that is filled.
pub(super) async fn of_room(
    arguments: &ReadArguments,
    server: &Server,
    room: &Arc<Room>,
    screen: &Screen,
) -> Result<Report, Failure> {
    let run = Run::start();
    let pace = Pace::new(&run);
    let mut crew = Crew::new("bench reader");
    for number in 0..arguments.in_flight.max(1) {
        let reader = Reader {
            person: Person::connect(server, "reader").await?,
            room: Arc::clone(room),
            random: SmallRng::seed_from_u64(arguments.common.seed.wrapping_add(number as u64)),
            page: arguments.page,
            newest: arguments.newest,
        };
        crew.add(reader.read(pace.for_task(number)));
    }
    let earlier = server.metrics().await;
    let (read, window) = crew.beside(pace.measure(&arguments.common, server, screen)).await?;
    let (mut messages, mut findings) = (0, Findings::default());
    for (seen, found) in read {
        messages += seen;
        findings.absorb(found);
    }
    let mut report = Report::new("read", arguments, "pages", window);
    report.latency_us = pace.recorder().summary();
    report.figure("store_page_reads", server.metrics().await.grown(&earlier, PAGE_READS));
    report.check = Check::of(messages, findings);
    Ok(report)
}

struct Reader {
    person: Person,
    room: Arc<Room>,
    random: SmallRng,
    page: i32,
    newest: bool,
}

impl Reader {
    /// Reads until the run is over; says how many messages it saw.
    async fn read(mut self, pace: Pace) -> Result<(u64, Findings), Failure> {
        let (mut messages, mut findings) = (0, Findings::default());
        while pace.goes_on() {
            let from_seq = self.place();
            let request = ListMessagesRequest {
                conversation_id: self.room.id.clone(),
                page_size: self.page,
                from_seq,
                ..ListMessagesRequest::default()
            };
            let due = Instant::now();
            let answer = self.person.call(&request).await?;
            pace.note(due);
            messages += answer.messages.len() as u64;
            self.check(from_seq, &answer, &mut findings);
        }
        Ok((messages, findings))
    }

    /// Above which a whole page stands; 0 for the newest.
    fn place(&mut self) -> u64 {
        let page = u64::try_from(self.page).unwrap_or(0);
        let lowest = self.room.base() + page + 1;
        let highest = self.room.head() + 1;
        if self.newest || lowest >= highest {
            return 0;
        }
        self.random.random_range(lowest..=highest)
    }

    /// A page is dense and begins where it was asked to.
    fn check(&self, from_seq: u64, page: &ListMessagesResponse, findings: &mut Findings) {
        let from = if from_seq == 0 { self.room.head() + 1 } else { from_seq };
        let due = (self.room.base() + 1..from).rev().take(usize::try_from(self.page).unwrap_or(0));
        if !page.messages.iter().map(|message| message.seq).eq(due) {
            let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
            findings.find(format!("the page below {from} is {seqs:?}"));
        }
    }
}
