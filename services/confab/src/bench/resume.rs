//! `confab bench resume`: devices that have missed something come back, all at
//! the same moment, each on a connection of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use confab_kit::random;
use tokio::time::Instant;

use super::{
    arguments::ResumeArguments,
    audience::{Seated, Seats, Ticket, Total},
    crew::Crew,
    latency::Recorder,
    listen::Heard,
    read::{PAGE_READS, fill},
    report::{Report, Window, count},
    screen::Screen,
    server::Server,
    stage::{Person, names},
    wire::Connection,
};
use crate::Failure;

/// More than this is announced as a gap.
const REPLAYED: u64 = 1000;
/// Events that one read of the log returns.
const PAGE: u64 = 250;
/// Messages of a conversation that are under way at a time while it is filled.
const SENDERS: usize = 16;

/// A connection that breaks is tried again so often …
const TRIES: u32 = 20;
/// … each time after about so long.
const RETRY: Duration = Duration::from_millis(200);

/// How the devices came back.
struct Storm {
    total: Total,
    recorder: Recorder,
    elapsed: Duration,
    /// Connections that broke and were opened again.
    retries: u64,
}

/// See the module.
pub(super) async fn run(
    arguments: &ResumeArguments,
    server: &mut Server,
    screen: &Screen,
) -> Result<Report, Failure> {
    let ResumeArguments { streams, missed, size, .. } = arguments;
    if *missed > REPLAYED {
        return Err(format!("--missed is at most {REPLAYED}").into());
    }
    let rooms = arguments.conversations.clamp(1, (*streams).max(1));
    let senders = names("sender", SENDERS);
    let owner = Person::connect(server, "owner").await?;
    let seats = Seats::create(&owner, rooms, *streams, &|_| senders.clone(), screen).await?;
    for room in &seats.rooms {
        fill(server, room, &senders, *missed, *size, screen).await?;
    }
    if server.is_spawned() {
        server.restart().await?;
    }
    let earlier = server.metrics().await;
    let before = server.usage().await;
    let storm = storm(server, &seats, *streams, screen).await?;
    let Storm { total, recorder, elapsed, retries } = storm;
    let after = server.usage().await;
    let window = Window { operations: *streams as u64, elapsed, before, after };

    let mut report = Report::new("resume", arguments, "devices", window);
    report.latency_us = recorder.summary();
    report.figure("events_per_second", count(total.events) / elapsed.as_secs_f64());
    report.figure("connections_tried_again", count(retries));
    report.figure("gaps", count(total.gaps));
    report.figure("hot_pages", count(rooms as u64 * missed.div_ceil(PAGE)));
    report.figure("store_page_reads", server.metrics().await.grown(&earlier, PAGE_READS));
    let owner = Person::connect(server, "owner").await?;
    report.check = total.check(&seats.rooms, &owner, screen).await?;
    Ok(report)
}

/// All connect now. Each has come back when its replay has ended, and its time
/// counts from the moment at which all began.
async fn storm(
    server: &Server,
    seats: &Seats,
    streams: usize,
    screen: &Screen,
) -> Result<Storm, Failure> {
    screen.begin("resuming", streams);
    let tickets: Vec<_> =
        (0..streams).map(|stream| seats.ticket(server, stream)).collect::<Result<_, _>>()?;
    let (recorder, retries) = (Recorder::new(), Arc::new(AtomicU64::new(0)));
    let mut crew = Crew::new("bench device");
    let begun = Instant::now();
    for (number, ticket) in tickets.into_iter().enumerate() {
        let (authority, screen) = (server.authority().to_owned(), screen.clone());
        let (recorder, retries) = (recorder.for_task(number), Arc::clone(&retries));
        crew.add(async move {
            let start = ticket.start();
            let (device, reader, conversation) = come_back(&authority, &ticket, &retries).await?;
            recorder.record(begun.elapsed());
            screen.step();
            let events = reader.cursor() - start;
            Ok((device, Heard { conversation, reader, events, writes: 0, bytes: 0 }))
        });
    }
    // The devices stay open until all are back.
    let back = crew.all().await?;
    let elapsed = begun.elapsed();
    let total = Total::of(back.into_iter().map(|(_device, heard)| heard));
    Ok(Storm { total, recorder, elapsed, retries: retries.load(Ordering::Relaxed) })
}

/// As a client does it: a connection that broke is opened again, a bit later.
async fn come_back(
    authority: &str,
    ticket: &Ticket,
    retries: &AtomicU64,
) -> Result<Seated, Failure> {
    let mut tries = 1;
    loop {
        let opening = async {
            let connection = Connection::open(authority).await?;
            ticket.clone().watch(&connection).await
        };
        match opening.await {
            Ok(seated) => return Ok(seated),
            Err(failure) if tries == TRIES => return Err(failure),
            Err(failure) => tracing::debug!(%failure, "a device tries again"),
        }
        tries += 1;
        retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(random::jitter(RETRY)).await;
    }
}
