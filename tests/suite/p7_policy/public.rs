//! One RPC on the public port: every caller, unary and as a call on a stream.

use std::sync::Arc;

use confab_kit::error::Reason;
use confab_proto::{
    method::{Method, Target},
    realtime::v1::{Call, connect_request, connect_response::Frame, result::Outcome},
};
use confab_tests::harness::{Checked, Violation};
use prost::bytes::Bytes;
use prost_types::Any;

use super::{
    expected::{self, Scenario},
    fixtures::{self, Before, Fixture},
    people::{People, Room, unable},
};
use crate::raw::{Raw, Refused, Stream, framed, hello, reason_name};

/// What a call was answered, by its reason.
type Answered = Result<Bytes, String>;

/// The rooms of those who are refused, or who only read. They stay as they are.
pub(super) struct Rooms(Vec<(Before, Room, u64)>);

impl Rooms {
    pub(super) async fn open(people: &People) -> Checked<Self> {
        let mut rooms = Vec::new();
        for before in Before::ALL {
            let room = people.full_room().await?;
            before.happen(people.owner(), &room).await?;
            let head = people.head(&room).await?;
            rooms.push((before, room, head));
        }
        Ok(Self(rooms))
    }

    pub(super) fn of(&self, before: Before) -> Checked<&Room> {
        let found = self.0.iter().find(|(of, ..)| *of == before);
        found.map(|(_, room, _)| room).ok_or_else(|| Violation::unable("no such room"))
    }

    /// Nobody who was refused has left a trace.
    pub(super) async fn are_untouched(&self, people: &People) -> Checked {
        for (before, room, head) in &self.0 {
            let now = people.head(room).await?;
            Violation::unless(now == *head, || {
                format!("refused calls moved the {before:?} room from {head} to {now}")
            })?;
        }
        Ok(())
    }
}

