//! What is compared, each part in turns with its bound.

use std::sync::Arc;

use futures_util::future::FutureExt as _;
use tokio::time::Instant;

use super::{
    CqlArguments,
    bound::{Bound, Load},
    cluster::{self, Cluster},
};
use crate::{
    Failure,
    bench::{
        arguments::{ReadArguments, SendArguments},
        audience::{Audience, Seats},
        fanout::Rounds,
        latency::Recorder,
        read,
        report::{Report, count},
        screen::Screen,
        send,
        stage::{Person, Room, Run, Sender, filler},
        targets::{Row, Target},
    },
};

/// Senders of the hot conversation.
const SENDERS: usize = 64;
/// A message's text, in bytes.
const SIZE: usize = 100;
/// Messages on a page.
const PAGE: i32 = 50;
const GROUP: [&str; 2] = ["confab_append_group_events_sum", "confab_append_group_events_count"];

/// Plays the parts that are wanted.
pub(super) async fn play(arguments: &CqlArguments, screen: &Screen) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    if arguments.wants("hot") || arguments.wants("spread") || arguments.wants("page") {
        let cluster = Cluster::one(arguments).await?;
        let bound = Arc::new(Bound::connect(&arguments.cql, &cluster).await?);
        let parts = Parts { arguments, screen, cluster, bound };
        let played = parts.on_one_process(&mut rows).await;
        Box::pin(parts.close(played)).await?;
    }
    if arguments.wants("stream") {
        let cluster = Cluster::two(arguments).await?;
        let bound = Arc::new(Bound::connect(&arguments.cql, &cluster).await?);
        let parts = Parts { arguments, screen, cluster, bound };
        let played = parts.stream(&mut rows).await;
        Box::pin(parts.close(played)).await?;
    }
    Ok(rows)
}

/// What was measured in each round.
#[derive(Default)]
struct Rates {
    /// A message as it is stored: what the bounds write.
    event: bytes::Bytes,
    ratio: Vec<f64>,
    ours: Vec<f64>,
    theirs: Vec<f64>,
    /// Messages in one append of Confab's.
    together: Vec<f64>,
}

struct Parts<'a> {
    arguments: &'a CqlArguments,
    screen: &'a Screen,
    cluster: Cluster,
    bound: Arc<Bound>,
}

