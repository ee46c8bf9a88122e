//! `confab bench ratios`: each of Confab's figures beside its baseline, in
//! turns (A B A B …), so that what else the machine does strikes both. The
//! median of the ratios is held against the target.

use std::fs;

use tokio::time::Instant;

use super::{
    RatiosArguments, StreamsArguments,
    engine::{range_reads, rows_of, through_engine, through_fjall},
    streams,
};
use crate::{
    Failure,
    bench::{
        arguments::{
            Common, ConnectArguments, FanoutArguments, IdleArguments, ReadArguments,
            ResumeArguments, SendArguments,
        },
        connect, fanout, idle,
        latency::Recorder,
        read,
        report::{Machine, Report, count},
        resume,
        screen::Screen,
        send,
        server::{Program, Server},
        stage::Person,
        targets::{Row, Target, markdown},
        wire::Connection,
    },
};

/// Messages on a page.
const PAGE: u64 = 50;
/// Calls that are timed to know what one costs.
const CALLS: usize = 2000;

/// See the module.
pub(super) async fn run(arguments: &RatiosArguments, screen: &Screen) -> Result<(), Failure> {
    let play = Ratios { arguments, screen };
    let mut rows = Vec::new();
    let wanted =
        |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    if wanted("send") {
        play.sends(64, &mut rows).await?;
        play.sends(1000, &mut rows).await?;
    }
    if wanted("fanout") {
        play.fanout(&mut rows).await?;
    }
    if wanted("burst") {
        play.burst(&mut rows).await?;
    }
    if wanted("idle") {
        play.idle(&mut rows).await?;
    }
    if wanted("read") {
        play.pages(&mut rows).await?;
    }
    if wanted("connect") {
        play.connect(&mut rows).await?;
    }
    if wanted("resume") {
        play.resume(&mut rows).await?;
    }
    screen.clear();
    println!("{}\n{}", Machine::now(), markdown(&rows));
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    Ok(())
}

struct Ratios<'a> {
    arguments: &'a RatiosArguments,
    screen: &'a Screen,
}

/// One figure of several rounds.
#[derive(Default)]
struct Figure(Vec<f64>);

impl Figure {
    fn note(&mut self, value: impl Into<Option<f64>>) {
        self.0.extend(value.into());
    }

    fn row(self, what: impl Into<String>, target: Target, unit: &'static str, alone: &str) -> Row {
        let command = format!("confab bench {alone} --spawn");
        Row::new(what.into(), target, unit, self.0, command)
    }
}

