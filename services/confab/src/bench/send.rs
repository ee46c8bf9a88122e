//! `confab bench send`: senders who wait for their answers, or who send by a
//! schedule whatever the server does.

use std::sync::Arc;

use super::{
    arguments::SendArguments,
    audience::{Audience, Seats},
    crew::Crew,
    pace::Pace,
    report::{Report, count},
    schedule::Schedule,
    screen::Screen,
    server::Server,
    stage::{Person, Run, Sender, connections, filler},
};
use crate::Failure;

/// See the module.
pub(super) async fn run(
    arguments: &SendArguments,
    server: &Server,
    screen: &Screen,
) -> Result<Report, Failure> {
    let SendArguments { common, in_flight, subscribers, .. } = arguments;
    let owner = Person::connect(server, "owner").await?;
    let rooms = arguments.conversations.clamp(1, (*in_flight).max(1));
    let senders = |room: usize| (room..*in_flight).step_by(rooms).map(sender).collect();
    let seats = Seats::create(&owner, rooms, *subscribers, &senders, screen).await?;
    let audience = Audience::open(server, &seats, *subscribers, 1, screen).await?;

    let run = Run::start();
    let listening = audience.listen(&run, false);
    let delivery = listening.recorder.clone();
    let pace = Pace::new(&run);
    let earlier = server.metrics().await;
    let crew = crew(arguments, server, &seats, &run, &pace).await?;
    let (_, window) = crew.beside(pace.measure(common, server, screen)).await?;
    let total = listening.end(seats.due(*subscribers)).await?;

    let mut report = Report::new("send", arguments, "sends", window);
    report.latency_us = pace.recorder().summary();
    report.figure("retries", count(run.retries()));
    let later = server.metrics().await;
    let messages = later.grown(&earlier, "confab_messages_appended_total");
    let commits = later.grown(&earlier, "confab_store_commit_seconds_count");
    report.figure("messages_per_commit", messages.zip(commits).map(|(m, c)| m / c.max(1.0)));
    if *subscribers > 0 {
        let delivery = delivery.summary();
        report.figure("delivery_p50_us", count(delivery.p50));
        report.figure("delivery_p99_us", count(delivery.p99));
        total.figures(&mut report);
    }
    report.check = total.check(&seats.rooms, &owner, screen).await?;
    Ok(report)
}

fn sender(number: usize) -> String {
    format!("sender-{number}")
}

/// The senders, at work.
async fn crew(
    arguments: &SendArguments,
    server: &Server,
    seats: &Seats,
    run: &Run,
    pace: &Pace,
) -> Result<Crew<()>, Failure> {
    let SendArguments { common, in_flight, rate, size, .. } = arguments;
    let shared = connections(server, arguments.connections.min(*in_flight)).await?;
    let mut people = Vec::with_capacity(*in_flight);
    for number in 0..*in_flight {
        let connection = shared[number % shared.len()].clone();
        people.push(Person::on(connection, server, &sender(number))?);
    }
    let mut crew = Crew::new("bench sender");
    for (number, person) in people.into_iter().enumerate() {
        let room = Arc::clone(&seats.rooms[number % seats.rooms.len()]);
        let text = filler(common.seed.wrapping_add(number as u64), *size);
        let sender = Sender::new(person, room, number, text, run);
        let schedule = Schedule::new(run.stopwatch.begun(), *rate, number, *in_flight);
        crew.add(pace.for_task(number).send(sender, schedule));
    }
    Ok(crew)
}
