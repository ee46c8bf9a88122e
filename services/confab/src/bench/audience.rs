//! Who listens: rooms with so many seats, a user on each seat, and streams of
//! these users, each of which watches the room of its seat.

use std::{collections::BTreeMap, sync::Arc};

use confab_proto::realtime::v1::Hello;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use super::{
    check::{Findings, Reader},
    crew::Crew,
    latency::Recorder,
    listen::{Deliveries, Device, Heard, Listener, cursor},
    report::{Check, Report, count},
    screen::Screen,
    server::Server,
    stage::{Person, Room, Run},
    wire::Connection,
};
use crate::Failure;

/// Participants that a group may have.
const GROUP: usize = 1000;
/// Streams that are opened at a time.
const AT_A_TIME: usize = 64;

/// Rooms and their seats.
pub(super) struct Seats {
    pub(super) rooms: Vec<Arc<Room>>,
    seats: usize,
}

/// The users of a room who do not listen: its senders.
pub(super) type Others<'a> = &'a dyn Fn(usize) -> Vec<String>;

impl Seats {
    /// Creates rooms with seats for so many streams in all. Where there are
    /// more streams than a group has room for, a user has several devices.
    pub(super) async fn create(
        owner: &Person,
        rooms: usize,
        streams: usize,
        others: Others<'_>,
        screen: &Screen,
    ) -> Result<Self, Failure> {
        let rooms = rooms.max(1);
        let room_for = GROUP.saturating_sub(others(0).len() + 1);
        if streams > 0 && room_for == 0 {
            return Err(format!("a group has at most {GROUP} participants").into());
        }
        let seats = streams.div_ceil(rooms).min(room_for);
        let members = (0..rooms).map(|room| {
            let listeners = (0..seats).map(|seat| listener(room, seat));
            listeners.chain(others(room)).collect()
        });
        screen.begin("creating conversations", rooms);
        let rooms = Room::create_all(owner, members.collect(), || screen.step()).await?;
        Ok(Self { rooms, seats })
    }

    /// The ticket of a stream.
    pub(super) fn ticket(&self, server: &Server, stream: usize) -> Result<Ticket, Failure> {
        let (room, user) = self.of(stream);
        Ok(Ticket {
            token: server.token(&user, &format!("device-{stream}"))?,
            room: room.id.clone(),
            reader: Reader::after(format!("stream {stream}"), room.base()),
        })
    }

    /// Events that so many streams are due in all.
    pub(super) fn due(&self, streams: usize) -> u64 {
        let acknowledged = (0..streams).map(|stream| {
            let (room, _) = self.of(stream);
            room.head() - room.base()
        });
        acknowledged.sum()
    }

    /// The room and the user of a stream.
    fn of(&self, stream: usize) -> (&Arc<Room>, String) {
        let room = stream % self.rooms.len();
        let seat = stream / self.rooms.len() % self.seats.max(1);
        (&self.rooms[room], listener(room, seat))
    }
}

fn listener(room: usize, seat: usize) -> String {
    format!("listener-{room}-{seat}")
}

/// Streams that are open and synced, and do not listen yet.
pub(super) struct Audience {
    devices: Vec<Seated>,
}

impl Audience {
    /// Opens the streams, so many on one connection, each from its room's
    /// newest event.
    pub(super) async fn open(
        server: &Server,
        seats: &Seats,
        streams: usize,
        per_connection: usize,
        screen: &Screen,
    ) -> Result<Self, Failure> {
        screen.begin("opening streams", streams);
        let per_connection = per_connection.max(1);
        let groups = (0..streams.div_ceil(per_connection)).map(|group| async move {
            let connection = Connection::open(server.authority()).await?;
            let mine = group * per_connection..streams.min((group + 1) * per_connection);
            let opening = mine.map(|stream| {
                let connection = connection.clone();
                async move {
                    let opened = seats.ticket(server, stream)?.watch(&connection).await;
                    screen.step();
                    opened
                }
            });
            stream::iter(opening).buffered(AT_A_TIME).try_collect::<Vec<_>>().await
        });
        let devices: Vec<Vec<_>> =
            stream::iter(groups).buffered(AT_A_TIME).try_collect::<Vec<_>>().await?;
        Ok(Self { devices: devices.into_iter().flatten().collect() })
    }

