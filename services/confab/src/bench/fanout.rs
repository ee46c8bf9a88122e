//! `confab bench fanout`: one message, many streams. Round by round, so that
//! each event is alone on its way, or by a schedule.

use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::{
    arguments::{Common, FanoutArguments},
    audience::{Audience, Seats},
    crew::Crew,
    listen::Deliveries,
    pace::Pace,
    report::{Report, Window},
    schedule::Schedule,
    screen::Screen,
    server::Server,
    stage::{Person, Run, Sender, filler},
};
use crate::Failure;

/// See the module.
pub(super) async fn run(
    arguments: &FanoutArguments,
    server: &Server,
    screen: &Screen,
) -> Result<Report, Failure> {
    let FanoutArguments { common, streams, streams_per_connection, burst, .. } = arguments;
    let owner = Person::connect(server, "owner").await?;
    let rooms = arguments.conversations.clamp(1, (*streams).max(1));
    let senders = |room: usize| (0..*burst).map(|number| sender(room, number)).collect();
    let seats = Seats::create(&owner, rooms, *streams, &senders, screen).await?;
    let audience =
        Audience::open(server, &seats, *streams, *streams_per_connection, screen).await?;

    let run = Run::start();
    let mut senders = senders_of(arguments, server, &seats, &run).await?;
    let listening = audience.listen(&run, arguments.acks);
    let (delay, deliveries) = (listening.recorder.clone(), Arc::clone(&listening.deliveries));
    let window = if arguments.rate.is_some() {
        scheduled(arguments, server, &run, senders, &deliveries, screen).await?
    } else {
        let each = (*streams * *burst) as u64;
        let rounds = Rounds { common, server, run: &run, deliveries: &deliveries, each, screen };
        let burst = async |now| {
            try_join_all(senders.iter_mut().map(|sender| sender.send(now))).await.map(drop)
        };
        rounds.play(burst).await?
    };
    let total = listening.end(seats.due(*streams)).await?;

    let mut report = Report::new("fanout", arguments, "deliveries", window);
    report.latency_us = delay.summary();
    total.figures(&mut report);
    report.check = total.check(&seats.rooms, &owner, screen).await?;
    Ok(report)
}

fn sender(room: usize, number: usize) -> String {
    format!("sender-{room}-{number}")
}

/// For each room as many as a burst has messages, each with a connection.
async fn senders_of(
    arguments: &FanoutArguments,
    server: &Server,
    seats: &Seats,
    run: &Run,
) -> Result<Vec<Sender>, Failure> {
    let FanoutArguments { common, burst, size, .. } = arguments;
    let mut senders = Vec::new();
    for (room_number, room) in seats.rooms.iter().enumerate() {
        for number in 0..*burst {
            let person = Person::connect(server, &sender(room_number, number)).await?;
            let text = filler(common.seed.wrapping_add(senders.len() as u64), *size);
            senders.push(Sender::new(person, Arc::clone(room), senders.len(), text, run));
        }
    }
    Ok(senders)
}

/// The next burst is sent when every stream has the last one.
pub(super) struct Rounds<'a> {
    pub(super) common: &'a Common,
    pub(super) server: &'a Server,
    pub(super) run: &'a Run,
    pub(super) deliveries: &'a Deliveries,
    /// Deliveries of one burst.
    pub(super) each: u64,
    pub(super) screen: &'a Screen,
}

impl Rounds<'_> {
    /// Plays rounds for as long as it is measured; `burst` sends one.
    pub(super) async fn play(
        &self,
        mut burst: impl AsyncFnMut(Instant) -> Result<(), Failure>,
    ) -> Result<Window, Failure> {
        let Self { common, server, run, deliveries, .. } = self;
        let whole = common.warmup() + common.measured();
        self.screen.begin("measuring", usize::try_from(whole.as_millis()).unwrap_or(usize::MAX));
        let (begun, mut due, mut before) = (Instant::now(), 0, None);
        // A rate of nothing says nothing: one round is measured at least.
        while begun.elapsed() < whole || (self.each > 0 && deliveries.measured() == 0) {
            if before.is_none() && begun.elapsed() >= common.warmup() {
                before = Some(server.usage().await);
                run.stopwatch.measure();
            }
            burst(Instant::now()).await?;
            due += self.each;
            if !deliveries.reach(due).await {
                break;
            }
            self.screen.at(begun.elapsed(), deliveries.measured());
        }
        run.stopwatch.finish();
        let after = server.usage().await;
        Ok(Window {
            operations: deliveries.measured(),
            elapsed: run.stopwatch.elapsed(),
            before: before.unwrap_or(after),
            after,
        })
    }
}

/// Each sender sends by its schedule and waits for nobody.
async fn scheduled(
    arguments: &FanoutArguments,
    server: &Server,
    run: &Run,
    senders: Vec<Sender>,
    deliveries: &Deliveries,
    screen: &Screen,
) -> Result<Window, Failure> {
    let pace = Pace::new(run);
    let mut crew = Crew::new("bench sender");
    for (number, sender) in senders.into_iter().enumerate() {
        let schedule = Schedule::new(run.stopwatch.begun(), arguments.rate, 0, 1);
        crew.add(pace.for_task(number).send(sender, schedule));
    }
    let counted = || deliveries.measured();
    let measuring = pace.measure_counting(&arguments.common, server, screen, counted);
    Ok(crew.beside(measuring).await?.1)
}