impl Ratios<'_> {
    fn common(&self) -> Common {
        Common {
            spawn: true,
            folder: self.arguments.folder.clone(),
            seconds: self.arguments.seconds,
            warmup: (self.arguments.seconds / 5.0).min(1.0),
            seed: 1,
            ..Common::default()
        }
    }

    fn rounds(&self) -> usize {
        self.arguments.rounds.max(1)
    }

    /// A full size, in part.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are far below 2^52"
    )]
    fn scaled(&self, full: usize) -> usize {
        ((full as f64 * self.arguments.scale).round() as usize).max(1)
    }

    async fn confab(&self) -> Result<Server, Failure> {
        Server::spawn(&self.common(), Program::Confab).await
    }

    async fn sends(&self, in_flight: usize, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let common = self.common();
        let in_flight = self.scaled(in_flight);
        let arguments = SendArguments {
            common: common.clone(),
            in_flight,
            rate: None,
            conversations: 64,
            connections: 64,
            subscribers: 0,
            size: 100,
        };
        let [mut ratio, mut grouped, mut alone, mut store] = [(); 4].map(|()| Figure::default());
        let [mut rate, mut cpu, mut group] = [(); 3].map(|()| Figure::default());
        for _ in 0..self.rounds() {
            let mut server = self.confab().await?;
            let report = sound(send::run(&arguments, &server, self.screen).await?)?;
            let written = rows_of(&mut server).await?;
            let fjall = |most| through_fjall(&written, in_flight, most, &common, self.screen);
            let engine = fjall(None).await?.rate();
            let ours = through_engine(&written, in_flight, &common, self.screen).await?.rate();
            let formed = report.figures.get("messages_per_commit").copied();
            if let Some(formed) = formed.and_then(whole) {
                grouped.note(report.rate / fjall(Some(formed)).await?.rate());
            }
            ratio.note(report.rate / engine);
            alone.note(engine);
            store.note(ours / engine);
            rate.note(report.rate);
            cpu.note(report.server.cpu_us_per_operation);
            group.note(formed);
        }
        let command = format!("send --in-flight {in_flight}");
        let what = |figure: &str| format!("{in_flight} in flight: {figure}");
        // Five times what Tinode with PostgreSQL did on such a machine with 64 senders.
        let many = if in_flight == 64 { Target::AtLeast(11_000.0) } else { Target::None };
        let none = Target::None;
        rows.extend([
            ratio.row(what("sends, of the engine's rows"), Target::AtLeast(0.7), "", &command),
            grouped.row(what("the same in groups as Confab's"), none, "", &command),
            alone.row(what("the engine's rows a second"), none, "", &command),
            store.row(what("rows through `confab_store`, of the engine's"), none, "", &command),
            rate.row(what("sends a second"), many, "", &command),
            cpu.row(what("server CPU of a send"), none, " µs", &command),
            group.row(what("messages in one commit"), none, "", &command),
        ]);
        Ok(())
    }

    fn fanned_out(&self, burst: usize) -> FanoutArguments {
        FanoutArguments {
            common: self.common(),
            streams: self.scaled(1000),
            streams_per_connection: 1,
            conversations: 1,
            burst,
            rate: None,
            size: 100,
            acks: false,
        }
    }

    async fn fanout(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let arguments = self.fanned_out(1);
        let FanoutArguments { common, streams, size, .. } = arguments.clone();
        let baseline =
            StreamsArguments { common, streams, streams_per_connection: 1, burst: 1, size };
        let [mut ratio, mut ours, mut theirs, mut bytes] = [(); 4].map(|()| Figure::default());
        for _ in 0..self.rounds() {
            let server = self.confab().await?;
            let report = sound(fanout::run(&arguments, &server, self.screen).await?)?;
            server.close().await;
            let other = sound(streams::run(&baseline, self.screen).await?)?;
            let per_cpu = |report: &Report| report.server.operations_per_cpu_second;
            let of = |report: &Report| report.figures.get("bytes_per_event").copied();
            ratio.note(per_cpu(&report).zip(per_cpu(&other)).map(|(a, b)| a / b));
            ours.note(per_cpu(&report));
            theirs.note(per_cpu(&other));
            bytes.note(of(&report).zip(of(&other)).map(|(a, b)| a / b));
        }
        let alone = format!("fanout --streams {streams}");
        let what = |figure: &str| format!("{streams} streams: {figure}");
        let target = Target::AtLeast(0.95);
        rows.extend([
            ratio.row(what("deliveries a CPU second, of the baseline's"), target, "", &alone),
            bytes.row(what("bytes of an event, of the baseline's"), Target::None, "", &alone),
            ours.row(what("deliveries a CPU second"), Target::None, "", &alone),
            theirs.row(what("the baseline's"), Target::None, "", "streams"),
        ]);
        Ok(())
    }

    async fn burst(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let arguments = self.fanned_out(10);
        let [mut per_cpu, mut per_write] = [(); 2].map(|()| Figure::default());
        for _ in 0..self.rounds() {
            let server = self.confab().await?;
            let report = sound(fanout::run(&arguments, &server, self.screen).await?)?;
            server.close().await;
            per_cpu.note(report.server.operations_per_cpu_second);
            per_write.note(report.figures.get("events_per_write").copied());
        }
        let alone = format!("fanout --streams {} --burst 10", arguments.streams);
        let target = Target::AtLeast(250_000.0);
        rows.extend([
            per_cpu.row("10 events at a time: deliveries a CPU second", target, "", &alone),
            per_write.row("10 events at a time: events in a write", Target::None, "", &alone),
        ]);
        Ok(())
    }

    /// Once: it takes long, and memory is not what a busy machine changes.
    async fn idle(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let streams = self.scaled(5000);
        // Longer than the time between two heartbeats.
        let common = Common { seconds: self.arguments.seconds * 4.0, ..self.common() };
        let arguments = IdleArguments {
            common,
            streams,
            streams_per_connection: 1,
            group: 50,
            settle: (self.arguments.seconds / 2.0).min(3.0),
        };
        let server = self.confab().await?;
        let report = sound(idle::run(&arguments, &server, self.screen).await?)?;
        server.close().await;
        let [mut memory, mut cpu] = [(); 2].map(|()| Figure::default());
        let bytes = report.figures.get("memory_bytes_per_stream").copied();
        memory.note(bytes.map(|bytes| bytes / 1024.0));
        cpu.note(report.figures.get("cpu_us_per_stream_and_second").copied());
        let alone = format!("idle --streams {streams}");
        let (most, what) = (Target::AtMost(32.0), format!("{streams} idle streams: memory of one"));
        rows.extend([
            memory.row(what, most, " KiB", &alone),
            cpu.row("CPU of an idle stream in a second", Target::None, " µs", &alone),
        ]);
        Ok(())
    }

    async fn pages(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let messages = self.scaled(1_000_000);
        let arguments = ReadArguments {
            common: self.common(),
            messages: messages as u64,
            page: 50,
            in_flight: 1,
            newest: false,
            size: 100,
        };
        let mut server = self.confab().await?;
        let owner = Person::connect(&server, "owner").await?;
        let room = read::filled(&server, &owner, arguments.messages, 100, self.screen).await?;
        let [mut ratio, mut pages, mut calls, mut reads] = [(); 4].map(|()| Figure::default());
        for round in 0..self.rounds() {
            let report = sound(read::of_room(&arguments, &server, &room, self.screen).await?)?;
            let call = unary(&server).await?;
            server.kill().await?;
            let duration = arguments.common.measured() / 4;
            let range = range_reads(&server, PAGE, duration, round as u64)?;
            server.restart().await?;
            let [page, call, range] = [report.latency_us.p50, call, range.p50].map(count);
            ratio.note((page - call) / range);
            pages.note(page);
            calls.note(call);
            reads.note(range);
        }
        server.close().await;
        let alone = format!("read --messages {messages}");
        let what = format!("page of {PAGE} of {messages}, less one call, of the engine's read");
        rows.extend([
            ratio.row(what, Target::AtMost(2.0), "", &alone),
            pages.row("the page, p50", Target::None, " µs", &alone),
            calls.row("the call, p50", Target::None, " µs", &alone),
            reads.row("the engine's read, p50", Target::None, " µs", &alone),
        ]);
        Ok(())
    }

    async fn connect(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let conversations = self.scaled(5000);
        let arguments = ConnectArguments { common: self.common(), conversations, times: 20 };
        let server = self.confab().await?;
        let report = sound(connect::run(&arguments, &server, self.screen).await?)?;
        server.close().await;
        let mut took = Figure::default();
        took.note(count(report.latency_us.p90) / 1000.0);
        let what = format!("a user of {conversations} conversations connects, p90");
        let alone = format!("connect --conversations {conversations}");
        rows.push(took.row(what, Target::AtMost(200.0), " ms", &alone));
        Ok(())
    }

    async fn resume(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let streams = self.scaled(1000);
        let arguments = ResumeArguments {
            common: self.common(),
            streams,
            conversations: 1,
            missed: 200,
            size: 100,
        };
        let mut server = self.confab().await?;
        let report = sound(resume::run(&arguments, &mut server, self.screen).await?)?;
        server.close().await;
        let [mut reads, mut all] = [(); 2].map(|()| Figure::default());
        let figure = |name: &str| report.figures.get(name).copied();
        let once = figure("store_page_reads").zip(figure("hot_pages"));
        reads.note(once.map(|(reads, pages)| reads / pages));
        all.note(count(report.latency_us.max) / 1000.0);
        let alone = format!("resume --streams {streams}");
        let what = format!("{streams} devices resume at once: reads of each hot page");
        rows.extend([
            reads.row(what, Target::AtMost(1.0), "", &alone),
            all.row("all of them are back after", Target::None, " ms", &alone),
        ]);
        Ok(())
    }
}

/// A number of rows, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a group has far less than 2^32 rows"
)]
fn whole(rows: f64) -> Option<usize> {
    rows.is_finite().then(|| rows.round().max(1.0) as usize)
}

/// Numbers of a server that breaks its promises are worth nothing.
fn sound(report: Report) -> Result<Report, Failure> {
    if report.violations() == 0 {
        return Ok(report);
    }
    Err(format!("broken promises:\n{report}").into())
}

/// The median of the smallest unary call there is, in microseconds.
async fn unary(server: &Server) -> Result<u64, Failure> {
    let connection = Connection::open(server.authority()).await?;
    let recorder = Recorder::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        let _status: () = connection.call_path("/grpc.health.v1.Health/Check", None, &()).await?;
        recorder.record(begun.elapsed());
    }
    Ok(recorder.summary().p50)
}
