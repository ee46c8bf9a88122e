//! A process of messages whose clock is 90 s ahead of the other one's, both at work on
//! one conversation: order, membership and mutes go by the log and not by clocks.

use confab_client::{Client, Error};
use confab_kit::clock;
use confab_kit::role::Role;
use confab_proto::{
    errors::v1::Reason,
    messages::v1::{Event, event::Kind},
    participants::v1::MuteParticipantRequest,
};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, within};

use super::removal::{Both, at, both};
use crate::promises::{
    WHOLE, all_events, among_kills, can_be_parted, caught,
    p3_idempotent::{send, settle},
};

/// How much the clock of one process is wrong, of which it is the mutant: it breaks no
/// promise.
const AHEAD: &str = "clock-90-seconds-ahead";
const SECOND: i64 = 1_000_000;
const ROUNDS: u64 = 4;

struct Place {
    owner: Both,
    victim: Both,
    id: String,
}

impl Place {
    async fn log(&self, number: u64) -> Checked<Vec<Event>> {
        all_events(at(&self.owner, number), &self.id).await
    }

    /// The time of the log, in microseconds: that of its last event.
    async fn now(&self) -> Checked<i64> {
        let log = self.log(0).await?;
        let time = log.last().and_then(|event| event.create_time);
        time.as_ref().and_then(clock::micros).ok_or_else(|| Violation::broken("no time"))
    }

    async fn mute(&self, client: &Client, until: i64) -> Result<u64, Error> {
        let mute = MuteParticipantRequest {
            conversation_id: self.id.clone(),
            user_id: "victim".to_owned(),
            until: Some(clock::timestamp(until)),
            ..Default::default()
        };
        Ok(client.command(mute).await?.seq)
    }

    /// Until a moment after the log's time, as near as the machine allows.
    async fn mute_for_a_moment(&self, client: &Client) -> Checked<i64> {
        let mut moment = SECOND / 4;
        loop {
            let until = self.now().await? + moment;
            match self.mute(client, until).await {
                Ok(_) => return Ok(until),
                Err(error) if error.reason() == Some(Reason::InvalidArgument) => moment *= 2,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What the victim gets for a message at one of the entries.
    async fn tries(&self, entry: u64, name: &str) -> Checked<Option<Reason>> {
        let message = send(&self.id, &format!("{name}-{entry}"), 0, "let me");
        match settle(at(&self.victim, entry), message).await {
            Ok(_) => Ok(None),
            Err(error) if error.reason() == Some(Reason::Muted) => Ok(Some(Reason::Muted)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Times never go back, and who writes was not muted at the time of the row.
fn walk(log: &[Event]) -> Checked {
    let (mut last, mut until) = (i64::MIN, i64::MIN);
    for event in log {
        let time = event.create_time.as_ref().and_then(clock::micros).unwrap_or(i64::MIN);
        Violation::unless(time >= last, || format!("the time of event {} goes back", event.seq))?;
        last = time;
        match &event.kind {
            Some(Kind::ParticipantMuted(muted)) => {
                until = muted.until.as_ref().and_then(clock::micros).unwrap_or(i64::MAX);
            }
            Some(Kind::MessageCreated(message)) if message.sender_id == "victim" => {
                Violation::unless(time >= until, || {
                    format!("event {} is of one who was muted for longer", event.seq)
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The victim is muted beyond, and then below, where the log's time goes by the clock
/// that is ahead; the entries are asked by turns.
async fn round(place: &Place, number: u64) -> Checked {
    let (right, wrong) = (at(&place.owner, 0), at(&place.owner, 1));
    right.send(&place.id, "here").await?;
    wrong.send(&place.id, "there").await?;
    right.send(&place.id, "here again").await?;
    walk(&place.log(number).await?)?;
    // Above the right clock in any case, and above the other one's for an hour.
    place.mute(at(&place.owner, number), place.now().await? + 3600 * SECOND).await?;
    for entry in [number, number + 1] {
        let told = place.tries(entry, &format!("muted-{number}")).await?;
        Violation::unless(told.is_some(), || "who is muted has sent a message")?;
    }
    // Over by the time of the next row, although the right clock has not come so far.
    let until = place.mute_for_a_moment(wrong).await?;
    while place.now().await? < until {
        wrong.send(&place.id, "later").await?;
    }
    for entry in [number, number + 1] {
        let told = place.tries(entry, &format!("free-{number}")).await?;
        Violation::unless(told.is_none(), || "a mute is over by the log, and holds")?;
    }
    Ok(())
}

async fn run(mutant: Option<&str>) -> Checked {
    let options = among_kills(mutant).allow("far ahead of the clock");
    let mut confab = Deployment::start(Shape::Halves, options).await?;
    let wrong = mutant.map_or_else(|| AHEAD.to_owned(), |mutant| format!("{AHEAD},{mutant}"));
    let of_messages = confab.all_of_mut(Role::Messages).nth(1);
    let of_messages = of_messages.ok_or_else(|| Violation::unable("one process of messages"))?;
    of_messages.mutate(Some(&wrong));
    of_messages.restart().await?;
    confab.meet().await?;
    let (owner, victim) = (both(&confab, "owner").await?, both(&confab, "victim").await?);
    let id = owner[0].create_group("clocks", &["victim"]).await?.conversation_id;
    let place = Place { owner, victim, id };
    for number in 0..ROUNDS {
        round(&place, number).await?;
    }
    let log = place.log(0).await?;
    Violation::unless(log == place.log(1).await?, || "two processes read two logs")?;
    walk(&log)?;
    let ahead = place.now().await? - clock::now_micros();
    if ahead < 60 * SECOND {
        return Err(Violation::unable("no clock was ahead"));
    }
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_change_no_order_and_no_mute() -> Checked {
    if !can_be_parted("mesh::clocks::clocks_that_differ_change_no_order_and_no_mute").await {
        return Ok(());
    }
    within(WHOLE, "clocks", Box::pin(run(None))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn going_by_the_clock_is_caught() {
    if !can_be_parted("mesh::clocks::going_by_the_clock_is_caught").await {
        return;
    }
    let mutant = "time-of-the-clock";
    caught(mutant, run(Some(mutant))).await;
}