impl Parts<'_> {
    async fn on_one_process(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        if self.arguments.wants("hot") {
            self.hot(rows).await?;
        }
        if self.arguments.wants("spread") {
            self.spread(rows).await?;
        }
        if self.arguments.wants("page") {
            self.page(rows).await?;
        }
        Ok(())
    }

    async fn close(self, played: Result<(), Failure>) -> Result<(), Failure> {
        if played.is_err() {
            eprintln!("the server's log ends so:\n{}", self.cluster.first.last_words());
        }
        self.cluster.close().await;
        played
    }

    fn rounds(&self) -> usize {
        self.arguments.rounds.max(1)
    }

    /// The same way of measuring, for the bound.
    async fn append(&self, load: Load, event: &bytes::Bytes) -> Result<(f64, u64), Failure> {
        let common = cluster::common(self.arguments);
        let around = (&common, &self.cluster.first, self.screen);
        let (rate, took) = self.bound.append(load, event, around).await?;
        Ok((rate, took.p50))
    }

    /// Confab's rate of sends by so many senders, and how many were appended together.
    async fn sends(&self, senders: usize, rooms: usize) -> Result<(f64, f64), Failure> {
        let sending = SendArguments {
            common: cluster::common(self.arguments),
            in_flight: senders,
            rate: None,
            conversations: rooms,
            connections: 64,
            subscribers: 0,
            size: SIZE,
        };
        let server = &self.cluster.first;
        let before = server.metrics().await;
        let report = sound(send::run(&sending, server, self.screen).await?)?;
        let after = server.metrics().await;
        let [events, groups] = GROUP.map(|name| after.grown(&before, name).unwrap_or(0.0));
        // Each room began with one event of its own.
        let made = count(rooms as u64);
        Ok((report.rate, (events - made) / (groups - made).max(1.0)))
    }

    /// One message of such a run, as it is stored.
    async fn sample(&self) -> Result<bytes::Bytes, Failure> {
        let server = &self.cluster.first;
        let owner = Person::connect(server, "owner").await?;
        let room = read::filled(server, &owner, 1, SIZE, self.screen).await?;
        self.bound.newest(server, &room).await
    }

    /// Sends by so many to so many conversations, each time in turns with the bounds,
    /// which are made for the number of messages that were appended together; the
    /// fastest counts.
    async fn rates(
        &self,
        senders: usize,
        rooms: usize,
        bounds: impl Fn(f64) -> Vec<Load>,
    ) -> Result<Rates, Failure> {
        let mut rates = Rates { event: self.sample().await?, ..Rates::default() };
        for _ in 0..self.rounds() {
            let (rate, group) = self.sends(senders, rooms).await?;
            let mut bound = 0_f64;
            for load in bounds(group) {
                bound = bound.max(self.append(load, &rates.event).await?.0);
            }
            rates.ratio.push(rate / bound);
            rates.ours.push(rate);
            rates.theirs.push(bound);
            rates.together.push(group);
        }
        Ok(rates)
    }

    /// Many senders in one conversation: Confab groups them, the driver cannot.
    async fn hot(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let one_by_one = |_| vec![Load { conversations: 1, writers: SENDERS, rows: 1 }];
        let rates = self.rates(SENDERS, 1, one_by_one).await?;
        // What is left when nothing but the server takes time, and nobody waits for others.
        let mut most = Vec::new();
        for one_by_one in &rates.theirs {
            let all_at_once = Load { conversations: 1, writers: 1, rows: SENDERS as u64 };
            most.push(self.append(all_at_once, &rates.event).await?.0 / one_by_one);
        }
        let row = |what, target, values| self.arguments.row("hot", what, target, "", values);
        rows.extend([
            row(
                "one conversation, 64 senders: sends, of one LWT a message",
                Target::AtLeast(20.0),
                rates.ratio,
            ),
            row("the driver's rows, 64 in a batch: of the same", Target::None, most),
            row("64 senders: sends a second", Target::None, rates.ours),
            row("64 senders: the driver's, one LWT a message", Target::None, rates.theirs),
            row("64 senders: messages in one append", Target::None, rates.together),
        ]);
        Ok(())
    }

    /// One sender in each of many conversations.
    async fn spread(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let many = self.arguments.conversations.max(1);
        // A server does not do most where most is asked of it at a time.
        let in_groups = |group| {
            let load = |writers| Load { conversations: many, writers, rows: whole(group) };
            [many, many.div_ceil(8)].map(load).to_vec()
        };
        let rates = self.rates(many, many, in_groups).await?;
        let what = |figure: &str| format!("{many} conversations: {figure}");
        let row =
            |what: String, target, values| self.arguments.row("spread", &what, target, "", values);
        rows.extend([
            row(what("sends, of the same conditional batches"), Target::AtLeast(0.8), rates.ratio),
            row(what("sends a second"), Target::None, rates.ours),
            row(what("the driver's rows a second"), Target::None, rates.theirs),
            row(what("messages in one append"), Target::None, rates.together),
        ]);
        Ok(())
    }

    /// A page at a random place.
    async fn page(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let server = &self.cluster.first;
        let owner = Person::connect(server, "owner").await?;
        let messages = self.arguments.messages.max(200);
        let room = read::filled(server, &owner, messages, SIZE, self.screen).await?;
        let reading = ReadArguments {
            common: cluster::common(self.arguments),
            messages,
            page: PAGE,
            in_flight: 1,
            newest: false,
            size: SIZE,
        };
        let [mut ratio, mut ours, mut theirs] = [(); 3].map(|()| Vec::new());
        for round in 0..self.rounds() {
            let page = sound(read::of_room(&reading, server, &room, self.screen).await?)?;
            let window = (reading.common.measured(), round as u64);
            let query = self.bound.pages(server, &room, PAGE.unsigned_abs().into(), window).await?;
            let [page, query] = [page.latency_us.p50, query.p50].map(count);
            ratio.push(page / query);
            ours.push(page);
            theirs.push(query);
        }
        let row =
            |what, target, unit, values| self.arguments.row("page", what, target, unit, values);
        rows.extend([
            row("a page of 50, of the driver's query, p50", Target::AtMost(1.5), "", ratio),
            row("the page, p50", Target::None, " µs", ours),
            row("the driver's query, p50", Target::None, " µs", theirs),
        ]);
        Ok(())
    }

    /// From a sender at one process to a stream of another, one message at a time.
    async fn stream(&self, rows: &mut Vec<Row>) -> Result<(), Failure> {
        let event = self.sample().await?;
        let [mut ratio, mut ours, mut sends, mut theirs] = [(); 4].map(|()| Vec::new());
        for _ in 0..self.rounds() {
            let (delivered, sent) = self.delivery().await?;
            let load = Load { conversations: 1, writers: 1, rows: 1 };
            let (_, commit) = self.append(load, &event).await?;
            let [delivered, sent, commit] = [delivered, sent, commit].map(count);
            ratio.push(delivered / commit);
            ours.push(delivered);
            sends.push(sent);
            theirs.push(commit);
        }
        let row =
            |what, target, unit, values| self.arguments.row("stream", what, target, unit, values);
        rows.extend([
            row("a stream on another node, of one commit, p50", Target::AtMost(2.0), "", ratio),
            row("to the stream, p50", Target::None, " µs", ours),
            row("to the sender's answer, p50", Target::None, " µs", sends),
            row("the driver's commit of one row, p50", Target::None, " µs", theirs),
        ]);
        Ok(())
    }

    /// Medians from the send to the stream, and to the answer, in microseconds.
    async fn delivery(&self) -> Result<(u64, u64), Failure> {
        let (server, screen) = (&self.cluster.first, self.screen);
        let other = self.cluster.second.as_ref().ok_or("one process only")?;
        let common = cluster::common(self.arguments);
        let owner = Person::connect(server, "owner").await?;
        let seats = Seats::create(&owner, 1, 1, &|_| vec!["sender".to_owned()], screen).await?;
        let audience = Audience::open(other, &seats, 1, 1, screen).await?;
        let run = Run::start();
        let room: Arc<Room> = Arc::clone(&seats.rooms[0]);
        let person = Person::connect(server, "sender").await?;
        let mut sender = Sender::new(person, room, 0, filler(1, SIZE), &run);
        let listening = audience.listen(&run, false);
        let (delay, answered) = (listening.recorder.clone(), Recorder::new());
        let deliveries = Arc::clone(&listening.deliveries);
        let (run, common) = (&run, &common);
        let rounds = Rounds { common, server, run, deliveries: &deliveries, each: 1, screen };
        let burst =
            async |now: Instant| sender.send(now).inspect(|_| answered.record(now.elapsed())).await;
        rounds.play(burst).await?;
        let total = listening.end(seats.due(1)).await?;
        let check = total.check(&seats.rooms, &owner, screen).await?;
        if check.violations > 0 {
            return Err(format!("broken promises: {:?}", check.told).into());
        }
        Ok((delay.summary().p50, answered.summary().p50))
    }
}

fn sound(report: Report) -> Result<Report, Failure> {
    if report.violations() == 0 {
        return Ok(report);
    }
    Err(format!("broken promises:\n{report}").into())
}

/// Rows of a batch that are as many as Confab's, in whole.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1000")]
fn whole(group: f64) -> u64 {
    group.round().clamp(1.0, 1000.0) as u64
}
