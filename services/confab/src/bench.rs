//! `confab bench`: measures a server from the outside, and checks while it
//! measures that nothing is lost, twice or out of order. A number of a server
//! that breaks its promises is worth nothing, so then it ends with a failure.
//! It is a client like others: nothing that serves depends on it.
//!
//! Each scenario is a file. They share the parts around them: [`server`] (which
//! server, and what it used), [`stage`] (users and conversations), [`audience`]
//! and [`listen`] (streams), [`pace`] and [`schedule`] (when what is sent),
//! [`check`] (what must be true), [`report`]. What the numbers are compared
//! with is in `baseline`, with the feature `bench-baselines` only; with a CQL
//! server as the store, in `cql`.

pub(crate) mod arguments;
mod audience;
#[cfg(feature = "bench-baselines")]
mod baseline;
mod check;
mod connect;
#[cfg(feature = "cql")]
mod cql;
mod crew;
mod fanout;
mod idle;
mod latency;
mod listen;
mod pace;
mod process;
mod read;
mod report;
mod resume;
mod schedule;
mod scrape;
mod screen;
mod send;
mod server;
mod stage;
mod stopwatch;
#[cfg(any(feature = "bench-baselines", feature = "cql"))]
mod targets;
mod wire;

use arguments::{BenchArguments, Common, Scenario};
use report::Report;
use screen::Screen;
use server::Server;

use crate::Failure;

pub(crate) async fn run(arguments: BenchArguments) -> Result<(), Failure> {
    tokio::select! {
        ended = play(&arguments.scenario) => ended,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err("interrupted".into())
        }
    }
}

async fn play(scenario: &Scenario) -> Result<(), Failure> {
    let common = match scenario {
        Scenario::Send(arguments) => &arguments.common,
        Scenario::Fanout(arguments) => &arguments.common,
        Scenario::Read(arguments) => &arguments.common,
        Scenario::Resume(arguments) => &arguments.common,
        Scenario::Idle(arguments) => &arguments.common,
        Scenario::Connect(arguments) => &arguments.common,
        #[cfg(feature = "bench-baselines")]
        Scenario::Baseline(baseline) => return baseline::run(baseline).await,
        #[cfg(feature = "cql")]
        Scenario::Cql(arguments) => return cql::run(arguments).await,
    };
    let screen = Screen::new();
    let mut server = Server::open(common).await?;
    let report = measure(scenario, &mut server, &screen).await;
    screen.clear();
    if report.is_err() {
        eprintln!("the server's log ends so:\n{}", server.last_words());
    }
    server.close().await;
    tell(common, &report?)
}

async fn measure(
    scenario: &Scenario,
    server: &mut Server,
    screen: &Screen,
) -> Result<Report, Failure> {
    match scenario {
        Scenario::Send(arguments) => send::run(arguments, server, screen).await,
        Scenario::Fanout(arguments) => fanout::run(arguments, server, screen).await,
        Scenario::Read(arguments) => read::run(arguments, server, screen).await,
        Scenario::Resume(arguments) => resume::run(arguments, server, screen).await,
        Scenario::Idle(arguments) => idle::run(arguments, server, screen).await,
        Scenario::Connect(arguments) => connect::run(arguments, server, screen).await,
        #[cfg(feature = "bench-baselines")]
        Scenario::Baseline(_) => Err("a baseline has no server of Confab's".into()),
        #[cfg(feature = "cql")]
        Scenario::Cql(_) => Err("it starts servers of its own".into()),
    }
}

/// Prints the report and writes it. Broken promises are a failure.
fn tell(common: &Common, report: &Report) -> Result<(), Failure> {
    print!("{report}");
    if let Some(file) = &common.json {
        report.write(file)?;
    }
    match report.violations() {
        0 => Ok(()),
        broken => Err(format!("{broken} broken promises").into()),
    }
}
