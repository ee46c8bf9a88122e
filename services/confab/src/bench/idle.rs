//! `confab bench idle`: what a stream costs on which nothing happens.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    arguments::IdleArguments,
    audience::{Audience, Listening, Seats},
    check::Findings,
    process,
    report::{Check, Report, Window, count},
    screen::Screen,
    server::Server,
    stage::{Person, Run},
};
use crate::Failure;

/// Memory is steady when it changed by less than this part of it …
const STEADY: u64 = 200;
/// … or after so many looks.
const LOOKS: usize = 15;

/// See the module.
pub(super) async fn run(
    arguments: &IdleArguments,
    server: &Server,
    screen: &Screen,
) -> Result<Report, Failure> {
    let IdleArguments { common, streams, streams_per_connection, group, settle } = arguments;
    if !process::connections_fit(streams.div_ceil((*streams_per_connection).max(1))) {
        return Err("the limit of open files is too low for so many connections".into());
    }
    let settle = Duration::from_secs_f64(settle.max(0.01));
    let owner = Person::connect(server, "owner").await?;
    let rooms = streams.div_ceil((*group).max(1)).max(1);
    let seats = Seats::create(&owner, rooms, *streams, &|_| Vec::new(), screen).await?;
    let before = steady(server, settle, screen).await;
    let opening = Instant::now();
    let audience =
        Audience::open(server, &seats, *streams, *streams_per_connection, screen).await?;
    let opened = opening.elapsed();
    let after = steady(server, settle, screen).await;
    let window = idle(server, audience, *streams, common.measured(), screen).await?;

    let mut report = Report::new("idle", arguments, "streams", window);
    report.server.memory_bytes_before = before;
    report.server.memory_bytes_after = after;
    let streams = count(*streams as u64);
    report.figure("opened_per_second", streams / opened.as_secs_f64());
    let cpu = report.server.cpu_us_per_operation;
    report.figure("cpu_us_per_stream_and_second", cpu.map(|cpu| cpu / report.seconds));
    if let Some((before, after)) = before.zip(after) {
        let each = count(after.saturating_sub(before)) / streams;
        report.figure("memory_bytes_per_stream", each);
    }
    report.check = Check::of(0, Findings::default());
    Ok(report)
}

/// Nothing happens, and no stream may end.
async fn idle(
    server: &Server,
    audience: Audience,
    streams: usize,
    duration: Duration,
    screen: &Screen,
) -> Result<Window, Failure> {
    let run = Run::start();
    let Listening { crew, stop, .. } = audience.listen(&run, false);
    let before = server.usage().await;
    run.stopwatch.measure();
    let idling = async {
        screen.wait("idling", duration, || 0).await;
        run.stopwatch.finish();
        let after = server.usage().await;
        stop.cancel();
        Ok(after)
    };
    let (_, after) = crew.beside(idling).await?;
    let elapsed = run.stopwatch.elapsed();
    Ok(Window { operations: streams as u64, elapsed, before, after })
}

/// The server's memory once it does not change any more: what was freed goes
/// back to the kernel some seconds later.
pub(super) async fn steady(server: &Server, settle: Duration, screen: &Screen) -> Option<u64> {
    let mut last = server.usage().await.memory_bytes?;
    for _ in 0..LOOKS {
        screen.wait("memory settles", settle, || last / 1024).await;
        let now = server.usage().await.memory_bytes?;
        if now.abs_diff(last) <= now / STEADY {
            return Some(now);
        }
        last = now;
    }
    Some(last)
}
