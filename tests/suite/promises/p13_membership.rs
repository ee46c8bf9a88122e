//! P13: membership is exact. In the middle of a storm of sends, its sender is
//! removed, banned or muted, again and again. No message of theirs stands in the
//! log after that point; their streams end with the removal; they may read up to
//! it and nothing after, not even what later changes say.

use std::{collections::BTreeMap, time::Duration};

use confab_client::{Client, Error};
use confab_proto::{
    errors::v1::Reason,
    messages::v1::{Event, GetMessageRequest, SendMessageRequest, event::Kind},
    participants::v1::{
        BanParticipantRequest, MuteParticipantRequest, UnbanParticipantRequest,
        UnmuteParticipantRequest,
    },
};
use confab_tests::harness::{Checked, Deployment, Seed, Shape, Violation, must_be_caught, within};
use rand::{Rng as _, rngs::StdRng};
use tokio::task::JoinSet;

use super::{
    program,
    raw_stream::{Brought, RawStream},
    support::{WHOLE, all_events, once, text_of},
};

/// Two of three take the victim out.
const ROUNDS: usize = 150;
/// Enough for a mutant to show.
pub(super) const FEW_ROUNDS: usize = 24;
const HANDS: usize = 4;
const SENDS: usize = 40;
const VICTIM: &str = "victim";
/// What the victim must never read.
const SECRET: &str = "now that they are gone";

/// How a round ends the storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Removed,
    Banned,
    Muted,
}

fn send(id: &str, name: &str, number: usize) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: id.to_owned(),
        request_id: format!("{name}-{number}"),
        after_seq: 0,
        content: Some(confab_client::text(format!("{name} {number}"))),
        ..SendMessageRequest::default()
    }
}

/// One hand of the victim: sends until it is refused, or has sent enough.
async fn storm(client: Client, id: String, name: String) -> Checked<Option<Reason>> {
    for number in 0..SENDS {
        match once(&client, send(&id, &name, number)).await {
            Ok(_) => {}
            Err(error) => match error.reason() {
                Some(reason) => return Ok(Some(reason)),
                None => return Err(error.into()),
            },
        }
    }
    Ok(None)
}

struct Round {
    owner: Client,
    witness: Client,
    victim: Client,
    id: String,
    /// The longest that a storm goes on before its end.
    longest: Duration,
}

impl Round {
    async fn end(&self, end: End) -> Result<u64, Error> {
        let (conversation_id, user_id) = (self.id.clone(), VICTIM.to_owned());
        match end {
            End::Removed => self.owner.remove_participant(conversation_id, user_id).await,
            End::Banned => {
                let ban = BanParticipantRequest { conversation_id, user_id, ..Default::default() };
                Ok(self.owner.command(ban).await?.seq)
            }
            End::Muted => {
                let mute =
                    MuteParticipantRequest { conversation_id, user_id, ..Default::default() };
                Ok(self.owner.command(mute).await?.seq)
            }
        }
    }

    async fn undo(&self, end: End) -> Checked {
        let (conversation_id, user_id) = (self.id.clone(), VICTIM.to_owned());
        match end {
            End::Removed => {}
            End::Banned => {
                let unban =
                    UnbanParticipantRequest { conversation_id, user_id, ..Default::default() };
                self.owner.command(unban).await?;
            }
            End::Muted => {
                let unmute =
                    UnmuteParticipantRequest { conversation_id, user_id, ..Default::default() };
                self.owner.command(unmute).await?;
                return Ok(());
            }
        }
        self.owner.add_participants(&self.id, &[VICTIM]).await?;
        Ok(())
    }

    /// One storm and its end. What is written after the end mentions it. Returns
    /// whether the end came in the middle of the storm.
    async fn run(&self, number: usize, end: End, random: &mut StdRng) -> Checked<bool> {
        let head = self.owner.head_of(&self.id).await?.map_or(0, |head| head.seq);
        let before = self.witness.send(&self.id, "said before").await?.seq;
        let cursors = BTreeMap::from([(self.id.clone(), head)]);
        let mut stream = RawStream::watch(&self.victim, &cursors).await??;
        let mut hands = JoinSet::new();
        for hand in 0..HANDS {
            let name = format!("storm-{number}-{hand}");
            hands.spawn(storm(self.victim.clone(), self.id.clone(), name));
        }
        tokio::time::sleep(random.random_range(Duration::ZERO..self.longest)).await;
        let at = self.end(end).await?;
        let after = self.witness.send(&self.id, SECRET).await?.seq;
        self.witness.edit(&self.id, before, SECRET).await?;
        let mut refusals = 0;
        while let Some(refused) = hands.join_next().await {
            let refused = refused.map_err(Violation::unable)??;
            refusals += usize::from(refused.is_some());
            check_refusal(end, refused)?;
        }
        let in_the_middle = refusals > 0 && at > before + 1;
        if end == End::Muted {
            self.undo(end).await?;
            return Ok(in_the_middle);
        }
        self.check_stream(&mut stream, at).await?;
        self.check_reads(before, at, after).await?;
        self.check_retry(number, at).await?;
        self.undo(end).await?;
        Ok(in_the_middle)
    }

    /// An old send, tried again: its answer, and nothing of what came later.
    async fn check_retry(&self, number: usize, at: u64) -> Checked {
        let request_id = format!("storm-{number}-0-0");
        let log = all_events(&self.owner, &self.id).await?;
        check_log(&log)?;
        let Some(sent) = log.iter().find(|event| event.request_id == request_id) else {
            return Ok(());
        };
        self.witness.react(&self.id, sent.seq, "late").await?;
        let again = send(&self.id, &format!("storm-{number}-0"), 0);
        let again = once(&self.victim, again).await?.message.unwrap_or_default();
        Violation::unless(again.seq == sent.seq && again.reactions.is_empty(), || {
            format!("removed at {at}, a retry shows {again:?}")
        })
    }