    /// Streams that are open already.
    #[cfg(feature = "bench-baselines")]
    pub(super) fn of(devices: Vec<Seated>) -> Self {
        Self { devices }
    }

    /// Lets them listen.
    pub(super) fn listen(self, run: &Run, acks: bool) -> Listening {
        let listening = Listening {
            crew: Crew::new("bench listener"),
            recorder: Recorder::new(),
            deliveries: Arc::default(),
            stop: CancellationToken::new(),
        };
        let mut crew = listening.crew;
        for (number, (device, reader, conversation)) in self.devices.into_iter().enumerate() {
            let listener = Listener {
                device,
                conversation,
                reader,
                recorder: listening.recorder.for_task(number),
                deliveries: Arc::clone(&listening.deliveries),
                stopwatch: Arc::clone(&run.stopwatch),
                stop: listening.stop.clone(),
                acks,
            };
            crew.add(listener.listen());
        }
        Listening { crew, ..listening }
    }
}

/// What opens one stream: who, and where to begin.
#[derive(Clone)]
pub(super) struct Ticket {
    token: HeaderValue,
    room: String,
    reader: Reader,
}

/// An open stream, what it has read so far, and of which conversation.
pub(super) type Seated = (Device, Reader, String);

impl Ticket {
    /// The event that it begins after.
    pub(super) fn start(&self) -> u64 {
        self.reader.cursor()
    }

    /// Opens the stream and waits until it is live.
    pub(super) async fn watch(mut self, connection: &Connection) -> Result<Seated, Failure> {
        let hello =
            Hello { watch: vec![cursor(&self.room, self.reader.cursor())], ..Hello::default() };
        let (mut device, _) = Device::connect(connection, &self.token, hello).await?;
        device.synced(&self.room, &mut self.reader).await?;
        Ok((device, self.reader, self.room))
    }
}

/// An audience that listens.
pub(super) struct Listening {
    pub(super) crew: Crew<Heard>,
    pub(super) recorder: Recorder,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) stop: CancellationToken,
}

impl Listening {
    /// Waits until so many events have come in all, or none comes any more, and
    /// ends the listening.
    pub(super) async fn end(self, due: u64) -> Result<Total, Failure> {
        let Self { crew, deliveries, stop, .. } = self;
        let (heard, ()) = crew
            .beside(async move {
                // What did not come is found by the check.
                let _came = deliveries.reach(due).await;
                stop.cancel();
                Ok(())
            })
            .await?;
        Ok(Total::of(heard))
    }
}

/// What an audience heard in all.
#[derive(Default)]
pub(super) struct Total {
    pub(super) events: u64,
    pub(super) writes: u64,
    pub(super) bytes: u64,
    pub(super) gaps: u64,
    readers: BTreeMap<String, Vec<Reader>>,
}

impl Total {
    pub(super) fn of(heard: impl IntoIterator<Item = Heard>) -> Self {
        let mut total = Self::default();
        for Heard { conversation, reader, events, writes, bytes } in heard {
            total.events += events;
            total.writes += writes;
            total.bytes += bytes;
            total.gaps += reader.gaps;
            total.readers.entry(conversation).or_default().push(reader);
        }
        total
    }

    /// What only listeners can tell.
    pub(super) fn figures(&self, report: &mut Report) {
        report.figure("bytes_per_event", count(self.bytes) / count(self.events.max(1)));
        report.figure("events_per_write", count(self.events) / count(self.writes.max(1)));
        report.figure("gaps", count(self.gaps));
    }

    /// What readers found by themselves, where there is no log to hold it against.
    #[cfg(feature = "bench-baselines")]
    pub(super) fn alone(self) -> Check {
        let mut findings = Findings::default();
        for reader in self.readers.into_values().flatten() {
            findings.absorb(reader.findings);
        }
        Check::of(self.events, findings)
    }

    /// Holds all that was heard against the logs.
    pub(super) async fn check(
        mut self,
        rooms: &[Arc<Room>],
        owner: &Person,
        screen: &Screen,
    ) -> Result<Check, Failure> {
        screen.begin("checking", rooms.len());
        let (mut events, mut findings) = (self.events, Findings::default());
        for room in rooms {
            let readers = self.readers.remove(&room.id).unwrap_or_default();
            let (logged, found) = room.audit(owner, readers).await?;
            events += logged;
            findings.absorb(found);
            screen.step();
        }
        Ok(Check::of(events, findings))
    }
}