pub(super) async fn check(
    people: Arc<People>,
    rooms: Arc<Rooms>,
    method: &'static Method,
    all: bool,
) -> Checked {
    let fixture = fixtures::of(method)?;
    let (people, shared) = (&*people, rooms.of(fixture.before)?);
    let mut carried_out = false;
    for scenario in Scenario::ALL {
        let cell = Cell { people, method, fixture, scenario };
        match expected::of(method, scenario)? {
            Err(reason) => cell.is_refused(shared, reason).await?,
            Ok(()) if !appends(method) => cell.is_answered(shared).await?,
            Ok(()) if all || !carried_out => {
                cell.appends_once().await?;
                carried_out = true;
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

fn appends(method: &Method) -> bool {
    let target = method.policy.as_ref().map(|policy| policy.target);
    matches!(target, Some(Target::Conversation { decided_by_log: true, .. }))
}

/// One RPC × one caller.
struct Cell<'a> {
    people: &'a People,
    method: &'static Method,
    fixture: &'static Fixture,
    scenario: Scenario,
}

impl Cell<'_> {
    async fn is_refused(&self, room: &Room, reason: Reason) -> Checked {
        let wanted = reason_name(reason);
        for (way, outcome) in self.ways(room).await? {
            let wanted = match (way, self.method.is_mesh()) {
                // A stream knows calls by their request's type, not by path.
                ("on a stream", true) => reason_name(Reason::UnknownCall),
                _ => wanted.clone(),
            };
            let refused = outcome.as_ref().err() == Some(&wanted);
            Violation::unless(refused, || self.wrong(way, &wanted, &outcome))?;
        }
        Ok(())
    }

    async fn is_answered(&self, room: &Room) -> Checked {
        for (way, outcome) in self.ways(room).await? {
            let answer = outcome.as_ref().map_err(|_| self.wrong(way, "an answer", &outcome));
            self.tells_no_stranger(room, answer.map_err(Violation::broken)?)?;
        }
        Ok(())
    }

    /// In a room of its own; the call on the stream is a retry of the unary one.
    async fn appends_once(&self) -> Checked {
        let writers = ["owner", self.scenario.user()];
        let writers = match self.fixture.before.is_about_own_message() {
            true if self.scenario.user() == "owner" => &writers[..1],
            true => &writers[..],
            false => &[],
        };
        let room = self.people.room(writers).await.map_err(unable)?;
        self.fixture.before.happen(self.people.owner(), &room).await.map_err(unable)?;
        let before = self.people.head(&room).await?;
        self.is_answered(&room).await?;
        let moved = self.people.head(&room).await? - before;
        Violation::unless(moved == 1, || {
            format!("{} as {:?} moved the log by {moved}", self.method.path, self.scenario)
        })
    }

    /// Who is not in the room must not read of it, whatever is answered.
    fn tells_no_stranger(&self, room: &Room, answer: &[u8]) -> Checked {
        let outside = matches!(self.scenario, Scenario::OtherTenant | Scenario::Stranger);
        let id = room.id.as_bytes();
        let told = answer.windows(id.len()).any(|window| window == id);
        Violation::unless(!(outside && told), || {
            format!("{} told {:?} of a foreign room", self.method.path, self.scenario)
        })
    }

    /// The same request, every way that it can be made.
    async fn ways(&self, room: &Room) -> Checked<Vec<(&'static str, Answered)>> {
        let raw = self.people.public_as(self.method, self.scenario);
        let request = (self.fixture.build)(room, self.scenario);
        if self.method.client_streaming {
            return Ok(vec![("as a stream", opened(&raw, &request).await?)]);
        }
        if self.method.server_streaming && !self.method.is_mesh() {
            return Ok(vec![("as a subscription", subscribed(&raw, &request).await?)]);
        }
        let unary = raw.bytes(self.method.path, &request).await?.map_err(|refused| refused.reason);
        let mut ways = vec![("unary", unary)];
        if self.scenario.is_user() {
            ways.push(("on a stream", on_stream(&raw, self.method, request).await?));
        }
        Ok(ways)
    }

    fn wrong(&self, way: &str, wanted: &str, outcome: &Answered) -> String {
        let outcome = outcome.as_ref().map(Bytes::len);
        format!(
            "{} as {:?}, {way}: {outcome:?} instead of {wanted}",
            self.method.path, self.scenario
        )
    }
}

/// Opens a stream with this first frame: its welcome, or why not.
async fn opened(raw: &Raw, first: &[u8]) -> Checked<Answered> {
    let mut stream = Stream::open(raw).await?;
    stream.push(framed(first)).await?;
    welcomed(stream).await
}

/// The same with the one request of a subscription.
async fn subscribed(raw: &Raw, request: &[u8]) -> Checked<Answered> {
    welcomed(Stream::subscribe(raw, request).await?).await
}

async fn welcomed(mut stream: Stream) -> Checked<Answered> {
    match stream.next().await? {
        Some(Frame::Welcome(welcome)) => Ok(Ok(welcome.session_id.into())),
        Some(frame) => Err(Violation::broken(format!("no welcome but {frame:?}"))),
        None => Ok(Err(stream.ending().await?.refused.reason)),
    }
}

async fn on_stream(raw: &Raw, method: &Method, request: Bytes) -> Checked<Answered> {
    let mut stream = Stream::welcomed(raw, hello(&[])).await?;
    let type_url = format!("type.googleapis.com/{}", method.request);
    let request = Some(Any { type_url, value: request.into() });
    let call = Call { call_id: 7, request, timeout: None };
    stream.say(connect_request::Frame::Call(call)).await?;
    let result = stream.until(|frame| match frame {
        Frame::Result(result) => Some(result),
        _ => None,
    });
    match result.await?.outcome {
        Some(Outcome::Response(response)) => Ok(Ok(response.value.into())),
        Some(Outcome::Failure(failure)) => Ok(Err(Refused::of_failure(&failure)?.reason)),
        None => Err(Violation::broken("a result without an outcome")),
    }
}