    /// The last event of the stream is the removal, and then the watch ends.
    async fn check_stream(&self, stream: &mut RawStream, at: u64) -> Checked {
        loop {
            match stream.next().await? {
                Brought::Event(event) => Violation::unless(event.seq <= at, || {
                    format!("the stream brings event {} after the removal {at}", event.seq)
                })?,
                Brought::Ended(_, reason) => {
                    let last = stream.cursors.get(&self.id).copied();
                    let expected = Reason::NotAParticipant as i32;
                    return Violation::unless(last == Some(at) && reason == expected, || {
                        format!("the watch ends at {last:?} with {reason}, the removal was {at}")
                    });
                }
                Brought::Other(_) => {}
                Brought::Gone(why) => {
                    return Err(Violation::broken(format!("the stream is gone: {why:?}")));
                }
            }
        }
    }

    async fn check_reads(&self, before: u64, at: u64, after: u64) -> Checked {
        let (events, head) = self.victim.events_after(&self.id, at - 1, 100).await?;
        let only_removal = events.len() == 1 && events[0].seq == at && head == at;
        Violation::unless(only_removal, || {
            format!("removed at {at}, may read {} events, head {head}", events.len())
        })?;
        let get = |seq| GetMessageRequest { conversation_id: self.id.clone(), message_seq: seq };
        let later = once(&self.victim, get(after)).await;
        Violation::unless(
            later.as_ref().is_err_and(|error| error.reason() == Some(Reason::MessageNotFound)),
            || format!("removed at {at}, reads message {after}: {later:?}"),
        )?;
        let changed = once(&self.victim, get(before)).await?.message.unwrap_or_default();
        Violation::unless(text_of(&changed) != Some(SECRET), || {
            format!("removed at {at}, reads what message {before} was changed to later")
        })
    }
}

/// Whoever was refused was told the right reason.
fn check_refusal(end: End, refused: Option<Reason>) -> Checked {
    let expected = match end {
        End::Removed => Reason::NotAParticipant,
        End::Banned => Reason::Banned,
        End::Muted => Reason::Muted,
    };
    Violation::unless(refused.is_none_or(|reason| reason == expected), || {
        format!("{end:?}, and refused with {refused:?}")
    })
}

/// Walks the log as a reader would: whoever writes may write at that point.
fn check_log(log: &[Event]) -> Checked {
    let (mut inside, mut muted) = (true, false);
    for event in log {
        match &event.kind {
            Some(Kind::ParticipantLeft(left)) if left.user_id == VICTIM => inside = false,
            Some(Kind::ParticipantBanned(ban)) if ban.user_id == VICTIM => inside = false,
            Some(Kind::ParticipantsJoined(_)) => (inside, muted) = (true, false),
            Some(Kind::ParticipantMuted(_)) => muted = true,
            Some(Kind::ParticipantUnmuted(_)) => muted = false,
            Some(Kind::MessageCreated(message)) if message.sender_id == VICTIM => {
                Violation::unless(inside && !muted, || {
                    format!("message {} of one who was out, or muted", event.seq)
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

async fn run(mutant: Option<&str>, rounds: usize) -> Checked {
    let confab = Deployment::start(Shape::Single, program(mutant)).await?;
    on(&confab, rounds, Duration::from_millis(15)).await?;
    confab.finish()
}

/// The whole check, on what runs already; a storm goes on for so long at most.
pub(super) async fn on(confab: &Deployment, rounds: usize, longest: Duration) -> Checked {
    let seed = Seed::of("p13");
    let owner = confab.client("dev", "owner").await?;
    let id = owner.create_group("storm", &["witness", VICTIM]).await?.conversation_id;
    let witness = confab.client("dev", "witness").await?;
    let victim = confab.client("dev", VICTIM).await?;
    let round = Round { owner, witness, victim, id, longest };
    let mut random = seed.part(0);
    let mut in_the_middle = 0;
    for number in 0..rounds {
        let end = [End::Removed, End::Banned, End::Muted][number % 3];
        let what = format!("round {number}, {end:?}");
        let run = Box::pin(round.run(number, end, &mut random));
        in_the_middle += usize::from(within(Duration::from_mins(1), &what, run).await??);
    }
    println!("{in_the_middle} of {rounds} ends came in the middle of a storm");
    if in_the_middle * 2 < rounds {
        return Err(Violation::unable("too few ends came in the middle of a storm"));
    }
    check_log(&all_events(&round.owner, &round.id).await?)
}

async fn checked(mutant: Option<&str>, rounds: usize) -> Checked {
    within(WHOLE, "the storms", Box::pin(run(mutant, rounds))).await?
}

async fn caught(mutant: &str) {
    must_be_caught(mutant, checked(Some(mutant), FEW_ROUNDS).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_or_reads_after_their_removal() {
    checked(None, ROUNDS).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_or_reads_after_their_removal_over_two_appenders() {
    let checked = checked(Some("two-drivers"), FEW_ROUNDS).await;
    checked.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_asks_nobody_for_membership_is_caught() {
    caught("no-membership-check").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deciding_once_only_is_caught() {
    caught("two-drivers,no-second-decision").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_on_after_the_removal_is_caught() {
    caught("realtime-after-removal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn showing_later_changes_to_one_who_left_is_caught() {
    caught("former-sees-changes").await;
}
