//! The baseline of the fan-out: the same connections, the same events byte for
//! byte, the same listeners with the same checks, on a server that only writes.

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use confab_proto::{
    messages::v1::{Event, event::Kind},
    realtime::v1::{ConnectResponse, Hello, connect_response::Frame},
};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::{StreamsArguments, stream_server::PUBLISH};
use crate::{
    Failure,
    bench::{
        arguments::Common,
        audience::{Audience, Seats},
        check::{Mark, Reader},
        fanout::Rounds,
        idle::steady,
        listen::Device,
        report::{Report, count},
        screen::Screen,
        server::{Program, Server},
        stage::{Person, Run, Sender, filler},
        wire::{Connection, framed},
    },
};

/// Streams that are opened at a time.
const AT_A_TIME: usize = 64;

/// See the module.
pub(super) async fn run(arguments: &StreamsArguments, screen: &Screen) -> Result<Report, Failure> {
    let StreamsArguments { common, streams, streams_per_connection, burst, size } = arguments;
    let template = template(common, *size, screen).await?;
    let server = Server::spawn(common, Program::StreamServer).await?;
    let settle = common.warmup();
    let before = steady(&server, settle, screen).await;
    let audience = open(&server, *streams, *streams_per_connection, screen).await?;
    let after = steady(&server, settle, screen).await;
    let publisher = Connection::open(server.authority()).await?;

    let run = Run::start();
    let listening = audience.listen(&run, false);
    let (delay, deliveries) = (listening.recorder.clone(), Arc::clone(&listening.deliveries));
    let each = (*streams * *burst) as u64;
    let rounds =
        Rounds { common, server: &server, run: &run, deliveries: &deliveries, each, screen };
    let mut sent = 0;
    let window = rounds
        .play(async |now| {
            let mut frames = BytesMut::new();
            for _ in 0..*burst {
                sent += 1;
                frames.put(framed(&event(&template, sent, run.stopwatch.micros(now))));
            }
            publisher.post(PUBLISH, None, frames.freeze()).await?;
            Ok(())
        })
        .await?;
    let total = listening.end(sent * *streams as u64).await?;
    server.close().await;

    let mut report = Report::new("streams", arguments, "deliveries", window);
    report.latency_us = delay.summary();
    if let Some((before, after)) = before.zip(after) {
        let each = count(after.saturating_sub(before)) / count(*streams as u64);
        report.figure("memory_bytes_per_stream", each);
    }
    total.figures(&mut report);
    report.check = total.alone();
    Ok(report)
}

/// An event as Confab sends it to a stream: whatever the contract is by now.
async fn template(common: &Common, size: usize, screen: &Screen) -> Result<Event, Failure> {
    let server = Server::spawn(common, Program::Confab).await?;
    let owner = Person::connect(&server, "owner").await?;
    let name = "sender-0-0";
    let seats = Seats::create(&owner, 1, 1, &|_| vec![name.to_owned()], screen).await?;
    let ticket = seats.ticket(&server, 0)?;
    let (mut device, _, _) = ticket.watch(&owner.connection).await?;
    let run = Run::start();
    let person = Person::connect(&server, name).await?;
    let room = Arc::clone(&seats.rooms[0]);
    Sender::new(person, room, 0, filler(common.seed, size), &run).send(Instant::now()).await?;
    loop {
        if let Frame::Event(event) = device.next().await? {
            server.close().await;
            return Ok(event);
        }
    }
}

/// The next event of the only conversation.
fn event(template: &Event, seq: u64, due_micros: u64) -> ConnectResponse {
    let request_id = Mark { sender: 0, number: seq, due_micros }.request_id();
    let mut event = Event { seq, ordinal: seq, ..template.clone() };
    event.request_id.clone_from(&request_id);
    if let Some(Kind::MessageCreated(message)) = &mut event.kind {
        message.seq = seq;
        message.ordinal = seq;
        message.applied_seq = seq;
        message.request_id = request_id;
    }
    ConnectResponse { frame: Some(Frame::Event(event)) }
}

async fn open(
    server: &Server,
    streams: usize,
    per_connection: usize,
    screen: &Screen,
) -> Result<Audience, Failure> {
    screen.begin("opening streams", streams);
    let per_connection = per_connection.max(1);
    let groups = (0..streams.div_ceil(per_connection)).map(|group| async move {
        let connection = Connection::open(server.authority()).await?;
        let mut devices = Vec::with_capacity(per_connection);
        for stream in group * per_connection..streams.min((group + 1) * per_connection) {
            let device = Device::open(&connection, None, Hello::default()).await?;
            devices.push((device, Reader::after(format!("stream {stream}"), 0), String::new()));
            screen.step();
        }
        Ok::<_, Failure>(devices)
    });
    let devices: Vec<Vec<_>> = stream::iter(groups).buffered(AT_A_TIME).try_collect().await?;
    Ok(Audience::of(devices.into_iter().flatten().collect()))
}
